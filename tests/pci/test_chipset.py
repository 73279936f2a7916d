"""From a pin to an ISA interrupt: wires that are shared, swizzled, routed; and where ECAM is."""

import pytest

from tests.pci.rig import Card, Rig
from virtlab.errors import DmaFault
from virtlab.guest.pci import Place, PortAccess
from virtlab.pci.bridge import PciBridge
from virtlab.pci.bus import swizzle
from virtlab.pci.chipset import ISA_IRQS, EcamRegisters, PirqRegisters, pirq_of
from virtlab.pci.config import Header, Type1

ISA, HOST = Place(0, 0x1F, 0), Place(0, 0, 0)
ECAM = 0xB000_0000


def pulled(bus):
    return {(device, "-ABCD"[pin]) for device, _, pin in bus._asserted}


# -- wires


@pytest.mark.parametrize(
    ("device", "wires"), [(0, "ABCD"), (1, "BCDA"), (2, "CDAB"), (3, "DABC"), (4, "ABCD")]
)
def test_behind_a_bridge_a_pin_changes_its_name_with_the_device(device, wires):
    """PCI bridge 1.2, 9.1, table 9-1."""
    assert "".join("-ABCD"[swizzle(device, pin)] for pin in (1, 2, 3, 4)) == wires


def test_each_bridge_on_the_way_changes_it_once_more():
    rig, outer, inner = Rig(), PciBridge("outer"), PciBridge("inner")
    rig.bus.plug(outer, 3)
    outer.below.plug(inner, 2)
    card = inner.below.plug(Card(pin=1), 1)
    card.irq.set(True)
    assert pulled(inner.below) == {(1, "A")}
    assert pulled(outer.below) == {(2, "B")}
    assert pulled(rig.bus) == {(3, "D")}
    card.irq.set(False)
    assert pulled(rig.bus) == pulled(outer.below) == set()


def test_devices_whose_pins_meet_behind_a_bridge_share_the_wire():
    """PCI 3.0, 2.2.6: level sensitive, open drain: low while anybody pulls."""
    rig, bridge = Rig(), PciBridge()
    rig.bus.plug(bridge, 3)
    one, other = (bridge.below.plug(Card(pin=1), device) for device in (0, 4))
    one.irq.set(True)
    other.irq.set(True)
    one.irq.set(False)
    assert pulled(rig.bus) == {(3, "A")}
    other.irq.set(False)
    assert pulled(rig.bus) == set()


def test_functions_of_one_device_share_its_pin():
    rig = Rig()
    routed(rig, *[10] * 8)
    one, other = (rig.bus.plug(Card(pin=1), 4, number) for number in (0, 1))
    one.irq.set(True)
    other.irq.set(True)
    one.irq.set(False)
    assert rig.lines[10].level
    other.irq.set(False)
    assert not rig.lines[10].level


# -- PIRQ routing


def routed(rig, *values):
    """Write PIRQA to PIRQH."""
    access = PortAccess(rig.cpu)
    places = [bank + index for bank in PirqRegisters.AT for index in range(4)]
    for at, value in zip(places, values, strict=True):
        access.write(ISA, at, 1, value)


def test_pins_of_bus_0_take_turns_on_pirqe_to_pirqh():
    assert [pirq_of(device, 1) for device in range(4)] == [4, 5, 6, 7]
    assert [pirq_of(0, pin) for pin in (1, 2, 3, 4)] == [4, 5, 6, 7]


@pytest.mark.parametrize("device", range(4))
def test_a_pin_becomes_the_interrupt_of_its_routing_register(device):
    """ICH9, 13.1.17: bits 3:0."""
    rig = Rig()
    routed(rig, *[0x80] * 4, 5, 9, 10, 11)
    card = rig.bus.plug(Card(pin=1), 4 + device)
    card.irq.set(True)
    assert [irq for irq, line in rig.lines.items() if line.level] == [(5, 9, 10, 11)[device]]


def test_a_route_that_is_off_drives_nothing_and_comes_back():
    """Bit 7 disables. A write moves what is up to the new interrupt."""
    rig = Rig()
    card = rig.bus.plug(Card(pin=1), 4)
    card.irq.set(True)
    high = []
    for value in (0x0A, 0x8A, 0x05):
        routed(rig, *[0x80] * 4, value, *[0x80] * 3)
        high.append([irq for irq, line in rig.lines.items() if line.level])
    assert high == [[10], [], [5]]


@pytest.mark.parametrize("value", range(16))
def test_only_some_interrupts_can_be_chosen(value):
    """ICH9, 13.1.17: 0, 1, 2, 8 and 13 are reserved."""
    bank = PirqRegisters()
    bank.write(0, 1, value)
    assert bank.irq(0) == (value if value in ISA_IRQS else None)
    assert (value in ISA_IRQS) == (value not in (0, 1, 2, 8, 13))


# -- requests that are in a bridge's own window


def test_what_is_in_the_window_of_the_bridge_above_does_not_go_up():
    """PCI bridge 1.2, 4.3: upstream goes what is outside of all windows."""
    rig, bridge = Rig(), PciBridge()
    rig.bus.plug(bridge, 3)
    card = bridge.below.plug(Card(), 0)
    access = PortAccess(rig.cpu)
    for offset, value in (
        (Type1.PRIMARY_BUS.offset, 0x0001_0100),
        (Header.COMMAND.offset, 7),
        (Type1.MEMORY_BASE.offset, 0x0000_0000),
        (Type1.PREFETCHABLE_BASE.offset, 0x0000_FFF0),
    ):
        access.write(Place(0, 3, 0), offset, 4, value)
    access.write(Place(1, 0, 0), Header.COMMAND.offset, 2, Header.COMMAND.BUS_MASTER.mask)
    with pytest.raises(DmaFault, match="0x1000 is in its own window, so it belongs below"):
        card.dma.read(0x1000, 4)
    access.write(Place(0, 3, 0), Type1.MEMORY_BASE.offset, 4, 0x0000_FFF0)
    assert card.dma.read(0x1000, 4) == bytes(4)


# -- PCIEXBAR


@pytest.mark.parametrize(("length", "mebibytes"), [(0, 256), (1, 128), (2, 64), (3, 64)])
def test_ecam_has_256_128_or_64_buses(length, mebibytes):
    """MCH, 5.1.16: bits 2:1. 11b is reserved; here it is 64, too."""
    rig = Rig()
    PortAccess(rig.cpu).write(HOST, EcamRegisters.AT, 4, ECAM | length << 1 | 1)
    mapping = rig.memory.find(ECAM)
    assert (mapping.base, mapping.length) == (ECAM, mebibytes << 20)


@pytest.mark.parametrize(("length", "base"), [(0, 0xA000_0000), (1, 0xA800_0000), (2, 0xAC00_0000)])
def test_the_base_is_a_multiple_of_the_length(length, base):
    """MCH, 5.1.16: bits 27 and 26 count only where the length leaves them."""
    rig = Rig()
    PortAccess(rig.cpu).write(HOST, EcamRegisters.AT, 4, 0xAC00_0000 | length << 1 | 1)
    assert rig.memory.find(0xAC00_0000).base == base
    assert rig.cpu.load(base, 4) == 0x29C0_8086


def test_ecam_that_is_off_is_nowhere():
    rig = Rig()
    access = PortAccess(rig.cpu)
    access.write(HOST, EcamRegisters.AT, 4, ECAM | 1)
    access.write(HOST, EcamRegisters.AT, 4, ECAM)
    assert rig.memory.find(ECAM) is None
