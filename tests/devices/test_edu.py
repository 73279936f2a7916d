"""The teaching device: registers, work that takes time, a DMA engine that a guest may misuse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.clock import SECOND, Clock
from virtlab.devices.edu import (
    BUFFER,
    BUFFER_BYTES,
    DMA_DONE,
    FACTORIAL_DONE,
    INTERRUPT,
    START,
    TO_MEMORY,
    Edu,
    EduFunction,
    factorial,
)
from virtlab.interrupts import IrqLine
from virtlab.memory import GuestMemory
from virtlab.wire import all_ones


@pytest.fixture
def edu():
    made = Edu(IrqLine("edu"), GuestMemory(1 << 16), Clock())
    made.ram = made.dma
    return made


def dma(edu, source, destination, count, command):
    for offset, value in ((0x80, source), (0x88, destination), (0x90, count), (0x98, command)):
        edu.write(offset, 8, value)
    edu.clock.advance(SECOND)


def test_it_says_who_it_is_and_inverts_what_it_is_told(edu):
    assert edu.read(0x00, 4) == 0x0100_00ED
    edu.write(0x04, 4, 0x0F0F_1234)
    assert edu.read(0x04, 4) == 0xF0F0_EDCB


def test_a_factorial_takes_time(edu):
    edu.write(0x08, 4, 5)
    assert edu.read(0x20, 4) == 1
    edu.write(0x08, 4, 6)
    edu.clock.advance(SECOND)
    assert (edu.read(0x20, 4), edu.read(0x08, 4)) == (0, 120)
    assert not edu.irq.level


def test_it_interrupts_when_it_was_asked_to(edu):
    edu.write(0x20, 4, 0x80)
    edu.write(0x08, 4, 3)
    edu.clock.advance(SECOND)
    assert edu.irq.level
    assert edu.read(0x24, 4) == FACTORIAL_DONE
    edu.write(0x64, 4, FACTORIAL_DONE)
    assert not edu.irq.level


def test_the_factorial_is_bounded():
    assert factorial(0) == 1
    assert factorial(12) == 479001600
    assert factorial(13) == 1932053504
    assert factorial(33) == 0x80000000
    assert factorial(all_ones(4)) == 0


def test_bytes_go_there_and_back(edu):
    edu.ram.write(0x1000, b"hello, device")
    dma(edu, 0x1000, BUFFER + 5, 13, START)
    assert bytes(edu.buffer[5:18]) == b"hello, device"
    dma(edu, BUFFER + 5, 0x2000, 13, START | TO_MEMORY | INTERRUPT)
    assert edu.ram.read(0x2000, 13) == b"hello, device"
    assert edu.read(0x24, 4) == DMA_DONE


@pytest.mark.parametrize(
    ("source", "destination", "count", "command"),
    [
        (0, BUFFER + 1, BUFFER_BYTES, START),
        (0, BUFFER - 1, 4, START),
        (BUFFER + BUFFER_BYTES, 0, 1, START | TO_MEMORY),
        (0, BUFFER, all_ones(8), START),
        (0x20000, BUFFER, 16, START),
    ],
)
def test_a_transfer_that_cannot_be_moves_nothing_and_ends(edu, source, destination, count, command):
    edu.ram.write(0, b"\xaa" * 64)
    dma(edu, source, destination, count, command | INTERRUPT)
    assert not any(edu.buffer)
    assert not edu.read(0x98, 8) & START
    assert edu.irq.level


def test_an_address_has_28_bits(edu):
    edu.ram.write(0x100, b"low")
    dma(edu, 0xF000_0100, BUFFER, 3, START)
    assert bytes(edu.buffer[:3]) == b"low"


def test_unless_it_is_told_otherwise(edu):
    """QEMU's option dma_mask."""
    edu.dma_mask = all_ones(4)
    edu.ram.write(0x100, b"low")
    dma(edu, 0xF000_0100, BUFFER, 3, START)
    assert not any(edu.buffer)
    edu.dma_mask = 0xFFF
    dma(edu, 0xF000_0100, BUFFER, 3, START)
    assert bytes(edu.buffer[:3]) == b"low"


def test_reset_forgets_the_work(edu):
    edu.write(0x20, 4, 0x80)
    edu.write(0x08, 4, 3)
    edu.write(0x98, 8, START | INTERRUPT)
    edu.reset()
    edu.clock.advance(SECOND)
    assert not edu.irq.level
    assert edu.peek()["FACTORIAL"] == 0
    assert edu.clock.next_event() is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 4, 8, 0x20, 0x24, 0x60, 0x64, 0x80, 0x88, 0x90, 0x98])
            | st.integers(0, 1 << 20),
            st.sampled_from([1, 2, 4, 8]),
            st.integers(0, all_ones(8)) | st.sampled_from([START, 7, BUFFER, 4096]),
        ),
        max_size=40,
    )
)
def test_no_access_raises(accesses):
    made = Edu(IrqLine("edu"), GuestMemory(1 << 16), Clock())
    for offset, size, value in accesses:
        made.write(offset, size, value & all_ones(size))
        assert 0 <= made.read(offset, size) <= all_ones(size)
        made.clock.advance(SECOND // 20)
    made.clock.advance(SECOND)
    assert len(made.buffer) == BUFFER_BYTES


def test_the_function_has_the_device_and_resets_it():
    function = EduFunction(Clock())
    function.edu.write(0x04, 4, 0)
    function.reset()
    assert function.edu.read(0x04, 4) == 0
    assert function.config.read(0x40, 1) == 0x05
