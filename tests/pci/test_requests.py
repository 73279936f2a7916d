"""Requests as one array: flat where single requests go to main memory, and nowhere else."""

import numpy as np
import pytest

from tests.pci.rig import Card, Rig, make_express
from virtlab.errors import DmaFault
from virtlab.guest.pci import PortAccess, Scan
from virtlab.guest.pci_resources import Windows, assign, program
from virtlab.interrupts import INTERRUPT_RANGE
from virtlab.memory import GuestMemory, InPieces, flat, is_flat
from virtlab.pci.capabilities import PowerManagement
from virtlab.pci.config import Header

COMMAND, POWER_AT, RAM = 4, 0x60, 4 << 20


def ready(rig):
    """The rig with everything that a guest's kernel sets up, bus masters too, and more memory."""
    rig.ram = GuestMemory(RAM)
    access = PortAccess(rig.cpu)
    functions = Scan(access).run()
    assign(functions, Windows())
    program(access, functions)
    for function in rig.bus.walk():
        function.config.write(COMMAND, 2, 0x7)
    return rig


@pytest.fixture
def rig():
    return ready(Rig().plug_everything())


@pytest.fixture
def card(rig):
    return rig.integrated


def offsets(card, *spans):
    iovas, lengths = np.array(spans, np.int64).reshape(-1, 2).T
    return card.dma.offset_many(iovas, lengths).tolist()


def base_of(function):
    return next(bar.address(function.header) for bar in function.bars if bar.space == "memory")


@pytest.mark.parametrize("name", ["integrated", "left", "right", "end", "old", "deepest"])
def test_main_memory_is_one_array_for_every_function(rig, name):
    """Whatever bridges are on the way."""
    card = getattr(rig, name)
    assert is_flat(card.dma)
    assert flat(card.dma).bytes is rig.ram.bytes
    assert offsets(card, (0x1000, 16), (0, RAM), (RAM - 1, 1)) == [0x1000, 0, RAM - 1]
    assert card.dma.offset(0x1000, 16) == 0x1000
    assert offsets(card, (RAM - 1, 2), (-8, 8)) == [-1, -1]
    assert offsets(card) == []
    with pytest.raises(DmaFault):
        card.dma.offset(RAM, 1)


def test_who_is_on_no_bus_has_none():
    card = Card("loose", 1, 0x1000)
    assert not is_flat(card.dma)
    assert card.dma.offset_many(np.array([0]), np.array([4])).tolist() == [-1]
    with pytest.raises(TypeError, match="no array"):
        _ = card.dma.bytes
    with pytest.raises(TypeError, match="one array"):
        flat(card.dma)


def test_bus_master_enable(rig, card):
    """PCI 3.0 6.2.2: without it there are no requests, so there is no array either."""
    before = card.dma.generation
    card.config.write(COMMAND, 2, 0x2)
    assert not is_flat(card.dma)
    assert offsets(card, (0x1000, 4)) == [-1]
    assert card.dma.generation != before
    with pytest.raises(DmaFault, match="Bus Master Enable"):
        card.dma.read(0x1000, 4)
    card.config.write(COMMAND, 2, 0x6)
    assert is_flat(card.dma)


def test_a_card_that_sleeps(rig):
    """PCI PM 1.2 5.4.1: in D3hot it requests nothing."""
    card = Card("sleeper", 8, 0x1000)
    card.config.add(PowerManagement(), POWER_AT)
    rig.bus.plug(card, 6)
    card.config.write(COMMAND, 2, 0x6)
    assert is_flat(card.dma)
    for state, flat_now in ((3, False), (0, True)):
        card.config.write(POWER_AT + PowerManagement.PMCSR.offset, 2, state)
        card.config.write(COMMAND, 2, 0x6)
        assert card.awake == flat_now
        assert is_flat(card.dma) == flat_now


def test_a_reset_closes_the_way(card):
    assert is_flat(card.dma)
    card.reset()
    assert not is_flat(card.dma)


@pytest.mark.parametrize("name", ["deepest", "old", "end", "left"])
def test_a_bridge_that_passes_nothing_up(rig, name):
    """PCI bridge 1.2 3.2.4.3: each bridge on the way has a Bus Master Enable of its own."""
    card = getattr(rig, name)
    bus = card.bus
    while bus.bridge is not None and bus.bridge.bus is not None:
        bridge, before = bus.bridge, card.dma.generation
        command = bridge.header.COMMAND
        bridge.config.write(COMMAND, 2, command & ~0x4)
        assert not is_flat(card.dma), bridge
        assert card.dma.generation != before
        bridge.config.write(COMMAND, 2, command)
        assert is_flat(card.dma), bridge
        bus = bridge.bus


def test_interrupt_messages_are_no_memory():
    """Even where a guest has memory at these addresses."""
    rig = Rig()
    there = GuestMemory([(0, 0x1000), (INTERRUPT_RANGE.start - 0x1000, 0x200000)])
    rig.root.memory = lambda source: there
    card = rig.bus.plug(Card("card", 1, 0x1000), 5)
    card.config.write(COMMAND, 2, 0x4)
    start, stop = INTERRUPT_RANGE.start, INTERRUPT_RANGE.stop
    found = offsets(card, (start - 16, 16), (start - 16, 17), (start, 4), (stop - 1, 2), (stop, 4))
    assert [at >= 0 for at in found] == [True, False, False, False, True]


def test_a_peer_over_memory_is_no_memory(rig):
    """PCI 3.0 3.2.2: on a shared bus the peer takes the request, and memory never sees it."""
    rig.other = rig.bus.plug(Card("other", 9, 0x1000), 6)
    card, before = rig.integrated, rig.integrated.dma.generation
    rig.other.config.write(0x10, 4, 0x2000)
    rig.other.config.write(COMMAND, 2, 0x2)
    assert card.dma.generation != before
    assert offsets(card, (0x1F00, 0x100), (0x1F00, 0x101), (0x2000, 4), (0x2FFF, 2)) == [
        0x1F00,
        -1,
        -1,
        -1,
    ]
    assert offsets(card, (0x3000, 4), (0x1000, 0x3000)) == [0x3000, -1]
    # As single requests: what is not all inside of the peer goes to memory, the rest does not.
    card.dma.write(0x1F00, bytes(0x101))
    with pytest.raises(DmaFault, match="registers"):
        card.dma.view(0x2000, 4)
    rig.other.config.write(COMMAND, 2, 0)
    assert offsets(card, (0x2000, 4)) == [0x2000]


def test_a_window_over_memory_is_no_memory(rig):
    """What is inside of a bridge's window belongs below: from above, and from below."""
    bridge = rig.deep
    for card in (rig.deepest, rig.old):
        assert offsets(card, (0x100000, 4)) == [0x100000]
    bridge.config.write(0x20, 4, 0x00100010)  # memory from 1 MiB to 2 MiB
    for card in (rig.deepest, rig.old):
        assert offsets(card, (0xFFFFC, 4), (0xFFFFC, 5), (0x100000, 4), (0x1FFFFF, 2)) == [
            0xFFFFC,
            -1,
            -1,
            -1,
        ]
    with pytest.raises(DmaFault, match="belongs below"):
        rig.deepest.dma.read(0x100000, 4)


def test_a_window_without_end_takes_all(rig):
    """A guest may set up what it likes: no address is a number that does not fit."""
    bridge = rig.deep
    bridge.config.write(0x24, 4, 0xFFF10001)
    bridge.config.write(0x28, 4, 0)
    bridge.config.write(0x2C, 4, 0xFFFFFFFF)
    assert bridge.forwards("memory", 0x1000, 4)
    for card in (rig.old, rig.deepest):
        assert offsets(card, (0x1000, 4), (RAM - 4, 4), (-8, 4)) == [-1, -1, -1]
    assert offsets(rig.integrated, (0x1000, 4)) == [0x1000]


def test_while_somebody_watches_there_is_no_array(rig, card):
    """No packet is left out of a picture."""
    numbers = {card.dma.generation}
    with rig.root.watching() as crossings:
        assert not is_flat(card.dma)
        numbers.add(card.dma.generation)
        card.dma.read(0x1000, 4)
    assert crossings
    assert is_flat(card.dma)
    numbers.add(card.dma.generation)
    rig.trace.on = True
    assert not is_flat(card.dma)
    rig.trace.on = False
    assert len(numbers) == 3


def test_memory_that_is_no_array(rig, card):
    """Behind a remapping unit that is not flat, neither are the requests."""

    class Translated:
        read, write, view = rig.ram.read, rig.ram.write, rig.ram.view

    before = card.dma.generation
    rig.root.memory = lambda source: Translated()
    assert not is_flat(card.dma)
    assert card.dma.generation != before
    assert offsets(card, (0x1000, 4)) == [-1]


def test_who_asks_is_whose_memory_it_is(rig):
    """A bridge from conventional PCI asks in its own name (VT-d 3.4.1)."""
    asked = []

    def memory(source):
        asked.append(source)
        return rig.ram

    rig.root.memory = memory
    for card in (rig.integrated, rig.end, rig.old, rig.deepest):
        asked.clear()
        card.dma.read(0x1000, 4)
        single = set(asked)
        asked.clear()
        assert is_flat(card.dma)
        assert set(asked) == single


def test_another_map_is_another_generation(rig, card):
    """Of the memory behind it, and if another memory is there."""
    numbers = [card.dma.generation, card.dma.generation]
    assert numbers[0] == numbers[1]
    rig.ram.generation += 1
    numbers.append(card.dma.generation)
    other = GuestMemory(RAM)
    other.generation = rig.ram.generation
    rig.root.memory = lambda source: other
    numbers.append(card.dma.generation)
    assert len(set(numbers)) == 3
    assert card.dma.bytes is other.bytes


def test_any_configuration_write_is_looked_at(rig, card):
    before = card.dma.generation
    rig.end.config.write(0x10, 4, 0xFFFFFFFF)
    assert card.dma.generation != before
    before = card.dma.generation
    rig.ports_[1].below.plug(make_express(Card("late", 7, 0x1000)), 0, 1)
    assert card.dma.generation != before


@pytest.mark.parametrize("seed", range(30))
def test_what_is_flat_is_what_single_requests_reach(seed):
    """Random BARs and windows over memory: no offset for a byte that a request would not get to."""
    rng = np.random.default_rng(seed)
    rig = ready(Rig().plug_everything())
    everyone = list(rig.bus.walk())
    for function in everyone:
        if rng.random() < 0.6:
            function.config.write(0x10, 4, int(rng.integers(0, RAM)) & ~0xFFF)
        if function.below is not None and rng.random() < 0.5:
            low, high = sorted(rng.integers(0, 4, 2).tolist())
            function.config.write(0x20, 4, (high << 20 | low << 4) & 0xFFF0FFF0)
        if rng.random() < 0.1:
            function.config.write(COMMAND, 2, int(rng.integers(0, 8)))
    rig.ram.bytes[:] = np.arange(RAM, dtype=np.uint32) * 2654435761 >> 24
    yes = 0
    for card in (rig.integrated, rig.left, rig.end, rig.old, rig.deepest):
        spans = [(int(rng.integers(0, RAM)), int(rng.integers(1, 5000))) for _ in range(60)]
        for (iova, length), at in zip(spans, offsets(card, *spans), strict=True):
            if at >= 0:
                yes += 1
                view = card.dma.view(iova, length)
                assert np.shares_memory(view, rig.ram.bytes)
                assert view.ctypes.data == rig.ram.bytes[at:].ctypes.data
    assert yes or seed


def test_a_view_that_lies_in_pieces_is_no_abort(rig):
    """There is no one view, but no request was refused: status and trace say nothing of it."""

    class Pieces(GuestMemory):
        def view(self, gpa, length, write=False):
            if gpa // 4096 != (gpa + length - 1) // 4096:
                raise InPieces("not in one piece", gpa, length)
            return super().view(gpa, length, write)

    pieces, card = Pieces(RAM), rig.integrated
    rig.root.memory = lambda source_id: pieces
    with pytest.raises(InPieces):
        card.dma.view(0x1FF0, 32)
    assert len(card.dma.view(0x1FF0, 16, write=True)) == 16
    assert not Header.STATUS.RECEIVED_MASTER_ABORT.get(card.header.STATUS)
    assert not rig.trace.counts["fault"]
    with pytest.raises(DmaFault):
        card.dma.view(RAM, 16)
    assert Header.STATUS.RECEIVED_MASTER_ABORT.get(card.header.STATUS)


def test_a_view_asks_for_the_right_that_it_is_for(rig):
    """On the whole way: the function, the root complex, and the memory of its requester."""
    asked = []

    class Rights(GuestMemory):
        def view(self, gpa, length, write=False):
            asked.append(write)
            return super().view(gpa, length, write)

        def offset(self, gpa, length=1, write=False):
            asked.append(write)
            return super().offset(gpa, length)

        def offset_many(self, gpas, lengths, write=None):
            asked.append(write)
            return super().offset_many(gpas, lengths)

    rights, card = Rights(RAM), rig.integrated
    rig.root.memory = lambda source_id: rights
    for write in (False, True):
        card.dma.view(0x1000, 4, write)
        card.dma.offset(0x1000, 4, write)
        card.dma.offset_many(np.array([0x1000]), np.array([4]), write)
        assert asked == [write] * 4  # a view asks where it begins, too
        asked.clear()


def test_a_port_that_validates_sources_stops_others(rig):
    """PCI Express 3.0 6.12.1.1: what carries a bus number from elsewhere does not pass."""
    port = rig.ports_[1]
    assert is_flat(rig.end.dma)
    port.admits = lambda requester: False
    port.update()
    assert not is_flat(rig.end.dma)
    with pytest.raises(DmaFault):
        rig.end.dma.read(0x1000, 4)
