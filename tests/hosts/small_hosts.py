"""What a small guest's run leaves, on any host of real machine code."""

from __future__ import annotations

from typing import NamedTuple

from tests.needs import require
from virtlab.guest.small import SmallGuest
from virtlab.hosts.real_code import HOSTS
from virtlab.machine import PcVm, lesson_vm
from virtlab.trace import Event
from virtlab.vmm.exits import Exit

NEEDS = {"unicorn": "Unicorn", "kvm": "KVM"}
"""What a host needs of the machine, in the words of `virtlab doctor`."""

TYPED_AT = 5_000_000
"""When somebody types the guest's keys: 5 ms after power-on, when it sleeps."""
SEEN = 0x8F00
"""RAM below the stack, which is compared. On the stack are flags that the small host lacks."""


class Outcome(NamedTuple):
    """All that a run leaves, in a form that compares.

    `events` are the whole timeline, accesses of RAM apart, with the virtual time of each; the note
    of an `exit` has the record's qualification.
    """

    events: list[Event]
    last: Exit
    exits: dict[str, int]
    prints: str
    ram: bytes


def outcome(host: str, guest: SmallGuest, vm: PcVm | None = None) -> Outcome:
    """Run `guest` on the host of that name, in a new VM or in the given one."""
    if host in NEEDS:
        require(NEEDS[host])
    vm = lesson_vm() if vm is None else vm
    guest.load(vm.vm.ram)
    vm.clock.after(TYPED_AT, lambda: vm.keyboard.tap(*guest.keys))
    with vm.trace.recording() as events:
        last = HOSTS[host].run(vm.vm, guest.code)
    shown = [event for event in events if event.who != "ram"]
    renumbered = [event._replace(seq=number) for number, event in enumerate(shown)]
    exits = dict(vm.vm.vmm.exits)
    return Outcome(renumbered, last, exits, vm.terminal.text, vm.vm.ram.read(0, SEEN))
