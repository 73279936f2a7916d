"""What the ring doctor is given, and what it says: plain records.

    Ring  ->  examine  ->  Report: Pending chains, Findings, signals

The idea: a finding is a value, with its place, its reason and its clause in fields of their own. So
a lesson draws it, a test compares it, and `str` makes the one line that a command prints.

The rule that keeps it simple: `Notes` is the only thing here that changes. Every part of an
examination writes its findings to it, and draws its reads from the same budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from virtlab.errors import DmaFault
from virtlab.memory import Dma
from virtlab.virtio.chain import Buffer
from virtlab.virtio.features import Features

Layout = Literal["split", "packed"]
Who = Literal["driver", "device"]

MAX_DESCRIPTORS = 1 << 17
"""Descriptors that one examination reads: a ring of full indirect tables could name 2**30."""

MAX_FINDINGS = 100
"""Findings that are kept: a ring of rubbish has one at every entry."""


class Ring(NamedTuple):
    """One virtqueue: where its three areas are (iova), and how far the device is.

    `desc` is the Descriptor Area. `driver` is the Driver Area: the available ring, or the driver's
    event structure. `device` is the Device Area: the used ring, or the device's event structure.

    Both indices are the device's own. Split: `last_avail_idx` is the next entry of the available
    ring that it will take, `used_idx` the next that it will use, both free-running in 16 bits.
    Packed: the same as positions in the ring; bit 15, where vhost-user keeps the wrap counter, is
    not looked at, as the ring itself tells it.
    """

    layout: Layout
    size: int
    desc: int
    driver: int
    device: int
    features: Features
    last_avail_idx: int = 0
    used_idx: int = 0


class Finding(NamedTuple):
    """One thing that is wrong: who did it, where it is, why it is wrong, which clause says so.

    `where` is a place in the ring (`"desc[3].next"`), `address` (iova) that of its first byte.
    A `warning` breaks no rule, or may be seen for a moment while a side is writing.
    """

    who: Who
    where: str
    address: int
    why: str
    spec: str
    warning: bool = False

    def __str__(self) -> str:
        kind = "warning" if self.warning else self.who
        return f"{kind}: {self.where} at {self.address:#x}: {self.why} ({self.spec})"


class Pending(NamedTuple):
    """A chain that is available and not yet used.

    `head` is the index of its first descriptor, or the buffer id. `position` is where it became
    available: an entry of the available ring, free-running, or a slot of the packed ring. With
    `taken`, the device has it. Where the chain is broken, `buffers` are those before the place.
    """

    head: int
    buffers: tuple[Buffer, ...]
    position: int
    taken: bool


class Report(NamedTuple):
    """What the doctor says of one ring.

    `pending` are the chains. `waiting` counts what the device has yet to take, `in_flight` what it
    has taken and not used: entries of a split ring, descriptors of a packed one. Both hold also
    where a broken ring leaves chains out of `pending`. `signals` say who asked to hear of what.
    """

    ring: Ring
    pending: tuple[Pending, ...]
    waiting: int
    in_flight: int
    findings: tuple[Finding, ...]
    signals: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether no rule is broken."""
        return all(finding.warning for finding in self.findings)


class Area(NamedTuple):
    """One of a queue's three areas: its name in words, address, bytes, and alignment."""

    name: str
    address: int
    size: int
    align: int


class Notes:
    """The findings so far, and what is left of the budget: what every part of a doctor writes to.

    `read` never writes, and what faults becomes a finding: a warning where `dma` is not `whole`.
    """

    def __init__(self, dma: Dma, whole: bool = True) -> None:
        self.dma = dma
        self.whole = whole
        self.findings: list[Finding] = []
        self.left = MAX_DESCRIPTORS

    def add(
        self, who: Who, where: str, address: int, why: str, spec: str, warning: bool = False
    ) -> None:
        """Note one finding; after `MAX_FINDINGS`, only that there are more."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(who, where, address, why, spec, warning))
        elif len(self.findings) == MAX_FINDINGS:
            why = f"more is wrong than these {MAX_FINDINGS} findings"
            self.findings.append(Finding(who, where, address, why, spec, warning))

    def read(self, area: Area, spec: str) -> bytes | None:
        """A copy of an area; None, and a finding, where not all of it is memory."""
        try:
            return bytes(self.dma.read(area.address, area.size))
        except DmaFault as fault:
            why = f"not all of it is memory: {fault}"
            self.add("driver", area.name, area.address, why, spec, warning=not self.whole)
            return None

    def tired(self, where: str, address: int) -> None:
        """Note that the budget is spent, and where."""
        why = f"not read from here on: {MAX_DESCRIPTORS} descriptors were"
        self.add("driver", where, address, why, "a limit of this tool", warning=True)

    def spend(self, count: int) -> bool:
        """Whether `count` more descriptors may be read."""
        self.left -= count
        return self.left >= 0


def read_areas(
    notes: Notes, areas: Sequence[Area], spec: str, align_spec: str
) -> list[bytes | None]:
    """A copy of each area. Each must begin where it may and be memory, and no two may overlap."""
    for area in areas:
        if area.address % area.align:
            why = f"it does not begin at a multiple of {area.align}"
            notes.add("driver", area.name, area.address, why, align_spec)
    ordered = sorted(areas, key=lambda area: area.address)
    for one, other in pairwise(ordered):
        if one.address + one.size > other.address:
            why = f"it overlaps the {one.name}, which ends at {one.address + one.size:#x}"
            notes.add("driver", other.name, other.address, why, spec)
    return [notes.read(area, spec) for area in areas]
