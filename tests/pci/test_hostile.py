"""A hostile guest, before all else: whatever it does, nothing raises, and everything ends.

The bounds, each held by an assertion below:

    depth   requests inside requests: `MAX_NESTING`, so a stack of at most `FRAMES` frames
    number  requests inside requests between two accesses of the processor: `MAX_NESTED`
    msix    messages that one access or notification sets off: two for each vector of the table
"""

import sys
from unittest.mock import patch

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.pci.rig import Card, Rig
from virtlab.errors import DmaFault
from virtlab.guest.pci import Place, PortAccess, open_ecam
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.pci import root
from virtlab.pci.access import config_address
from virtlab.pci.capabilities import Express, Msi, Msix, PowerManagement
from virtlab.pci.chipset import EcamRegisters
from virtlab.pci.config import Header, Type0, Type1
from virtlab.pci.express import ENDPOINT_AT, make_express
from virtlab.pci.root import MAX_NESTED, MAX_NESTING
from virtlab.wire import all_ones

ECAM = 0xB000_0000
VECTORS = 4
NESTED = 100
"""The property is tried with this `MAX_NESTED`, so that a storm is short. One step of it is a few
accesses, and a few requests of a device."""

FRAMES = 60 + 60 * MAX_NESTING
"""Frames from the guest's access down to the last device that it reaches."""

MSIX_AT, MSI_AT, POWER_AT = 0x40, 0x60, 0x80


class Bell:
    """Two registers. A write to 0 sets an iova; one to 4 writes there, then rings every vector."""

    rung = deepest = 0

    def __init__(self, card):
        self.card = card
        self.iova = 0

    def read(self, offset, size):
        return self.iova & all_ones(size)

    def write(self, offset, size, value):
        if offset < 4:
            self.iova = value
            return
        Bell.rung += 1
        Bell.deepest = max(Bell.deepest, depth())
        try:
            self.card.dma.write(self.iova, b"ring" * 2)
            self.card.dma.read(self.iova, 8)
            self.card.dma.view(self.iova, 8)
        except DmaFault:
            pass
        for vector in range(VECTORS):
            self.card.notify(vector)


def depth():
    frame, count = sys._getframe(), 0
    while frame is not None:
        frame, count = frame.f_back, count + 1
    return count


class Ringer(Card):
    """A card with a bell, MSI-X, MSI with masks, and power states."""

    def __init__(self, name, number):
        super().__init__(name, number, ports=0x20)
        self.bars[0] = self.bars[0]._replace(device=Bell(self))
        self.table = self.msix_bar(1, VECTORS, MSIX_AT)
        self.config.add(Msi(VECTORS, maskable=True), MSI_AT)
        self.config.add(PowerManagement(), POWER_AT)


def board():
    rig = Rig().plug_everything()
    rig.ringers = [rig.bus.plug(Ringer(f"ringer {n}", n), n) for n in (8, 9)]
    rig.ringers.append(rig.to_pci.below.plug(Ringer("old ringer", 10), 4))
    rig.ringers.append(rig.deep.below.plug(Ringer("deep ringer", 11), 5))
    linked = make_express(Ringer("linked", 12), at=0xA0)
    rig.ringers.append(rig.bus.plug(linked, 10))
    enumerate_pci(rig.cpu)
    open_ecam(rig.cpu, ECAM)
    return rig


def address(function, index):
    found = [b for b in function.bars if b.register == f"BAR{index}"]
    return found[0].address(function.header) if found else 0


def targets(rig):
    """Addresses worth pointing something at: bells, tables, RAM, messages, windows, nothing."""
    made = [0, 0xFFC, 0xB8000, 0xFEE0_0000, 0xFEEF_FFFC, 0xC000_0000, 0xFDFF_FFFC, ECAM, 1 << 51]
    for function in rig.ringers:
        made += [address(function, 0) + 4, address(function, 1), address(function, 1) + 12]
    return made + [address(f, 0) for f in (rig.left, rig.right, rig.end, rig.old, rig.deepest)]


INTERESTING = (
    Header.COMMAND.offset,
    *range(0x10, 0x28, 4),
    Type1.PRIMARY_BUS.offset,
    Type1.IO_BASE.offset,
    Type1.MEMORY_BASE.offset,
    Type1.PREFETCHABLE_BASE.offset,
    Type1.PREFETCHABLE_BASE_UPPER.offset,
    Type0.EXPANSION_ROM.offset,
    Type1.BRIDGE_CONTROL.offset,
    MSIX_AT + Msix.CONTROL.offset,
    *range(MSI_AT, MSI_AT + 0x18, 2),
    POWER_AT + PowerManagement.PMCSR.offset,
    0x60,
    0x68,
    ENDPOINT_AT + Express.DEVICE_CONTROL.offset,
    0xA0 + Express.DEVICE_CONTROL.offset,
    0x156,
)
VERBS = ("config", "config", "cf8", "memory", "port", "point", "point", "table", "irq", "dma")

steps = st.tuples(
    st.sampled_from(VERBS),
    st.integers(0, 255),
    st.sampled_from(INTERESTING) | st.integers(0, 0xFFF),
    st.sampled_from([1, 2, 4, 8]),
    st.integers(0, all_ones(8)) | st.sampled_from([0, 1, 7, 0x8000, all_ones(4), all_ones(8)]),
)


def act(rig, functions, verb, pick, offset, size, value):
    """One thing that a guest can do, or that a device does because the guest told it to."""
    function = functions[pick % len(functions)]
    ringer = rig.ringers[pick % len(rig.ringers)]
    aims = targets(rig)
    aim = aims[pick % len(aims)]
    source = function.source_id
    if verb == "config":
        gpa = ECAM + (source << 12 | offset)
        rig.cpu.store(gpa, value & all_ones(size), size)
        assert 0 <= rig.cpu.load(gpa, size) <= all_ones(size)
    elif verb == "cf8":
        width = min(size, 4)
        rig.cpu.out(0xCF8, config_address(source >> 8, source >> 3 & 31, source & 7, offset), 4)
        rig.cpu.out(0xCF8 + offset % 8, value & all_ones(width), width)
        rig.cpu.inp(0xCFC + offset % 4, width)
    elif verb == "memory":
        rig.cpu.store(aim + offset % 17, value & all_ones(size), size)
        rig.cpu.load(aim + offset % 17, size)
    elif verb == "port":
        width = min(size, 4)
        rig.cpu.out((value & 0xF000) + offset, value & all_ones(width), width)
        rig.cpu.inp((value & 0xF000) + offset, width)
    elif verb == "point":
        point(rig, ringer, aim, offset, value)
    elif verb == "table":
        ringer.table.write(offset & ~3, size, aim if offset & 4 else value & 1)
    elif verb == "irq":
        function.irq.set(not function.irq.level)
        ringer.notify(offset)
    else:
        try:
            function.dma.write(aim, bytes(offset % 65))
            function.dma.read(aim, offset % 65)
        except DmaFault:
            pass


def point(rig, ringer, aim, offset, value):
    """BARs over each other; bells and messages at each other, at a table, at nothing."""
    config = ringer.config
    config.write(Header.COMMAND.offset, 2, 7)
    which = offset % 7
    if which == 0:
        config.write(0x10 + 4 * (value & 1), 4, aim & all_ones(4))
    elif which == 1:
        ringer.bars[0].device.iova = aim
        rig.cpu.store(address(ringer, 0) + 4, value & all_ones(4), 4)
    elif which == 2:
        config.write(MSIX_AT + Msix.CONTROL.offset, 2, 0)
        config.write(MSI_AT + Msi.ADDRESS.offset, 8, aim)
        config.write(MSI_AT + Msi.CONTROL.offset, 2, value & 0x70 | 1)
    elif which in (3, 4):
        for vector in range(VECTORS) if which == 3 else [value % VECTORS]:
            ringer.table.write(16 * vector, 8, aim)
            ringer.table.write(16 * vector + 12, 4, 0)
        config.write(MSIX_AT + Msix.CONTROL.offset, 2, value & 0x4000 | 0x8000)
    elif which == 5:
        rig.cpu.store(address(ring_of_bells(rig)[0], 0) + 4, 1, 4)
    else:
        rig.cpu.store(ECAM + EcamRegisters.AT, aim & 0x3_FC00_0000 | value & 7, 4)
        rig.bus.functions[0, 0].config.write(EcamRegisters.AT, 4, ECAM | 1)
    for vector in range(VECTORS):
        ringer.notify(vector)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=40))
@example([("point", n, 1, 4, 0) for n in range(24)] + [("point", n, 2, 4, 0) for n in range(24)])
@example([("point", n, 3, 4, 0) for n in range(24)] + [("point", n, 6, 4, 1) for n in range(24)])
@example([("point", 0, 5, 4, 0)])
def test_nothing_that_a_guest_does_raises_or_goes_on_for_ever(sequence):
    """Configuration, ports, memory of any size; BARs moved over each other, windows moved, bus
    numbers scrambled, resets in the middle, messages at doorbells, tables and peers.
    """
    rig = board()
    functions = list(rig.bus.walk())
    base = depth()
    with patch.object(root, "MAX_NESTED", NESTED):
        for step in sequence:
            Bell.rung = Bell.deepest = 0
            act(rig, functions, *step)
            assert Bell.rung <= 4 * NESTED
            assert Bell.deepest <= base + FRAMES


def ring_of_bells(rig):
    """Every ringer on bus 00: all its vectors and its writes go to the next one's bell."""
    ringers = [*rig.ringers[:2], rig.ringers[4]]
    for n, ringer in enumerate(ringers):
        ringer.bars[0].device.iova = address(ringers[n - 1], 0)
        for vector in range(VECTORS):
            aim = address(ringers[(n + 1 + vector % 2) % 3], 0) + 4
            rig.cpu.store(address(ringer, 1) + 16 * vector, aim, 8)
            rig.cpu.store(address(ringer, 1) + 16 * vector + 12, 0, 4)
        PortAccess(rig.cpu).write(
            ringer_place(ringer), MSIX_AT + Msix.CONTROL.offset, 2, Msix.CONTROL.ENABLE.mask
        )
    return ringers


def ringer_place(ringer):
    return Place(ringer.bus.number, ringer.device, ringer.number)


def test_bells_that_ring_bells_end_after_a_bounded_number():
    """Three devices, each with all its vectors at the others' doorbells: a tree with no leaves."""
    rig = board()
    ringers = ring_of_bells(rig)
    Bell.rung = Bell.deepest = 0
    base = depth()
    rig.cpu.store(address(ringers[0], 0) + 4, 1, 4)
    assert VECTORS < Bell.rung <= MAX_NESTED
    assert Bell.deepest <= base + FRAMES
    assert rig.trace.counts["lost"]


def test_after_the_storm_the_board_works():
    """The bound is for one access of the processor; the next one begins anew."""
    rig = board()
    ringers = ring_of_bells(rig)
    for _ in range(2):
        Bell.rung = 0
        rig.cpu.store(address(ringers[0], 0) + 4, 1, 4)
        assert Bell.rung > VECTORS
    rig.cpu.store(address(rig.left, 0), 0x1234, 4)
    assert rig.left.scratch.FIRST == 0x1234
