"""Tables of what happened: events in rows, registers named, the same in HTML and in characters.

The idea: a `Table` is headers and rows of text. In a notebook it is an HTML table with a caption
and header cells; anywhere else it is aligned columns. Both are deterministic strings.

`trace_table` fills one from a trace. It shows the first `limit` events and says how many more
there are, because a boot has thousands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from virtlab.show.naming import READS, WRITES, Namer, Registers, character
from virtlab.show.svg import escape, visible
from virtlab.trace import Event

_LEFT = 'style="text-align: left"'


@dataclass(frozen=True, slots=True, repr=False)
class Table:
    """Rows of text under `headers`, with a `caption` that says what they are."""

    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __repr__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """The table in characters: columns aligned, the caption above."""
        grid = [self.headers, *(tuple(visible(cell) for cell in row) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
        lines = [_aligned(row, widths) for row in grid]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([self.caption, *lines])

    @property
    def html(self) -> str:
        """The table for a notebook."""
        head = "".join(f'<th scope="col" {_LEFT}>{escape(cell)}</th>' for cell in self.headers)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in self.rows)
        return (
            f'<table class="vl-table">\n<caption {_LEFT}>{escape(self.caption)}</caption>\n'
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"
        )

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip()


def _cell(words: str) -> str:
    shown = f"<code>{escape(words)}</code>" if words.startswith("0x") else escape(words)
    return f"<td {_LEFT}>{shown}</td>"


def trace_table(
    events: Sequence[Event],
    limit: int = 20,
    registers: Registers | None = None,
    time: bool = False,
    caption: str = "",
) -> Table:
    """The first `limit` events of a trace, one a row.

    `registers` gives for a base address the declarations there, so that a row says
    `LCR  WLS=3 DLAB=1` instead of a number alone. `time` adds virtual time (ns).
    """
    namer = Namer(registers)
    shown = events[: max(0, limit)]
    headers = ("#", *(["time (ns)"] if time else []), "verb", "where", "value", "who", "meaning")
    rows = tuple(_event_row(event, namer, time) for event in shown)
    return Table(caption or _how_many(len(shown), len(events)), headers, rows)


def _how_many(shown: int, total: int) -> str:
    events = f"{total} event{'' if total == 1 else 's'}"
    return events if shown == total else f"the first {shown} of {events}"


def _event_row(event: Event, namer: Namer, time: bool) -> tuple[str, ...]:
    named = None
    if event.kind in READS + WRITES:
        named = namer.name(event.kind in WRITES, event.address, event.value)
    where = f"{event.address:#x}/{event.size}" if event.space else ""
    value = f"{event.value:#x}" if event.space else ""
    meaning = named.words if named else ""
    if named and named.register and not named.fields:
        meaning = f"{meaning}  {character(event.value)}".strip()
    words = " · ".join(part for part in (meaning, event.note) if part)
    stamp = [str(event.time)] if time else []
    return (str(event.seq), *stamp, event.kind, where, value, event.who, words)
