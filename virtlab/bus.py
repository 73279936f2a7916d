"""An address space: who answers at which address.

A PC has two of them, ports (16 bits) and memory (52 bits). They are two objects of one class.
A device is mapped at a base; it sees offsets, never addresses.

The rules that keep it simple:

1. Two mappings never overlap: `map` refuses.
2. An access belongs to one mapping as a whole. One that straddles two, or runs off the end of
   one, is answered by nobody.
3. Where nobody answers, a read gives all ones and a write is lost, as on a PC's bus. A trace
   event says so. *No access raises.*
4. A device has a data path `width` bytes wide. A wider access, or one not aligned to its own
   size, becomes several narrower ones, lowest address first, as the bus controller of a PC does
   for an 8-bit card.

`Decoder` says what it costs to recognize an address: the bits that must be compared.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from virtlab.memory import GuestMemory
from virtlab.trace import Trace
from virtlab.wire import all_ones

SIZES = (1, 2, 4, 8)
"""Bytes that one access can have. Ports stop at 4."""


class Device(Protocol):
    """Two verbs, at an offset from the device's base. Sizes in bytes, values unsigned.

    One that only passes accesses on may also have `who(offset, size)`, which gives the name of
    whoever takes an access, or nothing: that name is what the trace shows.
    """

    def read(self, offset: int, size: int) -> int:
        """The value of `size` bytes at `offset`."""

    def write(self, offset: int, size: int, value: int) -> None:
        """Take `size` bytes at `offset`."""


class Ram:
    """A piece of `GuestMemory` as a device; a ROM where `writable` is False."""

    def __init__(self, memory: GuestMemory, start: int, writable: bool = True) -> None:
        self.memory = memory
        self.start = start
        self.writable = writable

    def read(self, offset: int, size: int) -> int:
        """A load from memory."""
        return self.memory.load(self.start + offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """A store to memory; a ROM ignores it."""
        if self.writable:
            self.memory.store(self.start + offset, size, value)

    def store_bytes(self, gpa: int, data: bytes) -> None:
        """A string move to memory at `gpa`; a ROM ignores it."""
        if self.writable:
            self.memory.write(gpa, data)


class Mapping(NamedTuple):
    """`device` answers `length` addresses from `base`, through a data path of `width` bytes."""

    base: int
    length: int
    name: str
    device: Device
    width: int

    @property
    def end(self) -> int:
        """The first address after it."""
        return self.base + self.length


class AddressSpace:
    """Addresses of `bits` bits, and the devices mapped among them.

    `name` is `"port"` or `"memory"`; `verbs` are the trace's words for a read and a write;
    `max_size` is the widest access in bytes.
    """

    def __init__(
        self,
        name: str,
        bits: int,
        trace: Trace | None = None,
        verbs: tuple[str, str] = ("load", "store"),
        max_size: int = 8,
    ) -> None:
        self.name = name
        self.bits = bits
        self.trace = trace if trace is not None else Trace()
        self.verbs = verbs
        self.max_size = max_size
        self.mappings: list[Mapping] = []
        self._bases: list[int] = []

    # -- who answers where

    def map(
        self, base: int, length: int, device: Device, name: str = "", width: int = 1
    ) -> Mapping:
        """Let `device` answer `length` addresses from `base`.

        `ValueError` if that overlaps another mapping, or leaves the space.
        """
        if width not in SIZES:
            raise ValueError(f"a data path is 1, 2, 4 or 8 bytes wide, not {width}")
        mapping = Mapping(base, length, name or type(device).__name__, device, width)
        if base < 0 or length <= 0 or mapping.end > 1 << self.bits:
            raise ValueError(f"{self._span(mapping)} is not inside {self.bits} bits")
        index = bisect_right(self._bases, base)
        for other in self.mappings[max(0, index - 1) : index + 1]:
            if base < other.end and other.base < mapping.end:
                raise ValueError(f"{self._span(mapping)} overlaps {self._span(other)}")
        self.mappings.insert(index, mapping)
        insort(self._bases, base)
        return mapping

    def map_ram(self, memory: GuestMemory, name: str = "ram", writable: bool = True) -> None:
        """Map every region of `memory` where it says it is."""
        for region in memory.regions:
            self.map(region.start, region.size, Ram(memory, region.start, writable), name, 8)

    def unmap(self, mapping: Mapping) -> None:
        """Take a mapping away. `ValueError` if it is not there."""
        index = self.mappings.index(mapping)
        del self.mappings[index], self._bases[index]

    def find(self, address: int) -> Mapping | None:
        """The mapping that `address` belongs to, or None."""
        index = bisect_right(self._bases, address) - 1
        if index >= 0 and address < self.mappings[index].end:
            return self.mappings[index]
        return None

    # -- access: never raises, whatever the guest asks for

    def read(self, address: int, size: int) -> int:
        """The answer to a read of `size` bytes: all ones where nobody answers."""
        mapping = self._claim(address, size)
        if mapping is None:
            value = all_ones(min(max(size, 0), self.max_size))
            self._refuse(address, size, value, self.verbs[0])
            return value
        offset = address - mapping.base
        if size <= mapping.width and offset % size == 0:
            value = mapping.device.read(offset, size) & all_ones(size)
        else:
            value = 0
            for part, n, shift in cycles(offset, size, mapping.width):
                value |= (mapping.device.read(part, n) & all_ones(n)) << shift
        self.trace.emit(
            self.verbs[0], self._who(mapping, offset, size), self.name, address, size, value
        )
        return value

    def write(self, address: int, size: int, value: int) -> None:
        """A write of the low `size` bytes of `value`: lost where nobody answers."""
        mapping = self._claim(address, size)
        if mapping is None:
            self._refuse(address, size, value & all_ones(self.max_size), self.verbs[1])
            return
        value &= all_ones(size)
        offset = address - mapping.base
        self.trace.emit(
            self.verbs[1], self._who(mapping, offset, size), self.name, address, size, value
        )
        if size <= mapping.width and offset % size == 0:
            mapping.device.write(offset, size, value)
        else:
            for part, n, shift in cycles(offset, size, mapping.width):
                mapping.device.write(part, n, (value >> shift) & all_ones(n))

    def read_bytes(self, address: int, length: int) -> bytes:
        """`length` bytes from `address`: RAM in slices, a device one byte at a time."""
        parts = []
        for at, n, mapping in self._runs(address, length):
            if mapping is None:
                parts.append(b"\xff" * n)
                self._refuse(at, n, all_ones(1), self.verbs[0])
            elif isinstance(mapping.device, Ram):
                parts.append(mapping.device.memory.read(at, n))
                self.trace.emit(self.verbs[0], mapping.name, self.name, at, n)
            else:
                parts.append(bytes(self.read(at + i, 1) for i in range(n)))
        return b"".join(parts)

    def write_bytes(self, address: int, data: bytes) -> None:
        """`data` to `address`: RAM in slices, a device one byte at a time."""
        for at, n, mapping in self._runs(address, len(data)):
            piece = data[at - address : at - address + n]
            if mapping is None:
                self._refuse(at, n, piece[0], self.verbs[1])
            elif isinstance(mapping.device, Ram):
                mapping.device.store_bytes(at, piece)
                self.trace.emit(self.verbs[1], mapping.name, self.name, at, n)
            else:
                for i, byte in enumerate(piece):
                    self.write(at + i, 1, byte)

    def _runs(self, address: int, length: int) -> Iterator[tuple[int, int, Mapping | None]]:
        """Cut a string move where the answering mapping changes: `(address, bytes, mapping)`."""
        at, end = address, address + length
        while at < end:
            mapping = self.find(at)
            if mapping is not None:
                stop = mapping.end
            else:
                following = bisect_right(self._bases, at)
                stop = self._bases[following] if following < len(self._bases) else end
            yield at, min(stop, end) - at, mapping
            at = min(stop, end)

    def _who(self, mapping: Mapping, offset: int, size: int) -> str:
        """Who answers, for the trace: the mapping, or whom it passes the access on to."""
        if not self.trace.on:
            return mapping.name
        who = getattr(mapping.device, "who", None)
        return (who(offset, size) if who else "") or mapping.name

    def _claim(self, address: int, size: int) -> Mapping | None:
        if size not in SIZES or size > self.max_size:
            return None
        mapping = self.find(address)
        return mapping if mapping is not None and address + size <= mapping.end else None

    def _refuse(self, address: int, size: int, value: int, verb: str) -> None:
        """Count and record an access that nobody answers, and say why."""
        kind, who, note = "unclaimed", "", ""
        first = self.find(address)
        if first is None:
            note = f"{verb}: nothing answers here"
        elif size not in SIZES or size > self.max_size:
            note = f"{verb}: no access has {size} bytes here"
        else:
            last = self.find(address + size - 1)
            beyond = f"into {last.name}" if last else "past its end"
            kind, who, note = "straddle", first.name, f"{verb}: runs from {first.name} {beyond}"
        self.trace.emit(kind, who, self.name, address, size, value, note)

    def _span(self, mapping: Mapping) -> str:
        return f"{mapping.name} at {self.name} {mapping.base:#x}-{mapping.end - 1:#x}"


def cycles(offset: int, size: int, width: int) -> list[tuple[int, int, int]]:
    """Split an access into bus cycles: `(offset, bytes, shift)`, lowest address first.

    Each is a power of two, at most `width` bytes, and aligned to its own size.

    >>> cycles(0xFFD, 8, 8)
    [(4093, 1, 0), (4094, 2, 8), (4096, 4, 24), (4100, 1, 56)]
    """
    parts = []
    at, end = offset, offset + size
    while at < end:
        n = width
        while at % n or at + n > end:
            n //= 2
        parts.append((at, n, 8 * (at - offset)))
        at += n
    return parts


class Decoder(NamedTuple):
    """One comparison that recognizes addresses: those with `address & mask == value`."""

    mask: int
    value: int

    @property
    def bits(self) -> int:
        """Address bits that must be compared."""
        return self.mask.bit_count()


def decoders(base: int, length: int, bits: int) -> list[Decoder]:
    """The comparisons that recognize `length` addresses from `base` in a space of `bits` bits.

    One for each naturally aligned power of two, as address decoders are built: a 16550's 8
    ports need one comparison of 13 bits.

    >>> [d.bits for d in decoders(0x3F8, 8, 16)]
    [13]
    """
    found, at, end = [], base, base + length
    while at < end:
        block = at & -at if at else 1 << bits
        while at + block > end:
            block >>= 1
        found.append(Decoder(((1 << bits) - 1) & ~(block - 1), at))
        at += block
    return found
