"""Small guests that sleep until something happens, a clock or a key; and one that faults.

The idea: an interrupt and a fault find their handler in the same table of gates. The guests fill
it, program the 8259As, and halt.

The rule that keeps them simple: interrupts are open at `hlt` and nowhere else, so when one is
taken is the same on every host.

Sources: Intel SDM 3A 6.11, 6.12.1 (gates, what is pushed), 6.15 (double and triple faults);
MC146818 data sheet (registers B and C); IBM PS/2 Hardware Interface Technical Reference (the
keyboard controller).
"""

from __future__ import annotations

from virtlab.guest.programs import STRING
from virtlab.guest.small.guest import SmallGuest
from virtlab.guest.small.pieces import (
    END_INTERRUPT,
    ENTER_SEGMENTS,
    NO_GATES,
    PUT_CHAR,
    SET_GATE,
    SET_INTERRUPTS,
    table_register,
)
from virtlab.guest.small.polled import LEFT

KEYS = b"..1234567890....QWERTYUIOP..\n.ASDFGHJKL.....ZXCVBNM".ljust(128, b".")
"""Scan codes of set 1 in order, by what is on the key; a dot for one that prints nothing here."""

INTERRUPT = SmallGuest(
    "interrupt",
    "three dots, one for each periodic interrupt of the clock",
    """
    e8 fb 07 00 00        | call 0x1800                      | enter the segments
    e8 76 08 00 00        | call 0x1880                      | the interrupt controllers, the gates
    bf 40 41 00 00        | mov edi, 0x4140                  | the gate of vector 0x28
    b8 3e 10 00 00        | mov eax, 0x103e                  | its handler
    e8 47 08 00 00        | call 0x1860                      | set it
    b0 fb                 | mov al, 0xfb                     | IRQ 2, the slave, may come
    e6 21                 | out 0x21, al                     |
    b0 fe                 | mov al, 0xfe                     | and IRQ 8, the clock
    e6 a1                 | out 0xa1, al                     |
    b0 0b                 | mov al, 0xb                      | register B of the clock
    e6 70                 | out 0x70, al                     |
    b0 42                 | mov al, 0x42                     | PIE: a periodic interrupt
    e6 71                 | out 0x71, al                     |
    fb                    | sti                              | again: let it come
    f4                    | hlt                              | and sleep until it does
    fa                    | cli                              |
    83 3d 00 30 00 00 03  | cmp dword ptr [0x3000], 3        | three times?
    72 f4                 | jb 0x1029                        | not yet
    b0 0b                 | mov al, 0xb                      | register B
    e6 70                 | out 0x70, al                     |
    b0 02                 | mov al, 2                        | no more interrupts
    e6 71                 | out 0x71, al                     |
    f4                    | hlt                              | the end
    50                    | push eax                         | handler: IN and OUT need EAX and EDX
    52                    | push edx                         |
    ff 05 00 30 00 00     | inc dword ptr [0x3000]           | count
    b0 0c                 | mov al, 0xc                      | register C
    e6 70                 | out 0x70, al                     |
    e4 71                 | in al, 0x71                      | reading it takes the interrupt back
    b0 2e                 | mov al, 0x2e                     | a dot
    e8 cd 07 00 00        | call 0x1820                      | print it
    e8 68 08 00 00        | call 0x18c0                      | end of interrupt
    5a                    | pop edx                          |
    58                    | pop eax                          |
    cf                    | iretd                            | back behind the hlt
    """,
    (ENTER_SEGMENTS, PUT_CHAR, SET_GATE, SET_INTERRUPTS, END_INTERRUPT),
    builds_on=("boot", "port_out"),
    prints="...",
    leaves=((LEFT, b"\x03"),),
)

KEYBOARD = SmallGuest(
    "keyboard",
    "print what is typed, up to the Enter key",
    """
    e8 fb 07 00 00        | call 0x1800                      | enter the segments
    e8 76 08 00 00        | call 0x1880                      | the interrupt controllers, the gates
    bf 08 41 00 00        | mov edi, 0x4108                  | the gate of vector 0x21
    b8 43 10 00 00        | mov eax, 0x1043                  | its handler
    e8 47 08 00 00        | call 0x1860                      | set it
    e8 1e 00 00 00        | call 0x103c                      | the controller is ready
    b0 60                 | mov al, 0x60                     | write the command byte
    e6 64                 | out 0x64, al                     |
    e8 15 00 00 00        | call 0x103c                      | ready again
    b0 45                 | mov al, 0x45                     | translate; IRQ 1 on
    e6 60                 | out 0x60, al                     |
    b0 fd                 | mov al, 0xfd                     | IRQ 1 may come
    e6 21                 | out 0x21, al                     |
    fb                    | sti                              | again: let it come
    f4                    | hlt                              | and sleep until it does
    fa                    | cli                              |
    80 3d 00 30 00 00 9c  | cmp byte ptr [0x3000], 0x9c      | Enter, and up again?
    75 f4                 | jne 0x102f                       | not yet
    f4                    | hlt                              | the end
    e4 64                 | in al, 0x64                      | ready: the controller's status
    a8 02                 | test al, 2                       | IBF: it has not read the last byte
    75 fa                 | jne 0x103c                       | wait
    c3                    | ret                              |
    50                    | push eax                         | handler:
    52                    | push edx                         |
    31 c0                 | xor eax, eax                     |
    e4 60                 | in al, 0x60                      | the scan code
    a2 00 30 00 00        | mov byte ptr [0x3000], al        | keep it
    a8 80                 | test al, 0x80                    | bit 7: a key comes up
    75 0c                 | jne 0x105e                       | that prints nothing
    05 00 20 00 00        | add eax, 0x2000                  | a table with a character for each
    8a 00                 | mov al, byte ptr [eax]           |
    e8 c2 07 00 00        | call 0x1820                      | print it
    b0 20                 | mov al, 0x20                     | quiet: end of interrupt
    e6 20                 | out 0x20, al                     | at the master
    5a                    | pop edx                          |
    58                    | pop eax                          |
    cf                    | iretd                            | back behind the hlt
    """,
    (ENTER_SEGMENTS, PUT_CHAR, SET_GATE, SET_INTERRUPTS),
    ((STRING, KEYS),),
    ("interrupt",),
    prints="HI\n",
    keys=("H", "I", "ENTER"),
)

FAULT = SmallGuest(
    "fault",
    "an undefined instruction, handled; then three faults in one",
    """
    e8 fb 07 00 00        | call 0x1800                      | enter the segments
    0f 01 1d 20 2f 00 00  | lidt [0x2f20]                    | where the table of gates is
    bf 30 40 00 00        | mov edi, 0x4030                  | the gate of vector 6
    b8 2e 10 00 00        | mov eax, 0x102e                  | its handler
    e8 45 08 00 00        | call 0x1860                      | set it
    0f 0b                 | ud2                              | no such instruction: vector 6
    b0 21                 | mov al, 0x21                     | the handler came back: print !
    e8 fc 07 00 00        | call 0x1820                      |
    0f 01 1d 28 2f 00 00  | lidt [0x2f28]                    | a table of gates with no gate
    0f 0b                 | ud2                              | vector 6 has none, nor that fault,
    f4                    | hlt                              | nor the double fault
    b0 3f                 | mov al, 0x3f                     | handler: print ?
    e8 eb 07 00 00        | call 0x1820                      |
    58                    | pop eax                          | the address of the ud2
    83 c0 02              | add eax, 2                       | go on behind it
    50                    | push eax                         |
    cf                    | iretd                            |
    """,
    (ENTER_SEGMENTS, PUT_CHAR, SET_GATE),
    ((NO_GATES, table_register(0, 0)),),
    ("interrupt",),
    prints="?!",
    triple_fault=True,
)
