"""The guest under the bitmap: counts follow the closed form, and each access finds its device."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.show.looks import check_picture
from virtlab.show.bitmap_editor import WATCHED
from virtlab.show.bitmap_run import (
    HOST_KEY,
    VIRTUAL_KEY,
    Outcome,
    Row,
    exits_of,
    explain,
    open_ports,
    run,
    run_picture,
)

ALL = frozenset(port + bit for port in WATCHED for bit in range(8))


@settings(max_examples=20)
@given(st.sets(st.sampled_from(sorted(ALL))))
def test_exits_are_the_closed_form_and_answers_follow_the_bits(ports):
    outcome = run(open_ports(ports))
    assert len(outcome.rows) == 9
    assert outcome.exits == exits_of(sorted(ports))
    assert outcome.physical == ("hi" if 0x3F8 in ports else "")
    assert outcome.virtual == ("" if 0x3F8 in ports else "hi")
    assert outcome.key == (HOST_KEY if 0x60 in ports else VIRTUAL_KEY)
    for row in outcome.rows:
        touched = set(range(row.port, row.port + row.size))
        assert row.exited == (not touched <= ports)
    check_picture(run_picture(outcome))


@pytest.mark.parametrize(("ports", "exits"), [((), 9), (ALL, 0), (range(0x3F8, 0x400), 5)])
def test_nothing_open_everything_open_and_the_uart_alone(ports, exits):
    assert run(open_ports(ports)).exits == exits_of(list(ports)) == exits


def test_a_device_half_open_answers_from_both_sides():
    rows = run(open_ports(range(0xCF8, 0xCFC))).rows
    address, data = (row for row in rows if row.port in (0xCF8, 0xCFC))
    assert (address.exited, data.exited) == (False, True)
    assert data.value == 0xFFFF_FFFF


def test_one_bit_of_four_is_enough_to_exit():
    opened = set(range(0xCF8, 0xD00)) - {0xCFA}
    rows = run(open_ports(opened)).rows
    assert [row.exited for row in rows if row.size == 4] == [True, False]


def test_the_words_say_whose_key_it_was():
    assert "`S`, typed at the host's keyboard" in explain(run(open_ports(ALL)))
    words = explain(run(open_ports([])))
    assert words.startswith("9 accesses: 9 exit, 0 do not.")
    assert "`V`, from the virtual keyboard" in words
    assert words.endswith("It printed: the virtual terminal shows `hi`.")
    nobody = explain(Outcome((), "0x99", "", ""))
    assert nobody.endswith("the key `0x99`, which nobody typed. It printed: nothing.")


def test_the_text_has_a_line_for_each_access():
    outcome = Outcome(
        (Row(False, 0x64, 1, 0x1D, True, "i8042"), Row(True, 0xCF8, 4, 0, False, "pci")),
        "V",
        "",
        "hi",
    )
    assert run_picture(outcome, "Here").text.splitlines() == [
        "Here",
        "in 0x64 gives 0x1d  exit    virtual i8042",
        "out 0xcf8/4 ← 0x0   direct  physical pci",
        "physical terminal: hi",
        "virtual terminal: ",
        "the guest read the key V",
    ]
