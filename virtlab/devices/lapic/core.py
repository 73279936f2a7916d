"""The local APIC: what a processor is told, and when.

    messages --> IRR --(class above PPR)--> acknowledge --> ISR --> EOI
                  ^                                                  |  TMR: was it level?
    timer, pins, errors (LVT)                                        +----> the I/O APICs

The rules that keep it simple: `vectors` says which request is pending. The processor acknowledges;
if nothing is pending any more, it gets the spurious vector, and nothing is in service. An EOI ends
the highest in service; if that came level-triggered, the I/O APICs are told.

NMI, SMI, INIT and start-up have no vector to wait in IRR: the processor gets them by `signal`.

`chip` adds the page of registers.

Source: Intel SDM 3A, 11.4 to 11.9. Where it leaves a choice: an APIC that software has switched off
accepts no vector and gives none. Left out: arbitration on a bus, delivery that takes time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from virtlab.clock import Clock
from virtlab.devices.lapic.destination import Identity, logical_of, names
from virtlab.devices.lapic.registers import LapicRegisters
from virtlab.devices.lapic.timer import CountDown
from virtlab.devices.lapic.vectors import LOWEST, Vectors
from virtlab.interrupts import Delivery, Interrupt, InterruptController, IrqLine

PINS = ("LVT_LINT0", "LVT_LINT1")


class Others(Protocol):
    """The way to the other local APICs."""

    def send(self, sender: LapicCore, interrupt: Interrupt, shorthand: int) -> object:
        """Deliver what `sender` sends by its ICR."""


class LapicCore(LapicRegisters):
    """The local APIC of processor `number`, as an interrupt controller.

    `lint` are its two pins. `pic` is the 8259A behind LINT0, asked for the vector where that pin is
    in ExtINT mode. `eoi(vector)` tells the I/O APICs that a level-triggered interrupt has ended.
    `signal(mode, vector)` gives the processor what is no vector. `bus` carries what it sends.

    `present` and `extended` are EN and EXTD of IA32_APIC_BASE, which `msr` writes. Without the
    first the 8259A speaks to the processor directly; with the second the page is gone.
    """

    def __init__(
        self,
        number: int = 0,
        clock: Clock | None = None,
        *,
        pic: InterruptController | None = None,
        eoi: Callable[[int], object] | None = None,
        signal: Callable[[int, int], object] | None = None,
    ) -> None:
        super().__init__()
        self.number, self.pic = number, pic
        self.eoi = eoi or (lambda vector: None)
        self.signal = signal or (lambda mode, vector: None)
        self.bus: Others | None = None
        self.vectors = Vectors()
        self.lint = tuple(IrqLine(f"lapic {number} LINT{n}", partial(self._pin, n)) for n in (0, 1))
        self.timer = CountDown(clock or Clock(), self._timed)
        self.present, self.extended = True, False
        self.preset(ID=LapicRegisters.ID.ID.put(0, number))
        self.reset()

    def reset(self) -> None:
        """As after power-on: switched off by software, the LVT masked (11.4.7.1).

        `present` and `extended` stay.
        """
        super().reset()
        self.vectors = Vectors()
        self.errors = 0
        self.external = False
        self.timer.reset()

    # -- the processor's side

    @property
    def enabled(self) -> bool:
        """Whether it takes and gives vectors."""
        return self.present and bool(LapicRegisters.SVR.ENABLE.get(self.SVR))

    def wanted(self) -> int | None:
        """The vector that is pending now, or None."""
        return self.vectors.wanted(self.TPR) if self.enabled else None

    @property
    def from_pic(self) -> bool:
        """Whether the 8259A has something for this processor: through LINT0, or by a message."""
        if self.pic is None or not self.pic.pending:
            return False
        lint = LapicRegisters.LVT_LINT0.decode(self.LVT_LINT0)
        wired = lint["MODE"] == Delivery.EXTINT and not lint["MASK"]
        return not self.present or wired or self.external

    @property
    def pending(self) -> bool:
        """Whether the processor has something to acknowledge."""
        return self.from_pic or self.wanted() is not None

    def acknowledge(self) -> int:
        """The vector that is in service now, or the spurious one.

        What comes from the 8259A goes first; it has no priority here and is not in ISR.
        """
        if self.pic is not None and self.from_pic:
            self.external = False
            return self.pic.acknowledge()
        vector = self.wanted()
        if vector is None:
            return LapicRegisters.SVR.VECTOR.get(self.SVR)
        self.vectors.serve(vector)
        return vector

    # -- what arrives

    @property
    def identity(self) -> Identity:
        """By what names messages reach it."""
        if self.extended:
            return Identity(self.number, logical_of(self.number), extended=True)
        regs = LapicRegisters
        physical, logical = regs.ID.ID.get(self.ID), regs.LDR.ID.get(self.LDR)
        return Identity(physical, logical, regs.DFR.MODEL.get(self.DFR))

    def matches(self, interrupt: Interrupt) -> bool:
        """Whether `interrupt` is for this processor, or for it among others."""
        return self.present and names(interrupt, self.identity)

    def accept(self, interrupt: Interrupt) -> bool:
        """Take an interrupt that is for this processor. Gives whether it was taken."""
        match interrupt.mode:
            case Delivery.FIXED | Delivery.LOWEST_PRIORITY:
                return self._take(interrupt.vector, interrupt.level)
            case Delivery.EXTINT:
                self.external = True
            case Delivery.INIT:
                identity = self.ID
                self.reset()
                self.ID = identity  # which INIT leaves (11.4.7.3)
                self.signal(Delivery.INIT, 0)
            case Delivery.NMI | Delivery.SMI | Delivery.STARTUP:
                self.signal(interrupt.mode, interrupt.vector)
            case _:
                return False
        return True

    def _take(self, vector: int, level: bool = False) -> bool:
        if not self.enabled:
            return False
        if vector < LOWEST:
            self._error("RECEIVE_VECTOR")
            return False
        self.vectors.request(vector, level)
        return True

    # -- the local vector table

    def _local(self, name: str) -> None:
        """A source of the LVT has something: deliver it as its entry says (11.5.1)."""
        entry = self.values[name]
        lint = LapicRegisters.LVT_LINT0.decode(entry)
        if lint["MASK"] or lint["MODE"] == Delivery.EXTINT:
            return
        level = bool(lint["TRIGGER"]) and lint["MODE"] == Delivery.FIXED
        if level and lint["REMOTE_IRR"]:
            return
        taken = self.accept(Interrupt(lint["VECTOR"], mode=lint["MODE"], level=level))
        if level and taken:
            self.values[name] |= LapicRegisters.LVT_LINT0.REMOTE_IRR.mask

    def _pin(self, n: int, up: bool) -> None:
        if up:
            self._local(PINS[n])

    def _timed(self) -> None:
        self._local("LVT_TIMER")

    def _error(self, bit: str) -> None:
        """Note an error for ESR, and interrupt where it is a new one (11.5.3)."""
        mask = LapicRegisters.ESR.fields[bit].mask
        if not self.errors & mask:
            self.errors |= mask
            self._local("LVT_ERROR")

    def _pace(self) -> None:
        """Tell the timer what the registers say of it."""
        low, high = LapicRegisters.DIVIDE.decode(self.DIVIDE).values()
        entry = LapicRegisters.LVT_TIMER.decode(self.LVT_TIMER)
        self.timer.change(
            divide=1 << ((high << 2 | low) + 1 & 7),
            periodic=bool(entry["PERIODIC"]),
            wanted=not entry["MASK"],
        )
