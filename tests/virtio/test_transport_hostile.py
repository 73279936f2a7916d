"""No access by a guest raises, hangs, or leaves a queue half-updated. Every transport.

A guest reads and writes any offset of any window in any width, scribbles over its rings, and rings.
Whatever it did, a reset gives a device that works.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.virtio.devices import Echo
from tests.virtio.rig import DATA, LEGACY, MMIO, MODERN, RAM, ROOM, Rig
from virtlab.backends import Disk
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import SECTOR
from virtlab.virtio.mmio_registers import WINDOW
from virtlab.virtio.rng import VirtioRng, seeded

DEVICES = {
    "echo": lambda: Echo(features={3}),
    "rng": lambda: VirtioRng(seeded(1), 8),
    "blk": lambda: VirtioBlk(Disk(8 * SECTOR), queue_size=16),
}

WORDS = st.one_of(
    st.integers(0, 16),
    st.sampled_from([0x0B, 0x0F, 0x40, 0x80, 0xFF, 0x100, 0x1000, 0x8000, 0xFFFF, 0x1_0000]),
    st.sampled_from([ROOM >> 12, ROOM, ROOM + 0x80, ROOM + 0xC0, DATA, RAM - 16]),
    st.sampled_from([MMIO, 0xC000_0000, 0xC000_3000]),
    st.integers(0, 0xFFFF_FFFF),
)
"""What a register or a word of memory is made of: statuses, sizes, addresses, and anything."""

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["read", "write", "write", "write", "config", "scribble", "ring"]),
        st.integers(0, 7),
        st.integers(0, 0x3FFF),
        st.sampled_from([1, 2, 4, 4, 8]),
        WORDS,
    ),
    max_size=25,
)


def windows(rig):
    """Where the device answers: `(space, base, length)`."""
    if rig.kind.startswith("mmio"):
        return [(rig.memory, MMIO, WINDOW)]
    spaces = {"port": rig.ports, "memory": rig.memory}
    return [(spaces[bar.space], bar.address, bar.size) for bar in rig.found.bars]


def step(rig, what, number, offset, size, word):
    """One thing that a guest can do."""
    if what == "scribble":
        rig.ram.store(ROOM + offset % 0x400, min(size, 4), word)
    elif what == "ring":
        rig.core.notify(number)
    elif what == "config" and not rig.kind.startswith("mmio"):
        # Not the BARs and not the bus: the function stays where it is.
        rig.access.write(rig.found.place, 0x40 + offset % 0x80, min(size, 4), word)
    else:
        places = windows(rig)
        space, base, length = places[number % len(places)]
        # Half of the accesses fall where the registers are dense.
        at = base + offset % (length if offset & 1 else min(length, 0x48))
        if what == "read":
            space.read(at, size)
        else:
            space.write(at, size, word)


def check(rig):
    for setup in rig.core.queues:
        setup.queue._check()
        assert setup.size <= setup.max_size
    assert not rig.core.handling


def mend(rig):
    """After a reset the same device serves a driver that keeps the rules."""
    if not rig.kind.startswith("mmio"):
        rig.transport.window = False
        rig.access.write(rig.found.place, 0x98, 4, 0)
    rig.ram.write(ROOM, bytes(0x10000))
    rig.start()
    queue = rig.guest.queues[0]
    out = [] if isinstance(rig.device, VirtioRng) else [(DATA, 16)]
    rig.ram.write(DATA, bytes(16))
    queue.add_buf(out, [(DATA + 0x200, 513)], "well again")
    queue.kick()
    assert queue.get_buf().token == "well again"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("transport", MODERN + LEGACY)
@settings(max_examples=25)
@given(started=st.booleans(), steps=STEPS)
def test_no_access_raises_and_a_reset_mends_it(transport, device, started, steps):
    rig = Rig(DEVICES[device](), transport, vectors=2)
    if started:
        rig.start(entries=4)
    for each in steps:
        step(rig, *each)
        check(rig)
    mend(rig)


@pytest.mark.parametrize("transport", MODERN + LEGACY)
def test_a_long_walk_through_the_registers(transport):
    """The same with one device and no help: 1,500 steps from a seed, a restart now and then."""
    rng = random.Random(transport)
    rig = Rig(Echo(features={3}), transport, vectors=2)
    kinds = ["read", "write", "write", "write", "config", "scribble", "ring"]
    served = 0
    for number in range(1500):
        if number % 50 == 0:
            mend(rig)
            served += 1
        known = rng.choice([0x0F, 8, ROOM, ROOM >> 12])
        word = rng.choice([rng.randrange(17), known, rng.getrandbits(32)])
        offset, size = rng.randrange(0x4000), rng.choice([1, 2, 4, 4, 8])
        step(rig, rng.choice(kinds), rng.randrange(8), offset, size, word)
        check(rig)
    assert rig.device.served >= served
