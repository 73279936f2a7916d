"""What a virtio device is, to whatever carries it: four attributes, and `handle`.

    device_id     what kind it is               handle(index, queue)   something may be in a queue
    features      what it offers                reset()                forget everything
    queue_sizes   its queues, each its largest  queue_reset(index)     forget what was in one
    config        its own configuration         write_config(...)      the driver changed a field

The idea: a device sees chains, and the world behind it: a disk, a wire, a screen. It knows no
register, no status, no interrupt. So any transport carries any device. What went wrong with a chain
it says by `GuestError`; the transport turns that into DEVICE_NEEDS_RESET.

Two kinds of device follow from who moves first:

    the driver asks, the device answers    RequestDevice    block, entropy, crypto
    the world speaks, the device passes on `arrived(index)` receive queues of network and console

The rule that keeps it simple: a device takes chains only inside `handle`. Who has news from outside
calls `arrived`, and is called back when it is the queue's turn, with every error caught.

Source: virtio 1.3 2 (what a device consists of), 2.5 (configuration), 2.6.1 (queue reset).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Protocol

from virtlab.virtio.chain import Chain
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.negotiation import NOTHING_REQUIRED
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.split import SplitQueue

Queue = SplitQueue | PackedQueue
"""A queue of either layout: a device makes no difference. `queue.features` are the agreed ones."""


class Host(Protocol):
    """What a device may ask of the transport that carries it."""

    @property
    def legacy(self) -> bool:
        """Whether the driver uses the legacy interface."""

    def notify(self, index: int) -> None:
        """Call `handle` for queue `index` as soon as the device may use it."""

    def config_changed(self) -> None:
        """Tell the driver that the configuration is another one."""


class VirtioDevice:
    """The base of all devices. `queue_sizes` are the largest sizes, powers of two.

    `config` is read by the driver as it is; `configure` replaces it.
    """

    device_id: ClassVar[int] = 0
    requires: ClassVar[Mapping[int, Features]] = NOTHING_REQUIRED
    always_writable: ClassVar[range] = range(0)
    """Offsets of the configuration that a driver may write at any time, even before FEATURES_OK."""

    def __init__(self, queue_sizes: Sequence[int], features: Iterable[int] = ()) -> None:
        self.queue_sizes = tuple(queue_sizes)
        self.features: Features = frozenset(features)
        self.config = b""
        self.host: Host | None = None

    # -- what a device does

    def handle(self, index: int, queue: Queue) -> None:
        """Something may be in queue `index`. Take what can be used now, and push it back.

        The transport tells the driver afterwards. `GuestError` for a chain that breaks a rule.
        """
        raise NotImplementedError

    def reset(self) -> None:
        """Forget chains that were taken, and all that the driver has set."""

    def queue_reset(self, index: int) -> None:
        """Forget the chains that were taken from queue `index`."""

    def agreed(self, features: Features) -> None:
        """The driver has settled its features (FEATURES_OK; a legacy one never says so)."""

    def write_config(self, offset: int, data: bytes) -> bool:
        """The driver writes `data` into the configuration; whether it could.

        All of it lies inside. Most fields are for reading only.
        """
        return False

    # -- what it says to the world around it

    def configure(self, config: bytes) -> None:
        """Have another configuration from now on, and tell the driver."""
        self.config = config
        if self.host is not None:
            self.host.config_changed()

    def arrived(self, index: int) -> None:
        """There is news for queue `index`: `handle` is called as soon as that may be."""
        if self.host is not None:
            self.host.notify(index)


class RequestDevice(VirtioDevice):
    """A device that answers each chain at once. So it can offer IN_ORDER, and does."""

    def __init__(self, queue_sizes: Sequence[int], features: Iterable[int] = ()) -> None:
        super().__init__(queue_sizes, {*features, Feature.IN_ORDER})

    def handle(self, index: int, queue: Queue) -> None:
        """Answer what waits, first come, first served."""
        for chain in waiting(queue):
            queue.push(chain, self.serve(chain, queue))

    def serve(self, chain: Chain, queue: Queue) -> int:
        """Do what `chain` asks for; gives how many of its writable bytes are written now."""
        raise NotImplementedError


def waiting(queue: Queue) -> Iterator[Chain]:
    """Take what waits in `queue`, chain by chain.

    At most as many as it has entries: a guest that adds while this runs rings once more.
    """
    for _ in range(queue.size):
        chain = queue.pop()
        if chain is None:
            return
        yield chain
