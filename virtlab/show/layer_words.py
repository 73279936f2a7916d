"""The journey of one `write` in words: the places it passes, and what happens at each.

The idea: a journey is a list of places, one for each way, and a stage is an index into it. The
picture (`layer_journey`) draws the same list; here each place has its sentence, with the counts of
a run in it.
"""

from __future__ import annotations

from collections.abc import Mapping

from virtlab.backends import SECTOR
from virtlab.show.layer_runs import Choice, Counts, Way

NAMES: Mapping[Way, str] = {
    "syscall": "a. system call",
    "hypercall": "b. driver call",
    "dma": "c. I/O operation, DMA",
    "pio": "c. I/O operation, PIO",
}

LEVELS = ("a", "b", "c")
"""The three heights, by the letter of the box in the VMM."""

PATHS: Mapping[Way, tuple[str, ...]] = {
    "syscall": ("application", "a exits", "a", "a moves", "disk", "back"),
    "hypercall": (
        "application", "SYSCALL", "kernel", "call", "driver", "b exits", "b", "b moves", "disk",
        "back",
    ),
    "dma": (
        "application", "SYSCALL", "kernel", "call", "driver", "access", "io", "c exits", "c",
        "c moves", "disk", "back",
    ),
    "pio": (
        "application", "SYSCALL", "kernel", "call", "driver", "access", "io", "c exits", "c",
        "c moves", "disk", "back",
    ),
}  # fmt: skip
"""The places of a journey, in order: boxes, and the arrows between them."""

LOST = {
    "syscall": "The VMM must know this guest's operating system: its numbers, its errors, what each"
    " call means. Another system needs other routines.",
    "hypercall": "The guest must be changed: it has a driver that runs on this VMM and nowhere"
    " else.",
    "dma": "Nothing: any guest that can drive this disk runs as it is.",
    "pio": "Nothing: any guest runs as it is. But every word of data is an exit.",
}
"""What a place costs beside time."""


def cells(counts: Counts) -> tuple[str, ...]:
    """The counts of a run, in the order of the table."""
    numbers = (counts.exits, counts.switches, counts.copies, counts.bytes_copied)
    return (*map(str, numbers), f"{counts.ns / 1000:.1f}")


def disk_copies(way: Way, counts: Counts) -> int:
    """The copies that are not the kernel's own."""
    return counts.copies - (way != "syscall")


def many(count: int, one: str, more: str = "") -> str:
    """A count and its noun.

    >>> many(1, "copy", "copies"), many(2, "exit")
    ('1 copy', '2 exits')
    """
    return f"{count} {one if count == 1 else more or one + 's'}"


def explain(choice: Choice, counts: Counts, stage: int) -> str:
    """What happens at a stage of the journey, in a sentence or two."""
    at, way = PATHS[choice.way][stage], choice.way
    sectors = many(choice.size // SECTOR, "sector")
    device = "fetches the data itself" if way == "dma" else "takes word by word"
    says = {
        "application": f"The application has {choice.size} bytes in its memory, and executes"
        " `SYSCALL`.",
        "a exits": "`EFER.SCE` is clear, so `SYSCALL` is an invalid opcode: 1 exit.",
        "a": "The VMM reads the registers. Its shadow routine knows the file, and finds the"
        " sectors. The guest's kernel never runs.",
        "SYSCALL": "The processor enters the guest's kernel. No exit.",
        "kernel": f"The kernel copies the bytes from the application, and finds {sectors}.",
        "call": "The file layer calls the block driver.",
        "driver": "The driver puts the request together."
        if way != "hypercall"
        else "The para-virtual driver has one request: sector, count, address.",
        "b exits": "`VMCALL`: 1 exit, whatever the size.",
        "b": "The I/O component checks the request.",
        "access": "The driver accesses the disk's registers.",
        "io": "Each of them is an `IN` or an `OUT`, and each is trapped.",
        "c exits": f"{many(counts.exits, 'exit')}: one for each access.",
        "c": f"The device model is a disk controller in software. It {device}.",
        "back": "Done. The application goes on behind `SYSCALL`, and cannot tell who did it."
        f" Beside time it costs: {LOST[way]}",
    }
    moved = many(disk_copies(way, counts), "copy", "copies")
    says |= {f"{level} moves": f"The data move to the disk: {moved}." for level in LEVELS}
    says["disk"] = f"{sectors} are on the disk, the same bytes in all ways."
    return says[at]
