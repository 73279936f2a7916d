"""What sharing a network costs in time, and what is then left of a wire of 10 Gb/s.

    ns        = exits x 230 + host's interrupts x 230 + trips x 2 x 3800 + pages copied x 1046
    busy      = ns of a tick, at line rate / ns of a tick              processors
    the part of the wire that gets through = 1 / busy, at most 1       with one processor for it all

The idea: the prices are those of `virtlab.clock.COSTS`. At line rate the wire brings so many frames
in a tick, and the VMs share them evenly. Each VM is served once a tick. So with more VMs the frames
are as many as before, and the batches are more and smaller. What a frame costs stays; what a batch
costs grows with each VM.

The rule that keeps it simple: only what virtualization adds has a price. A guest's own work, which
is the same in all ways, is not in here. So these are lower bounds.

Sources: those of `COSTS`; IEEE 802.3 3.1.1 and 4.4.2 (preamble, checksum, gap). An interrupt of the
host has the price of an exit: with many VMs some guest runs, and is thrown out. Left out: caches,
the time in a handler, the network stack of the host, and that a slow way makes larger batches.
"""

from __future__ import annotations

from virtlab.clock import COSTS
from virtlab.memory import PAGE
from virtlab.show.cost import price
from virtlab.show.share_forms import Counts, Term, terms
from virtlab.show.share_load import MOST_VMS, Load, Way, check, served

WIRE = 10
"""Bits in a nanosecond: 10 Gb/s."""

OVERHEAD = 8 + 4 + 12
"""Bytes of a frame beside what a driver sees: preamble, checksum, gap (802.3)."""

TICK = 125_000
"""Nanoseconds after which a VM that has frames is served: 8000 times a second. Our choice."""


def priced(counts: Counts) -> dict[str, float]:
    """The counts by the names of `COSTS`."""
    return {
        "vm_exit": counts.exits + counts.host_interrupts,
        "process_switch": 2 * counts.trips,
        "copy_page": counts.bytes_copied / PAGE,
    }


def nanoseconds(counts: Counts) -> float:
    """About what they cost on real hardware.

    >>> nanoseconds(Counts(registers=2, halts=1, host_interrupts=1))
    920.0
    """
    return price(priced(counts))


def term_ns(term: Term, size: int) -> float:
    """The price of one occurrence of a term, with frames of `size` bytes."""
    prices = {
        "register": COSTS["vm_exit"].ns,
        "halt": COSTS["vm_exit"].ns,
        "host interrupt": COSTS["vm_exit"].ns,
        "trip": 2 * COSTS["process_switch"].ns,
        "copy": size / PAGE * COSTS["copy_page"].ns,
    }
    return prices[term.kind]


def wire_ns(size: int) -> float:
    """How long a frame of `size` bytes is on the wire.

    >>> wire_ns(60), wire_ns(1514)
    (67.2, 1230.4)
    """
    return (size + OVERHEAD) * 8 / WIRE


def frames_a_tick(size: int) -> float:
    """Frames of `size` bytes that the wire carries in one tick, in one direction."""
    return TICK / wire_ns(size)


def busy(way: Way, vms: int, size: int, asleep: bool = True) -> float:
    """How many processors virtualization needs, while `vms` machines share a full wire evenly.

    The wire is full in both directions. What VMs without a device would have had, is not carried.
    """
    check(Load(vms, size=size))
    own = frames_a_tick(size) / vms
    each = sum(
        term_ns(term, size) * (term.batch * min(1.0, own) + term.frame * own)
        for term in terms(way, asleep)
    )
    return served(way, vms) * each / TICK


def share(way: Way, vms: int, size: int, asleep: bool = True) -> float:
    """The part of a full wire that gets through with one processor for virtualization, 0 to 1.

    Each VM offers an even part. The part of a VM without a device is lost.
    """
    needed = busy(way, vms, size, asleep)
    return served(way, vms) / vms * min(1.0, 1 / needed if needed else 1.0)


def busy_for_one_more(way: Way, size: int) -> float:
    """How much more processor each further VM costs: what its batches cost in a tick.

    Where every VM has at least a frame a tick. `ValueError` where at `MOST_VMS` it has not.
    """
    if frames_a_tick(size) < MOST_VMS:
        raise ValueError(f"not each of {MOST_VMS} VMs has a frame of {size} bytes in a tick")
    return sum(term.batch * term_ns(term, size) for term in terms(way)) / TICK
