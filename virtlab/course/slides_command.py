"""``virtlab slides``: a deck of slides for each lesson, one HTML file that works offline.

    virtlab slides 14 --out decks      decks/14_data_exchange.html
    virtlab slides --out decks         all lessons, two or more at a time

The idea: what is said in the room is what stands in the notebook, so there is nothing to keep
equal by hand. The stored outputs are shown; the cells run once more, only to see what each widget
shows first.

The rule that keeps it simple: the same notebook gives the same bytes. Left out: themes, and a
deck of a part of a lesson; a browser's print dialogue makes a PDF of the pages that one wants.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from virtlab.course.lab import course_folder, find_lesson


class Deck(NamedTuple):
    """A deck that was written: the lesson's name, the file, its slides, its size in bytes."""

    lesson: str
    file: Path
    slides: int
    size: int


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("lessons", nargs="*", metavar="NN", help="lessons, as in 14 (all of them)")
    parser.add_argument(
        "--out", type=Path, default=Path("slides"), metavar="DIR", help="where to write (slides)"
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="a folder with notebooks/ (the project's own)"
    )
    parser.add_argument("--json", action="store_true", help="say as JSON what was written")


def run(options: argparse.Namespace) -> int:
    """Write the decks, and a line for each."""
    folder = course_folder(options.folder)
    notebooks = chosen(folder, options.lessons)
    options.out.mkdir(parents=True, exist_ok=True)
    decks = []
    for deck in made(notebooks, options.out):
        decks.append({**deck._asdict(), "file": str(deck.file)})
        if not options.json:
            print(f"{deck.file}  {deck.slides} slides, {deck.size // 1024} KiB", flush=True)
    if options.json:
        print(json.dumps(decks, indent=2))
    return 0


def chosen(folder: Path, names: Sequence[str]) -> list[Path]:
    """The notebooks of the lessons named, or of all. `CommandError` if one is not there."""
    if names:
        return [find_lesson(folder, name) for name in names]
    return sorted((folder / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def made(notebooks: Sequence[Path], out: Path) -> Iterator[Deck]:
    """Make the decks, in order, in the folder `out`; the lessons run side by side in children."""
    from virtlab.course.slides.first import firsts
    from virtlab.course.slides.lesson import read_lesson
    from virtlab.course.slides.pack import slides_of
    from virtlab.course.slides.page import deck

    lessons = [read_lesson(notebook) for notebook in notebooks]
    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        for lesson, widgets in zip(lessons, pool.map(firsts, notebooks), strict=True):
            slides = slides_of(lesson, widgets)
            data = deck(lesson, slides).encode()
            file = out / f"{lesson.name}.html"
            file.write_bytes(data)
            yield Deck(lesson.name, file, len(slides), len(data))
    finally:
        pool.shutdown(cancel_futures=True)
