"""Interrupts where nobody runs the INTA cycle: the pair of 8259A, asked by their poll command.

A processor acknowledges an interrupt on pins of its own, and gets the vector there. Over a test
protocol there are no pins. But an 8259A can be polled: after OCW3 with P=1 the next read acts as
INTA, and gives the level.

The rule that keeps it simple: a vector is that level on the base of ICW2. No 8259A can be asked
for its base, so it is remembered as the guest writes it: to A0=1, after ICW1 to A0=0.

Follows Intel's 8259A data sheet, "Poll Command" and "Initialization Command Words".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from virtlab.devices.pic import CASCADE, ICW1, ICW2, SPURIOUS
from virtlab.guest.pic import MASTER, POLL, SLAVE
from virtlab.trace import Access


class PolledPics:
    """The two 8259A of a PC, reached by `pipeline`, which does accesses and answers them."""

    def __init__(self, pipeline: Callable[[Sequence[Access]], list[Access]]) -> None:
        self._pipeline = pipeline
        self._bases = {MASTER: 0, SLAVE: 0}
        self._begun: set[int] = set()

    def snoop(self, access: Access) -> None:
        """Look at a write that passes: it may be ICW1, or the ICW2 after it."""
        first = access.address & ~1
        if access.region != "port" or first not in self._bases:
            return
        if access.address == first and ICW1.ONE.get(access.value):
            self._begun.add(first)
        elif access.address != first and first in self._begun:
            self._begun.remove(first)
            self._bases[first] = access.value & ICW2.BASE.mask

    def poll(self) -> int | None:
        """The vector of the highest request, now acknowledged, or None."""
        level = self._level(MASTER)
        if level is None:
            return None
        if level != CASCADE:
            return self._bases[MASTER] + level
        level = self._level(SLAVE)
        return self._bases[SLAVE] + (SPURIOUS if level is None else level)

    def _level(self, port: int) -> int | None:
        ask = Access(0, True, "port", port, 1, POLL)
        reply = self._pipeline([ask, ask._replace(write=False)])[1].value
        return reply & 7 if reply & 0x80 else None
