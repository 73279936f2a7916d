"""Pinning: a frame with users stays; any other may move, and its guest sees no difference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vmm.rig import Host, vm_on
from virtlab.memory import PAGE
from virtlab.vmm.pinning import Mover, Pins

spans = st.tuples(st.integers(0, 6 * PAGE), st.integers(0, 2 * PAGE + 2))


@given(st.lists(spans, max_size=8))
def test_a_frame_is_pinned_as_often_as_it_is_named(named):
    pins = Pins()
    for hpa, length in named:
        pins.pin(hpa, length)
    for frame in range(0, 10 * PAGE, PAGE):
        users = sum(n > 0 and h < frame + PAGE and frame < h + n for h, n in named)
        assert pins.counts[frame] == users
        assert pins.pinned(frame + 5) == (users > 0) == (frame in pins.counts)
    for hpa, length in named:
        pins.unpin(hpa, length)
    assert not len(pins)


def test_to_unpin_what_is_not_pinned_is_our_bug():
    pins = Pins()
    pins.pin(0, PAGE)
    with pytest.raises(ValueError, match="frame at 0x1000 is not pinned"):
        pins.unpin(PAGE, 1)


@pytest.mark.parametrize("paging", ["ept", "shadow"])
def test_a_moved_page_reads_the_same_and_lies_elsewhere(paging):
    host = Host()
    vm, _, _ = vm_on(host, paging=paging)
    vm.cpu.write(PAGE, b"where am I")
    old, exits = vm.ram.frames[PAGE], vm.vmm.exits.total()
    new = Mover(host.frames, Pins()).move(vm, PAGE + 7)
    assert new == vm.ram.frames[PAGE] != old
    assert vm.cpu.read(PAGE, 10) == vm.ram.read(PAGE, 10) == b"where am I"
    vm.ram.write(PAGE, b"here now!!")
    assert vm.cpu.read(PAGE, 10) == b"here now!!"
    assert vm.vmm.exits.total() == exits
    assert host.trace.counts["copy"] == 1


def test_a_page_whose_entry_was_taken_away_stays_without_one():
    host = Host()
    vm, _, _ = vm_on(host)
    vm.tables.unmap(PAGE, PAGE)
    Mover(host.frames).move(vm, PAGE)
    assert vm.tables.walk(PAGE).problem == "not present"


def test_a_pinned_page_stays_until_it_is_unpinned():
    host, pins = Host(), Pins()
    vm, _, _ = vm_on(host)
    mover, frame = Mover(host.frames, pins), vm.ram.hpa(0)
    pins.pin(frame + 100, 4)
    with host.trace.recording() as events:
        assert mover.move(vm, 0) is None
    assert [(event.kind, event.value) for event in events] == [("pinned", frame)]
    assert vm.ram.hpa(0) == frame
    pins.unpin(frame + 100, 4)
    assert mover.move(vm, 0) == vm.ram.hpa(0) != frame


def test_a_frame_that_was_left_is_the_next_to_be_used():
    host = Host()
    one, _, _ = vm_on(host, name="one")
    two, _, _ = vm_on(host, name="two")
    mover, left = Mover(host.frames), one.ram.hpa(0)
    mover.move(one, 0)
    assert mover.move(two, 3 * PAGE) == left
    frames = [*one.ram.frames.values(), *two.ram.frames.values()]
    assert len(set(frames)) == len(frames)


def test_a_page_that_is_not_there_cannot_move():
    host = Host()
    vm, _, _ = vm_on(host)
    with pytest.raises(ValueError, match="vm has no page at 0x8000"):
        Mover(host.frames).move(vm, 8 * PAGE)
