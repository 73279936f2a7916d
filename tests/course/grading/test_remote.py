"""A submission in a process of its own: what it does there costs it alone, and is said in words."""

import pytest

from virtlab.course.checks import TASKS, find
from virtlab.course.grading import remote
from virtlab.course.grading.limits import Limits
from virtlab.course.grading.remote import Student
from virtlab.course.grading.sandbox import NotStarted, Sandbox
from virtlab.course.tasks import Case, Difference

PLAIN = Sandbox("plain")
QUICK = Limits(quiet=1.0)

RIGHT = """
def who_answers(mappings, address, size):
    for base, length, name in mappings:
        if base <= address and address + size <= base + length:
            return name
"""


def student(*sources, limits=QUICK):
    return Student(list(enumerate(sources, 1)), limits, PLAIN)


def test_a_report_says_what_check_says_in_the_notebook():
    with student("x = 1", RIGHT) as one:
        report = one.examine(find("ps1.q1"), 5)
        assert report.ok
        assert len(report.passed) == len(find("ps1.q1").cases)
        assert (one.errors, one.ended, one.sandbox) == ([], "", PLAIN)
        missing = one.examine(find("ps1.q6"), 5)
        assert "there is no written here yet" in str(missing)
    assert one.seconds > 0
    one.close()


def test_cells_that_raise_are_named_and_the_others_run():
    with student("1 / 0", RIGHT, "raise KeyError('x')") as one:
        assert one.errors == [
            (1, "ZeroDivisionError: division by zero, in line 1: 1 / 0"),
            (3, "KeyError: 'x', in line 1: raise KeyError('x')"),
        ]
        assert one.examine(find("ps1.q1"), 1).ok


DEADLY = {
    "ends Python": ("import os; os._exit(3)", "it ended Python itself, with status 3"),
    "crashes": ("import os; os.kill(os.getpid(), 11)", "it crashed Python (SIGSEGV)"),
    "sleeps": ("import time; time.sleep(60)", "it did not come to an end within 1 s"),
    "loops": (
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "it did not come to an end within 1 s",
    ),
}


@pytest.mark.parametrize(("source", "why"), DEADLY.values(), ids=DEADLY)
def test_a_cell_that_ends_the_process_is_left_out_and_said(source, why):
    with student(RIGHT, source) as one:
        assert one.errors == [(2, why)]
        assert one.ended == why
        assert one.examine(find("ps1.q1"), 1).ok


@pytest.mark.parametrize(("source", "why"), DEADLY.values(), ids=DEADLY)
def test_an_answer_that_ends_the_process_costs_its_own_task(source, why):
    body = "\n".join(f"    {line}" for line in source.split("\n"))
    with student(RIGHT, f"def written(*a):\n{body}") as one:
        failed = one.examine(find("ps1.q6"), 1)
        assert failed.failure.difference.yours in (why, "it was stopped after 0.7 seconds")
        assert failed.passed == []
        assert one.examine(find("ps1.q1"), 1).ok


def test_what_ends_the_process_in_the_middle_of_a_call_back():
    source = "import os\ndef put(cpu, text):\n    cpu.inp(0x3FD)\n    os._exit(0)"
    with student(source, RIGHT) as one:
        found = one.examine(find("ps1.q2"), 1).failure
        assert found.difference == Difference(
            "your code comes to an end", "it ended Python itself", "", ""
        )
        assert one.examine(find("ps1.q1"), 1).ok


def test_too_many_deadly_cells_end_it_all():
    deadly = ["import os; os._exit(0)"] * 6
    with student(*deadly, RIGHT) as one:
        assert len(one.errors) == remote.CELLS + 1
        report = one.examine(find("ps1.q1"), 1)
        assert not report.ok
        assert report.failure.difference.yours == "it ended Python itself"


def test_a_student_has_so_many_lives_and_no_more(monkeypatch):
    monkeypatch.setattr(remote, "LIVES", 2)
    with student("import os\ndef who_answers(*a): os._exit(0)") as one:
        for _ in range(4):
            assert not one.examine(find("ps1.q1"), 1).ok
        assert one.lives == 2


def test_a_child_that_cannot_be_had_is_no_students_fault(monkeypatch):
    def start(*_):
        raise NotStarted("no room")

    monkeypatch.setattr(remote, "start", start)
    with pytest.raises(NotStarted):
        student(RIGHT)


def test_a_child_that_talks_on_the_frames_pipe_is_ended():
    source = (
        "import os\ndef who_answers(*a):\n    for fd in range(3, 20):\n"
        "        try: os.write(fd, b'\\0' * 100)\n        except OSError: pass"
    )
    with student(source) as one:
        assert not one.examine(find("ps1.q1"), 1).ok
        assert one.ended == "it broke off the talk with the checker"


def test_prints_and_forged_results_on_the_standard_descriptors_go_nowhere():
    source = (
        "import os, sys\nfor fd in (0, 1, 2):\n"
        "    try: os.write(fd, b'\\2\\0\\0\\0\\0\\0\\0\\0{}')\n"
        "    except OSError: pass\nsys.__stdout__.write('{}'); sys.__stdout__.flush()"
    )
    with student(source, RIGHT) as one:
        assert one.ended == ""
        assert one.examine(find("ps1.q1"), 1).ok


ODD = {
    "a value with an eq of its own": "class A:\n    def __eq__(s, o): return True\n"
    "def who_answers(*a): return A()",
    "a text with an eq of its own": "class A(str):\n    def __eq__(s, o): return True\n"
    "    __hash__ = str.__hash__\ndef who_answers(*a): return A('uart')",
    "a list in itself": "def who_answers(*a):\n    x = []; x.append(x); return x",
    "a type": "def who_answers(*a): return int",
    "a generator": "def who_answers(*a): return (i for i in range(3))",
    "no frame": "import sys\ndef who_answers(*a): return sys._getframe()",
    "a patched comparison": "import virtlab.course.grading.child, builtins\n"
    "builtins.isinstance = lambda *a: True\ndef who_answers(*a): return 1",
}


@pytest.mark.parametrize("source", ODD.values(), ids=ODD)
def test_an_odd_value_is_refused_and_raises_nowhere(source):
    with student(source) as one:
        report = one.examine(find("ps1.q1"), 1)
        assert not report.ok
        assert str(report)


def test_a_case_that_cannot_take_a_value_fails_and_does_not_raise():
    def run(answer, rng):
        return answer.call("who_answers") + 1

    with student("def who_answers(): return 'text'") as one:
        report = one.examine(find("ps1.q1"), 1, [Case("odd", run)])
        assert "TypeError" in report.failure.difference.yours
        assert report.results == (("odd", False),)


def test_cases_can_be_given():
    case = Case("alone", lambda answer, rng: None)
    with student(RIGHT) as one:
        assert one.examine(find("ps1.q1"), 1, [case]).passed == ["alone"]


HIDDEN = {
    "from virtlab.course.ps4.walks import expected": "No module named 'virtlab.course.ps4'",
    "import virtlab.course.tasks": "No module named 'virtlab.course.tasks'",
    "import virtlab.course.grading.judge": "No module named 'virtlab.course.grading.judge'",
    "from virtlab.course.checks import TASKS": "cannot import name 'TASKS'",
}


def test_judges_cannot_be_imported():
    with student(*HIDDEN) as one:
        for (_, error), said in zip(one.errors, HIDDEN.values(), strict=True):
            assert said in error


def test_nothing_of_a_machine_but_its_offer_is_there():
    source = (
        "def put(cpu, text):\n"
        "    raise ValueError(sorted(n for n in dir(cpu) if not n.startswith('_')))"
    )
    with student(source) as one:
        said = str(one.examine(find("ps1.q2"), 1))
        assert "['inp', 'load', 'out', 'read', 'store', 'wait', 'write']" in " ".join(said.split())


def test_every_task_can_be_examined_by_its_id():
    assert all(find(task) is TASKS[task] for task in TASKS)
