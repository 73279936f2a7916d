"""What driver and device have come to: the status, the features, the configuration. No queue yet.

    write_status(0)          back to the beginning
    write_status(1, 3)       a driver is there
    accept_word(...)         it names the features that it wants
    write_status(11)         FEATURES_OK, if the device agrees
    write_status(15)         DRIVER_OK: `live`

The idea: one object is the session between a driver and a device, from reset to reset. `Transport`
adds the queues to it.

What a driver does wrong ends in one of two ways, and both leave a trace event:

    refused   it means nothing now: no such queue, not the time for it. Nothing changes.
    broken    it cannot be right: a chain, a ring, a size. DEVICE_NEEDS_RESET, and an interrupt.

The rule that keeps it simple: `GuestError` ends here, in `guarded`, and nowhere else.

Source: virtio 1.3 2.1 to 2.5, 3.1, 3.2.1, 4.1.4.3.1 (generation), 4.1.4.10 (legacy features).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar

from virtlab.errors import GuestError
from virtlab.trace import Trace
from virtlab.virtio.device import VirtioDevice
from virtlab.virtio.features import BITS, Feature, Features, from_bits, names, to_bits
from virtlab.virtio.negotiation import advance, check_accepted, check_offer, legacy_offer, live
from virtlab.virtio.status import Interrupt, Status
from virtlab.wire import all_ones

RING_FEATURES: Features = frozenset(
    {
        Feature.RING_INDIRECT_DESC,
        Feature.RING_EVENT_IDX,
        Feature.RING_PACKED,
        Feature.NOTIFICATION_DATA,
        Feature.RING_RESET,
    }
)
"""What our queues and transports can do beside the device's own features."""

PLATFORM: Features = frozenset({Feature.ACCESS_PLATFORM, Feature.ORDER_PLATFORM})
"""What a board may offer besides, where it puts something between device and memory."""

MANDATED: Features = frozenset({Feature.VERSION_1, Feature.IN_ORDER})
"""What every device has: the first is offered anyway, the second is the device's own promise."""

RESERVED: Features = frozenset(range(24, 50))
"""Features of queue and negotiation, now and in times to come; a device has the others (2.2)."""

WORD = 32
"""Features that a register shows at a time."""

Signal = Callable[[Interrupt, int], None]
"""Tells the driver: of used buffers in a queue, or of another configuration (the queue is 0)."""


class Session:
    """The agreement with the driver of `device`, which is told of things by `interrupt`.

    `legacy` is True or False where the registers know only one interface; with None, the first
    write after a reset decides (2.2.3). `ring` is what is offered of `able`, the features of queue
    and transport. `ValueError` for features that cannot be offered, or not together.
    """

    able: ClassVar[Features] = RING_FEATURES | PLATFORM

    def __init__(
        self,
        device: VirtioDevice,
        interrupt: Signal,
        legacy: bool | None = False,
        trace: Trace | None = None,
        ring: Iterable[int] = RING_FEATURES,
    ) -> None:
        self.device = device
        self.interrupt = interrupt
        self.trace = trace if trace is not None else Trace()
        self.name = type(device).__name__
        self.offered = device.features | {Feature.VERSION_1, *ring}
        # The device MUST NOT offer what it would not support, nor any reserved feature (2.2.2).
        unable = (frozenset(ring) | device.features & RESERVED - MANDATED) - self.able
        if unable:
            raise ValueError(f"nothing here can do {names(unable)}")
        check_offer(self.offered, device.requires)
        self._only = legacy
        self.generation = 0
        self.handling = False
        self.on_reset: Callable[[], None] = lambda: None
        self.clear()

    def clear(self) -> None:
        """No status, no feature, no interface: what a reset leaves."""
        self.status = 0
        self.accepted = 0
        self.interface = self._only
        self._changed = False

    def reset(self) -> None:
        """Everything as at first, the device included (2.4); the registers by `on_reset`."""
        self.clear()
        self.device.reset()
        self.on_reset()

    # -- which interface

    @property
    def legacy(self) -> bool:
        """Whether the driver uses the legacy interface."""
        return self.interface is True

    def claim(self, legacy: bool) -> bool:
        """Whether the driver may write through this interface: it cannot use both at once."""
        if self.interface is None:
            self.interface = legacy
        if self.interface != legacy:
            self.refuse("the driver uses the other interface", "virtio 1.3 2.2.3")
        return self.interface == legacy

    # -- status

    @property
    def live(self) -> bool:
        """Whether the device may use its queues now."""
        return live(self.status, self.legacy)

    def write_status(self, value: int) -> None:
        """The driver writes the device status: a step, or 0 to reset."""
        if not self.at_rest("the status"):
            return
        if value == 0:
            self.reset()
            return
        was_settled = self.settled
        self.status, refusal = advance(self.status, value, self._agree, self.legacy)
        if self.settled and not was_settled:
            self.device.agreed(self.features)
        if refusal is not None:
            self.refuse(refusal.why, refusal.spec)

    def _agree(self) -> None:
        check_accepted(self.offered, self.features, self.device.requires)

    # -- features

    @property
    def features(self) -> Features:
        """What driver and device have agreed on; before FEATURES_OK, what is accepted so far."""
        return from_bits(self.accepted)

    @property
    def settled(self) -> bool:
        """Whether the features cannot change any more."""
        return bool(self.status & Status.FEATURES_OK)

    def offered_word(self, select: int, legacy: bool = False) -> int:
        """The 32 features that are offered from bit 32 `select` on; 0 where there are none."""
        return _word(to_bits(legacy_offer(self.offered) if legacy else self.offered), select)

    def accepted_word(self, select: int) -> int:
        """The 32 that the driver has accepted, from bit 32 `select` on."""
        return _word(self.accepted, select)

    def accept_word(self, select: int, value: int) -> None:
        """The driver accepts 32 features, from bit 32 `select` on. Past bit 63 there are none."""
        # The driver MUST NOT accept new feature bits after FEATURES_OK.
        if self.settled:
            self.refuse("features written after they were settled", "virtio 1.3 3.1.1")
        elif self.legacy:
            # A legacy interface has no way to say no, so of what is accepted only the offer counts.
            self.accepted = value & self.offered_word(select, legacy=True)
        elif WORD * select < BITS:
            kept = self.accepted & ~(all_ones(4) << WORD * select)
            self.accepted = kept | (value & all_ones(4)) << WORD * select

    # -- configuration

    def config_changed(self) -> None:
        """The device has another configuration: the driver is told once it is set up (3.2.1)."""
        self._changed = True
        if self.status & Status.DRIVER_OK:
            self.interrupt(Interrupt.CONFIG, 0)

    def read_config(self, offset: int, size: int) -> int:
        """`size` bytes of the configuration; all ones past its end."""
        # The generation MUST be another one after the driver has read what has changed.
        if self._changed:
            self.generation, self._changed = self.generation + 1, False
        config = self.device.config
        if offset + size > len(config):
            return all_ones(size)
        return int.from_bytes(config[offset : offset + size], "little")

    def write_config(self, offset: int, size: int, value: int) -> None:
        """The driver writes the configuration. Past its end, and in most fields, that is lost."""
        data = (value & all_ones(size)).to_bytes(size, "little")
        # The driver MUST NOT write it before FEATURES_OK; a legacy driver may (3.1.1, 3.1.2).
        early = not (self.legacy or self.settled or offset in self.device.always_writable)
        inside = offset + size <= len(self.device.config)
        if early or not inside or not self.device.write_config(offset, data):
            self.refuse(f"configuration written at {offset:#x}", "virtio 1.3 2.5, 3.1.1")

    # -- what goes wrong

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """The one place where a guest's mistake ends."""
        try:
            yield
        except GuestError as error:
            self._break(error)

    def _break(self, error: GuestError) -> None:
        """DEVICE_NEEDS_RESET; a driver that is set up is told (2.1.2)."""
        self.trace.emit("guest error", self.name, note=str(error))
        self.status |= Status.DEVICE_NEEDS_RESET
        # If DRIVER_OK is set, the device MUST send a configuration change notification.
        if self.status & Status.DRIVER_OK:
            self.interrupt(Interrupt.CONFIG, 0)

    def refuse(self, why: str, spec: str) -> None:
        """Leave a trace of what is ignored, and why."""
        self.trace.emit("refused", self.name, note=f"{why} ({spec})")

    def at_rest(self, what: str) -> bool:
        """Whether the device is not in the middle of a queue. If it is, `what` is refused.

        Its own DMA may come back as an access to its registers, where a guest put a ring there.
        """
        if self.handling:
            self.refuse(f"{what} written by the device's own DMA", "virtio 1.3 2.6")
        return not self.handling


def _word(bits: int, select: int) -> int:
    return bits >> WORD * select & all_ones(4) if WORD * select < BITS else 0
