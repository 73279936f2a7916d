"""Packets on a link, and who answers whom: made together, so that the answer is known.

`Traffic` writes down each request with the completions that it will get, while it adds packets.
Three ways to make it: by hand, from a board of ours that is watched, and at random, with a few tags
that are used again and again.

Source: PCI Express 3.0, 2.2.6.2 (transaction ID), 2.2.9 and 2.3.1.1 (completions).
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import NamedTuple

from virtlab.course.ps2.boards import Board, Card
from virtlab.pci.express import RootPort, make_express
from virtlab.pci.tlp import POSTED, Tlp, bdf_text, completions

Entry = tuple[int, str, list[int]]
"""A request's place in the trace, "posted" or "non-posted", and the places of its completions."""


class Packet(NamedTuple):
    """What task 5 needs of a TLP. `length` and `byte_count` are in bytes."""

    kind: str
    requester: int
    tag: int
    length: int = 4
    byte_count: int = 0

    @classmethod
    def of(cls, tlp: Tlp) -> Packet:
        """The fields of a real packet, as its header says them."""
        seen = Tlp.decode(tlp.header())
        count = seen.byte_count if seen.completion else 0
        return cls(seen.kind, seen.requester, seen.tag, seen.length, count)

    def __str__(self) -> str:
        count = f", byte count {self.byte_count}" if self.kind == "CplD" else ""
        return f"{self.kind} {bdf_text(self.requester)} tag {self.tag}, {self.length} bytes{count}"


class Traffic:
    """Packets in order, and what must be found in them."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.expected: list[Entry] = []

    def ask(self, kind: str, requester: int = 0x0100, tag: int = 0, length: int = 4) -> Entry:
        """A request; completions are added to what it gives."""
        word = "posted" if kind in POSTED else "non-posted"
        entry: Entry = len(self.packets), word, []
        self.packets.append(Packet(kind, requester, tag, length))
        self.expected.append(entry)
        return entry

    def answer(self, entry: Entry | None, kind: str, length: int = 0, left: int = 0) -> Traffic:
        """A completion of `length` bytes, of `left` that are still to come, for a request."""
        assert entry is not None
        entry[2].append(len(self.packets))
        return self.stray(self.packets[entry[0]], kind, length, left)

    def stray(self, asked: Packet, kind: str, length: int = 0, left: int = 0) -> Traffic:
        """A completion with the name of `asked` that belongs to nobody."""
        count = left or length
        self.packets.append(Packet(kind, asked.requester, asked.tag, length, count))
        return self


def board_traffic() -> Traffic:
    """What crosses a link of ours: the processor configures, writes, reads; the card does DMA."""
    board, port, card = Board("express"), RootPort(), Card(1, {0: ("memory", 0x1000, 32, False)})
    board.bus.plug(port, 1)
    port.below.plug(make_express(card))
    board.enumerate()
    registers = card.bars[0].address(card.header)
    with board.root.watching() as crossings:
        board.root.config_write(1, 0, 0, 0x0C, 1, 0x10)
        board.root.write("memory", registers, 4, 1)
        board.root.read("memory", registers + 8, 4)
        card.dma.read(0x1F40, 600)
        card.dma.write(0x2F80, bytes(300))
        card.dma.read(0x4004, 4)
    return taken([crossing.tlp for crossing in crossings if crossing.bus == 1])


def taken(tlps: Iterable[Tlp]) -> Traffic:
    """Real packets, where each completion answers the last request with its tag."""
    traffic = Traffic()
    asked: dict[int, Entry] = {}
    for tlp in tlps:
        packet = Packet.of(tlp)
        if tlp.completion:
            traffic.answer(asked[tlp.tag], packet.kind, packet.length, packet.byte_count)
        else:
            entry = traffic.ask(packet.kind, packet.requester, packet.tag, packet.length)
            asked |= {tlp.tag: entry} if tlp.non_posted else {}
    return traffic


def random_traffic(rng: Random, steps: int = 40) -> Traffic:
    """Three requesters with three tags each, and whatever is under way at once."""
    traffic = Traffic()
    waiting: dict[tuple[int, int], tuple[Entry, list[Packet]]] = {}
    for _ in range(steps):
        name = rng.choice((0x0100, 0x0200, 0x0208)), rng.randrange(3)
        if name not in waiting and rng.random() < 0.5:
            kind = rng.choice(("MRd", "MRd", "MRd", "MWr", "MWr", "Msg", "CfgRd0", "CfgWr0"))
            length = 4 * rng.randrange(1, 64) if kind in ("MRd", "MWr") else 4
            entry = traffic.ask(kind, *name, length)
            if entry[1] == "non-posted" and rng.random() < 0.9:
                waiting[name] = entry, _answers(kind, length, rng)
        elif name in waiting:
            entry, answers = waiting[name]
            packet = answers.pop(0)
            traffic.answer(entry, packet.kind, packet.length, packet.byte_count)
            if not answers:
                del waiting[name]
        elif rng.random() < 0.1:
            traffic.ask("MWr", *name, 64)
    return traffic


def _answers(kind: str, length: int, rng: Random) -> list[Packet]:
    """The completions of one request, cut at 64 bytes."""
    if kind == "CfgWr0" or rng.random() < 0.1:
        return [Packet("Cpl", 0, 0, 0)]
    start = 4 * rng.randrange(16)
    return [Packet("CplD", 0, 0, n, left) for _, n, left in completions(start, length, 64)]
