"""The tree as nodes: of a board before and after enumeration, and of a dump."""

from tests.show.boards import Board
from virtlab import machine
from virtlab.pci.decode import decode
from virtlab.pci.dump import dumped, example
from virtlab.show import nodes_of, nodes_of_dump
from virtlab.show.nodes import NO_NUMBER, Node


def every(nodes):
    return [each for top in nodes for each in top.walk()]


def test_before_enumeration_no_bus_behind_a_bridge_has_a_number():
    nodes = every(nodes_of(machine.lesson_pc().cards.root.bus))
    bridges = [each for each in nodes if each.behind]
    assert bridges
    assert all(each.behind == f"PCI bus {NO_NUMBER}" for each in bridges)
    assert all(child.place.startswith("??:") for each in bridges for child in each.below)


def test_afterwards_every_bridge_says_its_bus_and_every_function_its_place():
    board = Board()
    nodes = every(nodes_of(board.root.bus))
    assert [each.place for each in nodes] == [
        str(each.place) for top in board.found for each in top.walk()
    ]
    numbers = [each.behind for each in nodes if each.behind]
    assert numbers == [f"PCI bus {n:02x}" for n in range(1, len(numbers) + 1)]


def test_the_kinds_of_buses_of_pci_express():
    nodes = every(nodes_of(Board("express").root.bus))
    kinds = {each.name: each.behind[:-3] for each in nodes if each.behind}
    assert kinds == {
        "root port 1": "link",
        "switch, upstream": "internal bus",
        "switch, port 0": "link",
        "switch, port 1": "link",
        "root port 2": "link",
        "PCIe-PCI bridge": "PCI bus",
    }


def test_a_dump_of_a_board_has_the_tree_of_the_board():
    """The dump knows a port's role from its PCI Express capability alone."""
    for pci in ("conventional", "express"):
        root = Board(pci).root
        again = nodes_of_dump([decode(dumped(each)) for each in root.bus.walk()])

        def shape(nodes):
            return [(each.place, each.behind, shape(each.below)) for each in nodes]

        assert shape(again) == shape(nodes_of(root.bus))


def test_a_dump_before_enumeration_has_bridges_without_a_number():
    root = machine.lesson_pc().cards.root
    top = nodes_of_dump([decode(dumped(each)) for each in root.bus.functions.values()])
    assert {each.behind for each in top if each.behind} == {f"PCI bus {NO_NUMBER}"}


def test_a_function_of_a_dump_is_named_by_its_class_and_device():
    nodes = every(nodes_of_dump(map(decode, example())))
    assert len(nodes) == 21
    nvme = next(each for each in nodes if each.place == "06:00.0")
    assert nvme.name == "Non-Volatile memory controller: NVM Express controller"


def test_a_node_walks_depth_first():
    inner = Node("02:00.0", "b")
    tree = Node("00:01.0", "a", "bus 01", (inner, Node("02:01.0", "c")))
    assert [each.name for each in tree.walk()] == ["a", "b", "c"]
