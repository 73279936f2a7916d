"""The switch inside a card with virtual functions: between them, their physical one, and the wire.

    wire ----+---- port 0  the physical function    trunk: sees tags as they are
             +---- port 1  VF 1   52:54:00:..:01    VLAN 5
             +---- port 2  VF 2   52:54:00:..:02    VLAN 5
             +---- port 3  VF 3   52:54:00:..:03    untagged

    to an address of a port in the same VLAN    that port, and nobody else
    to a group                                  all of the VLAN, the physical function, the wire
    to any other address                        from inside: the wire; from the wire: port 0

The idea: this switch learns nothing. It need not, for whoever set it up told it every address. So
nobody can make it forget or flood, and a VF that sends under another's address is caught.

The rule that keeps it simple: a VF is in one VLAN and never sees a tag. Its frames are tagged on
their way out, and a frame that it tagged itself is dropped.

Source: 802.1Q 5.9 and 6.9 (ports and tags), 802.1Qbg 5.23 (edge virtual bridges); as in the Intel
82599, 7.10. Left out: mirroring, rates, more VLANs in one VF, frames that a VF sends to itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from virtlab.backends.frames import DESTINATION, SOURCE, Frames
from virtlab.backends.network import Link, LinkEnd, is_group
from virtlab.virtio.net_filter import TAGGED, tagged_many, vlan
from virtlab.virtio.net_layouts import ETH_HEADER, MAC_BYTES, VLAN_TAG

WIRE, PHYSICAL = -1, 0
"""The two that are trunks, by their number as a sender or receiver."""

MAX_VLAN = 4094
"""The highest VLAN; 0 is the untagged network (802.1Q 9.6)."""


@dataclass
class Port:
    """What a port was told. `counts` has `sent`, `received`, and why frames were `dropped: ...`.

    `present` says whether the function behind it exists now.
    """

    mac: bytes
    vlan: int = 0
    spoof_check: bool = True
    present: Callable[[], bool] = lambda: True
    counts: Counter[str] = field(default_factory=Counter)


class EmbeddedSwitch:
    """A switch with a port for each of `macs`, the physical function's first, and a `wire`.

    A function's wire is `ends[n]`; `ports[n]` are its settings, `links[n]` its cable. `own` gives
    the physical function's address, which its driver may change. `malformed` counts frames from a
    trunk with half a tag.
    """

    def __init__(self, wire: LinkEnd, macs: list[bytes]) -> None:
        self.wire = wire
        self.ports = [Port(mac, spoof_check=number > PHYSICAL) for number, mac in enumerate(macs)]
        self.links = [Link(f"function {number}") for number in range(len(macs))]
        self.ends = [link.a for link in self.links]
        self.own: Callable[[], bytes] = lambda: self.ports[PHYSICAL].mac
        self.malformed = 0
        wire.listener, wire.many_listener = self._listeners(WIRE)
        for number, link in enumerate(self.links):
            link.b.listener, link.b.many_listener = self._listeners(number)

    def _listeners(self, number: int) -> tuple[Callable[[bytes], None], Callable[[Frames], None]]:
        return (
            lambda frame: self.forward(number, frame),
            lambda frames: self.forward_many(number, frames),
        )

    # -- where a frame goes

    def where(self, sender: int, to: bytes, vid: int) -> list[int]:
        """The ports, and `WIRE`, that a frame in VLAN `vid` to address `to` goes to."""
        if is_group(to):
            found = [WIRE, PHYSICAL, *self._virtual(vid)]
        elif to == self.own():
            found = [PHYSICAL]
        else:
            found = self._virtual(vid, to) or [PHYSICAL if sender == WIRE else WIRE]
        return [number for number in found if number != sender]

    def _virtual(self, vid: int, to: bytes | None = None) -> list[int]:
        """The VFs that are there in VLAN `vid`: all, or the one with address `to`."""
        return [
            number
            for number, port in enumerate(self.ports)
            if number > PHYSICAL and to in (None, port.mac) and port.vlan == vid and port.present()
        ]

    def taken(self, mac: bytes, vid: int, but: int) -> bool:
        """Whether a port other than `but` has this address in this VLAN."""
        others = [port for number, port in enumerate(self.ports) if number != but]
        return any((port.mac, port.vlan) == (mac, vid) for port in others)

    # -- one frame

    def forward(self, sender: int, frame: bytes) -> None:
        """A frame comes from a port, or from `WIRE`."""
        if sender <= PHYSICAL:
            self._from_trunk(sender, frame)
            return
        port = self.ports[sender]
        if why := self._objection(port, frame):
            port.counts[f"dropped: {why}"] += 1
            return
        outer = _with_tag(frame, port.vlan) if port.vlan else frame
        self._send(sender, frame, outer, port.vlan)

    def _from_trunk(self, sender: int, frame: bytes) -> None:
        vid = vlan(frame)
        if vid is None and _looks_tagged(frame):
            self.malformed += 1
            return
        self._send(sender, frame if vid is None else _without_tag(frame), frame, vid or 0)

    def _send(self, sender: int, inner: bytes, outer: bytes, vid: int) -> None:
        """`inner` to functions, `outer` to trunks."""
        self._count(sender, 1)
        for number in self.where(sender, inner[:MAC_BYTES], vid):
            self._end(number, 1).send(outer if number <= PHYSICAL else inner)

    @staticmethod
    def _objection(port: Port, frame: bytes) -> str:
        """Why a VF may not send this."""
        if port.spoof_check and frame[SOURCE : SOURCE + MAC_BYTES] != port.mac:
            return "not its address"
        return "tagged" if _looks_tagged(frame) else ""

    def _end(self, number: int, count: int) -> LinkEnd:
        """Where `count` frames for this port go out."""
        if number == WIRE:
            return self.wire
        self.ports[number].counts["received"] += count
        return self.links[number].b

    def _count(self, sender: int, count: int) -> None:
        if sender != WIRE:
            self.ports[sender].counts["sent"] += count

    # -- many frames

    def forward_many(self, sender: int, frames: Frames) -> None:
        """Many come from a port or from `WIRE`: what so many `forward` do, in batches of one way.

        Frames of one port to another stay in order. Where tags are mixed in, they go one by one.
        """
        if sender > PHYSICAL:
            frames = self._allowed(self.ports[sender], frames)
        elif np.count_nonzero(tagged_many(frames)):
            for frame in frames:
                self._from_trunk(sender, frame)
            return
        self._count(sender, len(frames))
        self._spread(sender, frames, self.ports[sender].vlan if sender > PHYSICAL else 0)

    @staticmethod
    def _allowed(port: Port, frames: Frames) -> Frames:
        """Those that the VF may send."""
        tagged = tagged_many(frames)
        spoofed = np.zeros(len(frames), np.bool_)
        if port.spoof_check:
            spoofed = frames.addresses(SOURCE) != int.from_bytes(port.mac, "big")
        dropped = {"not its address": spoofed, "tagged": tagged & ~spoofed}
        for why, marked in dropped.items():
            if count := int(np.count_nonzero(marked)):
                port.counts[f"dropped: {why}"] += count
        return frames.take(~(spoofed | tagged))

    def _spread(self, sender: int, frames: Frames, vid: int) -> None:
        """Send each frame where it goes, a batch for each port."""
        to = frames.addresses(DESTINATION)
        ways: dict[int, list[int]] = {}
        for address in np.unique(to).tolist():
            for number in self.where(sender, address.to_bytes(MAC_BYTES, "big"), vid):
                ways.setdefault(number, []).append(address)
        for number, addresses in ways.items():
            part = frames.take(np.isin(to, addresses))
            if vid and number <= PHYSICAL:
                part = Frames.of(_with_tag(frame, vid) for frame in part)
            self._end(number, len(part)).send_many(part)


def _looks_tagged(frame: bytes) -> bool:
    return frame[2 * MAC_BYTES : ETH_HEADER] == TAGGED


def _with_tag(frame: bytes, vid: int) -> bytes:
    """The frame with a tag behind its addresses (802.1Q 9.3)."""
    at = 2 * MAC_BYTES
    return frame[:at] + TAGGED + vid.to_bytes(2, "big") + frame[at:]


def _without_tag(frame: bytes) -> bytes:
    """The frame as it was before it was tagged."""
    at = 2 * MAC_BYTES
    return frame[:at] + frame[at + VLAN_TAG :]
