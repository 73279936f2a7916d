"""What a device must and must not do with a guest's memory: virtio 1.3 2.7, 2.8, in all worlds."""

import random

import numpy as np
import pytest

from tests.virtio.devices import Echo
from tests.virtio.every_device import DEVICES, IN, OUT, PLACE, image, send
from tests.virtio.rig import WORLDS, Rig
from virtlab.backends import Disk
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.device import waiting
from virtlab.virtio.features import Feature

FEW = [("mmio", "split"), ("pci", "packed"), ("pci-legacy", "split"), ("mmio, remapped", "packed")]
"""A world of each kind, for the devices that are tried in all of them elsewhere."""

# -- what a device writes (2.7.5.1, 2.7.8.2, 2.8.15)


class Answer(Echo):
    """It never says what was said to it."""

    def handle(self, index, queue):
        for chain in waiting(queue):
            said = chain.read(queue.dma)
            queue.push(chain, chain.write(queue.dma, bytes(byte ^ 0x5A for byte in said)))


TALKERS = {
    "echo": Answer,
    "rng": DEVICES["rng"],
    "blk": lambda: VirtioBlk(Disk.of(b"\x5a" * 64 * 512)),
}
"""Devices that would change every byte that they write."""


def ring_quietly(rig, queue):
    """Expose what was added; only then the doorbell. Gives memory before it and after it."""
    queue.ring_bell = lambda: None
    queue.kick()
    before = np.frombuffer(image(rig), np.uint8)
    rig.core.notify(0)
    return before, np.frombuffer(image(rig), np.uint8)


def devices_own(rig):
    """What a device may write of a queue: its area, and in a packed ring a descriptor's end."""
    rings = rig.core.queues[0].queue.rings
    own = [rings.parts[2]]
    if Feature.RING_PACKED in rig.core.features:
        desc, length = rings.parts[0]
        own += [(slot + 8, 8) for slot in range(desc, desc + length, 16)]
    return own


@pytest.mark.parametrize(
    ("transport", "layout", "name"),
    [(*world, "echo") for world in WORLDS] + [(*w, name) for w in FEW for name in ("rng", "blk")],
)
def test_a_device_writes_its_own_area_and_writable_buffers_alone(transport, layout, name):
    """2.7.5.1, 2.8.15: no readable buffer, no descriptor (of a used one: len, id and flags)."""
    rig = Rig(TALKERS[name](), transport)
    queue = rig.start(layout, understood=rig.device.features, entries=4)
    for count in (1, 3, 6):
        allowed = devices_own(rig)
        for number in range(count):
            head, data = OUT + PLACE * number, IN + 0x400 * number
            rig.ram.write(head, bytes(16))
            buffers = [(data, 0x200), (data + 0x300, 1)]
            queue.add_buf([] if name == "rng" else [(head, 16)], buffers, number)
            rig.ram.write(data, b"\xee" * 0x301)
            allowed += buffers
        before, after = ring_quietly(rig, queue)
        changed = np.flatnonzero(before != after)
        mask = np.zeros(len(before), bool)
        for start, length in allowed:
            mask[start : start + length] = True
        assert len(changed)
        assert mask[changed].all()
        assert queue.get_buf() is not None
        list(iter(queue.get_buf, None))


class Logged:
    """A `Dma` that is no array and notes each write: (iova, bytes)."""

    def __init__(self, ram):
        self.ram, self.writes, self.reads = ram, [], 0

    def read(self, iova, length):
        self.reads += 1
        return self.ram.read(iova, length)

    def view(self, iova, length, write=False):
        self.reads += 1
        return self.ram.view(iova, length, write)

    def write(self, iova, data):
        self.writes.append((iova, bytes(data)))
        self.ram.write(iova, data)


def logged(layout, **how):
    """A rig whose device reads and writes memory through `Logged`."""
    rig = Rig(Echo())
    log = Logged(rig.ram)
    for setup in rig.core.queues:
        setup.dma = log
    rig.start(layout, **how)
    log.writes.clear()
    return rig, log


def test_data_and_length_are_written_before_the_index():
    """2.7.8.2: first the buffer, then the element with its `len`, then the used index."""
    rig, log = logged("split")
    rings = rig.core.queues[0].queue.rings
    for lap in range(20):
        send(rig, b"hello")
        places = [iova for iova, _ in log.writes]
        buffer, element = places.index(IN), places.index(rings.used_at(lap))
        index = places.index(rings.used_field("idx"))
        assert buffer < element < index
        assert log.writes[buffer][1] == b"hello"
        assert log.writes[element][1][4:] == (5).to_bytes(4, "little")
        assert rig.guest.queues[0].get_buf() == ("it", 5)
        log.writes.clear()


def test_a_used_descriptor_is_not_changed_once_its_flags_say_so():
    """2.8.15: data, then id and length, then the flags; nothing after them. In either lap."""
    rig, log = logged("packed", size=4)
    ring = rig.core.queues[0].queue.rings.desc
    at = 0
    for _ in range(20):
        send(rig, b"hello")
        slot = ring + 16 * (at % 4)
        inside = [iova - slot for iova, _ in log.writes if slot <= iova < slot + 16]
        assert inside == [8, 14]
        assert [iova for iova, _ in log.writes].index(IN) < len(log.writes) - 2
        assert rig.guest.queues[0].get_buf() == ("it", 5)
        log.writes.clear()
        at += 2


# -- how a driver may lay things out, and ring (2.7.4.1, 2.7.10.2)


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_the_arrangement_of_descriptors_does_not_matter(transport, layout):
    """2.7.4.1: any cuts, in either direction, any places: the same answer."""
    rng = random.Random(4)
    rig = Rig(Echo(), transport)
    queue = rig.start(layout, entries=8)
    text = bytes(range(1, 41))
    for _ in range(30):
        pieces = []
        for base in (OUT, IN):
            cuts = sorted(rng.sample(range(1, len(text)), rng.randrange(4)))
            parts = list(zip([0, *cuts], [*cuts, len(text)], strict=True))
            places = rng.sample(range(16), len(parts))
            pieces.append(
                [(base + PLACE * place, b - a) for place, (a, b) in zip(places, parts, strict=True)]
            )
            if base == OUT:
                for (gpa, _), (a, b) in zip(pieces[0], parts, strict=True):
                    rig.ram.write(gpa, text[a:b])
        queue.add_buf(*pieces, "it")
        queue.kick()
        assert queue.get_buf() == ("it", len(text))
        assert b"".join(rig.ram.read(gpa, length) for gpa, length in pieces[1]) == text


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_doorbell_for_nothing_does_no_harm(transport, layout):
    """2.7.10.2: the device must handle spurious notifications; it changes nothing, tells nobody."""
    rig = Rig(Echo(), transport)
    queue = rig.start(layout, queues=2)
    for _ in range(3):
        rig.pins.clear()
        before = image(rig)
        for index in (0, 1, 0):
            rig.core.notify(index)
        assert image(rig) == before
        assert rig.pins == []
        send(rig, b"fine")
        assert queue.get_buf() == ("it", 4)
        rig.transport.interrupts()
