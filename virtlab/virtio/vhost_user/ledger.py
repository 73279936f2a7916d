"""What is written down about the chains of one ring, by everyone who wants to know.

    took      counts, notes (INFLIGHT), an event for who watches
    giving    notes
    gave      notes, written pages (a migration), an event

The idea: a queue says what happens in four calls, and here is who listens. Each of them may be
absent, and mostly is.

The rule that keeps it simple: everything comes as arrays, one chain as an array of one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from virtlab.virtio.batch import Batch, Written
from virtlab.virtio.chain import Chain
from virtlab.virtio.vhost_user.dirty_log import DirtyLog
from virtlab.virtio.vhost_user.inflight import Heads, Tracker
from virtlab.virtio.vhost_user.shared_memory import SharedMemory
from virtlab.virtio.vhost_user.statistics import Event, Statistics, Watch

Taken = Chain | Batch
"""What a queue gives out."""


class Ledger:
    """Notes on ring `ring`, in `memory`. `tracker`, `log` and `watch` may come and go."""

    def __init__(self, ring: int, memory: SharedMemory, statistics: Statistics) -> None:
        self.ring = ring
        self.memory = memory
        self.statistics = statistics
        self.tracker: Tracker | None = None
        self.log: DirtyLog | None = None
        self.log_ring = range(0)  # where in the log the used ring lies
        self.watch: Watch | None = None

    def tell(
        self, kind: str, heads: Sequence[int] = (), lengths: Sequence[int] = (), note: str = ""
    ) -> None:
        """Tell whoever watches."""
        if self.watch is not None:
            self.watch(Event(kind, self.ring, heads, lengths, note))

    def quiet(self) -> None:
        """Chains were given back, and the driver did not want to hear of it."""
        self.statistics.quiet += 1
        self.tell("quiet")

    def took(self, batch: Batch, descriptors: bytes) -> None:
        """Chains were taken; for a packed ring with their `descriptors`."""
        counts = self.statistics
        counts.batches += 1
        counts.requests += len(batch)
        counts.bytes += int(batch.length.sum())
        if self.tracker is not None:
            self.tracker.take(batch.heads, batch.slots, descriptors)
        if self.watch is not None:
            self.tell("pop", batch.heads.tolist(), (batch.readable() + batch.writable()).tolist())

    def took_one(self, chain: Chain, descriptors: bytes, again: bool) -> None:
        """One was; `again` if it was in flight before, so that notes on it are there."""
        counts = self.statistics
        counts.batches += 1
        counts.requests += 1
        counts.again += again
        length = sum(buffer.length for buffer in chain.buffers)
        counts.bytes += length
        if self.tracker is not None and not again:
            self.tracker.take([chain.head], [chain.slots], descriptors)
        if self.watch is not None:
            self.tell("pop", [chain.head], [length], "in flight before" if again else "")

    def giving(self, heads: Heads, used: int) -> None:
        """Chains are about to be given back; then the queue is at `used`."""
        if self.tracker is not None:
            self.tracker.giving(heads, used)

    def gave(
        self, what: Taken | None, heads: Heads, used: int, written: npt.ArrayLike | Written
    ) -> None:
        """They were. `what` they are may not be known."""
        if self.log is not None:
            self._mark(self.log, what)
        if self.tracker is not None:
            self.tracker.gave(heads, used)
        if self.watch is not None:
            if isinstance(written, Written):
                written = what.writable() if isinstance(what, Batch) else 0
            lengths = np.broadcast_to(np.asarray(written), len(heads))
            self.tell("push", np.asarray(heads).tolist(), lengths.tolist())

    def _mark(self, log: DirtyLog, what: Taken | None) -> None:
        """Mark what may have been written, and the used ring."""
        if isinstance(what, Batch):
            gpas = self.memory.gpas_of(what.offset[what.write])
            log.mark_many(gpas, what.length[what.write])
        elif what is not None:
            for gpa, length in what.pieces(True):
                log.mark(gpa, length)
        else:
            for shape in self.memory.shapes:
                log.mark(shape.guest, shape.size)
        log.mark(self.log_ring.start, len(self.log_ring))
