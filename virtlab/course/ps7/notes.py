"""Notes on chains in flight, as task 4 of problem set 7 looks at them.

    header   features, version, desc_num, last_batch_head, used_idx        16 bytes
    state    inflight, next, counter                                       16 bytes for each head

The idea: the bytes are the library's, declared where it keeps its own notes. What a back-end must
find in them is `right_start`; a test holds it against the library's `SplitTracker`.

Source: vhost-user.rst, "Inflight I/O tracking", split virtqueue.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from virtlab.memory import Bytes

VERSION = 1
"""Of the notes; 0 if nobody has used them yet."""


@cache
def layouts() -> tuple[np.dtype[np.void], np.dtype[np.void]]:
    """Header and state of the notes, as the library declares them; imported where it is needed."""
    from virtlab.virtio.vhost_user.inflight import SPLIT_REGION, SPLIT_STATE

    return SPLIT_REGION, SPLIT_STATE


class Notes:
    """The bytes of one ring's notes, by their fields."""

    def __init__(self, raw: Bytes) -> None:
        header, state = layouts()
        self.header = raw[: header.itemsize].view(header)
        self.states = raw[header.itemsize :].view(state)

    def flight(self) -> list[int]:
        """Heads that are marked, the oldest first."""
        heads = np.flatnonzero(self.states["inflight"]).tolist()
        return sorted(heads, key=lambda head: int(self.states["counter"][head]))


def bytes_of(size: int) -> int:
    """Bytes of the notes on a ring of `size`."""
    header, state = layouts()
    return header.itemsize + size * state.itemsize


def right_start(notes: Notes, used: int, size: int) -> list[int] | str:
    """What is to be served again, for a used ring at `used`; the notes are mended."""
    header, states = notes.header, notes.states
    version = int(header["version"][0])
    if version > VERSION:
        return "broken"
    behind = (used - int(header["used_idx"][0])) & 0xFFFF
    if not version or behind > size:
        states["inflight"] = 0
        header["version"], header["desc_num"] = VERSION, size
    else:
        head = int(header["last_batch_head"][0])
        for _ in range(behind):
            if head >= size:
                return "broken"
            states["inflight"][head] = 0
            head = int(states["next"][head])
    header["used_idx"] = used & 0xFFFF
    return notes.flight()
