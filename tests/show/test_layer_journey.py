"""The three places: what a run counts is the closed form, and the picture shows what ran."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.show.looks import check_picture, words_of
from virtlab.backends import SECTOR
from virtlab.clock import COSTS
from virtlab.guest.kernel import VOLUME
from virtlab.show.layer_journey import layer_journey
from virtlab.show.layer_lab import LayerLab
from virtlab.show.layer_runs import (
    FILE,
    SIZES,
    WAYS,
    Choice,
    Counts,
    closed_form,
    counts_of,
    experiment,
    pattern,
    rig,
    wrote,
)
from virtlab.show.layer_words import PATHS, cells, disk_copies, explain
from virtlab.trace import Trace

ALL = [way for _, way in WAYS]
SMALL = [Choice(way, size) for way, size in itertools.product(ALL, SIZES[:2])]
LARGE = [Choice(way, SIZES[-1]) for way in ALL[:3]]


@pytest.mark.parametrize("choice", SMALL + LARGE, ids=str)
def test_the_counts_of_a_run_are_the_closed_form(choice):
    assert experiment(choice) == closed_form(choice.way, choice.size)


def test_the_closed_form_in_numbers():
    assert closed_form("syscall", 4096) == Counts(1, 0, 1, 4096, 2)
    assert closed_form("hypercall", 4096) == Counts(1, 1, 2, 8192, 2)
    assert closed_form("dma", 4096) == Counts(15, 1, 2, 8192, 30)
    assert closed_form("pio", 4096) == Counts(8 + 8 * 257, 1, 9, 8192, 2 * 2064)


@pytest.mark.parametrize("way", ALL)
def test_the_bytes_on_the_disk_are_the_same_and_can_be_read_back(way):
    made = rig(way)
    wrote(made, 4096)
    start = VOLUME.start + 1
    assert (
        made.disk.disk.read(start, 9)
        == pattern(4096) + bytes((b"This is sector %d. " % (start + 8)) * SECTOR)[:SECTOR]
    )
    assert made.application.read(made.application.open(FILE), 4096) == pattern(4096)


def test_all_three_leave_the_same_disk():
    disks = set()
    for way in ALL:
        made = rig(way)
        wrote(made, 1024)
        disks.add(made.vm.disk.read(0, made.vm.disk.sectors))
    assert len(disks) == 1


writes = st.lists(st.integers(0, 1300), min_size=1, max_size=4)


@settings(max_examples=6, deadline=None)
@given(writes)
def test_whatever_is_written_the_layers_agree(sizes):
    """Parts of sectors too: the file layer, in the guest or in the VMM, does the same."""
    found = set()
    for way in ALL:
        made = rig(way)
        descriptor = made.application.open(FILE)
        done = [made.application.write(descriptor, pattern(size)) for size in sizes]
        assert done == sizes
        found.add(made.vm.disk.read(VOLUME.start, 20))
    assert len(found) == 1


def test_only_at_the_system_call_the_kernel_never_runs():
    for way in ALL:
        made = rig(way)
        wrote(made, 512)
        ran = made.vm.trace.counts["system call"]
        assert ran == (0 if way == "syscall" else 1)


def test_an_application_that_cannot_write_is_a_mistake_of_the_experiment():
    made = rig("hypercall")
    with pytest.raises(ValueError, match="wrote 65536 bytes, not 70000"):
        wrote(made, 70000)


def test_counts_are_priced_by_published_costs():
    counts = Counts(10, 2, 3, 8192, 20)
    parts = 10 * COSTS["vm_exit"].ns, 2 * COSTS["system_call"].ns, 2 * COSTS["copy_page"].ns
    assert counts.ns == sum(parts)
    assert cells(counts)[-1] == f"{sum(parts) / 1000:.1f}"


def test_a_world_switch_beyond_an_exit_is_added():
    trace = Trace()
    for kind in ("exit", "entry", "world switch", "world switch"):
        trace.emit(kind)
    assert counts_of(trace) == Counts(1, 0, 0, 0, 4)


# -- the picture


RUNS = {way: closed_form(way, 4096) for way in ALL}


def test_the_whole_picture_has_every_count():
    drawn = layer_journey(RUNS, Choice())
    check_picture(drawn)
    words = words_of(drawn)
    for count in ("DMA: 15 exits", "PIO: 2064 exits", "8 copies", "4128", "476.9", "1.3"):
        assert count in words
    assert words.count("1 exit") == 2
    assert "never runs" not in words
    assert all(" > ".join(path) in drawn.text for path in PATHS.values())


def test_without_a_run_there_is_a_map_and_no_count():
    drawn = layer_journey({}, Choice())
    check_picture(drawn)
    assert not any(word.endswith(("exit", "exits", "copies")) for word in words_of(drawn))
    assert "never runs" not in words_of(drawn)
    assert all(" > ".join(path) in drawn.text for path in PATHS.values())


@pytest.mark.parametrize("choice", [Choice(way) for way in ALL], ids=str)
def test_each_stage_is_drawn_and_said(choice):
    seen = set()
    path = PATHS[choice.way]
    for stage in range(len(path)):
        drawn = layer_journey({choice.way: RUNS[choice.way]}, choice, stage)
        check_picture(drawn)
        assert f"now: {path[stage]}" in drawn.text
        seen.add(drawn.svg)
        assert explain(choice, RUNS[choice.way], stage)
    assert len(seen) == len(path)


@pytest.mark.parametrize(
    ("way", "unused"), [("syscall", 3), ("hypercall", 1), ("dma", 0), ("pio", 0)]
)
def test_what_never_runs_is_said_so(way, unused):
    drawn = layer_journey({way: RUNS[way]}, Choice(way), len(PATHS[way]) - 1)
    assert words_of(drawn).count("never runs") == unused
    assert ("para-virtual: knows the VMM" in words_of(drawn)) == (way == "hypercall")


def test_a_count_stands_only_where_the_journey_has_been():
    path = PATHS["pio"]
    before = layer_journey({"pio": RUNS["pio"]}, Choice("pio"), path.index("c exits") - 1)
    there = layer_journey({"pio": RUNS["pio"]}, Choice("pio"), path.index("c exits"))
    assert "2064 exits" not in words_of(before)
    assert "2064 exits" in words_of(there)
    assert "8 copies" not in words_of(there)


def test_the_sentences_count():
    choice, counts = Choice("pio"), RUNS["pio"]
    said = [explain(choice, counts, stage) for stage in range(len(PATHS["pio"]))]
    assert "2064 exits: one for each access." in said
    assert "The data move to the disk: 8 copies." in said
    assert "word by word" in said[PATHS["pio"].index("c")]
    assert "fetches the data" in explain(Choice("dma"), RUNS["dma"], PATHS["dma"].index("c"))
    assert disk_copies("syscall", RUNS["syscall"]) == disk_copies("dma", RUNS["dma"]) == 1


# -- the widget


def pressed(widget, words):
    next(control for control in widget.controls if control.description == words).click()


def test_the_widget_steps_and_follows_its_choices():
    lab = LayerLab(Choice("hypercall"))
    first = lab._picture.value
    assert "Step 10 of 10." in lab._says.value
    pressed(lab, "First")
    assert "executes <code>SYSCALL</code>" in lab._says.value
    assert lab._picture.value != first
    pressed(lab, "Back")
    assert lab.stage.index == 0
    pressed(lab, "Step")
    assert "No exit" in lab._says.value
    pressed(lab, "Last")
    assert lab._picture.value == first
    lab._way.value = "dma"
    assert "15 exits" in lab._picture.value
    lab._size.value = 512
    assert lab.state == Choice("dma", 512)
    pressed(lab, "First")
    pressed(lab, "Reset")
    assert (lab.state, lab._picture.value) == (Choice("hypercall"), first)
    assert repr(lab) == "Where to cut: one write, three layers"
