"""The control queue of a network device: commands, each answered by one byte.

    readable   [ class, command ][ data .... ]
    writable                                   [ ack ]
                 2 bytes                         1 byte

The idea: what changes while the device runs is no feature, and too much for a register. So it is a
command: which packets to let in, under which address, into how many queues.

The rule that keeps it simple: a command that is not understood, not negotiated, or has other data
than its description says is answered ERR, and changes nothing. Only a chain without room for a
head or an ack breaks the device.

Source: virtio 1.3 5.1.6.5. Left out: offloads chosen anew, RSS, hashes, coalescing, statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from virtlab.backends.network import is_group
from virtlab.errors import GuestError
from virtlab.virtio.chain import Chain
from virtlab.virtio.device import Queue, waiting
from virtlab.virtio.features import Features
from virtlab.virtio.net_filter import MAX_TABLE, Filter
from virtlab.virtio.net_layouts import (
    ANNOUNCE_ACK,
    COMMAND,
    CTRL_RX,
    MAC_ADDR_SET,
    MAC_BYTES,
    MAC_TABLE_SET,
    VLAN_ADD,
    VLAN_DEL,
    VQ_PAIRS_SET,
    Ack,
    Command,
    NetFeature,
    Rx,
)

HEAD = COMMAND.itemsize
COUNT = 4
"""Bytes of the number before each table of addresses."""

_NEEDS: dict[Command, NetFeature] = {
    (CTRL_RX, Rx.PROMISC): NetFeature.CTRL_RX,
    (CTRL_RX, Rx.ALLMULTI): NetFeature.CTRL_RX,
    (CTRL_RX, Rx.ALLUNI): NetFeature.CTRL_RX_EXTRA,
    (CTRL_RX, Rx.NOMULTI): NetFeature.CTRL_RX_EXTRA,
    (CTRL_RX, Rx.NOUNI): NetFeature.CTRL_RX_EXTRA,
    (CTRL_RX, Rx.NOBCAST): NetFeature.CTRL_RX_EXTRA,
    MAC_TABLE_SET: NetFeature.CTRL_RX,
    MAC_ADDR_SET: NetFeature.CTRL_MAC_ADDR,
    VLAN_ADD: NetFeature.CTRL_VLAN,
    VLAN_DEL: NetFeature.CTRL_VLAN,
    ANNOUNCE_ACK: NetFeature.GUEST_ANNOUNCE,
    VQ_PAIRS_SET: NetFeature.MQ,
}

NEEDS: Mapping[Command, NetFeature] = MappingProxyType(_NEEDS)
"""The commands that are known, and which feature each needs."""

MAX_VLAN = 4095
"""The largest number of a VLAN: 12 bits, all of which may be asked for."""

Table = frozenset[bytes] | None


class Controlled(Protocol):
    """What commands change."""

    filter: Filter
    pairs: int

    def set_mac(self, mac: bytes) -> None:
        """The driver has chosen another address."""

    def announced(self) -> None:
        """It has seen that it shall announce itself."""

    def use_pairs(self, count: int) -> None:
        """It uses so many pairs of queues, 1 to `pairs`."""


class Refused(Exception):
    """A command that is answered ERR."""


class Data:
    """The data of one command, read piece by piece: no byte twice, and none that is not asked."""

    def __init__(self, chain: Chain, queue: Queue) -> None:
        self.chain, self.queue = chain, queue
        self.at = HEAD

    @property
    def left(self) -> int:
        """Bytes that are still to be read."""
        return self.chain.readable - self.at

    def take(self, length: int) -> bytes:
        """The next `length` bytes. `Refused` if there are not so many."""
        if length > self.left:
            raise Refused
        found = self.chain.read(self.queue.dma, self.at, length)
        self.at += length
        return found

    def number(self, size: int) -> int:
        """The next `size` bytes, little-endian."""
        return int.from_bytes(self.take(size), "little")

    def end(self) -> None:
        """`Refused` if there is more."""
        if self.left:
            raise Refused

    def only(self, size: int) -> int:
        """The number that is all of the data."""
        found = self.number(size)
        self.end()
        return found

    def table(self) -> Table:
        """A number, and so many addresses; None if they are more than we keep."""
        count = self.number(COUNT)
        if count > MAX_TABLE:
            # If so many are not there, what is left is below 0, and the next step refuses.
            self.at += count * MAC_BYTES
            return None
        raw = self.take(count * MAC_BYTES)
        return frozenset(raw[at : at + MAC_BYTES] for at in range(0, len(raw), MAC_BYTES))


class Control:
    """Does what the commands say, to `device`."""

    def __init__(self, device: Controlled) -> None:
        self.device = device
        self.does: dict[Command, Callable[[Data], None]] = {
            MAC_TABLE_SET: self._set_tables,
            MAC_ADDR_SET: self._set_mac,
            VLAN_ADD: self._add_vlan,
            VLAN_DEL: self._remove_vlan,
            ANNOUNCE_ACK: self._announced,
            VQ_PAIRS_SET: self._use_pairs,
        }
        for mode in Rx:
            self.does[CTRL_RX, mode] = self._switch(mode)

    def handle(self, queue: Queue) -> None:
        """Do the commands that wait."""
        for chain in waiting(queue):
            # A command has a head to read, and room for an ack.
            if chain.readable < HEAD or chain.writable < 1:
                why = f"a command of {chain.readable} bytes to read, {chain.writable} to write"
                raise GuestError(why, "virtio 1.3 5.1.6.5")
            ack = self._do(chain, queue)
            queue.push(chain, chain.write(queue.dma, bytes([ack])))

    def _do(self, chain: Chain, queue: Queue) -> Ack:
        kind, command = chain.read(queue.dma, 0, HEAD)
        try:
            self._find((kind, command), queue.features)(Data(chain, queue))
        except Refused:
            return Ack.ERR
        return Ack.OK

    def _find(self, command: Command, features: Features) -> Callable[[Data], None]:
        if command not in NEEDS or NEEDS[command] not in features:
            raise Refused
        return self.does[command]

    # -- the commands

    def _switch(self, mode: Rx) -> Callable[[Data], None]:
        def switch(data: Data) -> None:
            # One byte containing 0 (off) or 1 (on).
            value = data.only(1)
            if value > 1:
                raise Refused
            modes = self.device.filter.modes
            (modes.add if value else modes.discard)(mode)

        return switch

    def _set_tables(self, data: Data) -> None:
        stations, groups = data.table(), data.table()
        data.end()
        # The first table has no group's address, the second nothing else.
        if any(map(is_group, stations or ())) or not all(map(is_group, groups or ())):
            raise Refused
        self.device.filter.stations, self.device.filter.groups = stations, groups

    def _set_mac(self, data: Data) -> None:
        mac = data.take(MAC_BYTES)
        data.end()
        if is_group(mac):
            raise Refused
        self.device.set_mac(mac)

    def _add_vlan(self, data: Data) -> None:
        self.device.filter.vlans.add(self._vlan(data))

    def _remove_vlan(self, data: Data) -> None:
        self.device.filter.vlans.discard(self._vlan(data))

    def _vlan(self, data: Data) -> int:
        number = data.only(2)
        if number > MAX_VLAN:
            raise Refused
        return number

    def _announced(self, data: Data) -> None:
        data.end()
        self.device.announced()

    def _use_pairs(self, data: Data) -> None:
        # The driver MUST NOT ask for 0, nor for more than max_virtqueue_pairs.
        count = data.only(2)
        if not 1 <= count <= self.device.pairs:
            raise Refused
        self.device.use_pairs(count)
