"""What a network device and its driver have come to: the address, the link, and what is told of it.

    who                        writes `mac`                                 `status` says
    a driver with CTRL_MAC     by a command (5.1.6.5.2)                     the link is up
    a legacy driver            in the configuration, byte by byte           please announce yourself
    any other                  not at all

The idea: the configuration is a picture of a few attributes. Whoever changes one has it drawn anew,
and the driver is told, unless it was the driver that made the change.

The rule that keeps it simple: a reset brings back the address that the device was made with.

Source: virtio 1.3 5.1.4, 5.1.4.3 (legacy), 5.1.6.5.2, 5.1.6.5.4. Left out: speed and duplex.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from virtlab.backends.network import MAX_FRAME, LinkEnd, is_group
from virtlab.virtio.device import VirtioDevice
from virtlab.virtio.net_layouts import (
    CONFIG,
    ETH_HEADER,
    MAC_BYTES,
    MAX_PAIRS,
    MIN_MTU,
    VLAN_TAG,
    NetFeature,
    NetStatus,
)


class NetSession(VirtioDevice):
    """The configuration of a network device at `wire`, without its packets.

    `mac` is its address now, `permanent_mac` that after a reset. `ValueError` for an address, a
    number of `pairs` or an `mtu` that cannot be.
    """

    def __init__(
        self,
        wire: LinkEnd,
        mac: bytes,
        mtu: int | None,
        pairs: int,
        queue_sizes: Sequence[int],
        features: Iterable[int],
    ) -> None:
        _check(mac, mtu, pairs)
        super().__init__(queue_sizes, features)
        self.wire, self.pairs, self.mtu = wire, pairs, mtu
        self.permanent_mac = mac
        wire.link_listener = self._plugged

    def reset(self) -> None:
        """Its own address again, and nothing to announce."""
        self.mac = self.permanent_mac
        self.announcing = False
        self.config = self._config()

    # -- what is told to the driver

    def _plugged(self, up: bool) -> None:
        self.configure(self._config())

    def announce(self) -> None:
        """Ask the driver to tell its neighbours where it is now, as after a migration."""
        self.announcing = True
        self.configure(self._config())

    def announced(self) -> None:
        """The driver has seen that: the bit is cleared before the command is used (5.1.6.5.4)."""
        self.announcing = False
        self.configure(self._config())

    def set_mac(self, mac: bytes) -> None:
        """The driver chose an address; `mac` says so before the command is used (5.1.6.5.2)."""
        self.mac = mac
        self.configure(self._config())

    def _config(self) -> bytes:
        config = np.zeros((), CONFIG)
        config["mac"] = np.frombuffer(self.mac, np.uint8)
        announce = NetStatus.ANNOUNCE if self.announcing else 0
        config["status"] = (NetStatus.LINK_UP if self.wire.up else 0) | announce
        config["max_virtqueue_pairs"] = self.pairs
        config["mtu"] = self.mtu or 0
        return config.tobytes()

    # -- what the driver may write

    def write_config(self, offset: int, data: bytes) -> bool:
        """A legacy driver may write `mac`, in any pieces; no other one, and nothing else (5.1.4.3).

        On its way from one address to the next it has others: none of them may be a group's.
        """
        legacy = self.host is not None and self.host.legacy
        end = offset + len(data)
        if not legacy or NetFeature.MAC not in self.features or end > MAC_BYTES:
            return False
        mac = self.mac[:offset] + data + self.mac[end:]
        if is_group(mac):
            return False
        # The driver knows what it has written: there is nothing to tell it.
        self.mac = mac
        self.config = self._config()
        return True


def _check(mac: bytes, mtu: int | None, pairs: int) -> None:
    if len(mac) != MAC_BYTES or is_group(mac):
        raise ValueError(f"a station's address has {MAC_BYTES} bytes, bit 0 clear, not {mac.hex()}")
    if not 1 <= pairs <= MAX_PAIRS:
        raise ValueError(f"a device has 1 to {MAX_PAIRS} pairs of queues, not {pairs}")
    most = MAX_FRAME - ETH_HEADER - VLAN_TAG
    if mtu is not None and not MIN_MTU <= mtu <= most:
        raise ValueError(f"an MTU is {MIN_MTU} to {most} here, not {mtu}")
