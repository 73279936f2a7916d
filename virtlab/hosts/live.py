"""A real Linux on a disk of ours, as far as this machine can go: three tiers of one session.

    live       QEMU and a Linux     an unmodified Linux makes a file system on our device
    qtest      QEMU                 our driver makes the requests that Linux made, through QEMU
    recorded   neither              a tape of a real run is played to our device

    with session() as real:
        print(real.tier.why)
        print(real.work("sums").text)

The idea: one notebook for every machine. In each tier it is the same disk and the same device of
ours, which answers the same requests; what differs is who makes them, and how they come.

The rule that keeps it simple: the tier is chosen once, and says what it is. Nothing falls back to a
lower one later. `VIRTLAB_TIER` names the tier to take.

The lowest tier needs no program, no thread and no socket. It runs wherever Python runs; so what
only Linux has is imported with the tier that needs it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from virtlab.errors import FileError
from virtlab.hosts.linux_find import find_linux, find_program, version_of
from virtlab.hosts.linux_initrd import MODULES
from virtlab.hosts.live_session import Fsck, Session, Tier
from virtlab.hosts.live_tape import RecordedSession, checked, recorded
from virtlab.hosts.live_works import WORKS, Work, content, sums
from virtlab.hosts.qemu import QEMU, find_qemu

__all__ = [
    "TIERS",
    "WORKS",
    "Fsck",
    "Session",
    "Tier",
    "Work",
    "content",
    "recorded",
    "session",
    "sums",
    "tier",
]

TIERS: Mapping[str, str] = {
    "live": "a Linux runs here",
    "qtest": "QEMU runs here, without a Linux",
    "recorded": "a recording is played",
}
"""The tiers, the most real one first, and what each is in words."""

VARIABLE = "VIRTLAB_TIER"
"""The environment's variable that names the tier to take."""

PROGRAMS = ("busybox", "mke2fs", "e2fsck")
"""What goes into Linux's first file system."""


def tier(name: str | None = None) -> Tier:
    """The tier `name`, or what `VIRTLAB_TIER` names, or the most real one that this machine can.

    `why` says what was found, or what is missing. `ValueError` for an unknown name.
    """
    return _chosen(name)


def session(tier: str | None = None, ring: str = "split") -> Session:
    """A session in `tier`, by default the best one: see there. Use it in a `with`, or `close` it.

    `ring` is "split" or "packed". `ValueError` for others; `FileNotFoundError` if the tier that was
    asked for needs what this machine lacks.
    """
    checked(ring)
    chosen = _chosen(tier)
    match chosen.name:
        case "live":
            from virtlab.hosts.live_linux import LiveSession

            return LiveSession(chosen, ring)
        case "qtest":
            from virtlab.hosts.live_qtest import QtestSession

            return QtestSession(chosen, ring)
    return RecordedSession(chosen, ring)


def _chosen(name: str | None) -> Tier:
    """See `tier`."""
    asked = name or os.environ.get(VARIABLE)
    if asked:
        if asked not in TIERS:
            raise ValueError(f"no tier {asked!r}; there are {', '.join(TIERS)}")
        return Tier(asked, f"{TIERS[asked]}: that was asked for")
    if sys.platform != "linux":
        return _tier("recorded", "vhost-user needs a Linux as the host")
    if find_qemu() is None:
        return _tier("recorded", f"{QEMU} is not installed: sudo apt install qemu-system-x86")
    try:
        linux = find_linux()
        linux.modules.order(MODULES)
        for program in PROGRAMS:
            find_program(program, linux.root)
    except (OSError, FileError) as error:
        return _tier("qtest", str(error))
    return _tier("live", f"{version_of(linux.kernel)}, in QEMU")


def _tier(name: str, why: str) -> Tier:
    return Tier(name, f"{TIERS[name]}: {why}")
