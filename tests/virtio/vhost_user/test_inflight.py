"""INFLIGHT: a back-end is killed at any moment, and the next one finishes what it had begun."""

from __future__ import annotations

import itertools
import os
import random

import numpy as np
import pytest

from tests.virtio.vhost_user.crash import CrashingFrontEnd, settle_steps
from tests.virtio.vhost_user.front_end import DATA, memfd, room
from tests.virtio.vhost_user.test_devices import (
    IMAGE,
    SECTORS,
    WITHOUT,
    blk,
    random_requests,
    run,
)
from virtlab.backends.disk import Disk
from virtlab.guest.virtio_device import RING_FEATURES, VirtioDriver
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.device import VirtioDevice, waiting
from virtlab.virtio.packed_layouts import avail_bits, used_bits
from virtlab.virtio.vhost_user.inflight import (
    ALIGN,
    PACKED_REGION,
    PACKED_STATE,
    SPLIT_REGION,
    SPLIT_STATE,
    Inflight,
    region_bytes,
)
from virtlab.virtio.vhost_user.inflight_packed import PackedTracker
from virtlab.virtio.vhost_user.inflight_split import SplitTracker
from virtlab.virtio.vhost_user.messages import ProtocolError


def test_the_layouts_are_those_of_the_text():
    assert SPLIT_REGION.itemsize == 16
    assert SPLIT_STATE.itemsize == 16
    assert SPLIT_REGION.fields["used_idx"][1] == 14
    assert SPLIT_STATE.fields["counter"][1] == 8
    # A C compiler puts the states of 8-byte alignment behind 29 bytes of header.
    assert PACKED_REGION.itemsize == 32
    assert PACKED_STATE.itemsize == 32
    assert PACKED_REGION.fields["old_used_wrap_counter"][1] == 21
    assert [PACKED_STATE.fields[name][1] for name in ("next", "last", "num")] == [2, 4, 6]
    assert [PACKED_STATE.fields[name][1] for name in ("id", "flags", "len", "addr")] == [
        16,
        18,
        20,
        24,
    ]
    assert region_bytes(5, packed=False) == 2 * ALIGN


# -- whole sessions


class Lazy(VirtioDevice):
    """Answers out of order: it holds chains, and gives back a random one for each that comes.

    `served` notes what each chain said, in the order in which they were taken.
    """

    device_id = 99

    def __init__(self, seed, served):
        super().__init__([16])
        self.rng, self.served = random.Random(seed), served
        self.held = []

    def handle(self, index, queue):
        for chain in waiting(queue):
            said = chain.read(queue.dma)
            self.served.append(said)
            self.held.append(chain)
        while len(self.held) > 3:
            chain = self.held.pop(self.rng.randrange(len(self.held)))
            queue.push(chain, chain.write(queue.dma, chain.read(queue.dma)[::-1]))

    def reset(self):
        self.held = []

    def queue_reset(self, index):
        self.held = []


def moments(seed, most):
    rng = random.Random(seed)
    while True:
        yield rng.randint(1, rng.choice([most, most, 300]))


@pytest.mark.parametrize("name", WITHOUT)
def test_no_request_is_lost_when_back_ends_are_killed(name, monkeypatch):
    """Each is killed after a few steps, in whatever step that is."""
    crashing = []
    settle_steps(monkeypatch, crashing)
    disk = Disk.of(IMAGE)
    front = CrashingFrontEnd(lambda: VirtioBlk(disk, queue_size=64), moments(7, 12))
    crashing.append(front)
    driver = blk(front, WITHOUT[name])
    batches, content = random_requests(1500, seed=1)
    run(driver, batches, content)
    assert disk.read(0, SECTORS) == content
    assert front.kills >= 5
    front.close()


@pytest.mark.parametrize("name", ["split, any order", "packed, any order"])
@pytest.mark.parametrize("most", [3, 9, 30])
def test_chains_out_of_order_come_back_once_each(name, most, monkeypatch):
    """Every chain is answered, once, and what was in flight is served first, oldest first."""
    crashing, served = [], []
    settle_steps(monkeypatch, crashing)
    counter = iter(range(10**6))
    front = CrashingFrontEnd(lambda: Lazy(next(counter), served), moments(most, most))
    crashing.append(front)
    driver = VirtioDriver(front.cpu, front, room())
    driver.begin()
    driver.negotiate(RING_FEATURES - WITHOUT[name])
    queue = driver.add_queue(0, 16, 4)
    driver.ready()
    answered, free = {}, list(range(12))
    number = 0
    while number < 400:
        while free and number < 400:
            slot = free.pop()
            said = number.to_bytes(4, "little")
            at = DATA + 256 * slot
            front.ram.write(at, said)
            queue.add_buf([(at, 2), (at + 2, 2)], [(at + 64, 4)], (number, slot))
            number += 1
            queue.kick()
            front.pump()
        while (done := queue.get_buf()) is not None:
            (token, slot), length = done
            assert token not in answered
            assert length == 4
            answered[token] = front.ram.read(DATA + 256 * slot + 64, 4)
            free.append(slot)
    assert all(answered[token] == token.to_bytes(4, "little")[::-1] for token in answered)
    assert len(answered) >= 390
    assert front.kills >= 5
    # Out of what was taken, numbers only go back where a back-end began anew, and then rise again.
    numbers = [int.from_bytes(said, "little") for said in served]
    falls = sum(after < before for before, after in itertools.pairwise(numbers))
    assert falls <= front.kills
    front.close()


def test_the_driver_hears_of_what_a_killed_back_end_had_not_told(make):
    """Chains were used, and the process died before the call: else the driver sleeps for ever."""
    world = make(inflight=True)
    front = world.front
    world.back_end.rings[0].on_call = lambda: None
    front.interrupts()
    world.say()
    assert front.interrupts() == 0
    front.kill()
    front.reconnect()
    assert front.interrupts() == 1
    assert world.heard() == b"hello"


def test_a_doorbell_that_a_killed_back_end_has_heard(make):
    """It took the event and died before the chain: the next one looks without being asked."""
    world = make(inflight=True)
    front = world.front
    world.say(b"first")
    assert world.heard() == b"first"
    world.say(b"other", kick=False)
    front.kill()
    front.reconnect()
    assert world.heard() == b"other"
    assert world.back_end.statistics.again == 0


# -- the notes themselves, step by step


def split(size=8, count=8, region=None):
    region = np.zeros(region_bytes(count, packed=False), np.uint8) if region is None else region
    return SplitTracker(region, count, size), region


def packed(size=8, count=8, region=None):
    region = np.zeros(region_bytes(count, packed=True), np.uint8) if region is None else region
    return PackedTracker(region, count, size), region


def ints(*numbers):
    return np.array(numbers, np.int64)


def heads(taken):
    return [one.head for one in taken]


def test_a_split_rings_notes():
    """Each step of the text, and what the next back-end makes of it if it is the last."""
    tracker, region = split()
    assert tracker.recover(0) == []
    tracker.take(ints(3, 0, 5), ints(1, 1, 1), b"")
    assert heads(split(region=region.copy())[0].recover(0)) == [3, 0, 5]
    tracker.giving(ints(0, 5), 2)
    # The used ring's index has not moved: nothing was given back.
    assert heads(split(region=region.copy())[0].recover(0)) == [3, 0, 5]
    # It has: both were, though their notes are not crossed out.
    assert heads(split(region=region.copy())[0].recover(2)) == [3]
    tracker.gave(ints(0, 5), 2)
    tracker.take(ints(7), ints(1), b"")
    after, _ = split(region=region.copy())
    assert heads(after.recover(2)) == [3, 7]
    # What is taken from now on is younger than all of that.
    after.take(ints(1), ints(1), b"")
    assert after.counter[1] > max(after.counter[3], after.counter[7])


def test_notes_that_are_too_far_behind_are_those_of_another_ring():
    tracker, region = split()
    tracker.recover(0)
    tracker.take(ints(3), ints(1), b"")
    assert split(region=region)[0].recover(500) == []


def test_notes_that_wrap_round():
    tracker, region = split()
    tracker.recover(0xFFFF)
    tracker.take(ints(3, 4), ints(1, 1), b"")
    tracker.giving(ints(3, 4), 0x10001)
    assert split(region=region.copy())[0].recover(1) == []
    tracker.gave(ints(3, 4), 0x10001)
    assert int(tracker.header["used_idx"][0]) == 1


@pytest.mark.parametrize("kind", [split, packed])
def test_notes_of_another_size_or_version(kind):
    tracker, region = kind()
    assert int(tracker.header["desc_num"][0]) == 8
    with pytest.raises(ProtocolError, match="a ring of 16, and notes"):
        kind(size=16, region=region)
    tracker.header["version"] = 2
    with pytest.raises(ProtocolError, match="of version 2"):
        kind(region=region)


def test_split_notes_that_somebody_has_changed():
    tracker, region = split(count=16)
    tracker.recover(0)
    tracker.header["last_batch_head"] = 9
    with pytest.raises(ProtocolError, match="a note on chain 9, in a ring of 8"):
        split(count=16, region=region)[0].recover(1)
    tracker.header["last_batch_head"] = 0
    tracker.inflight[12] = 1
    with pytest.raises(ProtocolError, match="a note on chain 12"):
        split(count=16, region=region)[0].recover(0)


DESCRIPTORS = b"".join(
    number.to_bytes(8, "little") + bytes([4, 0, 0, 0]) + ident.to_bytes(2, "little") + bytes(2)
    for number, ident in ((1, 0), (2, 7), (3, 9))
)
"""Three descriptors: a list of two with id 7, and one with id 9."""

AVAILABLE, USED_NOW = avail_bits(1), used_bits(1)


def after(region, flags=AVAILABLE, **how):
    """What the next back-end finds, if the slot at the old used index has these flags."""
    return packed(region=region.copy(), **how)[0].recover(0, lambda position: flags)


def test_a_packed_rings_notes():
    tracker, region = packed()
    assert tracker.recover(0, lambda position: 0) == (0, [])
    tracker.take(ints(7, 9), ints(2, 1), DESCRIPTORS)
    used, left = after(region)
    assert (used, heads(left)) == (0, [7, 9])
    assert left[0].descriptors == DESCRIPTORS[:32]
    tracker.giving(ints(7), 2)
    # Its used descriptor is not there yet: the old values count.
    used, left = after(region)
    assert (used, heads(left)) == (0, [7, 9])
    used, left = after(region, USED_NOW)
    assert (used, heads(left)) == (2, [9])
    tracker.gave(ints(7), 2)
    assert after(region)[0] == 2
    assert heads(after(region)[1]) == [9]


def test_a_packed_rings_notes_at_a_position_with_the_other_wrap():
    tracker, region = packed()
    assert tracker.recover(13, lambda position: 0) == (13, [])
    tracker.take(ints(9), ints(1), DESCRIPTORS[32:])
    assert after(region)[0] == 13
    tracker.giving(ints(9), 14)
    tracker.gave(ints(9), 14)
    assert after(region) == (14, [])


def test_a_ring_that_is_all_in_flight():
    """There is no free state: what stands for that is their number, as with DPDK."""
    tracker, region = packed(size=3, count=3)
    tracker.recover(0, lambda position: 0)
    tracker.take(ints(7, 9), ints(2, 1), DESCRIPTORS)
    assert int(tracker.header["free_head"][0]) == 3
    used, left = after(region, size=3, count=3)
    assert (used, heads(left)) == (0, [7, 9])
    again, _ = packed(size=3, count=3, region=region)
    again.recover(0, lambda position: AVAILABLE)
    again.giving(ints(7, 9), 3)
    again.gave(ints(7, 9), 3)
    assert after(region, size=3, count=3) == (3, [])
    again.take(ints(7, 9), ints(2, 1), DESCRIPTORS)
    assert heads(after(region, size=3, count=3)[1]) == [7, 9]


@pytest.mark.parametrize(
    ("field", "values", "why"),
    [
        ("used_idx", {"header": 8}, "up to slot 8 of 8"),
        ("num", {"first": 3}, "a list of 3 that has"),
        ("num", {"first": 60000}, "a list of 60000 that has"),
        ("last", {"first": 5}, "a list of 2 that has 2"),
        ("next", {"first": 99}, "a list of 2 that has 1"),
        ("id", {"second": 9}, "two lists in flight with one id"),
        ("inflight", {"second": 1}, "a list of 0 that has 0"),
    ],
)
def test_packed_notes_that_somebody_has_changed(field, values, why):
    tracker, region = packed()
    tracker.recover(0, lambda position: 0)
    tracker.take(ints(7, 9), ints(2, 1), DESCRIPTORS)
    for where, value in values.items():
        if where == "header":
            tracker.header[field] = value
        else:
            tracker.states[field][{"first": 0, "second": 1}[where]] = value
    with pytest.raises(ProtocolError, match=why):
        after(region)


def test_lists_that_share_a_state():
    tracker, region = packed()
    tracker.recover(0, lambda position: 0)
    tracker.take(ints(7, 9), ints(2, 1), DESCRIPTORS)
    tracker.states["next"][0] = 2
    tracker.states["last"][0] = 2
    with pytest.raises(ProtocolError, match="3 slots in flight"):
        after(region)


def test_the_buffer_is_that_of_every_queue():
    size = 2 * region_bytes(8, packed=False)
    fd = memfd(size + 4096)
    buffer = Inflight.attach(fd, size, 4096, 2, 8, packed=False)
    buffer.regions[1][0] = 7
    assert os.pread(fd, 1, 4096 + size // 2) == b"\x07"
    os.close(fd)
