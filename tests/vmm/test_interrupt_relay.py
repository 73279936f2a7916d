"""The VMM takes physical interrupts, passes them on, ends them, and cannot be stopped by one."""

import pytest

from tests.vmm.hosts import Hotel, pics_of
from virtlab.vmm.interrupt_relay import IN_A_ROW


def scream(hotel, *irqs):
    """One more edge on each of these lines."""
    for irq in irqs:
        line = hotel.host.pic.line(irq)
        line.set(False)
        line.set(True)


def test_an_interrupt_is_relayed_and_ended_at_the_physical_chip():
    hotel = Hotel(1)
    guest = hotel.guests[0]
    pics = pics_of(guest)
    pics.unmask(4)
    hotel.interrupts.relay(4, guest)
    hotel.host.pic.line(4).set(True)
    assert (hotel.host.pic.master.isr, hotel.host.pic.pending) == (0, False)
    assert pics.next_irq() == 4
    assert guest.pic.master.isr == 1 << 4
    assert hotel.interrupts.counts == {"interrupts": 1, "A": 1}


@pytest.mark.parametrize("irq", [1, 4, 12, 15])
def test_an_edge_that_comes_while_nobody_looks_is_not_lost(irq):
    hotel = Hotel(1)
    pics = pics_of(hotel.guests[0])
    pics.unmask(irq)
    hotel.interrupts.relay(irq, hotel.guests[0])
    hotel.host.pic.line(irq).pulse()
    assert pics.next_irq() == irq
    assert pics.next_irq(1000) is None
    assert hotel.host.pic.slave.isr == 0


def test_an_irq_has_one_taker_until_it_is_released():
    hotel = Hotel()
    hotel.interrupts.relay(4, hotel.guests[0])
    with pytest.raises(ValueError, match="IRQ 4 is taken"):
        hotel.interrupts.relay(4, hotel.guests[1])
    hotel.interrupts.release(4)
    hotel.interrupts.relay(4, hotel.guests[1])
    hotel.host.pic.line(4).pulse()
    assert (hotel.interrupts.counts["A"], hotel.interrupts.counts["B"]) == (0, 1)


def test_what_came_while_nobody_had_it_is_for_nobody():
    hotel = Hotel()
    hotel.interrupts.relay(4, hotel.guests[0])
    hotel.interrupts.release(4)
    hotel.host.pic.line(4).pulse()
    assert hotel.interrupts.counts["interrupts"] == 0
    hotel.interrupts.relay(4, hotel.guests[1])
    assert (hotel.interrupts.counts["A"], hotel.interrupts.counts["B"]) == (0, 0)
    assert not hotel.guests[1].pic.master.irr


def test_two_at_once_are_served_one_after_the_other_the_higher_first():
    hotel, served = Hotel(1), []
    for irq in (4, 12):
        hotel.interrupts.take(irq, lambda irq=irq: served.append(irq))
    hotel.interrupts.take(1, lambda: [hotel.host.pic.line(irq).pulse() for irq in (4, 12)])
    hotel.host.pic.line(1).pulse()
    assert served == [12, 4]


def test_a_device_that_screams_is_masked_and_the_others_go_on():
    hotel = Hotel(1)
    calm = []
    hotel.interrupts.take(12, lambda: calm.append(1))
    hotel.interrupts.take(4, lambda: scream(hotel, 4))
    scream(hotel, 4)
    assert hotel.interrupts.counts["interrupts"] == IN_A_ROW
    assert hotel.host.trace.counts["storm"] == 1
    scream(hotel, 4)
    assert hotel.interrupts.counts["interrupts"] == IN_A_ROW
    hotel.host.pic.line(12).pulse()
    assert calm == [1]


def test_all_of_them_screaming_at_once_come_to_an_end():
    hotel = Hotel(1)
    irqs = [irq for irq in range(16) if irq != 2]

    for irq in irqs:
        hotel.interrupts.take(irq, lambda: scream(hotel, *irqs))
    scream(hotel, *irqs)
    assert hotel.host.trace.counts["storm"] == len(irqs)
    assert hotel.interrupts.counts["interrupts"] <= 16 * IN_A_ROW


def test_an_interrupt_that_is_gone_when_the_vmm_asks_is_spurious():
    hotel = Hotel(1)
    host = hotel.host
    hotel.interrupts.take(12, lambda: None)
    host.pic.slave.latched = False
    host.pic.slave.int_line.sink = lambda level: (
        host.pic.slave.lines[4].set(False),
        host.pic.master.lines[2].set(level),
    )
    host.pic.slave.lines[4].set(True)
    assert hotel.interrupts.counts == {"spurious": 1}
    assert host.pic.master.isr == 0
