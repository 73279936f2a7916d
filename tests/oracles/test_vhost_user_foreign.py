"""DPDK's vhost as the back-end of our front-end: our network driver, and every frame checked.

It has packed rings, IN_ORDER and STATUS, and it polls: it never waits for a doorbell. Its program
`testpmd` swaps the addresses of each frame and sends it back. No huge pages are needed.
"""

import functools
import os
import random
import shutil
import subprocess
from contextlib import contextmanager

import pytest

from tests.conftest import NOT_HERE
from tests.guest.paper_virtio import ring_name
from tests.virtio.net_rig import frame
from virtlab.guest.room import Room
from virtlab.guest.virtio_net import NetDriver
from virtlab.hosts.vhost_user import VhostUserDevice
from virtlab.hosts.vhost_user_ram import FileRam, RamCpu
from virtlab.virtio.features import Feature
from virtlab.virtio.net_layouts import NetFeature
from virtlab.virtio.status import DeviceId
from virtlab.virtio.vhost_user.layouts import ProtocolFeature

PROGRAM = os.environ.get("VIRTLAB_TESTPMD", "dpdk-testpmd")
"""The program, or a path to it where it is not installed."""

GET = "sudo apt install dpdk-dev librte-net-vhost23 librte-mempool-ring23"

PEER, OURS = bytes.fromhex("02aabbccddee"), bytes.fromhex("020000000001")


def needs_testpmd(test):
    """The test starts DPDK's testpmd, which is optional everywhere."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        if shutil.which(PROGRAM) is None:
            pytest.skip(f"{NOT_HERE}DPDK is missing: {GET}")
        return test(*args, **kwargs)

    return pytest.mark.oracle(run)


@contextmanager
def turning_round(folder):
    """The path of the socket behind which each frame is turned round."""
    socket = folder / "net.sock"
    cpus = sorted(os.sched_getaffinity(0))
    words = [
        *(PROGRAM, "--no-huge", "-m", "128", "--no-pci", "--no-shconf", "--no-telemetry"),
        *("--lcores", f"0@{cpus[0]},1@{cpus[-1]}", "--vdev", f"net_vhost0,iface={socket},queues=1"),
        *("--", "--forward-mode=macswap", "--port-topology=loop", "--auto-start"),
        *("--total-num-mbufs=2048", "--no-mlockall", "--stats-period=60"),
    ]
    with (folder / "testpmd.txt").open("wb") as said:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        yield str(socket)
        assert process.poll() is None, (folder / "testpmd.txt").read_text()
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def turned_round(data):
    """A frame with its two addresses swapped."""
    return data[6:12] + data[:6] + data[12:]


def conversation(card, count, rng):
    """`count` frames of any length go out, and all come back: as they were, and in order."""
    while count:
        lengths = [rng.randint(60, 1514) for _ in range(min(32, count))]
        sent = [frame(length, PEER, OURS, fill=rng.randrange(256)) for length in lengths]
        card.send(*sent)
        found = []
        while len(found) < len(sent):
            packets = card.receive(10**9)
            assert packets, f"{len(sent) - len(found)} of {len(sent)} frames did not come back"
            found += [packet.frame for packet in packets]
        assert found == [turned_round(data) for data in sent]
        count -= len(sent)


F = Feature
RINGS = [
    {F.VERSION_1},
    {F.VERSION_1, F.RING_INDIRECT_DESC, F.RING_EVENT_IDX, F.IN_ORDER},
    {F.VERSION_1, F.RING_PACKED},
    {F.VERSION_1, F.RING_PACKED, F.RING_INDIRECT_DESC, F.RING_EVENT_IDX, F.IN_ORDER},
]


@needs_testpmd
def test_ten_thousand_frames(tmp_path):
    """One process of DPDK, and one driver after another with other rings."""
    cpu = RamCpu(FileRam([(0, 0xA0000), (0x10_0000, 24 << 20)]))
    rng = random.Random(22)
    with (
        turning_round(tmp_path) as socket,
        VhostUserDevice(socket, cpu, DeviceId.NETWORK, queues=2, patience=30.0) as device,
    ):
        known = {ProtocolFeature.MQ, ProtocolFeature.REPLY_ACK, ProtocolFeature.STATUS}
        assert device.session.protocol >= known
        for ring in RINGS:
            understood = frozenset(ring | {NetFeature.MRG_RXBUF})
            card = NetDriver(cpu, device, Room(0x10_0000, 16 << 20), understood=understood)
            card.start()
            assert card.virtio.features == understood, ring_name(ring)
            assert device.status() == 0x0F
            conversation(card, 2500, rng)
            assert not card.virtio.needs_reset
