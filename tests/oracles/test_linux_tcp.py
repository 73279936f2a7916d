"""An unmodified Linux on our network card speaks TCP with another's stack, and nothing is lost.

    Linux -- QEMU -- vhost-user -- virtlab serve net -- a stream socket -- the peer
                                   our card, a switch

The peer is QEMU's own user-mode network (slirp), or a second Linux on QEMU's own card. Neither
knows that we are there. What is sent is compared by its SHA-256 on both sides.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from tests.needs import needs_linux, needs_linux_now
from tests.oracles.linux_guest import BOOT, linux
from virtlab.hosts.linux import LinuxGuest
from virtlab.hosts.linux_devices import net
from virtlab.hosts.qemu import find_qemu
from virtlab.virtio.features import Feature, from_bits
from virtlab.virtio.net_layouts import NetFeature

GATEWAY, HERE, THERE = "10.0.2.2", "10.0.2.15", "10.0.2.3"
"""Slirp's address for the host it runs on; Linux on our card; a second Linux."""

COUNTERS = ("rx_errors", "rx_dropped", "tx_errors", "tx_dropped")
"""What a guest's card counts of frames that were bad, or had no room."""

TAKEN = {
    NetFeature.CSUM,
    NetFeature.CTRL_GUEST_OFFLOADS,
    NetFeature.MAC,
    NetFeature.MRG_RXBUF,
    NetFeature.STATUS,
    NetFeature.CTRL_VQ,
    NetFeature.CTRL_RX,
    NetFeature.CTRL_VLAN,
    NetFeature.GUEST_ANNOUNCE,
    NetFeature.CTRL_MAC_ADDR,
    Feature.VERSION_1,
    Feature.RING_INDIRECT_DESC,
    Feature.RING_EVENT_IDX,
}
"""What Linux takes of our card: sums of what it sends are ours. Nothing is segmented (no TSO, no
GUEST_CSUM), and there is one pair of queues. The control queue is QEMU's, and so is the offer of
CTRL_GUEST_OFFLOADS."""


@contextlib.contextmanager
def running(words, ready):
    """A process that has made the socket `ready`."""
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + 60
        while not ready.exists():
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.01)
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def stream(path):
    """QEMU's end of a wire: frames over a UNIX socket, on which it listens."""
    return f"stream,id=wire,server=on,addr.type=unix,addr.path={path}"


def gateway(folder):
    """QEMU without a machine: its user-mode network on one side of a hub, the wire on the other."""
    path = folder / "gateway.sock"
    hub = [("user", "user,id=user"), ("wire", stream(path))]
    words = [find_qemu(), "-M", "none", "-display", "none", "-nodefaults"]
    for number, (name, end) in enumerate(hub):
        words += ["-netdev", end, "-netdev", f"hubport,id=hub{number},hubid=0,netdev={name}"]
    return running(words, path), path


def card(folder, peer, *options):
    """`virtlab serve net`, whose switch is wired to the peer."""
    path = folder / "net.sock"
    words = ["-m", "virtlab.course.cli", "serve", "net", "--socket", path, "--peer", peer]
    return running([sys.executable, *words, *options], path), path


def taken(guest):
    """The features that Linux's driver and QEMU have agreed on."""
    bits = guest.run("cat /sys/class/net/eth0/device/features").text.strip()
    return from_bits(int(bits[::-1], 2))


def lost(guest):
    """Frames that the guest's card knows to be lost."""
    files = " ".join(f"/sys/class/net/eth0/statistics/{name}" for name in COUNTERS)
    return sum(map(int, guest.run(f"cat {files}").text.split()))


def told(guest, command, seconds=60):
    """What a command prints, which must end well."""
    status, text = guest.run(command, seconds)
    assert status == 0, text
    return text


def sum_of(text):
    """The sum that `sha256sum` prints."""
    return text.split()[0]


class Host:
    """A TCP server of this machine, for one connection: takes all bytes, or gives some."""

    def __init__(self, data=None):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.data, self.sum = data, hashlib.sha256(data or b"")
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        connection, _ = self.listener.accept()
        with connection:
            if self.data is not None:
                connection.sendall(self.data)
                return
            while data := connection.recv(1 << 16):
                self.sum.update(data)

    def result(self):
        self.thread.join(60)
        self.listener.close()
        assert not self.thread.is_alive()
        return self.sum.hexdigest()


@needs_linux_now
def test_pings_and_a_mib_each_way_through_a_gateway(tmp_path):
    """The peer is slirp, QEMU's own TCP, with a server of this machine behind it."""
    at_gateway, wire = gateway(tmp_path)
    with at_gateway:
        at_card, socket_path = card(tmp_path, wire)
        with at_card, LinuxGuest(net(socket_path), image=linux()) as guest:
            guest.boot(BOOT)
            told(guest, f"ifconfig eth0 {HERE} up")
            assert taken(guest) == TAKEN
            said = told(guest, f"ping -q -A -c 100 {GATEWAY}")
            assert "100 packets received, 0% packet loss" in said
            sent = sum_of(told(guest, "head -c 1048576 /dev/urandom > /data; sha256sum /data"))
            taker, giver = Host(), Host(os.urandom(1 << 20))
            told(guest, f"nc {GATEWAY} {taker.port} < /data")
            assert taker.result() == sent
            got = sum_of(told(guest, f"nc {GATEWAY} {giver.port} < /dev/null | sha256sum"))
            assert got == giver.result()
            assert lost(guest) == 0
            guest.power_off()


@needs_linux
@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_sixty_four_mib_each_way_to_another_linux(tmp_path, packed):
    """The peer is a Linux on QEMU's own card: two stacks, and both are Linux's."""
    wire = tmp_path / "wire.sock"
    theirs = [
        "-netdev",
        stream(wire),
        "-device",
        "virtio-net-pci,netdev=wire,mac=52:54:00:00:00:99",
    ]
    with LinuxGuest(theirs, image=linux()) as there:
        there.boot(2 * BOOT)
        at_card, path = card(tmp_path, wire, *(["--packed"] if packed else []))
        options = ",packed=on" if packed else ""
        with at_card, LinuxGuest(net(path, options=options), image=linux()) as here:
            here.boot(2 * BOOT)
            assert taken(here) == TAKEN | ({Feature.RING_PACKED} if packed else set())
            told(here, f"ifconfig eth0 {HERE} up")
            told(there, f"ifconfig eth0 {THERE} up")
            transfer(here, there, THERE)
            transfer(there, here, HERE)
            assert (lost(here), lost(there)) == (0, 0)
            here.power_off()
        there.power_off()


def transfer(sender, receiver, address, mib=64):
    """All bytes arrive, and the same ones.

    `nc` ends when the other side hangs up, so the receiver must not be the first: it waits for
    input that never comes.
    """
    told(receiver, "(tail -f /dev/null | nc -l -p 7 > /got) 2>/dev/null < /dev/null & sleep 1")
    sent = sum_of(told(sender, f"head -c {mib << 20} /dev/urandom > /data; sha256sum /data"))
    told(sender, f"nc {address} 7 < /data > /dev/null", 600)
    ended = "while pidof nc > /dev/null; do sleep 0.1; done; killall tail"
    assert sum_of(told(receiver, f"{ended}; sha256sum /got; rm /got")) == sent
    told(sender, "rm /data")
