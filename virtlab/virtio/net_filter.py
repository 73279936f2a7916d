"""Which packets a network device lets in: by address, by mode, by VLAN.

    VLAN       tagged, and its number is not in the table    out
    broadcast  NOBCAST                                       out
    group      NOMULTI out, ALLMULTI in                      else in if it is in the table
    station    NOUNI out, ALLUNI in                          else in if it is ours, or in the table

The idea: what a driver did not ask for is not copied, and it is not woken for it. PROMISC stands
above all of this: then everything comes in.

The rule that keeps it simple: who has no way to ask gets everything. Without CTRL_RX no address is
looked at, without CTRL_VLAN no tag.

A table that is too long for us becomes ALLUNI or ALLMULTI, as the specification allows.
Source: virtio 1.3 5.1.6.5.1, 5.1.6.5.2, 5.1.6.5.3; 802.1Q 9.3 (the tag).
"""

from __future__ import annotations

import numpy as np

from virtlab.backends.frames import DESTINATION, Bools, Frames
from virtlab.backends.network import BROADCAST, is_group
from virtlab.virtio.features import Features
from virtlab.virtio.net_layouts import ETH_HEADER, MAC_BYTES, VLAN_TAG, NetFeature, Rx

MAX_TABLE = 64
"""Addresses that each table holds."""

TAGGED = b"\x81\x00"
"""What a VLAN's tag begins with."""

BY_ADDRESS: Features = frozenset({NetFeature.CTRL_RX, NetFeature.CTRL_RX_EXTRA})
"""With one of these the driver can say which addresses it wants."""


class Filter:
    """What the driver has asked for. `stations` and `groups` are its tables; None lets all in."""

    def __init__(self) -> None:
        self.modes: set[int] = set()
        self.stations: frozenset[bytes] | None = frozenset()
        self.groups: frozenset[bytes] | None = frozenset()
        self.vlans: set[int] = set()

    def wants(self, frame: bytes, mac: bytes, features: Features) -> bool:
        """Whether `frame` comes in at the device with address `mac`."""
        if Rx.PROMISC in self.modes:
            return True
        if NetFeature.CTRL_VLAN in features and not self._wants_vlan(frame):
            return False
        return not features & BY_ADDRESS or self._wants_address(frame[:MAC_BYTES], mac)

    def wants_many(self, frames: Frames, mac: bytes, features: Features) -> Bools:
        """(n,) the same for many."""
        found = np.ones(len(frames), np.bool_)
        if Rx.PROMISC in self.modes:
            return found
        if features & BY_ADDRESS:
            found = self._wants_addresses(frames, mac)
        if NetFeature.CTRL_VLAN in features:
            for number in np.flatnonzero(found & tagged_many(frames)).tolist():
                (frame,) = frames.cut(number, number + 1)
                found[number] = self._wants_vlan(frame)
        return found

    def _wants_addresses(self, frames: Frames, mac: bytes) -> Bools:
        to = frames.addresses(DESTINATION)
        own = to == int.from_bytes(mac, "big")
        others = {address: address.to_bytes(MAC_BYTES, "big") for address in to[~own].tolist()}
        wanted = [each for each, raw in others.items() if self._wants_address(raw, mac)]
        found: Bools = own & (Rx.NOUNI not in self.modes)
        return found | np.isin(to, wanted) if wanted else found

    def _wants_vlan(self, frame: bytes) -> bool:
        tag = vlan(frame)
        return tag is None or tag in self.vlans

    def _wants_address(self, to: bytes, mac: bytes) -> bool:
        if to == BROADCAST:
            return Rx.NOBCAST not in self.modes
        # NOMULTI and NOUNI take effect even if ALLMULTI or ALLUNI are on.
        if is_group(to):
            known = self.groups is None or to in self.groups
            return Rx.NOMULTI not in self.modes and (Rx.ALLMULTI in self.modes or known)
        known = self.stations is None or to in self.stations or to == mac
        return Rx.NOUNI not in self.modes and (Rx.ALLUNI in self.modes or known)


def tagged_many(frames: Frames) -> Bools:
    """(n,) whether it may have a tag."""
    at = frames.starts[:-1] + 2 * MAC_BYTES
    found: Bools = (frames.data[at] == TAGGED[0]) & (frames.data[at + 1] == TAGGED[1])
    return found


def vlan(frame: bytes) -> int | None:
    """The VLAN that a frame is tagged with; None if it is not.

    >>> vlan(bytes(12) + bytes.fromhex("8100 2005 0800")), vlan(bytes(14))
    (5, None)
    """
    if frame[2 * MAC_BYTES : ETH_HEADER] != TAGGED or len(frame) < ETH_HEADER + VLAN_TAG:
        return None
    return int.from_bytes(frame[ETH_HEADER : ETH_HEADER + 2], "big") & 0xFFF
