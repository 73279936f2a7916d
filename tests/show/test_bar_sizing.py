"""BAR sizing, bit by bit: what the picture says is what the register held."""

import pytest

from tests.show.looks import check_picture, words_of
from virtlab.show import BarLab, bar_sizing
from virtlab.show.bar_sizing import KINDS, answered, explain, sizes, sizing
from virtlab.wire import all_ones

MEMORY, WIDE, AHEAD, PORTS = KINDS.values()


def steps(kind, size):
    return [(each.write, each.register, each.value) for each in sizing(kind, size).steps]


def test_all_ones_in_and_the_size_comes_back():
    """PCI 3.0, 6.2.5.1: decoding off, all ones, read back, put back."""
    assert steps(MEMORY, 1 << 20) == [
        (False, "COMMAND", 0),
        (True, "COMMAND", 0),
        (False, "BAR0", 0),
        (True, "BAR0", 0xFFFF_FFFF),
        (False, "BAR0", 0xFFF0_0000),
        (True, "BAR0", 0),
        (True, "COMMAND", 0),
    ]


def test_a_wide_bar_is_asked_in_two_halves():
    registers = [each.register for each in sizing(AHEAD, 1 << 36).steps]
    assert registers == ["COMMAND"] * 2 + ["BAR0"] * 4 + ["BAR1"] * 4 + ["COMMAND"]
    answers = [each.value for each in sizing(AHEAD, 1 << 36).steps]
    assert (answers[4], answers[8]) == (0x0000_000C, 0xFFFF_FFF0)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_size_that_a_kind_can_have_is_found(kind):
    for size in sizes(kind):
        asked = sizing(kind, size)
        assert asked.found.size == size
        low = asked.steps[answered(asked)].bar
        masked = low & ~(0x3 if kind.space == "port" else 0xF)
        if kind.bits == 32:
            assert masked & -masked == size


def test_sizes_are_those_of_the_specification():
    assert sizes(PORTS) == [4, 8, 16, 32, 64, 128, 256]
    assert (sizes(MEMORY)[0], sizes(MEMORY)[-1]) == (16, 1 << 31)
    assert sizes(WIDE)[-1] == 1 << 63


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_step_of_every_size_can_be_drawn(kind):
    for size in (sizes(kind)[0], sizes(kind)[-1]):
        asked = sizing(kind, size)
        for at in range(len(asked.steps)):
            check_picture(bar_sizing(asked, at))


def test_the_picture_has_the_register_s_bits():
    drawn = bar_sizing(sizing(MEMORY, 1 << 20), 4)
    digits = [words for words in words_of(drawn) if words in ("0", "1")]
    assert digits.count("1") == 12
    assert "bit 20 is the lowest that took the 1: 2^20 = 1 MiB" in words_of(drawn)
    assert "1111 1111 1111 0000 0000 0000 0000 0000" in drawn.text


def test_the_size_is_not_told_before_it_is_known():
    asked = sizing(AHEAD, 1 << 28)
    told = ["lowest that took" in bar_sizing(asked, at).svg for at in range(len(asked.steps))]
    assert told == [False] * 8 + [True] * 3


def test_each_access_says_why():
    asked = sizing(AHEAD, 1 << 28)
    assert [explain(asked, at).split(".")[0] for at in range(len(asked.steps))] == [
        "The driver reads which spaces the function decodes",
        "Decoding goes off",
        "BAR0 is read first, so that it can be put back",
        "All ones go into BAR0",
        "This is the lower half",
        "BAR0 gets back what it had before",
        "BAR1 is read first, so that it can be put back",
        "All ones go into BAR1",
        "The bits that stayed 0 lie inside the region",
        "BAR1 gets back what it had before",
        "The sizing is over",
    ]
    assert "bit 28: 256 MiB." in explain(asked, 8)


# -- the widget


def press(lab, words):
    next(each for each in lab.controls if each.description == words).click()


def test_it_starts_at_the_answer_and_steps():
    lab = BarLab()
    assert "bit 20: 1 MiB." in lab._says.value
    press(lab, "Back")
    assert "All ones go into BAR0" in lab._says.value
    press(lab, "Last")
    assert "The sizing is over" in lab._says.value


def test_another_kind_keeps_the_size_where_it_can():
    lab = BarLab()
    lab._kind.value = "memory, 64 bits"
    assert lab._size.value == 1 << 20
    assert "1 MiB" in lab._says.value
    lab._kind.value = "ports"
    assert lab._size.value == 256
    assert "bit 8: 256 ports." in lab._says.value
    lab._size.value = 4
    assert "bit 2: 4 ports." in lab._says.value


def test_reset_brings_kind_size_and_step_back():
    lab = BarLab("ports", 8)
    start = lab._picture.value
    lab._kind.value = "memory, 64 bits, prefetchable"
    press(lab, "First")
    lab.reset()
    assert (lab._kind.value, lab._size.value) == ("ports", 8)
    assert lab._picture.value == start


def test_all_ones_are_not_the_answer():
    """The word that was written must not be taken for what came back."""
    asked = sizing(MEMORY, 1 << 12)
    assert asked.steps[answered(asked) - 1].value == all_ones(4)
    assert not asked.steps[answered(asked)].write
