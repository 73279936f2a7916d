"""An unmodified Linux on our own block device: what it wrote is there, and it is told no lie.

QEMU emulates the processor and passes the rings on; the requests are answered here. The guest makes
a file system, fills it, forgets what it knows, reads all of it again; then the host's own `e2fsck`
looks at the file.
"""

from __future__ import annotations

import pytest

from tests.needs import needs_linux, needs_linux_now
from tests.oracles.linux_guest import BOOT, WORK, clean, empty_image, linux
from tests.oracles.served import Served
from virtlab.backends.disk import Disk
from virtlab.hosts.linux import LinuxGuest
from virtlab.hosts.linux_devices import blk
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.features import Feature

V, P = Feature.VERSION_1, Feature.RING_PACKED
I, E = Feature.RING_INDIRECT_DESC, Feature.RING_EVENT_IDX  # noqa: E741

RINGS = {
    "split": ({V, I, E}, "", 1),
    "packed": ({V, P, I, E}, ",packed=on", 1),
    "no indirect": ({V, E}, "", 1),
    "no event idx": ({V, P, I}, ",packed=on", 1),
    "2 queues": ({V, I, E}, "", 2),
}


def serve(tmp_path, name, files, blocks):
    """Boot, work, and look at the disk. Gives what the back-end counted for Linux's driver."""
    ring, options, queues = RINGS[name]
    image = empty_image(tmp_path / "disk.img", 160)
    work = WORK.format(files=files, blocks=blocks)
    with (
        Disk.open(image) as storage,
        Served(VirtioBlk(storage, queues=queues), tmp_path / "blk.sock", ring) as back_end,
    ):
        device = blk(back_end.path, options=f"{options},num-queues={queues}")
        with LinuxGuest(device, image=linux()) as guest:
            guest.boot(BOOT)
            features = guest.run("cat /sys/bus/virtio/devices/virtio0/features").text.strip()
            for bit in (Feature.RING_PACKED, Feature.RING_INDIRECT_DESC, Feature.RING_EVENT_IDX):
                assert (features[bit] == "1") == (bit in ring)
            assert guest.run("ls /sys/block/vda/mq | wc -l").text == f"{queues}\n"
            # QEMU makes the ring 128 entries: a request with two ends must fit in.
            assert guest.run("cat /sys/block/vda/queue/max_segments").text == "126\n"
            status, text = guest.run(work, 300)
            assert status == 0, text
            assert "I/O error" not in guest.run("dmesg").text
            guest.power_off()
    fine, said = clean(image)
    assert fine, said
    counts = back_end.sessions[-1].statistics
    assert counts.errors == 0
    assert counts.bytes > 2 * files * blocks << 16  # written, and read again
    return counts


@needs_linux_now
def test_two_mib_of_files(tmp_path):
    assert serve(tmp_path, "split", files=2, blocks=16).saved > 0


@needs_linux
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["split", "packed"])
def test_eight_mib_of_files(tmp_path, name):
    counts = serve(tmp_path, name, files=8, blocks=16)
    assert counts.saved > 0


@needs_linux
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", RINGS)
def test_sixty_four_mib_of_files(tmp_path, name):
    serve(tmp_path, name, files=16, blocks=64)
