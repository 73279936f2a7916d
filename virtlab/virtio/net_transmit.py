"""A network device's transmit queue: from a chain to a frame on the wire.

    readable   [ header ][ frame ............ ]        cut into buffers in any way
                 12 bytes  14 or more

The idea: the header says what is left to do. Mostly nothing, then the frame goes out as it is. With
NEEDS_CSUM the device sums the bytes from `csum_start` on and puts the result `csum_offset` behind.

The rule that keeps it simple: `send_waiting` is the reference, `send_many_waiting` the same for
batches. In a batch a buffer of one piece is taken by one gather; everything else goes one by one.

A frame too short or too long for the wire is dropped there and counted: no fault of the ring.
Source: virtio 1.3 5.1.6.2, 2.7.4.1. Left out: HOST_TSO and the like, which are not offered.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np

from virtlab.backends.frames import Bytes, Frames
from virtlab.backends.network import MAX_FRAME
from virtlab.errors import GuestError
from virtlab.memory import Flat, flat
from virtlab.virtio.batch import Batch
from virtlab.virtio.chain import Chain
from virtlab.virtio.device import Queue, waiting
from virtlab.virtio.features import Features
from virtlab.virtio.net_layouts import (
    HEADER,
    NUM_BUFFERS_AT,
    Gso,
    HeaderFlag,
    NetFeature,
    header_bytes,
)
from virtlab.virtio.net_places import Places
from virtlab.virtio.streams import batches
from virtlab.wire import u16

PLAIN = 2
"""Bytes of a header, `flags` and `gso_type`, that are 0 if nothing is left to do."""


class Wire(Protocol):
    """Where frames go."""

    def send(self, frame: bytes, pair: int) -> None:
        """A frame of the driver, sent on `pair`."""

    def send_many(self, frames: Frames, pair: int) -> None:
        """Many of them."""


# -- one by one: the reference


def send_waiting(wire: Wire, pair: int, queue: Queue) -> None:
    """Send what waits in `queue`. `GuestError` for what is no packet."""
    for chain in waiting(queue):
        wire.send(_frame(chain, queue), pair)
        queue.push(chain)


def _frame(chain: Chain, queue: Queue) -> bytes:
    size = header_bytes(queue.features)
    _check_size(chain.readable, size)
    header = chain.read(queue.dma, 0, size)
    # One byte too many is enough to see that it is too long.
    return finished(header, chain.read(queue.dma, size, MAX_FRAME + 1), queue.features)


def _check_size(readable: int, size: int) -> None:
    """A packet is preceded by a header."""
    if readable < size:
        raise GuestError(f"a packet of {readable} bytes: no header of {size}", "virtio 1.3 5.1.6")


def finished(header: bytes, frame: bytes, features: Features) -> bytes:
    """The frame as it goes out. `GuestError` if the header asks for what was not agreed on.

    `header` may lack `num_buffers`.
    """
    fields = np.frombuffer(header[:NUM_BUFFERS_AT] + bytes(2), HEADER)[0].item()
    flags, gso_type, _, _, start, offset, _ = fields
    # If no HOST_ feature is negotiated, the driver MUST set `gso_type` to NONE.
    if gso_type != Gso.NONE:
        raise GuestError(f"gso_type {gso_type:#x} is not negotiated", "virtio 1.3 5.1.6.2.1")
    # The device MUST ignore flags that it does not recognize, so this one without CSUM.
    if flags & HeaderFlag.NEEDS_CSUM and NetFeature.CSUM in features:
        return checksummed(frame, start, offset)
    return frame


def checksummed(frame: bytes, start: int, offset: int) -> bytes:
    """`frame` with the sum from `start` to its end, inverted, at `start` + `offset`.

    What stands there before counts: it is the sum of the pseudo header. `GuestError` if it is not
    in the frame. A sum of 0 is sent as all ones, which UDP needs and TCP allows (RFC 768).
    """
    at = start + offset
    if at + 2 > len(frame):
        why = f"a checksum at {start} + {offset} in a frame of {len(frame)} bytes"
        raise GuestError(why, "virtio 1.3 5.1.6.2.1")
    value = ~ones_sum(frame[start:]) & 0xFFFF or 0xFFFF
    return frame[:at] + value.to_bytes(2, "big") + frame[at + 2 :]


def ones_sum(data: bytes) -> int:
    """The ones' complement sum of 16-bit words, an odd byte with a zero behind it (RFC 1071)."""
    even = data + bytes(len(data) % 2)
    total = int(np.frombuffer(even, u16.newbyteorder(">")).sum(dtype=np.uint64))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


# -- many


def send_many_waiting(wire: Wire, pair: int, queue: Queue) -> None:
    """The same for a queue in memory that is `Flat`."""
    dma = flat(queue.dma)
    for batch in batches(queue):
        taken = _taken(batch, dma, queue.features)
        if len(taken.frames):
            wire.send_many(taken.frames, pair)
        good = len(taken.frames)
        queue.push_many(batch if good == len(batch) else batch.first(good))
        if taken.error is not None:
            raise taken.error


class Taken(NamedTuple):
    """The frames of a batch, a chain each, up to what is no packet: `error` says why."""

    frames: Frames
    error: GuestError | None = None


def _taken(batch: Batch, dma: Flat, features: Features) -> Taken:
    size = header_bytes(features)
    table = _table(batch, dma, size)
    if table is not None:
        return Taken(Frames.equal(table))
    frames: list[bytes] = []
    try:
        for packet in packets(batch, dma, size + MAX_FRAME + 1):
            _check_size(len(packet), size)
            frames.append(finished(packet[:size], packet[size:], features))
    except GuestError as error:
        return Taken(Frames.of(frames), error)
    return Taken(Frames.of(frames))


def _table(batch: Batch, dma: Flat, size: int) -> Bytes | None:
    """(n, length) the frames, if each is one piece, all have one length, and none needs anything.

    Nothing of it is looked at twice, and what is looked at is a copy.
    """
    places = Places.of(batch, dma.bytes)
    length = places.least - size
    if not (places.alone and places.readable and places.most == places.least):
        return None
    if not 0 < length <= MAX_FRAME or np.count_nonzero(places.read(0, PLAIN)):
        return None
    return places.read(size, length)


def packets(batch: Batch, dma: Flat, most: int) -> Iterator[bytes]:
    """The readable bytes of each chain, gathered; up to `most` of them."""
    memory = dma.bytes.data
    pieces = zip(batch.offset.tolist(), batch.length.tolist(), batch.write.tolist(), strict=True)
    parts = [(offset, length) for offset, length, write in pieces if not write]
    counts = np.add.reduceat(~batch.write, batch.starts[:-1], dtype=np.int64)
    for begin, end in pairwise([0, *np.cumsum(counts).tolist()]):
        left, found = most, []
        for offset, length in parts[begin:end]:
            found.append(memory[offset : offset + min(length, left)])
            left -= min(length, left)
        yield b"".join(found)
