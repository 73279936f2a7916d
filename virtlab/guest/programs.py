"""The same tasks twice, as x86 programs: once through ports, once through memory.

The idea: a port has two instructions, `IN` and `OUT`, and one register, AL (or AX, EAX). A device
in the memory space has every instruction that can name memory. Run a pair and count.

Each program is a listing: machine code, assembly, and what the line does. A test lets another
disassembler read the code and compares the text. These are the places that the programs name:

    port 0x92           system control port A: bit 1 is the A20 gate
    port 0x3F8          a 16550 UART, its eight registers one port apart
    port 0x511          a device with bytes to give, one at each read
    memory 0x2000       RAM: the string to print              0x3000   RAM: where a copy goes
    memory 0xB8000      the text screen, two bytes a cell, 80 cells a row
    memory 0xFE034000   a second 16550 UART, its registers four bytes apart

Source: Intel SDM volume 2 for the code; PC16550D 8.4 (LSR) and 8.8 (MCR) for the bits. At 0x511
QEMU has the data port of its firmware configuration device; on no real PC is anything there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from virtlab.cpu import Cpu

ORIGIN = 0x1000
"""Where a program's code stands in memory."""
STRING, COPY = 0x2000, 0x3000
"""Where in RAM its string stands, and where a copy goes."""

RESET_VECTOR = 0xFFF0
"""Where, in the last 64 KiB below 4 GiB, an x86 begins (Intel SDM 3A 10.1.4)."""
HALT = bytes.fromhex("fa f4 eb fd")
"""cli; hlt; and back to the hlt: a processor that does nothing."""


class Line(NamedTuple):
    """One instruction of a listing: `text` in Intel's syntax, `why` in words."""

    address: int
    code: bytes
    text: str
    why: str

    def __str__(self) -> str:
        return f"{self.address:#x}  {self.code.hex(' '):<21} {self.text:<38} {self.why}".rstrip()


def listing(source: str, origin: int) -> tuple[Line, ...]:
    """The lines of `source` with their addresses, from `origin` on.

    A line of the source is `machine code | assembly | what it does`.
    """
    lines, address = [], origin
    for row in source.strip().splitlines():
        code, text, why = (part.strip() for part in row.split("|"))
        lines.append(Line(address, bytes.fromhex(code), text, why))
        address += len(lines[-1].code)
    return tuple(lines)


@dataclass(frozen=True)
class Program:
    """A task's program: `way` is `"ports"` or `"memory"`, `source` its listing.

    `data` is placed at `STRING`.
    """

    task: str
    way: str
    source: str
    data: bytes = b""

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The listing with an address on each line, from `ORIGIN` on."""
        return listing(self.source, ORIGIN)

    @property
    def code(self) -> bytes:
        """The machine code."""
        return b"".join(line.code for line in self.lines)

    def load(self, cpu: Cpu) -> None:
        """Place code and data in the memory of `cpu`, as a loader does."""
        cpu.write(ORIGIN, self.code)
        cpu.write(STRING, self.data)

    def __str__(self) -> str:
        return "\n".join([f"{self.task}, through {self.way}", *map(str, self.lines)])


SET_BIT_BY_PORTS = Program(
    "set bit RTS of the UART's MCR",
    "ports",
    """
    ba fc 03 00 00        | mov edx, 0x3fc                   | the port of MCR
    ec                    | in al, dx                        | its bits as they are
    0c 02                 | or al, 2                         | RTS, bit 1
    ee                    | out dx, al                       | and back
    """,
)
SET_BIT_BY_MEMORY = Program(
    SET_BIT_BY_PORTS.task,
    "memory",
    """
    80 0d 10 40 03 fe 02  | or byte ptr [0xfe034010], 2      | load, set RTS, store
    """,
)

OPEN_A20_BY_PORTS = Program(
    "open the A20 gate: a port below 0x100 fits into the instruction",
    "ports",
    """
    e4 92                 | in al, 0x92                      | no EDX, but still AL
    0c 02                 | or al, 2                         | the gate, bit 1
    e6 92                 | out 0x92, al                     | and back
    """,
)

SEND_BY_PORTS = Program(
    "send one character when the UART is ready",
    "ports",
    """
    ba fd 03 00 00        | mov edx, 0x3fd                   | the port of LSR
    ec                    | in al, dx                        | poll:
    a8 20                 | test al, 0x20                    | THRE, bit 5
    74 fb                 | je 0x1005                        | not yet empty: poll again
    b2 f8                 | mov dl, 0xf8                     | the port of THR
    b0 41                 | mov al, 0x41                     | the letter A
    ee                    | out dx, al                       | send it
    """,
)
SEND_BY_MEMORY = Program(
    SEND_BY_PORTS.task,
    "memory",
    """
    f6 05 14 40 03 fe 20  | test byte ptr [0xfe034014], 0x20 | poll: THRE of LSR
    74 f7                 | je 0x1000                        | not yet empty: poll again
    c6 05 00 40 03 fe 41  | mov byte ptr [0xfe034000], 0x41  | the letter A into THR
    """,
)

PRINT_BY_PORTS = Program(
    "print a string that ends in a zero byte",
    "ports",
    """
    be 00 20 00 00        | mov esi, 0x2000                  | the string
    ba fd 03 00 00        | mov edx, 0x3fd                   | the port of LSR
    ac                    | lodsb al, byte ptr [esi]         | next: a character
    84 c0                 | test al, al                      | the zero at the end?
    74 10                 | je 0x101f                        | then done
    88 c4                 | mov ah, al                       | IN needs AL: put it aside
    ec                    | in al, dx                        | poll:
    a8 20                 | test al, 0x20                    | THRE
    74 fb                 | je 0x1011                        | poll again
    b2 f8                 | mov dl, 0xf8                     | the port of THR
    88 e0                 | mov al, ah                       | OUT needs AL too
    ee                    | out dx, al                       | send it
    b2 fd                 | mov dl, 0xfd                     | back to LSR
    eb eb                 | jmp 0x100a                       | next
    """,
    b"Hello\0",
)
PRINT_BY_MEMORY = Program(
    PRINT_BY_PORTS.task,
    "memory",
    """
    be 00 20 00 00        | mov esi, 0x2000                  | the string
    ac                    | lodsb al, byte ptr [esi]         | next: a character
    84 c0                 | test al, al                      | the zero at the end?
    74 10                 | je 0x101a                        | then done
    f6 05 14 40 03 fe 20  | test byte ptr [0xfe034014], 0x20 | poll: THRE of LSR
    74 f7                 | je 0x100a                        | poll again
    a2 00 40 03 fe        | mov byte ptr [0xfe034000], al    | send it
    eb eb                 | jmp 0x1005                       | next
    """,
    PRINT_BY_PORTS.data,
)

LINE_BY_PORTS = Program(
    "draw a line of 80 dashes",
    "ports",
    """
    b9 50 00 00 00        | mov ecx, 0x50                    | 80 characters
    ba fd 03 00 00        | mov edx, 0x3fd                   | the port of LSR
    ec                    | in al, dx                        | poll:
    a8 20                 | test al, 0x20                    | THRE
    74 fb                 | je 0x100a                        | poll again
    b2 f8                 | mov dl, 0xf8                     | the port of THR
    b0 2d                 | mov al, 0x2d                     | a dash
    ee                    | out dx, al                       | send it
    b2 fd                 | mov dl, 0xfd                     | back to LSR
    e2 f2                 | loop 0x100a                      | the next character
    """,
)
LINE_BY_MEMORY = Program(
    LINE_BY_PORTS.task,
    "memory",
    """
    bf 00 80 0b 00        | mov edi, 0xb8000                 | the screen's first row
    b9 50 00 00 00        | mov ecx, 0x50                    | 80 cells
    b8 2d 07 00 00        | mov eax, 0x72d                   | a dash, grey on black
    f3 66 ab              | rep stosw word ptr es:[edi], ax  | draw
    """,
)

COPY_BY_LOOP = Program(
    "copy 512 bytes out of a device",
    "ports",
    """
    bf 00 30 00 00        | mov edi, 0x3000                  | to RAM
    b9 00 02 00 00        | mov ecx, 0x200                   | 512 bytes
    ba 11 05 00 00        | mov edx, 0x511                   | the data port
    ec                    | in al, dx                        | next: a byte
    aa                    | stosb byte ptr es:[edi], al      | into RAM
    e2 fc                 | loop 0x100f                      | the next byte
    """,
)
COPY_BY_PORTS = replace(
    COPY_BY_LOOP,
    source="""
    bf 00 30 00 00        | mov edi, 0x3000                  | to RAM
    b9 00 02 00 00        | mov ecx, 0x200                   | 512 bytes
    ba 11 05 00 00        | mov edx, 0x511                   | the data port
    f3 6c                 | rep insb byte ptr es:[edi], dx   | in 512 reads of the port
    """,
)
COPY_BY_MEMORY = Program(
    COPY_BY_LOOP.task,
    "memory",
    """
    be 00 80 0b 00        | mov esi, 0xb8000                 | the device's own memory
    bf 00 30 00 00        | mov edi, 0x3000                  | to RAM
    b9 80 00 00 00        | mov ecx, 0x80                    | 128 times four bytes
    f3 a5                 | rep movsd dword ptr es:[edi], dword ptr [esi] | in 128 loads
    """,
)

PAIRS = (
    (SET_BIT_BY_PORTS, SET_BIT_BY_MEMORY),
    (SEND_BY_PORTS, SEND_BY_MEMORY),
    (PRINT_BY_PORTS, PRINT_BY_MEMORY),
    (LINE_BY_PORTS, LINE_BY_MEMORY),
    (COPY_BY_LOOP, COPY_BY_MEMORY),
    (COPY_BY_PORTS, COPY_BY_MEMORY),
)
"""Each task through ports, then through memory."""


def with_string(program: Program, text: bytes) -> Program:
    """`program` with a string of your own; `ValueError` if it does not fit below `COPY`."""
    if 0 in text or STRING + len(text) >= COPY:
        raise ValueError(
            f"a string here has no zero byte and is shorter than {COPY - STRING} bytes,"
            f" not {text[:20]!r} of {len(text)}"
        )
    return replace(program, data=text + b"\0")
