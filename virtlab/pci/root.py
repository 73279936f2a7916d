"""The root complex: what speaks for the processor on the buses, and for memory to the devices.

    processor -- ports, memory space --> [ root complex ] --> bus 00 --> functions, bridges
    memory    <------- requests -------- [              ] <-- ...

The idea: every access is one request. `Bus.route_down` or `Bus.route_up` finds its way; here it is
carried out, and, while somebody watches, drawn as the packets that cross each bus of the way.

The rule that keeps it simple: what comes from the processor never raises. What comes from a device
is a `DmaFault` if it cannot be.

Source: PCI Express 3.0, 2.2, 2.3 and 7.2; PCI Local Bus 3.0, 3.2.2.3. Left out: locked accesses,
ordering between packets (each is done before the next begins), flow control.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from virtlab.bus import AddressSpace, Mapping
from virtlab.errors import DmaFault
from virtlab.interrupts import INTERRUPT_RANGE, Msi
from virtlab.memory import Bytes, Dma, InPieces
from virtlab.pci.access import CONFIG_PORTS, ECAM_SIZE, ConfigPorts, Ecam
from virtlab.pci.bars import Space
from virtlab.pci.bus import Bus, Route
from virtlab.pci.capabilities import Express
from virtlab.pci.config import Header, Type1
from virtlab.pci.function import Function
from virtlab.pci.packets import Crossing, Packets
from virtlab.pci.peer import Peer
from virtlab.trace import Trace
from virtlab.wire import all_ones

MAX_NESTING = 4
"""How deep a request may lead to another: a device whose doorbell another device rings."""

MAX_NESTED = 4096
"""Requests inside other requests between two accesses of the processor. A guest can build a tree of
doorbells that is not deep, and has no end."""

MESSAGE_BYTES = 4
"""An interrupt message is a write of one aligned dword (PCI 3.0, 6.8)."""


class Aperture:
    """Addresses of the processor, from `base`, that the root complex turns into requests."""

    def __init__(self, root: RootComplex, space: Space, base: int) -> None:
        self.root, self.space, self.base = root, space, base

    def read(self, offset: int, size: int) -> int:
        """A read request."""
        return self.root.read(self.space, self.base + offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """A write request."""
        self.root.write(self.space, self.base + offset, size, value)

    def who(self, offset: int, size: int) -> str:
        """The function that takes the access, for the trace."""
        target = self.root.bus.route_down(self.space, self.base + offset, size).target
        return target.name if target is not None else ""


class RootComplex:
    """Bus 00 and what stands above it.

    `memory(source_id)` gives the memory that a requester may reach; `message(source_id, msi)` is
    told of interrupt messages; `intx(device, pin, level)` of the pins of bus 00.
    """

    def __init__(
        self,
        trace: Trace,
        memory: Callable[[int], Dma],
        message: Callable[[int, Msi], None] | None = None,
        intx: Callable[[int, int, bool], None] | None = None,
    ) -> None:
        self.trace = trace
        self.memory = memory
        self.message = message or (lambda source, msi: None)
        self.set_intx = intx or (lambda device, pin, level: None)
        self.bus = Bus("internal")
        self.bus.complex = self
        self.packets = Packets(trace)
        self._ecam: tuple[AddressSpace, Mapping] | None = None
        self._memory_space: AddressSpace | None = None
        self._nesting = self._nested = 0
        self.changes = 0  # of the configuration of any function below

    # -- where the processor finds it

    def connect(
        self,
        ports: AddressSpace,
        memory: AddressSpace,
        port_windows: tuple[tuple[int, int], ...],
        memory_windows: tuple[tuple[int, int], ...],
    ) -> None:
        """Answer in the processor's spaces: windows are pairs `(base, length)`."""
        ports.map(CONFIG_PORTS, 8, ConfigPorts(self), "pci config", width=4)
        for base, length in port_windows:
            ports.map(base, length, Aperture(self, "port", base), "pci ports", width=4)
        for base, length in memory_windows:
            memory.map(base, length, Aperture(self, "memory", base), "pci memory", width=8)
        self._memory_space = memory

    def place_ecam(self, base: int | None, length: int = ECAM_SIZE) -> None:
        """Show ECAM at `base`, or nowhere. Where it would overlap something, it is not shown."""
        if self._ecam is not None:
            space, mapping = self._ecam
            space.unmap(mapping)
            self._ecam = None
        space_ = self._memory_space
        if base is None or space_ is None:
            return
        try:
            self._ecam = space_, space_.map(base, length, Ecam(self), "ecam", width=4)
        except ValueError as error:
            self.trace.emit("unclaimed", "ecam", "memory", base, 0, 0, str(error))

    # -- requests of the processor

    def read(self, space: Space, address: int, size: int) -> int:
        """Read `size` bytes: all ones where nobody claims them."""
        self._nested = 0
        route = self.bus.route_down(space, address, size)
        value = all_ones(size)
        self.packets.request(route, space, address, size)
        if route.bar is None:
            self._aborted(route, space, address, size, value)
        else:
            value = route.bar.read(route.offset, size)
        self.packets.completion(route, space, address, size, value)
        return value

    def write(self, space: Space, address: int, size: int, value: int) -> None:
        """Write `size` bytes: lost where nobody claims them."""
        self._nested = 0
        route = self.bus.route_down(space, address, size)
        self.packets.request(route, space, address, size, value)
        if route.bar is None:
            self._aborted(route, space, address, size, value)
        else:
            route.bar.write(route.offset, size, value)
        self.packets.completion(route, space, address, size, None)

    def config_read(self, bus: int, device: int, number: int, offset: int, size: int) -> int:
        """Read configuration space: all ones where there is no function (PCI 3.0, 6.1)."""
        self._nested = 0
        route = self.bus.route_config(bus, device, number)
        self.packets.config(route, (bus, device, number), offset, size)
        value = route.target.config.read(offset, size) if route.target else all_ones(size)
        self.packets.config_completion(route, size, value)
        return value

    def config_write(
        self, bus: int, device: int, number: int, offset: int, size: int, value: int
    ) -> None:
        """Write configuration space."""
        self._nested = 0
        route = self.bus.route_config(bus, device, number)
        self.packets.config(route, (bus, device, number), offset, size, value)
        if route.target:
            route.target.config.write(offset, size, value)
        self.packets.config_completion(route, size, None)

    def _aborted(self, route: Route, space: Space, address: int, size: int, value: int) -> None:
        """Nobody claimed it: the bridge above the last bus notes a master abort."""
        self.trace.emit("unclaimed", "pci", space, address, size, value, route.refusal)
        bridge = route.buses[-1].bridge
        if bridge is not None:
            bridge.header.SECONDARY_STATUS |= Type1.SECONDARY_STATUS.RECEIVED_MASTER_ABORT.mask
        elif (host := self.bus.functions.get((0, 0))) is not None:
            host.header.STATUS |= Header.STATUS.RECEIVED_MASTER_ABORT.mask

    # -- requests of a function

    def read_for(self, function: Function, iova: int, length: int) -> bytes:
        """A function reads `length` bytes."""
        with self._request(function, iova, length) as (dma, at, route):
            data = dma.read(at, length)
            self._moved("dma read", function, iova, data)
            self.packets.dma_read(function, route, iova, data)
            return data

    def write_for(self, function: Function, iova: int, data: bytes) -> None:
        """A function writes `data`. To the interrupt addresses it is a message."""
        with self._request(function, iova, len(data), write=True) as (dma, at, route):
            self.packets.dma_write(function, route, iova, data)
            if route.bar is None and iova in INTERRUPT_RANGE:
                self._interrupt(function, route, iova, data)
            else:
                dma.write(at, data)
                self._moved("dma write", function, iova, data)

    def _moved(self, kind: str, function: Function, iova: int, data: bytes) -> None:
        """A transfer that succeeded, for the trace: `value` is its first 8 bytes."""
        value = int.from_bytes(data[:8], "little")
        self.trace.emit(kind, function.name, "memory", iova, len(data), value)

    def _interrupt(self, function: Function, route: Route, iova: int, data: bytes) -> None:
        if len(data) != MESSAGE_BYTES or iova % MESSAGE_BYTES:
            raise DmaFault("an interrupt message is one aligned dword", iova, len(data))
        message = Msi(iova, int.from_bytes(data, "little"))
        self.trace.emit("msi", function.name, "memory", iova, len(data), message.data)
        self.message(route.requester, message)

    def view_for(self, function: Function, iova: int, length: int, write: bool = False) -> Bytes:
        """The bytes themselves, if they are memory: to read, or to write."""
        with self._request(function, iova, length, write) as (dma, at, _):
            return dma.view(at, length, write)

    @contextmanager
    def _request(
        self, function: Function, iova: int, length: int, write: bool = False
    ) -> Iterator[tuple[Dma, int, Route]]:
        """Where a request lands: whose memory, at which address there, on which way.

        What is refused is told to the function, unless it was a posted write: those of PCI Express
        have no completion that could say so (PCI Express 3.0, 2.2.9, 6.2.3).
        """
        assert function.bus is not None
        route = function.bus.route_up(function, iova, length, function.source_id)
        self._nesting += 1
        self._nested += self._nesting > 1
        try:
            if route.refusal:
                raise DmaFault(route.refusal, iova, length)
            if self._nesting > MAX_NESTING or self._nested > MAX_NESTED:
                raise DmaFault("requests lead to requests without end", iova, length)
            if route.bar is not None:
                yield Peer(route.bar), route.offset, route
            else:
                yield self.memory(route.requester), iova, route
        except InPieces:
            raise  # a view that cannot be had; the requests themselves may be
        except DmaFault as fault:
            if not (write and function.config.find(Express)):
                function.header.STATUS |= Header.STATUS.RECEIVED_MASTER_ABORT.mask
            self.trace.emit("fault", function.name, "memory", iova, length, 0, str(fault))
            raise
        finally:
            self._nesting -= 1

    # -- watching

    @contextmanager
    def watching(self) -> Iterator[list[Crossing]]:
        """Keep the packets that cross a bus inside the `with`."""
        with self.packets.recording() as crossings:
            yield crossings
