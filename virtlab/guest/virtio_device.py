"""A virtio device as its driver takes it over: the eight steps of 3.1.1, over any transport.

    1 reset             begin       4 features: offered & understood     negotiate
    2 ACKNOWLEDGE                   5 FEATURES_OK
    3 DRIVER                        6 read it back: does the device agree?
    7 queues            add_queue   8 DRIVER_OK                           ready

The idea: the order is the protocol. Each step tells the device how far the driver is, and from
DRIVER_OK on the device may use the queues. Whatever goes wrong before that is told too: FAILED.

The rule that keeps it simple: a driver *understands* a set of features. What it uses is what both
have, `features`; it asks that set, and never what was offered.

A legacy device has no FEATURES_OK: steps 5 and 6 are left out. It knows features 0 to 31.

Source: virtio 1.3 3.1.1, 3.1.2 (legacy), 2.2 (features), 2.4 (reset), 2.5 (configuration), 2.6.1
(queue reset), 3.3 (clean-up). Left out: administration queues. What a driver says here is a `gpa`;
behind a remapping unit it is an iova, and `mapped.MappedCpu` is between (ACCESS_PLATFORM).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from virtlab.cpu import Cpu
from virtlab.guest.room import Room
from virtlab.guest.virtio_transport import Transport, VirtioFailed, poll
from virtlab.guest.virtqueue import Tables
from virtlab.guest.virtqueue_packed import PackedDriver
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.memory import PAGE
from virtlab.virtio.features import Feature, Features, from_bits, names
from virtlab.virtio.layouts import DESC, MAX_SIZE, SplitRings
from virtlab.virtio.negotiation import ANY_LAYOUT
from virtlab.virtio.packed_layouts import PackedRings
from virtlab.virtio.status import Status
from virtlab.virtio.status import names as status_names

Queue = SplitDriver | PackedDriver
"""A virtqueue, in whichever layout was negotiated."""

RING_FEATURES: Features = frozenset(
    {
        Feature.RING_INDIRECT_DESC,
        Feature.RING_EVENT_IDX,
        Feature.VERSION_1,
        Feature.RING_PACKED,
        Feature.IN_ORDER,
        Feature.NOTIFICATION_DATA,
        Feature.NOTIF_CONFIG_DATA,
        Feature.RING_RESET,
    }
)
"""What the queues and transports here understand, whatever the device is."""

Needs = Mapping[int, frozenset[int]]
"""For a feature, those that it requires."""


class VirtioDriver:
    """The driver of the device behind `transport`. Queues and buffers lie in `room`, its own RAM.

    A step that fails is `VirtioFailed`, and FAILED is told.
    """

    def __init__(self, cpu: Cpu, transport: Transport, room: Room) -> None:
        self.cpu = cpu
        self.transport = transport
        self.room = room
        self.offered: Features = frozenset()
        self.features: Features = frozenset()
        self.queues: dict[int, Queue] = {}

    # -- steps 1 to 6

    def begin(self) -> Features:
        """Steps 1 to 3, and what the device offers. Everything it had is forgotten."""
        self.reset()
        self._tell(Status.ACKNOWLEDGE)
        self._tell(Status.DRIVER)
        self.offered = from_bits(self.transport.device_features())
        return self.offered

    def reset(self) -> None:
        """Reset the device, and wait until it says that this is done (2.4.2)."""
        self.transport.set_status(0)
        if not poll(self.cpu, lambda: self.transport.status() == 0):
            raise VirtioFailed("the device does not end its reset")
        self.offered = self.features = frozenset()
        self.queues.clear()
        self.room.clear()

    def negotiate(self, understood: Features, needs: Needs | None = None) -> Features:
        """Steps 4 to 6: accept what both know. Gives what was accepted.

        A driver of the legacy interface must accept ANY_LAYOUT if offered, so it does (6.3).
        """
        if self.transport.legacy:
            understood |= {ANY_LAYOUT}
        if not self.transport.legacy and Feature.VERSION_1 not in self.offered:
            self.fail("the device does not offer VERSION_1 on a modern transport")
        chosen = choose(self.offered, understood, needs or {})
        if Feature.VERSION_1 in self.offered and Feature.VERSION_1 not in chosen:
            raise ValueError("a driver must accept VERSION_1 where it is offered (6.1)")
        self.transport.accept(chosen)
        if not self.transport.legacy:
            self._tell(Status.FEATURES_OK)
            if not self.transport.status() & Status.FEATURES_OK:
                self.fail(f"the device does not agree to {', '.join(names(chosen))}")
        self.features = chosen
        return chosen

    # -- step 7: queues

    def add_queue(
        self,
        index: int = 0,
        size: int | None = None,
        entries: int = 0,
        vector: int | None = None,
    ) -> Queue:
        """Lay out queue `index` in the room, hand it over, and give its driver.

        `size` is the largest possible if None; a split queue has powers of two. `entries` is the
        room of each indirect table, with RING_INDIRECT_DESC. `vector` is its MSI-X vector.
        """
        most = self.transport.queue_max(index)
        if not most or index in self.queues:
            self.fail(f"there is no free queue {index}")
        chosen = min(most, MAX_SIZE) if size is None else size
        if not 0 < chosen <= most:
            raise ValueError(f"queue {index} has 1 to {most} entries, not {size}")
        queue = self._lay_out(index, chosen, self._tables(chosen, entries))
        self.queues[index] = queue
        if vector is not None:
            self.transport.set_queue_vector(index, vector)
        self._hand_over(index)
        return queue

    def _lay_out(self, index: int, size: int, tables: Tables | None) -> Queue:
        features, ring = self.features, self._bell(index)
        if Feature.RING_PACKED in features:
            gpa = self.room.take(PackedRings.placed(0, size).end)
            return PackedDriver(self.cpu, PackedRings.placed(gpa, size), features, ring, tables)
        if size & size - 1:
            raise ValueError(f"the size of a split queue is a power of two, not {size}")
        if self.transport.legacy:
            gpa = self.room.take(SplitRings.legacy(0, size).end, PAGE)
            rings = SplitRings.legacy(gpa // PAGE, size)
        else:
            rings = SplitRings.placed(self.room.take(SplitRings.placed(0, size).end), size)
        return SplitDriver(self.cpu, rings, features, ring, tables)

    def _tables(self, size: int, entries: int) -> Tables | None:
        if not entries or Feature.RING_INDIRECT_DESC not in self.features:
            return None
        return Tables(self.room.take(size * entries * DESC.itemsize), entries)

    def _hand_over(self, index: int) -> None:
        rings = self.queues[index].rings
        desc, driver, device = (gpa for gpa, _ in rings.parts)
        self.transport.set_queue(index, rings.size, (desc, driver, device))

    def _bell(self, index: int) -> Callable[[], None]:
        """What the queue calls to notify the device. It says where the next entry will go (2.9)."""

        def ring() -> None:
            self.transport.notify(index, next_word(self.queues[index]))

        return ring

    def reset_queue(self, index: int) -> list[Any]:
        """Reset one queue and hand it over again, empty (2.6.1). Gives the tokens that it had."""
        if Feature.RING_RESET not in self.features:
            raise ValueError("RING_RESET was not negotiated: only the whole device can be reset")
        self.transport.reset_queue(index)
        lost = self.queues[index].reset()
        self._hand_over(index)
        return lost

    # -- step 8, and the other way it can end

    def ready(self) -> None:
        """Step 8: from here on the device is live."""
        self._tell(Status.DRIVER_OK)
        if self.needs_reset:
            raise VirtioFailed("the device needs a reset as soon as it is live")

    def fail(self, why: str) -> NoReturn:
        """Give up on the device, tell it so, and say why."""
        self._tell(Status.FAILED)
        raise VirtioFailed(why)

    @property
    def needs_reset(self) -> bool:
        """Whether the device has met an error that it cannot recover from (2.1.2)."""
        return bool(self.transport.status() & Status.DEVICE_NEEDS_RESET)

    def __repr__(self) -> str:
        told = " ".join(status_names(self.transport.status())) or "reset"
        return f"VirtioDriver(device {self.transport.device_id}, {told})"

    def _tell(self, bit: Status) -> None:
        """Set one more bit of the status. A driver never clears one (2.1.1)."""
        self.transport.set_status(self.transport.status() | bit)

    # -- configuration and interrupts

    def config(self, fields: Sequence[tuple[int, int]]) -> list[int]:
        """The configuration's fields at these `(offset, bytes)`, all of one moment (2.5.1).

        They are read again while the generation changes; on a legacy device, which has none, until
        two readings agree (2.5.4).
        """
        values: list[int] = []

        def steady() -> bool:
            nonlocal values
            before, last = self.transport.generation(), values
            values = [self._field(offset, size) for offset, size in fields]
            if self.transport.legacy:
                return values == last
            return self.transport.generation() == before

        if not poll(self.cpu, steady):
            raise VirtioFailed("the configuration changes faster than it can be read")
        return values

    def _field(self, offset: int, size: int) -> int:
        """One field; 64 bits are two reads of 32."""
        width = min(size, 4)
        parts = range(0, size, width)
        return sum(self.transport.config_read(offset + at, width) << 8 * at for at in parts)

    def causes(self) -> int:
        """Why the device interrupts, bits of `Interrupt`; acknowledged with that."""
        return self.transport.interrupts()


def next_word(queue: Queue) -> int:
    """Where the next entry goes, as NOTIFICATION_DATA says it: 15 bits and one above (2.9)."""
    return queue.next_word if isinstance(queue, PackedDriver) else queue.exposed & 0xFFFF


def choose(offered: Features, understood: Features, needs: Needs) -> Features:
    """What to accept: what both know, without a feature that needs one that is missing (2.2.1).

    >>> sorted(choose(frozenset({1, 2, 3}), frozenset({1, 2, 4}), {2: frozenset({3})}))
    [1]
    """
    chosen = offered & understood
    while True:
        fit = frozenset(bit for bit in chosen if needs.get(bit, frozenset()) <= chosen)
        if fit == chosen:
            return frozenset(chosen)
        chosen = fit
