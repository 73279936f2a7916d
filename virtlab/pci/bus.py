"""A bus: functions side by side, a bridge above, and the question who claims an address.

    conventional  wires that all functions share: everybody sees every cycle
    link          PCI Express: one device at the end of it
    internal      inside a root complex or a switch: ports side by side, no wire at all

The idea: routing changes nothing. `route_down` and `route_up` only find the way of one request: the
buses it crosses, and who takes it in the end. Root complex, trace and picture all use that one
answer. A request that nobody takes has a `refusal`, which says where it ended and why.

The rule that keeps it simple: an address belongs to a BAR, to a window of a bridge, or to nobody.

Source: PCI-to-PCI Bridge 1.2, 4; PCI Express 3.0, 2.4, 6.12 (ACS) and 7.3 (configuration).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from virtlab.pci.bars import Bar, Space
from virtlab.pci.config import Header
from virtlab.pci.function import Function
from virtlab.pci.routing_ids import distance
from virtlab.pci.tlp import bdf_text, source_id

if TYPE_CHECKING:
    from virtlab.pci.bridge import Bridge
    from virtlab.pci.root import RootComplex

Kind = Literal["conventional", "link", "internal"]

DEVICES, FUNCTIONS = 32, 8
"""Devices on a bus, functions in a device."""


class Route(NamedTuple):
    """The way of one request: the `buses` it crosses, in order, and who takes it.

    `target` is the function that takes it; `bar` and `offset` say where in it. In main memory
    there is no target. `requester` is the source id that the request has at its end. `refusal`
    says why nobody takes it.
    """

    buses: tuple[Bus, ...]
    target: Function | None = None
    bar: Bar | None = None
    offset: int = 0
    requester: int = 0
    refusal: str = ""


class Bus:
    """One bus of a kind, below `bridge`; the root bus has none. `functions` by device, function.

    `virtual` are VFs, by the distance of their routing ids from the bus's first one. From 256 on
    they are on the next bus number, and still on this bus.
    """

    def __init__(self, kind: Kind, bridge: Bridge | None = None) -> None:
        self.kind = kind
        self.bridge = bridge
        self.complex: RootComplex | None = None
        self.functions: dict[tuple[int, int], Function] = {}
        self.virtual: dict[int, Function] = {}
        self._asserted: set[tuple[int, int, int]] = set()

    # -- what is where

    def plug(self, function: Function, device: int = 0, number: int = 0) -> Function:
        """Put `function` at `device` and function `number`. `ValueError` where it cannot be."""
        last = 0 if self.kind == "link" else DEVICES - 1
        if not (0 <= device <= last and 0 <= number < FUNCTIONS):
            raise ValueError(f"a {self.kind} bus has no place {device:02x}.{number}")
        if (device, number) in self.functions:
            raise ValueError(f"{device:02x}.{number} is taken by {self.functions[device, number]}")
        if function.bus is not None:
            raise ValueError(f"{function} is plugged in already")
        if number and (device, 0) not in self.functions:
            raise ValueError(f"device {device:02x} needs a function 0 first (PCI 3.0 6.1)")
        if function.below is not None and self in function.below.buses():
            raise ValueError(f"{function} cannot hang below itself")
        function.bus, function.device, function.number = self, device, number
        self.functions[device, number] = function
        self.functions = dict(sorted(self.functions.items()))
        if number:
            first = self.functions[device, 0].header
            first.preset(HEADER_TYPE=first.HEADER_TYPE | Header.HEADER_TYPE.MULTI_FUNCTION.mask)
        function.update()
        return function

    def unplug(self, function: Function) -> None:
        """Take `function`, which was reset, off the bus. `ValueError` if it is not here."""
        if self.functions.get((function.device, function.number)) is not function:
            raise ValueError(f"{function} is not plugged in here")
        del self.functions[function.device, function.number]
        function.bus = None

    @property
    def number(self) -> int:
        """The number that software gave it, in the bridge above. The root bus is 0."""
        return self.bridge.secondary if self.bridge is not None else 0

    @property
    def root(self) -> RootComplex:
        """The root complex that it hangs from. `ValueError` if it hangs from none."""
        above = self.top().complex
        if above is None:
            raise ValueError(f"bus {self.number:02x} hangs from no root complex")
        return above

    def top(self) -> Bus:
        """The highest bus that it hangs from."""
        bus: Bus = self
        while bus.bridge is not None and bus.bridge.bus is not None:
            bus = bus.bridge.bus
        return bus

    def everyone(self) -> list[Function]:
        """The functions on it, then the virtual ones."""
        return [*self.functions.values(), *self.virtual.values()]

    def find(self, bus: int, device: int, number: int) -> Function | None:
        """Who answers here to a configuration request for `bus`:`device`.`number`.

        Down a link a port passes device 0 only, unless it forwards ARI (PCI Express 3.0, 6.13).
        What is meant for another bus number, it passes as it is (SR-IOV 1.1, 2.1.2).
        """
        own = self.number
        above = self.bridge
        link = bus == own and device and self.kind == "link"
        if link and (above is None or not above.forwards_ari):
            return None
        if bus == own and (device, number) in self.functions:
            return self.functions[device, number]
        if not self.virtual:
            return None
        return self.virtual.get(distance(own, source_id(bus, device, number)))

    def walk(self) -> Iterator[Function]:
        """Every function on it and below it, depth first."""
        for function in self.everyone():
            yield function
            if function.below is not None:
                yield from function.below.walk()

    def buses(self) -> Iterator[Bus]:
        """This bus and every bus below it."""
        yield self
        for function in self.functions.values():
            if function.below is not None:
                yield from function.below.buses()

    # -- requests that come from the processor

    def route_down(
        self, space: Space, address: int, size: int, above: tuple[Bus, ...] = ()
    ) -> Route:
        """Who claims `size` bytes at `address`, from this bus down."""
        return self._claimed(space, address, size, (*above, self)) or Route(
            (*above, self), refusal=self._refusal(space, address)
        )

    def _claimed(
        self,
        space: Space,
        address: int,
        size: int,
        path: tuple[Bus, ...],
        sender: Function | None = None,
    ) -> Route | None:
        others = [function for function in self.everyone() if function is not sender]
        for function in others:
            if (found := function.claim(space, address, size)) is not None:
                return Route(path, function, *found)
        for function in others:
            if function.below is not None and function.forwards(space, address, size):
                return function.below.route_down(space, address, size, path)
        return None

    def _refusal(self, space: Space, address: int) -> str:
        reasons = (function.silence(space, address) for function in self.everyone())
        reason = next(filter(None, reasons), "no function claims it")
        return f"bus {self.number:02x}, {space} {address:#x}: {reason}"

    def route_config(
        self, bus: int, device: int, number: int, above: tuple[Bus, ...] = ()
    ) -> Route:
        """Who is `bus`:`device`.`number`, from this bus down.

        On the bus that has the number, the request is of type 0; on the way there, of type 1.
        """
        path = (*above, self)
        target = self.find(bus, device, number)
        if target is not None or bus == self.number:
            refusal = "" if target else f"bus {bus:02x}: there is no {device:02x}.{number}"
            return Route(path, target, refusal=refusal)
        for function in self.functions.values():
            if function.below is not None and function.forwards_bus(bus):
                return function.below.route_config(bus, device, number, path)
        return Route(path, refusal=f"bus {self.number:02x}: no bridge leads to bus {bus:02x}")

    # -- requests that come from a device

    def route_up(
        self,
        sender: Function,
        iova: int,
        length: int,
        requester: int,
        below: tuple[Bus, ...] = (),
        redirected: bool = False,
    ) -> Route:
        """Where a memory request of `sender`, a function here, goes: to a peer, or to memory.

        Once ACS of a port has `redirected` it, it goes to the root complex and nowhere else.
        """
        path = (*below, self)
        redirected = redirected or sender.redirects
        if self.kind != "link" and not redirected:
            peer = self._claimed("memory", iova, length, path, sender)
            if peer is not None:
                return peer._replace(requester=requester)
        bridge = self.bridge
        if bridge is None or bridge.bus is None:
            return Route(path, requester=requester)
        why = ""
        if not bridge.awake:
            why = f"{bridge} sleeps, nothing goes up (PCI Express 3.0 5.3.1.4.1)"
        elif not bridge.may_request:
            why = f"{bridge}: Bus Master Enable is 0, nothing goes up (PCI bridge 1.2 3.2.4.3)"
        elif not bridge.admits(requester):
            why = f"{bridge}: ACS violation, {bdf_text(requester)} is not below it (6.12.1.1)"
        elif not redirected and bridge.forwards("memory", iova, length):
            redirected = bridge.returns
            if not redirected:
                why = f"{bridge}: {iova:#x} is in its own window, so it belongs below"
        if why:
            return Route(path, requester=requester, refusal=why)
        above = bridge.requester_for(requester)
        return bridge.bus.route_up(bridge, iova, length, above, path, redirected)

    # -- the four interrupt wires

    def set_intx(self, device: int, number: int, pin: int, level: bool) -> None:
        """A function drives its pin, 1 to 4. Wires of one name are shared (PCI 3.0, 2.2.6).

        Behind a bridge its name changes with the device (PCI-to-PCI Bridge 1.2, 9.1; PCI
        Express 3.0, 2.2.8.1).
        """
        key = (device, number, pin)
        if level == (key in self._asserted):
            return
        before = self._wire(pin)
        (self._asserted.add if level else self._asserted.discard)(key)
        above = self.top().complex
        if self.kind == "link" and above is not None and before != self._wire(pin):
            above.packets.intx(self, self.functions[device, number], pin, level)
        if self.bridge is None:
            if self.complex is not None:
                shared = any((d, p) == (device, pin) for d, _, p in self._asserted)
                self.complex.set_intx(device, pin, shared)
            return
        wire = swizzle(device, pin)
        high = any(swizzle(d, p) == wire for d, _, p in self._asserted)
        if self.bridge.bus is not None:
            self.bridge.bus.set_intx(self.bridge.device, self.bridge.number, wire, high)

    def _wire(self, pin: int) -> bool:
        """Whether any function pulls `pin`."""
        return any(p == pin for _, _, p in self._asserted)

    def __repr__(self) -> str:
        return f"Bus({self.number:02x}, {self.kind}, {len(self.functions)} functions)"


def swizzle(device: int, pin: int) -> int:
    """The pin, 1 to 4, that `pin` of `device` becomes on the other side of a bridge.

    >>> [swizzle(device=1, pin=pin) for pin in (1, 2, 3, 4)]
    [2, 3, 4, 1]
    """
    return (device + pin - 1) % 4 + 1
