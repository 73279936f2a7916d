"""The entropy device over every transport and layout: virtio 1.3 5.4."""

import random

import pytest

from tests.guest.paper_virtio import RamCpu
from tests.virtio.rig import DATA, WORLDS, Rig
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.memory import GuestMemory
from virtlab.virtio import streams
from virtlab.virtio.device import RequestDevice
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.rng import MOST, REQUESTQ, VirtioRng, seeded
from virtlab.virtio.split import SplitQueue
from virtlab.virtio.status import DeviceId


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_buffer_comes_back_full_of_the_source_s_bytes(transport, layout):
    rig = Rig(VirtioRng(seeded(7)), transport)
    queue = rig.start(layout)
    expected = seeded(7)
    assert rig.transport.device_id == DeviceId.ENTROPY
    for number in range(200):
        queue.add_buf([], [(DATA, 10), (DATA + 100, 54)], number)
        queue.kick()
        assert queue.get_buf() == (number, 64)
        assert rig.ram.read(DATA, 10) + rig.ram.read(DATA + 100, 54) == expected(64)
    assert not rig.broken


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_full_queue_is_served_by_one_doorbell(transport, layout):
    rig = Rig(VirtioRng(seeded(7), 16), transport)
    queue = rig.start(layout)
    for number in range(16):
        queue.add_buf([], [(DATA + 16 * number, 16)], number)
    queue.kick()
    assert [queue.get_buf().token for _ in range(16)] == list(range(16))
    assert rig.ram.read(DATA, 256) == b"".join(_bytes(16, 16))


def _bytes(count, length):
    source = seeded(7)
    return [source(length) for _ in range(count)]


def test_a_long_buffer_is_filled_in_part():
    """5.4.6.2: the device may use less than the whole length, and at least one byte."""
    rig = Rig(VirtioRng(seeded(7)))
    queue = rig.start()
    queue.add_buf([], [(DATA, MOST + 1)], "long")
    queue.kick()
    assert queue.get_buf() == ("long", MOST)
    assert rig.ram.load(DATA + MOST, 1) == 0


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_a_readable_buffer_is_a_driver_s_mistake(layout):
    """5.4.6.1: the driver must not place device-readable buffers into the queue."""
    rig = Rig(VirtioRng(seeded(7)))
    rig.trace.on = True
    queue = rig.start(layout)
    queue.add_buf([(DATA, 4)], [(DATA + 4, 4)], "wrong")
    queue.kick()
    assert rig.broken
    assert queue.get_buf() is None
    assert any("5.4.6.1" in note for note in rig.notes("guest error"))
    assert rig.ram.load(DATA + 4, 4) == 0


def test_it_has_one_queue_no_feature_of_its_own_and_no_configuration():
    """5.4.2 to 5.4.4. In order is how it works, so it says so."""
    rng = VirtioRng(seeded(7), 32)
    assert rng.queue_sizes == (32,)
    assert REQUESTQ == 0
    assert rng.features == {Feature.IN_ORDER}
    assert rng.config == b""


# -- many at once


class OneByOne(VirtioRng):
    """The reference: `serve` for each chain."""

    def handle(self, index, queue):
        RequestDevice.handle(self, index, queue)


def served(kind, layout, chains, without=(), queue_size=256):
    """All of memory, and what came back, after `chains` were served by one doorbell."""
    rig = Rig(kind(seeded(3), queue_size))
    queue = rig.start(layout, entries=8, without=without)
    for number, (out, in_) in enumerate(chains):
        queue.add_buf(out, in_, number)
    queue.kick()
    used = list(iter(queue.get_buf, None))
    return rig.ram.read(DATA, 0x80000), used, rig.broken


def random_chains(seed, count=90):
    """Chains of one to five pieces: of one length, side by side, odd, or longer than is given."""
    rng = random.Random(seed)
    at, chains = DATA, []
    sizes = rng.choice([[1, 7, 64, 300], [64], [5], [64, MOST + 5]])
    for _ in range(count):
        pieces = []
        for _ in range(rng.choice([1, 1, rng.randint(1, 5)])):
            size = rng.choice(sizes) if at < DATA + 0x20000 else 9
            pieces.append((at, size))
            at += size + rng.choice([0, 0, 3])
        chains.append(([], pieces))
    return chains


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("without", [(), (Feature.IN_ORDER, Feature.RING_INDIRECT_DESC)])
def test_a_batch_is_filled_as_its_chains_are_one_by_one(layout, seed, without):
    chains = random_chains(seed, 40 if without else 90)
    found = served(VirtioRng, layout, chains, without)
    assert found == served(OneByOne, layout, chains, without)
    assert [used.written for used in found[1]] == [
        min(MOST, sum(size for _, size in in_)) for _, in_ in chains
    ]


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("wrong", [0, 1, 30, 39])
def test_what_came_before_a_mistake_is_answered(layout, wrong):
    chains = random_chains(2, 40)
    chains[wrong] = ([(DATA, 4)], chains[wrong][1])
    memory, used, broken = served(VirtioRng, layout, chains)
    assert (memory, used, broken) == served(OneByOne, layout, chains)
    assert broken
    assert len(used) == wrong


def test_a_stretch_of_memory_bounds_what_moves_at_once(monkeypatch):
    """What is asked of the source at once is no more than `SLAB`, whatever a batch asks for."""
    monkeypatch.setattr(streams, "SLAB", 256)
    asked = []

    class Noted(VirtioRng):
        def __init__(self, source, size):
            super().__init__(lambda length: asked.append(length) or source(length), size)

    chains = [([], [(DATA + 100 * number, 100)]) for number in range(20)]
    assert served(Noted, "split", chains) == served(OneByOne, "split", chains)
    assert asked == [200] * 10


class Plain:
    """Memory that is no array: `read`, `write` and `view`, and nothing else."""

    def __init__(self, ram):
        self.read, self.write, self.view = ram.read, ram.write, ram.view


def test_memory_that_is_no_array_is_filled_one_by_one():
    ram = GuestMemory(0x80000)
    rings = SplitRings.placed(0x1000, 8)
    queue = SplitQueue(Plain(ram))
    queue.enable(rings, frozenset({Feature.VERSION_1}))
    driver = SplitDriver(RamCpu(ram), rings, frozenset({Feature.VERSION_1}))
    for number in range(6):
        driver.add_buf([], [(DATA + 8 * number, 8)], number)
    driver.kick()
    VirtioRng(seeded(3)).handle(REQUESTQ, queue)
    assert ram.read(DATA, 48) == seeded(3)(48)


def test_a_seeded_source_is_one_stream_wherever_it_is_cut():
    rng = random.Random(4)
    source, whole = seeded(9), seeded(9)(4000)
    found = b"".join(source(rng.randrange(1, 12)) for _ in range(300))
    assert found == whole[: len(found)]
