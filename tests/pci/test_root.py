"""The root complex: interrupt messages, ECAM, how far a request may lead to others, and speed."""

import time
from itertools import pairwise

import pytest

from tests.pci.rig import Card, Rig, Scratch
from tests.pci.test_routing import bar
from virtlab.errors import DmaFault
from virtlab.guest.pci import EcamAccess, Place, PortAccess, open_ecam
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.interrupts import Msi as Message
from virtlab.memory import GuestMemory
from virtlab.pci import root as root_module
from virtlab.pci.bridge import PciBridge
from virtlab.pci.config import Header
from virtlab.pci.root import MAX_NESTED, MAX_NESTING, RootComplex
from virtlab.trace import Trace

ECAM = 0xB000_0000


@pytest.fixture
def rig():
    made = Rig().plug_everything()
    enumerate_pci(made.cpu)
    return made


# -- interrupt messages


def test_a_dword_to_the_interrupt_addresses_is_a_message(rig):
    """PCI 3.0, 6.8: a dword memory write. It carries the requester's id."""
    rig.end.dma.write(0xFEE0_1004, b"\x41\x00\x00\x00")
    assert rig.messages == [(rig.end.source_id, Message(0xFEE0_1004, 0x41))]


@pytest.mark.parametrize(
    ("iova", "data"),
    [(0xFEE0_0000, b""), (0xFEE0_0000, b"\x41"), (0xFEE0_0000, bytes(8)), (0xFEE0_0002, bytes(4))],
)
def test_any_other_write_there_is_a_fault(rig, iova, data):
    """PCI 3.0, 6.8: a write that is not one aligned dword is no message."""
    with pytest.raises(DmaFault, match="one aligned dword"):
        rig.end.dma.write(iova, data)
    assert rig.messages == []
    assert rig.trace.counts["fault"] == 1


def test_a_refused_read_is_answered_and_a_refused_write_is_not(rig):
    """PCI Express 3.0, 6.2.3: a posted write has no completion that could say so."""
    for refuse in (
        lambda: rig.end.dma.write(1 << 40, b"abcd"),
        lambda: rig.end.dma.view(1 << 40, 4, True),
    ):
        with pytest.raises(DmaFault):
            refuse()
        assert not Header.STATUS.RECEIVED_MASTER_ABORT.get(rig.end.header.STATUS)
    with pytest.raises(DmaFault):
        rig.end.dma.read(1 << 40, 4)
    assert Header.STATUS.RECEIVED_MASTER_ABORT.get(rig.end.header.STATUS)


def test_nothing_can_be_read_there(rig):
    with pytest.raises(DmaFault):
        rig.end.dma.read(0xFEE0_0000, 4)


def test_a_root_complex_without_listeners_drops_messages_and_pins():
    root = RootComplex(Trace(), lambda source: GuestMemory(4096))
    card = root.bus.plug(Card(), 1)
    card.config.write(Header.COMMAND.offset, 2, Header.COMMAND.BUS_MASTER.mask)
    card.dma.write(0xFEE0_0000, bytes(4))
    card.irq.set(True)
    assert root.trace.counts["msi"] == 1


def test_without_a_host_bridge_nobody_notes_a_master_abort():
    root = RootComplex(Trace(), lambda source: GuestMemory(4096))
    assert root.read("memory", 0xC000_0000, 4) == 0xFFFF_FFFF
    assert root.trace.counts["unclaimed"] == 1


# -- ECAM


def test_ecam_of_a_root_complex_that_is_not_connected_is_nowhere():
    root = RootComplex(Trace(), lambda source: GuestMemory(4096))
    root.place_ecam(ECAM)
    assert root.bus.functions == {}


def test_ecam_can_be_moved_through_itself(rig):
    """The access that moves it is finished where it began."""
    open_ecam(rig.cpu, ECAM)
    rig.cpu.store(ECAM + 0x60, 0x9000_0001, 4)
    assert rig.cpu.load(0x9000_0000, 4) == 0x29C0_8086
    assert rig.cpu.load(ECAM, 4) == 0xFFFF_FFFF
    rig.cpu.store(0x9000_0060, 0, 4)
    assert rig.cpu.load(0x9000_0000, 4) == 0xFFFF_FFFF


def test_an_access_of_eight_bytes_reaches_two_registers(rig):
    open_ecam(rig.cpu, ECAM)
    assert rig.cpu.load(ECAM, 8) == rig.cpu.load(ECAM, 4) | rig.cpu.load(ECAM + 4, 4) << 32


# -- bounds: see also test_hostile.py


class Echo(Scratch):
    """On each access it reads `fan` times from `peer`; gives what came."""

    def __init__(self, card, fan):
        super().__init__()
        self.card, self.fan, self.peer = card, fan, 0
        self.accesses = self.faults = 0

    def read(self, offset, size):
        self.accesses += 1
        for _ in range(self.fan):
            try:
                self.card.dma.read(self.peer, 4)
            except DmaFault:
                self.faults += 1
        return self.accesses


def echoes(fan, count=2):
    rig, made = Rig(), []
    for device in range(1, count + 1):
        card = Card(str(device))
        card.echo = Echo(card, fan)
        card.bars[0] = card.bars[0]._replace(device=card.echo)
        made.append(rig.bus.plug(card, device))
    enumerate_pci(rig.cpu)
    for card, peer in zip(made, made[1:] + made[:1], strict=True):
        card.echo.peer = bar(peer)
    return rig, [card.echo for card in made]


def test_requests_nest_so_deep_and_no_deeper():
    rig, made = echoes(fan=1)
    rig.cpu.load(bar(rig.bus.functions[1, 0]), 4)
    assert sum(echo.accesses for echo in made) == MAX_NESTING + 1
    assert sum(echo.faults for echo in made) == 1


def test_a_tree_of_requests_is_bounded_too(monkeypatch):
    """Each access leads to twelve. Depth alone would allow 12 ** MAX_NESTING."""
    monkeypatch.setattr(root_module, "MAX_NESTED", 100)
    rig, made = echoes(fan=12, count=3)
    for turn in (1, 2):
        rig.cpu.load(bar(rig.bus.functions[1, 0]), 4)
        asked = sum(echo.accesses + echo.faults for echo in made)
        assert 100 * turn <= asked <= (100 + 12 * MAX_NESTING) * turn


def test_the_bound_leaves_room_for_a_ring_behind_a_doorbell():
    """A device that another one rings may make thousands of requests."""
    assert MAX_NESTED >= 4096


# -- a whole board


def board():
    """28 functions behind root ports, a switch, and two kinds of bridges."""
    rig = Rig().plug_everything()
    for device in range(8, 20):
        rig.bus.plug(Card(f"card {device}", device, ports=0x20, bits=64, ahead=True), device)
    return rig


@pytest.mark.parametrize("way", ["ports", "ecam"])
def test_enumeration_of_a_board_is_quick(way):
    """About 0.06 s on a small machine, best of three; the bound leaves room for a busy one."""
    seconds = []
    for _ in range(3):
        rig = board()
        access = PortAccess(rig.cpu) if way == "ports" else open_ecam(rig.cpu, ECAM)
        assert isinstance(access, EcamAccess if way == "ecam" else PortAccess)
        start = time.perf_counter()
        found = enumerate_pci(rig.cpu, access)
        seconds.append(time.perf_counter() - start)
        assert len([f for top in found for f in top.walk()]) == 28
    assert min(seconds) < 1


def test_after_enumeration_every_function_answers_where_it_was_put():
    rig = board()
    enumerate_pci(rig.cpu)
    cards = [f for f in rig.bus.walk() if isinstance(f, Card)]
    for number, card in enumerate(cards):
        rig.cpu.store(bar(card), 0x5A00 + number, 4)
    assert [card.scratch.FIRST for card in cards] == [0x5A00 + n for n in range(len(cards))]
    spans = sorted((bar(c), bar(c) + c.bars[0].size) for c in cards)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_a_chain_of_bridges_is_as_long_as_there_are_bus_numbers():
    """Depth costs a few frames a bus, and no more: 64 bridges in a row."""
    rig = Rig()
    bus = rig.bus
    for _ in range(64):
        bus = bus.plug(PciBridge(), 1).below
    last = bus.plug(Card(), 2)
    enumerate_pci(rig.cpu)
    rig.cpu.store(bar(last), 0x77, 4)
    last.dma.write(0x100, b"deep")
    last.irq.set(True)
    assert last.scratch.FIRST == 0x77
    assert rig.ram.read(0x100, 4) == b"deep"
    assert sum(line.level for line in rig.lines.values()) == 1
    assert PortAccess(rig.cpu).read(Place(64, 2, 0), 0, 4) == 0x1234_1AF4
