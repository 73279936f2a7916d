"""Pieces that the small guests share: subroutines, each always at the same place.

    0x1800   enter_segments     a table of segments of one's own; a gate names one of them
    0x1820   put_char           AL to the UART, when it is ready         AX, EDX are lost
    0x1840   put_string         the string at ESI, up to a zero byte     AX, EDX, ESI are lost
    0x1860   set_gate           the gate at EDI leads to EAX             EAX, EDI are lost
    0x1880   set_interrupts     the 8259As: IRQ 0-15 are vectors 0x20-0x2F, all masked
    0x18C0   end_interrupt      of an IRQ of the slave
    0x18E0   wait_disk          until the disk is not busy; AL is its status

Sources: Intel SDM 3A 3.4.5 (a segment's descriptor), 6.11 (a gate); PC16550D 8.4 (LSR); 8259A data
sheet, "Programming the 8259A"; ATA/ATAPI-6 7.15 (STATUS).
"""

from __future__ import annotations

from virtlab.guest.small.guest import Piece

SEGMENTS = 0x2F00
"""Where LGDT finds the limit and the address of the segment table, which follows."""
GATES = 0x2F20
"""Where LIDT finds those of the gate table, at `GATE_TABLE`."""
NO_GATES = 0x2F28
"""Where it finds those of a table that has no gate."""
GATE_TABLE, GATE_COUNT = 0x4000, 0x30

CODE_SEGMENT = 0x00CF9B000000FFFF
"""The descriptor of a 32-bit segment of code, from 0 to 4 GiB. Its selector is 8."""


def table_register(base: int, size: int) -> bytes:
    """What LGDT and LIDT load: the limit, which is the size less one, and the base."""
    return max(size - 1, 0).to_bytes(2, "little") + base.to_bytes(4, "little")


ENTER_SEGMENTS = Piece(
    "enter the segments",
    0x1800,
    """
    0f 01 15 00 2f 00 00  | lgdt [0x2f00]                    | where the table of segments is
    ea 0e 18 00 00 08 00  | ljmp 8:0x180e                    | CS: entry 1, the code
    c3                    | ret                              | the others are flat already
    """,
    (
        (SEGMENTS, table_register(SEGMENTS + 8, 16)),
        (SEGMENTS + 16, CODE_SEGMENT.to_bytes(8, "little")),
    ),
)

PUT_CHAR = Piece(
    "put the character in AL",
    0x1820,
    """
    88 c4                 | mov ah, al                       | IN needs AL: put it aside
    ba fd 03 00 00        | mov edx, 0x3fd                   | the port of LSR
    ec                    | in al, dx                        | poll:
    a8 20                 | test al, 0x20                    | THRE, bit 5
    74 fb                 | je 0x1827                        | not yet empty: poll again
    b2 f8                 | mov dl, 0xf8                     | the port of THR
    88 e0                 | mov al, ah                       | OUT needs AL too
    ee                    | out dx, al                       | send it
    c3                    | ret                              |
    """,
)

PUT_STRING = Piece(
    "put the string at ESI",
    0x1840,
    """
    ac                    | lodsb al, byte ptr [esi]         | next: a character
    84 c0                 | test al, al                      | the zero at the end?
    74 07                 | je 0x184c                        | then done
    e8 d6 ff ff ff        | call 0x1820                      | put it
    eb f4                 | jmp 0x1840                       | next
    c3                    | ret                              |
    """,
)

SET_GATE = Piece(
    "let the gate at EDI lead to EAX",
    0x1860,
    """
    66 ab                 | stosw word ptr es:[edi], ax      | the handler's low half
    b8 08 00 00 8e        | mov eax, 0x8e000008              | segment 8; present, an interrupt gate
    ab                    | stosd dword ptr es:[edi], eax    |
    31 c0                 | xor eax, eax                     | the high half: it stands below 64 KiB
    66 ab                 | stosw word ptr es:[edi], ax      |
    c3                    | ret                              |
    """,
    ((GATES, table_register(GATE_TABLE, 8 * GATE_COUNT)),),
)

SET_INTERRUPTS = Piece(
    "set the interrupt controllers, load the gates",
    0x1880,
    """
    b0 11                 | mov al, 0x11                     | ICW1: begin, ICW4 follows
    e6 20                 | out 0x20, al                     | to the master
    e6 a0                 | out 0xa0, al                     | to the slave
    b0 20                 | mov al, 0x20                     | ICW2: IRQ 0 is vector 0x20
    e6 21                 | out 0x21, al                     |
    b0 28                 | mov al, 0x28                     | IRQ 8 is vector 0x28
    e6 a1                 | out 0xa1, al                     |
    b0 04                 | mov al, 4                        | ICW3: a slave on input 2
    e6 21                 | out 0x21, al                     |
    b0 02                 | mov al, 2                        | you are on input 2
    e6 a1                 | out 0xa1, al                     |
    b0 01                 | mov al, 1                        | ICW4: an x86
    e6 21                 | out 0x21, al                     |
    e6 a1                 | out 0xa1, al                     |
    b0 ff                 | mov al, 0xff                     | OCW1: all masked
    e6 21                 | out 0x21, al                     |
    e6 a1                 | out 0xa1, al                     |
    0f 01 1d 20 2f 00 00  | lidt [0x2f20]                    | where the table of gates is
    c3                    | ret                              |
    """,
)

END_INTERRUPT = Piece(
    "end an interrupt of the slave",
    0x18C0,
    """
    b0 20                 | mov al, 0x20                     | OCW2: end of interrupt
    e6 a0                 | out 0xa0, al                     | at the slave
    e6 20                 | out 0x20, al                     | and at the master
    c3                    | ret                              |
    """,
)

WAIT_DISK = Piece(
    "wait until the disk is not busy",
    0x18E0,
    """
    ba f7 01 00 00        | mov edx, 0x1f7                   | the port of STATUS
    ec                    | in al, dx                        | poll:
    a8 80                 | test al, 0x80                    | BSY
    75 fb                 | jne 0x18e5                       | busy: poll again
    c3                    | ret                              |
    """,
)
