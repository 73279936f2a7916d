"""Batches of packets: what they leave is what one at a time leaves, whatever a guest places.

The same bytes are in the buffers on both sides, and the driver gets the same back from its queues.
"""

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.virtio.net_rig import DATA, MERGE, PEER, World, frame
from virtlab.backends import Frames, Link, Switch
from virtlab.backends.network import MAX_FRAME
from virtlab.guest.virtqueue import QueueFull
from virtlab.memory import GuestMemory
from virtlab.virtio.batch import Batch
from virtlab.virtio.chain import Buffer, Chain
from virtlab.virtio.features import Feature
from virtlab.virtio.net import DEFAULT_MAC
from virtlab.virtio.net_receive import chain_at

LAYOUTS = pytest.mark.parametrize("layout", ["split", "packed"])

PIECES = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from([1, 2, 10, 12, 13, 60, 72, 72, 200, 5000])),
    min_size=1,
    max_size=4,
)
SEND = st.tuples(
    st.just("send"),
    st.lists(st.tuples(PIECES, st.booleans()), min_size=1, max_size=12),
)
RECEIVE = st.tuples(
    st.just("receive"),
    st.lists(st.tuples(PIECES, st.booleans()), min_size=1, max_size=12),
)
ARRIVE = st.tuples(
    st.just("arrive"),
    st.lists(st.sampled_from([14, 60, 60, 60, 188, 500]), min_size=1, max_size=12),
)


class Side:
    """One of the two, with a memory full of the same bytes."""

    def __init__(self, layout, scalar, without, seed):
        self.world = World(layout=layout, scalar=scalar, without=without)
        queues = self.world.by_hand(size=16, entries=6)
        self.queues = dict(zip(["receive", "send"], queues, strict=False))
        rng = random.Random(seed)
        self.world.ram.write(DATA, rng.randbytes(0x10000))
        # Headers that ask for nothing, at most places.
        for number in range(36):
            self.world.ram.write(DATA + 0x400 * number, bytes(12))

    def step(self, action, items):
        if action == "arrive":
            made = Frames.of([frame(n, fill=number) for number, n in enumerate(items)])
            self.world.link.b.send_many(made)
            return
        queue = self.queues[action]
        for pieces, odd in items:
            spans = [(DATA + 0x400 * place, length) for place, length in pieces]
            first, second = spans[: odd and 1], spans[odd and 1 :]
            out, in_ = (first, second) if action == "receive" else (first or spans, second[1:])
            try:
                queue.add_buf(out, in_, "token")
            except QueueFull:
                break
        queue.kick()

    def state(self):
        world = self.world
        memory = hash(world.ram.read(DATA, 0x20000))
        used = [list(map(tuple, iter(queue.get_buf, None))) for queue in self.queues.values()]
        counts = (
            dict(world.device.counts),
            dict(world.link.a.counts),
            len(world.device.receivers[0]),
        )
        return memory, used, world.heard, counts, world.broken, world.rig.status


@settings(
    max_examples=settings.default.max_examples // 3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(st.one_of(SEND, RECEIVE, ARRIVE), min_size=1, max_size=8),
    st.sampled_from([set(), {MERGE}, {Feature.RING_INDIRECT_DESC}, {Feature.RING_EVENT_IDX}]),
    st.integers(0, 3),
)
@LAYOUTS
def test_a_batch_leaves_what_one_at_a_time_leaves(layout, steps, without, seed):
    """Any chains: in any pieces, too short, too long, overlapping, to read and to write."""
    sides = [Side(layout, scalar, without, seed) for scalar in (False, True)]
    for action, items in steps:
        for side in sides:
            side.step(action, items)
        one, other = (side.state() for side in sides)
        assert one == other


@LAYOUTS
@pytest.mark.parametrize("lengths", [[60] * 40, [60, 61, 1500, 14] * 10])
def test_a_batch_is_one_call_of_each_queue(layout, lengths, monkeypatch):
    """That the quick way is taken: no chain is given back alone, and no memory written."""
    world = World(layout=layout)
    driver = world.start(slots=64, slot=1600)
    queues = [setup.queue for setup in world.rig.core.queues[:2]]
    for queue in queues:
        monkeypatch.setattr(queue, "push", None)
    monkeypatch.setattr(Chain, "read", None)
    monkeypatch.setattr(Chain, "write", None)
    made = [frame(length, fill=n) for n, length in enumerate(lengths)]
    world.link.b.send_many(Frames.of(made))
    assert [packet.frame for packet in driver.receive()] == made
    driver.send(*made)
    assert world.heard == made


def test_batches_go_through_a_switch_as_batches():
    """Two devices at one switch: what one sends, the other gets, and nothing goes one by one."""
    switch = Switch(3)
    one, other = (
        World(device={"mac": mac}, wire=switch.ports[port])
        for port, mac in enumerate((DEFAULT_MAC, PEER))
    )
    for world in (one, other):
        world.start(slots=128)
    other.driver.send(frame(60, DEFAULT_MAC, PEER))
    assert len(one.driver.receive()) == 1
    for port in switch.ports:
        port.listener = None
    made = [frame(64, PEER, DEFAULT_MAC, fill=n) for n in range(100)]
    one.driver.send(*made)
    assert [packet.frame for packet in other.driver.receive()] == made
    assert switch.counts == {"flooded": 1, "forwarded": 100}


# -- pieces


def test_a_chain_of_a_batch_has_its_addresses_again():
    memory = GuestMemory([(0, 0x1000), (0x10000, 0x2000)])
    chains = [
        Chain(3, (Buffer(0x10800, 0x100, False), Buffer(0x10, 8, True)), 2),
        Chain(1, (Buffer(0x11FF0, 0x10, True),), 1),
    ]
    batch = Batch.of(chains, memory)
    assert [chain_at(batch, number, memory) for number in range(2)] == chains


@pytest.mark.parametrize(
    "lengths", [[], [60], [60, 60, 60], [14, 60, 1500, 20]], ids=["none", "one", "equal", "mixed"]
)
def test_frames_are_a_list_of_frames(lengths):
    made = [frame(length, fill=n) for n, length in enumerate(lengths)]
    frames = Frames.of(made)
    assert list(frames) == made
    assert len(frames) == len(made)
    assert frames.lengths.tolist() == lengths
    assert (frames.table is not None) == (len(set(lengths)) == 1)
    mask = np.array([n % 2 == 0 for n in range(len(made))], np.bool_)
    assert list(frames.take(mask)) == made[::2]
    assert list(frames.cut(0, 3)) == made[:3]
    assert list(frames.cut(len(made) // 2, len(made))) == made[len(made) // 2 :]
    assert frames.addresses(6).tolist() == [int.from_bytes(PEER, "big")] * len(made)


# -- a wire and a switch for batches


def test_a_wire_carries_batches_to_who_does_not_know_them():
    link, heard, seen = Link(), [], []
    link.b.listener = heard.append
    link.watchers.append(lambda end, each: seen.append(each))
    made = [frame(60, fill=1), b"short", frame(61), frame(60, fill=2), bytes(MAX_FRAME + 1)]
    assert link.a.send_many(Frames.of(made)) == 3
    assert heard == seen == [made[0], made[2], made[3]]
    assert link.a.counts == {"sent": 3, "dropped: size": 2}
    assert link.b.counts == {"received": 3}
    link.set_up(False)
    assert link.a.send_many(Frames.of(made)) == 0
    assert link.a.counts["dropped: no link"] == 3
    assert len(heard) == 3


def test_a_busy_wire_takes_as_many_as_find_room():
    link, heard = Link(queue=4), []

    def answer(each):
        heard.append(each)
        if len(heard) == 1:
            counts = [link.b.send_many(Frames.of([frame(60)] * 3)) for _ in range(2)]
            assert counts == [3, 1]

    link.b.listener = answer
    link.a.many_listener = lambda frames: heard.extend(frames)
    link.a.send(frame(60))
    assert len(heard) == 5
    assert link.b.counts["dropped: full"] == 2


@given(
    st.lists(st.tuples(st.sampled_from("ABCDGX"), st.sampled_from("ABCD")), min_size=1, max_size=30)
)
@settings(max_examples=40, deadline=None)
def test_a_switch_sends_a_batch_where_it_sends_each(pairs):
    """Once it knows who is where, the same frames come out of each port, in order."""
    names = {name: bytes([2, 0, 0, 0, 0, ord(name)]) for name in "ABCDX"}
    names["G"] = bytes([1, 0, 0, 0, 0, 1])
    made = [frame(60, names[to], names["A"], fill=n) for n, (to, _) in enumerate(pairs)]
    results = []
    for many in (False, True):
        switch, heard = Switch(4), [[], [], [], []]
        for number, port in enumerate(switch.ports):
            port.listener = heard[number].append
        for number, name in enumerate("ABC"):
            switch.ports[number].send(frame(60, names["X"], names[name]))
        if many:
            switch.ports[0].send_many(Frames.of(made))
        else:
            for each in made:
                switch.ports[0].send(each)
        results.append((heard, switch.counts, dict(switch.table)))
    one, other = results
    assert one[1:] == other[1:]
    # Frames of one way stay in order; two ways may pass each other.
    assert [sorted(port) for port in one[0]] == [sorted(port) for port in other[0]]
