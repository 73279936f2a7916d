"""What others have measured on real machines, and where our model differs from theirs.

The idea: a model is checked by figures that somebody else has measured. These are the few that we
have read in their source. The papers have curves too. None is quoted here, because what we have
read are the abstracts, and of SplitX the introduction.

The rule that keeps it simple: each figure has its source, and the words that say what was measured.
A figure of ours stands beside it only where it means the same.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.clock import COSTS
from virtlab.show.path_choice import LONGEST
from virtlab.show.share_load import MOST_VMS
from virtlab.show.share_prices import OVERHEAD, WIRE, busy_for_one_more, share
from virtlab.show.tables import Table

DONG = (
    "Dong, Yang, Li, Li, Tian, Guan, High Performance Network Virtualization with SR-IOV, "
    "HPCA 2010, abstract"
)
GORDON = (
    "Gordon, Amit, Har'El, Ben-Yehuda, Landau, Schuster, Tsafrir, ELI: Bare-Metal Performance for "
    "I/O Virtualization, ASPLOS 2012, abstract"
)
LANDAU = (
    "Landau, Ben-Yehuda, Gordon, SplitX: Split Guest/Hypervisor Execution on Multi-Core, "
    "WIOV 2011, introduction"
)

SRIOV_GBPS, SRIOV_VMS, SRIOV_PER_VM = 9.48, 60, 0.0176
"""SR-IOV at line rate: Gb/s, up to so many VMs, and the CPU overhead that each VM adds."""

EXIT_CYCLES, EXIT_GHZ = 2000, 2.93
"""The direct cost of an exit on a Xeon X5570."""


class Published(NamedTuple):
    """A figure: `what` was measured, `theirs`, `ours` where there is one, its `source`."""

    what: str
    theirs: str
    ours: str
    source: str


def published() -> tuple[Published, ...]:
    """The figures, ours beside them."""
    frames = share("SR-IOV", SRIOV_VMS, LONGEST) * WIRE * LONGEST / (LONGEST + OVERHEAD)
    more = busy_for_one_more("SR-IOV", LONGEST)
    return (
        Published(
            f"SR-IOV, up to {SRIOV_VMS} VMs at one 10 Gb/s card: throughput",
            f"{SRIOV_GBPS} Gb/s",
            f"{frames:.2f} Gb/s of frames: the whole wire",
            DONG,
        ),
        Published(
            "SR-IOV: CPU overhead that each VM adds, at line rate",
            f"{SRIOV_PER_VM:.2%}",
            f"{more:.2%} of one processor",
            DONG,
        ),
        Published(
            "an assigned device, once its interrupts no longer go through the host: throughput",
            "1.3 to 1.6 times; 97 to 100 % of bare metal",
            "none: lesson 20 counts the exits",
            GORDON,
        ),
        Published(
            f"the direct cost of an exit, on a {EXIT_GHZ} GHz Xeon X5570",
            f"{EXIT_CYCLES} cycles: {EXIT_CYCLES / EXIT_GHZ:.0f} ns",
            f"{COSTS['vm_exit'].ns:g} ns, on a later processor",
            LANDAU,
        ),
    )


DIFFERENCES = (
    "Only what virtualization adds has a price. The papers measure whole guests, with their "
    "network stacks.",
    "An exit has its direct cost only. SplitX says that the other costs of an exit can be ten "
    "times as high, because the guest's data has left the caches.",
    "Interrupts are posted. The processors of 2010 could not do that: each interrupt was an exit, "
    "and so was its end.",
    f"Each of 1 to {MOST_VMS} VMs is served 8000 times a second, whatever else happens. Real "
    "drivers change that rate with the load.",
    "A frame takes its time on the wire and nowhere else. No memory bus and no PCI Express link "
    "is ever full.",
)
"""Where the model differs."""


def published_table() -> Table:
    """The figures in a table."""
    rows = tuple(tuple(each) for each in published())
    headers = ("what", "measured", "model", "source")
    return Table("Measured elsewhere, and modelled here", headers, rows)
