"""What a back-end counts, and what it tells whoever watches a ring.

    kicks 12      the driver rang              requests 3400    chains taken
    calls 40      the driver was told          batches 900      times something was taken
    quiet 860     it did not want to hear      bytes            in all their buffers

The idea: the price of a virtqueue is its notifications. `quiet` counts those that suppression saved
on the way to the driver. `polled` counts batches that were found without a ring: saved on the way
from it.

The rule that keeps it simple: counting is always on and is an addition. An `Event` is made only
while somebody watches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass
class Statistics:
    """Counts since the connection began."""

    kicks: int = 0  # events of the driver's doorbell
    calls: int = 0  # events sent to the driver
    quiet: int = 0  # batches that were given back with no event, because none was wanted
    polled: int = 0  # batches that were found by looking, with no doorbell
    batches: int = 0  # times that chains were taken
    requests: int = 0  # chains taken
    bytes: int = 0  # bytes of their buffers
    again: int = 0  # chains that were in flight in a back-end before this one
    errors: int = 0  # rings that broke

    @property
    def saved(self) -> int:
        """Notifications that were not needed, in either direction: one for each chain would be."""
        return 2 * self.requests - self.kicks - self.calls


class Event(NamedTuple):
    """Something that happened on ring `ring`.

    `kind` is `kick`, `pop`, `push`, `call`, `quiet`, `start`, `stop`, `error`, or `refused`: a
    request, of no ring. `heads` names the chains (split: descriptor, packed: buffer id); `lengths`
    are the bytes of their buffers, or, of a `push`, those that were written. `note` says the rest
    in words.
    """

    kind: str
    ring: int
    heads: Sequence[int] = ()
    lengths: Sequence[int] = ()
    note: str = ""

    def __str__(self) -> str:
        pairs = zip(self.heads, self.lengths, strict=True)
        chains = " ".join(f"{head}:{length}" for head, length in pairs)
        return " ".join(
            part for part in (self.kind, f"ring {self.ring}", chains, self.note) if part
        )


Watch = Callable[[Event], None]
"""Whoever is told of events."""
