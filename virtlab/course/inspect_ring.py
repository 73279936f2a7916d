"""``virtlab inspect ring``: the virtqueues of a memory snapshot, and what is wrong with them.

For each queue: where it is and how far, what the two sides want to hear of, the chains that are
available and not yet used, and each rule that is broken, with its place and its clause. The JSON
has the same. Buffers are in chain order, and those of an indirect table stand for it.

A snapshot has the rings, not what is in the buffers. So buffers are not looked at, and a table in a
page that was not saved is a warning.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from virtlab.course.snapshots import SavedQueue, Snapshot, load_snapshot, read_snapshot
from virtlab.pci.tlp import bdf_text
from virtlab.virtio.doctor import Pending, Report, Ring, examine

SHOWN = 12
"""Pending chains of a queue that the text lists; the JSON has all."""

SHOWN_BUFFERS = 6
"""Buffers of a chain that the text lists."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``virtlab inspect ring``."""
    parser.add_argument(
        "file", metavar="FILE", help="a virtlab-snapshot/1, an .npz; - reads it here"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="every chain, every buffer")
    parser.add_argument("--json", action="store_true", help="as data, for a program")


def run(options: argparse.Namespace) -> str:
    """The queues of a snapshot: in words, or as data."""
    if options.file == "-":
        with open(0, "rb", closefd=False) as stdin:
            snapshot = read_snapshot(stdin, "standard input")
    else:
        snapshot = load_snapshot(options.file)
    reports = [(queue, report(snapshot, queue)) for queue in snapshot.queues]
    if options.json:
        return json.dumps({"name": snapshot.name, "queues": [as_data(*each) for each in reports]})
    head = [f"{snapshot.name}: {snapshot.source}"] if snapshot.source else [snapshot.name]
    return "\n\n".join(head + ["\n".join(words(*each, options.verbose)) for each in reports])


def report(snapshot: Snapshot, queue: SavedQueue) -> Report:
    """What the ring doctor says of one queue of a snapshot."""
    ring = ring_of(queue)
    if not queue.size:
        return Report(ring, (), 0, 0, (), ("the driver has not set it up",))
    return examine(snapshot.dma(queue), ring, whole=False)


def ring_of(queue: SavedQueue) -> Ring:
    """A queue of the manifest, as the doctor takes it."""
    areas = queue.desc, queue.avail, queue.used
    places = queue.last_avail_idx, queue.used_idx
    return Ring(queue.layout, queue.size, *areas, queue.bits, *places)


# -- as data


def as_data(queue: SavedQueue, said: Report) -> dict[str, Any]:
    """What JSON has of one queue."""
    return {
        "device": queue.device,
        "source_id": queue.source_id,
        "index": queue.number,
        "layout": queue.layout,
        "size": queue.size,
        "pending": [_chain(chain) for chain in said.pending],
        "waiting": said.waiting,
        "in_flight": said.in_flight,
        "sound": said.sound,
        "findings": [finding._asdict() for finding in said.findings],
        "signals": list(said.signals),
    }


def _chain(chain: Pending) -> dict[str, Any]:
    buffers = [{"addr": addr, "len": size, "write": write} for addr, size, write in chain.buffers]
    return {
        "head": chain.head,
        "buffers": buffers,
        "position": chain.position,
        "taken": chain.taken,
    }


# -- in words


def words(queue: SavedQueue, said: Report, verbose: bool = False) -> Iterator[str]:
    """The lines about one queue."""
    where = f"{queue.device} {bdf_text(queue.source_id)}, queue {queue.number}"
    yield f"{where}: {queue.layout}, {queue.size} entries"
    yield f"  descriptors {queue.desc:#x}, driver {queue.avail:#x}, device {queue.used:#x}"
    unit = "chains" if queue.layout == "split" else "descriptors"
    yield f"  {unit} in flight {said.in_flight}, waiting to be taken {said.waiting}"
    for signal in said.signals:
        yield f"  {signal}"
    shown = said.pending if verbose else said.pending[:SHOWN]
    name = "head" if queue.layout == "split" else "id"
    for chain in shown:
        state = "in flight" if chain.taken else "waiting"
        yield f"  {name} {chain.head}, {state}: {_buffers(chain, verbose)}"
    if len(shown) < len(said.pending):
        yield f"  and {len(said.pending) - len(shown)} more (-v shows all)"
    for finding in said.findings:
        yield f"  {finding}"
    if said.sound:
        yield "  no rule is broken"


def _buffers(chain: Pending, verbose: bool) -> str:
    """The buffers of a chain: `read 16 at 0x1000`."""
    shown = chain.buffers if verbose else chain.buffers[:SHOWN_BUFFERS]
    parts = [f"{'write' if write else 'read'} {size} at {addr:#x}" for addr, size, write in shown]
    if len(shown) < len(chain.buffers):
        parts.append(f"and {len(chain.buffers) - len(shown)} more")
    return ", ".join(parts) or "nothing that can be followed"
