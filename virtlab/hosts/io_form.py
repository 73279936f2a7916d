"""Which form an I/O instruction has: string, repeated, with the port in it. From its bytes.

VT-x tells of an exit by IN or OUT how the guest wrote it (SDM 3C table 28-5), and a VMM that
emulates `REP INS` by hand needs that. A vCPU of ours knows an access and no instruction; KVM tells
port, size and data. For both the answer is in the code.

Source: SDM 2A, IN, INS, OUT, OUTS.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.vmm.x86_opcodes import Instruction, decode

LONGEST_IO, PAST = 3, 3
"""Bytes of an I/O instruction, prefixes that change it and no others; of a simple `OUT`."""

MNEMONICS = ("in", "out", "ins*", "outs*")


class Form(NamedTuple):
    """How an access to a port was written."""

    string: bool = False
    rep: bool = False
    immediate: bool = False


def form_of(instruction: Instruction) -> Form:
    """The form of a decoded I/O instruction."""
    return Form(
        string="*" in instruction.mnemonic,
        rep=instruction.rep,
        immediate=any(operand.kind == "port" for operand in instruction.operands),
    )


def decode_io(code: bytes) -> Instruction | None:
    """The I/O instruction that `code` begins with; None if it begins with another.

    >>> form_of(decode_io(bytes.fromhex("f3 66 6d")))
    Form(string=True, rep=True, immediate=False)
    """
    try:
        instruction = decode(code, 0, 0)
    except ValueError:
        return None
    return instruction if instruction.mnemonic in MNEMONICS else None


def io_form(before: bytes, after: bytes, size: int, write: bool, again: bool) -> Form | None:
    """The form of the I/O instruction at EIP, or of the one that ends there.

    `before` and `after` are the code before and from EIP. A kernel may be past a simple `OUT`
    already when it tells of it. It is at the instruction for everything else: so the bytes that
    end at EIP count for an `OUT`, unless the last exit was here too (`again`). None if neither is
    an access of `size` bytes in that direction.
    """
    lengths = range(1, min(PAST, len(before)) + 1) if write else ()
    past = [decode_io(before[-n:]) for n in lengths]
    ended = [
        found for n, found in zip(lengths, past, strict=True) if found and len(found.code) == n
    ]
    here = [decode_io(after)]
    for found in [*here, *ended] if again else [*ended, *here]:
        if found and (found.size, writes(found)) == (size, write):
            return form_of(found)
    return None


def writes(instruction: Instruction) -> bool:
    """Whether an I/O instruction moves to a port: the port is its first operand."""
    return instruction.operands[0].kind in ("port", "dx")
