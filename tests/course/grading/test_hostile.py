"""Hostile submissions: none gains a point, none harms the host, the grader, or another grade.

    EXPECTED    what each attack must get, and the word that must be said
    beside      an honest student, whose process lives through all of them
    afterwards  no process, no file, no thread and no descriptor is left on the host

The attacks lie in `hostile/`, each with its purpose in the first line. They are tests of this
grader: they run in its sandbox, and what they try to take is in this checkout.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from tests.course.grading import hostile_class
from tests.course.grading.hostile_class import LEAKED, NAMES, TASKS, as_text, course, submission
from tests.needs import require
from virtlab.course.checks import TASKS as ALL
from virtlab.course.grading import grader, judge, sandbox
from virtlab.course.grading.limits import Limits
from virtlab.course.grading.remote import Student

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="what the attacks try to reach is Linux's"
)

MARK = (1 << 20) + os.getpid()
LIMITS = Limits(cpu=0.5, memory=256 << 20, file=MARK, folder=2 << 20, wall=40, quiet=1.0)
"""Small, so that a loop costs little; `MARK` tells the processes of this test on the host."""

HONEST = ALL["ps1.q6"].points
HONEST_TASKS = ("ps1.q1", "ps1.q6")
NOTHING = (0, 0, HONEST)
"""What an attack on task 1 or 2 gets: nothing for both, and all for the honest answer to task 6."""

WRITTEN, NONE = "there is no who_answers", '"yours": "None"'
LOOP = "it was stopped after 0.5 s of processor time"
SILENT = "it did not come to an end"
ENDS = (LOOP, SILENT)
"""Which of the two it is, a busy machine decides."""
BROKEN, LARGE = "it broke off the talk with the checker", "it gave something that is too large"

EXPECTED = {
    # -- runs for ever
    "endless_loop": (NOTHING, LOOP),
    "endless_loop_with_signals_blocked": (NOTHING, LOOP),
    "swallows_every_exception": (NOTHING, LOOP),
    "sleeps_for_ever": (NOTHING, SILENT),
    "stops_itself": (NOTHING, ""),
    "closes_its_pipes": (NOTHING, ""),
    "keeps_the_machine_at_work": (NOTHING, "it kept the machine at work"),
    # -- takes all there is
    "fork_bomb": (NOTHING, NONE),
    "thread_bomb": (NOTHING, "it started more than 64 threads"),
    "leaves_threads_behind": (NOTHING, BROKEN),
    "memory_bomb": (NOTHING, "MemoryError"),
    "memory_bomb_of_numpy": (NOTHING, ""),
    "fills_the_disk_with_one_file": (NOTHING, "File too large"),
    "fills_the_disk_with_many_files": (NOTHING, ""),
    "prints_without_end": (NOTHING, LOOP),
    # -- reads what is not its own
    "reads_hidden_checks": (NOTHING, NONE),
    "reads_solutions": (NOTHING, NONE),
    "reads_another_submission": (NOTHING, NONE),
    "lists_the_home_folder": (NOTHING, NONE),
    "imports_the_judge": (NOTHING, NONE),
    "looks_at_its_callers": (NOTHING, NONE),
    "traces_its_callers": (NOTHING, NONE),
    # -- reaches outside
    "opens_a_socket": (NOTHING, NONE),
    "looks_up_a_name": (NOTHING, NONE),
    "starts_a_shell": (NOTHING, NONE),
    "kills_its_parent": (NOTHING, NONE),
    "kills_everything": (NOTHING, NONE),
    "traces_its_parent": (NOTHING, NONE),
    "signals_through_a_pipe": (NOTHING, NONE),
    "raises_its_limits": (NOTHING, NONE),
    "breaks_out_by_machine_code": (NOTHING, ""),
    "a_module_in_the_way": (NOTHING, NONE),
    "changes_rights_of_files": (NOTHING, NONE),
    # -- makes wrong look right
    "patches_the_library": (NOTHING, NONE),
    "patches_builtins": (NOTHING, NONE),
    "equal_to_everything": (NOTHING, ""),
    "a_string_that_is_equal": (NOTHING, "an object of type Name"),
    "a_number_that_is_equal": ((0, 0, 0), "of type Number"),
    "drops_asserts": (NOTHING, WRITTEN),
    "redefines_check": (NOTHING, WRITTEN),
    "names_the_grade_itself": (NOTHING, "NotImplementedType"),
    "empties_what_it_is_given": (NOTHING, NONE),
    "keeps_what_it_saw": (NOTHING, ""),
    "guesses_the_seed": (NOTHING, ""),
    # -- talks to the grader
    "prints_forged_results": (NOTHING, NONE),
    "writes_forged_frames": (NOTHING, BROKEN),
    "talks_to_the_grader": (NOTHING, BROKEN),
    "answers_before_it_is_asked": (NOTHING, ""),
    "asks_for_gigabytes": (NOTHING, ""),
    "asks_for_what_is_not_offered": (NOTHING, "'virtlab"),
    "announces_a_huge_frame": (NOTHING, BROKEN),
    "sends_huge_values": (NOTHING, LARGE),
    "nests_values_deeply": (NOTHING, LARGE),
    "numbers_that_take_long": (NOTHING, ""),
    "values_with_a_will_of_their_own": ((0, 0.25, HONEST), ""),
    "a_class_with_a_will_of_its_own": (NOTHING, ""),
    "raises_odd_exceptions": (NOTHING, "Odd: <exception str() failed>"),
    "writes_html": (NOTHING, "<script>"),
    "texts_that_no_file_can_hold": (NOTHING, ""),
    # -- ends itself
    "ends_python_in_a_cell": (NOTHING, "it ended Python itself"),
    "exits_in_a_cell": (NOTHING, "SystemExit: 0"),
    "ends_python_in_an_answer": (NOTHING, "it ended Python itself"),
    "overflows_the_stack": (NOTHING, "it crashed Python (SIGSEGV)"),
    "crashes_python": (NOTHING, "it crashed Python (SIGSEGV)"),
    "acts_at_the_end": (NOTHING, "SystemExit: 0"),
}
"""Of each attack: points for the three tasks, and a word that its result must contain."""

BOTH = (
    "fork_bomb", "thread_bomb", "fills_the_disk_with_many_files", "reads_solutions",
    "reads_another_submission", "opens_a_socket", "kills_everything", "traces_its_parent",
    "signals_through_a_pipe", "changes_rights_of_files", "stops_itself",
)  # fmt: skip
"""Attacks on what the two kinds of sandbox hold by different means."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where this machine makes temporary files: with another student's notebook in it."""
    place = tmp_path_factory.mktemp("host")
    other = place / "submitted" / "other" / "ps01" / "ps01.ipynb"
    other.parent.mkdir(parents=True)
    other.write_text("def who_answers(mappings, address, size): return secret")
    return place


@pytest.fixture(scope="module", autouse=True)
def host(folder):
    """What there is before, and that nothing more is there afterwards."""
    here = set(os.listdir("."))
    descriptors = set(os.listdir("/proc/self/fd"))
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
    assert settled(marked) == []
    assert [path.name for path in folder.iterdir()] == ["submitted"]
    assert len(list((folder / "submitted").rglob("*"))) == 3
    assert settled(watches) == []
    assert set(os.listdir("/proc/self/fd")) <= descriptors
    assert not {name for name in set(os.listdir(".")) - here if name.startswith(("file", "large"))}


@pytest.fixture(scope="module")
def beside(host):
    """An honest student: process and all, from before the first attack to after the last."""
    cells = hostile_class.sources(hostile_class.SOLUTION)
    limits = LIMITS._replace(cpu=20, wall=1000)
    with Student([(1, cells[task]) for task in TASKS], limits) as student:
        yield student


def watches() -> list[str]:
    """The grader's threads that watch a child."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("virtlab")]


def settled(look) -> list[str]:
    """What is still there when what is at its end has had the time to end."""
    until = time.monotonic() + 20
    while (found := look()) and time.monotonic() < until:
        time.sleep(0.01)
    return found


def marked() -> list[str]:
    """The processes of this machine that were started with these limits."""
    found = []
    for name in os.listdir("/proc"):
        try:
            words = Path("/proc", name, "cmdline").read_bytes() if name.isdigit() else b""
        except OSError:
            continue
        if b"boot.py" in words and str(MARK).encode() in words:
            found.append(name)
    return found


def examine(name: str, kind: str | None = None) -> None:
    """Grade one attack, and hold it against the table."""
    points, word = EXPECTED[name]
    used = sandbox.Sandbox(kind) if kind else None
    with pytest.MonkeyPatch.context() as patch:
        if name == "keeps_the_machine_at_work":  # or it would take as long as the judge allows
            patch.setattr(judge, "BUSY", 0.25)
        limits = LIMITS if word in ENDS else LIMITS._replace(cpu=10, quiet=5)
        result = grader.grade(submission(name), course(), 7, limits, used)
    text = as_text(result.as_data())
    assert tuple(task.points for task in result.tasks) == points
    assert any(each in text for each in (ENDS if word in ENDS else (word,)))
    assert LEAKED not in text
    assert result.refused == ""


def honest(student: Student) -> list[float]:
    """What the honest student gets for the tasks, in the process that it has had all along."""
    found = [grader._task(student, ALL[task], course(), 7).points for task in HONEST_TASKS]
    assert student.lives == 1
    return found


def test_the_table_has_every_attack_and_every_attack_a_purpose():
    assert sorted(EXPECTED) == NAMES
    assert len(NAMES) >= 25
    for name in NAMES:
        assert hostile_class.attack(name).endswith(".")
        assert set(hostile_class.cells(name)) <= {"ps1-q1-answer", "ps1-q2-answer", "ps1-q6-answer"}


@pytest.mark.parametrize("name", EXPECTED)
def test_an_attack_gains_nothing_and_harms_nobody(name, beside):
    examine(name)
    assert beside.judge.child.ended() == ""


@pytest.mark.parametrize("name", BOTH)
def test_where_there_is_no_bubblewrap_it_gains_nothing_either(name, beside):
    """A process of this account that has bound its own hands: Landlock and seccomp."""
    if sandbox.NO_ANSWER in sandbox.plain_losses():
        pytest.skip("the plain way does not work here")
    examine(name, "plain")
    assert beside.judge.child.ended() == ""


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(set(EXPECTED) - set(BOTH)))
@pytest.mark.parametrize("kind", ["plain", "bubblewrap"])
def test_all_attacks_in_both_kinds(name, kind):
    if kind == "bubblewrap":
        require("sandbox")
    examine(name, kind)


def test_an_honest_student_keeps_the_grade_through_all_of_it(beside):
    assert marked() != [], "the search for what is left finds what is there"
    points = [float(ALL[task].points) for task in HONEST_TASKS]
    assert honest(beside) == points
    for name in ("kills_everything", "patches_the_library"):
        examine(name)
        assert honest(beside) == points
