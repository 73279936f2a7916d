"""Who talks to whom when a real Linux uses a disk written in Python.

    QEMU, a process                                        Python, a process
      Linux, its driver        1 socket: messages            BackEnd
                               2 guest memory: one file      VirtioBlk
                               3 kick: an eventfd            the disk: a bytearray
                               4 call: an eventfd

The idea: two processes, and four things between them. Only the first is a conversation, and it is
over before the first request. After that there is memory, and a bell in each direction.

The rule that keeps it simple: what is drawn is what exists. Each of the four is a file descriptor.

Source: vhost-user.rst, "Communication".
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.show.palette import (
    BODY,
    GREEN_TINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    PURPLE_TINT,
    SKY_TINT,
    SMALL,
    WHITE,
    WIDTH,
)
from virtlab.show.shapes import arrow
from virtlab.show.svg import TOP, Picture, picture, rect, write


class Line(NamedTuple):
    """One thing between the two: its name, what it is for, and which way it goes."""

    name: str
    what: str
    way: str  # "->", "<-", "<>" or "=" for memory


LINES = (
    Line("a socket", "messages, to start and to stop", "<>"),
    Line("guest memory", "one file: rings and buffers", "="),
    Line("kick", "an eventfd: something is available", "->"),
    Line("call", "an eventfd: something was used", "<-"),
)
"""From top to bottom."""

LEFT = (
    ("Linux", "an application, ext4", GREEN_TINT),
    ("virtio_blk", "the driver, unmodified", GREEN_TINT),
    ("QEMU", "processor, PCI, registers", GREY_TINT),
)
RIGHT = (
    ("BackEnd", "messages and rings", SKY_TINT),
    ("VirtioBlk", "reads and answers chains", SKY_TINT),
    ("the disk", "16 MiB, a bytearray", PURPLE_TINT),
)
"""What is in each process, from top to bottom: a name, what it does, and its colour."""

_SIDE, _BOX = 250.0, 62.0


def world_picture(title: str = "A real Linux, and a disk in Python") -> Picture:
    """The two processes and the four things between them."""
    top, tall = TOP + 4, 3 * (_BOX + 14) + 40
    right = WIDTH - MARGIN - _SIDE
    parts = [_process(MARGIN, top, tall, "a process: QEMU", LEFT)]
    parts.append(_process(right, top, tall, "a process: Python", RIGHT))
    step = tall / len(LINES)
    for number, each in enumerate(LINES):
        parts.append(_line(number, each, top + number * step, right))
    text = [title, f"{'QEMU':<34}{'Python'}"]
    for one, other in zip(LEFT, RIGHT, strict=True):
        text.append(f"  {one[0]:<12}{one[1]:<26}  {other[0]:<12}{other[1]}")
    text += [f"{n + 1}. {each.name} {each.way} {each.what}" for n, each in enumerate(LINES)]
    return picture(title, top + tall + 18, parts, "\n".join(text), f"{title}: {len(LINES)} ways")


def _process(
    x: float, y: float, tall: float, name: str, holds: tuple[tuple[str, str, str], ...]
) -> str:
    parts = [rect(x, y, _SIDE, tall, WHITE, INK, 10, 2)]
    parts.append(write(x + _SIDE / 2, y + 24, name, BODY, INK, "middle", True))
    for number, (words, what, tint) in enumerate(holds):
        top = y + 38 + number * (_BOX + 14)
        parts.append(rect(x + 14, top, _SIDE - 28, _BOX, tint, INK, 6))
        parts.append(write(x + _SIDE / 2, top + 26, words, BODY, INK, "middle", True))
        parts.append(write(x + _SIDE / 2, top + 47, what, SMALL, MUTED, "middle"))
    return "".join(parts)


def _line(number: int, each: Line, y: float, right: float) -> str:
    """One of the four: an arrow, or the memory as a box that both touch."""
    left, middle = MARGIN + _SIDE, WIDTH / 2
    parts = []
    if each.way == "=":
        parts.append(rect(left - 6, y + 4, right - left + 12, 54, ORANGE_TINT, INK, 4, 2.5))
    else:
        start, end = (right - 4, left) if each.way == "<-" else (left + 4, right)
        parts.append(arrow(start, y + 52, end, INK, 2.5, both=each.way == "<>"))
    parts.append(write(middle, y + 24, f"{number + 1}. {each.name}", BODY, INK, "middle", True))
    parts.append(write(middle, y + 43, each.what, SMALL, MUTED, "middle"))
    return "".join(parts)
