"""`lspci` reads what we write, and we read what it reads, as it does."""

import json
import re
from collections import Counter

import pytest

from tests.needs import needs_lspci
from tests.oracles.lspci import (
    blocks,
    differences,
    drawn,
    identities,
    run,
    said_by_us,
    seen,
    unforked,
)
from tests.oracles.lspci_fields import every, fields
from tests.pci.dumps import forest, machine
from tests.pci.rig import Rig
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.machine import lesson_pc
from virtlab.pci.decode import decode
from virtlab.pci.dump import dumped, example, format_dump, load_dump
from virtlab.pci.report import as_data
from virtlab.pci.tree import tree_text

FUNCTIONS, SEEDS = 80, 8
"""Functions of a machine that is made up, and how many machines."""

COMPLAINTS = ("unknown", "Unknown", "<?>", "!!!", "<chain", "<access", "<ignored>", "<broken", "??")
"""What `lspci` prints where it cannot make sense of something."""


def rig():
    """A board with everything on it."""
    made = Rig().plug_everything()
    return made.cpu, made.root


def conventional():
    """The lesson PC."""
    board = lesson_pc()
    return board.cpu, board.cards.root


def express():
    """The lesson PC with its cards on links."""
    board = lesson_pc(pci="express")
    return board.cpu, board.cards.root


BOARDS = {rig: 16, conventional: 10, express: 14}
"""Boards of ours, and how many functions each has."""


def functions_of(make):
    """Every function of a board of ours, enumerated."""
    cpu, root = make()
    places = {str(each.place) for top in enumerate_pci(cpu) for each in top.walk()}
    functions = list(root.bus.walk())
    assert {dumped(each).bdf for each in functions} == places
    return functions


def written(path, functions):
    """`functions` as a file, and as we read it back."""
    path.write_text(format_dump(functions))
    return [decode(each) for each in load_dump(path)]


def agree(path, functions):
    """Every fact of every function is what `lspci` says. How many functions."""
    ours = {each.bdf: json.loads(json.dumps(as_data(each))) for each in functions}
    theirs = blocks(run(path, "-n", "-vvv"))
    assert list(theirs) == list(ours)
    for place, said in theirs.items():
        assert differences(said, said_by_us(ours[place])) == {}, place
    return len(theirs)


# -- facts


@needs_lspci
def test_the_example_is_what_lspci_says(tmp_path):
    path = tmp_path / "dump.txt"
    assert agree(path, written(path, example())) == 21


@needs_lspci
@pytest.mark.parametrize("seed", range(SEEDS))
def test_machines_made_up_by_chance_are_what_lspci_says(tmp_path, seed):
    path = tmp_path / "dump.txt"
    assert agree(path, written(path, machine(seed, FUNCTIONS))) == FUNCTIONS


@needs_lspci
@pytest.mark.parametrize("make", BOARDS)
def test_a_board_of_ours_is_what_lspci_says_and_nothing_is_unknown_to_it(tmp_path, make):
    path = tmp_path / "dump.txt"
    functions = functions_of(make)
    assert agree(path, written(path, map(dumped, functions))) == len(functions) == BOARDS[make]
    text = run(path, "-vvv")
    spaces = [each.config for each in functions]
    count = sum(len(each.capabilities()) + len(each.extended_capabilities()) for each in spaces)
    assert text.count("Capabilities: ") == count
    assert [word for word in COMPLAINTS if word in text] == []


@needs_lspci
def test_every_domain_shows_as_with_lspci(tmp_path):
    path = tmp_path / "dump.txt"
    far = [each._replace(domain=0x10000 * (each.bus > 4)) for each in example()]
    functions = written(path, far)
    assert list(identities(run(path, "-n"))) == [each.bdf for each in functions]


# -- fields


def capabilities(text):
    """`(place, offset)` of each capability of `lspci -vvv`, and its lines."""
    found, lines, place = {}, [], ""
    for line in text.splitlines():
        if match := re.match(r"(\S+\.[0-7]) ", line):
            place, lines = match[1], []
        elif match := re.match(r"\tCapabilities: \[(\w+)(?: v\d+)?\] (.*)", line):
            lines = found[place, int(match[1], 16)] = [match[2]]
        elif line.startswith("\t\t"):
            lines.append(line)
    return found


@needs_lspci
def test_every_declared_field_has_the_value_that_lspci_prints(tmp_path):
    """323 fields of 24 capabilities, with bits thrown at random."""
    path, compared = tmp_path / "dump.txt", Counter()
    for seed in range(SEEDS):
        ours = {
            (each.bdf, found.offset): found
            for each in written(path, machine(seed, FUNCTIONS))
            for found in (*each.capabilities, *each.extended)
        }
        theirs = capabilities(run(path, "-n", "-vvv"))
        assert set(theirs) == set(ours)
        for place, lines in theirs.items():
            registers = {each.name: each for each in ours[place].registers}
            for said in fields(ours[place].name, lines):
                register = registers[said.register]
                value = register.fields[said.field] if said.field else register.value
                assert value == said.value, (place, said, lines)
                compared[ours[place].name, *said[:3]] += 1
    assert set(compared) == every()
    assert sum(compared.values()) > 30_000


# -- the tree


@needs_lspci
@pytest.mark.parametrize("make", [example, *BOARDS])
def test_the_tree_is_the_one_that_lspci_draws(tmp_path, make):
    path = tmp_path / "dump.txt"
    functions = example() if make is example else map(dumped, functions_of(make))
    text = tree_text(written(path, functions))
    assert drawn(seen(text)) == unforked(run(path, "-t", "-v", "-n"))


@needs_lspci
def test_trees_made_up_by_chance_are_those_that_lspci_draws(tmp_path):
    path, rows = tmp_path / "dump.txt", 0
    for seed in range(40):
        text = tree_text(written(path, forest(seed)))
        theirs = unforked(run(path, "-t", "-v", "-n"))
        assert drawn(seen(text)) == theirs, seed
        rows += theirs.count("\n")
    assert rows > 300
