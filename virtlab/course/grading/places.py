"""Where a run writes, looked at before the first notebook is graded.

    --out o/g.csv         o/ is made, and a file can be made in it
    --feedback pages      pages/ is made; no file stands where ada's folder must be
    --gradebook g.db      nbgrader is installed; what is there is a database

The idea: a class takes minutes, and what cannot be written is known after a millisecond. So each
place is tried with an empty file, which is removed at once.

The rule that keeps it simple: one `Place` an option, and the first that will not do ends the
command with one line: the option, the place, and why.

What it leaves out: how much room a disk has. Who fills it up later loses nothing: all results are
in the journal by then.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from virtlab.course.cli import CommandError
from virtlab.course.grading.pages import file_name
from virtlab.course.grading.submissions import Submission, base_of
from virtlab.course.grading.tables import beside, is_special

FILES = ("out", "json", "times", "report")
"""Options that name a file that is written whole."""
FOLDERS = ("feedback", "gradescope", "autograded")
"""Options that name a folder with files for each student."""
SQLITE = b"SQLite format 3\0"
"""How a gradebook begins, if it is not empty."""


class Place(NamedTuple):
    """A file or folder that is to be written, and the option that names it."""

    option: str
    path: Path
    folder: bool = False

    def refuse(self, why: str) -> CommandError:
        """The error that says why it will not do."""
        return CommandError(f"--{self.option} {self.path}: {why}")


def places(options: argparse.Namespace) -> list[Place]:
    """Every file and folder that the options name: not `-`, a pipe or a database's URL."""
    found = [Place(name, Path(getattr(options, name) or "-")) for name in FILES]
    if "://" not in (options.gradebook or ""):
        found.append(Place("gradebook", Path(options.gradebook or "-")))
    found += [Place(name, Path(getattr(options, name) or "-"), True) for name in FOLDERS]
    return [each for each in found if str(each.path) != "-" and not is_special(each.path)]


def look(options: argparse.Namespace) -> list[Place]:
    """Make the folders of all outputs and see that each can be written; the places.

    Raises `CommandError` for the first that cannot.
    """
    _standard(options)
    found = places(options)
    _once(found)
    base = base_of(options.submissions)
    for place in found:
        _among(place, base)
        _try(place)
    if options.gradebook:
        _gradebook(options.gradebook)
    if (options.roster or options.names) and not options.report:
        said = "--roster" if options.roster else "--names"
        raise CommandError(f"{said} is for the report: name it too, as --report class.html")
    return found


def _standard(options: argparse.Namespace) -> None:
    """At most one output goes to standard output, and no folder."""
    out = [f"--{name}" for name in FILES if str(getattr(options, name)) == "-"]
    if out[1:]:
        raise CommandError(f"{' and '.join(out)} cannot all go to standard output")
    for name in ("gradebook", *FOLDERS):
        if str(getattr(options, name)) == "-":
            raise CommandError(f"--{name} does not go to standard output: name a place")


def _once(found: Iterable[Place]) -> None:
    """No two outputs in one place."""
    seen: dict[Path, str] = {}
    for place in found:
        first = seen.setdefault(place.path.resolve(), place.option)
        if first != place.option:
            raise place.refuse(f"--{first} goes to the same place")


def _among(place: Place, base: Path) -> None:
    """An output that would be taken for a hand-in, now or the next time."""
    path, inside = place.path.resolve(), base.resolve()
    if place.folder and inside.is_dir() and (path == inside or inside in path.parents):
        raise place.refuse("it lies among the submissions; choose a folder beside them")
    if not place.folder and path.suffix.lower() == ".ipynb":
        raise place.refuse("that is the name of a notebook")


def _try(place: Place) -> None:
    """Make its folder, and an empty file in it for a moment."""
    path, folder = place.path, place.path if place.folder else place.path.parent
    if os.path.isdir(path) and not place.folder:
        raise place.refuse("that is a folder; name a file in it")
    try:
        _make(place, folder)
        handle, name = beside(path / "x" if place.folder else path)
        os.close(handle)
        os.unlink(name)
        if os.path.isfile(path):
            os.close(os.open(path, os.O_RDWR))  # Excel on Windows lets nobody else write
    except OSError as error:
        raise place.refuse(f"it cannot be written: {error.strerror or error}") from None


def _make(place: Place, folder: Path) -> None:
    if file := _file_in(folder):
        raise place.refuse(f"{file} is a file, not a folder")
    folder.mkdir(parents=True, exist_ok=True)


def _file_in(folder: Path) -> Path | None:
    """The part of a path that should be a folder and is something else."""
    for part in (folder, *folder.parents):
        if os.path.isdir(part):
            return None
        if os.path.lexists(part):
            return part
    return None


def _gradebook(where: str) -> None:
    """What can be known of a gradebook without nbgrader, whose import takes seconds."""
    if importlib.util.find_spec("nbgrader") is None:
        raise CommandError("a gradebook needs nbgrader: pip install 'virtlab[grading]'")
    path = Path(where)
    if "://" not in where and path.is_file():
        with path.open("rb") as file:
            begins = file.read(len(SQLITE))
        if begins not in (b"", SQLITE):
            raise Place("gradebook", path).refuse("not a gradebook that nbgrader can write")


# -- what depends on who handed in


def look_below(found: Iterable[Place], submissions: Sequence[Submission]) -> None:
    """See that no file stands where a student's folder must be, and no folder where a file must."""
    for place in found:
        for path in _files(place, submissions) if place.folder else ():
            if file := _file_in(path.parent):
                raise place.refuse(f"{file} is a file, not a folder")
            if os.path.isdir(path):
                raise place.refuse(f"{path} is a folder, not a file")


def _files(place: Place, submissions: Sequence[Submission]) -> Iterator[Path]:
    """Where a folder's files will be; each output's own module says the same of its files."""
    several = len(submissions) > 1
    for student, name, *_ in submissions:
        if place.option == "feedback":
            yield place.path / file_name(student) / f"{file_name(name)}.html"
        elif place.option == "autograded":
            yield place.path / student / name / f"{name}.ipynb"
        else:
            below = place.path / file_name(student) / name if several else place.path
            yield below / "results.json"
