"""The registers of a function that is somewhere else: BARs and configuration space, by a client.

    processor --> BAR -----------> RemoteBar --> REGION_READ, REGION_WRITE --> a server
    processor --> configuration -> RemoteConfig: BARs are here, all else is asked for there

The idea: the machine that has the function gives addresses to BARs, and to messages. So what has
such addresses is here: the BARs in configuration space, and the table of MSI-X (`Overlaid`).

The rule that keeps it simple: a guest's access has an answer, whatever the server says. What it
refuses is as if nobody answered: all ones are read, and what is written is lost.

Source: vfio-user.rst, "Read and Write Operations"; PCI 3.0, 6.2.5.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from virtlab.bus import Device, cycles
from virtlab.hosts.vfio_user.client import Client
from virtlab.hosts.vfio_user.layouts import RegionIndex
from virtlab.hosts.vfio_user.messages import Refused
from virtlab.pci.config import ConfigSpace, Header, Type0
from virtlab.pci.msix import ENTRY, MsixTable
from virtlab.wire import all_ones

BARS = range(Type0.BAR0.offset, Type0.CARDBUS_CIS.offset)
"""The bytes of configuration space that are this end's."""


class RemoteBar:
    """Region `index` of `client`. `after` is called behind each access: the guest has looked."""

    def __init__(self, client: Client, index: int, after: Callable[[], None]) -> None:
        self.client, self.index, self.after = client, index, after

    def read(self, offset: int, size: int) -> int:
        """Ask for it."""
        value = _read(self.client, self.index, offset, size)
        self.after()
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        """Send it."""
        _write(self.client, self.index, offset, value.to_bytes(size, "little"))
        self.after()


class Overlaid:
    """A BAR with an MSI-X table, which is this end's, at `at`; `other` is the rest."""

    def __init__(self, table: MsixTable, at: int, other: Device) -> None:
        self.table, self.other = table, other
        self.span = range(at, at + table.vectors * ENTRY)

    def read(self, offset: int, size: int) -> int:
        """An entry, or the server's."""
        if offset in self.span:
            return self.table.read(offset - self.span.start, size)
        return self.other.read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """The same, written."""
        if offset in self.span:
            self.table.write(offset - self.span.start, size, value)
        else:
            self.other.write(offset, size, value)


class RemoteConfig(ConfigSpace):
    """Configuration space: the BARs are in `header`, all else is `client`'s."""

    def __init__(self, header: Header, client: Client, size: int) -> None:
        super().__init__(header)
        self.client = client
        self.size = size

    def _read(self, offset: int, size: int) -> int:
        if offset + size > self.size or offset in BARS:
            return super()._read(offset, size)
        return _read(self.client, RegionIndex.CONFIG, offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Written there, and to what is here; then `written` is called."""
        for at, n, shift in cycles(offset, size, 4):
            if at + n <= self.size:
                data = (value >> shift & all_ones(n)).to_bytes(n, "little")
                _write(self.client, RegionIndex.CONFIG, at, data)
        super().write(offset, size, value)


def _read(client: Client, region: int, offset: int, size: int) -> int:
    """A register of the server's. What it refuses is all ones, as where nobody answers."""
    try:
        return int.from_bytes(client.read(region, offset, size), "little")
    except Refused:
        return all_ones(size)


def _write(client: Client, region: int, offset: int, data: bytes) -> None:
    """The same, written: what is refused is lost."""
    with suppress(Refused):
        client.write(region, offset, data)
