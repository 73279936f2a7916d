"""With whom a function would be given away: who can reach it past the unit, or be reached by it.

    root port
      switch, upstream
        port 0, ACS on   -- edu      its own requests all go up; yet those of edu 2 come down to it
        port 1, ACS off  -- edu 2    a request of edu 2 to a BAR of edu never meets the unit

The idea: a function is safe to give away if no request passes between it and another endpoint
unseen, in neither direction. `pci.acs.groups` asks, as Linux does, where a function's own requests
go. It does not ask whether a neighbour without ACS reaches *into* it. So the neighbours are asked
too.

The rule that keeps it simple: wherever ports stand side by side on the way to the root, both the
port on the way and the other one must send everything up.

Source: PCI Express 3.0, 6.12; Linux, `pci_device_group` and `pci_acs_path_enabled`.
"""

from __future__ import annotations

from virtlab.pci.acs import groups, isolates
from virtlab.pci.bus import Bus
from virtlab.pci.function import Function


def find(top: Bus, source_id: int) -> Function | None:
    """The function with this source id, on or below `top`."""
    return next((each for each in top.walk() if each.source_id == source_id), None)


def companions(top: Bus, function: Function) -> list[Function]:
    """The endpoints that `function` cannot be told apart from or kept apart from.

    They are in the order in which a scan meets them.
    """
    group = next(each for each in groups(top) if function in each)
    near = {*group, *_neighbours(function)}
    return [each for each in top.walk() if each in near and each is not function and _ends(each)]


def _neighbours(function: Function) -> list[Function]:
    """What is below ports beside its way to the root, where one of the two lets peers talk."""
    found: list[Function] = []
    child, bus = function, function.bus
    while bus is not None and bus.bridge is not None:
        child, bus = bus.bridge, bus.bridge.bus
        for other in bus.functions.values() if bus is not None else ():
            apart = isolates(child) and isolates(other)
            if other is not child and other.below is not None and not apart:
                found += other.below.walk()
    return found


def _ends(function: Function) -> bool:
    """Whether it is an endpoint, and no bridge."""
    return function.below is None
