"""What somebody who wants points without an answer, or harm, has tried: and what it comes to.

    forged       replies to the grader in place of what a cell or an answer says
    posing       an end that looks like a fault of the grader's own
    metadata     a notebook whose cells claim to be others
    the files    half a character, other line ends, an output that cannot be written

Whole programs that attack are in `hostile/`; here are the small ones, each beside what it must get.
"""

import errno
import io
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.course.answers import sources
from tests.course.grading import hostile_class
from tests.course.grading.graded import grades
from tests.course.grading.hostile_class import HONEST, SOLUTION, course, grade_id, rights
from tests.course.grading.made import made
from virtlab.course import checks
from virtlab.course.grading import grader, outputs, quiet, tables
from virtlab.course.grading.limits import NOTHING_RUN, Limits
from virtlab.course.grading.remote import Student
from virtlab.course.grading.result import CellError
from virtlab.course.grading.sandbox import NotStarted
from virtlab.course.grading.submissions import Submission
from virtlab.course.submission import Cell, compare

LIMITS = Limits(cpu=5, memory=512 << 20, wall=60)
FULL = float(checks.TASKS[HONEST].points)
BROKEN = "it broke off the talk with the checker"
SIGN = "it ended Python itself, with status 71"


def handed_in(changed, change=None):
    """Problem set 1 with these answer cells; `change` may do more to the notebook."""
    data = hostile_class.notebook(changed)
    if change:
        change(data["cells"])
    cells = [
        Cell(number, cell["cell_type"], "".join(cell["source"]), grade_id(cell), *rights(cell))
        for number, cell in enumerate(data["cells"], 1)
    ]
    return Submission("eve", "ps01", "eve.ipynb", "00", tuple(cells))


def graded(changed, change=None):
    """Its result; nothing may raise."""
    return grader.grade(handed_in(changed, change), course(), 7, LIMITS)


def points(result):
    return [task.points for task in result.tasks]


# -- forged replies

SHOUT = """
import json, os, stat, struct, time
def shout(message):
    text = json.dumps(message).encode()
    for number in range(3, 64):
        try:
            if stat.S_ISFIFO(os.fstat(number).st_mode):
                os.write(number, struct.pack("<II", len(text), 0) + text)
        except OSError:
            pass
    time.sleep(0.05)
"""

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks for pipes as on Linux")


@needs_linux
@pytest.mark.parametrize(
    "said", ['"ran",[],[]', '"ran",[],[],5', '"ran",[],[],[1]', '"ran",[],[],{}']
)
def test_a_forged_reply_of_a_cell_is_the_students_own_error(said):
    result = graded({"ps1-q1-answer": f"{SHOUT}\nshout([{said}])"})
    assert points(result)[:2] == [0, 0]
    assert BROKEN in [error.text for error in result.errors]


@needs_linux
@pytest.mark.parametrize(
    "said",
    [
        '["returned",[],[]]',
        '["returned",[],[],None,5]',
        '["trouble",[],[],["x"],True,3,"x"]',
        '["stopped",[],[],["x"],"x"]',
        '["verb",[],[],2,["x"],[]]',
        '[["x"],[],[]]',
        '["returned",[],5,None,""]',
        '["returned",[[[1],2]],[],None,""]',
    ],
)
def test_a_forged_reply_of_an_answer_costs_that_answer(said):
    answer = f"{SHOUT}\ndef who_answers(*about):\n    shout({said})"
    assert points(graded({"ps1-q1-answer": answer})) == [0, 0, FULL]


# -- ends that pose as a fault of the grader's

LEAVE = "import os\nos._exit(71)"
LEAVE_LATER = "import os\ndef who_answers(*about): os._exit(71)"


@pytest.mark.parametrize("cell", [LEAVE, LEAVE_LATER])
def test_an_answer_cannot_pose_as_a_sandbox_that_could_not_begin(cell):
    result = graded({"ps1-q1-answer": cell})
    assert points(result) == [0, 0, FULL]
    assert SIGN in [error.text for error in result.errors] + [result.tasks[0].ended]
    assert NOTHING_RUN not in str(result)


def test_a_child_that_ends_before_any_line_of_a_student_is_no_grade():
    with pytest.raises(NotStarted, match=NOTHING_RUN):
        Student([(1, "x = 1")], LIMITS._replace(memory=1 << 20))


# -- metadata

RIGHT = {
    f"{task.replace('.', '-')}-answer": sources(SOLUTION)[task] for task in hostile_class.TASKS
}


def about(cells, name):
    """The part in grading of the cell of that id."""
    return next(cell["metadata"]["nbgrader"] for cell in cells if grade_id(cell) == name)


def locks(cells):
    about(cells, "ps1-q1-answer").update(locked=True, grade=True)


def becomes_the_check(cells):
    about(cells, "ps1-q1-answer")["grade_id"] = "ps1-q1"


def belongs_elsewhere(cells):
    about(cells, "ps1-q1-answer")["grade_id"] = "ps7-q1-answer"


def is_raw(cells):
    next(cell for cell in cells if grade_id(cell) == "ps1-q1-answer")["cell_type"] = "raw"


def passes_by_itself(cells):
    check = next(cell for cell in cells if grade_id(cell) == "ps1-q1")
    check["source"] = RIGHT["ps1-q1-answer"]


def takes_the_setup(cells):
    setup = next(cell for cell in cells if grade_id(cell) == "ps1-setup")
    setup["source"] = "def who_answers(*about): return 'serial'\n"


@pytest.mark.parametrize(
    ("change", "first", "kinds"),
    [
        (locks, 2.0, []),
        (belongs_elsewhere, 2.0, ["missing", "unknown"]),
        (becomes_the_check, 0.0, ["missing", "duplicated"]),
        (is_raw, 0.0, ["type"]),
    ],
)
def test_what_a_cell_claims_to_be_neither_earns_nor_hides_anything(change, first, kinds):
    result = graded(RIGHT, change)
    assert points(result)[0] == first
    assert points(result)[1:] == [float(checks.TASKS["ps1.q2"].points), FULL]
    assert [flaw.kind for flaw in result.flaws] == kinds


@pytest.mark.parametrize("change", [passes_by_itself, takes_the_setup])
def test_a_locked_cell_counts_as_it_was_released(change):
    result = graded({}, change)
    assert points(result) == [0, 0, FULL]
    assert [flaw.kind for flaw in result.flaws] == ["edited"]


# -- the files


def test_line_ends_of_windows_are_no_edit():
    def notebook(source):
        return [Cell(1, "code", source, "ps4-setup", locked=True)]

    released = notebook("import os\nimport sys")
    assert compare(notebook("import os\r\nimport sys\r\n"), released) == []
    assert compare(notebook("import os\r\nimport re"), released)[0].kind == "edited"


def test_half_a_character_of_one_student_costs_nobody_the_table(tmp_path):
    tables.write(tmp_path / "grades.csv", "ada,\ud800\n")
    assert (tmp_path / "grades.csv").read_bytes() == b"ada,\\ud800\n"


def test_a_table_on_a_terminal_gives_it_no_orders():
    table = tables.csv_text(grades(made(errors=(CellError(4, "a\x1b[31m\r\x07\x9bb"),))))
    assert "cell 4: a\ufffd[31m\ufffd\ufffd\ufffdb" in table


def test_standard_output_takes_every_name(monkeypatch):
    """A pipe on Windows has a few letters only."""
    pipe = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", pipe)
    outputs._put(Path("-"), "Šárka \u05e2 \ud800")
    pipe.flush()
    assert pipe.buffer.getvalue() == b"\x8a\xe1rka \\u05e2 \\ud800"


def test_an_output_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(OSError, match=r"directory|denied|exists") as failed:
        tables.write(tmp_path, "text")
    assert failed.value.filename == str(tmp_path)
    assert failed.value.errno in (errno.EISDIR, errno.EACCES, errno.EEXIST)


# -- a busy machine


class Slow:
    """A child that gets a hundredth of a second of the processor from look to look."""

    def __init__(self):
        self.used = 0.0
        self.killed = threading.Event()

    def cpu_seconds(self):
        self.used += 0.01
        return self.used

    def kill(self, why):
        self.killed.set()


def test_processor_time_decides_and_not_how_busy_the_machine_is(monkeypatch):
    """By the clock its time is over at once; it gets all of it as processor time."""
    monkeypatch.setattr(quiet, "LOOK", 0.002)
    monkeypatch.setattr(quiet, "GRACE", 10_000)
    child = Slow()
    watch = quiet.Watch(child, 0.2)
    watch.begin()
    watch.left, watch.since = 0.0, time.monotonic()
    try:
        assert child.killed.wait(20)
    finally:
        watch.over.set()
    assert 0.2 < child.used < 0.25
