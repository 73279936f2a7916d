"""What it costs to share a network among n virtual machines: counted beforehand, term by term.

                        emulated    virtio    user space    VT-d    SR-IOV
    each batch pair     9 exits     3         3             2       2         out, and back
                        1 for host  1         1             1       1         interrupts
                                              2 trips
    each frame pair     1 exit      -         -             -       -
                        4 copies    4         4             -       -

The idea: a way is a list of terms. A term happens so often for a batch that goes out and one that
comes back, and so often for each pair of frames in them. All else is multiplication: by batches, by
frames, by the VMs that have a device. So a form is linear, and holds for 64 VMs as for one.

The rule that keeps it simple: this file counts, `share_runs` makes it happen and counts again, and
a test holds the two together. `share_prices` has the times.

Source: as `path_forms`, for what a driver does to its card; `vmm.shared_nic` for the two copies of
each frame; `interrupt_ways` for what wakes a guest that sleeps.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from virtlab.show.share_load import Load, Way, check, known, served

Kind = Literal["register", "halt", "trip", "host interrupt", "copy"]


class Counts(NamedTuple):
    """What all VMs together have cost.

    `registers` are exits for an access, `halts` exits for HLT. `trips` go from the VMM to another
    process and back. `host_interrupts` are those that the host's software has to handle, and
    `interrupts` those that guests have taken. `copies` are frames that the processor has moved from
    one memory to another, of `bytes_copied` together.
    """

    registers: int = 0
    halts: int = 0
    trips: int = 0
    host_interrupts: int = 0
    interrupts: int = 0
    copies: int = 0
    bytes_copied: int = 0

    @property
    def exits(self) -> int:
        """Exits to the VMM."""
        return self.registers + self.halts

    @property
    def switches(self) -> int:
        """World switches: two for an exit, and two for a trip."""
        return 2 * (self.exits + self.trips)


class Term(NamedTuple):
    """One summand: how often for a pair of batches, and how often for a pair of frames.

    `asleep`: only guests that sleep cause it.
    """

    name: str
    kind: Kind
    batch: int
    frame: int
    why: str
    asleep: bool = False


HLT = Term("HLT", "halt", 2, 0, "the guest sleeps until its frames are out, or in", True)
COPIES = Term("copies", "copy", 0, 4, "guest, VMM, card's buffer: two out, and two in")
CARD = Term("the card's interrupt", "host interrupt", 1, 0, "frames came: whose are they?")
WAKE = Term("wake-up", "host interrupt", 1, 0, "frames came, and the guest sleeps", True)
DOORBELL = Term("doorbell", "register", 1, 0, "frames are in the ring. Buffers go back unheard")

TERMS: dict[Way, tuple[Term, ...]] = {
    "emulated": (
        Term("transmit tail", "register", 1, 0, "frames are in the ring"),
        Term("receive tail", "register", 0, 1, "each buffer goes back alone"),
        Term("interrupt causes", "register", 2, 0, "ICR: why was I woken?", True),
        Term("end of interrupt", "register", 4, 0, "an OUT to each of the 8259As", True),
        HLT,
        CARD,
        COPIES,
    ),
    "virtio": (DOORBELL, HLT, CARD, COPIES),
    "virtio in user space": (
        DOORBELL,
        HLT,
        CARD,
        Term("trips", "trip", 2, 0, "the doorbell, and the card's interrupt"),
        COPIES,
    ),
    "VT-d": (HLT, WAKE),
    "SR-IOV": (HLT, WAKE),
}
"""What each way costs."""


def terms(way: Way, asleep: bool = True) -> tuple[Term, ...]:
    """The terms of `way`; for guests that are not `asleep` without those that only these have."""
    return tuple(term for term in TERMS[known(way)] if asleep or not term.asleep)


def closed_form(way: Way, load: Load) -> Counts:
    """What `load` must cost. `ValueError` for a load or a way that there is not."""
    check(load)
    vms = served(way, load.vms)
    sums: dict[Kind, int] = dict.fromkeys(get_args(Kind), 0)
    for term in terms(way, load.asleep):
        sums[term.kind] += vms * (term.batch * load.batches + term.frame * load.frames)
    return Counts(
        registers=sums["register"],
        halts=sums["halt"],
        trips=sums["trip"],
        host_interrupts=sums["host interrupt"],
        interrupts=2 * vms * load.batches if load.asleep else 0,
        copies=sums["copy"],
        bytes_copied=sums["copy"] * load.size,
    )
