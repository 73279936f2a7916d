"""Vectors as squares: what a local APIC and a descriptor hold, bit by bit."""

import re

from tests.show.looks import check_picture
from virtlab.devices.lapic import Lapic, LapicRegisters
from virtlab.interrupts import Interrupt
from virtlab.iommu.layouts import POSTED_DESCRIPTOR as PD
from virtlab.show.irq_vectors import apic_picture, descriptor_picture, set_of
from virtlab.show.palette import GREY_TINT


def busy():
    """0x68 is in service; of its class 0x62 and 0x67 wait, the latter a level."""
    lapic = Lapic()
    lapic.write(LapicRegisters.SVR.offset, 4, 0x1FF)
    for vector in (0x31, 0x62, 0x68):
        lapic.accept(Interrupt(vector))
    assert lapic.acknowledge() == 0x68
    lapic.accept(Interrupt(0x67, level=True))
    return lapic


def test_the_three_sets_come_from_the_registers():
    lapic = busy()
    registers = lapic.peek()
    assert set_of(registers, "IRR") == lapic.vectors.irr == 1 << 0x31 | 1 << 0x62 | 1 << 0x67
    assert set_of(registers, "ISR") == 1 << 0x68
    assert set_of(registers, "TMR") == 1 << 0x67
    assert set_of({f"IRR{n}": (1 << 31) * (n == 7) for n in range(8)}, "IRR") == 1 << 255


def test_the_picture_of_a_busy_apic():
    drawn = apic_picture(busy().peek())
    check_picture(drawn)
    assert drawn.text.splitlines() == [
        "A local APIC",
        "IRR 0x31 0x62 0x67",
        "ISR 0x68",
        "TMR 0x67",
        "PPR 0x60: vectors up to 0x6f wait, the grey rows of IRR.",
    ]


def test_an_idle_apic_and_a_full_one():
    lapic = Lapic()
    check_picture(apic_picture(lapic.peek(), "Idle"))
    lapic.vectors.irr = lapic.vectors.isr = lapic.vectors.tmr = (1 << 256) - 1
    check_picture(apic_picture(lapic.peek(), "Full"))


def test_a_vector_stands_at_its_digits():
    """The upper digit counts rows from below, the lower one columns from the left."""
    empty, low, right, up = (
        descriptor_picture(bits).svg for bits in (0, 1 << 0x10, 1 << 0x11, 1 << 0x20)
    )
    assert len({empty, low, right, up}) == 4
    assert 'x="63" y="335"' in low
    assert 'x="79" y="335"' in right
    assert 'x="63" y="319"' in up


def test_the_descriptor_says_what_was_posted_and_whom_to_tell():
    value = PD.pack(PIR=1 << 0x65 | 1 << 0x66, ON=1, NV=0xF2, NDST=3 << 8)
    drawn = descriptor_picture(value)
    check_picture(drawn)
    assert drawn.text == (
        "A posted-interrupt descriptor\nPIR 0x65 0x66  ON = 1  SN = 0  NV = 0xf2  NDST = 3"
    )
    check_picture(descriptor_picture((1 << 512) - 1, "All of it"))


def test_the_rows_that_wait_are_grey():
    """PPR 0x60: classes 0 to 6 wait; class 0 has no interrupts at all (SDM 3A 11.8.3)."""
    grey = rect_of(apic_picture(busy().peek()).svg)
    assert grey == [7 * 16, 16, 16]
    assert rect_of(apic_picture(Lapic().peek()).svg) == [16, 16, 16]


def rect_of(svg):
    """Heights of the grey rectangles, in drawing order."""
    return [int(height) for height in re.findall(rf'height="(\d+)"[^>]*fill="{GREY_TINT}', svg)]
