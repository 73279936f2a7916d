"""The teaching device, given to a VM with its DMA remapped in software.

      guest stores   DMA_SOURCE   DMA_DESTINATION   DMA_COUNT   DMA_COMMAND   four exits
      VMM keeps      gpa          buffer            bytes       START: now translate
      card gets      hpa          buffer            bytes       START         once for each piece

The idea: the card has one address register. So a transfer whose frames are not neighbours is
several transfers of the card. The VMM hears of the end of each by the card's interrupt, starts the
next, and tells the guest only of the last. The guest counts one transfer, and one interrupt.

The rules that keep it simple: DMA_DONE of the card belongs to the VMM, the guest sees one of its
own. A transfer that the guest may not make moves nothing, and is over at once; the card has no bit
for an error, so none is shown (QEMU edu).

Left out: the guest sees each piece take the card's whole time.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress

from virtlab.devices.edu import (
    BUFFER,
    BUFFER_BYTES,
    DMA_DONE,
    DMA_MASK,
    DMA_REGISTERS,
    INTERRUPT,
    START,
    TO_MEMORY,
    EduFunction,
    EduRegisters,
)
from virtlab.errors import DmaFault
from virtlab.vmm.dma_remap import Piece, Translator
from virtlab.vmm.mediator import Mediator, bar_of, listen, stand_behind
from virtlab.vmm.pinning import Pins
from virtlab.vmm.virtual_machine import VirtualMachine
from virtlab.wire import all_ones

BAR = "BAR0"
SOURCE, DESTINATION, COUNT, COMMAND = (reg.offset for reg in DMA_REGISTERS)
STATUS, RAISE, ACKNOWLEDGE = (
    reg.offset
    for reg in (EduRegisters.INTERRUPT_STATUS, EduRegisters.RAISE, EduRegisters.ACKNOWLEDGE)
)


class MediatedEdu(Mediator):
    """The `physical` card behind BAR 0 of the `virtual` one of `vm`. A `Device`.

    `values` are the DMA registers as the guest wrote them, by offset; `todo` are pieces that the
    card has not begun.
    """

    def __init__(
        self,
        vm: VirtualMachine,
        virtual: EduFunction,
        physical: EduFunction,
        pins: Pins | None = None,
        remapper: Translator | None = None,
    ) -> None:
        super().__init__(vm, virtual, DMA_MASK + 1, pins, remapper)
        self.hardware = bar_of(vm, physical, BAR)
        self.values = {reg.offset: reg.reset for reg in DMA_REGISTERS}
        self.todo: deque[Piece] = deque()
        self.done = 0
        self.inside = 0
        stand_behind(virtual, BAR, self)
        listen(physical.irq, self._heard)

    # -- the two verbs

    def read(self, offset: int, size: int) -> int:
        """The guest's own numbers where it has some, else what the card says."""
        if offset in self.values:
            return self.values[offset] & all_ones(size) if size >= 4 else all_ones(size)
        value = self.hardware.read(offset, size)
        return value | self.done if offset == STATUS else value

    def write(self, offset: int, size: int, value: int) -> None:
        """Keep what names memory, pass on the rest."""
        if offset >= SOURCE:
            self._write_dma(offset, size, value)
        elif offset in (RAISE, ACKNOWLEDGE) and size == 4:
            mine = value & DMA_DONE
            self.done = self.done | mine if offset == RAISE else self.done & ~mine
            self.hardware.write(offset, size, value & ~DMA_DONE)
            self._settle()
        else:
            self.hardware.write(offset, size, value)

    def _write_dma(self, offset: int, size: int, value: int) -> None:
        if offset not in self.values or size < 4 or self.moving:
            return
        if offset != COMMAND:
            self.values[offset] = value
        elif value & START:
            self.values[offset] = value
            self._start()

    @property
    def moving(self) -> bool:
        """Whether the guest's transfer is under way."""
        return bool(self.values[COMMAND] & START)

    # -- one transfer of the guest, piece by piece

    def _start(self) -> None:
        """Translate, pin, and begin with the first piece."""
        source, destination, count, command = self.values.values()
        inwards = command & TO_MEMORY
        gpa = (destination if inwards else source) & DMA_MASK
        self.inside = (source if inwards else destination) - BUFFER
        if 0 <= self.inside <= self.inside + count <= BUFFER_BYTES:
            with suppress(DmaFault):
                self.todo.extend(self.pieces(gpa, count))
        self.hold(list(self.todo))
        self._next()

    def _next(self) -> None:
        """Give the card the next piece, or tell the guest that it was the last."""
        if not self.todo:
            self._finish()
            return
        hpa, length = self.todo.popleft()
        way = self.values[COMMAND] & TO_MEMORY
        inside = BUFFER + self.inside
        ends = (inside, hpa) if way else (hpa, inside)
        self.inside += length
        program = (*ends, length, START | INTERRUPT | way)
        for reg, value in zip(DMA_REGISTERS, program, strict=True):
            self.hardware.write(reg.offset, 8, value)

    def _finish(self) -> None:
        self.release()
        self.values[COMMAND] &= ~START
        if self.values[COMMAND] & INTERRUPT:
            self.done |= DMA_DONE
        self._settle()

    # -- interrupts

    def _heard(self, level: bool) -> None:
        """The card's line changed. DMA_DONE is ours: take it back, and go on."""
        if level and self.hardware.read(STATUS, 4) & DMA_DONE:
            self.hardware.write(ACKNOWLEDGE, 4, DMA_DONE)
            self._next()
        self._settle()

    def _settle(self) -> None:
        """Drive the virtual card's line."""
        self.virtual.irq.set(bool(self.hardware.read(STATUS, 4) | self.done))
