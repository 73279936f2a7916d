"""Interrupts of a card that a guest has, on the lesson server: how many exits they take.

    guest: driver --registers, no exit--> card --message--> unit --> host's vector: exit, handler
                                                             +-----> descriptor: no exit

The idea: nothing is modelled here. A guest boots, finds the card that it was given, and chooses a
vector of its own. Then the card interrupts, and the guest serves it as any kernel does.

The rule that keeps it simple: only the interrupts are counted, not what comes before them.
"""

from __future__ import annotations

from virtlab.cards import ECAM
from virtlab.devices.edu import EduRegisters
from virtlab.guest.apic import LocalApic
from virtlab.guest.edu import EduDriver
from virtlab.guest.msi import MsiDriver
from virtlab.guest.pci import Found, find, open_ecam
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.interrupts import Interrupt
from virtlab.server import ServerVm
from virtlab.vmm.passthrough import Passthrough

VECTOR = 0x65
"""The vector that the guest chooses."""


def exits_of(passthrough: Passthrough, card: Found, guest: ServerVm, posted: bool, n: int) -> int:
    """Exits of `n` interrupts of the teaching card, each taken, served and ended by `guest`.

    The card is given to it for that, with posted interrupts or without, and taken back.
    """
    function = passthrough.give(card, guest, posted)
    identity = function.header.VENDOR_ID, function.header.DEVICE_ID
    apic = LocalApic(guest.cpu)
    apic.enable()
    access = open_ecam(guest.cpu, ECAM)
    found = find(enumerate_pci(guest.cpu, access), *identity)
    MsiDriver(access, found.place).enable(*Interrupt(VECTOR).message())
    edu, before = EduDriver(guest.cpu, found.bar(0)), guest.exits
    for _ in range(n):
        edu.raise_interrupt()
        vector = guest.lapic.acknowledge()
        assert vector == VECTOR
        edu.put(EduRegisters.ACKNOWLEDGE, 1)
        apic.eoi()
    exits = guest.exits - before
    passthrough.withdraw(card)
    return exits
