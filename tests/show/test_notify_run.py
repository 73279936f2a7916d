"""Bells and interrupts in a virtual machine: what each costs, and what suppression saves."""

import pytest

from virtlab.clock import COSTS
from virtlab.machine import lesson_vm
from virtlab.show.notify_run import DOORBELL, LARGEST, LATE, WAYS, Ends, formula, measure
from virtlab.virtio.features import Feature


def test_a_request_is_a_bell_and_an_interrupt_and_three_exits():
    ends = Ends()
    assert ends.add("one")
    assert ends.exits == 1
    assert ends.serve()
    assert (ends.bells, ends.interrupts, ends.exits) == (1, 1, 3)
    assert ends.driver.get_buf() == ("one", 1)


def test_the_ring_itself_costs_no_exit():
    ends = Ends(lesson_vm())
    ends.device.disable_notify()
    ends.driver.disable_cb()
    assert not ends.add("quiet")
    assert not ends.serve()
    assert ends.driver.get_buf().token == "quiet"
    assert ends.exits == 0


def test_the_doorbell_has_nothing_to_read():
    ends = Ends()
    assert ends.guest.cpu.load(DOORBELL, 4) == 0
    assert ends.bells == 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("batch", [1, 3, LATE, 7, 16, LARGEST])
def test_the_counts_are_the_closed_form(way, batch):
    count = measure(way, batch)
    assert count.requests == 3 * batch
    assert count.bells == count.interrupts == 3 * batch * formula(way, batch)
    assert count.exits == count.bells + 2 * count.interrupts
    assert count.each == count.exits / count.requests
    assert count.ns_each == count.each * COSTS["vm_exit"].ns


@pytest.mark.parametrize("late", [1, 2, 9])
def test_flags_save_what_comes_after_the_other_side_is_awake(late):
    """A threshold does not care when that is."""
    assert measure("flags", 8, 2, late).bells == 2 * min(8, late)
    assert measure("thresholds", 8, 2, late).bells == 2
    assert formula("flags", 8, late) == min(8, late) / 8


def test_thresholds_save_across_the_wrap_of_the_index():
    """65536 positions are many; the counts run on from just below them."""
    ends = Ends(features=frozenset({Feature.RING_EVENT_IDX}))
    start = 65533
    ends.driver.added = ends.driver.exposed = ends.driver.last_used = start
    ends.guest.cpu.store(ends.rings.avail_field("idx"), start, 2)
    ends.guest.cpu.store(ends.rings.used_field("idx"), start, 2)
    ends.device.enable(ends.rings, ends.driver.features, start)
    assert ends.driver.enable_cb()
    assert ends.device.enable_notify()
    assert [ends.add(number) for number in range(6)] == [True] + 5 * [False]
    assert [ends.serve() for _ in range(6)] == [True] + 5 * [False]


@pytest.mark.parametrize(
    ("way", "batch", "batches", "late"),
    [("hope", 1, 1, 1), ("flags", 0, 1, 1), ("flags", LARGEST + 1, 1, 1), ("flags", 1, 0, 1)],
)
def test_what_cannot_be_measured_is_refused(way, batch, batches, late):
    with pytest.raises(ValueError, match=f"no {batches} batches of {batch} '{way}'"):
        measure(way, batch, batches, late)
