"""What an answer may use up, how it ends, and which sandbox is taken: tried in both kinds."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.course.grading.sandboxed import INSIDE, KINDS, SMALL, read_all, running, said
from virtlab.course.grading import confine, sandbox
from virtlab.course.grading.limits import NOTHING_RUN, Limits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what it tries is Linux's")
ROOT = Path(__file__).parents[3]


# -- what it may not use up


def test_an_endless_loop_ends_after_its_processor_time(kind):
    """All signals ignored and blocked: SIGKILL is neither."""
    source = """
        import signal
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        while True: pass
    """
    with running(source, kind, SMALL._replace(cpu=0.3)) as child:
        assert read_all(child) == ""
        assert child.ended(5.0) == "it was stopped after 0.3 s of processor time"
        assert 0.3 <= child.cpu_seconds() < 2.5, "at the latest RLIMIT_CPU holds"


@pytest.mark.parametrize(
    "source",
    [
        "import time; time.sleep(99)",
        "import os, time; [os.close(number) for number in range(3)]; time.sleep(99)",
        "import os, signal, time; os.kill(os.getpid(), signal.SIGSTOP); time.sleep(99)",
        "import threading; threading.Thread(target=threading.Event().wait).start()",
        "import sys\nwhile True: sys.stdout.write('x' * 65536)",
    ],
    ids=["sleeps", "closes its pipes", "stops itself", "leaves a thread", "prints without end"],
)
def test_waiting_ends_by_the_clock(kind, source):
    with running(source, kind, SMALL._replace(wall=0.4)) as child:
        assert child.ended(10.0) == "it was stopped after 0.4 s by the clock"


def test_memory_is_bounded(kind):
    source = """
        import numpy
        lists = arrays = 0
        try:
            held = []
            while True: held.append(bytearray(1 << 20)); lists += 1
        except MemoryError: del held
        try: numpy.ones(1 << 28)
        except MemoryError: print(lists, "MemoryError")
    """
    told = said(source, kind, SMALL._replace(memory=256 << 20))[0]
    assert told.endswith(" MemoryError")
    assert 50 < int(told.split()[0]) < 256


def test_files_are_bounded(kind):
    """One large file, and many that are small enough."""
    source = """
        import time
        with open("large", "wb") as file:
            try:
                while True: file.write(bytes(1 << 16))
            except OSError as error: print(error.strerror, flush=True)
        for number in range(100):
            try: open(f"f{number}", "wb").write(bytes(1 << 19))
            except OSError as error: print(error.strerror, flush=True); break
        else: time.sleep(9)
    """
    told, why = said(source, kind)
    if kind == "bubblewrap":
        assert told == "File too large\nNo space left on device"
    else:
        assert (told, why) == ("File too large", "it wrote more than 4 MiB of files")


def test_empty_files_are_counted(kind):
    source = "n = 0\nwhile True: open(f'f{n}', 'w').close(); n += 1"
    assert said(source, kind)[1] == "it made more than 10,000 files"


def test_threads_are_counted(kind):
    source = """
        import threading
        threading.stack_size(32768)
        for _ in range(2000): threading.Thread(target=threading.Event().wait).start()
    """
    why = said(source, kind)[1]
    assert why == "it started more than 64 threads" or "NPROC" in why


# -- its end


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("", "it ended Python itself"),
        ("import os; os._exit(3)", "it ended Python itself, with status 3"),
        ("import ctypes; ctypes.string_at(0)", "it crashed Python (SIGSEGV)"),
        ("1 / 0", "it ended Python itself, with status 1"),
    ],
)
def test_why_it_ended_is_said_in_words(kind, source, why):
    assert said(source, kind) == ("", why)


def test_processor_time_is_the_childs_own_also_after_its_end(kind):
    source = "import time\nwhile time.process_time() < 0.3: pass\nprint(time.process_time())"
    with running(source, kind) as child:
        own = float(read_all(child))
        child.ended(5.0)
        assert own <= child.cpu_seconds() < own + 0.3


def test_killing_gives_the_graders_reason_and_closing_leaves_nothing(kind):
    before = {thread.ident for thread in threading.enumerate()}
    descriptors = set(os.listdir("/proc/self/fd"))
    with running("import time; print(1, flush=True); time.sleep(99)", kind) as child:
        assert child.stdout.read(1) == b"1"
        pid, around = child._started.pid, child._started.process.pid
        assert child.ended() == ""
        child.kill("it did not answer within 5 s")
        child.kill("a second reason")
        assert child.ended(5.0) == "it did not answer within 5 s"
        folder = Path(child._started.folder)
    child.close()
    assert child.ended() == "it did not answer within 5 s"
    assert not Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{around}").exists()
    assert not folder.exists()
    assert {thread.ident for thread in threading.enumerate()} <= before
    assert set(os.listdir("/proc/self/fd")) <= descriptors


def test_it_dies_with_the_grader(kind):
    """A grader that is killed leaves no child behind, even one that never looks at its pipes."""
    source = f"""
        import sys, time; sys.path.insert(0, {str(ROOT)!r})
        from tests.course.grading.sandboxed import running
        with running("import time; print(1, flush=True); time.sleep(99)", {kind!r}) as child:
            child.stdout.read(1)
            print(child._started.pid, child._started.folder, flush=True)
            time.sleep(99)
    """
    lines = "\n".join(line.strip() for line in source.splitlines()[1:4]) + "\n"
    lines += "    " + "\n    ".join(line.strip() for line in source.splitlines()[4:])
    grader = subprocess.Popen([sys.executable, "-c", lines], stdout=subprocess.PIPE, text=True)
    assert grader.stdout
    pid, folder = grader.stdout.readline().split()
    grader.send_signal(signal.SIGKILL)
    grader.wait()
    grader.stdout.close()
    until = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert not Path(f"/proc/{pid}").exists()
    with contextlib.suppress(OSError):
        os.rmdir(folder)


# -- which sandbox


def test_the_sandbox_is_tried_and_its_losses_are_said():
    found = sandbox.available()
    assert found is sandbox.available()
    if found.kind == "bubblewrap":
        assert found.losses == ()
    plain = sandbox.plain_losses()
    assert plain[0] == sandbox.NO_BUBBLEWRAP
    assert confine.NO_FILTER not in plain


def test_a_bubblewrap_that_does_not_work_is_not_believed(monkeypatch, tmp_path):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sandbox.bubblewrap, "program", lambda: str(broken))
    with pytest.raises(sandbox.NotStarted, match="bubblewrap could not make a sandbox"):
        sandbox.tried("bubblewrap")
    assert sandbox.available.__wrapped__().kind == "plain"


def test_a_child_that_holds_less_than_was_found_runs_nothing(monkeypatch):
    """Landlock leaves names: a child that was thought to hold them too does not begin."""
    with running("print('run')", "plain", known=()) as child:
        assert read_all(child) == ""
        assert child.ended(5.0) == NOTHING_RUN


def test_what_is_known_to_be_lost_is_what_was_found(monkeypatch):
    asked = []
    monkeypatch.setattr(sandbox, "_start", lambda *words: asked.append(words))
    monkeypatch.setattr(sandbox, "by_plain", lambda: ("found",))
    for kind in ("plain", "bubblewrap"):
        sandbox.start(sandbox=sandbox.Sandbox(kind, ("given",)))
    assert [words[3] for words in asked] == [("given", "found"), ("given",)]


def test_what_cannot_be_started_at_all_is_said_in_one_line(monkeypatch, tmp_path, anew):
    nowhere = sandbox.view()._replace(python=str(tmp_path / "python"))
    monkeypatch.setattr(sandbox, "view", lambda: nowhere)
    monkeypatch.setattr(sandbox.bubblewrap, "program", lambda: str(tmp_path / "bwrap"))
    monkeypatch.setattr(sandbox.bubblewrap, "sized", lambda: True)
    for kind in KINDS:
        with pytest.raises(sandbox.NotStarted, match="could not be started: No such file"):
            sandbox._start(kind, Limits(), sandbox.MODULE, ())
    assert sandbox.available.__wrapped__() == sandbox.Sandbox(
        "plain",
        (
            sandbox.NO_BUBBLEWRAP,
            sandbox.NO_SIZE,
            sandbox.NO_ANSWER,
            confine.NO_FILTER,
            confine.NO_FILES,
        ),
    )


def test_inside_is_only_what_the_tests_add():
    assert [path.name for path in INSIDE.glob("*.py")] == ["bare_child.py"]
