"""Who has which of the host's devices, and as what kind.

      dedicated       one device, one VM
      partitioned     one device, cut into pieces; each piece has one VM
      shared          one device; each VM has a virtual one, and the VMM translates between them
      non-existent    no device: only virtual ones, which the VMM connects

The idea: `Ledger` is the one place that knows. Whoever gives a device away asks it first, so a disk
is never dedicated to one VM and in pieces for another.

The rule that keeps it simple: a device has one kind at a time. A dedicated one has one holder; the
others have as many as fit, each VM once. A device that does not exist has no owner, and is not in
the ledger.

The kinds are those of the lecture that the course follows. A physical device says itself which it
can be: a keyboard has one set of buttons and no parts, a disk has sectors to cut, a network card
can send everybody's frames in turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Protocol

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.cpu import Cpu
from virtlab.devices.pic import PicPair
from virtlab.trace import Trace
from virtlab.vmm.virtual_machine import VirtualMachine


class Kind(StrEnum):
    """The four ways to tie a virtual device to the physical ones."""

    DEDICATED = "dedicated"
    PARTITIONED = "partitioned"
    SHARED = "shared"
    NON_EXISTENT = "non-existent"


class Board(Protocol):
    """What the VMM needs of the machine that it runs on: `cpu` is its own way to the devices."""

    clock: Clock
    trace: Trace
    ports: AddressSpace
    memory: AddressSpace
    pic: PicPair

    @property
    def cpu(self) -> Cpu:
        """The processor, with nothing between it and the devices."""


class Guest(Protocol):
    """A virtual machine, and the wires of its virtual interrupt controller."""

    vm: VirtualMachine
    pic: PicPair


class Ledger:
    """`devices` says which kinds each of the host's devices can be.

    >>> ledger = Ledger({"keyboard": [Kind.DEDICATED]})
    >>> ledger.give("keyboard", "A", Kind.DEDICATED)
    >>> ledger.objection("keyboard", "B", Kind.DEDICATED)
    'the keyboard is dedicated to A: withdraw it first'
    """

    def __init__(self, devices: Mapping[str, Iterable[Kind]]) -> None:
        self.devices = {device: tuple(kinds) for device, kinds in devices.items()}
        self._kind: dict[str, Kind] = {}
        self._holders: dict[str, list[str]] = {device: [] for device in self.devices}

    def kind(self, device: str) -> Kind | None:
        """What it is now; None while nobody has it."""
        return self._kind.get(device)

    def holders(self, device: str) -> tuple[str, ...]:
        """The VMs that have it, or a part of it, in the order in which they got it."""
        return tuple(self._holders[self._known(device)])

    def objection(self, device: str, holder: str, kind: Kind) -> str:
        """Why `holder` cannot have `device` as this kind now; empty if it can."""
        held, now = self._holders[self._known(device)], self.kind(device)
        if kind not in self.devices[device]:
            can = " or ".join(self.devices[device])
            return f"the {device} cannot be {kind}, only {can}"
        if now is Kind.DEDICATED:
            return f"the {device} is dedicated to {held[0]}: withdraw it first"
        if now is not None and now is not kind:
            return f"the {device} is {now} already, by {' and '.join(held)}"
        return f"{holder} has its part of the {device} already" if holder in held else ""

    def give(self, device: str, holder: str, kind: Kind) -> None:
        """Write it down. `ValueError` says why that cannot be."""
        if why := self.objection(device, holder, kind):
            raise ValueError(why)
        self._kind[device] = kind
        self._holders[device].append(holder)

    def withdraw(self, device: str, holder: str) -> None:
        """Cross it out. `ValueError` if `holder` has nothing of `device`."""
        held = self._holders[self._known(device)]
        if holder not in held:
            raise ValueError(f"{holder} has nothing of the {device}")
        held.remove(holder)
        if not held:
            del self._kind[device]

    def _known(self, device: str) -> str:
        if device not in self.devices:
            raise ValueError(f"the host has {', '.join(self.devices)}, and no {device!r}")
        return device
