"""Which form an I/O instruction has: string, repeated, with the port in it. From its bytes.

KVM tells of a port access its port, size and data, and not how the guest wrote it. VT-x does tell
(SDM 3C table 28-5), and a VMM that emulates `REP INS` by hand needs it. So we look at the code.

Source: SDM 2A, IN, INS, OUT, OUTS.
"""

from __future__ import annotations

from typing import NamedTuple

LONGEST_IO, PAST = 3, 3
"""Bytes of an I/O instruction, prefixes that change it and no others; of a simple `OUT`."""


class Form(NamedTuple):
    """How an access to a port was written."""

    string: bool = False
    rep: bool = False
    immediate: bool = False


class IoInstruction(NamedTuple):
    """An instruction of `length` bytes that moves `size` bytes to (`write`) or from a port."""

    length: int
    size: int
    write: bool
    form: Form


def io_form(before: bytes, after: bytes, size: int, write: bool, again: bool) -> Form | None:
    """The form of the I/O instruction at EIP, or of the one that ends there.

    `before` and `after` are the code before and from EIP. A kernel may be past a simple `OUT`
    already when it tells of it. It is at the instruction for everything else: so the bytes that
    end at EIP count for an `OUT`, unless the last exit was here too (`again`). None if neither is
    an access of `size` bytes in that direction.
    """
    lengths = range(1, min(PAST, len(before)) + 1) if write else ()
    past = [decode_io(before[-n:]) for n in lengths]
    ended = [found for n, found in zip(lengths, past, strict=True) if found and found.length == n]
    here = [decode_io(after)]
    for found in [*here, *ended] if again else [*ended, *here]:
        if found and (found.size, found.write) == (size, write):
            return found.form
    return None


def decode_io(code: bytes) -> IoInstruction | None:
    """The I/O instruction that `code` begins with, in 32-bit mode; None if it is another.

    >>> decode_io(bytes.fromhex("f3 66 6d"))
    IoInstruction(length=3, size=2, write=False, form=Form(string=True, rep=True, immediate=False))
    """
    at = len(code) - len(code.lstrip(b"\x66\xf2\xf3"))
    prefixes, opcode = code[:at], code[at] if at < len(code) else 0
    string, immediate = 0x6C <= opcode <= 0x6F, 0xE4 <= opcode <= 0xE7
    if not (string or immediate or 0xEC <= opcode <= 0xEF):
        return None
    size = (2 if 0x66 in prefixes else 4) if opcode & 1 else 1
    rep = string and (0xF3 in prefixes or 0xF2 in prefixes)
    form = Form(string, rep, immediate)
    return IoInstruction(at + 1 + immediate, size, bool(opcode & 2), form)
