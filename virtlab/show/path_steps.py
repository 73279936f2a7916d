"""A trip step by step: where the request is, how it came there, and what it has cost so far.

    application -> driver -> kvm -> controller -> device -> host -> disk       the boxes
                     |                               |
                     +------> queue, buffer <--------+                         shared memory

The idea: `steps` reads the trace of a run, event by event, and nothing is told that did not happen.
A box is known by who answered, shared memory by its address.

The rules that keep it simple: events of one kind that follow each other are one step, with a count;
what an exit does is told in full the first time, and then counted; and what comes again and again,
sector after sector, is told once.

Source: the boxes are those of the lecture's figures "KVM without virtio" and "KVM with virtio".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from virtlab.memory import PAGE
from virtlab.show.layer_words import many
from virtlab.show.naming import READS, WRITES, Namer, Registers
from virtlab.trace import Event
from virtlab.vmm.virtual_machine import ScatteredRam

Span = tuple[int, int]
"""A stretch of memory: gpa and bytes."""

APPLICATION, DRIVER, KVM, CONTROLLER = "application", "driver", "kvm", "controller"
DEVICE, HOST, DISK, QUEUE, BUFFER = "device", "host", "disk", "queue", "buffer"

DMA = ("dma read", "dma write")
_EFFECTS = ("copy", "inject", *DMA)
_PIC = "pic"

LONGEST_ROUND = 16
"""Steps that may come again as one round."""


class Spent(NamedTuple):
    """What a trip has cost so far.

    `exits` of the guest, and `registers`, those of them that were an access; `interrupts` that it
    got; `copies` of blocks between two memories; `shared`, its own accesses to memory that it
    shares with the device, and `fetched`, the device's; `requests` to the host's driver.
    """

    exits: int = 0
    registers: int = 0
    interrupts: int = 0
    copies: int = 0
    shared: int = 0
    fetched: int = 0
    requests: int = 0


class Step(NamedTuple):
    """One step: the request is `at` a box, came `via` an arrow (or none), and `words` say how."""

    at: str
    via: str
    words: str
    spent: Spent


class Places:
    """Which memory the guest shares with its device: `queue` and `buffer`, spans by gpa.

    A guest's own loads and stores are traced by host-physical address, so `ram` is asked which
    page that is.
    """

    def __init__(self, ram: ScatteredRam, queue: Iterable[Span], buffer: Iterable[Span]) -> None:
        self.spans = {QUEUE: tuple(queue), BUFFER: tuple(buffer)}
        self._pages = {hpa: gpa for gpa, hpa in ram.frames.items()}

    def of(self, event: Event) -> str:
        """`"queue"`, `"buffer"`, or nothing for memory that is not shared."""
        gpa = event.address
        if event.who == "ram":
            gpa = self._pages.get(gpa & -PAGE, -PAGE) + gpa % PAGE
        for name, spans in self.spans.items():
            if any(start <= gpa < start + length for start, length in spans):
                return name
        return ""


def steps(
    events: Sequence[Event], places: Places, registers: Registers, size: int
) -> Iterator[Step]:
    """The steps that `events` tell, of a request for `size` bytes."""
    teller = _Teller(places, registers)
    told = [Step(APPLICATION, "", f"has {size} bytes, and calls write", Spent())]
    for kind, groups in groupby(_groups(events), key=teller.kind):
        told += teller.tell(kind, list(groups))
    told.append(Step(APPLICATION, "return", f"{size} bytes are written", teller.spent))
    return _rounds(told)


Group = list[Event]


def _groups(events: Iterable[Event]) -> Iterator[Group]:
    """Events from an exit to its entry together; any other one alone."""
    group: Group = []
    for event in events:
        group.append(event)
        if group[0].kind != "exit" or event.kind == "entry":
            yield group
            group = []


class _Teller:
    """Turns groups of events into steps, and adds up what they cost."""

    def __init__(self, places: Places, registers: Registers) -> None:
        self.places = places
        self.namer = Namer(registers)
        self.spent = Spent()
        self._known: set[str] = set()

    def kind(self, group: Group) -> str:
        """What neighbours must have in common to be told together."""
        first = group[0]
        if first.kind != "exit":
            return f"memory {self.places.of(first)}" if first.who == "ram" else first.kind
        access = _access(group)
        if access is None or any(event.kind in _EFFECTS for event in group):
            return f"exit {first.seq}"
        if access.who.startswith(_PIC):
            return _PIC
        return "data" if (access.space, access.size) == ("port", 2) else "register"

    def tell(self, kind: str, groups: list[Group]) -> Iterator[Step]:
        """The steps of groups of one kind."""
        first = groups[0][0]
        if first.kind == "exit":
            yield from self._exits(kind, groups)
        elif first.kind == "system call":
            yield Step(DRIVER, "call", "the kernel finds the sectors, and calls this", self.spent)
        elif first.kind == "copy":
            self._add(copies=len(groups))
            words = f"the kernel has copied {first.size} bytes from the application"
            yield Step(DRIVER, "", words, self.spent)
        elif place := self.places.of(first):
            self._add(shared=len(groups))
            words = f"the guest's driver: {_memory([group[0] for group in groups])}. No exit"
            yield Step(place, "driver", words, self.spent)

    # -- exits

    def _exits(self, kind: str, groups: list[Group]) -> Iterator[Step]:
        """The first of a kind in full; the others are counted."""
        if kind not in self._known:
            yield from self._one(groups[0])
            groups = groups[1:]
        self._known.add(kind)
        if groups:
            self._add(exits=len(groups), registers=len(groups))
            access = _access(groups[0])
            assert access is not None
            more = "" if len(groups) == 1 else " and so on"
            words = f"{self._name(access)}{more}: {many(len(groups), 'exit')} in the same way"
            yield Step(KVM if kind == _PIC else DEVICE, "exit", words, self.spent)

    def _one(self, group: Group) -> Iterator[Step]:
        """One exit, from the guest to its entry."""
        access = _access(group)
        self._add(exits=1, registers=int(access is not None))
        if access is None:
            yield Step(KVM, "exit", "HLT: the guest sleeps until an interrupt comes", self.spent)
        elif access.who.startswith(_PIC):
            words = f"{self._name(access)}: end of interrupt, at the virtual 8259A"
            yield Step(KVM, "exit", words, self.spent)
        else:
            yield Step(KVM, "exit", f"{self._name(access)}: the guest stops", self.spent)
            where = f"who is at {access.space} {access.address:#x}?"
            yield Step(CONTROLLER, "pass", where, self.spent)
            yield Step(DEVICE, "decode", f"this is: {self._name(access)}", self.spent)
        yield from self._inside(group, access)

    def _inside(self, group: Group, access: Event | None) -> Iterator[Step]:
        """What else happens before the guest goes on."""
        rest = [event for event in group if event is not access and self._inner(event)]
        for at, same in groupby(rest, key=self._inner):
            found = list(same)
            if at in (QUEUE, BUFFER):
                self._add(fetched=len(found))
                yield Step(at, "fetch", f"the device: {_memory(found)}", self.spent)
            elif at == HOST:
                self._add(copies=1, requests=1)
                words = f"{found[0].note}, by the host's own driver"
                yield Step(HOST, "host", words, self.spent)
            elif at == DISK:
                words = f"moves the sectors; the host makes {len(found)} accesses"
                yield Step(DISK, "hardware", words, self.spent)
            else:
                self._add(interrupts=1)
                yield Step(KVM, "irq", "the device's interrupt line rises", self.spent)
                words = f"the interrupt comes: {found[0].note}"
                yield Step(DRIVER, "inject", words, self.spent)

    def _inner(self, event: Event) -> str:
        """Where an event inside an exit belongs; nothing for one that is not told."""
        if event.kind in DMA:
            return self.places.of(event)
        if event.kind in READS + WRITES:
            return DISK
        return {"copy": HOST, "inject": "guest"}.get(event.kind, "")

    def _name(self, access: Event) -> str:
        """`OUT COMMAND`, `load ISR_STATUS`."""
        name = self.namer.name(access.kind in WRITES, access.address, access.value).register
        verb = access.kind.upper() if access.space == "port" else access.kind
        return f"{verb} {name or hex(access.address)}"

    def _add(self, **more: int) -> None:
        counts = self.spent._asdict()
        self.spent = Spent(**{name: counts[name] + more.get(name, 0) for name in counts})


def _memory(events: Sequence[Event]) -> str:
    """`3 writes, 1 read`."""
    writes = sum(event.kind in ("store", "dma write") for event in events)
    counts = ((writes, "write"), (len(events) - writes, "read"))
    return ", ".join(many(count, what) for count, what in counts if count)


def _access(group: Group) -> Event | None:
    """The access that the guest exited for; None for a HLT."""
    stop = group[0]
    if not stop.space:
        return None
    place = stop.space, stop.address, stop.size
    accesses = (event for event in group if event.kind in READS + WRITES)
    return next(each for each in accesses if (each.space, each.address, each.size) == place)


def _rounds(told: Sequence[Step]) -> Iterator[Step]:
    """What comes again at once, in the same words, is one step."""
    at = 0
    while at < len(told):
        length, times = _repeats(told, at)
        yield from told[at : at + length]
        if times > 1:
            last = told[at + length * times - 1]
            words = f"… and all of this {many(times - 1, 'time')} more"
            yield Step(last.at, "", words, last.spent)
        at += length * times


def _repeats(told: Sequence[Step], at: int) -> tuple[int, int]:
    """The shortest round that begins `at`, and how often it comes; one step, once, if none does."""
    marks = [step[:3] for step in told]
    for length in range(2, LONGEST_ROUND + 1):
        times = 1
        while marks[at : at + length] == marks[at + length * times : at + length * (times + 1)]:
            times += 1
        if times > 1:
            return length, times
    return 1, 1
