"""The lab's picture: every plan at every step, and what it must show."""

import pytest

from tests.show.looks import check_picture, words_of
from tests.show.test_irq_run import PLANS
from virtlab.show.irq_inside import inside
from virtlab.show.irq_picture import explain, irq_picture, title_of, ways_of
from virtlab.show.irq_places import CELLS, WAYS, arrow_between
from virtlab.show.irq_run import run
from virtlab.show.irq_scene import CARD, DISK, Plan
from virtlab.show.palette import FAINT, INK, VERMILLION_TINT, YELLOW_TINT


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_every_step_of_every_plan_can_be_drawn(plan):
    trip = run(plan)
    for index in range(len(trip.steps)):
        check_picture(irq_picture(trip, index))
        assert explain(trip, index).startswith(f"Step {index + 1} of {len(trip.steps)}. ")
    assert irq_picture(trip).svg == irq_picture(trip, len(trip.steps) - 1).svg


def last(plan):
    trip = run(plan)
    return ways_of(trip, len(trip.steps) - 1)


def test_the_arrows_that_were_passed():
    begin = {("device", "unit")}
    assert last(Plan("off")) - begin == {("unit", "host"), ("host", "vmm"), ("vmm", "apic"),
                                         ("apic", "guest")}  # fmt: skip
    assert last(Plan("remapped")) - begin == {
        ("unit", "entry"), ("entry", "host"), ("host", "vmm"), ("vmm", "apic"), ("apic", "guest"),
    }  # fmt: skip
    posted = begin | {("unit", "entry"), ("entry", "descriptor"), ("descriptor", "apic"),
                      ("apic", "guest")}  # fmt: skip
    assert last(Plan("posted")) == posted | {("descriptor", "host")}
    assert last(Plan("posted", "preempted")) == posted
    assert last(Plan("posted", "asleep")) == posted | {("descriptor", "host"), ("host", "vmm")}
    assert last(Plan("remapped", "running", CARD, "timer")) == begin
    forged = last(Plan("remapped", "running", DISK, "card"))
    assert forged == begin | {("unit", "entry")}


def test_every_arrow_connects_places_and_some_plan_passes_it():
    assert {place for way in WAYS for place in way} == set(CELLS)
    assert set().union(*(last(plan) for plan in PLANS)) == set(WAYS)


def test_what_stands_in_the_boxes():
    trip = run(Plan("posted"))
    at = next(n for n, step in enumerate(trip.steps) if step.place == "descriptor")
    seen = trip.steps[: at + 1]
    assert inside(trip, "device", seen) == ["00:03.0", "data 0x0", "at   0xfee000b0"]
    assert inside(trip, "unit", seen) == ["remapping on", "format 1, handle 5"]
    assert inside(trip, "entry", seen) == ["SID 00:03.0", "P=1 IM=1", "VV  0x65", "PDA 0x1000"]
    assert inside(trip, "descriptor", seen) == ["PIR 0x65", "ON=1 SN=0", "NV  0xf2", "NDST 0"]
    assert inside(trip, "host", seen) == ["IRR 0xf2", "ISR -"]
    assert inside(trip, "apic", trip.steps[: at + 3]) == ["IRR 0x65", "ISR -"]
    assert inside(trip, "apic", trip.steps[: at + 4]) == ["IRR -", "ISR 0x65"]
    assert inside(trip, "vmm", seen) == ["exits    0", "handlers 0"]
    assert inside(trip, "guest", seen) == ["running"]


def test_before_the_device_sends_there_is_no_message():
    trip = run(Plan("off"))
    assert inside(trip, "device", trip.steps[:1]) == ["00:03.0"]
    assert inside(trip, "unit", trip.steps[:2]) == ["remapping off"]
    assert inside(trip, "unit", trip.steps[:3]) == ["remapping off", "format 0, vector 0x45"]
    assert inside(trip, "entry", trip.steps) == []


def test_a_remapped_entry_and_a_refusal():
    trip = run(Plan("remapped", "running", DISK, "card"))
    assert inside(trip, "entry", trip.steps) == ["SID 00:03.0", "P=1 IM=0", "V   0x45", "DST 0"]
    assert inside(trip, "unit", trip.steps)[-2:] == ["refused:", "fault 26h"]
    assert "host's disk" in words_of(irq_picture(trip))


def test_the_title_says_the_set_up():
    assert title_of(run(Plan("off", "asleep"))) == "No remapping, and the guest is asleep"
    assert words_of(irq_picture(run(Plan()), title="Mine"))[0] == "Mine"


def test_the_text_has_a_line_for_each_step():
    trip = run(Plan("remapped"))
    text = irq_picture(trip).text.splitlines()
    assert len(text) == 2 + len(trip.steps)
    assert text[-1] == "   2    4    1  guest       The handler writes EOI: an exit."
    assert "1 exit, 2 world switches" in explain(trip, len(trip.steps) - 2)


def test_an_arrow_points_where_it_leads_and_is_heavy_once_passed():
    heads = {
        ("device", "unit"): 0,
        ("entry", "descriptor"): 90,
        ("descriptor", "apic"): 180,
        ("vmm", "apic"): 270,
    }
    for way, turn in heads.items():
        assert f"rotate({turn})" in arrow_between(way, True)
    assert INK in arrow_between(("device", "unit"), True)
    assert FAINT in arrow_between(("device", "unit"), False)


def test_the_place_of_the_step_is_lit_and_a_refusal_keeps_its_colour():
    trip = run(Plan("remapped", "running", DISK, "card"))
    at = [step.place for step in trip.steps].index("refused")
    assert VERMILLION_TINT not in irq_picture(trip, at - 1).svg
    assert all(VERMILLION_TINT in irq_picture(trip, n).svg for n in range(at, len(trip.steps)))
    lit = [irq_picture(trip, n).svg.count(YELLOW_TINT) for n in range(len(trip.steps))]
    assert lit == [0 if n == at else 1 for n in range(len(trip.steps))]


def test_what_crosses_below_the_host_s_apic():
    assert "an exit" in words_of(irq_picture(run(Plan("remapped"))))
    assert "a handler" in words_of(irq_picture(run(Plan("remapped", "asleep"))))
