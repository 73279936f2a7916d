"""The same workload by an emulated device and by a virtio device: what each must cost.

                 a request of the disk                     a batch of packets
    emulated     pio     8 registers, 257 a sector         e1000   a tail; back, a tail a packet
                 dma     15 registers
    virtio       a doorbell a batch                        a doorbell a batch

    interrupt    HLT, which device?, end of interrupt      MSI-X: HLT alone

The idea: what a driver does to its device is known beforehand, register by register. So the exits
are a sum of `terms`, each with a name and a count. `path_runs` makes the same workload happen, and
counts it under the same names.

The rule that keeps it simple: everything is counted for the whole workload, and divided at the end:
by the blocks of 4 KiB, or by the packets.

Sources: ATA/ATAPI-6 and Bus Master IDE 1.0, 3.1; 8254x SDM 3.2, 3.4, 13.4.17; virtio 1.3 2.7.7,
4.1.4.4, 4.1.4.5, 4.2.2. Left out: commands that a drive queues itself (NCQ), and larger requests.
A real kernel does a little otherwise. Linux gives receive buffers of the e1000 back together, up to
16 (`bundled`), and masks the card while it is awake: two writes more, each followed by a read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from virtlab.backends import SECTOR
from virtlab.memory import PAGE
from virtlab.show.cost import price
from virtlab.show.path_choice import REQUEST, Choice, check

Kind = Literal["io", "mmio", "hlt"]

KINDS: tuple[Kind, ...] = ("io", "mmio", "hlt")
"""Kinds of exits that a workload here can cause: a port, a register in memory, a halt."""

WORDS = SECTOR // 2
EOI_OUTS = 2
"""`OUT`s that end an interrupt: the IRQs here (10, 11, 14) are the slave's, so both chips hear."""

# The names of the terms. `path_names` says which accesses have them.
TASK_FILE, STATUS, DATA, BUS_MASTER = "task file", "drive status", "data words", "bus master"
SEND_TAIL, RECEIVE_TAIL, CAUSES = "transmit tail", "receive tail", "interrupt causes"
DOORBELL, WHY, EOI, HLT = "doorbell", "interrupt status", "end of interrupt", "HLT"


class Counts(NamedTuple):
    """What a workload has cost the VM.

    `io`, `mmio`, `hlt` and `other` are exits; `eoi` of those of `io` went to the 8259As. `copies`
    are blocks that the device moved between guest memory and disk or wire, of `bytes_copied`
    together. `interrupts` are vectors injected.
    """

    io: int = 0
    mmio: int = 0
    hlt: int = 0
    other: int = 0
    eoi: int = 0
    copies: int = 0
    bytes_copied: int = 0
    interrupts: int = 0

    @property
    def exits(self) -> int:
        """All of them."""
        return self.io + self.mmio + self.hlt + self.other

    @property
    def accesses(self) -> int:
        """Accesses to registers that trap, ports and memory together: the lecture's MMIOs."""
        return self.io + self.mmio

    @property
    def by_kind(self) -> dict[str, int]:
        """The exits by their kind."""
        return {"io": self.io, "mmio": self.mmio, "hlt": self.hlt, "other": self.other}

    @property
    def priced(self) -> dict[str, float]:
        """The counts by the names of `COSTS`: exits, and pages copied."""
        return {"vm_exit": self.exits, "copy_page": self.bytes_copied / PAGE}

    @property
    def ns(self) -> float:
        """About what this costs on real hardware."""
        return price(self.priced)


@dataclass(frozen=True, slots=True)
class Term:
    """One summand: `count` exits of one `kind`, and in words how they come about."""

    name: str
    kind: Kind
    count: int
    why: str


def terms(choice: Choice) -> list[Term]:
    """The exits of a workload, summand by summand. Those that are 0 are left out.

    The interrupt's own are last. `ValueError` for a choice that there is not.
    """
    check(choice)
    found = {"pio": _pio, "dma": _dma, "e1000": _e1000, "virtio": _virtio}[choice.way](choice)
    return [term for term in (*found, *_sleep(choice)) if term.count]


def interrupts(choice: Choice) -> int:
    """How often the device calls: for each sector of PIO, each DMA command, else each batch."""
    if not choice.interrupts:
        return 0
    if choice.way == "pio":
        return choice.units * REQUEST // SECTOR
    return choice.units if choice.way == "dma" else choice.batches


def _pio(choice: Choice) -> Iterator[Term]:
    """A command is 6 registers. STATUS: is it idle? then once a sector, and before a write's first.

    With no interrupt a read costs 7 + 257 n exits, a write 8 + 257 n, for n sectors.
    """
    sectors = choice.units * REQUEST // SECTOR
    writes = choice.each if choice.task != "in" else 0
    yield Term(TASK_FILE, "io", 6 * choice.units, "drive, count, three bytes of address, command")
    yield Term(STATUS, "io", choice.units + writes + sectors, "idle?, and ready? for each sector")
    yield Term(DATA, "io", WORDS * sectors, "256 words a sector")


def _dma(choice: Choice) -> Iterator[Term]:
    """15 registers a command, whatever its size."""
    yield Term(TASK_FILE, "io", 6 * choice.units, "drive, count, three bytes of address, command")
    yield Term(STATUS, "io", 3 * choice.units, "idle?, and twice at the end")
    yield Term(BUS_MASTER, "io", 6 * choice.units, "table, direction, clear, start, done?, stop")


def _e1000(choice: Choice) -> Iterator[Term]:
    """Out, the tail moves once for all. In, each descriptor goes back alone, or all together."""
    one = choice.batches // choice.ways
    out = one if choice.task != "in" else 0
    back = (one if choice.bundled else choice.each) if choice.task != "out" else 0
    why = "buffers go back: one for each batch" if choice.bundled else "one for each buffer"
    yield Term(SEND_TAIL, "mmio", out, "one for each batch")
    yield Term(RECEIVE_TAIL, "mmio", back, why)
    yield Term(CAUSES, "mmio", interrupts(choice), "ICR, which acknowledges")


def _virtio(choice: Choice) -> Iterator[Term]:
    """A doorbell for each batch. With EVENT_IDX none for receive buffers that go back.

    The device asks to hear of the entry that it will need next, and that one it has already.
    """
    kind: Kind = "io" if choice.transport == "pci-legacy" else "mmio"
    bells = choice.batches
    if choice.device == "net" and choice.task != "out" and choice.event_idx:
        bells -= choice.batches // choice.ways
    status = 2 if choice.transport == "mmio" else 1
    asked = 0 if choice.msix else status * interrupts(choice)
    yield Term(DOORBELL, kind, bells, "one for each batch, if the device wants to hear")
    yield Term(WHY, kind, asked, "read, and over MMIO acknowledged by a write")


def _sleep(choice: Choice) -> Iterator[Term]:
    """Each interrupt wakes the guest from HLT. One that came by a wire is ended at both 8259As."""
    count = interrupts(choice)
    yield Term(EOI, "io", 0 if choice.msix else EOI_OUTS * count, "an OUT to each of the 8259As")
    yield Term(HLT, "hlt", count, "the guest sleeps until the device calls")


def closed_form(choice: Choice) -> Counts:
    """What the workload must cost: the sum of its `terms`, and what is no exit.

    Copies: PIO moves sectors, all others whole requests or packets. Each byte is moved once by
    everybody, so it is not the copy that virtio saves. They are counted at the disk and at the
    wire; what a device model moves within itself, as our drive does by its buffer, is not seen.
    """
    found = terms(choice)
    io, mmio, hlt = (sum(term.count for term in found if term.kind == kind) for kind in KINDS)
    pieces = REQUEST // SECTOR if choice.way == "pio" else 1
    return Counts(
        io,
        mmio,
        hlt,
        eoi=sum(term.count for term in found if term.name == EOI),
        copies=pieces * choice.units,
        bytes_copied=choice.bytes_moved,
        interrupts=interrupts(choice),
    )
