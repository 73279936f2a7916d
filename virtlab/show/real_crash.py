"""A back-end dies with requests in its hands; the one after it reads the notes and goes on.

    driver        8 writes, one kick
    back-end 1    takes 8, answers 3, dies              notes: heads 3 4 5 6 7 are in flight
    back-end 2    is told everything again              serves 3 4 5 6 7, in the order of taking

The idea: what a process knows dies with it. What stands in memory that somebody else keeps open
does not. So a back-end notes each chain before it serves it, in a file that the front-end has.

The rule that keeps it simple: here is what became of it. `real_lives` is where it happens; on a
system that can run no back-end it is what happened once, `recorded`.

Source: vhost-user.rst, "Inflight I/O tracking". The tests of the project do it with a process,
under load, fifty times.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from virtlab.show.real_outcomes import RECORDED, able, crash_key, outcome
from virtlab.show.tables import Table


class Note(NamedTuple):
    """What stands in the notes of one chain: its head, and when it was taken."""

    head: int
    counter: int


class Crash(NamedTuple):
    """What was left by the first back-end, and what the second did about it.

    `answered` are the heads that the first gave back, `notes` those that it had. The second served
    `again` chains. `statuses` are the driver's answers, one for each request; `kept` says whether
    the disk has the data of all of them. `lost` counts connections. `recorded` says that this was
    once, and not now.
    """

    answered: tuple[int, ...]
    notes: tuple[Note, ...]
    again: int
    statuses: tuple[int, ...]
    kept: bool
    lost: int
    recorded: bool = False

    @property
    def table(self) -> Table:
        """Each chain: who took it, what stood in the notes, who gave it back."""
        held = {note.head: note.counter for note in self.notes}
        rows = [(f"{head}", "crossed out", "the first") for head in self.answered]
        rows += [(f"{n.head}", f"in flight, number {n.counter}", "the second") for n in self.notes]
        rows.sort(key=lambda row: (held.get(int(row[0]), -1), int(row[0])))
        title = "A back-end that died, and the one after it"
        return Table(
            f"{title}. {RECORDED}" if self.recorded else title,
            ("head", "in the notes when it died", "given back by"),
            tuple(rows),
        )


def crash(requests: int = 8, answers: int = 3) -> Crash:
    """Let a driver make `requests` writes; the first back-end dies after `answers` of them.

    Where no back-end can run it is what happened once. `OSError` if that was with other numbers.
    """
    if not able():
        return _kept(outcome(crash_key(requests, answers)))
    from virtlab.show.real_lives import live_twice

    return live_twice(requests, answers)


def _kept(fields: dict[str, Any]) -> Crash:
    """A crash as it was kept."""
    notes = tuple(Note(*each) for each in fields["notes"])
    rest = {name: tuple(fields[name]) for name in ("answered", "statuses")}
    return Crash(**fields | rest | {"notes": notes})
