"""A device that does not exist, between two VMs: its closed form, its bounds, and its walls."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vmm.hosts import Hotel, pics_of
from virtlab.devices.vlink import LONGEST, LinkRegisters
from virtlab.guest.vlink import LinkDriver
from virtlab.machine import lesson_pc
from virtlab.vmm.vlink import MOST_MESSAGES, PLACE, LinkBetween

MEMORY = 0x8000


class Pair:
    """Two VMs with the link, started on both sides."""

    def __init__(self, asleep=True):
        self.hotel = Hotel(2)
        self.link = LinkBetween(*self.hotel.guests)
        self.drivers = [LinkDriver(guest.cpu, PLACE, MEMORY) for guest in self.hotel.guests]
        for guest, driver in zip(self.hotel.guests, self.drivers, strict=True):
            driver.start(pics_of(guest) if asleep else None)

    @property
    def counts(self):
        a, b = self.hotel.guests
        return a.exits, b.exits, self.hotel.host.trace.counts["copy"], self.link.counts["B"]


@pytest.fixture
def pair():
    return Pair()


def test_the_driver_finds_it_and_where_it_is_not_finds_nothing(pair):
    assert pair.drivers[0].detect()
    assert not LinkDriver(pair.hotel.host.cpu, PLACE, MEMORY).detect()
    assert not LinkDriver(lesson_pc().cpu, PLACE, MEMORY).detect()


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("length", [1, 100, LONGEST])
def test_a_message_costs_six_exits_two_copies_and_one_interrupt(pair, n, length):
    """2 to send (SEND, STATUS), 4 to receive (HLT, RECEIVE twice, EOI), whatever its length."""
    before = pair.counts
    for number in range(n):
        pair.drivers[0].send(bytes([number + 1]) * length)
        assert pair.drivers[1].receive_asleep() == bytes([number + 1]) * length
    after = pair.counts
    assert tuple(y - x for x, y in zip(before, after, strict=True)) == (2 * n, 4 * n, 2 * n, n)


def test_messages_that_wait_interrupt_one_after_the_other(pair):
    for number in range(5):
        pair.drivers[0].send(b"%d" % number)
    got = [pair.drivers[1].receive_asleep() for _ in range(5)]
    assert got == [b"0", b"1", b"2", b"3", b"4"]
    assert pair.link.counts == {"B": 5}
    assert pair.drivers[1].receive_asleep(1000) is None


def test_it_works_by_polling_too():
    pair = Pair(asleep=False)
    assert pair.drivers[1].receive() is None
    pair.drivers[0].send(b"hello")
    assert pair.drivers[1].receive() == b"hello"
    assert pair.link.counts["B"] == 0
    with pytest.raises(ValueError, match=r"start\(pics\)"):
        pair.drivers[1].receive_asleep()


def test_both_directions_at_once(pair):
    pair.drivers[0].send(b"ping")
    pair.drivers[1].send(b"pong")
    assert [driver.receive_asleep() for driver in pair.drivers] == [b"pong", b"ping"]


def test_too_many_waiting_are_refused_and_the_sender_is_told(pair):
    for number in range(MOST_MESSAGES):
        pair.drivers[0].send(b"%d" % number)
    assert pair.drivers[0].status()["FULL"]
    with pytest.raises(Exception, match="send: CONNECTED FULL NOT_SENT"):
        pair.drivers[0].send(b"one too many")
    assert not pair.drivers[0].status()["NOT_SENT"]
    assert pair.drivers[1].receive_asleep() == b"0"
    pair.drivers[0].send(b"now")


@pytest.mark.parametrize("message", [b"", bytes(LONGEST + 1)])
def test_the_driver_refuses_what_cannot_be_a_message(pair, message):
    with pytest.raises(ValueError, match="1 to 4096 bytes"):
        pair.drivers[0].send(message)


def test_a_start_forgets_what_went_wrong_before(pair):
    pair.drivers[0].put(LinkRegisters.SEND, 0)
    assert pair.drivers[0].status()["BAD_LENGTH"]
    pair.drivers[0].start(pair.drivers[0].pics)
    pair.drivers[0].send(b"fresh")
    assert pair.drivers[1].receive_asleep() == b"fresh"


def test_another_interrupt_is_no_message(pair):
    pair.drivers[1].pics.unmask(4)
    pair.hotel.guests[1].pic.line(4).pulse()
    assert pair.drivers[1].receive_asleep() is None
    pair.drivers[0].send(b"this is one")
    assert pair.drivers[1].receive_asleep() == b"this is one"


def test_a_fault_is_an_event_with_the_vms_name(pair):
    with pair.hotel.host.trace.recording() as events:
        pair.drivers[0].put(LinkRegisters.TX_ADDRESS, 0xB0000)
        pair.drivers[0].put(LinkRegisters.SEND, 8)
    faults = [event for event in events if event.kind == "fault"]
    assert [(event.who, event.note) for event in faults] == [
        ("A", "no memory there: 1 bytes at 0xb0000")
    ]
    with pytest.raises(Exception, match="BAD_ADDRESS"):
        pair.drivers[0].send(b"x")
    assert pair.drivers[1].receive() is None


def test_a_message_that_has_no_place_as_a_whole_changes_no_byte(pair):
    """Low RAM ends at 0xA0000: two bytes would fit there, and two would not."""
    pair.drivers[0].send(b"four")
    pair.drivers[1].put(LinkRegisters.RX_ADDRESS, 0x9FFFE)
    assert pair.drivers[1].receive() is None
    assert pair.hotel.guests[1].vm.ram.read(0x9FFFE, 2) == bytes(2)
    assert pair.drivers[1].status()["BAD_ADDRESS"]
    pair.drivers[1].put(LinkRegisters.RX_ADDRESS, 0x9FFFC)
    pair.drivers[1].put(LinkRegisters.RECEIVE, 1)
    assert pair.hotel.guests[1].vm.ram.read(0x9FFFC, 4) == b"four"


def test_unplugged_there_is_nothing_at_the_registers(pair):
    a, b = pair.drivers
    a.send(b"lost")
    pair.link.unplug()
    assert not a.detect()
    assert not b.detect()
    assert not pair.link.ends[0].outgoing.connected
    assert not pair.hotel.guests[1].pic.line(b.irq).level
    LinkBetween(*pair.hotel.guests)
    b.start()
    assert b.receive() is None


def test_a_link_needs_two_vms_and_leaves_none_half_plugged():
    guest = Hotel(1).guests[0]
    with pytest.raises(ValueError, match="two VMs"):
        LinkBetween(guest, guest)


steps = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["store", "load", "send", "receive"]),
        st.integers(0, 0x3F),
        st.sampled_from([1, 2, 4, 8]),
        st.one_of(
            st.integers(0, 5000),
            st.integers(0x9_0000, 0x11_0000),
            st.integers(0, (1 << 64) - 1),
        ),
    ),
    max_size=30,
)


@pytest.fixture(scope="module")
def four():
    """Two pairs on one host: A and B, C and D. Each VM's RAM is full of its own letter."""
    hotel = Hotel(4)
    a, b, c, d = hotel.guests
    links = LinkBetween(a, b), LinkBetween(c, d)
    return hotel, links


@given(steps=steps)
@settings(max_examples=60, deadline=None)
def test_a_message_reaches_the_peer_and_nobody_elses_memory_changes(four, steps):
    """Hostile VMs on both pairs: what one pair does, the other never sees."""
    hotel, links = four
    for guest, letter in zip(hotel.guests, b"ABCD", strict=True):
        for gpa in (0, 0x1000, 0x2000):
            guest.vm.ram.write(gpa, bytes([letter]) * 0x1000)
    for box in (*links[0].boxes, *links[1].boxes):
        box.messages.clear()
    for who, verb, offset, size, value in steps:
        cpu = hotel.guests[who].cpu
        match verb:
            case "store":
                cpu.store(PLACE + offset, value & (1 << 8 * size) - 1, size)
            case "load":
                cpu.load(PLACE + offset, size)
            case "send":
                cpu.store(PLACE + LinkRegisters.TX_ADDRESS.offset, value & 0x3FFF, 8)
                cpu.store(PLACE + LinkRegisters.SEND.offset, value & 0x1FFF, 4)
            case "receive":
                cpu.store(PLACE + LinkRegisters.RX_ADDRESS.offset, value & 0x1FFF, 8)
                cpu.store(PLACE + LinkRegisters.RX_SIZE.offset, LONGEST, 4)
                cpu.store(PLACE + LinkRegisters.RECEIVE.offset, 1, 4)
    for guest, allowed in zip(hotel.guests, (b"AB", b"AB", b"CD", b"CD"), strict=True):
        seen = set(guest.vm.ram.read(0, 0x3000))
        assert seen <= set(allowed) | {0}
    for link, allowed in zip(links, (b"AB", b"CD"), strict=True):
        for box in link.boxes:
            assert len(box.messages) <= MOST_MESSAGES
            assert all(set(message) <= set(allowed) | {0} for message in box.messages)
