"""Which lesson to read again for which task, and what a problem set is called.

    task      ps4.q3       of "Problem set 4: both ends of a virtqueue"
    lesson    14           "Data exchange", 14_data_exchange.ipynb

The idea: a page of feedback sends its reader back to one or two lessons, by name. The problem sets
say in their first cell which task goes with which lesson; `FOR` is that sentence as a table.

The rule that keeps it simple: nothing is read from a notebook when grades are made, because an
installed package has none. A test holds these tables against the notebooks instead.
"""

from __future__ import annotations

from virtlab.course.syllabus import LESSONS, Lesson

SETS = {
    "ps01": "who answers, and how to talk to it",
    "ps02": "find what is on the buses, and let it reach memory",
    "ps03": "write the pieces of a VMM",
    "ps04": "both ends of a virtqueue",
    "ps05": "drivers and devices",
    "ps06": "what hardware does for I/O",
    "ps07": "a disk for a real Linux",
}
"""What each problem set is about."""


FOR = {
    "ps1": ((1, 2), (1,), (1,), (1,), (2,), (2,), (2,)),
    "ps2": ((4,), (4,), (4, 5), (4, 5), (5,), (3,), (3,)),
    "ps3": ((6,), (7,), (8,), (9,), (9,), (9,), (10,), (11,), (11,)),
    "ps4": ((13,), (14,), (14,), (14, 18), (14,), (15,), (16,), (17,)),
    "ps5": ((12, 13), (12, 14), (11, 8), (12,), (12, 18), (14, 18)),
    "ps6": ((19,), (19,), (19,), (20,), (21,), (21,)),
    "ps7": ((22,), (22, 18), (22, 15), (22, 14), (22,)),
}
"""The numbers of the lessons for each task of a set, in the tasks' order."""


def lessons_for(task_id: str) -> tuple[Lesson, ...]:
    """The lessons to read again for a task, the nearest first; empty for an unknown task.

    >>> [lesson.stem for lesson in lessons_for("ps4.q3")]
    ['14_data_exchange']
    """
    name, _, question = task_id.partition(".q")
    rows = FOR.get(name, ())
    if not question.isdecimal() or not 1 <= int(question) <= len(rows):
        return ()
    return tuple(LESSONS[number] for number in rows[int(question) - 1])


def named(lesson: Lesson) -> str:
    """A lesson as a sentence names it: `lesson 14, “Data exchange”`."""
    return f"lesson {lesson.number}, “{lesson.name}”"


def set_title(assignment: str) -> str:
    """What a problem set is called: `"ps04"` is "Problem set 4: both ends of a virtqueue"."""
    if assignment not in SETS:
        return assignment or "No problem set"
    return f"Problem set {int(assignment[2:])}: {SETS[assignment]}"
