"""Notes on the lists of a packed queue that are in flight, and what is left of them after a crash.

    free      free_head -> 3 -> 4 -> 5 ...                      states that nobody needs
    take      3: inflight, num 2, last 4;  3 and 4: the descriptors;  free_head = 5
    giving    4 -> free_head;  free_head = 3;  used_idx moves
              ... the flags of the used descriptor ...
    gave      inflight = 0;  old_free_head, old_used_idx = free_head, used_idx

The idea: a packed ring is written over as it is used, so the notes have copies of the descriptors.
Whether a batch was given back before a crash is asked of the ring: is the slot at `old_used_idx`
used by now? If it is, the new values count, else the old ones.

The rule that keeps it simple: the free states are a list in shared memory, but what is allocated
comes from a private copy of it. What somebody writes there matters only at the next start.

Source: vhost-user.rst, "Inflight I/O tracking", packed virtqueue.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from virtlab.memory import Bytes
from virtlab.virtio.layouts import DType, packer
from virtlab.virtio.packed_layouts import PACKED_DESC, from_word, is_avail, wrap_at
from virtlab.virtio.vhost_user.inflight import (
    PACKED_REGION,
    PACKED_STATE,
    Heads,
    Taken,
    clock_after,
    column_of,
    header_of,
    open_notes,
    states_of,
)
from virtlab.virtio.vhost_user.messages import ProtocolError

_desc = packer(PACKED_DESC)
_FIELDS = PACKED_DESC.names or ()
"""What a state has of the descriptor itself."""


def _columns(region: Bytes, begin: int, layout: DType) -> dict[str, memoryview]:
    """The fields of `layout` by name."""
    names = [name for name in layout.names or () if name != "padding"]
    return {name: column_of(region, begin, layout, name) for name in names}


class PackedTracker:
    """The notes in `region`, for a ring of `size` slots; `count` is how many states there are.

    `ProtocolError` if there are too few, or if the region is no such one.
    """

    def __init__(self, region: Bytes, count: int, size: int) -> None:
        self.header = header_of(region, PACKED_REGION)
        self.states = states_of(region, PACKED_REGION, PACKED_STATE, count)
        # The same, to store single numbers in.
        self._fields = _columns(region, 0, PACKED_REGION)
        self._columns = _columns(region, PACKED_REGION.itemsize, PACKED_STATE)
        self.size, self.count = size, count
        self.fresh = open_notes(self.header, count, size, "lists")
        self.clock = 0
        self.entries: dict[int, list[int]] = {}  # by buffer id, the states of a list in flight
        self.free: list[int] = []  # states, the next one last

    # -- after a crash

    def recover(self, base: int, flags_at: Callable[[int], int]) -> tuple[int, list[Taken]]:
        """The used position, and what is in flight, oldest first.

        `base` is that position if there are no notes yet. `flags_at(position)` reads the flags of a
        descriptor in the ring. `ProtocolError` if the notes contradict each other.
        """
        if self.fresh:
            self.begin(base)
            return base, []
        old = self._position("old_")
        if old != self._position("") and not is_avail(flags_at(old), wrap_at(old, self.size)):
            self._copy("old_", "")
        self._copy("", "old_")
        lists = self._lists()
        taken = {state for entries in lists for state in entries}
        self.free = [state for state in reversed(range(self.count)) if state not in taken]
        self._relink()
        # Read once: the front-end may write there at any time.
        left = [self._taken(entries) for entries in lists]
        self.entries = {each.head: entries for each, entries in zip(left, lists, strict=True)}
        if len(self.entries) < len(lists):
            raise ProtocolError("notes on two lists in flight with one id")
        self.clock = clock_after(int(self.states["counter"][entries[0]]) for entries in lists)
        return self._position(""), left

    def _position(self, which: str) -> int:
        idx = int(self.header[f"{which}used_idx"][0])
        wrap = int(self.header[f"{which}used_wrap_counter"][0]) & 1
        position = from_word(idx | wrap << 15, self.size)
        if position is None:
            raise ProtocolError(f"notes on lists in flight up to slot {idx} of {self.size}")
        return position

    def _copy(self, to: str, source: str) -> None:
        for field in ("free_head", "used_idx", "used_wrap_counter"):
            self.header[to + field] = self.header[source + field]

    def _lists(self) -> list[list[int]]:
        """The states of each list in flight, oldest list first."""
        free = self._walk(int(self.header["free_head"][0]), self.count, None)
        self.states["inflight"][free] = 0
        heads = np.flatnonzero(self.states["inflight"])
        order = np.argsort(self.states["counter"][heads], kind="stable")
        lists, slots = [], 0
        for head in heads[order].tolist():
            num = int(self.states["num"][head])
            lists.append(self._walk(head, num, int(self.states["last"][head])))
            slots += num
        if slots > self.size or len({state for entries in lists for state in entries}) < slots:
            raise ProtocolError(f"notes on {slots} slots in flight, in a ring of {self.size}")
        return lists

    def _walk(self, state: int, num: int, last: int | None) -> list[int]:
        """Up to `num` states that follow each other; exactly so many if a `last` one is named."""
        following = self.states["next"]
        found: dict[int, None] = {}
        while len(found) < num and state < self.count and state not in found:
            found[state] = None
            state = int(following[state])
        entries = list(found)
        if last is not None and (not entries or len(entries) != num or entries[-1] != last):
            raise ProtocolError(f"notes on a list of {num} that has {len(entries)}")
        return entries

    def _relink(self) -> None:
        """The free list as it is here. What the notes had may have been half a change."""
        chain = self.free[::-1]
        self.states["next"][chain] = np.array([*chain, self.count], np.uint16)[1:]
        self.header["free_head"] = self.header["old_free_head"] = self._head

    @property
    def _head(self) -> int:
        """The first free state. As with DPDK, `count` says that there is none."""
        return self.free[-1] if self.free else self.count

    def _taken(self, entries: list[int]) -> Taken:
        rows = [tuple(self._columns[name][state] for name in _FIELDS) for state in entries]
        return Taken(rows[-1][2], b"".join(_desc.pack(*row) for row in rows))

    def begin(self, position: int) -> None:
        """Nothing is in flight, and the next used descriptor goes to `position`."""
        self.states["inflight"] = 0
        self.entries = {}
        self.free = list(reversed(range(self.count)))
        self._relink()
        self._settle(position, "")
        self._settle(position, "old_")

    def _settle(self, used: int, which: str) -> None:
        fields = self._fields
        fields[f"{which}free_head"][0] = self._head
        fields[f"{which}used_idx"][0] = used % self.size
        fields[f"{which}used_wrap_counter"][0] = wrap_at(used, self.size)

    # -- while it is in use

    def take(self, heads: Heads, slots: Heads, descriptors: bytes) -> None:
        """See `Tracker`."""
        rows, columns = _desc.iter_unpack(descriptors), self._columns
        for head, num in zip(map(int, heads), map(int, slots), strict=True):
            entries = [self.free.pop() for _ in range(num)]
            for state, row in zip(entries, rows, strict=False):
                for name, value in zip(_FIELDS, row, strict=True):
                    columns[name][state] = value
            first = entries[0]
            columns["num"][first], columns["last"][first] = num, entries[-1]
            columns["counter"][first] = self.clock
            self.clock += 1
            columns["inflight"][first] = 1
            self.entries[head] = entries
            # The list counts from here on.
            self._fields["free_head"][0] = self._fields["old_free_head"][0] = self._head

    def giving(self, heads: Heads, used: int) -> None:
        """See `Tracker`."""
        for head in map(int, heads):
            entries = self.entries[head]
            self._columns["next"][entries[-1]] = self._head
            self.free.extend(reversed(entries))
        self._settle(used, "")

    def gave(self, heads: Heads, used: int) -> None:
        """See `Tracker`."""
        inflight = self._columns["inflight"]
        for head in map(int, heads):
            inflight[self.entries.pop(head)[0]] = 0
        self._settle(used, "old_")
