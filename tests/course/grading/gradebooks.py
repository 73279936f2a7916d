"""A gradebook of three students, as `write_gradebook` makes it, and how tests look into one."""

import dataclasses
import sqlite3
from contextlib import closing

import pytest

from tests.course.answers import ROOT
from tests.course.grading.graded import full, grades, handed_in, stub, wrong
from virtlab.course.checks import TASKS
from virtlab.course.grading import course_files, gradebook

api = pytest.importorskip("nbgrader.api")

COURSE = course_files.load(ROOT / "exercises")
PS1 = [task for task in TASKS if task.startswith("ps1.")]


def everything(student="ada", refused="", **changed):
    """A result of problem set 1: full points, but for the tasks that are `changed`."""
    tasks = {task: full(task) for task in PS1} | {f"ps1.{q}": r for q, r in changed.items()}
    return handed_in(student, *tasks.values(), refused=refused)


WHOLE = grades(
    everything("ada"),
    everything("ben", q1=wrong("ps1.q1"), q2=stub("ps1.q2")),
    dataclasses.replace(everything("cyd", **{f"q{n + 1}": stub(t) for n, t in enumerate(PS1)}),
                        refused="byte 7: not a notebook"),
)  # fmt: skip


def write(path):
    """The gradebook of `WHOLE`, made from nothing."""
    assert gradebook.write_gradebook(WHOLE, COURSE, path) == (3, 21, 9, ())
    return path


def opened(path):
    return closing(api.Gradebook(f"sqlite:///{path}", "virtlab"))


def rows(path):
    """Every row of every table."""
    with closing(sqlite3.connect(path)) as db:
        names = [
            name for (name,) in db.execute("select name from sqlite_master where type='table'")
        ]
        return {name: sorted(map(repr, db.execute(f"select * from {name}"))) for name in names}
