"""Tasks 1 to 4 of problem set 2: the boards and the planted faults, held to the library's rules."""

import itertools
from random import Random

import pytest

from tests.course.refusals import refusal
from virtlab.course.answers import Stopped
from virtlab.course.ps2 import addresses, boards
from virtlab.course.ps2.boards import Board, Card, Config
from virtlab.course.ps2.faults import KINDS, Access, Faulty
from virtlab.course.ps2.trees import grow, numbered, tree_text
from virtlab.guest.pci import Place, Scan, size_bars

# -- boards


@pytest.mark.parametrize("topology", ["conventional", "express"])
@pytest.mark.parametrize("seed", range(12))
def test_the_tree_is_walked_and_numbered_as_the_librarys_own_scan_does(topology, seed):
    board = Board(topology)
    grow(board.bus, Random(seed), 3, itertools.count(1))
    nodes = numbered(board.bus)
    found = [each for top in Scan(Config(board.root)).run() for each in top.walk()]
    assert [(one.place, one.device, one.buses) for one in found] == [
        (node.place, node.function.header.DEVICE_ID, node.buses) for node in nodes
    ]


def test_the_same_seed_grows_the_same_tree():
    def tree(seed):
        board = Board("express")
        grow(board.bus, Random(seed), 3, itertools.count(1))
        return tree_text(numbered(board.bus))

    assert tree(3) == tree(3) != tree(4)
    assert "bridge [01-" in tree(4)


def test_the_bars_of_a_card_are_those_that_the_librarys_own_driver_finds():
    bars = {0: ("memory", 0x20000, 32, False), 1: ("port", 8, 32, False)}
    bars[2] = ("memory", 1 << 33, 64, True)
    board = Board()
    board.bus.plug(Card(1, bars), 4)
    found = size_bars(Config(board.root), Place(0, 4, 0), 6)
    assert {bar.index: (bar.space, bar.size, bar.bits, bar.prefetchable) for bar in found} == bars


# -- configuration accesses of a student


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (([0, 0, 0], 0, 2), TypeError),
        ((3, 0, 2), TypeError),
        (((0, 0), 0, 2), TypeError),
        (((0, 0, "0"), 0, 2), TypeError),
        (((0, 0, 0), 0.0, 2), TypeError),
        (((0, 32, 0), 0, 2), ValueError),
        (((0, 0, 8), 0, 2), ValueError),
        (((256, 0, 0), 0, 2), ValueError),
        (((-1, 0, 0), 0, 2), ValueError),
        (((0, 0, 0), 0, 3), ValueError),
        (((0, 0, 0), 1, 2), ValueError),
        (((0, 0, 0), 256, 1), ValueError),
        (((0, 0, 0), -4, 4), ValueError),
    ],
)
def test_an_access_that_cannot_be_made_is_an_error_in_the_students_line(arguments, error):
    pci = Board().pci
    with pytest.raises(error):
        pci.read(*arguments)
    with pytest.raises(error):
        pci.write(*arguments, 0)
    assert pci.accesses == []


def test_accesses_are_noted_in_words_and_bounded():
    pci = Board().pci
    assert pci.last() == "there was none"
    assert pci.read((0, 0, 0), 0, 2) == 0x8086
    pci.write((0, 0, 0), 4, 2, 0x10006)
    pci.read((0, 9, 0), 0x40, 1)
    said = [pci.say(access) for access in pci.accesses]
    assert said == [
        "access 0: read 00:00.0 VENDOR_ID 0x0/2 -> 0x8086",
        "access 1: write 00:00.0 COMMAND 0x4/2 <- 0x6",
        "access 2: read 00:09.0 0x40/1 -> 0xff",
    ]
    assert pci.writes == [pci.accesses[1]]
    for _ in range(boards.ACCESSES - len(pci.accesses)):
        pci.read((0, 0, 0), 0, 2)
    with pytest.raises(
        Stopped, match=r"after 4,000 accesses; the last: access 3999: read 00:00\.0"
    ):
        pci.read((0, 0, 0), 0, 2)


def test_an_endless_scan_is_ended_by_its_accesses():
    said = refusal("ps2.q3", "def scan(pci):\n    while True: pci.read((0, 0, 0), 0, 2)")
    assert "it was stopped after 4,000 accesses" in said


# -- task 1: what the hardware makes of a number


@pytest.mark.parametrize(
    ("way", "number", "words"),
    [
        ("word", 0x80021910, "register 0x10 of 02:03.1"),
        ("word", 0x80000013, "register 0x13 of 00:00.0"),
        ("word", 0x00021910, "bit 31 is 0: no configuration access at all"),
        ("ecam", 0x219010, "register 0x10 of 02:03.1"),
        ("ecam", 1 << 28, ""),
        ("word", -1, ""),
        ("word", "0x80000000", ""),
        ("word", True, ""),
    ],
)
def test_a_number_means_a_register(way, number, words):
    assert addresses.meant(way, number) == words


def test_a_report_says_which_register_was_named():
    said = refusal(
        "ps2.q1", "def config_address(b, d, f, o): return 1 << 31 | b << 16 | d << 12 | f << 8 | o"
    )
    assert "FAILS its device" in said
    assert "the hardware takes yours as: register 0x0 of 00:08.0" in said


# -- task 2: what is left behind


MEDDLER = """
def size_bar(pci, place, index):
    answer = right(pci, place, index)
    pci.write(place, 0x04, 4, 0xFFFF0007)
    return answer
"""


def test_a_report_names_the_register_that_changed_and_the_last_access():
    said = refusal("ps2.q2", MEDDLER)
    assert "expected STATUS 0x2000, as before yours STATUS 0x0" in said
    assert "write 00:04.0 COMMAND 0x4/4 <- 0xffff0007" in said


# -- task 4: a planted fault stops its access, and nothing else does


@pytest.mark.parametrize("topology", ["conventional", "express"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_planted_fault_stops_its_access(topology, kind):
    for seed in range(4):
        choices = len(Faulty.any(Random(seed), topology).possible(Access(kind, 0)))
        for choice, how in itertools.product(range(choices), ("", "secondary", "closed")):
            rng = Random(seed)
            board = Faulty.any(rng, topology)
            access = board.access(kind, rng, rng.choice((0, 2)))
            assert board.arrives(access)
            board.distract(access, rng, likely=1.0)
            assert board.arrives(access), "what an access does not need cannot stop it"
            at, word = board.possible(access)[choice]
            place, said = board.plant(access, at, word, how)
            assert (place, said) == (tuple(board.places[at]), word)
            assert not board.arrives(access), (seed, at, word, how)


def test_a_fault_is_repaired_by_putting_its_register_back():
    board, rng = Faulty.chain(), Random(1)
    access = board.access("memory", rng)
    before = board.bridges[1].config.dump()
    board.plant(access, 1, "window", "begins late")
    assert board.bridges[1].config.dump() != before
    for at in range(0x10, 0x40, 4):
        value = int.from_bytes(before[at : at + 4], "little")
        board.bridges[1].config.write(at, 4, value)
    assert board.arrives(access)


@pytest.mark.parametrize(("kind", "index"), [("memory", 0), ("memory", 2), ("port", 1)])
def test_a_bar_at_the_end_of_its_window_is_reached(kind, index):
    board = Faulty.chain()
    start, length = board.bar(index)
    window = next(w for w in board.bridges[-1].windows if w.space == kind and w.has(start, 4))
    for first in (window.base, window.limit + 1 - length):
        board.move(index, first)
        assert board.arrives(Access(kind, first))
        assert board.arrives(Access(kind, first + length - 4))


def test_a_diagnosis_that_writes_is_refused():
    source = "def diagnose(pci, path, access):\n    pci.write(path[0], 4, 2, 7)\n    return None"
    said = refusal("ps2.q4", source)
    assert "expected reads alone yours 1 writes" in said
    assert "access 0: write 00:03.0 COMMAND 0x4/2 <- 0x7" in said


def test_a_report_shows_what_is_in_the_bridges():
    said = refusal("ps2.q4", "def diagnose(*a): return None")
    assert "path 00:03.0, 01:05.0, 02:00.0; access ('memory', 0x" in said
    assert "01:05.0 COMMAND 0x0007, windows 0xc" in said
    source = "def diagnose(p, path, a): return None if a[0] == 'config' else right(p, path, a)"
    assert "00:03.0 COMMAND 0x0007, secondary 1, subordinate 1" in refusal("ps2.q4", source)
