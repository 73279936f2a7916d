"""Every interrupt that the lab can send: who gets it, what it costs, what is refused and why."""

from itertools import product

import pytest

from virtlab.clock import COSTS
from virtlab.iommu.reasons import Reason
from virtlab.show.irq_run import Trip, run
from virtlab.show.irq_scene import (
    CARD,
    DISK,
    MESSAGES,
    SENDERS,
    STATES,
    UNITS,
    Plan,
    words_of,
)
from virtlab.vmm.interrupt_prices import predicted
from virtlab.vmm.irqchip import total

PLANS = [
    Plan(unit, guest, sender, named)
    for (_, unit), (_, guest), (_, sender), (_, named) in product(UNITS, STATES, SENDERS, MESSAGES)
]
EXIT = round(COSTS["vm_exit"].ns)

TABLE = {
    # unit is off?, sender, message -> reason, who serves it
    (True, CARD, "card"): (None, "guest"),
    (True, CARD, "disk"): (None, "host"),
    (True, CARD, "timer"): (None, "host"),
    (True, DISK, "card"): (None, "guest"),
    (True, DISK, "disk"): (None, "host"),
    (True, DISK, "timer"): (None, "host"),
    (False, CARD, "card"): (None, "guest"),
    (False, CARD, "disk"): (Reason.SOURCE_ID, "nobody"),
    (False, CARD, "timer"): (Reason.COMPATIBILITY_BLOCKED, "nobody"),
    (False, DISK, "card"): (Reason.SOURCE_ID, "nobody"),
    (False, DISK, "disk"): (None, "host"),
    (False, DISK, "timer"): (Reason.COMPATIBILITY_BLOCKED, "nobody"),
}
"""Written by hand: VT-d 5.1.4 for what is refused."""


def served_by(trip: Trip) -> str:
    if any("handler for 0x65" in step.words for step in trip.steps):
        return "guest"
    return "host" if trip.steps[-1].handled else "nobody"


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_who_serves_it_and_why_it_was_refused(plan):
    trip = run(plan)
    expected = TABLE[plan.unit == "off", plan.sender, plan.named]
    assert (trip.reason, served_by(trip)) == expected


@pytest.mark.parametrize("plan", [plan for plan in PLANS if plan.named == "card"], ids=str)
def test_an_interrupt_of_the_guest_costs_the_closed_form(plan):
    """Also one that was forged, where nothing is remapped: it is not told apart."""
    trip = run(plan)
    if trip.reason is None:
        way = "posted" if plan.unit == "posted" else "kernel"
        steps, handled = predicted(way, plan.guest, 1, EXIT)
        assert (trip.steps[-1].cost, trip.steps[-1].handled) == (total(steps), handled)


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_the_steps_begin_and_end_with_the_guest_and_leave_nothing_behind(plan):
    steps = run(plan).steps
    assert steps[0].place == steps[-1].place == "guest"
    assert steps[1].place == "device"
    assert steps[-1].host == steps[-1].apic == (0, 0)
    costs = [(step.cost, step.handled) for step in steps]
    assert costs == sorted(costs)


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_what_is_refused_reaches_no_apic(plan):
    trip = run(plan)
    if trip.reason is not None:
        assert not any(any(step.host + step.apic) for step in trip.steps)
        assert trip.steps[-1].handled == 0
        refused = next(step for step in trip.steps if step.place == "refused")
        assert f"fault {trip.reason:x}h" in refused.words


def places(plan):
    return [step.place for step in run(plan).steps]


def test_the_place_that_each_way_goes_by():
    usual = ["guest", "device", "unit"]
    assert places(Plan("off")) == [*usual, "host", "vmm", "apic", "guest", "guest"]
    assert places(Plan("remapped")) == [*usual, "entry", "host", "vmm", "apic", "guest", "guest"]
    posted = [*usual, "entry", "descriptor"]
    assert places(Plan("posted")) == [*posted, "host", "apic", "guest", "guest"]
    asleep = places(Plan("posted", "asleep"))
    assert asleep == [*posted, "host", "vmm", "apic", "guest", "guest"]
    preempted = places(Plan("posted", "preempted"))
    assert preempted == [*posted, "vmm", "apic", "guest", "guest"]


def test_only_a_forged_interrupt_is_called_so():
    said = " But its card has sent none."
    forged = [step.words for step in run(Plan("off", sender=DISK)).steps]
    honest = [step.words for step in run(Plan("off")).steps]
    assert any(words.endswith(said) for words in forged)
    assert not any(words.endswith(said) for words in honest)


def test_who_is_told_of_a_post():
    told = {}
    for _, guest in STATES:
        step = next(s for s in run(Plan("posted", guest)).steps if s.place == "descriptor")
        told[guest] = step.words
    assert (
        told["running"]
        == told["asleep"]
        == ("Bit 0x65 of PIR is set. ON=1, a notification goes out.")
    )
    assert told["preempted"] == "Bit 0x65 of PIR is set. SN=1, so nobody is told."


def test_a_choice_has_words():
    assert words_of(UNITS, "off") == "no remapping"
    with pytest.raises(StopIteration):
        words_of(UNITS, "elsewhere")


def test_who_takes_what_was_posted():
    """The processor by itself while the guest runs (SDM 3C 30.6); else the VMM, before an entry."""
    took = {}
    for _, guest in STATES:
        step = next(s for s in run(Plan("posted", guest)).steps if s.place == "apic")
        took[guest] = step.words.split()[1]
    assert took == {"running": "processor", "asleep": "VMM", "preempted": "VMM"}
