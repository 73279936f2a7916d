"""The interrupt lab: every control, every state, nothing that breaks."""

import pytest

from tests.show.test_irq_run import PLANS
from virtlab.show import irq_lab
from virtlab.show.irq_lab import InterruptLab
from virtlab.show.irq_scene import DISK, Plan


def press(lab, words):
    next(item for item in lab.controls if item.description == words).click()


def shown(lab):
    return lab._picture.value, lab._says.value


def test_it_starts_at_the_end_of_a_posted_interrupt():
    lab = InterruptLab()
    assert lab.plan == Plan("posted", "running")
    assert lab.state.at_end
    assert "no exit. So far: 0 exits, 0 world switches." in lab._says.value
    assert repr(lab).startswith("InterruptLab: ")
    assert all(control.description for control in lab.controls)
    assert InterruptLab(Plan("off")).plan.unit == "off"


def test_a_new_plan_begins_at_its_first_step_and_reset_takes_it_back():
    lab = InterruptLab()
    before = shown(lab)
    lab._lists["sender"].value = DISK
    assert lab.plan == Plan(sender=DISK)
    assert lab.state.index == 0
    press(lab, "Last")
    assert "Nothing has come for it" in lab._says.value
    press(lab, "Back")
    assert "fault 26h" in lab._says.value
    press(lab, "Reset")
    assert shown(lab) == before
    assert lab._lists["sender"].value == lab.plan.sender


@pytest.mark.parametrize(("words", "index"), [("First", 0), ("Back", 7), ("Step", 8), ("Last", 8)])
def test_each_button_moves_what_it_says(words, index):
    lab = InterruptLab()
    press(lab, words)
    assert (lab.state.index, lab.state.length) == (index, 9)


def test_a_change_is_drawn_once(monkeypatch):
    """The controls that follow are not taken for the reader's."""
    lab, drawn = InterruptLab(), []
    real = irq_lab.irq_picture
    monkeypatch.setattr(
        irq_lab, "irq_picture", lambda trip, n: drawn.append(trip.plan) or real(trip, n)
    )
    lab._lists["unit"].value = "off"
    lab._lists["guest"].value = "asleep"
    press(lab, "Reset")
    assert drawn == [Plan("off"), Plan("off", "asleep"), Plan()]


def test_no_choice_breaks_it():
    lab = InterruptLab()
    for plan in PLANS:
        for name, value in plan._asdict().items():
            lab._lists[name].value = value
        assert lab.plan == plan
        for _ in range(lab.state.length):
            press(lab, "Step")
        assert lab.state.at_end
        assert lab._picture.value.startswith("<svg")
