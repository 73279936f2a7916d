"""Many virtual machines and one network: what they do, and in which of five ways.

    emulated             an e1000 for each VM, which the VMM shares out         (lesson 11)
    virtio               a virtio card for each VM; its back-end is in the VMM  (lesson 12)
    virtio in user space   the same; its back-end is in a process of its own
    VT-d                 a whole physical card for a VM, as long as there are cards
    SR-IOV               a virtual function of one physical card for each VM

The idea: every VM does the same. It sends batches of frames out of the house, and for each of them
one comes in. So what differs between two ways is the way.

The rule that keeps it simple: a `Load` says everything about a run, and `served` says how many of
the VMs have a device at all. The others have to do without.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from virtlab.server_board import MOST_VFS
from virtlab.show.path_choice import LARGEST_BATCH, LONGEST, SHORTEST

Way = Literal["emulated", "virtio", "virtio in user space", "VT-d", "SR-IOV"]

WAYS: tuple[Way, ...] = ("emulated", "virtio", "virtio in user space", "VT-d", "SR-IOV")

MOST_VMS = 64
"""The most that are compared."""

STEPS = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of VMs that are compared."""

CARDS = 4
"""Physical cards that the host can give away whole: its free slots."""

LIMITS: dict[Way, int] = {"VT-d": CARDS, "SR-IOV": MOST_VFS}
"""The ways that run out, and at how many VMs."""

MOST_FRAMES = 256
"""The most that one VM sends in a run."""


class Load(NamedTuple):
    """`vms` machines; each sends `frames` frames of `size` bytes, and as many come for it.

    `batch` frames go, and come, together. A guest that is `asleep` does HLT until the device calls;
    one that is not, looks at its memory.
    """

    vms: int
    frames: int = 8
    size: int = LONGEST
    batch: int = 8
    asleep: bool = True

    @property
    def batches(self) -> int:
        """Batches that one VM sends. As many come in."""
        return -(-self.frames // self.batch)


def check(load: Load) -> Load:
    """`load`, if there is such a thing; else `ValueError`."""
    if not 1 <= load.vms <= MOST_VMS:
        raise ValueError(f"there are 1 to {MOST_VMS} VMs, not {load.vms}")
    if not 1 <= load.frames <= MOST_FRAMES or not 1 <= load.batch <= LARGEST_BATCH:
        raise ValueError(f"1 to {MOST_FRAMES} frames, in batches of 1 to {LARGEST_BATCH}")
    if not SHORTEST <= load.size <= LONGEST:
        raise ValueError(f"a frame has {SHORTEST} to {LONGEST} bytes, not {load.size}")
    return load


def known(way: Way) -> Way:
    """`way`, if there is such a one; else `ValueError`."""
    if way not in WAYS:
        raise ValueError(f"the ways are {', '.join(WAYS)}, not {way!r}")
    return way


def served(way: Way, vms: int) -> int:
    """How many of `vms` machines have a device.

    >>> served("VT-d", 64), served("SR-IOV", 64), served("virtio", 64)
    (4, 63, 64)
    """
    return min(vms, LIMITS.get(known(way), vms))
