"""PCI Express ports: where links begin and end.

    root complex --- root port ====link==== endpoint
                 --- root port ====link==== switch: upstream port
                                                    |  internal bus
                                              downstream ports ====links==== endpoints
                 --- root port ====link==== PCIe-PCI bridge --- conventional bus

The idea: to software a link is a bus with one device, and a port is a bridge. So a switch is a
bridge (upstream) with an internal bus of bridges (downstream) below it, and enumeration written for
conventional PCI finds it all.

The identities are those of chips that exist, so that `lspci` has a name for them.

Source: PCI Express 3.0, 1.3 and 7.1; PCI Express to PCI/PCI-X Bridge 1.0, 2.3.
"""

from __future__ import annotations

from virtlab.pci.bridge import Bridge, of_source
from virtlab.pci.bus import Kind
from virtlab.pci.capabilities import Express, PowerManagement, SubsystemId
from virtlab.pci.config import EXPRESS, EXTENDED
from virtlab.pci.extended import Acs, Aer, SerialNumber
from virtlab.pci.function import Function, Identity

EXPRESS_AT, POWER_AT, SUBSYSTEM_AT, ACS_AT = 0x40, 0x80, 0x90, 0x150
"""Where a port keeps its capabilities; AER is the first extended one."""

ENDPOINT_AT, SERIAL_AT = 0xC0, 0x150
"""Where an endpoint keeps them, behind what the device has of its own."""

MAX_DOWNSTREAM = 32
"""Downstream ports of a switch: devices on its internal bus."""


class Port(Bridge):
    """A port of `role`, in the words of the PCI Express capability; `number` is the port's own."""

    def __init__(
        self, identity: Identity, role: str, kind: Kind, name: str, number: int = 0, slot: int = 0
    ) -> None:
        super().__init__(identity, kind, name=name, express=True)
        self.role = role
        self.config.add(Express(role, port=number, slot=slot), EXPRESS_AT)
        self.config.add(PowerManagement(), POWER_AT)
        self.config.add(SubsystemId(identity.vendor, identity.device), SUBSYSTEM_AT)
        self.config.add(Aer(), EXTENDED)


class RootPort(Port):
    """Where a link leaves the root complex."""

    def __init__(self, name: str = "root port", slot: int = 1) -> None:
        identity = Identity(0x8086, 0x2940, 0x060400, 2)
        super().__init__(identity, "root port", "link", name, number=slot, slot=slot)
        self.config.add(Acs(), ACS_AT)


class UpstreamPort(Port):
    """A switch's end of the link to the root."""

    def __init__(self, name: str = "upstream port") -> None:
        super().__init__(Identity(0x104C, 0x8232, 0x060400, 2), "upstream port", "internal", name)


class DownstreamPort(Port):
    """Where a link leaves a switch."""

    def __init__(self, name: str = "downstream port", slot: int = 1) -> None:
        identity = Identity(0x104C, 0x8233, 0x060400, 2)
        super().__init__(identity, "downstream port", "link", name, number=slot, slot=slot)
        self.config.add(Acs(), ACS_AT)


class Switch:
    """An upstream port with `count` downstream ports.

    Plug `upstream` in; `downstream[n].below` is the link of port n.
    """

    def __init__(self, count: int = 2, name: str = "switch") -> None:
        if not 1 <= count <= MAX_DOWNSTREAM:
            raise ValueError(f"a switch has 1 to {MAX_DOWNSTREAM} downstream ports, not {count}")
        self.upstream = UpstreamPort(f"{name}, upstream")
        self.downstream = [DownstreamPort(f"{name}, port {n}", slot=n + 1) for n in range(count)]
        for device, port in enumerate(self.downstream):
            self.upstream.below.plug(port, device)


class PciePciBridge(Port):
    """From a link to a conventional bus."""

    def __init__(self, name: str = "PCIe-PCI bridge") -> None:
        identity = Identity(0x104C, 0x8231, 0x060400, 3)
        super().__init__(identity, "pcie-pci bridge", "conventional", name)

    def requester_for(self, requester: int) -> int:
        """The bus below, device 0, function 0 (PCI Express to PCI bridge 1.0, 2.3)."""
        return of_source(self.secondary)


def make_express(
    function: Function, kind: str = "endpoint", at: int = ENDPOINT_AT, serial: int = 0
) -> Function:
    """Give a function that is not plugged in yet what PCI Express asks of an endpoint.

    4096 bytes of configuration space, the PCI Express capability at `at`, error reporting, and,
    where `serial` is given, a serial number.
    """
    if function.bus is not None:
        raise ValueError(f"{function} is plugged in already")
    function.config.size = EXPRESS
    function.config.add(Express(kind), at)
    function.config.add(Aer(), EXTENDED)
    if serial:
        function.config.add(SerialNumber(serial), SERIAL_AT)
    return function
