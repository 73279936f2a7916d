"""Watching the buses: each request as the packets that cross each bus of its way.

The idea: routing finds the way first. So the picture of a request is one packet for each bus that
it crosses, down or up, and, where the request wants an answer, the completions on the way back. A
conventional bus has cycles and no packets; it is shown by the packet that would carry the same.

The rule that keeps it simple: no packet is made while nobody watches, and none decides anything.

Source: PCI Express 3.0, 2.2 (packets), 2.3 (who completes what), 2.2.9 (read completions).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from virtlab.pci import capabilities
from virtlab.pci.tlp import (
    ASSERT_INTA,
    DEASSERT_INTA,
    Tlp,
    completions,
    source_id,
    split_reads,
    split_writes,
)
from virtlab.trace import Trace

if TYPE_CHECKING:
    from virtlab.pci.bus import Bus, Kind, Route
    from virtlab.pci.function import Function

MAX_KEPT = 20_000
"""Crossings that a watcher is given; what comes later is counted in `dropped`."""

PAYLOAD, READ_REQUEST = 128, 512
"""Max_Payload_Size and Max_Read_Request_Size, bytes, where no register says otherwise."""

TAGS = 32
"""Tags that a requester has without Extended Tags (PCI Express 3.0, 2.2.6.2)."""

SUCCESS, UNSUPPORTED = 0, 1
"""Completion status: Successful Completion, Unsupported Request."""

PROCESSOR, MEMORY, NOBODY = "processor", "memory", "nobody"
"""The ends of a way that are no function."""

REQUESTS = {"memory": ("MRd", "MWr"), "port": ("IORd", "IOWr")}


class Crossing(NamedTuple):
    """A packet crosses bus number `bus` from `source` to `target`, each `"02:00.0 name"`."""

    bus: int
    kind: Kind
    source: str
    target: str
    tlp: Tlp

    def __str__(self) -> str:
        return f"bus {self.bus:02x}  {self.source} -> {self.target}  {self.tlp}"


class Packets:
    """Makes the packets of requests, for the trace and for whoever records."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.dropped = 0
        self._kept: list[Crossing] | None = None
        self._tag = 0

    @contextmanager
    def recording(self) -> Iterator[list[Crossing]]:
        """Keep crossings inside the `with`, at most `MAX_KEPT`."""
        before, self._kept = self._kept, []
        try:
            yield self._kept
        finally:
            if before is not None:
                before.extend(self._kept[: MAX_KEPT - len(before)])
            self._kept = before

    @property
    def watched(self) -> bool:
        """Whether anybody looks."""
        return self.trace.on or self._kept is not None

    # -- the processor's requests

    def request(
        self, route: Route, space: str, address: int, size: int, value: int | None = None
    ) -> None:
        """A read, or with a `value` a write, goes down."""
        if self.watched:
            data = b"" if value is None else value.to_bytes(size, "little")
            kind = REQUESTS[space][value is not None]
            tlp = Tlp(kind, requester=0, tag=self._next(), address=address, length=size, data=data)
            self._down(route, lambda last: tlp)

    def completion(
        self, route: Route, space: str, address: int, size: int, value: int | None
    ) -> None:
        """Its answer comes back, unless it was posted: a write to memory."""
        if self.watched and (value is not None or space != "memory"):
            self._answer(route, address & 0x7F, size, value)

    def config(
        self,
        route: Route,
        place: tuple[int, int, int],
        offset: int,
        size: int,
        value: int | None = None,
    ) -> None:
        """A configuration request goes down: of type 1, and on its last bus of type 0."""
        if not self.watched:
            return
        verb, data = ("Rd", b"") if value is None else ("Wr", value.to_bytes(size, "little"))
        tag, completer = self._next(), source_id(*place)

        def make(last: bool) -> Tlp:
            kind = f"Cfg{verb}{0 if last and not self._lost(route, place) else 1}"
            tlp = Tlp(kind, requester=0, tag=tag, address=offset, length=size, data=data)
            return tlp._replace(completer=completer)

        self._down(route, make)

    def config_completion(self, route: Route, size: int, value: int | None) -> None:
        """A configuration request is answered in any case."""
        if self.watched:
            self._answer(route, 0, size, value)

    @staticmethod
    def _lost(route: Route, place: tuple[int, int, int]) -> bool:
        """Whether no bridge led to the bus that was meant."""
        return route.buses[-1].number != place[0]

    def _down(self, route: Route, make: Callable[[bool], Tlp]) -> None:
        end = str(route.target) if route.target else NOBODY
        nodes = _nodes(route, PROCESSOR, end)
        for index, bus in enumerate(route.buses):
            last = index == len(route.buses) - 1
            self._keep(Crossing(bus.number, bus.kind, nodes[index], nodes[index + 1], make(last)))

    def _answer(self, route: Route, lower: int, size: int, value: int | None) -> None:
        """One completion, from the target, or from whoever found that nobody is there."""
        status = SUCCESS if route.target else UNSUPPORTED
        carries = value is not None and route.target is not None
        tlp = Tlp(
            "CplD" if carries else "Cpl",
            requester=0,
            tag=self._tag,
            address=lower,
            length=size if carries else 0,
            completer=route.target.source_id if route.target else 0,
            status=status,
            data=(value or 0).to_bytes(size, "little") if carries else b"",
        )
        nodes = _nodes(route, PROCESSOR, str(route.target) if route.target else NOBODY)
        for index in reversed(range(len(route.buses))):
            bus = route.buses[index]
            self._keep(Crossing(bus.number, bus.kind, nodes[index + 1], nodes[index], tlp))

    # -- a function's requests

    def dma_write(self, function: Function, route: Route, iova: int, data: bytes) -> None:
        """Posted writes, cut by Max_Payload_Size; nothing comes back."""
        if not self.watched:
            return
        payload, _ = limits(function)
        for at, n in split_writes(iova, len(data), payload):
            piece = data[at - iova : at - iova + n]
            tlp = Tlp("MWr", requester=route.requester, address=at, length=n, data=piece)
            self._across(function, route, tlp)

    def dma_read(self, function: Function, route: Route, iova: int, data: bytes) -> None:
        """Read requests, cut by Max_Read_Request_Size, each with its completions."""
        if not self.watched:
            return
        payload, request = limits(function)
        for at, n in split_reads(iova, len(data), request):
            tag = self._next()
            tlp = Tlp("MRd", requester=route.requester, tag=tag, address=at, length=n)
            self._across(function, route, tlp)
            for part in completions(at, n, payload):
                self._across(function, route, self._part(route, tag, part, data, iova), back=True)

    def _part(
        self, route: Route, tag: int, part: tuple[int, int, int], data: bytes, iova: int
    ) -> Tlp:
        at, n, left = part
        completer = route.target.source_id if route.target else 0
        piece = data[at - iova : at - iova + n]
        return Tlp(
            "CplD",
            requester=route.requester,
            tag=tag,
            address=at & 0x7F,
            length=n,
            completer=completer,
            byte_count=left,
            data=piece,
        )

    def _across(self, function: Function, route: Route, tlp: Tlp, back: bool = False) -> None:
        nodes = _nodes(route, str(function), str(route.target) if route.target else MEMORY)
        order = range(len(route.buses))
        for index in reversed(order) if back else order:
            ends = nodes[index], nodes[index + 1]
            source, target = reversed(ends) if back else ends
            bus = route.buses[index]
            self._keep(Crossing(bus.number, bus.kind, source, target, tlp))

    # -- interrupts

    def intx(self, bus: Bus, sender: Function, pin: int, level: bool) -> None:
        """A link has no wires: a pin that changes is a message to the port above (2.2.8.1)."""
        if self.watched:
            code = (ASSERT_INTA if level else DEASSERT_INTA) + pin - 1
            tlp = Tlp("Msg", requester=sender.source_id, code=code)
            self._keep(Crossing(bus.number, bus.kind, str(sender), str(bus.bridge), tlp))

    # -- keeping

    def _next(self) -> int:
        self._tag = (self._tag + 1) % TAGS
        return self._tag

    def _keep(self, crossing: Crossing) -> None:
        tlp = crossing.tlp
        word = "posted" if tlp.posted else "completion" if tlp.completion else "non-posted"
        note = f"{crossing.source} -> {crossing.target}, {word}"
        who = f"bus {crossing.bus:02x}"
        self.trace.emit(tlp.kind, who, "", tlp.address, tlp.length, 0, note)
        if self._kept is not None:
            if len(self._kept) < MAX_KEPT:
                self._kept.append(crossing)
            else:
                self.dropped += 1


def limits(function: Function) -> tuple[int, int]:
    """Max_Payload_Size and Max_Read_Request_Size of a function, in bytes."""
    express = function.config.find(capabilities.Express)
    if express is None:
        return PAYLOAD, READ_REQUEST
    return express.max_payload, express.max_read_request


def _nodes(route: Route, start: str, end: str) -> list[str]:
    """Who stands at the ends of each bus: `start`, the bridges between, `end`."""
    nodes = [start]
    for one, next_ in zip(route.buses, route.buses[1:], strict=False):
        down = next_.bridge is not None and next_.bridge.bus is one
        nodes.append(str(next_.bridge if down else one.bridge))
    return [*nodes, end]
