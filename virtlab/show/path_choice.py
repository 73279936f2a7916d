"""A workload that two ways can do, and which of its many forms there are.

    disk   write and read blocks of 4 KiB     pio    dma    virtio
    net    send and receive packets           e1000         virtio

The idea: a `Choice` says everything about a run: what is moved, on which way, how much of it goes
together, and how the guest waits. So runs and closed forms are functions of a choice.

The rule that keeps it simple: `check` refuses what there is not, and `settled` leaves it out.

Source: ATA/ATAPI-6, 8254x SDM and virtio 1.3 for the ways; 802.3 3.2.7 for the frames.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from virtlab.memory import PAGE

Device = Literal["disk", "net"]
Transport = Literal["pci", "pci-legacy", "mmio"]
Layout = Literal["split", "packed"]
Task = Literal["both", "out", "in"]

WAYS: dict[Device, tuple[str, ...]] = {
    "disk": ("pio", "dma", "virtio"),
    "net": ("e1000", "virtio"),
}
"""How a guest can reach each device, the virtio way last."""

REQUEST = PAGE
"""Bytes of each request of the disk."""

MOST, LARGEST_BATCH = 256, 32
"""Requests, or packets, of one direction; and how many may go together."""

SHORTEST, LONGEST = 60, 1514
"""Bytes of a frame without its checksum (802.3 3.2.7)."""


class Choice(NamedTuple):
    """What to do, and on which way.

    `amount` are bytes of the disk, whole requests, or packets of `frame` bytes. `task` says which
    direction: `out` writes or sends, `in` reads or receives. `batch` requests or packets are shown
    to the device together, as far as it can see more than one. With `interrupts` the guest sleeps,
    without it looks. `transport`, `layout`, `event_idx` and `msix` are for virtio. `bundled` is for
    the e1000: receive buffers go back together, not each by itself.
    """

    device: Device
    way: str
    amount: int
    batch: int = 1
    interrupts: bool = True
    task: Task = "both"
    frame: int = 64
    transport: Transport = "pci"
    layout: Layout = "split"
    event_idx: bool = False
    msix: bool = False
    bundled: bool = False

    @property
    def ways(self) -> int:
        """Directions: 1 or 2."""
        return 2 if self.task == "both" else 1

    @property
    def each(self) -> int:
        """Requests or packets of one direction."""
        return -(-self.amount // REQUEST) if self.device == "disk" else self.amount

    @property
    def units(self) -> int:
        """Requests or packets of all directions: what a cost is divided by."""
        return self.ways * self.each

    @property
    def batches(self) -> int:
        """Batches of all directions."""
        return self.ways * -(-self.each // self.batch)

    @property
    def bytes_moved(self) -> int:
        """Bytes of data, all directions together."""
        return self.units * (REQUEST if self.device == "disk" else self.frame)


_KNOWN = (
    ("task", get_args(Task)),
    ("transport", get_args(Transport)),
    ("layout", get_args(Layout)),
)


def check(choice: Choice) -> Choice:
    """`choice`, if there is such a thing; else `ValueError`."""
    ways = WAYS.get(choice.device, ())
    if choice.way not in ways:
        raise ValueError(f"the device {choice.device!r} has the ways {ways}, not {choice.way!r}")
    if choice.device == "disk" and choice.amount % REQUEST:
        raise ValueError(f"the disk is asked for pieces of {REQUEST} bytes, not {choice.amount}")
    if not 1 <= choice.each <= MOST or not 1 <= choice.batch <= LARGEST_BATCH:
        raise ValueError(f"1 to {MOST} pieces, in batches of 1 to {LARGEST_BATCH}")
    if not SHORTEST <= choice.frame <= LONGEST:
        raise ValueError(f"a frame has {SHORTEST} to {LONGEST} bytes, not {choice.frame}")
    for given, known in _KNOWN:
        if getattr(choice, given) not in known:
            raise ValueError(f"{given} is one of {known}, not {getattr(choice, given)!r}")
    if choice != settled(choice):
        raise ValueError(f"{choice.way} over {choice.transport} has not all of that: see `settled`")
    return choice


def settled(choice: Choice) -> Choice:
    """`choice` without what its way does not have.

    Only virtio has transports, layouts, EVENT_IDX and MSI-X. A legacy transport knows no packed
    ring; MSI-X needs PCI, and somebody who wants an interrupt. Only the e1000 bundles.
    """
    if choice.way != "virtio":
        plain = choice._replace(transport="pci", layout="split", event_idx=False, msix=False)
        return plain._replace(bundled=choice.bundled and choice.way == "e1000")
    packed = choice.layout == "packed" and choice.transport != "pci-legacy"
    msix = choice.msix and choice.transport != "mmio" and choice.interrupts
    return choice._replace(layout="packed" if packed else "split", msix=msix, bundled=False)
