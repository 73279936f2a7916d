"""Both ends in one process: whatever a case gives behaves in a child as it does in a notebook."""

import linecache
import signal
import sys

import numpy as np
import pytest

from tests.course.grading.line import line
from tests.course.grading.nearby import here, memory, outcome
from virtlab.course.answers import Stopped, Trouble
from virtlab.course.grading import child as child_module
from virtlab.course.grading import judge as judge_module
from virtlab.errors import DmaFault, GuestError

SAME = {
    "a value": ("def f(x): return x, type(x).__name__", (True,)),
    "a missing function": ("g = 1", ()),
    "not a function": ("f = 7", ()),
    "a stub": ("def f(): raise NotImplementedError", ()),
    "an error in a line": ("def f():\n    x = 1\n    return x // 0", ()),
    "an error of one's own": ("class E(Exception): pass\ndef f(): raise E('no')", ()),
    "the end of Python": ("def f(): raise SystemExit(3)", ()),
    "prints": ("def f():\n    print('a' * 500)\n    1 / 0", ()),
    "wrong arguments": ("def f(a, b): pass", (1,)),
    "a recursion": ("def f(n): return f(n + 1)", (0,)),
    "an attribute that is not there": ("def f(m): return m.walls", (memory,)),
    "a verb with too little": ("def f(m): m.read(1)", (memory,)),
    "a verb with a name that it has not": ("def f(m): m.read(address=1, size=2)", (memory,)),
    "a verb with names": ("def f(m): return m.read(length=2, address=1)", (memory,)),
    "a text where a number should be": ("def f(m): m.store(0, 4, 'seven')", (memory,)),
    "a fraction where a number should be": ("def f(m): m.load(0, 4.0)", (memory,)),
    "a number like a number": (
        "import enum\nclass A(enum.IntEnum): B = 4\ndef f(m): m.store(A.B, 4, A.B); "
        "return m.load(4, A.B)",
        (memory,),
    ),
    "a negative length": ("def f(m): m.read(0, -1)", (memory,)),
    "bytes that are not there": ("def f(m): m.read(0x100, 1)", (memory,)),
    "bytes that are not there, caught": (
        "from virtlab.errors import DmaFault\ndef f(m):\n    try: m.read(0xFF, 9)\n"
        "    except DmaFault as e: return e.address, e.length, e.reason, str(e)",
        (memory,),
    ),
    "an error of a machine, caught as what it is": (
        "def f(m):\n    try: m.read(0, 1 << 30)\n    except ValueError as e: return e.args",
        (memory,),
    ),
    "too many accesses": ("def f(m):\n    while True: m.load(0, 1)", (memory,)),
    "too many, and nothing but `except Exception`": (
        "def f(m):\n    while True:\n        try: m.load(0, 1)\n        except Exception: pass",
        (memory,),
    ),
    "what is no number": ("def f(a): return a.shape, a.dtype.str", (lambda: np.arange(3),)),
    "any object": ("def f(x): return x.colour", (object,)),
    "is not callable": ("def f(x): return x()", (object,)),
}


@pytest.mark.parametrize(("source", "given"), SAME.values(), ids=SAME)
def test_it_is_as_in_a_notebook(source, given):
    def arguments():
        return [each() if callable(each) else each for each in given]

    linecache.cache.pop("<string>", None)
    with line(source) as (answer, _):
        assert outcome(answer, "f", *arguments()) == outcome(here(source), "f", *arguments())


class Crash(BaseException):
    """What no answer knows of."""


def test_a_machines_own_exception_is_the_cause_that_comes_back():
    error = Crash("gone")

    def fail():
        raise error

    with line("def f(x):\n    try: x()\n    finally: pass") as (answer, _):
        with pytest.raises(Trouble, match="Crash: gone") as trouble:
            answer.call("f", fail)
        assert trouble.value.__cause__ is error


def test_a_guest_error_of_the_answers_own_is_the_cause_too():
    source = "from virtlab.errors import GuestError\ndef f(): raise GuestError('why', 'virtio 1.3')"
    with line(source) as (answer, _):
        with pytest.raises(Trouble) as trouble:
            answer.call("f")
        assert type(trouble.value.__cause__) is GuestError
        assert trouble.value.__cause__.spec == "virtio 1.3"


def test_exceptions_of_every_kind_cross_with_what_they_say():
    class Odd(KeyError):
        """Below one of Python's own."""

    errors = [
        KeyError(3), OSError(5, "no medium"), Odd(object()), DmaFault("no", 1, 2, 3),
        UnicodeDecodeError("ascii", b"a", 0, 1, "bad"), GuestError("why", "spec"), Crash(),
    ]  # fmt: skip
    source = (
        "def f(x):\n    try: x()\n    except BaseException as e:\n"
        "        return [c.__name__ for c in type(e).__mro__ if c.__module__ == 'builtins'], "
        "type(e).__name__, getattr(e, 'errno', 0), getattr(e, 'code', 0)"
    )
    with line(source) as (answer, _):
        for error in errors:

            def fail(error=error):
                raise error

            bases = [c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins"]
            said = getattr(error, "errno", 0), getattr(error, "code", 0)
            assert answer.call("f", fail) == (bases, type(error).__name__, *said)


def test_a_budget_that_is_used_up_is_final_whatever_the_answer_catches():
    source = (
        "def f(m):\n    try:\n        while True: m.load(0, 1)\n"
        "    except BaseException: return 'fine'"
    )
    with line(source) as (answer, _):
        assert outcome(answer, "f", memory())[:1] == ("stopped",)
        assert answer.call("f", None) == "fine"


def test_what_is_too_large_is_said_and_not_sent():
    with line("def f(): return b'x' * (20 << 20)\ndef g(x): x(b'x' * (20 << 20))") as (answer, _):
        assert outcome(answer, "f") == ("stopped", child_module.TOO_LARGE, "")
        assert outcome(answer, "g", lambda data: 0)[1] == child_module.TOO_LARGE
        assert outcome(answer, "f")[0] == "stopped"


def test_what_is_nested_too_deep_is_said():
    source = "def f():\n    x = []\n    for _ in range(100_000): x = [x]\n    return x"
    with line(source) as (answer, _):
        assert outcome(answer, "f")[0] == "stopped"


def test_a_judge_whose_value_is_too_large_ends_it():
    with line("def f(x): return 1") as (answer, _):
        assert outcome(answer, "f", b"x" * (17 << 20)) == ("stopped", judge_module.LARGE, "")


def test_a_case_of_its_own_begins_with_nothing_printed():
    with line("def f(): print('one')\ndef g(): pass") as (answer, _):
        answer.call("f")
        assert answer.printed == "one\n"
        answer.begin()
        answer.call("g")
        assert answer.printed == ""


def test_an_answer_that_keeps_this_side_busy_is_stopped(monkeypatch):
    monkeypatch.setattr(judge_module, "BUSY", 0.05)
    source = "def f(x):\n    while True:\n        try: x()\n        except Exception: pass"
    with line(source) as (answer, _):
        assert "kept the machine at work" in outcome(answer, "f", lambda: 1)[1]


def test_the_disk_does_not_wait_for_what_both_sides_hold(monkeypatch):
    from virtlab.backends.disk import Disk

    said = []
    source = "def f(disk, q):\n    q.append(1); data = disk.read(0, 1); return len(data), q"
    with line(source) as (answer, child):
        send = child.channel.send
        monkeypatch.setattr(child.channel, "send", lambda *a, **k: said.append(k) or send(*a, **k))
        q = []
        assert answer.call("f", Disk(1024), q) == (512, q)
        assert q == [1]
    assert said[0] == {"alone": True}


# -- the timer


def test_the_time_of_a_case_is_its_own_and_not_that_of_calls(monkeypatch):
    with line("def f(): pass") as (_, child):
        monkeypatch.setattr(child_module.time, "process_time", lambda: child.began + now)
        frame = sys._getframe()
        now = 0.6
        child.calls = 1
        child.ring(signal.SIGPROF, frame)
        now = 0.8
        child.crossed = 10_000
        child.ring(signal.SIGPROF, frame)
        now = 1.8
        child.crossed = 10_000_000
        with pytest.raises(Stopped):
            child.ring(signal.SIGPROF, frame)
        child.crossed = 0
        with pytest.raises(Stopped, match=r"after 0\.7 seconds"):
            child.ring(signal.SIGPROF, frame)
        child.calls = 0
        child.ring(signal.SIGPROF, frame)
        assert not child.late


def test_a_bad_moment_is_put_off_to_the_end_of_the_call():
    with line("def f(x):\n    x()\n    return 1") as (answer, child):

        def late():
            child.late = True

        assert outcome(answer, "f", late) == ("stopped", "it was stopped after 0.7 seconds", "")
        assert not child.late
