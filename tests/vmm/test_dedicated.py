"""A dedicated device: the same results both ways, n exits or none, one owner, and no memories."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vmm.hosts import Hotel, pics_of
from virtlab import machine
from virtlab.cpu import Recorder
from virtlab.guest.ps2 import Ps2
from virtlab.guest.uart import UartDriver
from virtlab.vmm.assignment import Kind
from virtlab.vmm.forwarded import Forwarded
from virtlab.vmm.physical import Physical

WAYS = ("forwarded", "direct")
SCREEN = machine.TEXT_SCREEN


def printing(how):
    """A VM prints by the physical UART: what was printed, its accesses to it, its exits."""
    hotel = Hotel(1)
    hotel.uart().give(hotel.guests[0], how)
    recorder = Recorder(hotel.guests[0].cpu)
    driver = UartDriver.at_ports(recorder)
    driver.init()
    driver.write(b"hello")
    return hotel.host.terminal.text, len(recorder.accesses), hotel.guests[0].exits


def test_the_same_driver_prints_the_same_and_only_the_exits_differ():
    (forwarded, n, exits), (direct, m, none) = map(printing, WAYS)
    assert forwarded == direct == "hello"
    assert n == m == exits
    assert none == 0


@pytest.mark.parametrize("how", WAYS)
def test_the_physical_accesses_are_the_same_as_on_the_bare_machine(how):
    bare, hotel = machine.lesson_pc(), Hotel(1)
    hotel.uart().give(hotel.guests[0], how)
    seen = []
    for board, cpu in ((bare, bare.cpu), (hotel.host, hotel.guests[0].cpu)):
        with board.trace.recording() as events:
            UartDriver.at_ports(cpu).init()
        seen.append([e[2:8] for e in events if e.kind in ("in", "out") and e.who == "uart"])
    assert seen[0] == seen[1]


@pytest.mark.parametrize("how", WAYS)
def test_a_key_of_the_physical_keyboard_reaches_the_vm(how):
    hotel = Hotel()
    keyboard, guest = hotel.keyboard(), hotel.guests[0]
    keyboard.give(guest, how)
    pics, ps2 = pics_of(guest), Ps2(guest.cpu)
    ps2.start()
    ps2.listen(pics)
    relayed, exits = hotel.interrupts.counts["A"], guest.exits
    hotel.host.keyboard.press("A")
    assert ps2.wait_key(pics) == ("A", True)
    assert hotel.interrupts.counts["A"] == relayed + 1
    # HLT and the EOI exit always; STATUS, DATA and STATUS again only where they are forwarded.
    assert guest.exits - exits == (2 + 3 if how == "forwarded" else 2)
    assert hotel.guests[1].exits == 0


@pytest.mark.parametrize("how", WAYS)
def test_the_mouse_goes_with_the_keyboard(how):
    hotel = Hotel(1)
    hotel.keyboard().give(hotel.guests[0], how)
    pics, ps2 = pics_of(hotel.guests[0]), Ps2(hotel.guests[0].cpu)
    ps2.start()
    ps2.listen(pics)
    while (irq := pics.next_irq(1000)) is not None:  # what its start left
        pics.eoi(irq)
    hotel.host.mouse.move(3, -2)
    assert pics.next_irq() == 12
    move = ps2.read_mouse()
    assert (move.dx, move.dy) == (3, -2)


@pytest.mark.parametrize("how", WAYS)
def test_the_display_shows_what_the_vm_stores(how):
    hotel = Hotel()
    hotel.display().give(hotel.guests[1], how)
    hotel.guests[1].cpu.write(SCREEN, b"B\x07")
    hotel.guests[0].cpu.write(SCREEN, b"A\x07")
    assert hotel.host.screen.text() == "B"
    assert hotel.guests[0].screen.text() == "A"
    assert hotel.guests[1].exits == (2 if how == "forwarded" else 0)


@pytest.mark.parametrize("how", WAYS)
def test_a_device_has_one_owner_until_it_is_withdrawn(how):
    hotel = Hotel()
    keyboard = hotel.keyboard()
    keyboard.give(hotel.guests[0], how)
    with pytest.raises(ValueError, match="IRQ 1 is taken"):
        keyboard.give(hotel.guests[1], how)
    keyboard.withdraw()
    with pytest.raises(ValueError, match="nobody has the keyboard"):
        keyboard.withdraw()
    keyboard.give(hotel.guests[1], how)
    assert hotel.ledger.holders("keyboard") == ("B",)


def test_a_device_without_interrupts_has_one_owner_too():
    hotel = Hotel()
    display = hotel.display()
    display.give(hotel.guests[0])
    with pytest.raises(ValueError, match="display is dedicated to A"):
        display.give(hotel.guests[1])
    assert display.guest is hotel.guests[0]
    hotel.guests[0].cpu.store(SCREEN, 0x0741, 2)
    assert hotel.host.screen.text() == "A"


def shape(guest):
    """What is mapped in a VM's two spaces, which ports are open, which pages are mapped."""
    vm = guest.vm
    maps = [(m.base, m.length, m.name, m.width, id(m.device)) for m in vm.ports.mappings]
    maps += [(m.base, m.length, m.name, m.width, id(m.device)) for m in vm.memory.mappings]
    page = vm.tables.translate(SCREEN, 1, False)
    return maps, bytes(vm.io_bitmap.a), bytes(vm.io_bitmap.b), page


@pytest.mark.parametrize("how", WAYS)
def test_after_a_withdrawal_everything_is_as_before(how):
    hotel = Hotel(1)
    guest = hotel.guests[0]
    before = shape(guest)
    for device in (hotel.keyboard(), hotel.uart(), hotel.display()):
        device.give(guest, how)
        assert shape(guest) != before
        device.withdraw()
        assert shape(guest) == before
    assert hotel.interrupts.actions == {}


def test_registers_that_fill_no_page_cannot_be_given_directly():
    hotel = Hotel(1)
    hotel.ledger.devices["hpet"], hotel.ledger._holders["hpet"] = (Kind.DEDICATED,), []
    hpet = hotel.dedicated(Physical("hpet", hotel.host.hpet.reset, memory=((machine.HPET, 1024),)))
    with pytest.raises(ValueError, match="page"):
        hpet.give(hotel.guests[0], "direct")
    assert hotel.ledger.kind("hpet") is None
    hpet.give(hotel.guests[0], "forwarded")
    assert hotel.guests[0].cpu.load(machine.HPET) == hotel.host.hpet.read(0, 4)


def test_half_a_virtual_device_cannot_stand_aside():
    hotel = Hotel(1)
    half = hotel.dedicated(Physical("uart", lambda: None, ports=((0x3F8, 4),)))
    with pytest.raises(ValueError, match="uart is only partly in 0x3f8"):
        half.give(hotel.guests[0])
    assert hotel.ledger.kind("uart") is None


def test_a_port_where_the_vm_has_nothing_can_be_given_too():
    hotel = Hotel(1)
    hotel.dedicated(Physical("uart", lambda: None, ports=((0x61, 1),))).give(hotel.guests[0])
    with hotel.host.trace.recording() as events:
        assert hotel.guests[0].cpu.inp(0x61) == 0xFF
    assert [(event.kind, event.who) for event in events][1:3] == [
        ("unclaimed", ""),
        ("in", "uart, forwarded"),
    ]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_forwarded_access_is_the_same_access(size):
    host = machine.lesson_pc()
    device = Forwarded(host.memory, SCREEN)
    device.write(8, size, 0x44434241)
    assert device.read(8, size) == host.memory.read(SCREEN + 8, size)
    assert host.memory.read(SCREEN + 8, size) == 0x44434241 & (1 << 8 * size) - 1


accesses = st.lists(
    st.one_of(
        st.tuples(st.just("out"), st.sampled_from([0x60, 0x64]), st.integers(0, 255)),
        st.tuples(st.just("in"), st.sampled_from([0x60, 0x64]), st.just(0)),
        st.tuples(st.just("key"), st.sampled_from(["A", "ENTER", "F1"]), st.just(0)),
        st.tuples(st.just("move"), st.integers(-9, 9), st.integers(-9, 9)),
        st.tuples(st.just("out"), st.integers(0x3F8, 0x3FF), st.integers(0, 255)),
        st.tuples(st.just("in"), st.integers(0x3F8, 0x3FF), st.just(0)),
        st.tuples(st.just("store"), st.integers(0, 0x7FFF), st.integers(0, 255)),
    ),
    max_size=60,
)


def use(hotel, cpu, steps):
    """Whatever an owner, or the person at the keyboard, does."""
    for verb, where, value in steps:
        match verb:
            case "out":
                cpu.out(where, value)
            case "in":
                cpu.inp(where)
            case "key":
                hotel.host.keyboard.tap(where)
            case "move":
                hotel.host.mouse.move(where, value)
            case "store":
                cpu.store(SCREEN + where, value, 1)


def snoop(hotel, guest):
    """All that a curious next owner can find in the three devices."""
    cpu, found = guest.cpu, []
    for _ in range(20):
        found += [cpu.inp(0x64), cpu.inp(0x60)]
    cpu.out(0x60, 0xFE)  # resend
    found += [cpu.inp(0x60), cpu.inp(0x60)]
    for command in (0x20, 0xC0, 0xD0, *range(0x21, 0x40)):
        cpu.out(0x64, command)
        found.append(cpu.inp(0x60))
    found += [cpu.inp(port) for port in range(0x3F8, 0x400) for _ in range(17)]
    return (
        found,
        hotel.host.screen.buffer.tobytes(),
        guest.pic.master.peek(),
        guest.pic.slave.peek(),
    )


def inherit(how, steps):
    """A has the devices and does `steps` with them; then B has them. What does B find?"""
    hotel = Hotel()
    devices = (hotel.keyboard(), hotel.uart(), hotel.display())
    for device in devices:
        device.give(hotel.guests[0], how)
    use(hotel, hotel.guests[0].cpu, steps)
    for device in devices:
        device.withdraw()
        device.give(hotel.guests[1], how)
    return snoop(hotel, hotel.guests[1])


@pytest.fixture(scope="module", params=WAYS)
def nothing_done(request):
    return request.param, inherit(request.param, [])


@given(steps=accesses)
@settings(max_examples=15, deadline=None)
def test_the_next_owner_finds_nothing_of_the_last(nothing_done, steps):
    how, found = nothing_done
    assert inherit(how, steps) == found
