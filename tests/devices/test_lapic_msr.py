"""x2APIC: the registers as MSRs, what they refuse, and the modes (SDM 3A 11.12)."""

import random

import pytest

from virtlab.devices.lapic import BASE, ApicBus, ApicMsrs, Lapic
from virtlab.errors import GuestError
from virtlab.interrupts import Interrupt

EN, EXTD, BSP = 1 << 11, 1 << 10, 1 << 8


def extended(number=0x123):
    lapic = Lapic(number)
    msrs = ApicMsrs(lapic)
    msrs.write(0x1B, BASE | EN | EXTD)
    msrs.write(0x80F, 0x1FF)
    return lapic, msrs


def test_the_page_is_gone_and_the_msrs_are_there():
    lapic, msrs = extended()
    assert lapic.read(0x20, 4) == 0xFFFF_FFFF
    lapic.write(0xF0, 4, 0)
    assert (msrs.read(0x80F), msrs.read(0x802), msrs.read(0x80D)) == (0x1FF, 0x123, 0x12_0008)
    assert msrs.read(0x1B) == BASE | EN | EXTD | BSP


def test_a_vector_through_msrs():
    lapic, msrs = extended()
    msrs.write(0x83F, 0x41)
    assert msrs.read(0x822) == 2
    assert lapic.acknowledge() == 0x41
    msrs.write(0x80B, 0)
    assert msrs.read(0x812) == 0


def test_icr_is_one_register_with_a_destination_of_32_bits():
    bus = ApicBus([extended(0x123)[0], extended(0x1_0456)[0]])
    msrs = ApicMsrs(bus.lapics[0])
    msrs.write(0x830, 0x1_0456 << 32 | 0x41)
    assert [each.vectors.irr for each in bus.lapics] == [0, 1 << 0x41]
    assert msrs.read(0x830) == 0x1_0456 << 32 | 0x41


@pytest.mark.parametrize(
    ("msr", "value"),
    [
        (0x802, 0), (0x80D, 0), (0x803, 0), (0x80A, 0), (0x810, 0), (0x839, 0),  # read-only
        (0x80E, 0), (0x831, 0),  # not in this mode
        (0x804, 0), (0x8FF, 0), (0x7FF, 0), (0x900, 0),  # nothing there
        (0x80B, 1), (0x828, 1), (0x808, 0x100), (0x830, 1 << 13), (0x83F, 0x100),  # reserved bits
    ],
)  # fmt: skip
def test_a_write_that_is_a_general_protection_fault(msr, value):
    lapic, msrs = extended()
    before = lapic.peek()
    with pytest.raises(GuestError, match=r"SDM 3A 11\.12"):
        msrs.write(msr, value)
    assert lapic.peek() == before


@pytest.mark.parametrize("msr", [0x80B, 0x83F, 0x80E, 0x831, 0x804, 0x900])
def test_a_read_that_is_a_general_protection_fault(msr):
    with pytest.raises(GuestError):
        extended()[1].read(msr)


def test_in_xapic_mode_there_are_no_msrs():
    msrs = ApicMsrs(Lapic())
    for verb in (lambda: msrs.read(0x802), lambda: msrs.write(0x808, 0)):
        with pytest.raises(GuestError):
            verb()


MODES = {"off": 0, "xapic": EN, "x2apic": EN | EXTD, "invalid": EXTD}
ARROWS = {
    ("off", "off"), ("off", "xapic"), ("xapic", "xapic"), ("xapic", "x2apic"), ("xapic", "off"),
    ("x2apic", "x2apic"), ("x2apic", "off"),
}  # fmt: skip


@pytest.mark.parametrize("before", ["off", "xapic", "x2apic"])
@pytest.mark.parametrize("after", MODES)
def test_modes_change_along_the_arrows(before, after):
    lapic = Lapic()
    msrs = ApicMsrs(lapic, bootstrap=False)
    lapic.present, lapic.extended = before != "off", before == "x2apic"
    if (before, after) in ARROWS:
        msrs.write(0x1B, BASE | MODES[after])
        assert msrs.read(0x1B) == BASE | MODES[after]
    else:
        with pytest.raises(GuestError, match=r"11\.12\.5"):
            msrs.write(0x1B, BASE | MODES[after])
        assert msrs.read(0x1B) == BASE | MODES[before]


@pytest.mark.parametrize("value", [BASE | EN | 1, 0xFED0_0000 | EN, 0x1000 | BASE | EN])
def test_another_base_or_a_reserved_bit_is_refused(value):
    with pytest.raises(GuestError):
        ApicMsrs(Lapic()).write(0x1B, value)


def test_switched_off_it_forgets():
    lapic, msrs = extended()
    lapic.accept(Interrupt(0x41))
    msrs.write(0x1B, BASE)
    assert (lapic.vectors.irr, lapic.matches(Interrupt(0x41, 0xFFFF_FFFF))) == (0, False)


def test_only_guest_errors_come_of_any_msr():
    rng = random.Random(2)
    msrs = extended()[1]
    for _ in range(5_000):
        msr = rng.choice([0x1B, rng.randrange(0x7F0, 0x910)])
        try:
            if rng.random() < 0.5:
                assert 0 <= msrs.read(msr) < 1 << 64
            else:
                msrs.write(
                    msr, rng.choice([0, rng.getrandbits(64), rng.getrandbits(9), BASE | EN | EXTD])
                )
        except GuestError:
            continue
