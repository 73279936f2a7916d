"""The ledger: one kind at a time, one holder for what is dedicated, each VM once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vmm.hosts import DEVICES, Hotel
from virtlab.vmm.assignment import Kind, Ledger


def test_a_free_device_may_become_whatever_it_can_be():
    for device, kinds in DEVICES.items():
        for kind in kinds:
            ledger = Ledger(DEVICES)
            assert ledger.kind(device) is None
            ledger.give(device, "A", kind)
            assert (ledger.kind(device), ledger.holders(device)) == (kind, ("A",))


@pytest.mark.parametrize(
    ("taken", "wanted", "why"),
    [
        (("disk", "A", Kind.DEDICATED), ("disk", "B", Kind.DEDICATED), "dedicated to A: withdraw"),
        (("disk", "A", Kind.DEDICATED), ("disk", "A", Kind.DEDICATED), "dedicated to A: withdraw"),
        (("disk", "A", Kind.DEDICATED), ("disk", "B", Kind.PARTITIONED), "dedicated to A"),
        (("disk", "A", Kind.PARTITIONED), ("disk", "B", Kind.DEDICATED), "partitioned already, by"),
        (("disk", "A", Kind.PARTITIONED), ("disk", "A", Kind.PARTITIONED), "A has its part"),
        (("uart", "A", Kind.DEDICATED), ("keyboard", "B", Kind.SHARED), "cannot be shared, only"),
        (("uart", "A", Kind.DEDICATED), ("disk", "B", Kind.NON_EXISTENT), "only dedicated or par"),
    ],
)
def test_what_cannot_be_is_refused_in_words(taken, wanted, why):
    ledger = Ledger(DEVICES)
    ledger.give(*taken)
    assert why in ledger.objection(*wanted)
    with pytest.raises(ValueError, match=why):
        ledger.give(*wanted)


def test_parts_and_shares_have_many_holders_in_order():
    ledger = Ledger(DEVICES)
    for holder in "BAC":
        ledger.give("network card", holder, Kind.SHARED)
    assert ledger.holders("network card") == ("B", "A", "C")
    ledger.withdraw("network card", "A")
    assert (ledger.kind("network card"), ledger.holders("network card")) == (
        Kind.SHARED,
        ("B", "C"),
    )


def test_the_last_withdrawal_makes_it_free():
    ledger = Ledger(DEVICES)
    ledger.give("disk", "A", Kind.PARTITIONED)
    ledger.withdraw("disk", "A")
    ledger.give("disk", "B", Kind.DEDICATED)
    assert ledger.kind("disk") is Kind.DEDICATED


def test_nobody_gives_back_what_he_has_not():
    ledger = Ledger(DEVICES)
    with pytest.raises(ValueError, match="A has nothing of the uart"):
        ledger.withdraw("uart", "A")
    for verb in (ledger.withdraw, lambda *args: ledger.give(*args, Kind.DEDICATED)):
        with pytest.raises(ValueError, match="and no 'tape'"):
            verb("tape", "A")
    with pytest.raises(ValueError, match="and no 'tape'"):
        ledger.holders("tape")


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from(sorted(DEVICES)),
            st.sampled_from("ABC"),
            st.sampled_from(list(Kind)),
        ),
        max_size=30,
    )
)
def test_whatever_is_tried_a_dedicated_device_has_one_holder(steps):
    ledger = Ledger(DEVICES)
    for give, device, holder, kind in steps:
        try:
            ledger.give(device, holder, kind) if give else ledger.withdraw(device, holder)
        except ValueError:
            continue
    for device, kinds in DEVICES.items():
        held, kind = ledger.holders(device), ledger.kind(device)
        assert len(set(held)) == len(held)
        assert (kind is None) == (not held)
        assert kind is None or kind in kinds
        assert kind is not Kind.DEDICATED or len(held) == 1


def test_a_vm_is_called_by_its_name_in_the_trace_too():
    hotel = Hotel(1)
    with hotel.host.trace.recording() as events:
        hotel.guests[0].cpu.inp(0x61)
    assert events[0].who == "A"
