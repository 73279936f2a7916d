"""Switching on MSI-X: which words of configuration space and of the table are written."""

import struct

import pytest

from tests.guest.paper_virtio import function, memory_bar
from tests.guest.test_virtio_pci import HERE, PaperConfig
from virtlab.guest.msix import MsixDriver

TABLE = 0x9000_0800
CONTROL_AT = 0x42


class Memory:
    """A Cpu that notes its stores."""

    def __init__(self):
        self.log = []

    def store(self, gpa, value, size=4):
        assert size == 4
        self.log.append((gpa - TABLE, value))


@pytest.fixture
def msix():
    """Three vectors, their table at 800h of BAR 1."""
    raw = struct.pack("<BBHII", 0x11, 0, 2, 0x801, 0x1001)
    config = PaperConfig([bytes([9, 0, 4, 0]), raw])
    return MsixDriver(Memory(), config, function(bars=[memory_bar(1, 0x9000_0000)]))


def test_a_vector_is_masked_while_it_changes(msix):
    """PCI 3.0, 6.8.3.3."""
    msix.set(2, address=0x1_FEE0_0000, data=0x41)
    expected = [(0x2C, 1), (0x20, 0xFEE0_0000), (0x24, 1), (0x28, 0x41), (0x2C, 0)]
    assert msix.cpu.log == expected
    msix.mask(0)
    assert msix.cpu.log[-1] == (0x0C, 1)


def test_a_vector_that_is_not_there(msix):
    assert msix.vectors == 3
    for vector in (-1, 3):
        with pytest.raises(ValueError, match=f"vectors 0 to 2, not {vector}"):
            msix.set(vector, 0, 0)
    assert msix.cpu.log == []


def test_on_and_off_leave_the_rest_alone(msix):
    control = CONTROL_AT + 4
    msix.access.bytes[control + 1] |= 0x40
    msix.enable()
    assert msix.access.read(HERE, control, 2) == 0xC002
    msix.enable(False)
    assert msix.access.read(HERE, control, 2) == 0x4002


def test_a_function_without():
    with pytest.raises(LookupError, match=r"00:03\.0 has no MSI-X"):
        MsixDriver(Memory(), PaperConfig([]), function())
    raw = struct.pack("<BBHII", 0x11, 0, 2, 0x801, 0x1001)
    with pytest.raises(LookupError, match="no address in BAR 1"):
        MsixDriver(Memory(), PaperConfig([raw]), function())
