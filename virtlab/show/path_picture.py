"""The lecture's two figures, KVM without virtio and with it, drawn by one function.

    application                              application
        | call                                   | call
    ATA driver                               front-end ------+
        | many exits                             | a kick    |
    KVM                                      KVM             virtqueue
        |                                        |           virtio-buffer
    I/O controller, disk model               PCI, back-end --+
        |                                        |
    host driver, disk                        host driver, disk

The idea: both figures have the same boxes in the same places; `path_figures` says what they are
called. Memory that guest and QEMU share stands to the right of the exits, because what lies there
goes past them. A figure without such memory says so.

The rule that keeps it simple: a picture is a function of columns, and a column is a figure, how far
its request has come, and what that has cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from virtlab.show.layer_words import many
from virtlab.show.palette import (
    BODY,
    FAINT,
    INK,
    MARGIN,
    MUTED,
    PAPER,
    PURPLE_TINT,
    SMALL,
    WHITE,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.path_figures import FIGURES, HEADS, STACK, WHERE, Column, Figure, whole
from virtlab.show.path_steps import (
    APPLICATION,
    BUFFER,
    CONTROLLER,
    DEVICE,
    DISK,
    DRIVER,
    HOST,
    KVM,
    QUEUE,
    Spent,
)
from virtlab.show.shapes import arrow, hatch
from virtlab.show.svg import TOP, Picture, element, line, picture, rect, write

_DOWN = {"call": DRIVER, "exit": KVM, "pass": CONTROLLER, "decode": DEVICE, "host": HOST,
         "hardware": DISK}  # fmt: skip
"""The arrows down, by the box that they lead to."""
_UP = {"return": (DRIVER, APPLICATION), "inject": (KVM, DRIVER), "irq": (DEVICE, KVM)}

_COLUMN, _BETWEEN = 424.0, WIDTH - 2 * MARGIN - 2 * 424.0
_BOX, _TALL, _GAP = 258.0, 46.0, 32.0
_MEMORY, _PANEL = 292.0, 132.0
START = TOP + 34.0
END = START + 7 * _TALL + 6 * _GAP
"""Where the boxes of a column begin, and end."""


def path_picture(
    columns: Sequence[Column | str], title: str = "One request, and every box that it meets"
) -> Picture:
    """One or two columns side by side; a `str` is a figure alone, without a request in it.

    `ValueError` for none, or more than fit.
    """
    if not 1 <= len(columns) <= 2:
        raise ValueError(f"a picture has one or two columns, not {len(columns)}")
    drawn = [whole(each) if isinstance(each, str) else each for each in columns]
    parts = []
    for number, each in enumerate(drawn):
        parts += column_parts(MARGIN + number * (_COLUMN + _BETWEEN), each)
    label = "; ".join(f"{HEADS[each.way]}{_exits(each)}" for each in drawn)
    height = END + (24 if all(map(_empty, drawn)) else 120)
    return picture(title, height, parts, _text(title, drawn), f"{title}: {label}")


def column_parts(x: float, each: Column) -> list[str]:
    """A column whose left edge is at `x`: what `path_picture` and others draw."""
    figure = FIGURES[each.way]
    parts = [write(x, TOP + 14, HEADS[each.way], BODY, bold=True)]
    parts += _memory(x, figure, each)
    parts += [_box(x, name, figure, each) for name in STACK]
    parts += [_down(x, via, name, each) for via, name in _DOWN.items()]
    parts += [_up(x, via, *ends, each) for via, ends in _UP.items()]
    return parts if _empty(each) else [*parts, *_counts(x, each)]


def _exits(each: Column) -> str:
    return "" if _empty(each) else f", {many(each.spent.exits, 'exit')}"


def _empty(each: Column) -> bool:
    """Whether it is a figure alone."""
    return not each.at and each.spent == Spent() and APPLICATION in each.seen


def _y(name: str) -> float:
    return START + STACK.index(name) * (_TALL + _GAP)


def _looks(name: str, tint: str, each: Column) -> tuple[str, str, str, float]:
    """Fill, ink, outline and weight of a box: lit, passed, or not yet reached."""
    if name == each.at:
        return YELLOW_TINT, INK, INK, 3.5
    if name in each.seen:
        return tint, INK, INK, 1.5
    return WHITE, MUTED, FAINT, 1.5


def _box(x: float, name: str, figure: Figure, each: Column) -> str:
    where, tint = WHERE[name]
    fill, ink, outline, weight = _looks(name, tint, each)
    y, middle = _y(name), x + _BOX / 2
    return (
        rect(x, y, _BOX, _TALL, fill, outline, weight=weight)
        + write(middle, y + 20, figure[name], BODY, ink, "middle", bold=True)
        + write(middle, y + 38, where, SMALL, MUTED, "middle")
    )


def _down(x: float, via: str, name: str, each: Column) -> str:
    """An arrow to the box below, and its count."""
    spent, y = each.spent, _y(name)
    counts = {"exit": (spent.exits, "exit"), "host": (spent.requests, "request")}
    bright, (count, what) = via in each.seen, counts.get(via, (0, ""))
    shaft = _vertical(x + 24, y - _GAP, y, bright, via == each.via)
    label = write(x + 40, y - 10, many(count, what), SMALL, INK, bold=True) if count else ""
    return shaft + label


def _up(x: float, via: str, start: str, end: str, each: Column) -> str:
    """An arrow to a box above; it is dotted, as all that the device's side begins."""
    bright, lit = via in each.seen, via == each.via
    at, low, high = x + _BOX - 24, _y(start), _y(end) + _TALL
    if not bright:
        return ""
    count = each.spent.interrupts if via == "inject" else 0
    words = many(count, "IRQ")
    label = write(at - 14, high + 20, words, SMALL, INK, "end", bold=True) if count else ""
    if via != "irq":
        return _vertical(at, low, high, bright, lit, "3 4") + label
    between = _y(CONTROLLER)
    return _vertical(at, between, high, bright, lit, "3 4") + _vertical(
        at, low, between + _TALL, bright, lit, "3 4"
    )


def _vertical(x: float, y1: float, y2: float, bright: bool, lit: bool, dash: str = "") -> str:
    ink, weight = (INK, 4.0 if lit else 2.0) if bright else (FAINT, 2.0)
    step = 9 if y2 > y1 else -9
    head = element("path", d=f"M{x - 6:g} {y2 - step:g}h12l-6 {step:g}z", fill=ink)
    return line(x, y1, x, y2 - step, ink, weight, dash) + head


# -- the memory that both sides share


def _memory(x: float, figure: Figure, each: Column) -> list[str]:
    """The panel between the driver and the device, with what is in it."""
    left, top, bottom = x + _MEMORY, _y(DRIVER), _y(DEVICE) + _TALL
    parts = [rect(left, top, _PANEL, bottom - top, PAPER, MUTED, 8, 1.5, "5 4")]
    middle = left + _PANEL / 2
    if not figure[QUEUE]:
        parts.append(hatch(left, top, _PANEL, bottom - top))
        for row, words in enumerate(("nothing", "is shared")):
            y = (top + bottom) / 2 + 20 * row
            parts.append(write(middle, y, words, SMALL, MUTED, "middle", halo=PAPER))
        return parts
    parts.append(write(middle, top + 20, "shared memory", SMALL, MUTED, "middle"))
    for name, y in ((QUEUE, top + 66), (BUFFER, top + 140)):
        fill, ink, outline, weight = _looks(name, PURPLE_TINT, each)
        parts.append(rect(left + 6, y, _PANEL - 12, 52, fill, outline, weight=weight))
        parts.append(write(middle, y + 31, figure[name], SMALL, ink, "middle", bold=True))
    parts += _side(x, "driver", top + 40, each.spent.shared, each)
    parts += _side(x, "fetch", bottom - 22, each.spent.fetched, each)
    return parts


def _side(x: float, via: str, y: float, count: int, each: Column) -> list[str]:
    """The arrow between a box and the memory, and how often it was used."""
    if via not in each.seen:
        return []
    shaft = arrow(x + _BOX, y, x + _MEMORY, INK, 4 if via == each.via else 2, both=True)
    words = many(count, "access", "accesses") if count else ""
    middle = x + _MEMORY + _PANEL / 2
    return [shaft, write(middle, y + 5, words, SMALL, INK, "middle", bold=True) if words else ""]


# -- what it cost

_COLUMNS = {"exits": "exits", "registers": "registers", "interrupts": "interrupts",
            "copies": "copies"}  # fmt: skip


def _counts(x: float, each: Column) -> list[str]:
    parts, width = [], _COLUMN / len(_COLUMNS)
    for number, (name, words) in enumerate(_COLUMNS.items()):
        middle = x + (number + 0.5) * width
        parts.append(
            write(middle, END + 30, f"{getattr(each.spent, name)}", BODY, INK, "middle", bold=True)
        )
        parts.append(write(middle, END + 49, words, SMALL, MUTED, "middle"))
    for row, words in enumerate(wrap(each.words, 52)[:2]):
        parts.append(write(x, END + 78 + 19 * row, words, SMALL))
    return parts


def _text(title: str, columns: Sequence[Column]) -> str:
    lines = [title]
    for each in columns:
        figure = FIGURES[each.way]
        names = [f"[{figure[name]}]" if name == each.at else figure[name] for name in STACK]
        memory = ", ".join(figure[name] for name in (QUEUE, BUFFER) if figure[name])
        lines += [HEADS[each.way], "    " + " > ".join(names)]
        lines.append(f"    shared memory: {memory or 'none'}")
        if not _empty(each):
            spent = each.spent._asdict()
            lines.append("    " + ", ".join(f"{name} {count}" for name, count in spent.items()))
        if each.words:
            lines.append(f"    now at the {figure[each.at] if each.at else 'end'}: {each.words}")
    return "\n".join(lines)
