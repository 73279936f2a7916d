"""The card as a PCI function: identity, BARs, the ports, the pin (8254x SDM, 4.1 and 13.2.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.devices.e1000.bench import frame
from tests.pci.rig import Rig
from virtlab.backends.network import Link
from virtlab.clock import Clock
from virtlab.devices.e1000 import E1000Function
from virtlab.devices.e1000.function import IODATA, PORTS, Window
from virtlab.devices.e1000.registers import General, Interrupts
from virtlab.devices.e1000.rings import ReceiveRing
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.wire import all_ones


@pytest.fixture
def rig():
    made = Rig()
    made.link = Link()
    made.function = made.bus.plug(E1000Function(Clock(), made.link.a), 5)
    made.found = find(enumerate_pci(made.cpu), 0x8086, 0x100E)
    made.base, made.ports_at = made.found.bar(0), made.found.bar(1)
    return made


def test_what_it_says_that_it_is(rig):
    assert rig.found.class_code == 0x020000
    assert rig.found.pin == 1
    assert [(bar.space, bar.size) for bar in rig.found.bars] == [
        ("memory", 128 << 10),
        ("port", PORTS),
    ]
    assert rig.function.config.read(0x2C, 4) == 0x1100_1AF4
    assert rig.function.config.read(0x08, 1) == 3


def test_the_registers_are_behind_bar_0(rig):
    assert rig.cpu.load(rig.base + General.STATUS.offset) == 0x8008_0783


def test_the_ports_are_a_window_on_the_registers(rig):
    """13.2.2: IOADDR picks, IODATA reads and writes."""
    rig.cpu.out(rig.ports_at, General.VET.offset, 4)
    assert rig.cpu.inp(rig.ports_at, 4) == General.VET.offset
    assert rig.cpu.inp(rig.ports_at + 4, 4) == 0x8100
    rig.cpu.out(rig.ports_at + 4, 0x88A8, 4)
    assert rig.cpu.load(rig.base + General.VET.offset) == 0x88A8
    assert rig.cpu.inp(rig.ports_at + 5, 1) == 0x88


def test_a_small_write_to_ioaddr_is_ignored(rig):
    rig.cpu.out(rig.ports_at, General.VET.offset, 4)
    rig.cpu.out(rig.ports_at, 0, 2)
    assert rig.cpu.inp(rig.ports_at, 2) == General.VET.offset


@pytest.mark.parametrize("offset", [0x20000, 0xFFFFC])
def test_beyond_the_registers_is_nothing(rig, offset):
    rig.cpu.out(rig.ports_at, offset, 4)
    rig.cpu.out(rig.ports_at + 4, 1, 4)
    assert rig.cpu.inp(rig.ports_at + 4, 4) == 0
    assert rig.cpu.inp(rig.ports_at + IODATA.offset + 4, 4) == 0
    rig.cpu.out(rig.ports_at + 8, 1, 4)


@given(
    st.lists(
        st.tuples(
            st.integers(0, PORTS - 1),
            st.sampled_from([1, 2, 4]),
            st.sampled_from([0, 0x400, 0x3818, 0x1FFFF, 0xFFFFC]) | st.integers(0, all_ones(4)),
        ),
        max_size=20,
    )
)
def test_no_access_to_a_port_raises(accesses):
    window = Window(E1000Function().e1000)
    for offset, size, value in accesses:
        window.write(offset, size, value & all_ones(size))
        assert 0 <= window.read(offset, size) <= all_ones(size)


def test_the_reset_that_linux_does_through_the_ports(rig):
    rig.cpu.store(rig.base + General.VET.offset, 0x88A8)
    rig.cpu.out(rig.ports_at, General.CTRL.offset, 4)
    rig.cpu.out(rig.ports_at + 4, General.CTRL.RST.mask, 4)
    assert rig.cpu.load(rig.base + General.VET.offset) == 0x8100


def test_the_pin_follows_the_card(rig):
    rig.cpu.store(rig.base + Interrupts.IMS.offset, 4)
    rig.cpu.store(rig.base + Interrupts.ICS.offset, 4)
    assert rig.lines[rig.found.line].level
    rig.cpu.load(rig.base + Interrupts.ICR.offset)
    assert not rig.lines[rig.found.line].level


def test_without_bus_master_enable_it_reaches_no_memory(rig):
    rig.function.config.write(4, 2, 3)
    for reg, value in ((ReceiveRing.RDLEN, 0x80), (ReceiveRing.RDT, 7), (ReceiveRing.RCTL, 0x8002)):
        rig.cpu.store(rig.base + reg.offset, value)
    rig.link.b.send(frame())
    assert rig.function.e1000.receiver.faults == 1


def test_reset_resets_everything(rig):
    rig.cpu.out(rig.ports_at, General.VET.offset, 4)
    rig.cpu.store(rig.base + General.VET.offset, 0x88A8)
    rig.function.reset()
    assert rig.function.window.address == 0
    assert rig.function.e1000.read(General.VET.offset, 4) == 0x8100
    assert rig.function.config.read(4, 2) == 0


def test_a_function_alone_has_a_clock_and_a_wire():
    assert E1000Function().e1000.wire.up
