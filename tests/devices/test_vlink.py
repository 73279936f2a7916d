"""The virtual link's registers: a message as a whole or not at all, and no access that raises."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.devices.vlink import IDENTITY, LONGEST, LinkRegisters, VirtualLink
from virtlab.errors import DmaFault
from virtlab.interrupts import IrqLine
from virtlab.memory import GuestMemory

STATUS = LinkRegisters.STATUS


class Box:
    """A direction of two messages, with nobody in it."""

    def __init__(self):
        self.messages, self.connected = deque(), True

    @property
    def full(self):
        return len(self.messages) >= 2

    @property
    def oldest(self):
        return self.messages[0] if self.messages else None

    def put(self, message):
        self.messages.append(message)

    def drop_oldest(self):
        self.messages.popleft()


class Rig:
    """One end of the link, over 16 KiB of memory."""

    def __init__(self):
        self.memory = GuestMemory(16 << 10)
        self.levels, self.faults = [], []
        self.out, self.into = Box(), Box()
        line = IrqLine("link", self.levels.append)
        self.device = VirtualLink(line, self.memory, self.out, self.into, self.faults.append)

    def get(self, reg):
        return self.device.read(reg.offset, reg.width)

    def put(self, reg, value):
        self.device.write(reg.offset, reg.width, value)

    def status(self):
        return {name for name, bit in STATUS.decode(self.get(STATUS)).items() if bit}

    def come(self, message):
        self.into.put(message)
        self.device.update()


@pytest.fixture
def rig():
    return Rig()


def test_it_says_who_it_is(rig):
    assert rig.get(LinkRegisters.ID) == IDENTITY
    assert rig.device.read(0, 8) & 0xFFFF_FFFF == IDENTITY
    rig.put(LinkRegisters.ID, 0)
    assert rig.get(LinkRegisters.ID) == IDENTITY


def test_a_message_is_copied_when_send_is_written(rig):
    rig.memory.write(0x100, b"hello")
    rig.put(LinkRegisters.TX_ADDRESS, 0x100)
    rig.put(LinkRegisters.SEND, 5)
    rig.memory.write(0x100, b"later")
    assert list(rig.out.messages) == [b"hello"]
    assert rig.get(LinkRegisters.SEND) == 0
    assert rig.status() == {"CONNECTED"}


@pytest.mark.parametrize("length", [0, LONGEST + 1, 0xFFFF_FFFF])
def test_a_message_has_1_to_4096_bytes(rig, length):
    rig.put(LinkRegisters.SEND, length)
    assert "BAD_LENGTH" in rig.status()
    assert not rig.out.messages
    assert f"a message of {length} bytes" in str(rig.faults[0])


@pytest.mark.parametrize("length", [1, LONGEST])
def test_the_shortest_and_the_longest_go(rig, length):
    rig.put(LinkRegisters.SEND, length)
    assert [len(message) for message in rig.out.messages] == [length]


@pytest.mark.parametrize("gpa", [(16 << 10) - 4, 1 << 40, (1 << 64) - 1])
def test_an_address_without_memory_is_a_bit_and_an_event(rig, gpa):
    rig.put(LinkRegisters.TX_ADDRESS, gpa)
    rig.put(LinkRegisters.SEND, 5)
    assert "BAD_ADDRESS" in rig.status()
    assert isinstance(rig.faults[0], DmaFault)
    assert not rig.out.messages


def test_an_error_stays_until_a_1_is_written_to_it(rig):
    rig.put(LinkRegisters.SEND, 0)
    rig.put(STATUS, 0)
    rig.put(STATUS, ~STATUS.BAD_LENGTH.mask & 0xFFFF_FFFF)
    assert "BAD_LENGTH" in rig.status()
    rig.put(STATUS, STATUS.BAD_LENGTH.mask)
    assert rig.status() == {"CONNECTED"}


@pytest.mark.parametrize("why", ["full", "nobody"])
def test_what_cannot_be_sent_is_told(rig, why):
    if why == "full":
        rig.out.messages.extend([b"1", b"2"])
    rig.out.connected = why == "full"
    before = list(rig.out.messages)
    rig.put(LinkRegisters.SEND, 1)
    assert rig.status() == ({"CONNECTED", "FULL", "NOT_SENT"} if why == "full" else {"NOT_SENT"})
    assert list(rig.out.messages) == before


def test_receiving_stores_the_oldest_and_says_how_long_it_was(rig):
    rig.come(b"one")
    rig.come(b"three")
    rig.put(LinkRegisters.RX_ADDRESS, 0x200)
    rig.put(LinkRegisters.RX_SIZE, 64)
    assert "WAITING" in rig.status()
    lengths = []
    for _ in range(3):
        rig.put(LinkRegisters.RECEIVE, 1)
        lengths.append(rig.get(LinkRegisters.RECEIVE))
    assert lengths == [3, 5, 0]
    assert rig.memory.read(0x200, 6) == b"three\0"
    assert rig.status() == {"CONNECTED"}


def test_a_message_that_does_not_fit_or_has_nowhere_to_go_waits_on(rig):
    rig.come(b"four")
    rig.put(LinkRegisters.RX_SIZE, 3)
    rig.put(LinkRegisters.RECEIVE, 1)
    assert {"BAD_LENGTH", "WAITING"} <= rig.status()
    rig.put(LinkRegisters.RX_SIZE, 4)
    rig.put(LinkRegisters.RX_ADDRESS, 1 << 40)
    rig.put(LinkRegisters.RECEIVE, 1)
    assert {"BAD_ADDRESS", "WAITING"} <= rig.status()
    assert rig.get(LinkRegisters.RECEIVE) == 0
    rig.put(LinkRegisters.RX_ADDRESS, 0)
    rig.put(LinkRegisters.RECEIVE, 1)
    assert rig.get(LinkRegisters.RECEIVE) == 4


def test_the_line_is_up_while_a_message_waits_and_drops_between_two(rig):
    rig.come(b"before")
    assert rig.levels == []
    rig.put(LinkRegisters.RX_SIZE, 64)
    rig.put(LinkRegisters.INTERRUPT_ENABLE, 1)
    rig.come(b"second")
    assert rig.levels == [True]
    rig.put(LinkRegisters.RECEIVE, 1)
    assert rig.levels == [True, False, True]
    rig.put(LinkRegisters.RECEIVE, 1)
    assert rig.levels == [True, False, True, False]
    rig.come(b"third")
    rig.put(LinkRegisters.INTERRUPT_ENABLE, 0)
    assert rig.levels[-2:] == [True, False]


def test_a_reset_forgets_the_registers_and_keeps_the_messages(rig):
    rig.put(LinkRegisters.INTERRUPT_ENABLE, 1)
    rig.put(LinkRegisters.TX_ADDRESS, 0x100)
    rig.come(b"kept")
    rig.device.reset()
    assert rig.levels == [True, False]
    assert rig.get(LinkRegisters.TX_ADDRESS) == 0
    assert rig.into.oldest == b"kept"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["read", "write", "come"]),
            st.integers(0, 0x3F),
            st.sampled_from([1, 2, 4, 8]),
            st.one_of(st.integers(0, 5000), st.integers(0, (1 << 64) - 1)),
        ),
        max_size=40,
    )
)
def test_no_access_raises_and_no_message_is_longer_than_allowed(steps):
    rig = Rig()
    for verb, offset, size, value in steps:
        if verb == "read":
            assert 0 <= rig.device.read(offset, size) < 1 << 8 * size
        elif verb == "write":
            rig.device.write(offset, size, value & (1 << 8 * size) - 1)
        elif not rig.into.full:
            rig.come(bytes(1 + value % LONGEST))
    assert all(1 <= len(message) <= LONGEST for message in rig.out.messages)
    assert len(rig.out.messages) <= 2
    assert rig.device.irq.level == (bool(rig.into.messages) and bool(rig.device.INTERRUPT_ENABLE))
