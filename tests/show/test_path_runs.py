"""The same workload on every way, run and counted: it costs what the closed form says.

Each run checks its data in guest memory, on the disk and on the wire; the tests at the end see that
it does.
"""

import itertools

import pytest

from virtlab.clock import COSTS
from virtlab.show import path_runs
from virtlab.show.path_choice import REQUEST, Choice, settled
from virtlab.show.path_forms import closed_form, terms
from virtlab.show.path_runs import (
    BATCHES,
    Row,
    crossover,
    frame,
    measure,
    pattern,
    row,
    run,
    sweep,
    table,
)

TASKS = ("both", "out", "in")
BUSES = (
    ("pci", "split"),
    ("pci", "packed"),
    ("pci-legacy", "split"),
    ("mmio", "split"),
    ("mmio", "packed"),
)
# interrupts, event_idx, msix
SWITCHES = list(itertools.product((True, False), repeat=3))
SHAPES = ((1, 1), (5, 2), (9, 8), (40, 32))
"""Pieces, and how many at a time: mostly with a last batch that is not full."""


def costs_what_it_must(choice):
    made = run(choice)
    assert made.counts == closed_form(choice)
    assert made.terms == {term.name: term.count for term in terms(choice)}
    assert sum(made.terms.values()) == made.counts.exits
    return made


@pytest.mark.parametrize("task", ["out", "in"])
@pytest.mark.parametrize("interrupts", [True, False])
def test_a_disk_by_pio(task, interrupts):
    costs_what_it_must(Choice("disk", "pio", REQUEST, 1, interrupts, task))


def test_a_disk_by_pio_in_a_batch():
    costs_what_it_must(Choice("disk", "pio", 2 * REQUEST, 2, task="in"))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("interrupts", [True, False])
def test_a_disk_by_dma(task, interrupts):
    costs_what_it_must(Choice("disk", "dma", 9 * REQUEST, 8, interrupts, task))


@pytest.mark.parametrize(
    ("shape", "interrupts", "bundled"),
    [(SHAPES[n % 4], *two) for n, two in enumerate(itertools.product((True, False), repeat=2))]
    + [(SHAPES[n % 4], *two) for n, two in enumerate(itertools.product((False, True), repeat=2))],
)
def test_a_card_by_the_e1000(shape, interrupts, bundled):
    costs_what_it_must(Choice("net", "e1000", *shape, interrupts, bundled=bundled))


@pytest.mark.parametrize("task", ["out", "in"])
def test_one_direction_of_the_e1000(task):
    costs_what_it_must(Choice("net", "e1000", 5, 2, task=task, frame=1514))


def virtio(device, bus, shape, switches, task, size=64):
    interrupts, event_idx, msix = switches
    pieces, batch = shape
    amount = pieces * (REQUEST if device == "disk" else 1)
    wanted = Choice(device, "virtio", amount, batch, interrupts, task, size, *bus, event_idx, msix)
    return settled(wanted)


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("bus", range(len(BUSES)))
@pytest.mark.parametrize("device", ["disk", "net"])
def test_virtio_over_every_bus_and_layout(device, bus, half):
    """With each bus two of the four batches; switches and tasks take turns."""
    turn = 2 * bus + half + (device == "net")
    shape, switches = SHAPES[turn % 4], SWITCHES[turn * 3 % 8]
    costs_what_it_must(virtio(device, BUSES[bus], shape, switches, TASKS[turn % 3]))


@pytest.mark.parametrize("turn", range(len(SWITCHES)))
def test_virtio_receives_with_every_switch(turn):
    bus = BUSES[turn % 2]
    costs_what_it_must(virtio("net", bus, (5, 2), SWITCHES[turn], "in", 1514))


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("shape", [*SHAPES, (2, 2), (64, 32)])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("bus", BUSES)
@pytest.mark.parametrize("device", ["disk", "net"])
def test_virtio_in_every_combination(device, bus, task, shape):
    wanted = [virtio(device, bus, shape, switches, task) for switches in SWITCHES]
    for choice in dict.fromkeys(wanted):
        costs_what_it_must(choice)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("pieces", [1, 7, 33])
@pytest.mark.parametrize("interrupts", [True, False])
@pytest.mark.parametrize("batch", [1, 2, 8, 32])
@pytest.mark.parametrize("way", [("disk", "dma"), ("net", "e1000")])
def test_emulation_in_every_combination(way, batch, interrupts, pieces):
    amount = pieces * (REQUEST if way[0] == "disk" else 1)
    for task, bundled in itertools.product(TASKS, (False, True)):
        wanted = Choice(*way, amount, batch, interrupts, task, bundled=bundled)
        if settled(wanted) == wanted:
            costs_what_it_must(wanted)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("interrupts", [True, False])
@pytest.mark.parametrize("pieces", [3, 7])
def test_word_by_word_for_longer(pieces, interrupts):
    costs_what_it_must(Choice("disk", "pio", pieces * REQUEST, 2, interrupts))


# -- what a run is


@pytest.mark.parametrize("way", [("disk", "dma"), ("disk", "virtio"), ("net", "e1000")])
def test_time_passes_for_exits_and_for_nothing_else(way):
    """No device is waited for: its answer is there when the guest halts."""
    made = run(Choice(*way, REQUEST if way[0] == "disk" else 3))
    assert made.events[-1].time - made.events[0].time == made.counts.exits * COSTS["vm_exit"].ns


def test_a_run_keeps_its_events_and_its_machine():
    made = run(Choice("disk", "virtio", REQUEST, task="out"))
    kinds = [event.kind for event in made.events]
    assert kinds.count("exit") == made.counts.exits == 5
    assert kinds.count("inject") == 1
    assert kinds.index("copy") < kinds.index("inject")
    assert made.vm.disk.read(8, 8) == pattern(0, REQUEST)


def test_a_doorbell_is_the_first_exit_of_a_virtio_request_and_everything_else_is_memory():
    events = run(Choice("disk", "virtio", REQUEST, interrupts=False, task="in")).events
    assert [event.kind for event in events if event.kind in ("exit", "copy", "entry")] == [
        "exit",
        "copy",
        "entry",
    ]


def test_a_message_that_is_sent_again_before_it_is_taken_comes_once():
    """Without EVENT_IDX the device tells of each of four frames: one vector waits."""
    made = run(Choice("net", "virtio", 4, 4, task="in", msix=True))
    assert sum(event.kind == "msi" for event in made.events) == 4
    assert made.counts.interrupts == 1
    exact = run(Choice("net", "virtio", 4, 4, task="in", msix=True, event_idx=True))
    assert sum(event.kind == "msi" for event in exact.events) == 1


def test_the_counts_of_a_choice_are_always_the_same():
    choice = Choice("net", "virtio", 3, 2)
    assert measure(choice) == measure(choice) == run(choice).counts


def test_a_frame_is_as_long_as_was_asked():
    assert [len(frame(number, size)) for number, size in ((0, 60), (1, 64), (2, 1514))] == [
        60,
        64,
        1514,
    ]
    assert frame(1, 64) != frame(2, 64)


# -- tables


def test_a_row_is_for_each_block_or_packet():
    choice = Choice("disk", "virtio", 4 * REQUEST, 2)
    counts = closed_form(choice)
    made = row(choice, counts)
    assert made == Row(choice, 20 / 8, 16 / 8, 1, 4 / 8, counts.ns / 8, 20 / 32)


def test_a_table_of_runs_is_a_table_of_forms():
    choices = [
        Choice("disk", "dma", 2 * REQUEST),
        Choice("disk", "virtio", 2 * REQUEST, 2),
        Choice("net", "e1000", 2),
        Choice("net", "virtio", 2, msix=True),
    ]
    assert table(choices) == table(choices, measured=False)
    assert [each.exits for each in table(choices)] == [18, 2.5, 5.5 - 0.5, 2]


def test_a_batch_divides_what_virtio_costs():
    disk = Choice("disk", "virtio", REQUEST)
    assert sweep(disk) == [(batch, 5 / batch) for batch in BATCHES]
    assert sweep(disk._replace(msix=True)) == [(batch, 2 / batch) for batch in BATCHES]
    assert sweep(Choice("disk", "dma", REQUEST), (1, 32)) == [(1, 18), (32, 18)]


def test_a_sweep_by_forms_is_one_by_runs():
    card = Choice("net", "e1000", 1)
    for batch, exits in sweep(card, (1, 2, 8)):
        (measured,) = table([card._replace(amount=batch, batch=batch)])
        assert measured.exits == exits


@pytest.mark.parametrize(
    ("first", "second", "batch"),
    [
        (Choice("disk", "dma", REQUEST), Choice("disk", "virtio", REQUEST), 1),
        (Choice("net", "e1000", 1), Choice("net", "virtio", 1), 2),
        (Choice("net", "e1000", 1), Choice("net", "virtio", 1, transport="mmio"), 4),
        (Choice("net", "e1000", 1), Choice("net", "virtio", 1, event_idx=True), 1),
        (Choice("net", "e1000", 1, bundled=True), Choice("net", "virtio", 1), None),
        (Choice("net", "e1000", 1, bundled=True), Choice("net", "virtio", 1, msix=True), 1),
        (Choice("net", "virtio", 1), Choice("net", "virtio", 1), None),
    ],
)
def test_from_which_batch_on_the_second_is_better(first, second, batch):
    assert crossover(first, second) == batch


# -- a run that did not do its work has no counts


class Liar:
    """A disk's or a card's guest, one of whose verbs does something else."""

    def __init__(self, guest, **verbs):
        self.guest, self.verbs = guest, verbs

    def __getattr__(self, name):
        return self.verbs.get(name) or getattr(self.guest, name)


@pytest.mark.parametrize(
    ("choice", "verb", "lie", "what"),
    [
        (Choice("disk", "dma", REQUEST), "take", lambda at: [bytes(REQUEST)] * len(at), "read"),
        (Choice("disk", "dma", REQUEST), "put", lambda at, data: None, "written"),
        (Choice("net", "e1000", 1), "send", lambda frames: None, "sent"),
        (Choice("net", "e1000", 1), "receive", lambda count: [], "came in"),
    ],
)
def test_wrong_data_is_an_error(monkeypatch, choice, verb, lie, what):
    build = path_runs.world

    def lying(choice):
        made = build(choice)
        name = "disk" if made.disk is not None else "card"
        return made._replace(**{name: Liar(getattr(made, name), **{verb: lie})})

    monkeypatch.setattr(path_runs, "world", lying)
    with pytest.raises(RuntimeError, match=what):
        run(choice)
