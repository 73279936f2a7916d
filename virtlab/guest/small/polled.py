"""Small guests that poll: boot, ports, strings, memory-mapped devices, PCI.

The rule that keeps them simple: nothing comes unasked. Interrupts stay off from the first
instruction to the last, and what a device has to say is read from its status.

Sources: PC16550D (UART), IA-PC HPET 1.0a 2.3.4 (the period), PCI Local Bus 3.0 3.2.2.3.2
(configuration mechanism).
"""

from __future__ import annotations

from virtlab.guest.programs import COPY, STRING
from virtlab.guest.small.guest import SmallGuest
from virtlab.guest.small.pieces import ENTER_SEGMENTS, PUT_CHAR, PUT_STRING

LEFT = COPY
"""Where a guest leaves what it found."""

BOOT = SmallGuest(
    "boot",
    "the stack, a segment table, a store; then the end",
    """
    e8 fb 07 00 00        | call 0x1800                      | enter the segments
    c7 05 00 30 00 00 62 6f 6f 74 | mov dword ptr [0x3000], 0x746f6f62 | a sign: boot
    fa                    | cli                              | no interrupt
    f4                    | hlt                              | the end
    """,
    (ENTER_SEGMENTS,),
    leaves=((LEFT, b"boot"),),
)

PORT_OUT = SmallGuest(
    "port_out",
    "two letters to the UART, the second one when it is ready",
    """
    e6 80                 | out 0x80, al                     | port 0x80 fits into the instruction
    ba f8 03 00 00        | mov edx, 0x3f8                   | the port of THR does not
    b0 41                 | mov al, 0x41                     | the letter A
    ee                    | out dx, al                       | send it
    b0 42                 | mov al, 0x42                     | B
    e8 0f 08 00 00        | call 0x1820                      | send it when the UART is ready
    fa                    | cli                              |
    f4                    | hlt                              | the end
    """,
    (PUT_CHAR,),
    builds_on=("boot",),
    prints="AB",
)

STRING_OUT = SmallGuest(
    "string_out",
    "a string to the UART: by one instruction, and by a loop",
    """
    be 00 20 00 00        | mov esi, 0x2000                  | the string
    b9 06 00 00 00        | mov ecx, 6                       | six characters
    ba f8 03 00 00        | mov edx, 0x3f8                   | the port of THR
    f3 6e                 | rep outsb dx, byte ptr [esi]     | all by one instruction
    e8 2a 08 00 00        | call 0x1840                      | the rest up to its zero, one by one
    fa                    | cli                              |
    f4                    | hlt                              | the end
    """,
    (PUT_CHAR, PUT_STRING),
    ((STRING, b"Hello, guest!\0"),),
    ("port_out",),
    prints="Hello, guest!",
)

MMIO = SmallGuest(
    "mmio",
    "a screen that is memory, by 1, 2, 4 and 8 bytes; then read back",
    """
    c6 05 00 80 0b 00 31  | mov byte ptr [0xb8000], 0x31     | one byte to the screen: 1
    66 c7 05 02 80 0b 00 32 07 | mov word ptr [0xb8002], 0x732    | two bytes: 2 in grey
    c7 05 04 80 0b 00 33 07 34 07 | mov dword ptr [0xb8004], 0x7340733 | four bytes: 3 and 4
    be 00 20 00 00        | mov esi, 0x2000                  | eight bytes are four cells:
    bf 08 80 0b 00        | mov edi, 0xb8008                 | the fifth cell
    b9 02 00 00 00        | mov ecx, 2                       | two stores of four bytes each
    f3 a5                 | rep movsd dword ptr es:[edi], dword ptr [esi] | 5 to 8
    80 0d 00 80 0b 00 08  | or byte ptr [0xb8000], 8         | a load, a store: 1 becomes 9
    be 00 80 0b 00        | mov esi, 0xb8000                 | read it back
    b9 08 00 00 00        | mov ecx, 8                       | eight cells
    66 ad                 | lodsw ax, word ptr [esi]         | next: a cell
    e8 dd 07 00 00        | call 0x1820                      | print its character
    e2 f7                 | loop 0x103c                      | next
    a1 04 00 d0 fe        | mov eax, dword ptr [0xfed00004]  | four of a register of eight bytes
    a3 00 30 00 00        | mov dword ptr [0x3000], eax      | keep it
    fa                    | cli                              |
    f4                    | hlt                              | the end
    """,
    (PUT_CHAR,),
    ((STRING, bytes.fromhex("3507360737073807")),),
    ("port_out",),
    prints="92345678",
    leaves=((LEFT, (10_000_000).to_bytes(4, "little")),),
)

PCI_SCAN = SmallGuest(
    "pci_scan",
    "all of PCI bus 0, by configuration mechanism 1: who is there?",
    """
    bf 00 30 00 00        | mov edi, 0x3000                  | the table of those that are found
    bb 00 00 00 80        | mov ebx, 0x80000000              | 00:00.0, register 0
    b9 00 01 00 00        | mov ecx, 0x100                   | 32 devices of 8 functions
    89 d8                 | mov eax, ebx                     | next: a function
    ba f8 0c 00 00        | mov edx, 0xcf8                   | CONFIG_ADDRESS
    ef                    | out dx, eax                      |
    ba fc 0c 00 00        | mov edx, 0xcfc                   | CONFIG_DATA
    ed                    | in eax, dx                       | vendor and device ID
    66 83 f8 ff           | cmp ax, -1                       | no vendor has all ones
    74 01                 | je 0x1024                        | nobody there
    ab                    | stosd dword ptr es:[edi], eax    | into the table
    81 c3 00 01 00 00     | add ebx, 0x100                   | nobody: the next function
    e2 e3                 | loop 0x100f                      | next
    89 f8                 | mov eax, edi                     | how many bytes of table
    2d 00 30 00 00        | sub eax, 0x3000                  |
    05 00 20 00 00        | add eax, 0x2000                  | a character for each count
    8a 00                 | mov al, byte ptr [eax]           |
    e8 e1 07 00 00        | call 0x1820                      | print it
    fa                    | cli                              |
    f4                    | hlt                              | the end
    """,
    (PUT_CHAR,),
    ((STRING, b"".join(b"%x..." % count for count in range(16))),),
    ("port_out",),
    prints="7",
    leaves=(
        (LEFT, bytes.fromhex("8680c029 34121111 3412e811 86800e10 11102600 86801829 86801070")),
    ),
)
