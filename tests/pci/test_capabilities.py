"""Capabilities that are small: power, subsystem, vendor; and the extended ones that we have."""

import pytest

from virtlab.pci.capabilities import PowerManagement, SubsystemId, Vendor
from virtlab.pci.config import ConfigSpace, ExtendedCapability, Type0
from virtlab.pci.extended import Acs, Aer, Ari, Ats, SerialNumber, SrIov, VirtualChannel
from virtlab.registers import Reg
from virtlab.wire import all_ones

D0, D1, D2, D3HOT = range(4)


# -- power


@pytest.mark.parametrize("state", [D1, D2])
def test_a_state_that_it_does_not_have_is_not_entered(state):
    """PM 1.2, 3.2.4: a write of an unsupported state completes, and changes nothing."""
    power = PowerManagement()
    power.write(0x04, 2, state)
    assert power.state == D0
    power.write(0x04, 2, D3HOT)
    power.write(0x04, 2, state)
    assert power.state == D3HOT


@pytest.mark.parametrize(("state", "bit"), [(D1, "D1"), (D2, "D2")])
def test_a_state_that_it_has_is_entered(state, bit):
    power = PowerManagement()
    power.preset(PMC=PowerManagement.PMC.fields[bit].put(power.PMC, 1))
    power.write(0x04, 2, state)
    assert power.state == state


def test_only_the_power_state_can_be_written():
    power = PowerManagement()
    power.write(0x02, 2, 0xFFFF)
    power.write(0x04, 4, all_ones(4))
    assert (power.PMC, power.PMCSR) == (0x0003, 0x000B)


# -- who made it


def test_a_bridge_says_its_subsystem_in_a_capability():
    made = SubsystemId(0x8086, 0x1234)
    assert (made.read(0, 1), made.read(4, 4)) == (0x0D, 0x1234_8086)


def test_a_vendors_capability_says_how_long_it_is():
    """PCI 3.0, appendix H."""

    class Ours(Vendor):
        length = 12
        EXTRA = Reg(0x08, 4, rw=all_ones(4), spec="none", doc="Anything.")

    assert Vendor().read(2, 1) == 4
    assert Ours().read(2, 1) == 12


# -- extended


def test_a_serial_number_is_two_dwords():
    """PCI Express 3.0, 7.12.2: lower first; read only."""
    made = SerialNumber(0x0123_4567_89AB_CDEF)
    made.write(4, 8, 0)
    assert (made.read(4, 4), made.read(8, 4)) == (0x89AB_CDEF, 0x0123_4567)


def test_ari_names_the_next_function():
    """7.23.2: bits 15 to 8."""
    assert Ari(5).read(4, 2) == 0x0500
    assert Ari().read(4, 2) == 0


def test_acs_redirects_when_it_is_told():
    """7.16.3: bit 2, P2P Request Redirect."""
    acs = Acs()
    assert not acs.redirects
    acs.write(6, 2, 0xFFFF)
    assert (acs.redirects, acs.CONTROL) == (True, 0x1F)
    acs.write(6, 2, 0xFFFB)
    assert not acs.redirects


@pytest.mark.parametrize("kind", [Aer, VirtualChannel, SerialNumber, Acs, Ari, Ats, SrIov])
def test_an_extended_capability_says_its_id_and_version(kind):
    """7.9.3."""
    config = ConfigSpace(Type0(), express=True)
    config.add(kind(), 0x100)
    head = ExtendedCapability.HEADER.decode(config.read(0x100, 4))
    assert head == {"ID": kind.id, "VERSION": kind.version, "NEXT": 0}


def test_what_errors_there_were_can_be_read_after_a_reset():
    """7.10: the registers of AER are sticky."""
    aer = Aer()
    aer.UNCORRECTABLE_STATUS = Aer.UNCORRECTABLE_STATUS.UNSUPPORTED_REQUEST.mask
    aer.write(Aer.CORRECTABLE_MASK.offset, 4, 0)
    aer.reset()
    assert aer.UNCORRECTABLE_STATUS == 1 << 20
    assert aer.CORRECTABLE_MASK == 0
    aer.write(Aer.UNCORRECTABLE_STATUS.offset, 4, 1 << 20)
    assert aer.UNCORRECTABLE_STATUS == 0


def test_class_0_goes_through_channel_0_always():
    """7.11.7: bit 0 of the map is read only, and 1."""
    made = VirtualChannel()
    made.write(VirtualChannel.VC0_CONTROL.offset, 4, 0)
    assert made.VC0_CONTROL == 0x8000_0001
