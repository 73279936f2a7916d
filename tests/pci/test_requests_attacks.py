"""A guest that reprograms the buses under a device: no offset for a byte that is not reached.

Each write to configuration space may close a way, open a window, or put a register over memory.
What `offset_many` says then is held against single requests; and what it said before, against the
`generation` by which whoever keeps answers would know that they are old.
"""

import numpy as np
import pytest

from tests.pci.rig import Rig
from tests.pci.test_requests import ready
from virtlab.errors import DmaFault
from virtlab.memory import GuestMemory, is_flat
from virtlab.pci.capabilities import PowerManagement
from virtlab.pci.config import Type0, Type1
from virtlab.pci.extended import Acs

RAM, STEPS, SOME = 1 << 22, 40, 6
NAMES = ("integrated", "left", "right", "end", "old", "deepest")
TOP = (1 << 63) - 1


class Owners:
    """What each requester reaches: the same array, but not all requesters the same of it."""

    def __init__(self):
        self.whole = np.zeros(RAM, np.uint8)
        self.parts = {}

    def __call__(self, source):
        if source not in self.parts:
            # Half of them have their memory elsewhere, as if another domain were behind.
            start = 0 if source & 0x100 else 0x2000
            self.parts[source] = GuestMemory([(start, RAM)], self.whole)
        return self.parts[source]


def reprogram(rng, function):
    """One write of a hostile guest to the configuration of `function`."""
    write, header = function.config.write, function.header
    bridge = function.below is not None
    choice = int(rng.integers(0, 9 if bridge else 4))
    power = function.config.find(PowerManagement)
    match choice:
        case 0:
            write(header_at("COMMAND"), 2, int(rng.choice([0, 2, 4, 6, 7, 7, 7])))
        case 1:
            write(header_at("BAR0"), 4, int(rng.integers(0, RAM)) & ~0xFFF)
        case 2 if power is not None:
            at = next(at for at, each in function.config.capabilities().items() if each is power)
            write(at + PowerManagement.PMCSR.offset, 2, int(rng.choice([0, 0, 3])))
        case 3:
            header.preset(COMMAND=header.COMMAND | 4)
            write(header_at("COMMAND"), 2, header.COMMAND | 4)
        case 4:
            low, high = (int(each) for each in rng.integers(0, 5, 2))
            write(Type1.MEMORY_BASE.offset, 4, high << 20 | low << 4)
        case 5:
            write(Type1.PREFETCHABLE_BASE.offset, 4, int(rng.integers(0, 4)) << 20 | 0x00010001)
            write(Type1.PREFETCHABLE_BASE_UPPER.offset, 4, int(rng.choice([0, 0, 0xFFFFFFFF])))
            write(Type1.PREFETCHABLE_LIMIT_UPPER.offset, 4, int(rng.choice([0, 0, 0xFFFFFFFF])))
        case 6:
            write(Type1.BRIDGE_CONTROL.offset, 2, int(rng.choice([0, 8, 8, 0x40])))
        case 7:
            first, last = sorted(int(each) for each in rng.integers(1, 9, 2))
            write(Type1.SECONDARY_BUS.offset, 2, last << 8 | first)
        case 8 if (acs := function.config.find(Acs)) is not None:
            found = function.config.extended_capabilities()
            at = next(at for at, each in found.items() if each is acs)
            write(at + Acs.CONTROL.offset, 2, int(rng.integers(0, 32)))


def header_at(name):
    return getattr(Type0, name).offset


def spans(rng):
    """Addresses where anything begins or ends, and some of nobody."""
    edges = np.concatenate([rng.integers(0, RAM, SOME), rng.integers(0, 5, SOME) << 20])
    edges = np.concatenate([edges, rng.integers(0, RAM >> 12, SOME) << 12, [0xA0000, 0xC0000]])
    iovas = edges + rng.integers(-20, 20, len(edges))
    lengths = rng.choice([1, 4, 16, 21, 512, 4096, 8192], len(edges))
    far = np.array([TOP, TOP - 16, -1, -16, 0xFEE00000 - 4, 0xFEE00000])
    return np.concatenate([iovas, far]), np.concatenate([lengths, np.full(len(far), 1 << 32)])


def check(card, asked):
    """Every yes is a byte of memory that a single request reaches too. Gives the answers."""
    iovas, lengths = asked
    found = card.dma.offset_many(iovas, lengths)
    for iova, length, at in zip(iovas.tolist(), lengths.tolist(), found.tolist(), strict=True):
        if at < 0:
            continue
        view = card.dma.view(iova, length)
        assert view.ctypes.data == card.dma.bytes[at:].ctypes.data
        # No piece of it goes another way.
        for part in {length // 2, length - 1}:
            piece = card.dma.view(iova + part, 1)
            assert piece.ctypes.data == view.ctypes.data + part
    return found


@pytest.mark.parametrize("seed", range(8))
def test_a_guest_that_reprograms_the_buses(seed):
    rng = np.random.default_rng(seed)
    rig = ready(Rig().plug_everything())
    rig.root.memory = Owners()
    everyone = list(rig.bus.walk())
    asked, kept, yes = spans(rng), {}, 0
    for _ in range(STEPS):
        reprogram(rng, everyone[int(rng.integers(0, len(everyone)))])
        for name in NAMES:
            card = getattr(rig, name)
            now, found = card.dma.generation, check(card, asked)
            before = kept.get((name, now))
            assert before is None or (before == found).all()
            kept[name, now] = found
            yes += int(np.count_nonzero(found >= 0))
            if not is_flat(card.dma):
                assert (found < 0).all()
    assert yes > 200


@pytest.mark.parametrize("name", NAMES[1:5])
def test_bus_numbers_are_names(name):
    """Whose memory it is follows from the bus number, and that is a register of a bridge."""
    rig = ready(Rig().plug_everything())
    rig.root.memory = Owners()
    card = getattr(rig, name)
    for number, at in ((0x11, 0x3000), (0x12, 0x1000)):
        before = card.dma.generation
        card.bus.bridge.config.write(Type1.SECONDARY_BUS.offset, 2, number << 8 | number)
        assert card.dma.generation != before
        assert card.dma.offset_many(np.array([0x3000]), np.array([4])).tolist() == [at]


@pytest.mark.parametrize("change", ["bus master", "a watcher"])
def test_what_was_taken_is_finished(change):
    """A batch that is taken is requests on their way: for those there still is an array."""
    rig = ready(Rig().plug_everything())
    card = rig.end
    memory = card.dma.bytes
    if change == "a watcher":
        rig.trace.on = True
    else:
        card.config.write(header_at("COMMAND"), 2, 0)
    assert not is_flat(card.dma)
    assert card.dma.bytes is memory
    assert card.dma.offset(0x1000, 4) == 0x1000
    # But nothing new is begun.
    assert card.dma.offset_many(np.array([0x1000]), np.array([4])).tolist() == [-1]
    if change == "bus master":
        with pytest.raises(DmaFault):
            card.dma.view(0x1000, 4)
