"""A recorded boot, byte by byte: the accesses on the left, the console they print on the right.

The idea: what Linux prints is hidden in its port writes. Every write to the transmitter's register
is one character. So a frame is one access, and the console at that frame is all the characters
written so far.

The rule that keeps it simple: everything that depends on order (which register an access meets,
how much was printed) is computed once, in `console_frames`, in one walk over the trace. Drawing a
frame looks at the few accesses around it, so it takes as long at the end of a boot as at its start.

Leaves out: cursor addressing. An escape sequence shows as its characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from virtlab.show.naming import Named, Namer, Registers, character
from virtlab.show.palette import (
    FAINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    PAPER,
    PHOSPHOR,
    SCREEN,
    SKY_TINT,
    SMALL,
    WIDTH,
    YELLOW,
    YELLOW_TINT,
)
from virtlab.show.svg import TOP, Picture, fit, picture, rect, visible, write
from virtlab.trace import Access

AROUND = 6
"""Accesses shown before and after the current one."""
COLUMNS, LINES = 52, 15
"""Characters of the drawn console."""
_TAIL = COLUMNS * LINES * 2
_LIST = 410
_ROW = 25


@dataclass(frozen=True, slots=True)
class ConsoleFrames:
    """A trace with what is known of each access: its name, and the characters printed so far.

    `named[i]` belongs to `accesses[i]`, after which `printed[i]` bytes of `output` are out.
    """

    accesses: Sequence[Access]
    named: Sequence[Named]
    output: bytes
    printed: Sequence[int]

    def __len__(self) -> int:
        return len(self.accesses)

    def __repr__(self) -> str:
        return f"ConsoleFrames({len(self)} accesses, {len(self.output)} characters printed)"

    def prints(self, index: int) -> bool:
        """Whether access `index` prints a character."""
        return self.printed[index] > (self.printed[index - 1] if index else 0)


def console_frames(
    accesses: Sequence[Access], registers: Registers, transmitter: str = "THR"
) -> ConsoleFrames:
    """Walk over a trace once. `registers` by base address; `transmitter` names the register to
    which each write is one character.
    """
    namer, output = Namer(registers), bytearray()
    named, printed = [], []
    for access in accesses:
        name = namer.name(access.write, access.address, access.value)
        if access.write and name.register == transmitter:
            output.append(access.value & 0xFF)
        named.append(name)
        printed.append(len(output))
    return ConsoleFrames(accesses, named, bytes(output), printed)


def screen_lines(output: bytes, columns: int = COLUMNS, lines: int = LINES) -> list[str]:
    r"""What a terminal of that size shows after `output`: the last lines, long ones wrapped.

    >>> screen_lines(b"one\r\ntwo", columns=2, lines=3)
    ['e', 'tw', 'o']
    """
    shown = []
    for row in output.decode("ascii", "replace").split("\n"):
        words = visible(row.rstrip("\r").rpartition("\r")[2])
        shown += [words[i : i + columns] for i in range(0, max(1, len(words)), columns)]
    return shown[-lines:]


def console_picture(frames: ConsoleFrames, index: int, title: str = "A recorded boot") -> Picture:
    """Frame `index`: the accesses around it, and the console after it. `IndexError` if none."""
    if not 0 <= index < len(frames):
        raise IndexError(f"there is no access {index} among {len(frames)}")
    start = min(max(0, index - AROUND), max(0, len(frames) - 2 * AROUND - 1))
    rows = range(start, min(len(frames), start + 2 * AROUND + 1))
    done = frames.printed[index]
    screen = screen_lines(frames.output[max(0, done - _TAIL) : done])
    parts = [_access_row(frames, i, i == index, TOP + 30 + (i - start) * _ROW) for i in rows]
    parts += [_headings(), _screen(screen, frames.prints(index)), _progress(index, len(frames))]
    height = TOP + 30 + (2 * AROUND + 1) * _ROW + 58
    label = f"{title}: {explain_access(frames, index)}"
    return picture(title, height, parts, _text(frames, index, rows, screen), label)


def explain_access(frames: ConsoleFrames, index: int) -> str:
    """The current access in a sentence."""
    access, named = frames.accesses[index], frames.named[index]
    place = named.register or "an address with no register declared"
    verb = f"writes {access.value:#x} to" if access.write else f"reads {access.value:#x} from"
    words = f"Access {index + 1} of {len(frames)}: the guest {verb} {place} ({access.address:#x})."
    if frames.prints(index):
        sign = character(access.value & 0xFF) or "a control character"
        return f"{words} The console prints {sign}."
    if named.fields:
        words += f" Its fields: {named.fields}."
    return f"{words} {frames.printed[index]} characters are printed so far."


# -- drawing


def _headings() -> str:
    left = write(MARGIN, TOP + 14, "what the guest does", SMALL, MUTED)
    return left + write(MARGIN + _LIST + 20, TOP + 14, "what the console shows", SMALL, MUTED)


def _access_row(frames: ConsoleFrames, index: int, current: bool, y: float) -> str:
    access = frames.accesses[index]
    tint = ORANGE_TINT if access.write else SKY_TINT
    outline, weight = (INK, 2.5) if current else (FAINT, 1)
    middle = y + 16
    verb = "w" if access.write else "r"
    return "".join(
        [
            rect(MARGIN, y, _LIST, _ROW - 3, YELLOW_TINT if current else PAPER, outline, 4, weight),
            rect(MARGIN + 76, y + 3, 20, _ROW - 9, tint, MUTED, 3, 1),
            write(MARGIN + 68, middle, str(index + 1), SMALL, MUTED, "end", mono=True),
            write(MARGIN + 86, middle, verb, SMALL, anchor="middle", bold=True, mono=True),
            write(MARGIN + 106, middle, _row_words(frames, index, 34), SMALL, mono=True),
            write(MARGIN + 4, middle, "▶" if current else "", SMALL),
        ]
    )


def _row_words(frames: ConsoleFrames, index: int, room: int) -> str:
    """`0x3f8 0x41 THR 'A'`, cut to `room` characters."""
    access, named = frames.accesses[index], frames.named[index]
    sign = character(access.value & 0xFF) if frames.prints(index) else named.fields
    width = max(4, 2 + 2 * access.size)
    words = f"{access.address:#x} {access.value:#x}".ljust(width + 6)
    words = f"{words} {named.register} {sign}".rstrip()
    return fit(words, room * SMALL * 0.61, SMALL, True)


def _screen(lines: Sequence[str], fresh: bool) -> str:
    """The terminal: dark, with a cursor behind the last character, which is lit if it is new."""
    x, y = MARGIN + _LIST + 20.0, TOP + 30.0
    height = (2 * AROUND + 1) * _ROW - 3
    width = WIDTH - MARGIN - x
    step, advance = 20.5, SMALL * 0.602
    parts = [rect(x, y, width, height, SCREEN, INK, 8)]
    for row, words in enumerate(lines):
        parts.append(write(x + 8, y + 24 + row * step, words, SMALL, PHOSPHOR, mono=True))
    last = lines[-1]
    at = y + 24 + (len(lines) - 1) * step
    if fresh and last:
        left = x + 8 + (len(last) - 1) * advance
        parts.append(rect(left - 1, at - 14, advance + 2, 19, YELLOW, "none", 2))
        parts.append(write(left, at, last[-1], SMALL, SCREEN, bold=True, mono=True))
    cursor = x + 8 + len(last) * advance + 1
    parts.append(rect(min(cursor, x + width - 8), at + 3, advance, 3, PHOSPHOR, "none", 0))
    return "".join(parts)


def _progress(index: int, length: int) -> str:
    """A bar along the bottom: how far into the trace this is."""
    y = TOP + 30 + (2 * AROUND + 1) * _ROW + 12
    words = f"{index + 1} of {length}"
    width = WIDTH - 2 * MARGIN - 140
    return "".join(
        [
            rect(MARGIN, y, width, 14, GREY_TINT, MUTED, 7),
            rect(MARGIN, y, max(14.0, width * (index + 1) / length), 14, INK, INK, 7),
            write(WIDTH - MARGIN, y + 13, words, SMALL, anchor="end", mono=True),
        ]
    )


def _text(frames: ConsoleFrames, index: int, rows: range, screen: Sequence[str]) -> str:
    """The list and the screen, one above the other."""
    lines = [explain_access(frames, index)]
    for i in rows:
        mark = ">" if i == index else " "
        verb = "w" if frames.accesses[i].write else "r"
        lines.append(f"{mark} {i + 1:>6} {verb} {_row_words(frames, i, 60)}")
    return "\n".join([*lines, "console:", *(f"  | {row}" for row in screen)])
