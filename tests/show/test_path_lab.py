"""The widgets: every control changes what is run, nothing breaks them, and Reset goes back."""

import pytest

from virtlab.show import PathLab, PathPlayer
from virtlab.show.path_choice import Choice
from virtlab.show.path_costs import measured
from virtlab.show.path_forms import closed_form
from virtlab.show.path_lab import (
    PIECES,
    PIO_PIECES,
    START,
    TASKS,
    TRANSPORTS,
    WAKES,
    WAYS,
    asked,
    explain,
)
from virtlab.show.path_trips import trip

DISK, NET, E1000 = ("disk", "virtio", False), ("net", "virtio", False), ("net", "e1000", False)


def pressed(widget, words):
    next(control for control in widget.controls if control.description == words).click()


def listed(widget, words):
    return next(control for control in widget.controls if control.description == words)


# -- what the controls ask for


def test_it_starts_with_a_disk_whose_requests_share_a_doorbell():
    assert asked(DISK, "out", 4, "pci", "wire", False) == START


@pytest.mark.parametrize("way", [way for _, way in WAYS])
@pytest.mark.parametrize("transport", [each for _, each in TRANSPORTS])
@pytest.mark.parametrize("wake", [each for _, each in WAKES])
def test_whatever_is_chosen_is_a_choice_that_there_is(way, transport, wake):
    for _, task in TASKS:
        for batch in (1, 32):
            closed_form(asked(way, task, batch, transport, wake, True))


def test_what_a_way_does_not_have_is_left_out():
    made = asked(E1000, "in", 8, "mmio", "message", True)
    assert made == Choice("net", "e1000", PIECES, batch=8, task="in")
    assert not asked(NET, "in", 8, "mmio", "message", True).msix
    assert asked(NET, "in", 8, "pci", "message", True).msix


def test_a_driver_that_gives_its_buffers_back_together_saves_the_tails():
    exits = {}
    for bundled in (False, True):
        made = asked(("net", "e1000", bundled), "in", 32, "pci", "wire", False)
        exits[bundled] = measured(made)[0].exits
    assert exits == {False: 32 + 4, True: 1 + 4}


def test_word_by_word_two_requests_are_enough():
    made = asked(("disk", "pio", False), "out", 32, "pci", "wire", False)
    assert (made.amount, made.batch) == (PIO_PIECES * 4096, PIO_PIECES)


def test_who_looks_is_not_interrupted():
    made = asked(NET, "out", 32, "pci", "look", True)
    assert measured(made)[0].exits == 1
    assert not made.interrupts


# -- what is said


def test_the_sentence_has_the_counts_and_what_they_are_for_each():
    says = explain(START, "wire")
    assert "32 requests of 4 KiB: 40 exits, as predicted. That is 1.25 for each 4 KiB." in says


def test_the_sentence_says_what_changed_nothing():
    e1000 = asked(E1000, "out", 1, "mmio", "message", True)
    assert "virtio's: here they change nothing" in explain(e1000, "message")
    dma = asked(("disk", "dma", False), "out", 8, "pci", "wire", False)
    assert "one command at a time" in explain(dma, "wire")
    alone = asked(NET, "out", 1, "pci", "wire", False)
    assert "pays for its own doorbell" in explain(alone, "wire")
    window = asked(NET, "out", 8, "mmio", "message", False)
    assert "no MSI-X over MMIO" in explain(window, "message")
    assert "change nothing" not in explain(window, "message")


def test_the_sentence_says_no_more_than_there_is():
    assert "doorbell" not in explain(START, "wire")
    woken = asked(DISK, "out", 4, "pci", "message", False)
    assert "MSI-X" not in explain(woken, "message")


def test_there_is_a_setting_without_any_exit():
    """Who looks, and need not ring, does not leave the guest once."""
    made = asked(NET, "in", 32, "pci", "look", True)
    assert "32 packets: 0 exits, as predicted." in explain(made, "look")


def test_one_exit_is_one_exit():
    made = asked(NET, "out", 32, "pci", "look", True)
    assert "32 packets: 1 exit, as predicted." in explain(made, "look")


def test_a_count_that_was_not_predicted_is_said(monkeypatch):
    counts, found = measured(START)
    monkeypatch.setattr(
        "virtlab.show.path_lab.measured", lambda choice: (counts._replace(io=0), found)
    )
    assert f"predicted were {counts.exits}" in explain(START, "wire")


# -- the lab


def test_the_lab_follows_its_controls():
    lab = PathLab()
    first = lab._picture.value
    assert lab.state == START
    assert "40 exits, as predicted" in lab._says.value
    seen = {first}
    for words, value in (
        ("Batch", 32),
        ("Transport", "mmio"),
        ("The guest", "look"),
        ("Way", NET),
        ("Direction", "in"),
        ("EVENT_IDX", True),
        ("Way", ("net", "e1000", True)),
        ("Way", ("disk", "pio", False)),
    ):
        listed(lab, words).value = value
        seen.add(lab._picture.value)
    assert len(seen) >= 8
    assert lab.state.way == "pio"


def test_reset_goes_back_to_the_start():
    lab = PathLab()
    first = lab._picture.value
    listed(lab, "Way").value = E1000
    listed(lab, "EVENT_IDX").value = True
    pressed(lab, "Reset")
    assert (lab.state, lab._picture.value) == (START, first)
    assert repr(lab) == "PathLab: two devices, six ways"


# -- the player


def test_the_player_starts_at_the_end_and_walks_both_trips():
    player = PathPlayer(["dma", "virtio"])
    left, right = (len(trip(way).steps) for way in ("dma", "virtio"))
    end = player._picture.value
    assert player.state.length == left + right
    assert player.state.at_end
    pressed(player, "First")
    assert "KVM without virtio: DMA, step 1" in player._says.value
    assert player._picture.value != end
    pressed(player, "Step")
    assert "the kernel finds the sectors" in player._says.value
    player._chapters.value = left
    assert "KVM with virtio, step 1" in player._says.value
    pressed(player, "Reset")
    assert player._picture.value == end
    assert repr(player) == f"One request, two ways: {left + right} frames"
