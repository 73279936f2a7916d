"""Several local APICs: who takes a message, and what they send each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.devices.lapic import (
    ALL,
    MYSELF,
    OTHERS,
    ApicBus,
    Identity,
    Lapic,
    LapicRegisters,
    logical_of,
    names,
)
from virtlab.interrupts import Delivery, Interrupt, Msi
from virtlab.trace import Trace

FIXED = Interrupt(0x41)


def set_(lapic, name, value):
    lapic.write(getattr(LapicRegisters, name).offset, 4, value)


def four(trace=None):
    """Four processors with ids 0 to 3, switched on; logical ids 1, 2, 4, 8."""
    bus = ApicBus([Lapic(n) for n in range(4)], trace)
    for n, lapic in enumerate(bus.lapics):
        set_(lapic, "SVR", 0x1FF)
        set_(lapic, "LDR", 1 << 24 + n)
    return bus


def who(lapics):
    return [lapic.number for lapic in lapics]


# -- 11.6.2: destinations


@pytest.mark.parametrize(
    ("address", "took"),
    [
        (0xFEE0_2000, [2]),
        (0xFEE0_7000, []),
        (0xFEEF_F000, [0, 1, 2, 3]),
        (0xFEE0_6004, [1, 2]),
        (0xFEE0_8004, [3]),
        (0xFEEF_F004, [0, 1, 2, 3]),
        (0xFEE0_0004, []),
    ],
)
def test_physical_and_flat_destinations(address, took):
    bus = four()
    assert who(bus.message(Msi(address, 0x41))) == took
    assert [bool(each.vectors.irr) for each in bus.lapics] == [n in took for n in range(4)]


def test_clusters():
    bus = four()
    for lapic, ldr in zip(bus.lapics, (0x11, 0x12, 0x21, 0x22), strict=True):
        set_(lapic, "DFR", 0)
        set_(lapic, "LDR", ldr << 24)
    for named, took in (
        (0x13, [0, 1]),
        (0x22, [3]),
        (0x31, []),
        (0xF1, [0, 2]),
        (0xFF, [0, 1, 2, 3]),
    ):
        assert who(bus.message(Msi(0xFEE0_0004 | named << 12, 0x41))) == took


def test_a_reserved_model_has_no_logical_id():
    bus = four()
    set_(bus.lapics[0], "DFR", 5 << 28)
    assert who(bus.message(Msi(0xFEEF_F004, 0x41))) == [1, 2, 3]


@given(st.integers(0, 2**20 - 1), st.integers(0, 2**32 - 1), st.booleans())
def test_x2apic_destinations_by_a_plain_reading(number, named, logical):
    """11.12.10: physical: equal, or all ones. Logical: same cluster, and the bit of the id."""
    me = Identity(number, logical_of(number), extended=True)
    expected = named in (number, 0xFFFF_FFFF)
    if logical:
        expected = named // 65536 == number // 16 and bool(named >> number % 16 & 1)
    assert names(FIXED._replace(destination=named, logical=logical), me) == expected


@pytest.mark.parametrize(
    ("named", "is_me"), [(0x12_0008, True), (0x12_0004, False), (0x13_0008, False)]
)
def test_an_x2apic_cluster(named, is_me):
    me = Identity(0x123, logical_of(0x123), extended=True)
    assert names(FIXED._replace(destination=named, logical=True), me) == is_me


# -- 11.6.2.4: one of several


@pytest.mark.parametrize("how", [1 << 8, 0])
def test_lowest_priority_and_the_hint_choose_the_least_busy(how):
    bus = four()
    for lapic, tpr in zip(bus.lapics, (0x80, 0x40, 0x30, 0x30), strict=True):
        set_(lapic, "TPR", tpr)
    hint = 0 if how else 1 << 3
    message = Msi(0xFEEF_F004 | hint, 0x41 | how)
    assert who(bus.message(message)) == [2]
    bus.lapics[2].accept(Interrupt(0x91))
    bus.lapics[2].acknowledge()
    assert who(bus.message(message)) == [3]


def test_one_that_is_off_is_not_chosen():
    bus = four()
    set_(bus.lapics[0], "SVR", 0xFF)
    assert who(bus.message(Msi(0xFEEF_F004, 0x141))) == [1]
    for lapic in bus.lapics:
        set_(lapic, "SVR", 0xFF)
    assert bus.message(Msi(0xFEEF_F004, 0x141)) == []


# -- 11.6.1: ICR


@pytest.mark.parametrize(
    ("shorthand", "took"), [(0, [3]), (MYSELF, [1]), (ALL, [0, 1, 2, 3]), (OTHERS, [0, 2, 3])]
)
def test_shorthands(shorthand, took):
    bus = four()
    set_(bus.lapics[1], "ICR_HIGH", 3 << 24)
    set_(bus.lapics[1], "ICR_LOW", 0x41 | shorthand << 18)
    assert [n for n in range(4) if bus.lapics[n].vectors.irr] == took


def test_startup_and_nmi_reach_the_other_processor():
    signals = []
    first, second = Lapic(0), Lapic(1, signal=lambda *each: signals.append(each))
    ApicBus([first, second])
    set_(first, "ICR_HIGH", 1 << 24)
    for command in (0x4500, 0x4600 | 0x9F, 0x4400):
        set_(first, "ICR_LOW", command)
    assert signals == [(Delivery.INIT, 0), (Delivery.STARTUP, 0x9F), (Delivery.NMI, 0)]


def test_the_trace_says_who_took_it():
    trace = Trace()
    bus = four(trace)
    with trace.recording() as events:
        bus.message(Msi(0xFEE0_2000, 0x41))
        bus.message(Msi(0xFEE0_9000, 0x41))
        bus.message(Msi(0xFEE0_2000, 0x341))
    assert [(each.who, each.note) for each in events] == [
        ("lapic 2", "FIXED 0x41"),
        ("", "nobody"),
        ("", "nobody"),
    ]


@given(
    st.builds(
        Interrupt,
        st.integers(0, 255),
        st.integers(0, 2**32 - 1),
        st.integers(0, 7),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    )
)
def test_a_message_says_all_of_an_interrupt(interrupt):
    assert Interrupt.of(interrupt.message()) == interrupt
