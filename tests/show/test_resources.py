"""Who has which addresses: windows around BARs, and what is wrong where something is."""

import pytest

from tests.pci.rig import Rig
from tests.show.boards import Board
from tests.show.looks import check_picture, words_of
from virtlab import machine
from virtlab.guest.pci import Place, PortAccess
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.pci.config import Header, Type0, Type1
from virtlab.show import pin_table, resources
from virtlab.show.resources import spans


@pytest.fixture
def board():
    return Board()


def states(board, space="memory"):
    return {(each.place, each.what): each.state for each in spans(board.root.bus, space)}


def test_before_enumeration_nobody_has_an_address():
    bus = machine.lesson_pc().cards.root.bus
    assert spans(bus) == []
    check_picture(resources(bus))
    assert "No function has an address." in words_of(resources(bus))


@pytest.mark.parametrize("pci", ["conventional", "express"])
@pytest.mark.parametrize("space", ["memory", "port"])
def test_afterwards_all_is_well_and_every_bar_is_inside_its_windows(pci, space):
    board = Board(pci)
    found = spans(board.root.bus, space)
    assert {each.state for each in found} <= {""}
    check_picture(resources(board.root.bus, space))
    wanted = {
        (str(each.place), f"BAR{bar.index}", bar.address, bar.address + bar.size - 1)
        for top in board.found
        for each in top.walk()
        for bar in each.bars
        if bar.space == space
    }
    bars = {(e.place, e.what, e.first, e.last) for e in found if not e.window}
    assert bars == wanted


def test_two_bars_at_one_address_overlap(board):
    near, far = board.edus
    board.config.write(near.place, Type0.BAR0.offset, 4, far.bar(0))
    wrong = states(board)
    assert wrong[str(near.place), "BAR0"] == wrong[str(far.place), "BAR0"] == "overlaps"
    drawn = resources(board.root.bus)
    check_picture(drawn)
    assert "1 MiB, overlaps" in drawn.text


def test_a_bar_outside_its_bridge_s_window_is_told(board):
    far = board.edus[1]
    outer = next(each for each in board.found if far in list(each.walk()))
    board.config.write(outer.place, Type1.MEMORY_LIMIT.offset, 2, 0)
    assert states(board)[str(far.place), "BAR0"] == "outside"
    check_picture(resources(board.root.bus))


def test_decoding_off_is_told_of_a_bar_and_of_a_window(board):
    near, far = board.edus
    outer = next(each for each in board.found if far in list(each.walk()))
    board.config.write(near.place, Header.COMMAND.offset, 2, 0)
    board.config.write(outer.place, Header.COMMAND.offset, 2, 0)
    found = states(board)
    assert found[str(near.place), "BAR0"] == "off"
    assert found[str(outer.place), "memory window"] == "off"
    assert found[str(far.place), "BAR0"] == "outside"
    drawn = resources(board.root.bus)
    check_picture(drawn)
    assert "1 MiB, off" in drawn.text


def test_ports_and_far_memory():
    rig = Rig().plug_everything()
    enumerate_pci(rig.cpu)
    ports = resources(rig.bus, "port")
    check_picture(ports)
    assert "io window 0x1000-0x1fff, 4096 ports" in ports.text
    memory = resources(rig.bus, title="Mine")
    check_picture(memory)
    assert words_of(memory)[0] == "Mine"
    assert "more lie above 4 GiB" in words_of(memory)[1]
    assert "0x800000000" in memory.text


def test_an_unassigned_bar_that_does_not_answer_is_not_shown():
    rig = Rig().plug_everything()
    assert spans(rig.bus) == []
    PortAccess(rig.cpu).write(Place(0, 5, 0), Header.COMMAND.offset, 2, 2)
    assert [(each.place, each.first) for each in spans(rig.bus)] == [("00:05.0", 0)]


# -- pins


def test_a_pin_changes_its_name_at_every_bridge(board):
    """PCI bridge 1.2, 9.1."""
    near, far = board.edus
    rows = {row[0]: row[1:] for row in pin_table(board.found).rows}
    assert rows[str(near.place)] == (
        "INTA",
        f"device {near.place.device:02x}, INTA",
        str(near.line),
    )
    assert rows[str(far.place)][0] == "INTA"
    assert rows[str(far.place)][1].endswith("INTB")


def test_a_pin_without_a_route_is_said(board):
    board.edus[0].line = None
    rows = {row[0]: row[-1] for row in pin_table(board.found).rows}
    assert rows[str(board.edus[0].place)] == "not routed"
