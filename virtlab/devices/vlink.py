"""A virtual link: a device that no data sheet describes, because nobody ever built it.

    0x00  ID                  0x10  SEND               0x24  RECEIVE
    0x04  STATUS              0x18  RX_ADDRESS         0x28  INTERRUPT_ENABLE
    0x08  TX_ADDRESS          0x20  RX_SIZE

    to send       put the message at TX_ADDRESS, write its length to SEND
    to receive    write anything to RECEIVE: the oldest message is stored at RX_ADDRESS, and RECEIVE
                  reads how many bytes it had, or 0 if none was there

The idea: what two virtual machines want of a network is to tell each other something. So this
device has a message in and a message out, and nothing that only hardware needs: no medium, no
speed, no ring. Its line is up while a message waits, and drops for a moment with every message
taken, so that an edge-triggered controller hears of the next one too.

The rules that keep it simple: a message has 1 to `LONGEST` bytes, and moves as a whole or not at
all. What cannot be done sets a bit of STATUS, which stays until a 1 is written to it; nothing else
happens.

The interface is ours. Left out: more than one peer, and pieces of a message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from virtlab.errors import DmaFault, GuestError
from virtlab.interrupts import IrqLine
from virtlab.memory import Dma
from virtlab.registers import Reg, RegisterFile
from virtlab.wire import Bits, all_ones

IDENTITY = int.from_bytes(b"VLNK", "little")

LONGEST = 4096
"""Bytes of a message, at most."""

SPEC = "virtlab virtual link"


class Mail(Protocol):
    """A direction of the link, as the device sees it: who is behind it is not its business."""

    @property
    def connected(self) -> bool:
        """Whether there is anybody at the other end."""

    @property
    def full(self) -> bool:
        """Whether no more messages can wait."""

    @property
    def oldest(self) -> bytes | None:
        """The message that has waited longest, if any waits."""

    def put(self, message: bytes) -> None:
        """Keep a message. Only while not `full`."""

    def drop_oldest(self) -> None:
        """It has been taken."""


class LinkRegisters(RegisterFile):
    """The registers, for the device, the driver and the pictures."""

    length = 0x40

    ID = Reg(0x00, 4, reset=IDENTITY, access="r", spec=SPEC, doc="Who it is: VLNK.")
    STATUS = Reg(
        0x04,
        4,
        w1c=Bits(10, 8).mask,
        fields={
            "CONNECTED": Bits(0),
            "WAITING": Bits(1),
            "FULL": Bits(2),
            "BAD_ADDRESS": Bits(8),
            "BAD_LENGTH": Bits(9),
            "NOT_SENT": Bits(10),
        },
        spec=SPEC,
        doc="Is there a peer, a message, room for one more? And what went wrong.",
    )
    TX_ADDRESS = Reg(0x08, 8, rw=all_ones(8), spec=SPEC, doc="Where messages to send lie (gpa).")
    SEND = Reg(0x10, 4, rw=all_ones(4), access="w", spec=SPEC, doc="Send so many bytes.")
    RX_ADDRESS = Reg(0x18, 8, rw=all_ones(8), spec=SPEC, doc="Where to put messages (gpa).")
    RX_SIZE = Reg(0x20, 4, rw=all_ones(4), spec=SPEC, doc="How many bytes there is room for.")
    RECEIVE = Reg(0x24, 4, spec=SPEC, doc="Written: take a message. Read: how long it was.")
    INTERRUPT_ENABLE = Reg(
        0x28, 4, rw=1, fields={"MESSAGE": Bits(0)}, spec=SPEC, doc="Interrupt for a message."
    )


class VirtualLink(LinkRegisters):
    """One end. `outgoing` and `incoming` are the two directions, `dma` the VM's memory.

    `fault(error)` hears of what the guest did wrong. `update` must be called when a message has
    come in or the other end is gone.
    """

    def __init__(
        self,
        irq: IrqLine,
        dma: Dma,
        outgoing: Mail,
        incoming: Mail,
        fault: Callable[[GuestError | DmaFault], None] = lambda error: None,
    ) -> None:
        super().__init__()
        self.irq = irq
        self.dma = dma
        self.outgoing = outgoing
        self.incoming = incoming
        self.fault = fault

    def reset(self) -> None:
        """As after power-on. Messages that wait stay."""
        super().reset()
        self.update()

    def update(self) -> None:
        """Drive the line: up while a message waits and may interrupt."""
        self.irq.set(self.incoming.oldest is not None and bool(self.INTERRUPT_ENABLE))

    # -- the registers that do something

    def read_STATUS(self) -> int:
        """The errors that are kept, and how it stands now."""
        status = LinkRegisters.STATUS
        value = status.CONNECTED.put(self.STATUS, self.outgoing.connected)
        value = status.WAITING.put(value, self.incoming.oldest is not None)
        return status.FULL.put(value, self.outgoing.full)

    def write_INTERRUPT_ENABLE(self, old: int, new: int) -> None:
        """The line follows."""
        self.update()

    def read_SEND(self) -> int:
        """Write-only."""
        return 0

    def write_SEND(self, old: int, new: int) -> None:
        """Take the message out of the guest's memory, now: the guest may reuse it at once."""
        self.SEND = 0
        self._attempt(lambda: self._send(new))

    def write_RECEIVE(self, old: int, new: int) -> None:
        """Put the oldest message into the guest's memory; it waits no more."""
        self.RECEIVE = 0
        self._attempt(self._receive)

    def _send(self, length: int) -> None:
        if not 1 <= length <= LONGEST:
            raise GuestError(f"a message of {length} bytes", SPEC)
        if not self.outgoing.connected or self.outgoing.full:
            self._set("NOT_SENT")
            return
        self.outgoing.put(self.dma.read(self.TX_ADDRESS, length))

    def _receive(self) -> None:
        message = self.incoming.oldest
        if message is None:
            return
        if len(message) > self.RX_SIZE:
            raise GuestError(f"room for {self.RX_SIZE} of {len(message)} bytes", SPEC)
        # A message touches two pages at most. So where its last byte has a place, all of it has.
        self.dma.read(self.RX_ADDRESS + len(message) - 1, 1)
        self.dma.write(self.RX_ADDRESS, message)
        self.RECEIVE = len(message)
        self.incoming.drop_oldest()
        self.irq.set(False)
        self.update()

    def _attempt(self, action: Callable[[], None]) -> None:
        """The one place where a guest's mistake ends: a bit, and a word to the VMM."""
        try:
            action()
        except GuestError as error:
            self._set("BAD_LENGTH")
            self.fault(error)
        except DmaFault as error:
            self._set("BAD_ADDRESS")
            self.fault(error)

    def _set(self, field: str) -> None:
        self.STATUS |= LinkRegisters.STATUS.fields[field].mask
