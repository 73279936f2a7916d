"""The form of an I/O instruction, read from its bytes."""

import pytest

from virtlab.hosts.io_form import Form, decode_io, form_of, io_form, writes

SIZES = {"6c": 1, "6d": 4, "6e": 1, "6f": 4, "e4": 1, "e5": 4, "e6": 1, "e7": 4}
SIZES |= {"ec": 1, "ed": 4, "ee": 1, "ef": 4}
"""Bytes that each opcode moves."""
IO_CODES = [
    (prefix, opcode)
    for opcode in SIZES
    for prefix in ("", "66", "f3", "f366")
    if ("f3" not in prefix or opcode[0] == "6") and ("66" not in prefix or SIZES[opcode] == 4)
]


@pytest.mark.parametrize(("prefix", "opcode"), IO_CODES)
def test_all_io_instructions_are_known(prefix, opcode):
    """By the letters of their opcodes: 6x is a string, Ex with bit 3 clear has the port in it."""
    number = int(opcode, 16)
    immediate = 0xE4 <= number <= 0xE7
    code = bytes.fromhex(prefix + opcode + "71" * immediate)
    found = decode_io(code + b"\x90")
    assert found.code == code
    assert found.size == (2 if "66" in prefix else SIZES[opcode])
    assert writes(found) == bool(number & 2)
    assert form_of(found) == (number < 0x70, "f3" in prefix, immediate)


@pytest.mark.parametrize("code", [b"", b"\x90", b"\xf3", b"\x66\x66", b"\x0f\xee"])
def test_what_is_no_io_instruction(code):
    assert decode_io(code) is None


OUT, REP_OUTS = b"\xee", b"\xf3\x6e"


@pytest.mark.parametrize(
    ("before", "after", "write", "again", "form"),
    [
        (b"\x90\x90" + OUT, b"\x90", True, False, Form()),
        (b"\x90\xe6\x80", b"\x90", True, False, Form(immediate=True)),
        (b"\x90\x90\x90", REP_OUTS, True, False, Form(True, True)),
        (b"\x90\x90" + OUT, REP_OUTS, True, False, Form()),
        (b"\x90\x90" + OUT, REP_OUTS, True, True, Form(True, True)),
        (b"\x90\x90\xec", b"\xe4\x71", False, False, Form(immediate=True)),
        (b"", b"", True, False, None),
        (b"\x90\x90\xef", b"\x90", True, False, None),  # of another size
    ],
)
def test_the_form_is_read_at_eip_or_just_before(before, after, write, again, form):
    assert io_form(before, after, 1, write, again) == form
