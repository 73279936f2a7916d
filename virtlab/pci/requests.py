"""The memory requests that a function makes itself: the `Dma` that its device is given.

    function --> its bus --> bridges ... --> root complex --> memory(requester)
                  |             |                               one array, if it is `Flat`
                  peers' BARs   windows: what is below stays below

The idea: each request finds its way alone, and what stands in the way is asked each time. But
mostly nothing stands there. Then a batch of requests is a batch of offsets in main memory, where no
packet needs to be drawn and no function has a register.

The rule that keeps it simple: `offset_many` says no to every address that anybody on the way could
claim or stop, without asking whether it would. What it says no to, goes the way of single requests.
And while somebody watches packets, or the way is closed, there is no array at all: `one_array`.
What was taken before that is on its way, and is finished in the array as it was.

Source: PCI Local Bus 3.0, 6.2.2; PCI Power Management 1.2, 5.4.1; PCI-to-PCI Bridge 1.2, 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from virtlab.errors import DmaFault
from virtlab.interrupts import INTERRUPT_RANGE
from virtlab.memory import Bytes, Flat, Numbers, Rights, is_flat
from virtlab.pci.config import Header

if TYPE_CHECKING:
    from virtlab.pci.bus import Bus
    from virtlab.pci.function import Function
    from virtlab.pci.root import RootComplex

MOST = (1 << 63) - 1
"""Addresses above are nobody's memory, and no int64."""


class Way(NamedTuple):
    """The way up to memory: as which `requester`, and the `(address, bytes)` that do not get there.

    What overlaps one of the `taken` may be a peer's, or may be stopped.
    """

    requester: int
    taken: tuple[tuple[int, int], ...]


def way_up(function: Function) -> Way | None:
    """The way of its requests, as `Bus.route_up` goes. None if it is closed."""
    if function.bus is None or refusal(function):
        return None
    sender, bus, requester = function, function.bus, function.source_id
    taken = [(INTERRUPT_RANGE.start, len(INTERRUPT_RANGE))]
    redirected = False
    while True:
        redirected = redirected or sender.redirects
        if bus.kind != "link" and not redirected:
            others = [other for other in bus.everyone() if other is not sender]
            taken += [span for other in others for span in other.memory_spans()]
        bridge = bus.bridge
        if bridge is None or bridge.bus is None:
            return Way(requester, tuple(taken)) if bus.complex is not None else None
        if not bridge.awake or not bridge.may_request or not bridge.admits(requester):
            return None
        taken += bridge.memory_spans()
        requester = bridge.requester_for(requester)
        sender, bus = bridge, bridge.bus


def refusal(function: Function) -> str:
    """Why it may make no requests; else empty."""
    if not Header.COMMAND.BUS_MASTER.get(function.header.COMMAND):
        return f"{function}: Bus Master Enable is 0 (PCI 3.0 6.2.2)"
    if not function.awake:
        return f"{function} sleeps (PCI PM 1.2 5.4.1)"
    return ""


class Requests:
    """The requests of `function`: a `Dma`, and `Flat` while `one_array` says so.

    `DmaFault` while Bus Master Enable is 0, in D3hot, and where nobody takes the request.
    """

    def __init__(self, function: Function) -> None:
        self.function = function
        self._count = 0
        self._way: Way | None = None
        # What `_way` and the memory behind it were found from.
        self._found: tuple[object, ...] = ()
        self._memory: Flat | None = None
        self._last: Flat | None = None  # the last that there was

    # -- one by one

    def read(self, iova: int, length: int) -> bytes:
        """A copy of `length` bytes at `iova`."""
        return self._bus(iova, length).root.read_for(self.function, iova, length)

    def write(self, iova: int, data: bytes) -> None:
        """Put `data` at `iova`."""
        self._bus(iova, len(data)).root.write_for(self.function, iova, data)

    def view(self, iova: int, length: int, write: bool = False) -> Bytes:
        """The bytes themselves, where they are main memory."""
        return self._bus(iova, length).root.view_for(self.function, iova, length, write)

    def _bus(self, iova: int, length: int) -> Bus:
        """Its bus, if it may request at all. A refusal is in the trace, as one further up is."""
        function = self.function
        if function.bus is None:
            raise DmaFault(f"{function} is on no bus", iova, length)
        why = refusal(function)
        if why:
            trace = function.bus.root.trace
            trace.emit("fault", function.name, "memory", iova, length, 0, why)
            raise DmaFault(why, iova, length)
        return function.bus

    # -- many

    @property
    def one_array(self) -> bool:
        """Whether a batch of requests is a batch of offsets now."""
        return self._look() is not None

    @property
    def bytes(self) -> Bytes:
        """The array of the memory behind it; while it is none, the last one.

        A batch that is taken is requests on their way: who closes the way, or begins to watch it,
        does not stop those. `TypeError` where there never was an array.
        """
        return self._flat().bytes

    @property
    def generation(self) -> int:
        """Another number whenever an answer of `offset` may be another one."""
        self._look()
        return self._count

    def offset(self, iova: int, length: int = 1, write: bool = False) -> int:
        """Where in `bytes` that begins which `view` has found to be main memory.

        `DmaFault` if it is not there in one piece.
        """
        return self._flat().offset(iova, length, write)

    def offset_many(self, iovas: Numbers, lengths: Numbers, write: Rights = None) -> Numbers:
        """The same for many, (n,) int64 all; -1 where a request may go another way."""
        memory, way = self._look(), self._way
        if memory is None or way is None:
            return np.full(len(iovas), -1)
        found = memory.offset_many(iovas, lengths, write)
        if not len(iovas):
            return found
        low, high = int(iovas[iovas.argmin()]), int((iovas + lengths).max())
        for start, size in way.taken:
            end = min(start + size, MOST)
            if low < end and high > start:
                found[(iovas < end) & (iovas + lengths > start)] = -1
        return found

    def _flat(self) -> Flat:
        memory = self._look()
        memory = memory if memory is not None else self._last
        if memory is None:
            raise TypeError("requests that are watched, or refused, are no array")
        return memory

    def _look(self) -> Flat | None:
        """The memory behind it, if it is one array now. `generation` counts how often that changed.

        The way is looked for again after each change of any function's configuration.
        """
        function = self.function
        root = _root_of(function)
        watched = root is None or root.packets.watched
        changes = None if root is None else root.changes
        if not self._found or self._found[:2] != (changes, watched):
            self._way = None if watched else way_up(function)
        memory = root.memory(self._way.requester) if root and self._way else None
        there = memory if memory is not None and is_flat(memory) else None
        generation = there.generation if there is not None else 0
        found = (changes, watched, generation)
        if found != self._found or there is not self._memory:
            self._found, self._memory, self._count = found, there, self._count + 1
            self._last = there if there is not None else self._last
        return there


def _root_of(function: Function) -> RootComplex | None:
    return function.bus.top().complex if function.bus is not None else None
