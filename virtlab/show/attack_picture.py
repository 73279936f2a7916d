"""An attack as a picture: what the guest wrote, the process before and after, what came of it.

    what the guest does           the process, low to high
    0x1010 desc 1: 0x8000 ...     another VM's memory      VM 2 logs             untouched
      0080.. 00020000 0100 0200   the key of the disks     DISK KEY -> AAAAAA    overwritten
    ----------------------------------------------------------------------------------------
    the device, the guest, all others: a sentence for each

The idea: every row of the map is a window of 16 bytes, and a word says what became of it. Colour
and pattern say the same again.

The rule that keeps it simple: the picture is a function of an `Outcome`, so of two names.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from virtlab.show.attack_hand import DATA, Note
from virtlab.show.attack_memory import (
    DISK,
    HANDLERS,
    KEY,
    OTHER_DISK,
    OTHER_RAM,
    RAM,
    SETTINGS,
    Span,
    pieces,
    window,
    window_at,
)
from virtlab.show.attack_run import Outcome
from virtlab.show.attack_words import device_did, guest_sees, host_lost, title
from virtlab.show.palette import (
    GREEN_TINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    SMALL,
    VERMILLION_TINT,
    WHITE,
    WIDTH,
)
from virtlab.show.shapes import dots, hatch
from virtlab.show.svg import TOP, Picture, fit, line, picture, rect, write

_LEFT, _MAP, _ROW, _LINE = MARGIN, 506, 56, 19
_LINES = 19
_TELL, _CHARS = 136, 102

UNTOUCHED, LOOKED, COPIED, OVER, MINE = "untouched", "looked at", "copied", "overwritten", "own"
_TINTS = {
    UNTOUCHED: WHITE,
    LOOKED: GREY_TINT,
    COPIED: ORANGE_TINT,
    OVER: VERMILLION_TINT,
    MINE: GREEN_TINT,
}
_SPANS = (OTHER_RAM, RAM, SETTINGS, KEY, HANDLERS, DISK, OTHER_DISK)


class Row(NamedTuple):
    """A window of the process: where, what is there before and after, and what became of it."""

    offset: int
    name: str
    before: str
    after: str
    state: str
    words: str


def attack_picture(outcome: Outcome) -> Picture:
    """The bytes, the map, and three sentences."""
    found, heading = rows(outcome), title(outcome)
    drawn = [
        write(_LEFT, TOP + 8, "what the guest does", SMALL, MUTED),
        write(_MAP, TOP + 8, "the host's process, not to scale", SMALL, MUTED),
        *_notes(outcome.notes),
        *(_row(TOP + 20 + place * _ROW, row) for place, row in enumerate(found)),
    ]
    y = TOP + 36.0 + len(found) * _ROW
    drawn.append(line(_LEFT, y - 12, WIDTH - MARGIN, y - 12, MUTED, 1))
    for who, words in told(outcome):
        lines = textwrap.wrap(words, _CHARS)
        drawn.append(write(_LEFT, y + 8, who, SMALL, INK, bold=True))
        drawn += [write(_TELL, y + 8 + i * _LINE, part, SMALL) for i, part in enumerate(lines)]
        y += len(lines) * _LINE + 6
    label = " ".join([f"{heading}.", *(f"{who}: {words}" for who, words in told(outcome))])
    return picture(heading, y + 8, drawn, _text(heading, outcome, found), label)


def told(outcome: Outcome) -> tuple[tuple[str, str], ...]:
    """The three sides, and a sentence or two for each."""
    return (
        ("The device", device_did(outcome)),
        ("The guest", guest_sees(outcome)),
        ("All others", host_lost(outcome)),
    )


# -- the map


def rows(outcome: Outcome) -> list[Row]:
    """The windows that are shown, low to high."""
    return [_window(outcome, span) for span in _SPANS]


def _window(outcome: Outcome, span: Span) -> Row:
    if span == RAM:
        place = _stolen(outcome)
        name = f"guest memory, gpa {place:#x}"
        start = RAM.start + place
        before, after = (part[start : start + 16] for part in (outcome.before, outcome.after))
    else:
        start, name = window_at(span), span.name
        before, after = window(span, outcome.before), window(span, outcome.after)
    state, words = _state(outcome, span)
    if span.mine and before != after:
        words = "its own, changed"
    return Row(start, name, _shown(before), _shown(after), state, words)


def _state(outcome: Outcome, span: Span) -> tuple[str, str]:
    """What became of the span, and how that is said."""
    if span.mine:
        return MINE, "its own"
    if span in outcome.damaged:
        return OVER, OVER
    if span in outcome.leaked:
        return COPIED, f"copied to gpa {_copy_of(outcome, span):#x}"
    if any(span == where for _, where, _ in outcome.strayed):
        return LOOKED, LOOKED
    return UNTOUCHED, UNTOUCHED


def _stolen(outcome: Outcome) -> int:
    """The gpa of what the guest has got; of its buffer, if it has got nothing."""
    return min((_copy_of(outcome, span) for span in outcome.leaked), default=DATA)


def _copy_of(outcome: Outcome, span: Span) -> int:
    """The gpa at which a secret stands now."""
    ram = outcome.after[RAM.start : RAM.end]
    return next(at for part in pieces(span) if (at := ram.find(part)) >= 0)


def _shown(data: bytes) -> str:
    """Sixteen characters: the bytes as text if they are, else the first eight in hexadecimal."""
    if all(32 <= byte < 127 for byte in data.rstrip(b"\0")) and data.rstrip(b"\0"):
        return data.rstrip(b"\0").decode("ascii")
    return data[:8].hex()


def _row(y: float, row: Row) -> str:
    """One window: its name and state above, its bytes below."""
    width = WIDTH - MARGIN - _MAP
    tint, height = _TINTS[row.state], _ROW - 6
    drawn = [rect(_MAP, y, width, height, tint, INK, 3, 3 if row.state == OVER else 1.5)]
    if row.state == OVER:
        drawn.append(hatch(_MAP, y, width, height, WHITE))
    if row.state == COPIED:
        drawn.append(dots(_MAP, y, width, height, WHITE))
    drawn.append(write(_MAP + 10, y + 19, row.name, SMALL, bold=True, halo=tint))
    end = WIDTH - MARGIN - 10
    bold = row.state in (OVER, COPIED)
    drawn.append(write(end, y + 19, row.words, SMALL, anchor="end", bold=bold, halo=tint))
    drawn.append(write(_MAP + 10, y + 41, _bytes(row), SMALL, mono=True, halo=tint))
    return "".join(drawn)


def _bytes(row: Row) -> str:
    changed = "" if row.before == row.after else f" → {row.after}"
    return f"{row.offset:#06x}  {row.before}{changed}"


# -- the attacker's side


def _notes(notes: tuple[Note, ...]) -> Iterator[str]:
    lines = list(_lines(notes))
    if len(lines) > _LINES:
        rest = len(lines) - _LINES + 1
        lines = [*lines[: _LINES - 1], (f"and {rest} lines more", MUTED)]
    for number, (words, fill) in enumerate(lines):
        shown = fit(words, _MAP - _LEFT - 12, SMALL, True)
        yield write(_LEFT, TOP + 34 + number * _LINE, shown, SMALL, fill, mono=True)


def _lines(notes: tuple[Note, ...]) -> Iterator[tuple[str, str]]:
    """Each note, and below it the bytes, field by field, if it is a descriptor."""
    for note in notes:
        yield f"{note.gpa:#06x} {note.words}" if note.gpa >= 0 else note.words, INK
        if note.words.startswith("desc"):
            parts = (note.data[:8], note.data[8:12], note.data[12:14], note.data[14:])
            yield f"       {' '.join(part.hex() for part in parts)}", MUTED


def _text(heading: str, outcome: Outcome, found: list[Row]) -> str:
    lines = [heading, *(words for words, _ in _lines(outcome.notes)), ""]
    lines += [f"{_bytes(row):54}  {row.name}: {row.words}" for row in found]
    return "\n".join([*lines, "", *(f"{who}: {words}" for who, words in told(outcome))])
