"""Switching on MSI: the four layouts, and what a function cannot do."""

import pytest

from tests.pci.rig import Card, Rig
from virtlab.guest.msi import MsiDriver
from virtlab.guest.pci import Place, PortAccess
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.interrupts import Interrupt
from virtlab.pci.capabilities import Msi

AT = 0x50


def card(vectors=1, bits64=True, maskable=False):
    """A card with MSI in a machine, as the driver finds it."""
    rig, made = Rig(), Card()
    msi = made.config.add(Msi(vectors, bits64, maskable), AT)
    rig.bus.plug(made, 5)
    access = PortAccess(rig.cpu)
    enumerate_pci(rig.cpu, access)
    return rig, made, msi, MsiDriver(access, Place(0, 5, 0))


@pytest.mark.parametrize("bits64", [False, True])
@pytest.mark.parametrize("maskable", [False, True])
def test_the_function_sends_what_it_was_told(bits64, maskable):
    rig, made, _, driver = card(bits64=bits64, maskable=maskable)
    message = Interrupt(0x41, destination=1).message()
    driver.enable(*message)
    made.irq.set(True)
    assert rig.messages == [(made.source_id, message)]


def test_several_vectors_count_on_from_the_datum():
    rig, made, _, driver = card(vectors=4)
    assert driver.vectors == 4
    driver.enable(*Interrupt(0x40).message(), vectors=4)
    made.notify(3)
    assert rig.messages[0][1].data == 0x43


def test_disabled_it_has_its_pin_again():
    rig, made, msi, driver = card()
    driver.enable(*Interrupt(0x41).message())
    driver.disable()
    assert not msi.enabled
    made.irq.set(True)
    assert rig.messages == []


@pytest.mark.parametrize("vectors", [0, 2, 3, 64])
def test_more_vectors_than_it_has_are_refused(vectors):
    with pytest.raises(ValueError, match="can use 1 vectors"):
        card()[3].enable(0xFEE0_0000, 0x41, vectors)


def test_an_address_above_4_gib_needs_64_bits():
    _, _, msi, driver = card(bits64=False)
    driver.enable(0xFEE0_0000, 0x41)
    with pytest.raises(ValueError, match="32-bit addresses"):
        driver.enable(1 << 32, 0x42)
    assert msi.message() == (0xFEE0_0000, 0x41)
    _, _, msi, driver = card()
    driver.enable(0x1_0000_0000, 0x41)
    assert msi.message().address == 1 << 32


def test_a_function_without_it_is_a_lookup_error():
    rig = Rig()
    rig.bus.plug(Card(), 5)
    with pytest.raises(LookupError, match="has no MSI"):
        MsiDriver(PortAccess(rig.cpu), Place(0, 5, 0))
