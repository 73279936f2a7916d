"""An unmodified Linux on our own network card: it pings a peer that the test is."""

from __future__ import annotations

import pytest

from tests.needs import needs_linux
from tests.oracles.linux_guest import BOOT, linux
from tests.oracles.served import Served
from virtlab.backends.network import Link
from virtlab.hosts.linux import LinuxGuest
from virtlab.hosts.linux_devices import net
from virtlab.virtio.net import VirtioNet

PEER, MAC = bytes([10, 0, 0, 1]), bytes.fromhex("525400000001")
"""The peer's addresses: IPv4, Ethernet."""

ARP, IPV4 = b"\x08\x06", b"\x08\x00"
ICMP = 1


class Peer:
    """A station that answers ARP (RFC 826) and echo requests (RFC 792)."""

    def __init__(self, end):
        self.end = end
        self.echoes = set()
        end.listener = self.hear

    def hear(self, frame):
        kind, packet = frame[12:14], frame[14:]
        if kind == ARP and packet[6:8] == b"\0\1" and packet[24:28] == PEER:
            answer = packet[:6] + b"\0\2" + MAC + PEER + packet[8:18]
            self.end.send(frame[6:12] + MAC + ARP + answer)
        elif kind == IPV4 and packet[9] == ICMP and packet[16:20] == PEER and packet[20] == 8:
            self.echoes.add(packet[26:28])
            self.end.send(frame[6:12] + MAC + IPV4 + echoed(packet))


def echoed(packet):
    """The reply: the addresses change places, type 8 is 0, and so its checksum is 0x800 more."""
    total = int.from_bytes(packet[22:24], "big") + 0x800
    checksum = (total + (total >> 16)) & 0xFFFF
    head = packet[:12] + PEER + packet[12:16]
    return head + b"\0" + packet[21:22] + checksum.to_bytes(2, "big") + packet[24:]


def ping(tmp_path, count, options=""):
    """Boot, and send `count` echo requests; each is answered."""
    link = Link("cable")
    peer = Peer(link.b)
    with (
        Served(VirtioNet(link.a), tmp_path / "net.sock") as back_end,
        LinuxGuest(net(back_end.path, options=options), image=linux()) as guest,
    ):
        guest.boot(BOOT)
        assert guest.run("ifconfig eth0 10.0.0.2 up") == (0, "")
        status, text = guest.run(f"ping -q -A -c {count} -s 1000 10.0.0.1", 300)
        guest.power_off()
    assert (status, f"{count} packets received, 0% packet loss" in text) == (0, True), text
    assert len(peer.echoes) == count
    assert back_end.sessions[-1].statistics.errors == 0


@needs_linux
def test_a_hundred_echo_requests_are_answered(tmp_path):
    ping(tmp_path, 100)


@needs_linux
@pytest.mark.timeout(300)
@pytest.mark.parametrize("options", ["", ",packed=on"], ids=["split", "packed"])
def test_a_thousand_echo_requests_are_answered(tmp_path, options):
    ping(tmp_path, 1000, options)
