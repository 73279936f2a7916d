"""The two figures, the steps of a trip in them, and the costs of a workload beside one."""

import pytest

from tests.show.looks import check_picture, words_of
from virtlab.show.palette import YELLOW_TINT
from virtlab.show.path_choice import WAYS, Choice
from virtlab.show.path_costs import costs_picture, figure_of, measured, pieces
from virtlab.show.path_figures import FIGURES, HEADS, STACK, Column, column, whole
from virtlab.show.path_forms import Counts, terms
from virtlab.show.path_picture import path_picture
from virtlab.show.path_player import draw, explain, frame
from virtlab.show.path_steps import BUFFER, QUEUE, Spent
from virtlab.show.path_trips import trip

TRIPS = ("pio", "dma", "virtio")


# -- the figures


def test_the_two_figures_of_the_lecture_have_the_same_boxes_in_the_same_places():
    drawn = path_picture(["dma", "virtio"])
    root = check_picture(drawn)
    words = words_of(drawn)
    for name in ("application", "KVM", "host's driver", "disk"):
        assert words.count(name) == 2
    for without, with_ in (("ATA driver", "front-end"), ("disk model", "back-end")):
        heights = [text.attrib["y"] for text in root.iter() if text.text in (without, with_)]
        assert len(heights) == 2
        assert heights[0] == heights[1]


def test_a_figure_alone_counts_nothing():
    drawn = path_picture(["pio", "virtio"])
    assert "exit" not in drawn.text
    assert "exits" not in words_of(drawn)
    assert "0 exits" not in words_of(drawn)


@pytest.mark.parametrize("way", FIGURES)
def test_every_figure_can_be_drawn_alone_and_is_named(way):
    drawn = path_picture([way])
    check_picture(drawn)
    assert HEADS[way] in drawn.text
    assert all(FIGURES[way][name] in words_of(drawn) for name in STACK)


def test_shared_memory_is_there_where_the_device_fetches():
    shares = {way: bool(FIGURES[way][QUEUE] and FIGURES[way][BUFFER]) for way in FIGURES}
    assert shares == {way: way != "pio" for way in FIGURES}
    assert "is shared" in words_of(path_picture(["pio"]))
    assert "shared memory: none" in path_picture(["pio"]).text
    assert "is shared" not in words_of(path_picture(["dma"]))


def test_a_picture_has_one_or_two_columns():
    for columns in ([], ["pio", "dma", "virtio"]):
        with pytest.raises(ValueError, match=f"one or two columns, not {len(columns)}"):
            path_picture(columns)


def test_a_figure_has_an_interrupt_where_one_came():
    assert "irq" in whole("dma").seen
    assert "irq" in whole("dma", Spent(interrupts=1)).seen
    assert "irq" not in whole("dma", Spent(exits=1)).seen


def test_without_an_exit_nobody_passed_through_kvm():
    seen = whole("virtio-net", Spent(copies=1)).seen
    assert not seen & {"exit", "kvm", "pass", "controller", "decode", "irq", "inject"}
    assert seen >= {"driver", "fetch", "queue", "device"}


# -- a trip in its figure


def test_before_the_first_step_nothing_was_passed():
    assert column("dma", trip("dma").steps, -1) == Column("dma", "", "", frozenset(), Spent(), "")
    assert "exits 0" in path_picture([column("dma", (), -1)]).text


@pytest.mark.parametrize("way", TRIPS)
def test_every_step_can_be_seen(way):
    steps, seen = trip(way).steps, set()
    for index, step in enumerate(steps):
        drawn = path_picture([column(way, steps, index), "virtio"])
        check_picture(drawn)
        assert drawn.svg.count(YELLOW_TINT) == 1, "one box is lit"
        assert f"[{FIGURES[way][step.at]}]" in drawn.text or step.at in (QUEUE, BUFFER)
        assert step.words in drawn.text
        seen.add(drawn.svg)
    assert len(seen) == len(steps)


def test_the_end_of_a_trip_has_all_its_costs():
    drawn = path_picture([trip("dma").column, trip("virtio").column])
    check_picture(drawn)
    words = words_of(drawn)
    assert "18 exits" in words
    assert "5 exits" in words
    assert words.count("1 IRQ") == words.count("1 request") == 2
    spent = trip("virtio").spent
    assert f"{spent.shared} accesses" in words
    assert f"{spent.fetched} accesses" in words
    assert "KVM without virtio: DMA, 18 exits; KVM with virtio, 5 exits" in drawn.svg


# -- two trips, one after the other


def test_the_left_trip_ends_before_the_right_one_begins():
    trips = [trip("dma"), trip("virtio")]
    left, right = (len(each.steps) for each in trips)
    assert frame(trips, 0) == [0, -1]
    assert frame(trips, left - 1) == [left - 1, -1]
    assert frame(trips, left) == [left - 1, 0]
    assert frame(trips, left + right - 1) == [left - 1, right - 1]


def test_a_frame_is_drawn_and_said_and_the_last_one_is_the_default():
    trips = [trip("dma"), trip("virtio")]
    left = len(trips[0].steps)
    last = left + len(trips[1].steps) - 1
    assert draw(trips).svg == draw(trips, last).svg
    assert explain(trips, 0).startswith("KVM without virtio: DMA, step 1 of ")
    assert explain(trips, left).startswith("KVM with virtio, step 1 of ")
    assert explain(trips, last).endswith("So far: exits 5, copies 2, interrupts 1.")


# -- a workload beside its figure

SOME = [
    *(Choice("disk", way, 2 * 4096, task="out") for way in WAYS["disk"]),
    *(Choice("net", way, 4, batch=2, task="in") for way in WAYS["net"]),
    Choice("net", "virtio", 4, task="out", interrupts=False, event_idx=True),
    Choice("net", "virtio", 4, task="in", interrupts=False, event_idx=True),
]


@pytest.mark.parametrize("choice", SOME, ids=lambda choice: f"{choice.device} {choice.way}")
def test_every_term_is_drawn_as_it_was_measured_and_predicted(choice):
    counts, found = measured(choice)
    drawn = costs_picture(choice, counts, found)
    check_picture(drawn)
    for term in terms(choice):
        assert term.name in words_of(drawn)
        assert f"{term.name:<20}{term.count:>8}   (formula: {term.count})" in drawn.text
    assert f"all exits{counts.exits:>19}   (formula: {counts.exits})" in drawn.text
    assert HEADS[figure_of(choice)] in words_of(drawn)


def test_what_differs_from_the_prediction_is_drawn_so():
    choice = Choice("disk", "dma", 4096, task="out")
    drawn = costs_picture(choice, Counts(io=3, hlt=7), {"HLT": 7})
    check_picture(drawn)
    assert f"{'HLT':<20}{7:>8}   (formula: 1)" in drawn.text
    assert f"{'task file':<20}{0:>8}   (formula: 6)" in drawn.text
    assert f"{'all exits':<20}{10:>8}   (formula: 18)" in drawn.text


def test_the_mark_stands_where_the_prediction_is_and_the_bar_ends_where_the_count_is():
    choice = Choice("disk", "dma", 4096, task="out")
    root = check_picture(costs_picture(choice, Counts(), {"HLT": 12, "task file": 3}))
    rows = [each for each in root.iter() if each.attrib.get("height") == "20"]
    marks = [each for each in root.iter() if each.attrib.get("stroke-width") == "3.5"]
    names = [term.name for term in terms(choice)]
    bars = {name: float(row.attrib["width"]) for name, row in zip(names, rows, strict=True)}
    start, unit = float(rows[0].attrib["x"]), bars["HLT"] / 12
    assert bars["task file"] == pytest.approx(3 * unit, abs=0.01)
    for term, mark in zip(terms(choice), marks, strict=True):
        assert float(mark.attrib["x1"]) == pytest.approx(start + term.count * unit, abs=0.02)


def test_a_disk_that_takes_one_command_at_a_time_is_said_to():
    choice = Choice("disk", "dma", 8 * 4096, batch=8, task="out")
    assert "1 at a time" in costs_picture(choice, *measured(choice)).text
    choice = Choice("net", "e1000", 8, batch=8, task="out")
    assert "8 packets, 8 at a time" in costs_picture(choice, *measured(choice)).text


def test_a_measurement_is_made_once():
    choice = Choice("net", "virtio", 4, task="out")
    assert measured(choice) is measured(choice)


def test_pieces_in_words():
    assert pieces(SOME[0], 1) == "1 request of 4 KiB"
    assert pieces(SOME[0], 2) == "2 requests of 4 KiB"
    assert pieces(SOME[3], 4) == "4 packets"
