"""Random x86 code from the rows of the opcode map, for two processors to run."""

from __future__ import annotations

from hypothesis import strategies as st

from virtlab.vmm.x86_opcodes import ECX, EDI, ESI, ESP, ROWS

JUMPS = ("jb", "jae", "je", "jne", "jmp", "loop", "call", "ret", "ljmp", "iretd", "ud2", "hlt")
STRAIGHT = sorted(key for key, row in ROWS.items() if row.split()[0] not in JUMPS)
"""Rows that go on to the next instruction."""


def u32(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def set_register(number: int, value: int) -> bytes:
    """`mov r32, imm32`."""
    return bytes([0xB8 + number]) + u32(value)


def ram() -> st.SearchStrategy[int]:
    """An address of data in RAM, aligned or not, away from the code."""
    return st.integers(0x8000, 0x8040)


def places() -> st.SearchStrategy[int]:
    """An address in RAM, or an aligned one of a device: Unicorn splits unaligned accesses there."""
    return ram() | st.integers(0, 15).map(lambda n: 0xFE034000 + 4 * n)


@st.composite
def instructions(draw, row=None) -> bytes:
    """One instruction, after whatever gives the registers that it needs as pointers a value."""
    opcode, digit = draw(st.sampled_from(STRAIGHT)) if row is None else row
    text = ROWS[opcode, digit]
    name, _, operands = text.partition(" ")
    wide = "v" in operands or "eAX" in operands
    word = wide and draw(st.booleans())
    size = 2 if word else 4 if wide else 1
    before, prefixes, body = b"", b"\x66" * word, opcode.to_bytes(1 if opcode < 256 else 2)
    for token in operands.split(", ") if operands else []:
        if token[0] == "E":
            setup, modrm = draw(modrms(draw(st.integers(0, 7)) if digit < 0 else digit))
            before, body = before + setup, body + modrm
        elif token == "M":
            body += bytes([digit << 3 | 5]) + u32(draw(ram()))
        elif token[0] == "O":
            body += u32(draw(places()))
        elif token in ("sIb", "port"):
            body += draw(st.binary(min_size=1, max_size=1))
        elif token[0] == "I":
            body += draw(st.binary(min_size=size, max_size=size))
    if name in ("push", "pop"):
        before += set_register(ESP, draw(ram()))
    if name.endswith("*"):
        to = ram() if name == "ins*" else places()  # the oracle tries the destination of INS
        before += set_register(ESI, draw(places())) + set_register(EDI, draw(to))
        if draw(st.booleans()):
            before += set_register(ECX, draw(st.integers(0, 5)))
            prefixes = draw(st.sampled_from([b"\xf3" + prefixes, prefixes + b"\xf3"]))
    return before + prefixes + body


@st.composite
def modrms(draw, middle: int) -> tuple[bytes, bytes]:
    """Set-up code, and ModR/M with what follows: a register, `[register]` or `[disp32]`."""
    rm = draw(st.integers(0, 7))
    if draw(st.booleans()):
        return b"", bytes([0xC0 | middle << 3 | rm])
    place = draw(places())
    if rm in (4, 5):
        return b"", bytes([middle << 3 | 5]) + u32(place)
    return set_register(rm, place), bytes([middle << 3 | rm])


def straight_code() -> st.SearchStrategy[bytes]:
    """A program without jumps, of up to twelve instructions and their set-up."""
    return st.lists(instructions(), min_size=1, max_size=12).map(b"".join)
