"""The tree of buses: who is behind whom, also where a dump makes no sense."""

import gzip
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles.lspci import drawn, seen
from tests.pci.dumps import forest, header
from virtlab.pci.decode import decode
from virtlab.pci.dump import DumpedFunction, example
from virtlab.pci.tree import describe, tree, tree_text

FROZEN = Path(__file__).parents[1] / "data" / "pci" / "q35.lspci-t.txt.gz"


def text(*functions):
    return tree_text(decode(each) for each in functions)


def card(bus, device, domain=0):
    return header((domain, bus, device, 0), None)


def bridge(bus, device, secondary, subordinate, domain=0):
    return header((domain, bus, device, 0), (bus, secondary, subordinate))


def shape(functions):
    """The tree as nested places."""

    def node(each):
        return {each.function.bdf: [node(inner) for bus in each.buses for inner in bus.functions]}

    return [node(each) for root in tree(map(decode, functions)) for each in root.functions]


def test_the_tree_of_the_example_is_the_one_that_lspci_drew():
    theirs = gzip.decompress(FROZEN.read_bytes()).decode()
    assert re.sub(r"  \w{4}:\w{4}$", "", drawn(seen(text(*example()))), flags=re.M) == theirs


def test_a_function_is_behind_the_bridge_whose_range_has_its_bus():
    """PCI-to-PCI Bridge 1.2, 3.2.5.3 and 3.2.5.4."""
    functions = [bridge(0, 3, 1, 2), card(0, 4), bridge(1, 0, 2, 2), card(2, 5)]
    assert shape(functions) == [
        {"00:03.0": [{"01:00.0": [{"02:05.0": []}]}]},
        {"00:04.0": []},
    ]


def test_the_text_has_a_line_for_each_function():
    assert text(bridge(0, 3, 1, 2), bridge(1, 0, 2, 2), card(2, 5), card(0, 31)).splitlines() == [
        "bus 00",
        "+- 00:03.0 PCI bridge: Red Hat virtio device 1234 [1af4:1234], to buses 01-02",
        "|  `- 01:00.0 PCI bridge: Red Hat virtio device 1234 [1af4:1234], to bus 02",
        "|     `- 02:05.0 Unassigned class: Red Hat virtio device 1234 [1af4:1234]",
        "`- 00:1f.0 Unassigned class: Red Hat virtio device 1234 [1af4:1234]",
    ]


def test_a_bus_that_no_bridge_leads_to_is_a_root_of_its_own():
    assert [str(root) for root in tree(map(decode, [card(0, 0), card(0x7F, 0)]))] == [
        "bus 00",
        "bus 7f",
    ]


def test_a_bridge_leads_to_no_other_domain():
    roots = tree(map(decode, [bridge(0, 3, 1, 1), card(1, 0, domain=2)]))
    assert [str(root) for root in roots] == ["bus 00", "bus 0002:01"]


def test_a_bus_behind_a_bridge_that_is_lost_is_behind_the_one_above():
    """A user may see a part of the machine only."""
    assert shape([bridge(0, 3, 1, 5), card(4, 0)]) == [{"00:03.0": [{"04:00.0": []}]}]
    nested = [bridge(0, 3, 1, 5), bridge(1, 0, 2, 5), card(4, 0)]
    assert shape(nested) == [{"00:03.0": [{"01:00.0": [{"04:00.0": []}]}]}]


def test_of_two_bridges_with_one_number_the_first_has_the_bus():
    functions = [bridge(0, 1, 1, 1), bridge(0, 2, 1, 1), card(1, 0)]
    assert shape(functions) == [{"00:01.0": [{"01:00.0": []}]}, {"00:02.0": []}]
    first, second = (each.buses for root in tree(map(decode, functions)) for each in root.functions)
    assert (len(first), len(second)) == (1, 0)


def test_a_bridge_with_no_numbers_yet_leads_nowhere():
    assert text(bridge(0, 3, 0, 0)).endswith(", to no bus yet")


@pytest.mark.parametrize(
    "functions",
    [
        [bridge(1, 0, 1, 1), card(1, 1)],
        [bridge(1, 0, 2, 2), bridge(2, 0, 1, 1)],
        [bridge(1, 0, 2, 9), bridge(2, 0, 1, 9)],
        [bridge(0, 0, 0, 255)],
        [bridge(5, 0, 4, 3), card(4, 0)],
        [bridge(0, 1, 1, 1), bridge(0, 2, 1, 1), card(1, 0)],
    ],
)
def test_numbers_that_make_no_sense_lose_nothing_and_make_no_loop(functions):
    places = sorted(line.split()[-1] for line in flat(shape(functions)))
    assert places == sorted(each.bdf for each in functions)


def flat(nodes):
    for node in nodes:
        for place, below in node.items():
            yield place
            yield from flat(below)


@given(st.integers(0, 1 << 30))
def test_no_bus_numbers_do_harm(seed):
    chance = random.Random(seed)
    functions = []
    for each in forest(seed % 50):
        data = bytearray(each.data)
        data[0x18:0x1B] = bytes(chance.randrange(8) for _ in range(3))
        functions.append(
            each._replace(data=bytes(data), bus=chance.randrange(8), device=len(functions))
        )
    assert sorted(flat(shape(functions))) == sorted(each.bdf for each in functions)
    assert text(*functions).count("\n") + 1 >= len(functions)


# -- one line


def titled(title, vendor=0xBEEF):
    source = card(0, 0)
    data = vendor.to_bytes(2, "little") + source.data[2:]
    return describe(decode(source._replace(data=data, title=title)))


def test_what_our_tables_do_not_know_the_title_of_the_dump_says():
    said = "00:00.0 Unassigned class: ACME Turbo [GT 3] [beef:1234]"
    assert (
        titled("VGA compatible controller: ACME Turbo [GT 3] (rev 02) (prog-if 00 [VGA])") == said
    )
    assert (
        titled("VGA compatible controller [0300]: ACME Turbo [GT 3] [beef:1234] (rev 02)") == said
    )


@pytest.mark.parametrize("title", ["", "x", "0300: beef:1234 (rev 02)", "VGA: Device beef:1234"])
def test_and_where_it_has_no_name_either_the_numbers_do(title):
    assert titled(title) == "00:00.0 Unassigned class: vendor beef device 1234 [beef:1234]"


def test_our_own_names_come_first():
    source = DumpedFunction(0, 0, 0, 0, bytes.fromhex("8680c029") + bytes(60), "Host: some other")
    assert "Intel 82G33 (Q35) host bridge" in describe(decode(source))


def test_nobody_is_said_to_be_nobody():
    source = DumpedFunction(0, 0, 0, 0, b"\xff" * 64)
    assert describe(decode(source)) == "00:00.0 nobody answers here (all ones)"


def test_the_revision_is_said_where_it_is_not_0():
    data = bytearray(card(0, 0).data)
    data[8] = 0x1F
    source = DumpedFunction(0, 0, 0, 0, bytes(data))
    assert describe(decode(source)).endswith("[1af4:1234] (rev 1f)")
