"""What can be chosen of an interrupt on its way to a guest: the unit, the guest, who, and what.

    no remapping        a message is a vector, whoever sent it
    remapped            a message names an entry, and an entry has an owner
    remapped, posted    the same, and the card's entry leads to the guest's descriptor

The idea: two devices and three messages. The card belongs to the guest, the disk to the host. Each
may send its own message, the other's, or a vector of its own choice. So every forgery can be tried,
and each honest message too.

The rule that keeps it simple: a `Plan` is four choices. The message follows from them, and so does
everything that `irq_run` then does.

Source: VT-d 3.0, 5.1.2 (both formats), 5.1.4 (what is refused).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from virtlab.guest.vtd_interrupts import message
from virtlab.interrupts import Interrupt, Msi
from virtlab.vmm.interrupt_target import State
from virtlab.vmm.interrupt_ways import DEVICE, GUEST_VECTORS, HOST_VECTORS

Unit = Literal["off", "remapped", "posted"]
Named = Literal["card", "disk", "timer"]

CARD, DISK = DEVICE, 0x0020
"""Source ids: of the guest's card, and of the host's disk."""

CARD_ENTRY, DISK_ENTRY = 5, 6
"""Their entries in the interrupt-remapping table."""

CARD_VECTOR, GUEST_VECTOR = HOST_VECTORS + CARD_ENTRY, GUEST_VECTORS + CARD_ENTRY
"""The card's vector at the host, and the one that its guest knows."""

DISK_VECTOR, TIMER_VECTOR = 0x31, 0xEC
"""Vectors that the host has for itself."""

UNITS: tuple[tuple[str, Unit], ...] = (
    ("no remapping", "off"),
    ("remapped", "remapped"),
    ("remapped and posted", "posted"),
)
STATES: tuple[tuple[str, State], ...] = (
    ("running", "running"),
    ("asleep (HLT)", "asleep"),
    ("preempted", "preempted"),
)
SENDERS: tuple[tuple[str, int], ...] = (
    ("the guest's card", CARD),
    ("the host's disk", DISK),
)
MESSAGES: tuple[tuple[str, Named], ...] = (
    ("the card's message", "card"),
    ("the disk's message", "disk"),
    ("the host timer's vector, 0xec", "timer"),
)
"""What can be chosen: the words, and the value."""

VECTORS: dict[Named, int] = {"card": CARD_VECTOR, "disk": DISK_VECTOR, "timer": TIMER_VECTOR}
ENTRIES: dict[Named, int] = {"card": CARD_ENTRY, "disk": DISK_ENTRY}


class Plan(NamedTuple):
    """How the `unit` is set, what the `guest` does, who sends, and which message."""

    unit: Unit = "posted"
    guest: State = "running"
    sender: int = CARD
    named: Named = "card"

    @property
    def msi(self) -> Msi:
        """What is written. The timer's vector has no entry: only the old format can name it."""
        if self.unit == "off" or self.named not in ENTRIES:
            return Interrupt(VECTORS[self.named]).message()
        return message(ENTRIES[self.named])

    @property
    def honest(self) -> bool:
        """Whether the message is the sender's own."""
        return self.named == ("card" if self.sender == CARD else "disk")


def words_of(options: tuple[tuple[str, object], ...], value: object) -> str:
    """The words of a choice."""
    return next(words for words, each in options if each == value)
