"""What every way of sharing a network has in the end: guests with cards, and the world outside.

The idea: `share_mediated` and `share_assigned` build worlds that have nothing in common but this.
A `Station` is a VM whose guest has its card started. `far` is the other end of that card's wire.

The rule that keeps it simple: a station sends with its own address, to a host that is in no VM, and
hears from that host. So nothing depends on what another VM does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from virtlab.backends import LinkEnd
from virtlab.clock import Clock
from virtlab.show.path_guests import CardGuest
from virtlab.trace import Trace
from virtlab.vmm.virtual_machine import VirtualMachine

SETTLE = 1_000_000
"""Virtual ns in which all that is under way arrives: queues empty, delayed interrupts come."""


def mac_of(number: int) -> bytes:
    """The address of VM `number`, from 0, where we choose it."""
    return bytes((2, 0, 0, 0, 1, number))


class Station(NamedTuple):
    """One VM: its guest's card, with address `mac`, at a wire that ends at `far`."""

    vm: VirtualMachine
    card: CardGuest
    mac: bytes
    far: LinkEnd


class World(NamedTuple):
    """The `stations` that have a device. `host_interrupts()` counts what the host had to handle."""

    stations: list[Station]
    clock: Clock
    trace: Trace
    host_interrupts: Callable[[], int]

    def settle(self) -> None:
        """Let everything arrive."""
        self.clock.advance(SETTLE)
