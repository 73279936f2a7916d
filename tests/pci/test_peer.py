"""A device's registers as another device reaches them."""

import pytest

from tests.pci.rig import Scratch
from virtlab.errors import DmaFault
from virtlab.pci.bars import Bar
from virtlab.pci.peer import MAX_PEER, Peer


@pytest.fixture
def peer():
    return Peer(Bar("BAR0", "memory", Scratch(), 0x1000, width=4))


def test_bytes_go_there_and_back_whatever_their_number(peer):
    peer.write(1, b"abcdefg")
    assert peer.read(1, 7) == b"abcdefg"
    assert peer.bar.device.FIRST == int.from_bytes(b"\0abc", "little")
    assert peer.bar.device.SECOND == int.from_bytes(b"defg", "little")
    assert peer.read(0, 0) == b""


def test_an_access_is_no_wider_than_the_devices_path(peer):
    seen = []
    peer.bar.device.read = lambda offset, size: seen.append((offset, size)) or 0
    peer.read(2, 9)
    assert seen == [(2, 2), (4, 4), (8, 2), (10, 1)]


def test_a_request_is_no_longer_than_a_packet(peer):
    """2.2.2: at most 1024 dwords."""
    assert len(peer.read(0, MAX_PEER)) == MAX_PEER
    for verb in (lambda: peer.read(0, MAX_PEER + 1), lambda: peer.write(0, bytes(MAX_PEER + 1))):
        with pytest.raises(DmaFault, match="at most 4096 bytes"):
            verb()


def test_registers_are_no_memory(peer):
    with pytest.raises(DmaFault, match="cannot be viewed as memory"):
        peer.view(0, 4)
