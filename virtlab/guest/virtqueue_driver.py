"""A virtqueue's driver, whichever layout: what it is given, its books, and its calls.

                 one at a time    many at a time
    to device    add_buf          add_bufs          then kick
    from it      get_buf          get_bufs
    callbacks    disable_cb, enable_cb

The idea: whoever drives a device does not care how its queue lies in memory. `SplitDriver` and
`PackedDriver` are two of these, and a network driver works over both.

The rule that keeps it simple: a plural call is the singular one repeated, until the ring is full or
nothing more is used. What stops the first of a batch is met by the singular call itself.

Source: virtio 1.3 2.7.13, 2.7.14, 2.8.21, 2.8.22.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from virtlab.cpu import Cpu
from virtlab.guest.virtqueue import DeviceBroken, Element, Piece, QueueFull, Tables, Used
from virtlab.guest.virtqueue_books import Free, Ints, Outstanding
from virtlab.guest.virtqueue_pieces import Pieces, Tokens, names
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.ordering import Barrier

FEW = 4
"""Up to so many buffers, singular calls cost less than the fixed price of a plural one."""


class VirtqueueDriver(ABC):
    """The driver's end of a queue of `size`, through `cpu`.

    `ring_bell` is called to notify the device; `barrier` at each point where order matters. With
    `tables` and RING_INDIRECT_DESC a buffer of many pieces goes into a table, and takes one
    descriptor of the ring.
    """

    def __init__(
        self,
        cpu: Cpu,
        size: int,
        features: Features,
        ring_bell: Callable[[], None] | None,
        tables: Tables | None,
        barrier: Barrier,
    ) -> None:
        self.cpu = cpu
        self.size = size
        self.features = features
        self.ring_bell = ring_bell or _nobody
        self.tables = tables if Feature.RING_INDIRECT_DESC in features else None
        self.barrier = barrier
        self.outstanding = Outstanding(size)
        self._free = Free(size)
        self.callbacks = True
        self._usual = size

    @abstractmethod
    def reset(self) -> list[Any]:
        """Begin anew, after the device was told to reset the queue: the tokens that it had."""

    @property
    @abstractmethod
    def free(self) -> int:
        """Descriptors of the ring that are the driver's."""

    # -- to the device

    @abstractmethod
    def add_buf(self, out: Iterable[Piece], in_: Iterable[Piece], token: Any) -> None:
        """Place one buffer: pieces that the device reads, then pieces that it writes.

        The device sees it after the next `kick`. `token` is whatever `get_buf` shall give back.
        `QueueFull` if there are not enough free descriptors; `ValueError` for no buffer at all.
        """

    def add_bufs(
        self,
        gpas: npt.ArrayLike,
        lengths: npt.ArrayLike,
        tokens: Tokens | None = None,
        *,
        write: npt.ArrayLike = False,
        starts: npt.ArrayLike | None = None,
    ) -> int:
        """`add_buf` for n buffers, until one does not fit. Gives how many were added.

        A driver that has more to send than there is room for sends the rest later: a full ring is
        no failure. `gpas`, `lengths`, `write` (does the device write there?) and `starts` describe
        the buffers as `Pieces.of` takes them. `tokens` has one for each; without it they are 0, 1,
        2 and so on. `ValueError`, before anything is written, if one of them is no buffer.
        """
        pieces = Pieces.of(gpas, lengths, write, starts, self.size)
        add = self._add_few if len(pieces) <= FEW else self._add_many
        return add(pieces, names(tokens, len(pieces)))

    def _add_few(self, pieces: Pieces, tokens: Sequence[Any]) -> int:
        """`add_bufs`, one by one."""
        for number, ((out, in_), token) in enumerate(zip(pieces.pairs(), tokens, strict=True)):
            try:
                self.add_buf(out, in_, token)
            except QueueFull:
                return number
        return len(pieces)

    @abstractmethod
    def _add_many(self, pieces: Pieces, tokens: Sequence[Any]) -> int:
        """`add_bufs`, with what was checked."""

    @abstractmethod
    def kick(self) -> bool:
        """Expose what was added, and ring the bell if the device listens. Gives whether it rang."""

    def _table_for(self, pieces: Sequence[Element]) -> Tables | None:
        fits = self.tables is not None and 1 < len(pieces) <= self.tables.entries
        return self.tables if fits else None

    # -- from the device

    @abstractmethod
    def get_buf(self) -> Used | None:
        """The next buffer that the device has used; None if there is none.

        `DeviceBroken` if it gives back what it does not have. It is not believed to have written
        more bytes than it was given.
        """

    def get_bufs(self, limit: int | None = None) -> tuple[list[Any], Ints]:
        """`get_buf`, until nothing more is used: n tokens, and the (n,) bytes written to each.

        At most `limit`. As with `get_buf`, call it until it gives nothing: a buffer may be used
        while it looks. If the device breaks a rule, what came before is given back first, and the
        next call is `DeviceBroken`.
        """
        if limit is not None and limit < 0:
            raise ValueError(f"a limit is 0 or more, not {limit}")
        most = self.size if limit is None else limit
        # Batches are mostly as large as the last one. If that was small, begin one by one.
        few = min(most, FEW) if min(most, self._usual) <= FEW else 0
        tokens, written = self._get_few(few)
        if few == len(tokens) < most:
            more, rest = self._get_many(most - few)
            tokens, written = tokens + more, np.append(written, rest)
            if not tokens:
                # Nothing is there, or what is there breaks a rule: it is for `get_buf` to say.
                tokens, written = self._get_few(1)
        self._usual = len(tokens) or self._usual
        return tokens, written

    def _get_few(self, most: int) -> tuple[list[Any], Ints]:
        """`get_bufs`, one by one."""
        found: list[Used] = []
        while len(found) < most:
            try:
                used = self.get_buf()
            except DeviceBroken:
                if not found:
                    raise
                break
            if used is None:
                break
            found.append(used)
        return [used.token for used in found], np.array([u.written for u in found], np.int64)

    @abstractmethod
    def _get_many(self, most: int) -> tuple[list[Any], Ints]:
        """The same up to the first that breaks a rule; nothing if that is the first of all."""

    # -- callbacks: whether an interrupt shall come

    @abstractmethod
    def disable_cb(self) -> None:
        """Ask the device not to interrupt. It is a hint: one may still come."""

    @abstractmethod
    def enable_cb(self) -> bool:
        """Ask for an interrupt again. False if buffers were used meanwhile: get them first."""

    # -- small things

    @property
    def _exact(self) -> bool:
        """Whether notifications are asked for by position."""
        return Feature.RING_EVENT_IDX in self.features

    @property
    def _in_order(self) -> bool:
        return Feature.IN_ORDER in self.features


def _nobody() -> None:
    """Nobody is told: the device looks by itself."""
