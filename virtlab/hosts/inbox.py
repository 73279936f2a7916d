"""Where messages arrive while no processor takes them: one word of RAM for each interrupt vector.

    inbox = machine.inbox(0x8000)
    msix.set(0, *inbox.message(0x41))         vector 0 of the device writes 0x41 to 0x8104
    machine.wait()                            0x41

The idea: a message-signalled interrupt is a write of memory, and the driver says to which address.
On a PC that is a local APIC's. Here nobody runs the processor that has it. So let the device write
to RAM: what is there can be read.

The rule that keeps it simple: each vector has a word of its own, so no message hides another. The
word has the vector in it, or 0.

A message that comes while its word is being taken is not lost: whoever waits looks at the device
afterwards. Several vectors of MSI share one address, so there the last one hides the others.

Source: PCI Local Bus 3.0, 6.8.3.
"""

from __future__ import annotations

import numpy as np

from virtlab.cpu import Cpu
from virtlab.wire import u32

VECTORS = 256
"""Words of an inbox. That of vector 0 is not used: 0 means that nothing came."""

WORD = 4
"""Bytes of a message."""

BYTES = VECTORS * WORD
"""Bytes of an inbox."""

_PATTERN = bytes(range(1, WORD + 1)) * VECTORS


class Inbox:
    """The 1 KiB of RAM at `gpa`, which nobody else uses, by way of `cpu`.

    `ValueError` if there is no RAM.
    """

    def __init__(self, cpu: Cpu, gpa: int) -> None:
        if gpa % WORD:
            raise ValueError(f"an inbox begins at a multiple of {WORD}, not at {gpa:#x}")
        self.cpu = cpu
        self.gpa = gpa
        cpu.write(gpa, _PATTERN)
        if cpu.read(gpa, BYTES) != _PATTERN:
            raise ValueError(f"no RAM of {BYTES} bytes at {gpa:#x}")
        cpu.write(gpa, bytes(BYTES))

    def __repr__(self) -> str:
        return f"Inbox({self.gpa:#x})"

    def message(self, vector: int) -> tuple[int, int]:
        """The address and the datum that make a device interrupt with `vector`, 1 to 255."""
        if not 0 < vector < VECTORS:
            raise ValueError(f"an inbox has vectors 1 to {VECTORS - 1}, not {vector}")
        return self._at(vector), vector

    def take(self) -> int | None:
        """The highest vector of which a message came, and that is taken; None if there is none."""
        words = np.frombuffer(self.cpu.read(self.gpa, BYTES), u32)
        came = np.flatnonzero(words)
        if not len(came):
            return None
        highest = int(came[-1])
        self.cpu.store(self._at(highest), 0, WORD)
        return int(words[highest])

    def _at(self, vector: int) -> int:
        return self.gpa + WORD * vector
