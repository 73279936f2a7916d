"""A race in two columns: what each side did and saw, and what waits in its store buffer.

    driver's buffer         memory            device's buffer
    [avail.flags = 0]    used.idx     0      [used.ring[0] = (0, 1)][used.idx = 1]
    ------------------------------------------------------------------------------
    load  used.idx -> 0
                                             store used.idx = 1

The idea: above is the present, below the past, one row a move. A store leaves its side as a row and
stays in the buffer; only when it arrives does memory have it. What a load saw stands in its row.

The rule that keeps it simple: nothing is kept here. Rows and buffers come from running the moves.
"""

from __future__ import annotations

from virtlab.show.palette import (
    BODY,
    FAINT,
    GREEN_TINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    SKY_TINT,
    SMALL,
    TITLE,
    VERMILLION_TINT,
    WHITE,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.race_run import AWAKE, DEVICE, DRIVER, LOST, RACES, RINGS, SIDES, WOKEN, Bench
from virtlab.show.race_sides import FENCE, Finished
from virtlab.show.race_state import ARRIVES, Contest, Row, in_words, rows, stored
from virtlab.show.svg import TOP, Picture, breadth, fit, line, picture, rect, write

TITLES = {
    "interrupt": "Does the driver sleep for ever?",
    "careless": "Does a driver that looks once sleep for ever?",
    "kick": "Does the device sleep for ever?",
}

_BANNER = {LOST: VERMILLION_TINT, WOKEN: GREEN_TINT, AWAKE: SKY_TINT}
_COLUMN, _MIDDLE = 300, 268
_LEFTS = {DRIVER: MARGIN, DEVICE: WIDTH - MARGIN - _COLUMN}
_PANEL, _LINE = 136, 32
_FIRST = TOP + _PANEL + 52


def race_picture(contest: Contest) -> Picture:
    """The race after the moves that are shown; the height is that of all its moves."""
    made, bench = rows(contest)
    parts = [_buffer(bench, side) for side in SIDES]
    parts.append(_memory(contest, bench))
    parts += [_next(bench, side) for side in SIDES]
    for number, row in enumerate(made):
        parts.append(_row(_FIRST + 16 + number * _LINE, number, row, number == len(made) - 1))
    bottom = _FIRST + 24 + max(len(contest.moves), 8) * _LINE
    words = ending(contest, bench)
    parts.append(_banner(bottom, words, bench.verdict()))
    title = TITLES[contest.race]
    return picture(title, bottom + 62, parts, _text(contest, made, bench), f"{title} {words}")


def watched(contest: Contest) -> dict[str, int]:
    """The two words that the race is about, and where they lie."""
    if contest.race == "kick":
        ring, field, idx = "used", RINGS.used_field, RINGS.avail_field("idx")
        wish, moved = "avail_event" if contest.events else "flags", "avail.idx"
    else:
        ring, field, idx = "avail", RINGS.avail_field, RINGS.used_field("idx")
        wish, moved = "used_event" if contest.events else "flags", "used.idx"
    return {moved: idx, f"{ring}.{wish}": field(wish)}


def ending(contest: Contest, bench: Bench) -> str:
    """How it ended, or that it has not yet."""
    race, verdict = RACES[contest.race], bench.verdict()
    calls = "interrupts" if race.caller == DEVICE else "rings"
    if verdict == LOST:
        return f"Both asleep: the {race.sleeper} waits, and the {race.caller} will not call."
    if verdict == WOKEN:
        return f"Woken: the {race.sleeper} sleeps, and the {race.caller} {calls}."
    if verdict == AWAKE:
        return f"Awake: the {race.sleeper} saw it by itself and does not sleep."
    return "Not decided yet."


# -- the present


def _buffer(bench: Bench, side: str) -> str:
    """The stores of `side` that wait, the oldest above."""
    x, y = _LEFTS[side], TOP + 4
    tint = GREEN_TINT if side == DRIVER else SKY_TINT
    parts = [rect(x, y, _COLUMN, _PANEL, tint, INK, 6)]
    parts.append(write(x + 14, y + 26, side, TITLE, bold=True))
    parts.append(write(x + _COLUMN - 14, y + 26, "store buffer", SMALL, MUTED, "end"))
    waiting = list(bench.buffers[side].waiting)
    for slot in range(3):
        top = y + 38 + slot * 31
        full = slot < len(waiting)
        fill = ORANGE_TINT if full else WHITE
        parts.append(rect(x + 12, top, _COLUMN - 24, 27, fill, INK if full else FAINT, 3))
        if full:
            words = stored(waiting[slot])
            parts.append(write(x + 22, top + 19, words, BODY, mono=True))
            if slot == 0:
                parts.append(write(x + _COLUMN - 22, top + 18, "next", SMALL, MUTED, "end"))
    return "".join(parts)


def _memory(contest: Contest, bench: Bench) -> str:
    x, y = MARGIN + _COLUMN + 8, TOP + 4
    parts = [rect(x, y, _MIDDLE, _PANEL, GREY_TINT, INK, 6)]
    parts.append(write(x + _MIDDLE / 2, y + 26, "memory", TITLE, INK, "middle", True))
    for slot, (name, gpa) in enumerate(watched(contest).items()):
        top = y + 44 + slot * 44
        parts.append(rect(x + 12, top, _MIDDLE - 24, 36, WHITE, INK, 3))
        parts.append(write(x + 22, top + 24, name, SMALL, mono=True))
        number = f"{bench.word(gpa)}"
        parts.append(write(x + _MIDDLE - 22, top + 25, number, TITLE, INK, "end", True, True))
    return "".join(parts)


def _next(bench: Bench, side: str) -> str:
    """What `side` does when it may move."""
    x, y = _LEFTS[side], TOP + _PANEL + 12
    words = fit(_coming(bench, side), _COLUMN - 20, SMALL, True)
    box = rect(x, y, _COLUMN, 28, WHITE, MUTED, 4, 1.5, "5 4")
    return box + write(x + 12, y + 19, words, SMALL, MUTED, mono=True)


def _coming(bench: Bench, side: str) -> str:
    access = bench.next(side)
    if not isinstance(access, Finished):
        return f"next: {in_words(side, access)[0]}"
    if side == bench.race.sleeper:
        return "done: it sleeps" if access.result else "done: it goes on, awake"
    call = "interrupts" if side == DEVICE else "rings"
    return f"done: it {call}" if access.result else f"done: it {call} nobody"


# -- the past


def _row(y: float, number: int, row: Row, lit: bool) -> str:
    left = row.side == DRIVER
    x = MARGIN if left else WIDTH / 2 + 6
    width = WIDTH / 2 - MARGIN - 6
    fill = YELLOW_TINT if lit else (GREY_TINT if row.kind in (ARRIVES, FENCE) else WHITE)
    parts = [rect(x, y, width, _LINE - 5, fill, INK if lit else FAINT, 3, 2.5 if lit else 1)]
    parts.append(write(x + 10, y + 19, f"{number + 1}", SMALL, MUTED))
    parts.append(write(x + 36, y + 19, row.words, SMALL, mono=True))
    room = width - 46 - breadth(row.words, SMALL, mono=True) - 12
    end = x + width - 10
    parts.append(write(end, y + 19, fit(row.meaning, room, SMALL), SMALL, MUTED, "end"))
    return "".join(parts)


def _banner(y: float, words: str, verdict: str | None) -> str:
    rule = line(MARGIN, y - 8, WIDTH - MARGIN, y - 8, FAINT, 1)
    box = rect(MARGIN, y, WIDTH - 2 * MARGIN, 44, _BANNER.get(verdict or "", WHITE), INK, 6, 2)
    said = write(WIDTH / 2, y + 29, words, TITLE, INK, "middle", True)
    return rule + box + said


def _text(contest: Contest, made: tuple[Row, ...], bench: Bench) -> str:
    lines = [TITLES[contest.race]]
    for number, row in enumerate(made, 1):
        lines.append(f"{number:>3}  {row.side:<7} {row.words:<34} {row.meaning}".rstrip())
    for side in SIDES:
        waiting = "; ".join(stored(store) for store in bench.buffers[side].waiting)
        lines.append(f"{side}'s store buffer: {waiting or 'empty'}; {_coming(bench, side)}")
    words = ", ".join(f"{name} {bench.word(gpa)}" for name, gpa in watched(contest).items())
    return "\n".join([*lines, f"memory: {words}", ending(contest, bench)])
