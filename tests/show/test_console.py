"""A recorded boot: what is printed, and how it is drawn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.show.looks import check_picture
from virtlab.devices.uart import REGISTERS
from virtlab.registers import Reg
from virtlab.show.console import (
    COLUMNS,
    LINES,
    console_frames,
    console_picture,
    explain_access,
    screen_lines,
)
from virtlab.trace import Access


def boot(*accesses):
    found = [
        Access(i, verb == "w", "serial", port, 1, value)
        for i, (verb, port, value) in enumerate(accesses)
    ]
    return console_frames(found, {0x3F8: REGISTERS})


def test_a_character_is_a_write_to_thr_and_not_to_the_divisor():
    frames = boot(
        *(("w", 0x3FB, 0x80), ("w", 0x3F8, 0x41), ("w", 0x3FB, 0x03)),
        *(("w", 0x3F8, 0x42), ("r", 0x3F8, 0x43), ("w", 0x3F8, 0x44)),
    )
    assert frames.output == b"BD"
    assert list(frames.printed) == [0, 0, 0, 1, 1, 2]
    assert [frames.prints(i) for i in range(6)] == [False, False, False, True, False, True]
    assert repr(frames) == "ConsoleFrames(6 accesses, 2 characters printed)"


def test_what_is_read_from_a_register_of_that_name_is_not_printed():
    data = Reg(0, 1, name="DATA")
    accesses = [Access(0, False, "x", 0x60, 1, 0x41), Access(1, True, "x", 0x60, 1, 0x42)]
    assert console_frames(accesses, {0x60: [data]}, "DATA").output == b"B"


def test_an_access_in_a_sentence():
    frames = boot(("r", 0x3FD, 0x60), ("w", 0x3F8, 0x41), ("w", 0x3F8, 0x00), ("w", 0x80, 0x12))
    assert [explain_access(frames, i) for i in range(4)] == [
        "Access 1 of 4: the guest reads 0x60 from LSR (0x3fd). Its fields: TEMT=1 THRE=1. "
        "0 characters are printed so far.",
        "Access 2 of 4: the guest writes 0x41 to THR (0x3f8). The console prints 'A'.",
        "Access 3 of 4: the guest writes 0x0 to THR (0x3f8). The console prints a control "
        "character.",
        "Access 4 of 4: the guest writes 0x12 to an address with no register declared (0x80). "
        "2 characters are printed so far.",
    ]


def test_the_console_is_a_small_terminal():
    assert screen_lines(b"") == [""]
    assert screen_lines(b"old\rnew\r\n\x1b[0mx") == ["new", "␛[0mx"]
    assert screen_lines(b"x" * (COLUMNS + 1)) == ["x" * COLUMNS, "x"]
    assert len(screen_lines(b"\n" * 100)) == LINES


def test_the_new_character_is_lit():
    frames = boot(("w", 0x3F8, 0x41), ("r", 0x3FD, 0x60))
    assert console_picture(frames, 0).svg.count('fill="#F0E442"') == 1
    assert console_picture(frames, 1).svg.count('fill="#F0E442"') == 0


@given(st.lists(st.tuples(st.sampled_from("rw"), st.integers(0, 0xFFFF), st.integers(0, 255)),
                min_size=1, max_size=40), st.data())  # fmt: skip
def test_any_trace_draws_at_any_frame(accesses, data):
    frames = boot(*accesses)
    index = data.draw(st.integers(0, len(frames) - 1))
    drawn = console_picture(frames, index)
    check_picture(drawn)
    assert drawn.svg == console_picture(frames, index).svg


@given(st.binary(max_size=300))
def test_any_output_draws(output):
    frames = boot(*(("w", 0x3F8, byte) for byte in output or b" "))
    check_picture(console_picture(frames, len(frames) - 1))


def test_there_is_no_frame_outside():
    with pytest.raises(IndexError, match="no access 1 among 1"):
        console_picture(boot(("r", 0, 0)), 1)
