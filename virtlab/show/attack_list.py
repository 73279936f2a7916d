"""The attacks: what a hostile guest writes, and the line of the library that makes the difference.

    ATTACKS["loop"].make(hand)      the bytes, the doorbell
    ATTACKS["loop"].line            if not left:                   in virtlab/virtio/split_chain.py

The idea: an attack is one function of a `Hand`, a few lines long. It knows nothing of the device
that it meets. `attack_run` lets it meet both.

The rule that keeps it simple: each attack breaks one rule and keeps all others. Most begin as an
honest request, and then change one descriptor.

Source: the clauses of virtio 1.3 are in what the library answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from virtlab.show import attack_rings as rings
from virtlab.show import attack_times as times
from virtlab.show.attack_hand import Hand

CHAIN, SPLIT_CHAIN, SPLIT = "chain.py", "split_chain.py", "split.py"


class Attack(NamedTuple):
    """`make` carries it out. `line` is what stops it, in `virtlab/virtio/` + `file`."""

    title: str
    make: Callable[[Hand], None]
    line: str = ""
    file: str = ""
    harm: str = ""  # what the naive device does, where it shows in no byte of the host
    strikes: bool = False  # a second processor writes while the device reads
    looks_first: bool = False  # the naive device checks first, and then reads again


_MEMORY = "find(buffer.addr, buffer.length, buffer.write)"
_HOLDS = "return length % SECTOR == 0 and sector + length // SECTOR <= self.disk.sectors"

ATTACKS = {
    # where a buffer is
    "read": Attack("a buffer behind guest memory, to read", rings.read_behind, _MEMORY, CHAIN),
    "write": Attack("a buffer behind guest memory, to write", rings.write_behind, _MEMORY, CHAIN),
    "wrap": Attack(
        "an address and a length that pass 2^64",
        rings.wrap,
        "if buffer.addr + buffer.length > ADDRESSES:",
        CHAIN,
    ),
    "huge": Attack("a buffer of 4 GiB", rings.huge, "if total > MAX_BYTES:", CHAIN),
    "own ring": Attack(
        "a buffer that is the ring itself",
        rings.own_ring,
        "if writing and _meets(buffer, rings):",
        CHAIN,
    ),
    "order": Attack(
        "a readable buffer behind a writable one",
        rings.order,
        "if writing and not buffer.write:",
        CHAIN,
        "It writes its status into a buffer that is for reading only.",
    ),
    # where a chain goes
    "loop": Attack("a chain that comes back to itself", rings.loop, "if not left:", SPLIT_CHAIN),
    "next": Attack(
        "a next that is no descriptor", rings.next_out, "if index >= table.entries:", SPLIT_CHAIN
    ),
    "head": Attack("a head that is no descriptor", rings.head_out, "if head >= self.size:", SPLIT),
    "index": Attack(
        "an available index far ahead",
        rings.index,
        "if waiting + self.in_flight > self.size:",
        SPLIT,
        "It serves one chain a thousand times, and writes over its used ring.",
    ),
    "nested": Attack(
        "an indirect table in an indirect table",
        rings.nested,
        "if table.indirect and descriptor.flags & INDIRECT:",
        SPLIT_CHAIN,
    ),
    "odd table": Attack(
        "an indirect table of two and a half descriptors",
        rings.odd_table,
        "if rest or not entries:",
        SPLIT_CHAIN,
    ),
    "huge table": Attack(
        "an indirect table of 4 GiB",
        rings.huge_table,
        "left = min(table.entries, size)",
        SPLIT_CHAIN,
    ),
    # when a device looks
    "twice": Attack(
        "a descriptor that changes after it was checked",
        times.twice,
        "raw = dma.read(table.addr + index * DESC.itemsize, DESC.itemsize)",
        SPLIT_CHAIN,
        strikes=True,
        looks_first=True,
    ),
    "never": Attack(
        "a guest that never stops adding",
        times.never,
        "for _ in range(queue.size):",
        "device.py",
        strikes=True,
    ),
    "reset": Attack(
        "a reset in the middle of a request",
        times.reset,
        'if not self.at_rest("the status"):',
        "session.py",
        "The reset is done at once, and then the old request writes over the buffer's new owner.",
        strikes=True,
    ),
    # what a request asks for
    "sector": Attack("a sector behind the disk's end", times.sector, _HOLDS, "blk.py"),
    "small": Attack("a buffer smaller than what comes", times.small, _HOLDS, "blk.py"),
    "type": Attack(
        "a request of no known type",
        times.kind,
        "return BlkStatus.UNSUPP, 0",
        "blk.py",
        "It writes the disk for a request that nobody has defined.",
    ),
    "config": Attack(
        "a configuration read past its end",
        times.config,
        "if offset + size > len(config):",
        "session.py",
    ),
    "bell": Attack(
        "a doorbell for a queue that is not there",
        times.bell,
        "if index >= len(self.queues):",
        "transport.py",
    ),
}
"""Every attack by its short name, in the order of the lesson."""
