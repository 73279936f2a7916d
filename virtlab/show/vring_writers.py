"""Who wrote each byte of a virtqueue, and which bytes the other side has read.

    driver   writes  descriptor table, available ring     reads  used ring
    device   writes  used ring                            reads  descriptor table, available ring

The idea: both sides run for real, and every access to the queue's memory is kept, byte by byte. So
the picture is a record of a run, not a claim about it.

The rule that keeps it simple: the driver clears the memory before the device knows of it, and the
record begins after that. A view of memory moves nothing and is not kept.

Source: virtio 1.3 2.7 ("each part is write-able by either the driver or the device, but not both"),
2.8 (packed).
"""

from __future__ import annotations

from typing import Literal

from virtlab.guest.virtqueue_packed import PackedDriver
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.memory import GuestMemory
from virtlab.show.palette import (
    FAINT,
    GREEN_TINT,
    INK,
    MARGIN,
    MUTED,
    SKY_TINT,
    SMALL,
    WHITE,
    YELLOW_TINT,
)
from virtlab.show.ring_cost import Lines, Pair, Side, WatchedCpu, WatchedDma, batch
from virtlab.show.ring_look import MODERN
from virtlab.show.svg import TOP, Picture, breadth, caption, picture, rect, write
from virtlab.show.vring_map import Part, parts_of
from virtlab.virtio.layouts import SplitRings, offset_of
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import PackedRings
from virtlab.virtio.split import SplitQueue

BASE = 0x2_1000
"""Where the watched queue begins."""

_RAM, _ROW, _CELL, _ACROSS, _LEFT = 0x12_0000, 26.0, 28.0, 16, 130.0

Layout = Literal["split", "packed"]
Writers = tuple[Side, ...]

_LETTERS: dict[Writers, str] = {(): "", ("driver",): "D", ("device",): "V"}
_TINTS: dict[Writers, str] = {(): WHITE, ("driver",): GREEN_TINT, ("device",): SKY_TINT}


class Marks(Lines):
    """For each byte of the queue, who has written it, and who has read it."""

    def clear(self) -> None:
        """Forget everything so far."""
        super().clear()
        self.written: dict[int, set[Side]] = {}
        self.read: dict[int, set[Side]] = {}

    def note(self, side: Side, gpa: int, length: int, write: bool) -> None:
        """One access by `side`."""
        super().note(side, gpa, length, write)
        kept = self.written if write else self.read
        for start, size in self.spans:
            for byte in range(max(gpa, start), min(gpa + length, start + size)):
                kept.setdefault(byte, set()).add(side)

    def writers(self, gpa: int) -> Writers:
        """Who has written this byte: nobody, one side, or both in the order of their names."""
        return tuple(sorted(self.written.get(gpa, ())))

    def crossed(self, gpa: int) -> bool:
        """Whether a side has read this byte that the other side has written."""
        writers, readers = self.written.get(gpa, set()), self.read.get(gpa, set())
        return any(reader != writer for reader in readers for writer in writers)


def recorded(
    layout: Layout = "split", size: int = 4, requests: int = 2
) -> tuple[Marks, SplitRings | PackedRings]:
    """Run `requests` of one buffer each through a queue: what was accessed, and where it lies."""
    memory = GuestMemory(_RAM)
    placed = SplitRings.placed if layout == "split" else PackedRings.placed
    rings = placed(BASE, size)
    marks = Marks(rings.parts)
    cpu, dma = WatchedCpu(memory, marks), WatchedDma(memory, marks)
    made: Pair
    if isinstance(rings, PackedRings):
        made = Pair(marks, PackedDriver(cpu, rings, MODERN), PackedQueue(dma))
        made.queue.enable(rings, MODERN)  # type: ignore[arg-type]
    else:
        made = Pair(marks, SplitDriver(cpu, rings, MODERN), SplitQueue(dma))
        made.queue.enable(rings, MODERN)  # type: ignore[arg-type]
    marks.clear()
    batch(made, requests)
    return marks, rings


def tally(marks: Marks, rings: SplitRings | PackedRings) -> dict[str, Writers]:
    """For each part of the queue, every side that has written into it."""
    return {
        part.name: tuple(
            sorted({who for gpa in range(part.gpa, part.end) for who in marks.writers(gpa)})
        )
        for part in parts_of(rings)
    }


# -- the picture


def writers_picture(
    marks: Marks, rings: SplitRings | PackedRings, title: str = "Who wrote each byte"
) -> Picture:
    """Every byte of the queue, 16 a row: who has written it, and whether the other side read it."""
    drawn, y = [], TOP + 8.0
    for part in parts_of(rings):
        drawn.append(write(_LEFT, y + 12, part.name, bold=True))
        y += 24
        for row, start in enumerate(range(part.gpa, part.end, _ACROSS)):
            drawn.append(_row(y + row * _ROW, part, start, marks))
        y += -(-part.length // _ACROSS) * _ROW + 16
    drawn.append(_keys(y + 8))
    drawn.append(caption(y + 34, "A thick foot: the other side has read this byte."))
    label = f"{title}: " + "; ".join(
        f"{name} by {' and '.join(who) or 'nobody'}" for name, who in tally(marks, rings).items()
    )
    return picture(title, y + 52, drawn, _text(title, marks, rings), label)


def _row(y: float, part: Part, start: int, marks: Marks) -> str:
    drawn = [write(_LEFT - 12, y + 17, f"{start:#x}", SMALL, MUTED, "end", mono=True)]
    for gpa in range(start, min(start + _ACROSS, part.end)):
        x = _LEFT + (gpa - start) * _CELL
        who = marks.writers(gpa)
        drawn.append(rect(x, y, _CELL, _ROW, _TINTS.get(who, YELLOW_TINT), FAINT, 0, 1))
        words = _LETTERS.get(who, "DV")
        if words:
            drawn.append(write(x + _CELL / 2, y + 17, words, SMALL, INK, "middle", mono=True))
        if marks.crossed(gpa):
            drawn.append(rect(x + 2, y + _ROW - 4, _CELL - 4, 4, INK, "none", 0))
    words = _fields(part, start)
    drawn.append(write(_LEFT + _ACROSS * _CELL + 16, y + 17, words, SMALL, MUTED, mono=True))
    return "".join(drawn)


def _fields(part: Part, start: int) -> str:
    """The fields that begin in this row: a descriptor, or the members of a ring."""
    offset = start - part.gpa
    if part.times > 1:
        return f"[{offset // part.layout.itemsize}] " + " ".join(part.layout.names or ())
    names = []
    for name in part.layout.names or ():
        at, field = offset_of(part.layout, name), part.layout[name]
        count = field.shape[0] if field.shape else 1
        each = field.itemsize // count
        here = [n for n in range(count) if offset <= at + n * each < offset + _ACROSS]
        if here and field.shape:
            last = f"-{here[-1]}" if len(here) > 1 else ""
            names.append(f"{name}[{here[0]}{last}]")
        elif here:
            names.append(name)
    return " ".join(names)


def _keys(y: float) -> str:
    """Swatches with names, in one line."""
    keys = (
        (GREEN_TINT, "D", "driver, in the guest"),
        (SKY_TINT, "V", "device, in the VMM"),
        (YELLOW_TINT, "DV", "both"),
        (WHITE, "", "nobody"),
    )
    drawn, x = [], float(MARGIN)
    for tint, letters, name in keys:
        drawn.append(rect(x, y - 15, 30, 22, tint, FAINT, 0, 1))
        drawn.append(write(x + 15, y + 1, letters, SMALL, INK, "middle", mono=True))
        drawn.append(write(x + 38, y + 1, name, SMALL, MUTED))
        x += 38 + breadth(name, SMALL) + 20
    return "".join(drawn)


def _text(title: str, marks: Marks, rings: SplitRings | PackedRings) -> str:
    lines = [title]
    for part in parts_of(rings):
        lines.append(part.name)
        for start in range(part.gpa, part.end, _ACROSS):
            row = range(start, min(start + _ACROSS, part.end))
            cells = [_sign(marks, gpa) for gpa in row]
            lines.append(f"{start:>#10x}  {' '.join(cells).rstrip():<47}  {_fields(part, start)}")
    lines.append("D driver, V device, B both, . nobody; ' the other side has read it")
    return "\n".join(lines)


def _sign(marks: Marks, gpa: int) -> str:
    """One byte in the text: who, and whether the other side has read it."""
    who = marks.writers(gpa)
    return (_LETTERS.get(who, "B") or ".") + ("'" if marks.crossed(gpa) else " ")
