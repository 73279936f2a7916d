"""A request's journey, step by step: which world runs, what crosses, and what it has cost so far.

    exit, entry      between guest and VMM: one world switch each
    world switch     between VMM and service
    a call           between the VMM and a device inside it: no switch at all
    a message        a doorbell, or a bell: nobody waits, and no world is left

The idea: `steps` reads the trace of a real run, event by event. Nothing is told that did not
happen.

The rule that keeps it simple: a run of accesses to one register, such as the 256 words of a sector,
is told once, and then counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from virtlab import machine
from virtlab.clock import COSTS
from virtlab.devices.edu import REGISTERS as EDU_REGISTERS
from virtlab.devices.pic import REGISTERS as PIC_REGISTERS
from virtlab.guest.pic import MASTER, SLAVE
from virtlab.show.naming import READS, WRITES, Namer
from virtlab.trace import Event
from virtlab.vmm.meter import Cost
from virtlab.vmm.service.models import KINDS
from virtlab.vmm.service.remote import SWITCH

EDU = KINDS["edu"].parts[0].base
EXIT = round(COSTS["vm_exit"].ns)
NAMES = {
    **machine.PORT_REGISTERS,
    MASTER: PIC_REGISTERS,
    SLAVE: PIC_REGISTERS,
    EDU: EDU_REGISTERS,
}

GUEST, VMM, DEVICE = "guest", "VMM", "device model"


class Step(NamedTuple):
    """One step: something goes from lane `start` to lane `end`, or happens in one of them.

    `style` says what kind of crossing; `running` is the lane that runs after it; `cost` is what
    the journey has cost up to here.
    """

    start: str
    end: str
    words: str
    style: str
    running: str
    cost: Cost


def steps(events: Sequence[Event], served: bool) -> Iterator[Step]:
    """The steps that events tell. `served`: the device is in a process of its own."""
    teller = _Teller(served)
    yield Step(GUEST, GUEST, "the guest runs", "note", GUEST, Cost())
    for _, same in groupby(_groups(events), key=_signature):
        first, *rest = same
        yield from teller.tell(first)
        if rest:
            yield teller.count(rest)


def _groups(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Events from an exit to its entry together; any other one alone."""
    group: list[Event] = []
    for event in events:
        group.append(event)
        if group[0].kind != "exit" or event.kind == "entry":
            yield group
            group = []


def _signature(group: list[Event]) -> object:
    """What makes two groups the same: the accesses in them. One without any is like no other."""
    accesses = [(event.kind, event.address) for event in group if event.kind in READS + WRITES]
    return accesses or id(group)


class _Teller:
    """Turns groups of events into steps, and adds up what they cost."""

    def __init__(self, served: bool) -> None:
        self.served = served
        self.namer = Namer(NAMES)
        self.running = GUEST
        self.exits = self.switches = self.beyond = 0

    def tell(self, group: list[Event]) -> Iterator[Step]:
        """The steps of a group."""
        access = next((event for event in group if event.kind in READS + WRITES), None)
        words = self._words(access) if access else "HLT"
        for event in group:
            step = self._step(event, words, access)
            if step is not None:
                yield step

    def count(self, groups: list[list[Event]]) -> Step:
        """One step for all `groups`, which are as the one before them."""
        for group in groups:
            for event in group:
                self._spend(event)
        access = next(event for event in groups[0] if event.kind in READS + WRITES)
        words = f"… and {len(groups)} more: {self._words(access).split(' gives ')[0]}"
        return Step(GUEST, GUEST, words, "more", GUEST, self._cost)

    def _step(self, event: Event, words: str, access: Event | None) -> Step | None:
        """What an event is, told from the side of the worlds; None for what is told already."""
        self._spend(event)
        cost, note = self._cost, event.note
        answer = f": {access.value:#x}" if access and access.kind in READS else ""
        match event.kind:
            case "exit":
                self.running = VMM
                return Step(GUEST, VMM, f"exit: {words.split(' gives ')[0]}", "exit", VMM, cost)
            case "entry":
                self.running = GUEST
                return Step(VMM, GUEST, f"entry{answer}", "entry", GUEST, cost)
            case "world switch" if note.startswith("VMM"):
                self.running = DEVICE
                return Step(
                    VMM, DEVICE, f"request: {note.partition(': ')[2]}", "request", DEVICE, cost
                )
            case "world switch":
                self.running = VMM
                return Step(DEVICE, VMM, f"reply{answer}", "reply", VMM, cost)
            case "doorbell":
                return Step(VMM, DEVICE, "a message; nobody waits", "signal", self.running, cost)
            case "irq":
                return Step(DEVICE, VMM, f"the line goes up: {note}", "signal", self.running, cost)
            case "inject":
                return Step(VMM, GUEST, note, "signal", self.running, cost)
            case "dma read" | "dma write":
                way = "to" if event.kind == "dma write" else "from"
                words = f"DMA: {event.size} bytes {way} memory"
                return Step(DEVICE, DEVICE, words, "note", self.running, cost)
        if event.kind in READS + WRITES and not self._elsewhere(event):
            return Step(VMM, DEVICE, f"a call{answer}", "call", VMM, cost)
        return None

    def _elsewhere(self, event: Event) -> bool:
        """Whether the access is the service's: the request and the reply have told it."""
        placed = {part.name for kind in KINDS.values() for part in kind.parts}
        return self.served and event.who in placed

    def _spend(self, event: Event) -> None:
        self.exits += event.kind == "exit"
        self.beyond += event.kind == "world switch"
        self.switches += event.kind in ("exit", "entry", "world switch")

    @property
    def _cost(self) -> Cost:
        """The events so far, and what they take: not the time in which nobody switches."""
        return Cost(self.exits, self.switches, self.exits * EXIT + self.beyond * SWITCH)

    def _words(self, access: Event) -> str:
        """`IN LSR gives 0x60`, or `OUT THR ← 0x41`."""
        write = access.kind in WRITES
        name = self.namer.name(write, access.address, access.value).register
        verb = f"{access.kind.upper()} {name or hex(access.address)}"
        return f"{verb} ← {access.value:#x}" if write else f"{verb} gives {access.value:#x}"
