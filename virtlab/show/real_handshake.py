"""The handshake of QEMU and our back-end, message by message, and what breaks it.

    QEMU    -> GET_FEATURES                                        our back-end
            <- GET_FEATURES      SEG_MAX ... VERSION_1 ...
            -> ADD_MEM_REG       gpa 0x0, 512 MiB ...    [a file of 512 MiB]

The idea: a frame is one message of a recorded session. Above it stand those before, below it what
the back-end can reach by now. That comes from a real back-end, to which the messages are said once
more.

The rule that keeps it simple: a mistake is one message changed. The back-end's own words are what
is shown, and there the session stops.

Source: vhost-user.rst.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from virtlab.show.frames import PlayerState
from virtlab.show.palette import (
    BODY,
    FAINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    SMALL,
    VERMILLION_TINT,
    WHITE,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.player import Player
from virtlab.show.real_chapters import chapters, second_driver
from virtlab.show.real_memory import memory_parts, memory_text, shared
from virtlab.show.real_messages import (
    Sent,
    beside,
    wants_reply,
    words,
)
from virtlab.show.real_outcomes import RECORDED
from virtlab.show.real_replay import MISTAKES, Replay, possible, replay, spoilt
from virtlab.show.shapes import arrow
from virtlab.show.shell import choice, row
from virtlab.show.svg import TOP, Picture, breadth, fit, line, picture, rect, write

AROUND = 4
"""Messages shown before and after the one."""

_LANE = 118.0
_ROW = 34.0
_LINE = 116
"""Characters of a line of details."""


def handshake_picture(
    session: Sequence[Sent],
    index: int,
    said: Replay | None = None,
    title: str = "QEMU and our back-end",
) -> Picture:
    """Message `index`, those around it, and the memory after it. `IndexError` if there is none."""
    if not 0 <= index < len(session):
        raise IndexError(f"there is no message {index} among {len(session)}")
    known = said or replay(session)
    if known.refused is not None:
        session = session[: known.refused + 1]  # what would have come after it did not come
    start = min(max(0, index - AROUND), max(0, len(session) - 2 * AROUND - 1))
    shown = range(start, min(len(session), start + 2 * AROUND + 1))
    y = TOP + 6
    bottom = y + 48 + len(shown) * _ROW
    parts = [_sides(y, bottom, known.recorded)]
    parts += [
        _message(session[n], y + 44 + (n - start) * _ROW, n == index, n == known.refused)
        for n in shown
    ]
    parts.append(_details(bottom + 6, index, session[index], known))
    memory, places = shared(session, index), known.places[min(index, len(known.places) - 1)]
    drawn, end = memory_parts(bottom + 96, memory, places)
    one = session[index]
    label = f"{title}. {says(session, index, known)}"
    lines = [title, *(_text_line(session[n], n == index) for n in shown)]
    lines += [words(one), beside(one), *memory_text(memory, places)]
    if index == known.refused:
        lines.append(f"refused: {known.why}")
    lines += [RECORDED] if known.recorded else []
    text = "\n".join(each for each in lines if each)
    return picture(title, end + 16, [*parts, *drawn], text, label)


def says(session: Sequence[Sent], index: int, known: Replay) -> str:
    """A message in a sentence."""
    one = session[index]
    who = "QEMU asks" if one.asks else "The back-end answers"
    what = f": {words(one)}" if words(one) else ""
    start = (
        f"Message {index + 1} of {len(session)}, after {one.ns / 1e6:.0f} ms. {who} `{one.name}`"
    )
    extra = f" Beside it travels {beside(one)}." if one.fds else ""
    if index == known.refused:
        end = "the connection ends" if known.over else "the connection goes on"
        extra += f" Refused, and {end}: {known.why}."
    if known.recorded:
        extra += f" ({RECORDED}.)"
    return f"{start}{what}.{extra}"


# -- drawing


def _sides(y: float, bottom: float, recorded: bool) -> str:
    """The two processes, and the lines down from them."""
    between = "a UNIX socket, as it was recorded" if recorded else "a UNIX socket"
    parts = []
    for x, name, kind in (
        (MARGIN, "QEMU", "front-end"),
        (WIDTH - MARGIN - _LANE, "Python", "back-end"),
    ):
        parts.append(rect(x, y, _LANE, 40, GREY_TINT, INK, 6))
        parts.append(write(x + _LANE / 2, y + 17, name, BODY, INK, "middle", True))
        parts.append(write(x + _LANE / 2, y + 34, kind, SMALL, MUTED, "middle"))
        parts.append(line(x + _LANE / 2, y + 40, x + _LANE / 2, bottom, FAINT, 2))
    parts.append(write(WIDTH / 2, y + 24, between, SMALL, MUTED, "middle"))
    return "".join(parts)


def _message(one: Sent, y: float, current: bool, refused: bool) -> str:
    """A message: an arrow, its name, and what travels beside it."""
    left, right = MARGIN + _LANE / 2 + 6, WIDTH - MARGIN - _LANE / 2 - 6
    parts = []
    if current:
        tint = VERMILLION_TINT if refused else YELLOW_TINT
        parts.append(rect(left + 4, y + 1, right - left - 8, _ROW - 3, tint, "none", 4))
    ends = (left, right) if one.asks else (right, left)
    parts.append(arrow(ends[0], y + 27, ends[1], INK if current else MUTED, 3 if current else 1.5))
    x = left + 84
    parts.append(write(x, y + 19, one.name, SMALL, INK, bold=current, mono=True))
    parts.append(write(left + 72, y + 19, f"{one.ns / 1e6:.0f} ms", SMALL, MUTED, "end"))
    chip = beside(one)
    room = right - 10 - (breadth(chip, SMALL) + 16 if chip else 0)
    name = breadth(one.name, SMALL, mono=True)
    what = fit(words(one), room - x - name - 24, SMALL)
    parts.append(write(x + name + 14, y + 19, what, SMALL, MUTED))
    if chip:
        parts.append(_chip(room, y + 3, chip))
    return "".join(parts)


def _chip(x: float, y: float, chip: str) -> str:
    """A descriptor: it travels beside the bytes."""
    wide = breadth(chip, SMALL) + 12
    box = rect(x, y, wide, 21, ORANGE_TINT, INK, 10, 1.5)
    return box + write(x + wide / 2, y + 15, chip, SMALL, INK, "middle")


def _details(y: float, index: int, one: Sent, known: Replay) -> str:
    """The message in full, and what the back-end says against it."""
    refused = index == known.refused
    fill = VERMILLION_TINT if refused else WHITE
    parts = [rect(MARGIN, y, WIDTH - 2 * MARGIN, 76, fill, INK if refused else FAINT, 6, 2)]
    ask = "  It wants an answer." if wants_reply(one) else ""
    head = f"{one.name}, {len(one.payload)} bytes.{ask}"
    parts.append(write(MARGIN + 12, y + 21, head, SMALL, INK, bold=True))
    lines = _wrapped(f"Refused: {known.why}" if refused else words(one) or "nothing more")
    for number, each in enumerate(lines[:2]):
        parts.append(write(MARGIN + 12, y + 43 + 20 * number, fit(each, 860, SMALL), SMALL, INK))
    return "".join(parts)


def _wrapped(text: str) -> list[str]:
    """Lines of words that fit."""
    lines = [""]
    for each in text.split():
        if len(lines[-1]) + len(each) + 1 > _LINE - 12:
            lines.append("")
        lines[-1] = f"{lines[-1]} {each}".strip()
    return lines


def _text_line(one: Sent, current: bool) -> str:
    mark, way = ">" if current else " ", "->" if one.asks else "<-"
    chip = f"  [{beside(one)}]" if one.fds else ""
    return f"{mark} {one.ns / 1e6:>6.0f} ms {way} {one.name:<22} {words(one)}{chip}".rstrip()


# -- the widget


class Handshake(Player):
    """A recorded session under the reader's hands: step through it, and spoil one message of it.

    `session` may be `handshake()`, of `real_heard`. It starts where memory is shared. What is
    refused even as it was ends there. `ValueError` for one with no message, `OSError` as `replay`.
    """

    def __init__(self, session: Sequence[Sent]) -> None:
        self.recorded = self.session = list(session)
        self._say()
        places = chapters(self.session)
        later = second_driver(self.session)
        if later:
            places["Linux's own driver"] = later
        start = places.get("share memory", 0)
        lies = [(m, m) for m in MISTAKES if possible(self.recorded, m)]
        self.mistake = choice("Break it", [("as it was", ""), *lies], "")
        super().__init__(
            len(self.session),
            lambda index: handshake_picture(self.session, index, self.replayed),
            lambda index: says(self.session, index, self.replayed),
            "Handshake",
            places,
            start,
        )
        box: Any = self
        picture_, *controls, spoken = box.children
        box.children = (picture_, spoken, *controls, row(self.mistake))
        self.mistake.observe(lambda change: self._spoil(change["new"]), "value")

    def __repr__(self) -> str:
        return "Handshake: the messages of QEMU and a back-end"

    def reset(self) -> None:
        """The session as it was, where the player started."""
        self.mistake.value = ""
        super().reset()

    def _say(self, mistake: str = "") -> int | None:
        """Say the session once more, with one message changed: which one is refused, if any."""
        session = spoilt(self.recorded, mistake) if mistake else self.recorded
        self.replayed = replay(session)
        at = self.replayed.refused
        self.session = session if at is None else session[: at + 1]
        return at

    def _spoil(self, mistake: str) -> None:
        """Another session: up to what is refused, or the recorded one."""
        self._toggle.value = False
        at = self._say(mistake)
        length = len(self.session)
        self.state = PlayerState(self._start if at is None else at, length)
        most = max(length, self._go.max)
        self._play.max, self._go.max = most - 1, most
        self._show()
        self._play.max, self._go.max = length - 1, length
        self._go.description = f"Go to (1 to {length})"
