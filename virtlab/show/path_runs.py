"""One workload, by an emulated device or by virtio: run on a fresh virtual machine, and counted.

    run(Choice("disk", "pio", 4096)).counts         and closed_form of the same choice
    run(Choice("net", "virtio", 64, batch=32))      64 packets out, 64 in, 32 at a time

    disk   request i reads block 2 i and writes block 2 i + 1: neighbours that nobody could merge
    net    packet i goes out, and one like it comes from the far end of the cable

The idea: the drivers are started, then the counting begins. What is counted is read from the trace,
and from the guest's own accesses, and both are kept. `table` and `sweep` are many runs or forms,
divided by what was moved.

The rule that keeps it simple: every run checks its data, at both ends. Counts of something that did
not happen cannot be had: that would be a bug of ours, `RuntimeError`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from virtlab.backends import SECTOR, LinkEnd
from virtlab.backends.disk import Storage
from virtlab.backends.network import BROADCAST
from virtlab.guest.kernel import BYTES_COPIED
from virtlab.machine import PcVm
from virtlab.show.path_choice import LARGEST_BATCH, REQUEST, Choice
from virtlab.show.path_forms import EOI, HLT, Counts, closed_form
from virtlab.show.path_guests import CardGuest, DiskGuest
from virtlab.show.path_names import tally
from virtlab.show.path_worlds import world
from virtlab.trace import Event, Trace
from virtlab.vmm.exits import EptViolation, HltExit, IoExit

BLOCK = REQUEST // SECTOR
"""Sectors of a request."""

KIB = 1024

BATCHES = (1, 2, 4, 8, 16, 32)
"""Batches for a sweep."""

ALL_BATCHES = range(1, LARGEST_BATCH + 1)

OUTSIDE, EXPERIMENTAL = bytes.fromhex("0a0000000009"), bytes.fromhex("88b5")
"""A station that is in no VM, and an EtherType that is free for experiments (IEEE 802, 9.2.3)."""


class Run(NamedTuple):
    """What happened: `counts`, exits by the names of the closed form's `terms`, the trace's events.

    `vm` is the machine afterwards. Of very many events the trace keeps the last.
    """

    choice: Choice
    counts: Counts
    terms: dict[str, int]
    events: list[Event]
    vm: PcVm


def run(choice: Choice) -> Run:
    """Do the work of `choice` on a fresh VM. `ValueError` for a choice that there is not."""
    made = world(choice)
    trace = made.vm.trace
    trace.clear()
    made.cpu.accesses.clear()
    with trace.recording() as events:
        if made.disk is not None:
            _disk(choice, made.vm.disk, made.disk)
        else:
            assert made.card is not None
            assert made.far is not None
            _net(choice, made.far, made.card)
    terms = tally(made.cpu.accesses, made.names)
    counts = counts_of(trace, terms)
    terms[HLT] = counts.hlt
    return Run(choice, counts, dict(+terms), events, made.vm)


@lru_cache(256)
def measure(choice: Choice) -> Counts:
    """The counts of a run, which are always the same."""
    return run(choice).counts


def counts_of(trace: Trace, terms: Counter[str]) -> Counts:
    """What the trace has counted since it was cleared."""
    counts = trace.counts
    io, mmio, hlt = (counts[f"exit {kind.__name__}"] for kind in (IoExit, EptViolation, HltExit))
    return Counts(
        io,
        mmio,
        hlt,
        other=counts["exit"] - io - mmio - hlt,
        eoi=terms[EOI],
        copies=counts["copy"],
        bytes_copied=counts[BYTES_COPIED],
        interrupts=counts["inject"],
    )


# -- the workload


def pattern(number: int, size: int) -> bytes:
    """`size` bytes that differ from number to number."""
    return bytes((number * 7 + at * 3 + at // 256) % 251 for at in range(size))


def frame(number: int, size: int) -> bytes:
    """A frame of `size` bytes to all stations, from one that is in no VM."""
    head = BROADCAST + OUTSIDE + EXPERIMENTAL
    return head + pattern(number, size - len(head))


def _same(what: str, found: list[bytes], wanted: list[bytes]) -> None:
    if found != wanted:
        raise RuntimeError(f"{what} is not what it should be: its counts mean nothing")


def _batches(choice: Choice) -> Iterator[range]:
    """The numbers of each batch, from 0 on."""
    whole = range(choice.each)
    return (whole[at : at + choice.batch] for at in whole[:: choice.batch])


def _disk(choice: Choice, image: Storage, guest: DiskGuest) -> None:
    """Read every other block, and write those in between."""
    reads = [2 * BLOCK * number for number in range(choice.each)]
    writes = [sector + BLOCK for sector in reads]
    if choice.task != "out":
        wanted = [image.read(sector, BLOCK) for sector in reads]
        found = [guest.take([reads[n] for n in batch]) for batch in _batches(choice)]
        _same("what was read", [block for blocks in found for block in blocks], wanted)
    if choice.task != "in":
        blocks = [pattern(number, REQUEST) for number in range(choice.each)]
        for batch in _batches(choice):
            guest.put([writes[n] for n in batch], [blocks[n] for n in batch])
        _same("what was written", [image.read(sector, BLOCK) for sector in writes], blocks)


def _net(choice: Choice, far: LinkEnd, guest: CardGuest) -> None:
    """Send a batch, then let one come from the far end."""
    frames = [frame(number, choice.frame) for number in range(choice.each)]
    heard: list[bytes] = []
    came: list[bytes] = []
    far.listener = heard.append
    for batch in _batches(choice):
        some = [frames[n] for n in batch]
        if choice.task != "in":
            guest.send(some)
        if choice.task != "out":
            for each in some:
                far.send(each)
            came += guest.receive(len(some))
    _same("what was sent", heard, frames if choice.task != "in" else [])
    _same("what came in", came, frames if choice.task != "out" else [])


# -- many of them


class Row(NamedTuple):
    """A choice's costs, for each block of 4 KiB or each packet, and the exits for each KiB."""

    choice: Choice
    exits: float
    accesses: float
    copies: float
    interrupts: float
    ns: float
    exits_per_kib: float


def row(choice: Choice, counts: Counts) -> Row:
    """`counts`, divided by what `choice` moves."""
    n = choice.units
    return Row(
        choice,
        counts.exits / n,
        counts.accesses / n,
        counts.copies / n,
        counts.interrupts / n,
        counts.ns / n,
        counts.exits * KIB / choice.bytes_moved,
    )


def table(choices: Iterable[Choice], measured: bool = True) -> list[Row]:
    """A row for each choice: of runs, or, not `measured`, of closed forms."""
    return [row(choice, measure(choice) if measured else closed_form(choice)) for choice in choices]


def sweep(choice: Choice, batches: Iterable[int] = BATCHES) -> list[tuple[int, float]]:
    """`(batch, exits)`: those of each request or packet, where one whole batch goes.

    By the closed form. `amount` and `batch` of `choice` do not matter.
    """
    return [(batch, _exits(choice, batch)) for batch in batches]


def crossover(first: Choice, second: Choice) -> int | None:
    """From which batch on `second` has fewer exits than `first`; None if it never has.

    >>> card = Choice("net", "e1000", 1)
    >>> crossover(card, Choice("net", "virtio", 1, transport="mmio"))
    4
    """
    fewer = [_exits(second, batch) < _exits(first, batch) for batch in ALL_BATCHES]
    behind = max(
        (n for n, is_fewer in zip(ALL_BATCHES, fewer, strict=True) if not is_fewer), default=0
    )
    return behind + 1 if behind < LARGEST_BATCH else None


def _exits(choice: Choice, batch: int) -> float:
    """The exits of each piece of one whole batch."""
    amount = batch * (REQUEST if choice.device == "disk" else 1)
    whole = choice._replace(batch=batch, amount=amount)
    return closed_form(whole).exits / whole.units
