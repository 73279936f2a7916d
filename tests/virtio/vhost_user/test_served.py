"""Queues with a ledger: whatever way a device gives chains back, it is noted once."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.virtio.devices import Echo
from tests.virtio.vhost_user.front_end import DATA, FrontEnd, memfd, room
from virtlab.errors import GuestError
from virtlab.guest.virtio_device import RING_FEATURES, VirtioDriver
from virtlab.virtio.batch import WHOLE
from virtlab.virtio.device import RequestDevice, VirtioDevice
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import NEXT, packer
from virtlab.virtio.packed_layouts import PACKED_DESC
from virtlab.virtio.vhost_user.dirty_log import DirtyLog
from virtlab.virtio.vhost_user.inflight import Taken, region_bytes
from virtlab.virtio.vhost_user.inflight_packed import PackedTracker
from virtlab.virtio.vhost_user.ledger import Ledger
from virtlab.virtio.vhost_user.messages import ProtocolError
from virtlab.virtio.vhost_user.statistics import Event, Statistics

pack = packer(PACKED_DESC).pack


class Told(VirtioDevice):
    """It takes and gives back as `way` says, a function of the queue."""

    device_id = 77

    def __init__(self, way, in_order):
        super().__init__([32], {Feature.IN_ORDER} if in_order else ())
        self.way = way

    def handle(self, index, queue):
        self.way(queue)


def each(queue):
    while (chain := queue.pop()) is not None:
        queue.push(chain, 3)


def one_for_all(queue):
    chains = []
    while (chain := queue.pop()) is not None:
        chains.append(chain)
    if chains:
        queue.push(chains[-1], chains[-1].writable, len(chains))


def whole(queue):
    queue.push_many(queue.pop_many(), WHOLE)


def numbers(queue):
    batch = queue.pop_many()
    queue.push_many(batch, np.full(len(batch), 3))


def bare(queue):
    batch = queue.pop_many().copy()
    queue.push_many(batch.heads, 3)


def backwards(queue):
    batch = queue.pop_many().copy()
    queue.push_many(batch.heads[::-1], 3)


WAYS = {
    "each": (each, False),
    "one for all": (one_for_all, True),
    "whole": (whole, False),
    "whole, in order": (whole, True),
    "numbers": (numbers, False),
    "bare heads": (bare, False),
    "backwards": (backwards, False),
}


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("name", WAYS)
def test_every_chain_is_noted_once(layout, name):
    way, in_order = WAYS[name]
    events = []
    front = FrontEnd(Told(way, in_order), inflight=True, migration=True, watch=events.append)
    driver = VirtioDriver(front.cpu, front, room())
    driver.begin()
    driver.negotiate(RING_FEATURES - ({Feature.RING_PACKED} if layout == "split" else set()))
    queue = driver.add_queue(0, 32)
    driver.ready()
    fd = memfd(4096)
    log = DirtyLog.attach(fd, 4096, 0)
    for lap in range(7):
        for number in range(1, 8):
            at = DATA + 4096 * number
            queue.add_buf([(DATA, 4)], [(at, 3), (at + 100, 2)], number)
        if lap == 3:
            front.back_end.rings[0].ledger.log = log
        queue.kick()
        got = [queue.get_buf()[0] for _ in range(7)]
        assert sorted(got) == list(range(1, 8))
        tracker = front.back_end.rings[0].ledger.tracker
        states = tracker.inflight if layout == "split" else tracker.states["inflight"]
        assert not np.count_nonzero(states)
    taken = [head for event in events if event.kind == "pop" for head in event.heads]
    given = [head for event in events if event.kind == "push" for head in event.heads]
    assert len(taken) == 49
    assert sorted(taken) == sorted(given)
    lengths = [length for event in events if event.kind == "pop" for length in event.lengths]
    assert set(lengths) == {9}
    assert front.back_end.statistics.bytes == 49 * 9
    assert front.back_end.statistics.requests == 49
    bits = np.unpackbits(log.bits, bitorder="little")
    assert all(bits[DATA // 4096 + number] for number in range(1, 8))
    os.close(fd)
    front.close()


class Answers(Told, RequestDevice):
    """Its driver waits for answers."""


def all_of_it(queue):
    while len(batch := queue.pop_many()):
        queue.push_many(batch, 3)


def told_of(kind, layout, exact, count=7, laps=5):
    """What is told of the last of some laps: in each, `count` chains wait at once.

    This driver looks when all are done. With EVENT_IDX it asks to hear of the first alone.
    """
    events = []
    front = FrontEnd(kind(all_of_it, False), watch=events.append)
    driver = VirtioDriver(front.cpu, front, room())
    driver.begin()
    without = {Feature.RING_PACKED} if layout == "split" else set()
    driver.negotiate(RING_FEATURES - without - (set() if exact else {Feature.RING_EVENT_IDX}))
    queue = driver.add_queue(0, 32)
    driver.ready()
    for _ in range(laps):
        events.clear()
        for number in range(1, count + 1):
            at = DATA + 4096 * number
            queue.add_buf([(DATA, 4)], [(at, 3), (at + 100, 2)], number)
        queue.kick()
        assert sorted(queue.get_buf()[0] for _ in range(count)) == list(range(1, count + 1))
    kinds = [event for event in events if event.kind in ("pop", "push", "call", "quiet")]
    front.close()
    counts = front.back_end.statistics
    assert counts.quiet == counts.batches - counts.calls
    return [f"{event.kind} {len(event.heads) or ''}".strip() for event in kinds]


def portions(*sizes, exact=False):
    """The events of these portions."""
    last = ["quiet" if exact and number else "call" for number in range(len(sizes))]
    return [
        event
        for size, word in zip(sizes, last, strict=True)
        for event in (f"pop {size}", f"push {size}", word)
    ]


@pytest.mark.parametrize("exact", [False, True], ids=["", "event_idx"])
@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize(
    ("first", "data", "sizes"),
    [
        (16, 1 << 20, [7]),
        (2, 1 << 20, [2, 4, 1]),
        (16, 7 * 9, [7]),
        (16, 4 * 9, [4, 3]),
        (16, 3, [1] * 7),
    ],
)
def test_who_waits_is_told_of_each_portion(exact, layout, first, data, sizes, monkeypatch):
    """How much data a chain has is known from the lap before. The number doubles within a lap."""
    monkeypatch.setattr("virtlab.virtio.vhost_user.portions.FIRST", first)
    monkeypatch.setattr("virtlab.virtio.vhost_user.portions.DATA", data)
    assert told_of(Answers, layout, exact) == portions(*sizes, exact=exact)


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_a_device_that_answers_nobody_takes_all_at_once(layout, monkeypatch):
    monkeypatch.setattr("virtlab.virtio.vhost_user.portions.FIRST", 2)
    assert told_of(Told, layout, exact=True) == portions(7)


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_who_asks_for_fewer_than_a_portion_gets_fewer(layout, monkeypatch):
    def three_at_once(queue):
        while len(batch := queue.pop_many(3)):
            queue.push_many(batch, 3)

    monkeypatch.setitem(globals(), "all_of_it", three_at_once)
    assert told_of(Answers, layout, exact=False) == portions(3, 3, 1)


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_an_empty_queue_found_chain_by_chain_is_the_end_of_a_portion_too(layout, monkeypatch):
    """`pop` finds nothing, as `pop_many` may."""

    def one_by_one_at_last(queue):
        queue.push_many(queue.pop_many(), 3)
        each(queue)

    monkeypatch.setattr("virtlab.virtio.vhost_user.portions.FIRST", 6)
    monkeypatch.setitem(globals(), "all_of_it", one_by_one_at_last)
    said = told_of(Answers, layout, exact=False)
    assert said == [*portions(6), "pop 1", "push 1", "call"]


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_nothing_given_back_is_nothing_noted(layout):
    front = FrontEnd(Echo())
    driver = VirtioDriver(front.cpu, front, room())
    driver.begin()
    driver.negotiate(RING_FEATURES - ({Feature.RING_PACKED} if layout == "split" else set()))
    driver.add_queue(0)
    driver.ready()
    front.notify(0, 0)
    queue = front.back_end.rings[0].queue
    batch = queue.pop_many()
    queue.push_many(batch)
    queue.push_many([], 0)
    assert queue.used == 0
    assert front.back_end.statistics.batches == 0
    front.close()


# -- the log


def test_a_page_is_a_bit():
    log = DirtyLog(np.zeros(4, np.uint8))
    log.mark(0x8FFF, 2)
    log.mark(0x3000, 0)
    log.mark(33 << 12, 1)
    log.mark_many(np.array([0x1F000, 0x2800]), np.array([1, 0x1000]))
    log.mark_many(np.zeros(0, np.int64), np.zeros(0, np.int64))
    pages = np.flatnonzero(np.unpackbits(log.bits, bitorder="little"))
    assert list(pages) == [2, 3, 8, 9, 31]


def test_a_log_lies_anywhere_in_its_file(tmp_path):
    fd = memfd(8192)
    DirtyLog.attach(fd, 10, 4090).mark(0x40000, 0x1000)
    assert os.pread(fd, 1, 4098) == b"\x01"
    for size, offset, why in (
        (0, 0, "are the most"),
        (1 << 30, 0, "are the most"),
        (1, 1 << 63, "are the most"),
        (8192, 4096, "of a file that has"),
    ):
        with pytest.raises(ProtocolError, match=why):
            DirtyLog.attach(fd, size, offset)
    os.close(fd)
    path = tmp_path / "log"
    path.write_bytes(bytes(4096))
    with path.open("rb") as only, pytest.raises(ProtocolError, match="cannot be mapped"):
        DirtyLog.attach(only.fileno(), 4096, 0)


def test_what_is_counted_and_told():
    counts, events = Statistics(kicks=2, calls=1, requests=10), []
    assert counts.saved == 17
    ledger = Ledger(3, None, counts)
    ledger.tell("kick")
    ledger.watch = events.append
    ledger.tell("pop", [1, 2], [16, 4096])
    ledger.gave(None, np.array([5]), 1, WHOLE)
    assert [str(event) for event in events] == ["pop ring 3 1:16 2:4096", "push ring 3 5:0"]
    assert str(Event("stop", 0, note="done")) == "stop ring 0 done"


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_what_is_left_over_is_checked_like_anything_else(layout):
    """Of three chains the second is none: the first is served, then the ring is refused."""
    front = FrontEnd(Echo())
    driver = VirtioDriver(front.cpu, front, room())
    driver.begin()
    driver.negotiate({Feature.VERSION_1} | ({Feature.RING_PACKED} if layout == "packed" else set()))
    ring = driver.add_queue(0)
    driver.ready()
    front.muffled = True
    for number in range(3):
        ring.add_buf([(DATA + 64 * number, 4)], [], number)
    ring.kick()
    front.muffled = False
    vring = front.back_end.rings[0]
    vring.start(front.back_end.features, None)
    queue, rings = vring.queue, ring.rings
    raw = [front.ram.read(rings.desc_at(number), 16) for number in range(3)]
    left = [Taken(number, raw[number]) for number in range(3)]
    left[1] = Taken(1, bytes(16))
    front.ram.write(rings.desc_at(1), bytes(16))
    queue.resume(left)
    assert queue.available()
    assert [list(queue.pop_many(0).heads), list(queue.pop_many(2).heads)] == [[], [0]]
    with pytest.raises(GuestError, match="0 bytes"):
        queue.pop_many()
    assert len(queue.left) == 2
    front.close()


LISTS = {
    "whole": ([(4, 0, NEXT), (4, 5, 0)], ""),
    "that ends early": ([(4, 3, 0), (4, 5, 0)], "2 descriptors with id 5"),
    "that goes on": ([(4, 5, NEXT)], "slot 1 in a list"),
}


@pytest.mark.parametrize("name", LISTS)
def test_notes_on_a_list_are_a_list(name):
    """The front-end has changed flags in its notes: that ends the ring, and not the process."""
    rows, why = LISTS[name]
    front = FrontEnd(Echo())
    driver = VirtioDriver(front.cpu, front, room())
    driver.begin()
    driver.negotiate({Feature.VERSION_1, Feature.RING_PACKED})
    driver.add_queue(0)
    driver.ready()
    vring = front.back_end.rings[0]
    vring.start(front.back_end.features, None)
    queue = vring.queue
    region = np.zeros(region_bytes(queue.size, packed=True), np.uint8)
    before = PackedTracker(region, queue.size, queue.size)
    before.recover(0, lambda position: 0)
    raw = b"".join(pack(DATA, *row) for row in rows)
    before.take([5], [len(rows)], raw)
    vring.ledger.tracker = PackedTracker(region, queue.size, queue.size)
    queue.resume(vring.ledger.tracker.recover(0, lambda position: 0)[1])
    vring.enabled = True
    notes = []
    vring.ledger.watch = lambda event: notes.append(event.note)
    front.back_end.notify(0)
    assert vring.broken == bool(why)
    assert why in notes[-1]
    assert queue.used == (0 if why else 2)
    front.close()


def test_notes_that_promise_more_than_the_ring_has():
    """In flight, say the notes; nothing is available, says the ring: then nothing is taken."""
    front = FrontEnd(Echo())
    driver = VirtioDriver(front.cpu, front, room())
    driver.begin()
    driver.negotiate({Feature.VERSION_1})
    driver.add_queue(0)
    driver.ready()
    vring = front.back_end.rings[0]
    vring.start(front.back_end.features, None)
    vring.queue.resume([Taken(0)])
    assert len(vring.queue.pop_many()) == 0
    front.close()
