"""No access by a guest raises, hangs, or leaves a queue half-updated. Every transport.

A guest reads and writes any offset of any window in any width, scribbles over its rings, and rings.
Whatever it did, a reset gives a device that works. `test_hostile` has the devices' own attacks.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.virtio.devices import Echo
from tests.virtio.hostile import TOUCHES, check, settle, touch
from tests.virtio.rig import DATA, LEGACY, MMIO, MODERN, RAM, REMAPPED, ROOM, Rig
from virtlab.backends import Disk
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import SECTOR
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
        st.sampled_from(TOUCHES),
        st.integers(0, 7),
        st.integers(0, 0x3FFF),
        st.sampled_from([1, 2, 4, 4, 8]),
        WORDS,
    ),
    max_size=25,
)


def mend(rig):
    """After a reset the same device serves a driver that keeps the rules."""
    settle(rig)
    rig.start()
    queue = rig.guest.queues[0]
    out = [] if isinstance(rig.device, VirtioRng) else [(DATA, 16)]
    rig.ram.write(DATA, bytes(16))
    queue.add_buf(out, [(DATA + 0x200, 513)], "well again")
    queue.kick()
    assert queue.get_buf().token == "well again"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("transport", [*MODERN, *LEGACY, "mmio" + REMAPPED, "pci" + REMAPPED])
@settings(max_examples=25)
@given(started=st.booleans(), steps=STEPS)
def test_no_access_raises_and_a_reset_mends_it(transport, device, started, steps):
    rig = Rig(DEVICES[device](), transport, vectors=2)
    if started:
        rig.start(entries=4)
    for each in steps:
        touch(rig, *each)
        check(rig)
    mend(rig)


@pytest.mark.parametrize("transport", MODERN + LEGACY)
def test_a_long_walk_through_the_registers(transport):
    """The same with one device and no help: 1,500 steps from a seed, a restart now and then."""
    rng = random.Random(transport)
    rig = Rig(Echo(features={3}), transport, vectors=2)
    served = 0
    for number in range(1500):
        if number % 50 == 0:
            mend(rig)
            served += 1
        known = rng.choice([0x0F, 8, ROOM, ROOM >> 12])
        word = rng.choice([rng.randrange(17), known, rng.getrandbits(32)])
        offset, size = rng.randrange(0x4000), rng.choice([1, 2, 4, 4, 8])
        touch(rig, rng.choice(TOUCHES), rng.randrange(8), offset, size, word)
        check(rig)
    assert rig.device.served >= served
