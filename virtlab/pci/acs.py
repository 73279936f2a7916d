"""Which functions can reach each other without the IOMMU: the groups of device assignment.

    root port, ACS on                          group 1: the port alone
      switch, upstream                         group 2
        downstream, ACS on  -- card A          groups 3, 4: alone
        downstream, ACS off -- card B          group 5: both, and all that is behind the port

The idea: an IOMMU sees a request only if it comes up to the root. A switch may send it to a peer
before. So a device is safe to give away only if every port above it sends everything up (ACS). Who
can reach each other otherwise is one group, and a group goes to one owner.

The rule that keeps it simple: from a function go up while a port on the way to the root lets peers
talk. Where that ends, a group begins. It is the algorithm of Linux, `pci_device_group`. It asks
where a function's own requests go. That a neighbour behind an open port may write *to* a function,
it does not ask: `vmm.passthrough_groups` does.

Source: PCI Express 3.0, 6.12; PCI Express to PCI bridge 1.0, 2.3 (source ids). Left out: quirks of
single chips, and source ids that a device has by a vendor's mistake.
"""

from __future__ import annotations

from collections.abc import Iterator

from virtlab.pci.bridge import Bridge
from virtlab.pci.bus import Bus
from virtlab.pci.capabilities import Express
from virtlab.pci.config import Header
from virtlab.pci.extended import Acs
from virtlab.pci.function import Function
from virtlab.pci.pcie import WITH_SLOT

REQUIRED = (
    Acs.CONTROL.SOURCE_VALIDATION.mask
    | Acs.CONTROL.P2P_REQUEST_REDIRECT.mask
    | Acs.CONTROL.P2P_COMPLETION_REDIRECT.mask
    | Acs.CONTROL.UPSTREAM_FORWARDING.mask
)
"""Controls that must be on for a function to count as isolated."""

NEVER = ("pcie-pci bridge", "pci-pcie bridge", "root complex event collector")
"""Roles that have no ACS, or speak conventional PCI on one side. On such a bus there are no source
ids: to the IOMMU all behind the bridge look like the bridge."""


def isolates(function: Function) -> bool:
    """Whether peers cannot be reached through `function`, as far as PCI Express knows."""
    express = function.config.find(Express)
    if express is None or express.role in NEVER:
        return False
    if express.role in WITH_SLOT or is_multifunction(function):
        return enforces(function)
    # ACS is for ports, and for devices of several functions (6.12.1.3).
    return True


def enforces(function: Function) -> bool:
    """Whether each required control is on, or is not offered because it always holds (6.12.1)."""
    acs = function.config.find(Acs)
    if acs is None:
        return False
    needed = REQUIRED & acs.CAPABILITY
    return acs.CONTROL & needed == needed


def is_multifunction(function: Function) -> bool:
    """Whether its device has several functions. VFs do not count, nor is one (`pci/iov.c`)."""
    if function.share is not None or function.bus is None:
        return False
    first = function.bus.functions[function.device, 0].header.HEADER_TYPE
    return bool(Header.HEADER_TYPE.MULTI_FUNCTION.get(first))


def above(function: Function) -> Iterator[Bridge]:
    """The bridges from a function up to the root."""
    bus = function.bus
    while bus is not None and bus.bridge is not None:
        yield bus.bridge
        bus = bus.bridge.bus


def is_safe(port: Bridge) -> bool:
    """Whether `port` and all above it send requests up to the root."""
    return isolates(port) and all(isolates(bridge) for bridge in above(port))


def groups(top: Bus) -> list[list[Function]]:
    """The functions on and below `top`, bridges included, in groups that cannot be told apart.

    Groups and members are in the order in which a scan meets them.
    """
    found: list[list[Function]] = []
    numbers: dict[Function, int] = {}
    for function in top.walk():
        number = _group(function, numbers)
        if number is None:
            number = len(found)
            found.append([])
        found[number].append(function)
        numbers[function] = number
    return found


def _group(function: Function, numbers: dict[Function, int]) -> int | None:
    """The group that is there already for `function`; None if it begins one."""
    start = function
    for bridge in above(function):
        if is_safe(bridge):
            break
        start = bridge
        if bridge in numbers:
            return numbers[bridge]
    return _of_siblings(start, numbers)


def _of_siblings(function: Function, numbers: dict[Function, int]) -> int | None:
    """Functions of one device reach each other inside it, unless its ACS says otherwise."""
    if function.bus is None or not is_multifunction(function) or isolates(function):
        return None
    for (device, _), other in function.bus.functions.items():
        if device == function.device and other in numbers and not isolates(other):
            return numbers[other]
    return None
