"""A function: its pin, its sleep, its requests, its reset."""

import pytest

from tests.pci.rig import Card, Rig
from virtlab.errors import DmaFault
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.pci.capabilities import Msi, PowerManagement
from virtlab.pci.config import Header
from virtlab.pci.function import Function, Identity

POWER_AT = 0x60
PMCSR = POWER_AT + PowerManagement.PMCSR.offset


@pytest.fixture
def card():
    """A card with power management on bus 0, enumerated."""
    rig, made = Rig(), Card(ports=0x20)
    made.config.add(PowerManagement(), POWER_AT)
    rig.bus.plug(made, 4)
    enumerate_pci(rig.cpu)
    made.rig = rig
    return made


def high(card):
    return [irq for irq, line in card.rig.lines.items() if line.level]


def test_it_says_who_it_is():
    """PCI 3.0, 6.2.1, 6.2.4."""
    made = Function(Identity(0x8086, 0x100E, 0x020000, 3, 0x1AF4, 0x1100), name="nic", pin=2)
    assert made.config.read(0, 4) == 0x100E_8086
    assert made.config.read(8, 4) == 0x0200_0003
    assert made.config.read(0x2C, 4) == 0x1100_1AF4
    assert made.config.read(0x3D, 1) == 2
    assert str(made) == "00:00.0 nic"


def test_a_function_without_a_name_has_its_class_s():
    assert Function(Identity(1, 2, 3)).name == "Function"


def test_without_capabilities_there_is_no_message(card):
    assert not card.notify(0)
    assert not card.messages


def test_a_device_that_is_no_bridge_passes_nothing_on(card):
    assert not card.forwards("memory", 0, 4)
    assert not card.forwards_bus(0)
    assert not card.redirects


def test_a_pin_that_is_not_there_pulls_nothing():
    rig, made = Rig(), Card(pin=0)
    rig.bus.plug(made, 4)
    made.irq.set(True)
    assert rig.bus._asserted == set()
    assert Header.STATUS.INTERRUPT_STATUS.get(made.header.STATUS)


def test_a_line_that_is_up_before_the_card_is_plugged_in_is_not_lost():
    rig, made = Rig(), Card()
    made.irq.set(True)
    rig.bus.plug(made, 4)
    assert rig.bus._asserted == {(4, 0, 1)}


def test_a_message_on_no_bus_goes_nowhere():
    made = Card()
    made.config.add(Msi(), 0x40)
    made.config.write(Header.COMMAND.offset, 2, Header.COMMAND.BUS_MASTER.mask)
    made.config.write(0x42, 2, 1)
    made.irq.set(True)
    assert made.messages


# -- asleep


def test_in_d3hot_it_answers_configuration_requests_only(card):
    """PM 1.2, 5.4.1."""
    memory = card.bars[0].address(card.header)
    card.rig.cpu.store(memory, 0x1234, 4)
    card.config.write(PMCSR, 2, 3)
    assert card.rig.cpu.load(memory, 4) == 0xFFFF_FFFF
    assert card.config.read(0, 2) == 0x1AF4
    card.config.write(PMCSR, 2, 0)
    assert card.rig.cpu.load(memory, 4) == 0x1234


def test_in_d3hot_it_requests_nothing(card):
    card.config.write(PMCSR, 2, 3)
    for verb in (
        lambda: card.dma.read(0, 4),
        lambda: card.dma.write(0, b"abcd"),
        lambda: card.dma.view(0, 4),
    ):
        with pytest.raises(DmaFault, match="sleeps"):
            verb()


def test_in_d3hot_the_pin_rests_and_comes_back(card):
    card.irq.set(True)
    (irq,) = high(card)
    card.config.write(PMCSR, 2, 3)
    assert high(card) == []
    card.config.write(PMCSR, 2, 0)
    assert high(card) == [irq]


# -- reset


def test_a_reset_lets_go_of_everything(card):
    memory = card.bars[0].address(card.header)
    card.irq.set(True)
    card.reset()
    assert high(card) == []
    assert card.rig.cpu.load(memory, 4) == 0xFFFF_FFFF
    with pytest.raises(DmaFault, match="Bus Master Enable is 0"):
        card.dma.read(0, 4)


def test_a_reset_wakes_it(card):
    card.config.write(PMCSR, 2, 3)
    card.reset()
    assert card.awake


# -- misuse


def test_a_register_is_taken_once():
    made = Card()
    with pytest.raises(ValueError, match="card has BAR0 already"):
        made.memory_bar(0, made.scratch, 0x1000)
