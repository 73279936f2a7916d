"""Recorded boots: what a real guest did to a device, and whether ours answers the same.

The idea: a recording is the hardest exam for a device model, because nobody here wrote it. Send the
model every recorded write, in order, and compare each of its answers with the recorded one.

`data/README.md` says where the recordings come from.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from typing import NamedTuple

from virtlab.bus import AddressSpace
from virtlab.trace import Access, load_accesses

NAMES = ("i8042", "uart16550")
"""The recordings that come with the library."""


class Difference(NamedTuple):
    """A recorded read to which the model gave another answer."""

    access: Access
    answer: int

    def __str__(self) -> str:
        return f"access {self.access.seq}: {self.access}, ours {self.answer:#x}"


def recording(name: str) -> list[Access]:
    """The accesses of the recording `name`, one of `NAMES`."""
    if name not in NAMES:
        raise ValueError(f"no recording {name!r}; there are {', '.join(NAMES)}")
    packed = resources.files("virtlab") / "data" / "traces" / f"{name}.tsv.gz"
    with resources.as_file(packed) as path:
        return load_accesses(path)


def replay(accesses: Iterable[Access], space: AddressSpace) -> list[Difference]:
    """Make every access in `space`, in order; give the reads that were answered differently."""
    differences = []
    for access in accesses:
        if access.write:
            space.write(access.address, access.size, access.value)
        elif (answer := space.read(access.address, access.size)) != access.value:
            differences.append(Difference(access, answer))
    return differences
