"""Rings that a real Linux wrote, walked: as many lists in flight as QEMU says."""

import gzip
import json
from pathlib import Path

from virtlab.course.snapshots import load_snapshot
from virtlab.errors import GuestError
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import PackedRings

DATA = Path(__file__).parents[1] / "data" / "virtio"
SAVED = load_snapshot(DATA / "vq_packed.npz")
QEMU = json.loads(gzip.decompress((DATA / "vq_packed.expected.json.gz").read_bytes()))["queues"]
IN_USE = {(q["device"], q["source_id"], q["index"]): q["inuse"] for q in QEMU}


MISSING = "is not in the snapshot"


def look(queue, position):
    """The list at `position`, or why there is none."""
    try:
        return queue.peek(position) or "not available"
    except GuestError as error:
        return error.why


def walked(source_id, number):
    """The lists from the first in flight on, how many of them QEMU holds, and their slots.

    These rings are in their first lap. Where an indirect table was not saved, `MISSING` is said.
    """
    (saved,) = (q for q in SAVED.queues if (q.source_id, q.number) == (source_id, number))
    queue = PackedQueue(SAVED.dma(saved))
    rings = PackedRings(saved.size, saved.desc, saved.avail, saved.used)
    queue.enable(rings, saved.bits, saved.used_idx)
    found, position = [], saved.used_idx
    while position < saved.size and (seen := look(queue, position)) != "not available":
        found.append(seen)
        position += 1 if isinstance(seen, str) else seen.slots
    return found, IN_USE[saved.device, source_id, number], saved.last_avail_idx - saved.used_idx


def test_frames_to_be_sent():
    """A network driver makes one descriptor of each: header and frame side by side."""
    chains, in_use, slots = walked(32, 1)
    assert (in_use, slots, len(chains)) == (1, 1, 5)
    assert [chain.head for chain in chains] == [0, 1, 2, 3, 4]
    assert [chain.readable for chain in chains] == [0x66, 0x66, 0x62, 0x66, 0x52]


def test_buffers_to_receive_fill_the_whole_ring():
    chains, in_use, _ = walked(32, 0)
    assert (in_use, len(chains)) == (0, 256)
    assert all(chain.writable and not chain.readable for chain in chains)


def test_requests_to_a_disk_are_indirect():
    """Header to read, pages to read or to write, one byte of status to write."""
    chains, in_use, slots = walked(256, 0)
    assert in_use == slots == len(chains) == 6
    whole = [chain for chain in chains if not isinstance(chain, str)]
    assert all(MISSING in why for why in chains if why not in whole)
    assert [len(chain.buffers) for chain in whole] == [10, 12, 9, 4]
    for chain in whole:
        assert chain.slots == 1
        assert (chain.buffers[0].length, chain.buffers[-1].length) == (16, 1)
        assert (chain.buffers[0].write, chain.buffers[-1].write) == (False, True)


def test_where_nothing_is_in_flight_nothing_is_found():
    assert walked(32, 2) == ([], 0, 0)
