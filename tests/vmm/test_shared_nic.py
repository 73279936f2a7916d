"""One card for several VMs: who sends, who gets, in what order, and at whose cost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vmm.hosts import MACS, STRANGER, Hotel, frame, nic_of
from virtlab.backends import Link
from virtlab.backends.network import BROADCAST
from virtlab.vmm.fair_queue import FirstComeFirstServed
from virtlab.vmm.shared_nic import MOST_VMS, SharedNic, set_address

GROUP = bytes.fromhex("01005e000001")
MEMORY = 0x20000


class Net:
    """Several VMs on the board's card, with their drivers; `outside` is what left the building."""

    def __init__(self, count=2, descriptors=8, **options):
        self.hotel = Hotel(count)
        self.shared = self.hotel.nic(**options)
        self.outside = []
        self.hotel.host.cable.b.listener = self.outside.append
        self.drivers = [nic_of(g.cpu, MEMORY, descriptors)[0] for g in self.hotel.guests]
        for driver in self.drivers:
            driver.start()

    def settle(self):
        """Let the door send all that waits."""
        self.hotel.host.clock.advance(10_000_000)

    def counts(self, letter):
        return self.shared.ports[letter].counts


@pytest.fixture
def net():
    return Net()


def test_each_vm_has_a_card_with_its_own_address(net):
    assert [driver.address for driver in net.drivers] == MACS[:2]
    assert all(driver.eeprom_valid() for driver in net.drivers)


def test_a_frame_from_vm_to_vm_does_not_leave_the_host(net):
    a, b = net.drivers
    sent = frame(MACS[1], MACS[0], b"for B")
    a.send(sent)
    net.settle()
    assert b.receive().frame == sent
    assert a.receive() is None
    assert net.outside == []


def test_a_frame_for_outside_is_sent_by_the_physical_card(net):
    with net.hotel.host.trace.recording() as events:
        net.drivers[1].send(frame(STRANGER, MACS[1], b"out"))
        net.settle()
    assert net.outside == [frame(STRANGER, MACS[1], b"out")]
    copies = [(e.who, e.note) for e in events if e.kind == "copy"]
    assert copies == [
        ("B", "guest memory to the VMM"),
        ("host", "the VMM to the card's buffer"),
    ]


def test_a_frame_from_outside_takes_two_copies_and_one_physical_interrupt(net):
    before = net.hotel.interrupts.counts["interrupts"]
    with net.hotel.host.trace.recording() as events:
        net.hotel.host.cable.b.send(frame(MACS[0], STRANGER, b"in"))
    assert net.drivers[0].receive().frame == frame(MACS[0], STRANGER, b"in")
    assert net.drivers[1].receive() is None
    copies = [(e.who, e.note) for e in events if e.kind == "copy"]
    assert copies == [
        ("host", "the card's buffer to the VMM"),
        ("A", "the VMM to guest memory"),
    ]
    assert net.hotel.interrupts.counts["interrupts"] == before + 1


def test_the_virtual_card_interrupts_its_own_vm_only(net):
    guest = net.hotel.guests[0]
    net.drivers[0].unmask("RXT0")
    net.drivers[1].send(frame(MACS[0], MACS[1], b"hello"))
    assert guest.pic.master.irr | guest.pic.slave.irr << 8
    assert net.drivers[0].receive().frame == frame(MACS[0], MACS[1], b"hello")


@pytest.mark.parametrize("target", [BROADCAST, GROUP])
def test_a_group_is_everybody_but_the_sender(target):
    net = Net(3)
    for driver in net.drivers:
        driver.add_group(GROUP)
    net.drivers[0].send(frame(target, MACS[0], b"all"))
    net.settle()
    assert [driver.receive() is not None for driver in net.drivers] == [False, True, True]
    assert len(net.outside) == 1


def test_a_vm_that_listens_to_everything_hears_its_own_frames_only():
    net = Net(3)
    net.drivers[2].start(UPE=1, MPE=1)
    a, b, c = net.drivers
    a.send(frame(MACS[1], MACS[0], b"secret"))
    a.send(frame(STRANGER, MACS[0], b"secret"))
    net.hotel.host.cable.b.send(frame(bytes(5) + b"\x77", STRANGER, b"unknown"))
    net.settle()
    assert b.receive() is not None
    assert c.receive() is None
    # Nobody knows where STRANGER and 77 are, so the switch tried every port, C's too.
    assert net.counts("C")["refused: for another"] >= 1


def test_a_vm_cannot_speak_in_anothers_name(net):
    a, b = net.drivers
    with net.hotel.host.trace.recording() as events:
        a.send(frame(STRANGER, MACS[1], b"I am B"))
    net.settle()
    assert net.outside == []
    assert net.counts("A") == {"refused: not its own address": 1}
    assert [(e.who, e.note) for e in events if e.kind == "refused"] == [
        ("A", "refused: not its own address")
    ]
    net.hotel.host.cable.b.send(frame(MACS[1], STRANGER, b"for B"))
    assert b.receive().frame[14:19] == b"for B"


def test_nor_does_somebody_outside(net):
    net.hotel.host.cable.b.send(frame(MACS[1], MACS[0], b"I am A"))
    net.settle()
    assert net.drivers[1].receive() is None
    net.drivers[1].send(frame(MACS[0], MACS[1], b"hello"))
    net.settle()
    assert net.drivers[0].receive() is not None


def test_a_frame_that_the_physical_card_cannot_send_is_refused(net):
    net.drivers[0].send(frame(STRANGER, MACS[0], b"", 1515), frame(STRANGER, MACS[0], b"", 1514))
    net.settle()
    assert [len(each) for each in net.outside] == [1514]
    assert net.counts("A")["refused: too long"] == 1


def flood(net, frames=40):
    """A offers 40 long frames at one doorbell, then B four; who is where in the line?"""
    net.drivers[0].send(*[frame(STRANGER, MACS[0], b"A", 1514)] * frames)
    net.drivers[1].send(*[frame(STRANGER, MACS[1], b"B", 1514)] * 4)
    net.settle()
    return "".join(chr(each[14]) for each in net.outside)


def test_under_a_flood_the_others_have_every_second_turn():
    order = flood(Net(descriptors=64))
    assert order.count("A") == 40
    first, last = order.index("B"), order.rindex("B")
    assert order[first : last + 1] == "BABABAB"


def test_first_come_first_served_lets_them_wait_for_all_of_it():
    order = flood(Net(descriptors=64, scheduler=FirstComeFirstServed(100)))
    assert order == "A" * 40 + "B" * 4


def test_the_shares_of_two_floods_differ_by_one_frame_at_any_time():
    net = Net(descriptors=64)
    for number, driver in enumerate(net.drivers):
        driver.send(*[frame(STRANGER, MACS[number], b"AB"[number : number + 1], 1000)] * 30)
    net.settle()
    order = "".join(chr(each[14]) for each in net.outside)
    assert len(order) == 60
    alone = order.index("B")
    for end in range(alone, 50):
        part = order[alone:end]
        assert abs(part.count("A") - part.count("B")) * 1000 < 1514 + 1000


def test_what_a_flood_cannot_queue_is_its_own_loss():
    net = Net(descriptors=128)
    net.drivers[0].send(*[frame(STRANGER, MACS[0], b"A", 1514)] * 100)
    net.drivers[1].send(frame(STRANGER, MACS[1], b"B"))
    net.settle()
    assert net.counts("A")["refused: its queue is full"] > 0
    assert net.counts("A")["sent"] + net.counts("A")["refused: its queue is full"] == 100
    refusals = [why for why in net.counts("B") if why.startswith("refused: its")]
    assert (net.counts("B")["sent"], refusals) == (1, [])


def test_a_byte_takes_its_time_at_the_door():
    net = Net(descriptors=64)
    net.drivers[0].send(*[frame(STRANGER, MACS[0], b"A", 1500)] * 3)
    assert len(net.outside) == 1
    start = net.hotel.host.clock.now
    while len(net.outside) < 3:
        net.hotel.host.clock.advance(1)
    assert 0 < net.hotel.host.clock.now - start <= 2 * 1500 * 8


def test_a_cable_will_do_for_a_way_out():
    hotel = Hotel(2)
    link = Link()
    hotel.share(link.a)
    got = []
    link.b.listener = got.append
    driver, _ = nic_of(hotel.guests[0].cpu, MEMORY)
    driver.start()
    driver.send(frame(STRANGER, MACS[0], b"out"))
    assert got == [frame(STRANGER, MACS[0], b"out")]
    link.b.send(frame(MACS[0], STRANGER, b"in"))
    assert driver.receive().frame == frame(MACS[0], STRANGER, b"in")


def test_unplugged_a_vm_hears_and_says_nothing_and_its_address_is_free(net):
    guest = net.hotel.guests[1]
    net.drivers[1].send(*[frame(STRANGER, MACS[1], b"B", 1514)] * 5)
    net.shared.withdraw(guest)
    net.settle()
    assert 1 <= len(net.outside) < 5
    count = len(net.outside)
    net.drivers[1].send(frame(STRANGER, MACS[1], b"B"))
    net.drivers[0].send(frame(MACS[1], MACS[0], b"for B"))
    net.settle()
    assert net.drivers[1].receive() is None
    assert len(net.outside) == count + 1  # the switch does not know the address any more
    net.shared.give(guest, guest.cards.e1000.e1000, guest.cable.b, MACS[1])
    assert net.hotel.ledger.holders("network card") == ("A", "B")


@pytest.mark.parametrize("mac", [MACS[0], GROUP, b"short", b"\x02" + bytes(6)])
def test_an_address_is_one_stations(net, mac):
    guest = Hotel(1).guests[0]
    guest.vm.name = "C"
    with pytest.raises(ValueError, match="no address of one station, or another VM has it"):
        net.shared.give(guest, guest.cards.e1000.e1000, guest.cable.b, mac)
    assert net.hotel.ledger.holders("network card") == ("A", "B")


def test_the_switch_has_so_many_ports_and_no_more():
    hotel = Hotel(1)
    shared = SharedNic(Link().a, hotel.host.clock, hotel.host.trace, hotel.ledger)
    guest = hotel.guests[0]
    for number in range(MOST_VMS):
        guest.vm.name = f"vm {number}"
        shared.give(guest, guest.cards.e1000.e1000, guest.cable.b, bytes((2, 0, 0, 0, 1, number)))
    guest.vm.name = "one too many"
    with pytest.raises(ValueError, match="all 16 ports"):
        shared.give(guest, guest.cards.e1000.e1000, guest.cable.b, MACS[0])


def test_the_address_survives_a_reset_of_the_virtual_card(net):
    net.drivers[0].reset()
    assert net.drivers[0].mac() == MACS[0]
    card = Hotel(1).guests[0].cards.e1000.e1000
    set_address(card, MACS[5])
    assert card.tables["RA"].words[0] == int.from_bytes(MACS[5][:4], "little")


ADDRESSES = [*MACS[:3], STRANGER, BROADCAST, GROUP, bytes(5) + b"\x77"]
senders = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(ADDRESSES),
        st.one_of(st.none(), st.sampled_from(ADDRESSES)),
        st.integers(60, 1600),
        st.booleans(),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def crowd():
    """Three VMs that all listen to everything."""
    net = Net(3, descriptors=16)
    for driver in net.drivers:
        driver.start(UPE=1, MPE=1)
    return net


@given(steps=senders)
@settings(max_examples=60, deadline=None)
def test_nobody_gets_a_frame_that_is_not_for_him_or_sends_one_in_anothers_name(crowd, steps):
    """VM 0 to 2 and somebody outside send whatever they like; every frame says who made it."""
    crowd.outside.clear()
    for who, target, source, length, wait in steps:
        own = (*MACS[:3], STRANGER)[who]
        sent = frame(target, source or own, b"%d" % who, length)
        if who < 3:
            crowd.drivers[who].send(sent)
        else:
            crowd.hotel.host.cable.b.send(sent)
        if wait:
            crowd.settle()
    crowd.settle()
    for number, driver in enumerate(crowd.drivers):
        while (got := driver.receive()) is not None:
            assert got.frame[:6] == MACS[number] or got.frame[0] & 1
            assert got.frame[14] - ord("0") != number
            if got.frame[6:12] in MACS[:3]:
                assert got.frame[6:12] == MACS[got.frame[14] - ord("0")]
    for each in crowd.outside:
        assert each[6:12] == MACS[each[14] - ord("0")]
