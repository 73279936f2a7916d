"""QEMU's local APIC answers its own processor only: so a small program there speaks for us.

    mailbox  count   taken         commands: 16 bytes each
             0x2000  0x2004        0x10000   kind, address, value, 0

QEMU's processor is woken by an NMI, sent as a message; its vector in low memory points at the
program. That enters protected mode and waits for a count. For each command it loads, stores, or
opens a window for interrupts, in which every vector's gate leads to a stub that notes its number.
Then it sets the count back to 0.
"""

from __future__ import annotations

import struct
import time

from virtlab.devices.lapic import BASE
from virtlab.hosts.remote import QtestMachine
from virtlab.interrupts import Delivery

CODE, FLAT, GDT, GDTR, IDTR = 0x1000, 0x1040, 0x1100, 0x1130, 0x1138
COUNT, TAKEN, COMMANDS = 0x2000, 0x2004, 0x10000
IDT, STUBS, STACK = 0x3000, 0x4000, 0x9000
LOAD, STORE, WINDOW = 0, 1, 2
NOTHING = 0xFFFF_FFFF

ENTER = """
0f 01 16 30 11           lgdt [0x1130]
0f 01 1e 38 11           lidt [0x1138]
0f 20 c0                 mov eax, cr0
66 83 c8 01              or eax, 1
0f 22 c0                 mov cr0, eax
66 ea 40 10 00 00 08 00  jmp 0x08:0x1040
"""

LOOP = """
66 b8 10 00              mov ax, 0x10
8e d8                    mov ds, ax
8e d0                    mov ss, ax
bc 00 90 00 00           mov esp, 0x9000
a1 00 20 00 00           wait: mov eax, [0x2000]
85 c0                    test eax, eax
74 f7                    jz wait
be 00 00 01 00           mov esi, 0x10000
89 c1                    mov ecx, eax
8b 5e 04                 next: mov ebx, [esi+4]
83 3e 01                 cmp dword [esi], 1
74 21                    je store
77 07                    ja window
8b 03                    mov eax, [ebx]
89 46 08                 mov [esi+8], eax
eb 1d                    jmp done
c7 05 04 20 00 00 ff ff ff ff   window: mov dword [0x2004], -1
fb                       sti
90                       nop
90                       nop
fa                       cli
a1 04 20 00 00           mov eax, [0x2004]
89 46 08                 mov [esi+8], eax
eb 05                    jmp done
8b 46 08                 store: mov eax, [esi+8]
89 03                    mov [ebx], eax
83 c6 10                 done: add esi, 16
49                       dec ecx
75 cc                    jnz next
c7 05 00 20 00 00 00 00 00 00   mov dword [0x2000], 0
eb b0                    jmp wait
"""


def assemble(text: str) -> bytes:
    """The bytes in the first column."""
    return b"".join(bytes.fromhex(line[:32].split("  ")[0]) for line in text.strip().splitlines())


def gate(vector: int) -> bytes:
    """A 32-bit interrupt gate to the vector's stub."""
    at = STUBS + 16 * vector
    return struct.pack("<HHHH", at & 0xFFFF, 0x08, 0x8E00, at >> 16)


def stub(vector: int) -> bytes:
    """`mov dword [TAKEN], vector; iretd`."""
    code = b"\xc7\x05" + struct.pack("<II", TAKEN, vector) + b"\xcf"
    return code.ljust(16, b"\x90")


class QemuLapic:
    """QEMU's local APIC, through its own processor. `machine` must run, not be paused."""

    def __init__(self, machine: QtestMachine) -> None:
        self.machine = machine
        flat = struct.pack("<QQQ", 0, 0x00CF_9A00_0000_FFFF, 0x00CF_9200_0000_FFFF)
        machine.write(0, bytes(0x400))
        machine.write(8, struct.pack("<HH", CODE, 0))
        machine.write(CODE, assemble(ENTER))
        machine.write(FLAT, assemble(LOOP))
        machine.write(GDT, flat)
        machine.write(GDTR, struct.pack("<HI", 23, GDT))
        machine.write(IDTR, struct.pack("<HI", 0x7FF, IDT))
        machine.write(IDT, b"".join(map(gate, range(256))))
        machine.write(STUBS, b"".join(map(stub, range(256))))
        machine.store(COUNT, 0)
        machine.store(BASE, Delivery.NMI << 8)

    def run(self, commands: list[tuple[int, int, int]]) -> list[int]:
        """Do `(kind, address, value)` each: what was loaded, or which vector was taken."""
        packed = b"".join(struct.pack("<4I", *each, 0) for each in commands)
        self.machine.write(COMMANDS, packed)
        self.machine.store(COUNT, len(commands))
        deadline = time.monotonic() + 30
        while self.machine.load(COUNT):
            assert time.monotonic() < deadline, "QEMU's processor does not answer"
        done = self.machine.read(COMMANDS, len(packed))
        return [value for _, _, value, _ in struct.iter_unpack("<4I", done)]
