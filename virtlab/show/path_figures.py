"""The lecture's two figures as declarations: their boxes, and how far a request has come in them.

    pio, dma, e1000         KVM without virtio
    virtio, virtio-net      KVM with virtio

The idea: all figures have the same boxes in the same places, and differ in what those are called.
So the two figures of the lecture can be compared box by box.

The rule that keeps it simple: a `Column` is all that the picture needs; `column` makes it of the
steps that were told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from virtlab.show.palette import GREEN_TINT, GREY_TINT, ORANGE_TINT, SKY_TINT
from virtlab.show.path_steps import (
    APPLICATION,
    BUFFER,
    CONTROLLER,
    DEVICE,
    DISK,
    DRIVER,
    HOST,
    KVM,
    QUEUE,
    Spent,
    Step,
)

Figure = Mapping[str, str]
"""For each box, what it is called here. One that is not there has no name."""


def _figure(
    driver: str, controller: str, device: str, disk: str, queue: str, buffer: str
) -> Figure:
    return {
        APPLICATION: "application",
        DRIVER: driver,
        KVM: "KVM",
        CONTROLLER: controller,
        DEVICE: device,
        HOST: "host's driver",
        DISK: disk,
        QUEUE: queue,
        BUFFER: buffer,
    }


FIGURES: Mapping[str, Figure] = {
    "pio": _figure("ATA driver", "I/O controller", "disk model", "disk", "", ""),
    "dma": _figure("ATA driver", "I/O controller", "disk model", "disk", "table", "buffer"),
    "virtio": _figure(
        "front-end", "virtio PCI controller", "back-end", "disk", "virtqueue", "virtio-buffer"
    ),
    "e1000": _figure(
        "e1000 driver", "I/O controller", "card model", "network card", "rings", "buffers"
    ),
    "virtio-net": _figure(
        "front-end", "virtio PCI controller", "back-end", "network card", "virtqueues",
        "virtio-buffers",
    ),
}  # fmt: skip
"""The names of the boxes, for each way that a request can go."""

HEADS = {
    "pio": "KVM without virtio: PIO",
    "dma": "KVM without virtio: DMA",
    "virtio": "KVM with virtio",
    "e1000": "KVM without virtio: e1000",
    "virtio-net": "KVM with virtio: network",
}

STACK = (APPLICATION, DRIVER, KVM, CONTROLLER, DEVICE, HOST, DISK)
"""The boxes of a column, top to bottom; memory stands beside them."""

WHERE = {
    APPLICATION: ("guest, user mode", GREEN_TINT),
    DRIVER: ("guest's kernel", GREEN_TINT),
    KVM: ("host's kernel", ORANGE_TINT),
    CONTROLLER: ("QEMU, a process", SKY_TINT),
    DEVICE: ("QEMU, a process", SKY_TINT),
    HOST: ("host's kernel", ORANGE_TINT),
    DISK: ("hardware", GREY_TINT),
}
"""Where each box of a column is, and its tint."""


class Column(NamedTuple):
    """A figure of which a request has seen so much.

    It is `at` a box, and came `via` an arrow; `seen` are the boxes and arrows that it has passed.
    It has `spent` something, and `words` say what happens now.
    """

    way: str
    at: str
    via: str
    seen: frozenset[str]
    spent: Spent
    words: str


def column(way: str, told: Sequence[Step], index: int | None = None) -> Column:
    """The figure of `way` when step `index` of `told` was made; -1 is before the first."""
    index = len(told) - 1 if index is None else index
    if index < 0:
        return Column(way, "", "", frozenset(), Spent(), "")
    now = told[index]
    seen = {place for step in told[: index + 1] for place in (step.at, step.via) if place}
    return Column(way, now.at, now.via, frozenset(seen), now.spent, now.words)


def whole(way: str, spent: Spent | None = None) -> Column:
    """The figure of `way`, every box of it passed, for a cost `spent`; if None, of no request."""
    figure, cost = FIGURES[way], spent or Spent()
    seen = {*STACK, "call", "exit", "pass", "decode", "host", "hardware", "return"}
    seen |= {name for name in (QUEUE, BUFFER) if figure[name]}
    if spent is None or spent.interrupts:
        seen |= {"irq", "inject"}
    if figure[QUEUE]:
        seen |= {"driver", "fetch"}
    if spent is not None and not spent.exits:
        seen -= {"exit", KVM, "pass", CONTROLLER, "decode"}
    return Column(way, "", "", frozenset(seen), cost, "")
