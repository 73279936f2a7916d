"""Who moves the bytes: processor, memory and device side by side, time downwards.

The idea: memory stands in the middle. What the processor does comes from the left, DMA from the
right, and never touches the processor's line. Equal accesses in a row are one arrow with a count,
so that 256 reads of a port fill one line, and the count says what they cost.

It reads a trace's events by their `kind`:

    in, out, load, store     by the processor; `who` answered: RAM, or a device
    dma read, dma write      by the device `who`, to and from memory
    interrupt, msi           the device to the processor
    fault, lost              a request of a device that was refused

Any other kind is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from virtlab.show.naming import READS, WRITES, Namer, Registers
from virtlab.show.palette import (
    BLUE,
    GREEN_TINT,
    INK,
    MARGIN,
    MUTED,
    PAPER,
    SKY_TINT,
    SMALL,
    VERMILLION,
    YELLOW_TINT,
)
from virtlab.show.shapes import arrow, cross, legend
from virtlab.show.svg import TOP, Picture, fit, line, picture, rect, write
from virtlab.trace import Event

PROCESSOR, MEMORY, DEVICE = "processor", "memory", "device"
_LANES = {PROCESSOR: 190.0, MEMORY: 520.0, DEVICE: 850.0}
_TINTS = {PROCESSOR: GREEN_TINT, MEMORY: YELLOW_TINT, DEVICE: SKY_TINT}
_ROW = 36

RAM = ("ram", "vram")
"""What main memory is called in a trace."""

DMA, SIGNALS, REFUSED = ("dma read", "dma write"), ("interrupt", "msi"), ("fault", "lost")


class Move(NamedTuple):
    """One arrow: `times` equal events of `size` bytes each, from lane `start` to lane `end`."""

    time: int
    kind: str
    who: str
    start: str
    end: str
    times: int
    size: int
    where: str

    @property
    def bytes(self) -> int:
        """Bytes that it moved."""
        return self.times * self.size

    @property
    def words(self) -> str:
        """What it was, in words."""
        often = f"{self.times} × " if self.times > 1 else ""
        if self.kind in SIGNALS:
            return f"{often}{self.kind} {self.where}".strip()
        if self.kind in REFUSED:
            return f"{often}refused: {self.where}"
        size = f"{self.size} byte{'s' * (self.size != 1)}"
        by = f", {self.who}" if self.who not in RAM else ""
        return f"{often}{self.kind} {self.where}, {size}{by}"


def moves(events: Iterable[Event], registers: Registers | None = None) -> list[Move]:
    """The arrows that events give, in order; equal ones in a row are counted.

    `registers` gives for a base address the declarations there, so that an arrow names them.
    """
    found: list[Move] = []
    namer = Namer(registers)
    for event in events:
        move = _move(event, namer)
        if move is None:
            continue
        last = found[-1] if found else None
        if last is not None and _alike(last, move):
            found[-1] = last._replace(times=last.times + 1)
        else:
            found.append(move)
    return found


def _alike(one: Move, other: Move) -> bool:
    """Whether the second is the same again: RAM and DMA may go on at the next address."""
    same = (one.kind, one.who, one.size) == (other.kind, other.who, other.size)
    return same and (one.where == other.where or MEMORY in (one.start, one.end))


def _move(event: Event, namer: Namer) -> Move | None:
    kind, who, size = event.kind, event.who, event.size
    where = f"{event.address:#x}"
    if kind in READS + WRITES:
        where = namer.name(kind in WRITES, event.address, event.value).register or where
        other = MEMORY if who in RAM else DEVICE
        ends = (other, PROCESSOR) if kind in READS else (PROCESSOR, other)
    elif kind in DMA:
        ends = (MEMORY, DEVICE) if kind == "dma read" else (DEVICE, MEMORY)
    elif kind in SIGNALS:
        ends, where, size = (DEVICE, PROCESSOR), event.note, 0
    elif kind in REFUSED:
        ends, where, size = (DEVICE, MEMORY), event.note, 0
    else:
        return None
    return Move(event.time, kind, who, *ends, 1, size, where)


class Tally(NamedTuple):
    """What moved: accesses by the processor, interrupts, and bytes by whom."""

    accesses: int
    interrupts: int
    by_processor: int
    by_dma: int


def tally(events: Iterable[Event]) -> Tally:
    """Count the processor's accesses to devices and memory, interrupts, and bytes each moved."""
    found = moves(events)
    accesses = [move for move in found if move.kind in READS + WRITES]
    return Tally(
        sum(move.times for move in accesses),
        sum(move.times for move in found if move.kind in SIGNALS),
        sum(move.bytes for move in accesses),
        sum(move.bytes for move in found if move.kind in DMA),
    )


def dma_timeline(
    events: Sequence[Event],
    limit: int = 14,
    title: str = "Who moves the bytes",
    registers: Registers | None = None,
) -> Picture:
    """The first `limit` arrows of a trace, between processor, memory and device.

    `registers` gives for a base address the declarations there, so that an arrow names them. Times
    count from the first event.
    """
    start = events[0].time if events else 0
    found = [move._replace(time=move.time - start) for move in moves(events, registers)]
    shown = found[: max(0, limit)]
    more = len(found) - len(shown)
    count = tally(events)
    top = TOP + 40.0
    bottom = top + len(shown) * _ROW + 12
    parts = [_heads(), *(line(x, top - 10, x, bottom, MUTED, 1.5, "3 5") for x in _LANES.values())]
    parts += [_draw(move, top + _ROW * (i + 0.62)) for i, move in enumerate(shown)]
    if more:
        parts.append(write(MARGIN, bottom + 20, f"and {more} more", SMALL, MUTED))
        bottom += 24
    parts.append(legend(bottom + 34, _KEYS))
    label = (
        f"{title}. Accesses by the processor: {count.accesses}."
        f" Bytes by DMA: {count.by_dma}. Interrupts: {count.interrupts}."
    )
    return picture(title, bottom + 54, parts, _text(title, shown, more), label)


def _heads() -> str:
    parts = [write(MARGIN, TOP + 20, "time (ns)", SMALL, MUTED)]
    for name, x in _LANES.items():
        parts.append(rect(x - 60, TOP, 120, 30, _TINTS[name], INK, 6))
        parts.append(write(x, TOP + 20, name, anchor="middle", bold=True))
    return "".join(parts)


def _draw(move: Move, y: float) -> str:
    stamp = write(MARGIN, y + 5, f"{move.time}", SMALL, MUTED, mono=True)
    start, end = _LANES[move.start], _LANES[move.end]
    left, right = sorted((start, end))
    stroke, weight, dash = _style(move)
    shaft = arrow(start, y, end, stroke, weight, dash)
    if move.kind in REFUSED:
        middle = (left + right) / 2
        shaft = line(start, y, middle, y, stroke, weight, dash) + cross(middle, y, VERMILLION)
    words = fit(move.words, right - left - 26, SMALL)
    return stamp + shaft + write(left + 16, y - 9, words, SMALL, halo=PAPER)


def _style(move: Move) -> tuple[str, float, str]:
    """Colour, weight and dashes; the weight says DMA to an eye that sees no colour."""
    if move.kind in DMA:
        return BLUE, 6.0, ""
    if move.kind in SIGNALS:
        return VERMILLION, 2.5, "2 4"
    if move.kind in REFUSED:
        return MUTED, 2.0, "7 5"
    return INK, 2.0, ""


_KEYS = (
    (arrow(0, 9, 30, INK, 2.0), "the processor's access"),
    (arrow(30, 9, 0, BLUE, 6.0), "DMA"),
    (arrow(30, 9, 0, VERMILLION, 2.5, "2 4"), "interrupt"),
)


def _text(title: str, shown: Sequence[Move], more: int) -> str:
    """One line an arrow: time, from whom to whom, what."""
    lines = [title]
    for move in shown:
        lines.append(f"{move.time:>10} ns  {f'{move.start} -> {move.end}':<22}  {move.words}")
    if more:
        lines.append(f"{'':>10}     and {more} more")
    return "\n".join(lines)
