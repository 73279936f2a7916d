"""What the two virtqueue drivers have in common: what they take, what they give back, what fails.

    driver.add_buf(out=[(0x5000, 16)], in_=[(0x6000, 512), (0x6200, 1)], token="request 7")
    driver.kick()
    driver.get_buf()        # Used(token='request 7', written=513), or None

Source: virtio 1.3 2.7.13, 2.7.14 (split), 2.8.19 to 2.8.22 (packed).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from virtlab.virtio.layouts import DESC, MAX_BYTES, WRITE

Piece = tuple[int, int]
"""Guest-physical address and bytes of a piece of a buffer."""


class Used(NamedTuple):
    """What the device gave back: the `token` it was added with, and the bytes `written` to it."""

    token: Any
    written: int


class QueueFull(Exception):
    """There are not enough free descriptors now: get used buffers back first, then add again."""


class DeviceBroken(Exception):
    """The device gave back what it was never given, or more than it was given."""


class Tables(NamedTuple):
    """Memory for indirect tables: one of `entries` descriptors for each head, from `gpa` on."""

    gpa: int
    entries: int

    def at(self, head: int) -> int:
        """Where the table of `head` is."""
        return self.gpa + head * self.entries * DESC.itemsize


class Element(NamedTuple):
    """A piece as its descriptor says it: `flags` has WRITE or nothing."""

    gpa: int
    length: int
    flags: int


def elements(out: Iterable[Piece], in_: Iterable[Piece], limit: int) -> Sequence[Element]:
    """The elements of one buffer: the pieces that go `out` first, then those that come `in_`.

    The driver places what the device writes behind all that it reads (virtio 1.3 2.7.4.2, 2.8.17).
    `ValueError` for no piece at all, an empty one, more than `limit`, or more than 2**32 bytes in
    all, which a driver must not add (2.7.5.2).
    """
    found = [Element(gpa, length, 0) for gpa, length in out]
    found += [Element(gpa, length, WRITE) for gpa, length in in_]
    if not 1 <= len(found) <= limit:
        raise ValueError(f"a buffer has 1 to {limit} pieces, not {len(found)}")
    for gpa, length, _ in found:
        if gpa < 0 or not 0 < length < 1 << 32:
            raise ValueError(f"a piece has an address and 1 to 2**32 - 1 bytes, not {gpa, length}")
    if sum(piece.length for piece in found) > MAX_BYTES:
        raise ValueError("a buffer has at most 2**32 bytes")
    return found
