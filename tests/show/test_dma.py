"""The picture of who moves the bytes: arrows from events, counted, and nothing left to colour."""

from xml.etree import ElementTree

from virtlab.registers import Reg
from virtlab.show.dma import DEVICE, MEMORY, PROCESSOR, dma_timeline, moves, tally
from virtlab.trace import Event, Trace


def events(*rows):
    """Events of `(kind, who, space, address, size, value, note)`, a part of it."""
    trace = Trace()
    with trace.recording() as kept:
        for row in rows:
            trace.emit(*row)
    return kept


PIO = [("in", "disk", "port", 0x1F0, 2, n) for n in range(256)]
DMA = [
    ("out", "disk", "port", 0xC000, 1, 9),
    ("dma read", "disk", "memory", 0x1000, 8),
    ("dma write", "disk", "memory", 0x2000, 512),
    ("interrupt", "", "", 0, 0, 0x2E, "vector 0x2e"),
]


def test_equal_accesses_are_one_arrow_with_a_count():
    (move,) = moves(events(*PIO))
    assert (move.times, move.bytes, move.start, move.end) == (256, 512, DEVICE, PROCESSOR)
    assert move.words == "256 × in 0x1f0, 2 bytes, disk"


def test_another_size_place_or_device_begins_a_new_arrow():
    first = ("in", "disk", "port", 0x1F0, 2)
    for other in (
        ("in", "disk", "port", 0x1F0, 4),
        ("in", "disk", "port", 0x1F7, 2),
        ("in", "card", "port", 0x1F0, 2),
        ("out", "disk", "port", 0x1F0, 2),
    ):
        assert [move.times for move in moves(events(first, other))] == [1, 1]


def test_memory_may_go_on_at_the_next_address():
    stores = [("store", "ram", "memory", 0x1000 + 4 * n, 4) for n in range(3)]
    (move,) = moves(events(*stores))
    assert (move.times, move.where, move.start, move.end) == (3, "0x1000", PROCESSOR, MEMORY)


def test_dma_never_touches_the_processor():
    for kind, start, end in (("dma read", MEMORY, DEVICE), ("dma write", DEVICE, MEMORY)):
        (move,) = moves(events((kind, "card", "memory", 0x1000, 64)))
        assert (move.start, move.end) == (start, end)


def test_the_tally_says_who_moved_what():
    assert tally(events(*PIO)) == (256, 0, 512, 0)
    assert tally(events(*DMA)) == (1, 1, 1, 520)


def test_what_is_refused_is_drawn_with_a_cross_and_in_words():
    drawn = dma_timeline(events(("fault", "disk", "memory", 0, 4, 0, "no memory there")))
    assert "refused: no memory there" in drawn.text
    assert drawn.svg.count("#D55E00") >= 2


def test_a_kind_that_moves_nothing_is_left_out():
    assert moves(events(("exit", "vm"), ("unclaimed", "", "port", 1, 1))) == []


def test_a_register_is_named_where_it_is_declared():
    reg = Reg(7, 1, name="STATUS")
    (move,) = moves(events(("in", "disk", "port", 0x1F7, 1)), {0x1F0: [reg]})
    assert move.words == "in STATUS, 1 byte, disk"


def test_the_picture_says_the_same_in_words():
    drawn = dma_timeline(events(*PIO, *DMA), limit=3, title="A disk")
    root = ElementTree.fromstring(drawn.svg)
    assert root.attrib["aria-label"] == (
        "A disk. Accesses by the processor: 257. Bytes by DMA: 520. Interrupts: 1."
    )
    lines = drawn.text.splitlines()
    assert lines[0] == "A disk"
    assert len(lines) == 5
    assert lines[-1].strip() == "and 2 more"
    assert "".join(root.itertext()).count("256 × in 0x1f0") == 1


def test_an_empty_trace_is_an_empty_picture():
    assert dma_timeline([]).text == "Who moves the bytes"
    assert moves([Event(0, 0, "load", "ram", "memory", 0, 1)])[0].words == "load 0x0, 1 byte"
