"""The VMM's side of a tree of tables: mapped, split, freed; and entries gathered at once."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.ept import Ept
from virtlab.vmm.exits import EptViolation
from virtlab.vmm.frames import Frames
from virtlab.vmm.tables import Tables, largest
from virtlab.vmm.walk import Step, Tree, gather, scatter

MIB2, GIB = 2 << 20, 1 << 30
PAGES = 1024
"""Pages of 4 KiB that the model has: two large ones, from `BASE` on."""

BASE = 0x4000_0000 - MIB2
"""So that the two large pages lie on both sides of a border of level 3."""


def ept(frames=64):
    return Ept(Frames(GuestMemory(frames * PAGE), 0, frames))


spans = st.one_of(
    st.tuples(st.integers(0, PAGES - 1), st.integers(0, 40)),
    st.tuples(st.sampled_from([0, 500, 512]), st.sampled_from([12, 24, 512, 524, 1024])),
)
operations = st.one_of(
    st.tuples(st.just("map"), spans, st.sampled_from([0, 5, 512]), st.booleans()),
    st.tuples(st.just("protect"), spans, st.sampled_from([0, 1, 3, 7])),
    st.tuples(st.just("unmap"), spans),
    st.tuples(st.just("clear")),
)


def do(tables, model, operation):
    """One operation on the tables, and on a dict `page -> (host page, rights)`."""
    if operation[0] == "clear":
        tables.clear()
        model.clear()
        return
    verb, (first, count), *more = operation
    count = min(count, PAGES - first)
    gpa, inside = BASE + first * PAGE, range(first, first + count)
    if verb == "map":
        shift, large = more
        tables.map(gpa, gpa + shift * PAGE, count * PAGE, large=large)
        model.update({page: (page + shift, 7) for page in inside})
    elif verb == "protect":
        tables.protect(gpa, count * PAGE, more[0])
        model.update({page: (model[page][0], more[0]) for page in inside if page in model})
    else:
        tables.unmap(gpa, count * PAGE)
    for page in inside:
        if verb == "unmap" or model.get(page, (0, 7))[1] == 0:
            model.pop(page, None)


@settings(max_examples=25, deadline=None)
@given(st.lists(operations, max_size=8), st.booleans())
@example([("protect", (500, 24), 1)], True)
@example([("unmap", (512, 12))], True)
@example([("map", (511, 2), 0, False), ("protect", (0, 512), 3)], True)
def test_whatever_is_done_the_tables_say_what_a_dict_says(steps, large):
    tables, model = ept(), {}
    for step in [("map", (0, PAGES), 512, True)] * large + steps:
        do(tables, model, step)
    gpas = BASE + PAGE * np.arange(PAGES, dtype=np.uint64)
    ends = tables.descend_many(gpas)
    for page in range(PAGES):
        host, rights = model.get(page, (0, 0))
        if rights:
            assert int(ends.results[page]) == BASE + host * PAGE
            assert int(ends.common[page]) & 7 == rights
        else:
            assert ends.codes[page] == 1


@settings(max_examples=15, deadline=None)
@given(st.lists(operations, max_size=8))
def test_no_frame_of_a_table_is_ever_lost(steps):
    tables, model = ept(), {}
    for step in steps:
        do(tables, model, step)
    assert tables.frames.left + tables_of(tables, tables.root, 4) == 64
    tables.clear()
    assert tables.frames.left == 63


def tables_of(tables, table, level):
    """How many tables there are at and below `table`."""
    entries = tables.memory.view(table, PAGE).view("<u8").tolist()
    below = [e for e in entries if e & 7 and not tables.is_leaf(e, level)]
    return 1 + sum(tables_of(tables, e & 0xFFFFF_FFFFF000, level - 1) for e in below)


def test_a_table_in_the_way_of_a_large_page_goes_back_to_the_pool():
    tables = ept()
    tables.map(0, 0, 2 * MIB2)
    assert tables.frames.left == 64 - 5
    tables.map(0, 0, 2 * MIB2, large=True)
    assert tables.frames.left == 64 - 3
    tables.set_entry(0, GIB | 0xB7, level=3)
    assert tables.frames.left == 64 - 2
    assert tables.translate(0x1234, 4, True) == GIB + 0x1234


@pytest.mark.parametrize(
    ("gpa", "hpa", "length", "level"),
    [
        (GIB, 0, GIB, 3),
        (GIB, 0, GIB - PAGE, 2),
        (GIB, MIB2, GIB, 2),
        (MIB2, GIB, MIB2, 2),
        (MIB2, GIB, MIB2 - PAGE, 1),
        (PAGE, PAGE, GIB, 1),
        (MIB2, PAGE, GIB, 1),
    ],
)
def test_the_largest_page_is_aligned_on_both_sides_and_not_too_long(gpa, hpa, length, level):
    assert largest(gpa, hpa, length) == level


@pytest.mark.parametrize("step", [Step(1, 0, 0x1007), Step(2, 0, 0x1007), Step(4, 0, 0x1087)])
def test_only_a_large_page_can_be_split(step):
    with pytest.raises(ValueError, match="no large page"):
        ept().split(step)


def test_unmapping_most_of_the_address_space_is_quick():
    tables = ept()
    tables.map(7 << 39, 0, PAGE)
    tables.unmap(0, 1 << 48)
    assert isinstance(tables.translate(7 << 39, 1, False), EptViolation)


def test_what_a_kind_of_table_decides_is_left_to_it():
    tree = Tree()
    for ask in (
        lambda: tree.root,
        lambda: tree.entry(0),
        lambda: tree.entries(np.zeros(1, np.uint64)),
        lambda: tree.problem(0, 1),
        lambda: tree.problem_many(np.zeros(1, np.uint64), 1),
        lambda: Tables(Frames(GuestMemory(PAGE), 0, 1)).translate(0, 1, False),
    ):
        with pytest.raises(NotImplementedError):
            ask()


# -- many entries at once

REGIONS = [(0x1000, 0x1000), (0x5004, 0x100C), (1 << 40, 0x1000)]
places = st.lists(
    st.one_of(
        st.sampled_from([base + n for base, size in REGIONS for n in (-8, -4, 0, size - 8, size)]),
        st.integers(0, 0x8000),
        st.integers(0, (1 << 52) - 1),
    ),
    max_size=20,
    unique_by=lambda place: place // 16,
)


@given(places, st.sampled_from([4, 8]), st.integers(0, (1 << 64) - 1))
def test_gathering_and_scattering_is_loading_and_storing(spots, size, word):
    one, many = GuestMemory(REGIONS), GuestMemory(REGIONS)
    for memory in (one, many):
        memory.bytes[:] = np.arange(memory.size, dtype=np.uint32).astype(np.uint8)
    at = np.array(spots, np.uint64)
    assert gather(many, at, size).tolist() == [load(one, spot, size) for spot in spots]
    words = [(word + n) % (1 << 64) for n in range(len(spots))]
    scatter(many, at, size, np.array(words, np.uint64))
    for spot, each in zip(spots, words, strict=True):
        store(one, spot, size, each)
    assert one.bytes.tobytes() == many.bytes.tobytes()


def load(memory, spot, size):
    """All ones where no region has all the bytes."""
    inside = any(base <= spot <= base + length - size for base, length in REGIONS)
    return memory.load(spot, size) if inside else (1 << 8 * size) - 1


def store(memory, spot, size, word):
    if any(base <= spot <= base + length - size for base, length in REGIONS):
        memory.store(spot, size, word)


def test_a_machine_without_memory_reads_all_ones():
    assert gather(GuestMemory([]), np.array([0, 8], np.uint64), 4).tolist() == [0xFFFF_FFFF] * 2
