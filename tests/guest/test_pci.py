"""Enumeration as a guest does it: on both of our boards, in a VM; and what goes wrong."""

import itertools

import pytest

from tests.pci.rig import Card, Rig
from virtlab import machine
from virtlab.cards import ECAM
from virtlab.guest.pci import (
    MAX_BUSES,
    Found,
    Place,
    PortAccess,
    Scan,
    capability_list,
    find,
    open_ecam,
)
from virtlab.guest.pci_resources import Windows, assign, enumerate_pci
from virtlab.pci.bridge import PciBridge
from virtlab.pci.config import MAX_CAPABILITIES, Header

BOARDS = {
    "conventional": machine.lesson_pc,
    "express": lambda: machine.lesson_pc(pci="express"),
    "vm": machine.lesson_vm,
}


@pytest.fixture(params=BOARDS)
def board(request):
    return BOARDS[request.param]()


def everything(cpu):
    return [found for top in enumerate_pci(cpu) for found in top.walk()]


def test_every_function_that_is_plugged_in_is_found_in_the_order_of_the_tree(board):
    found = everything(board.cpu)
    plugged = list(board.cards.root.bus.walk())
    assert [(f.vendor, f.device) for f in found] == [
        (f.header.VENDOR_ID, f.header.DEVICE_ID) for f in plugged
    ]
    assert [str(f.place) for f in found] == [str(f).split()[0] for f in plugged]


def test_every_bar_has_addresses_of_its_own_and_answers(board):
    spans = sorted(
        (bar.space, bar.address, bar.address + bar.size)
        for f in everything(board.cpu)
        for bar in f.bars
    )
    assert spans
    for low, high in itertools.pairwise(spans):
        assert low[0] != high[0] or low[2] <= high[1]
    for space, start, end in spans:
        for address in (start, end - 4):
            assert board.cards.root.bus.route_down(space, address, 4).bar is not None


def test_the_list_of_capabilities_is_the_same_by_ports_and_by_ecam():
    cpu = machine.lesson_pc(pci="express").cpu
    functions = everything(cpu)
    ecam, ports = open_ecam(cpu, ECAM), PortAccess(cpu)
    lists = {f.place: capability_list(ecam, f.place) for f in functions}
    assert lists == {f.place: capability_list(ports, f.place) for f in functions}
    card = find(enumerate_pci(cpu), 0x1234, 0x11E8)
    assert sorted(id_ for id_, _ in lists[card.place]) == [0x05, 0x10]
    host = Place(0, 0, 0)
    assert lists[host] == []


class Looping:
    """A function whose capability points to itself."""

    def read(self, place, offset, size):
        if offset == Header.STATUS.offset:
            return Header.STATUS.CAPABILITIES_LIST.mask
        return 0x40 if offset == Header.CAPABILITIES.offset else 0x4005


def test_a_list_that_loops_ends():
    found = capability_list(Looping(), Place(0, 1, 0))
    assert found == [(0x05, 0x40)] * MAX_CAPABILITIES


def test_what_is_not_there_is_said():
    cpu = machine.lesson_pc().cpu
    functions = enumerate_pci(cpu)
    with pytest.raises(LookupError, match="no function dead:beef is there"):
        find(functions, 0xDEAD, 0xBEEF)
    host = find(functions, 0x8086, 0x29C0)
    with pytest.raises(LookupError, match=r"00:00.0 has no address in BAR 0"):
        host.bar(0)


def test_a_host_bridge_without_ecam_is_not_written_to():
    rig = Rig()
    rig.bus.functions[0, 0].header.preset(DEVICE_ID=0x1237)
    before = rig.bus.functions[0, 0].config.dump()
    with pytest.raises(LookupError, match="no PCIEXBAR"):
        open_ecam(rig.cpu, ECAM)
    assert rig.bus.functions[0, 0].config.dump() == before


def test_more_bridges_than_bus_numbers_end_the_search_and_not_the_machine():
    rig = Rig()
    bus = rig.bus
    for _ in range(7):
        bridges = [bus.plug(PciBridge(), device) for device in range(2, 31)]
        bus = bridges[0].below
    for bridge in bridges:
        for device in range(4):
            bridge.below.plug(PciBridge(), device)
    scan = Scan(PortAccess(rig.cpu))
    found = [f for top in scan.run() for f in top.walk()]
    numbered = [f.buses for f in found if f.buses]
    assert scan.buses == MAX_BUSES
    assert len(numbered) == MAX_BUSES - 1
    assert any(f.is_bridge and f.buses is None for f in found)


def test_a_board_with_too_few_addresses_is_said():
    rig = Rig()
    rig.bus.plug(Card(size=0x100000), 5)
    functions = Scan(PortAccess(rig.cpu)).run()
    few = Windows(memory=(0xC000_0000, 0x80000))
    with pytest.raises(ValueError, match="memory: 0x100000 bytes are wanted, 0x80000 are free"):
        assign(functions, few)


def test_without_a_router_that_is_known_no_interrupt_is_noted():
    rig = Rig()
    rig.isa.header.preset(DEVICE_ID=0x0001)
    card = rig.bus.plug(Card(), 5)
    (found,) = [f for f in everything(rig.cpu) if f.device == 0x1234]
    assert isinstance(found, Found)
    assert found.line is None
    assert card.header.INTERRUPT_LINE == 0
