"""The rules of a split ring: where it may lie, and what a chain of descriptors may be.

    table      0: next 2   1: -        2: INDIRECT ----> [ 0: next 1 ][ 1: end ]
               head 0                  slots 2           buffers: 0, then the table's two

The idea: a descriptor is 16 bytes that the guest may change at any time. So it is read once, in one
piece, and only the copy is looked at.

The rule that keeps it simple: whatever the guest wrote, at most `size` descriptors of the ring and
`size` of one indirect table are read. A chain that goes on then is a loop, or too long.

The order of the checks is the order in which the chain is walked; `check_buffers` then sees the
whole. Reserved flags are ignored, and so is `next` without NEXT.

Source: virtio 1.3 2.7, 2.7.1, 2.7.5 to 2.7.5.3.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from virtlab.errors import DmaFault, GuestError
from virtlab.memory import PAGE, Dma
from virtlab.virtio.chain import (
    ADDRESSES,
    Buffer,
    Chain,
    Clauses,
    check_buffers,
    check_parts,
    guests_memory,
)
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import (
    DESC,
    INDIRECT,
    MAX_SIZE,
    NEXT,
    SPLIT_PARTS,
    WRITE,
    SplitRings,
    packer,
)

CLAUSES = Clauses(
    element="virtio 1.3 2.7.13.1",
    order="virtio 1.3 2.7.4.2",
    total="virtio 1.3 2.7.5.2",
    address="virtio 1.3 2.7.5",
    ring="virtio 1.3 2.7",
)
"""Where the split ring's chapter has the rules about buffers."""

_unpack, _unpack_from = packer(DESC).unpack, packer(DESC).unpack_from


class Descriptor(NamedTuple):
    """A copy of one: the fields of `DESC`."""

    addr: int
    len: int
    flags: int
    next: int

    @property
    def buffer(self) -> Buffer:
        """The buffer that it describes, if it is not INDIRECT."""
        return Buffer(self.addr, self.len, bool(self.flags & WRITE))


class Table(NamedTuple):
    """A table of descriptors at `addr`, `entries` long: the queue's own, or an `indirect` one."""

    addr: int
    entries: int
    indirect: bool


def check_rings(rings: SplitRings) -> None:
    """`GuestError` unless a split queue may lie there."""
    size = rings.size
    # Queue Size is a power of 2, at most 32768.
    if not 0 < size <= MAX_SIZE or size & (size - 1):
        raise GuestError(f"a split queue of {size}", "virtio 1.3 2.7")
    check_parts(rings.parts, SPLIT_PARTS, CLAUSES.ring, "virtio 1.3 2.7.1")


def walk(dma: Dma, rings: SplitRings, features: Features, head: int) -> Chain:
    """The chain that begins at descriptor `head`. `GuestError` where it breaks a rule.

    Whether its buffers are memory is not looked at here: see `chain.check_memory`.
    """
    own = Table(rings.desc, rings.size, indirect=False)
    buffers: list[Buffer] = []
    slots = 0
    for descriptor in _follow(dma, own, head, rings.size, features):
        slots += 1
        if descriptor.flags & INDIRECT:
            table = _table(descriptor, features)
            inside = _follow(dma, table, 0, rings.size, features)
            buffers += [entry.buffer for entry in inside]
        else:
            buffers.append(descriptor.buffer)
    # A chain has at most Queue Size descriptors, those of its table included.
    if len(buffers) > rings.size:
        why = f"a chain of {len(buffers)} descriptors, in a queue of {rings.size}"
        raise GuestError(why, "virtio 1.3 2.7.5.3.1")
    check_buffers(buffers, rings.parts, CLAUSES)
    return Chain(head, tuple(buffers), slots)


def _follow(
    dma: Dma, table: Table, index: int, size: int, features: Features
) -> Iterator[Descriptor]:
    """Each descriptor of `table` from `index` on, along `next`, for a queue of `size`."""
    left = min(table.entries, size)
    copy = _copy(dma, table) if table.indirect else b""
    while True:
        # `next` is the index of a descriptor in the same table.
        if index >= table.entries:
            why = f"descriptor {index} in a table of {table.entries}"
            raise GuestError(why, "virtio 1.3 2.7.5")
        if not left:
            raise _endless(table, size)
        left -= 1
        descriptor = _of(copy, index) if copy else _read(dma, table, index)
        # Only one table a chain: a descriptor in a table does not refer to another.
        if table.indirect and descriptor.flags & INDIRECT:
            raise GuestError("an indirect table in an indirect table", "virtio 1.3 2.7.5.3.1")
        yield descriptor
        if not descriptor.flags & NEXT:
            return
        # In order, each descriptor is followed by its neighbour; in the ring 0 follows the last.
        if Feature.IN_ORDER in features:
            _check_neighbour(table, index, descriptor.next)
        index = descriptor.next


def _read(dma: Dma, table: Table, index: int) -> Descriptor:
    """The one read of a descriptor."""
    with guests_memory(CLAUSES.address):
        raw = dma.read(table.addr + index * DESC.itemsize, DESC.itemsize)
    return Descriptor(*_unpack(raw))


def _copy(dma: Dma, table: Table) -> bytes:
    """All of an indirect table that lies in one page, in one read; else nothing.

    Most do, and one read costs as much as that of one descriptor. In a page all bytes may be read
    or none, so nothing is refused that would have been read one by one.
    """
    length = table.entries * DESC.itemsize
    if table.addr % PAGE + length > PAGE:
        return b""
    try:
        return dma.read(table.addr, length)
    except DmaFault as fault:
        # One with a code is a record of a unit, which none repeats. Else memory may end in there.
        if fault.code:
            raise GuestError(str(fault), CLAUSES.address) from fault
        return b""


def _of(copy: bytes, index: int) -> Descriptor:
    return Descriptor(*_unpack_from(copy, index * DESC.itemsize))


def _table(descriptor: Descriptor, features: Features) -> Table:
    """The indirect table that `descriptor` refers to. Its WRITE means nothing (2.7.5.3.2)."""
    # INDIRECT is for those who negotiated it.
    if Feature.RING_INDIRECT_DESC not in features:
        raise GuestError("INDIRECT without the feature", "virtio 1.3 2.7.5.3.1")
    # A table ends the chain: INDIRECT and NEXT are never set together.
    if descriptor.flags & NEXT:
        raise GuestError("INDIRECT and NEXT in one descriptor", "virtio 1.3 2.7.5.3.1")
    # `len` counts the table's bytes, and it has `len / 16` entries, the first at index 0.
    entries, rest = divmod(descriptor.len, DESC.itemsize)
    if rest or not entries:
        raise GuestError(f"an indirect table of {descriptor.len} bytes", "virtio 1.3 2.7.5.3")
    if descriptor.addr + descriptor.len > ADDRESSES:
        raise GuestError("an indirect table that passes the last address", CLAUSES.address)
    return Table(descriptor.addr, entries, indirect=True)


def _check_neighbour(table: Table, index: int, following: int) -> None:
    expected = index + 1 if table.indirect else (index + 1) % table.entries
    if following != expected:
        spec = "virtio 1.3 2.7.5.3.1" if table.indirect else "virtio 1.3 2.7.5.2"
        raise GuestError(f"next is {following}, in order it is {expected}", spec)


def _endless(table: Table, size: int) -> GuestError:
    """Why a chain that goes on after so many descriptors is refused."""
    # A chain has at most Queue Size descriptors, in a long table too.
    if table.entries > size:
        why = f"a chain longer than the queue's {size} descriptors"
        return GuestError(why, "virtio 1.3 2.7.5.3.1")
    # As many steps as the table has entries, and one more: loops are forbidden.
    return GuestError("a chain that comes back to itself", "virtio 1.3 2.7.5.2")
