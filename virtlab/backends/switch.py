"""A switch: it learns behind which port an address is, and floods what it does not know.

    switch = Switch(2)
    card = E1000(irq, dma, clock, wire=switch.ports[0])
    other = VirtioNet(switch.ports[1])

The rule that keeps it simple: a port is an end of a cable. Whatever has a cable can be plugged in.

Frames that come as a batch leave as batches: one for each way that some of them take.

Source: 802.1D 7.8, 7.9. Left out: spanning tree, VLANs.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from virtlab.backends.frames import DESTINATION, SOURCE, Frames, Ints
from virtlab.backends.network import Link, is_group
from virtlab.clock import SECOND, Clock

MAX_ADDRESSES = 1024
"""Addresses that a switch remembers; the one not seen for longest goes first."""

AGEING_TIME = 300 * SECOND
"""A switch forgets an address not seen for so long (802.1D, table 7-5)."""


class Seen(NamedTuple):
    """Behind which port an address was seen, and when (virtual ns)."""

    port: int
    time: int


class Switch:
    """A learning switch. Plug a device into `ports[i]`, a `LinkEnd`.

    With a `clock` an address is forgotten after `ageing` ns. `counts` has `forwarded`, `flooded`
    and `filtered` (known to be behind the port that it came from).
    """

    def __init__(
        self,
        ports: int,
        clock: Clock | None = None,
        ageing: int = AGEING_TIME,
        addresses: int = MAX_ADDRESSES,
    ) -> None:
        if ports < 1 or addresses < 1:
            raise ValueError(f"a switch has ports and addresses, not {ports} and {addresses}")
        self.clock = clock
        self.ageing = ageing
        self.limit = addresses
        self.links = [Link(f"port{number}") for number in range(ports)]
        self.ports = [link.a for link in self.links]
        self.table: OrderedDict[bytes, Seen] = OrderedDict()
        self.counts: Counter[str] = Counter()
        for number, link in enumerate(self.links):
            link.b.listener = self._listener(number)
            link.b.many_listener = self._many_listener(number)
            link.b.link_listener = self._plugged(number)

    @property
    def now(self) -> int:
        """The time by which addresses age."""
        return self.clock.now if self.clock is not None else 0

    def _listener(self, number: int) -> Callable[[bytes], None]:
        return lambda frame: self.forward(number, frame)

    def _many_listener(self, number: int) -> Callable[[Frames], None]:
        return lambda frames: self.forward_many(number, frames)

    def _plugged(self, number: int) -> Callable[[bool], None]:
        return lambda up: None if up else self.forget(number)

    def forward(self, number: int, frame: bytes) -> None:
        """A frame came in at port `number`: learn where it is from, send it where it goes."""
        self.learn(frame[6:12], number)
        target = self.where(frame[:6])
        if target is None:
            self.counts["flooded"] += 1
            for other, link in enumerate(self.links):
                if other != number:
                    link.b.send(frame)
        elif target == number:
            self.counts["filtered"] += 1
        else:
            self.counts["forwarded"] += 1
            self.links[target].b.send(frame)

    def forward_many(self, number: int, frames: Frames) -> None:
        """Many came in at port `number`: what so many `forward` do, but in batches of one way.

        All sources are learnt first. Frames of one port to another stay in order.
        """
        for source in _different(frames.addresses(SOURCE)):
            self.learn(source.to_bytes(6, "big"), number)
        to = frames.addresses(DESTINATION)
        ways: dict[int | None, list[int]] = {}
        for address in _different(to):
            ways.setdefault(self.where(address.to_bytes(6, "big")), []).append(address)
        for target, addresses in ways.items():
            here = frames if len(ways) == 1 else frames.take(np.isin(to, addresses))
            self._pass(number, target, here)

    def _pass(self, number: int, target: int | None, frames: Frames) -> None:
        if target is None:
            self.counts["flooded"] += len(frames)
            for other, link in enumerate(self.links):
                if other != number:
                    link.b.send_many(frames)
        elif target == number:
            self.counts["filtered"] += len(frames)
        else:
            self.counts["forwarded"] += len(frames)
            self.links[target].b.send_many(frames)

    def learn(self, source: bytes, number: int) -> None:
        """Remember that `source` is behind port `number`; a group address is nobody's source."""
        if is_group(source):
            return
        self.table[source] = Seen(number, self.now)
        self.table.move_to_end(source)
        if len(self.table) > self.limit:
            self.table.popitem(last=False)

    def where(self, address: bytes) -> int | None:
        """The port that `address` is behind; None for a group, and for one not known (any more)."""
        seen = self.table.get(address)
        if seen is None or is_group(address):
            return None
        if self.clock is not None and self.now - seen.time >= self.ageing:
            del self.table[address]
            return None
        return seen.port

    def forget(self, number: int) -> None:
        """Forget every address behind port `number`: its cable was pulled."""
        for address in [each for each, seen in self.table.items() if seen.port == number]:
            del self.table[address]


def _different(addresses: Ints) -> list[int]:
    """Each address once, in the order in which they come first."""
    if len(addresses) and not np.count_nonzero(addresses != addresses[0]):
        return [int(addresses[0])]
    return list(dict.fromkeys(addresses.tolist()))
