"""The widget: every control, every state, and the words below."""

import itertools

import pytest

from virtlab.show.share_lab import BATCHES, GUESTS, SIZES, ShareLab, State, explain, half, twice
from virtlab.show.share_load import STEPS
from virtlab.show.share_metrics import METRICS


def test_twice_and_half_stay_inside():
    state = State(vms=1)
    seen = [state.vms]
    for _ in STEPS:
        state = twice(state)
        seen.append(state.vms)
    assert seen == [*STEPS, 64]
    for _ in STEPS:
        state = half(state)
    assert state.vms == 1


@pytest.mark.parametrize("name", METRICS)
def test_every_state_has_words(name):
    for vms, (_, size), batch, (_, asleep) in itertools.product(STEPS, SIZES, BATCHES, GUESTS):
        says = explain(State(vms, size, batch, asleep, name))
        assert says.endswith(".")
        assert METRICS[name].why in says


def test_who_is_best_and_why():
    says = explain(State())
    assert says.startswith("Exits. Least: SR-IOV and VT-d, 8 for each VM. Most: emulated, 68 ")
    assert explain(State(name="share")).startswith("Part of a 10 Gb/s wire, with one processor")
    assert "Most: SR-IOV, 100%. Least: VT-d, 25%." in explain(State(name="share"))


def test_ways_that_are_alike_are_named_together():
    says = explain(State(name="copied"))
    assert "Most: emulated, virtio and virtio in user space, 189.2 for each VM." in says
    assert "The same in all five ways: 4 for each VM." in explain(State(name="interrupts"))


def test_who_runs_out_is_said():
    """S43: whole cards run out."""
    assert explain(State(vms=4)).endswith("Every VM has a device in all five ways.")
    assert explain(State(vms=8)).endswith(
        "VT-d has 4 cards, and no slot for more: 4 VMs go without."
    )
    assert explain(State(vms=64)).endswith("SR-IOV has 63 virtual functions: 1 VM goes without.")


def test_a_guest_that_looks_exits_only_for_its_registers():
    assert "Least: SR-IOV and VT-d, 0 for each VM." in explain(State(asleep=False))


def test_every_control_is_named_and_changes_the_picture():
    lab = ShareLab()
    assert repr(lab) == "ShareLab: five ways to share a network"
    assert all(control.description for control in lab.controls)
    first, words = lab._picture.value, lab._says.value
    for name, value in (
        ("vms", 64),
        ("size", 60),
        ("batch", 1),
        ("asleep", False),
        ("name", "time"),
    ):
        before = lab._picture.value
        lab._controls[name].value = value
        assert lab._picture.value != before, name
    assert lab.state == State(64, 60, 1, False, "time")
    press(lab, "Reset")
    assert (lab._picture.value, lab._says.value) == (first, words)
    assert lab.state == State()


def test_the_buttons_double_and_halve():
    lab = ShareLab(State(vms=32))
    press(lab, "Twice the VMs")
    press(lab, "Twice the VMs")
    assert lab.state.vms == lab._controls["vms"].value == 64
    press(lab, "Half the VMs")
    assert lab.state.vms == 32
    press(lab, "Reset")
    assert lab.state == State(vms=32)


def press(lab, words):
    next(each for each in lab.controls if each.description == words).click()
