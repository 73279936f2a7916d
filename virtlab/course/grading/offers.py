"""What an answer may do with the objects it is given: machines stay here, their verbs are calls.

    virtlab.cpu.Recorder        inp out load store read write wait      a call for each
    ...ps3.machines.Memory      read write load store                   `size` goes along once
    ...given.rings.DriverSide   a record: all its fields are kept alike on both sides

The idea: a name that stands in `OFFERS` can be asked for, and no other. The list is held by the
judge's process; the child only gets the names. So whatever a child asks for, `__dict__` or `ram`,
is refused here, and is an AttributeError there.

The rule that keeps it simple: a class is found by its full name, or that of a class it is derived
from. So nothing is imported for the list, and a judge's own variant of a memory is offered as the
memory that it is. Functions can be called. All else is a token: it can be given back.
"""

from __future__ import annotations

import functools
from dataclasses import fields, is_dataclass
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, NamedTuple

from virtlab.course.grading.kinds import FIXED, Record


class Offer(NamedTuple):
    """What is offered of a class.

    `verbs` can be called; `fixed` are attributes that are read once, when it is given; `live` are
    asked for each time; `fields` are kept alike on both sides, whoever changes them. `alone`: its
    verbs look at nothing but itself, so nothing else has to be as the answer left it.
    """

    verbs: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    alone: bool = False


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


BYTES = _words("read write load store")
DISK = Offer(_words("read write flush"), ("sectors", "read_only"), alone=True)
QUEUE = Offer(
    _words("pop push available disable_notify enable_notify"),
    live=_words("size in_flight features ready dma last_avail used"),
)
FUNCTION = Offer(("__call__",))
TOKEN = Offer()

PLACE = "virtlab.course."
OFFERS: dict[str, Offer] = {
    "virtlab.cpu.Recorder": Offer(_words("inp out load store read write wait")),
    "virtlab.memory.GuestMemory": Offer(BYTES, ("size",)),
    "virtlab.pci.requests.Requests": Offer(("read", "write")),
    "virtlab.backends.disk.Disk": DISK._replace(verbs=(*DISK.verbs, "discard")),
    "virtlab.guest.virtqueue_split.SplitDriver": Offer(
        _words("add_buf kick get_buf disable_cb enable_cb"), ("size",), ("free",)
    ),
    "virtlab.virtio.split.SplitQueue": QUEUE,
    "virtlab.virtio.packed.PackedQueue": QUEUE,
    PLACE + "ps2.boards.Config": Offer(("read", "write")),
    PLACE + "ps3.machines.Memory": Offer(BYTES, ("size",)),
    PLACE + "ps3.proxy.Service": Offer(("call",)),
    PLACE + "ps3.mmio.Devices": Offer(("read", "write")),
    PLACE + "ps3.scattered_vm.Vm": Offer(_words("pin unpin read write")),
    PLACE + "ps3.noted_disk.NotedDisk": Offer(DISK.verbs, alone=True),
    PLACE + "ps4.vring._Allocator": FUNCTION,
    PLACE + "ps5.block_request.Medium": DISK,
    PLACE + "ps5.receive_device.ReceiveSide": Offer(
        _words("pop put publish"), fields=_words("memory merge size held")
    ),
    PLACE + "ps5.receive_driver.DriverQueue": Offer(_words("get_buf give"), fields=("memory",)),
    PLACE + "ps6.remapping_tables.Table": Offer(("read",)),
}
"""By the full name of a class."""

RECORDS = frozenset(
    {
        PLACE + "given.rings.Rings",
        PLACE + "ps4.packed_device.PackedSide",
        PLACE + "ps6.domain_bench.DomainRecord",
    }
)
"""Dataclasses of which all fields are kept alike."""


def offer_of(kind: type) -> Offer:
    """What is offered of objects of a class."""
    if issubclass(kind, (FunctionType, MethodType, BuiltinFunctionType, functools.partial)):
        return FUNCTION
    for each in kind.__mro__:
        name = f"{each.__module__}.{each.__qualname__}"
        if name in OFFERS:
            return OFFERS[name]
        if name in RECORDS and is_dataclass(kind):
            return Offer(fields=tuple(field.name for field in fields(kind)))
    return TOKEN


def record_of(kind: type) -> Record:
    """How an object of the class is kept alike: by its fields, if it has some."""
    names = offer_of(kind).fields
    return Record(names) if names else FIXED


def description(kind: type) -> list[Any]:
    """The offer as it goes to the child: the class's name, names by use, and `alone`."""
    *names, alone = offer_of(kind)
    return [kind.__name__, *map(list, names), alone]
