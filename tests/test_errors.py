"""Errors say what is wrong and where, in one line."""

from virtlab.errors import DmaFault, FileError, GuestError


def test_a_guest_error_names_its_clause():
    error = GuestError("the chain has a cycle", "virtio 1.3 2.7.5.1")
    assert str(error) == "the chain has a cycle (virtio 1.3 2.7.5.1)"
    assert str(GuestError("no")) == "no"


def test_a_dma_fault_names_the_address():
    fault = DmaFault("no memory there", 0xA0000, 4, code=5)
    assert str(fault) == "no memory there: 4 bytes at 0xa0000"
    assert (fault.reason, fault.address, fault.length, fault.code) == (
        "no memory there",
        0xA0000,
        4,
        5,
    )


def test_a_file_error_names_the_file_and_the_byte():
    assert str(FileError("a.bin", 12, "too short")) == "a.bin: byte 12: too short"
    assert str(FileError("a.tsv", 12, "no tab", line=3)) == "a.tsv: line 3, byte 12: no tab"
