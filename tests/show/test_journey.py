"""A request's journey: its counts are the closed forms, and the picture follows every step."""

import itertools

import pytest

from tests.show.looks import check_picture, words_of
from virtlab.show import journey_runs
from virtlab.show.journey import Journey
from virtlab.show.journey_picture import MOST_ROWS, explain, journey_picture
from virtlab.show.journey_runs import HOMES, REQUESTS, Plan, homes, run
from virtlab.show.journey_steps import DEVICE, GUEST, VMM, steps
from virtlab.trace import Event
from virtlab.vmm.meter import Cost

PLANS = [Plan(request, home) for (_, request), (_, home) in itertools.product(REQUESTS, HOMES)]

EXITS = {"in": 1, "out": 1, "sector": 264, "dma": 2, "interrupt": 3}
"""A sector: 7 for the command, STATUS, 256 words. DMA: the doorbell, HLT. A key: HLT, EOI, RBR."""

SERVED = {"in": 1, "out": 1, "sector": 264, "dma": 1, "interrupt": 3}
"""Trips to a service: every access, but of two HLTs only the one that asks for its vector."""

DOORBELLS = {"in": 0, "out": 1, "sector": 6, "dma": 1, "interrupt": 1}
"""How many of them are posted, and so no trips: all the writes."""


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_what_a_journey_costs_is_the_closed_form(plan):
    exits, trips = EXITS[plan.request], 0
    if plan.home != "VMM":
        trips = SERVED[plan.request] - (plan.home == "posted") * DOORBELLS[plan.request]
    assert run(plan).cost == Cost(exits, 2 * exits + 2 * trips, exits * 230 + trips * 2 * 3800)


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_every_step_starts_where_the_one_before_left_the_processor(plan):
    """A world switch leaves the world that ran, and each one is counted."""
    trip = run(plan)
    running, switches = GUEST, 0
    for step in trip.steps:
        if step.style in ("exit", "entry", "request", "reply"):
            switches += 1
            assert step.start == running != step.end == step.running
        elif step.style == "more":
            switches = step.cost.switches
        else:
            assert step.running == running
        assert step.cost.switches == switches
        running = step.running
    assert running == GUEST


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_the_picture_follows_every_step(plan):
    trip = run(plan)
    for index in range(len(trip.steps)):
        drawn = journey_picture(trip, index)
        check_picture(drawn)
        words = words_of(drawn)
        assert "runs now" in words
        assert "the guest runs" not in words, "what was before the first step is no row"
        if index:
            assert trip.steps[index].words in words
            assert drawn.text.splitlines()[-2].endswith(trip.steps[index].words)
        assert f"Step {index + 1} of {len(trip.steps)}" in explain(trip, index)
    assert journey_picture(trip) == drawn
    assert len(trip.steps) <= 40


def test_a_long_journey_shows_its_last_rows():
    trip = run(Plan("sector", "VMM"))
    last = len(trip.steps) - 1
    words = words_of(journey_picture(trip, last))
    assert "264 exits" in words
    assert "… and 255 more: IN DATA" in words
    assert trip.steps[last - MOST_ROWS + 1].words in words
    assert "exit: OUT DEVICE ← 0xe0" not in words


def test_inside_the_vmm_nothing_leaves_its_world_but_for_the_guest():
    ends = {(step.start, step.end, step.style) for step in run(Plan("in", "VMM")).steps}
    assert (VMM, DEVICE, "call") in ends
    assert not any(style in ("request", "reply") for _, _, style in ends)


def test_dma_comes_before_the_line_that_tells_of_it():
    words = [step.words for step in run(Plan("dma", "posted")).steps]
    assert words.index("DMA: 4096 bytes to memory") < words.index("the line goes up: the bell")


def test_dma_to_the_device_is_told_too():
    event = Event(0, 0, "dma read", "edu", size=64)
    assert [step.words for step in steps([event], served=True)][1] == "DMA: 64 bytes from memory"


def test_an_access_of_another_device_is_told_as_a_call_even_beside_a_service():
    events = [
        Event(0, 0, "exit", "vm", "port", 0x60, 1),
        Event(1, 0, "in", "i8042 data", "port", 0x60, 1, 0x1C),
        Event(2, 0, "entry", "vm", "port", 0x60, 1),
    ]
    assert [step.words for step in steps(events, served=True)] == [
        "the guest runs",
        "exit: IN 0x60",
        "a call: 0x1c",
        "entry: 0x1c",
    ]


def test_an_event_of_another_kind_is_no_step():
    assert len(list(steps([Event(0, 0, "device failed", "uart")], served=True))) == 1


def test_without_processes_there_is_one_home(monkeypatch):
    assert homes() == HOMES
    monkeypatch.setattr(journey_runs, "why_not", lambda: "no process here")
    assert homes() == HOMES[:1]
    widget = Journey()
    assert widget.plan == Plan("in", "VMM")


def test_the_widget_steps_and_comes_back():
    widget = Journey()
    first_picture = widget._picture.value
    assert widget.state.at_end
    buttons = {control.description: control for control in widget.controls}
    buttons["First"].click()
    assert "Step 1 of 5" in widget._says.value
    buttons["Step"].click()
    assert "exit: IN LSR" in widget._says.value
    widget._request.value = "dma"
    assert "Step 1 of 10" in widget._says.value
    widget._home.value = "VMM"
    buttons["Last"].click()
    assert "2 exits" in widget._picture.value
    widget.reset()
    assert widget._picture.value == first_picture
    assert widget.plan == Plan("in", "service")
    assert repr(widget) == "A request's journey: 5 requests, 3 homes"
