"""What a sandbox keeps from an answer, tried from inside, in both kinds.

The plain kind is tried on Linux with Landlock and seccomp; what it holds less is in the table
`docs/grading.md`, and in `Sandbox.losses`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.course.grading.sandboxed import INSIDE, said
from virtlab.course.grading.view import view

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what it tries is Linux's")
ROOT = Path(__file__).parents[3]


def attempts(*lines: str) -> str:
    """A source that tries each line and says which of them worked."""
    return "import os\n" + "".join(
        f"try:\n    {line}\n    print({line!r}, 'worked')\nexcept (OSError, ValueError): pass\n"
        for line in lines
    )


# -- what an honest answer needs


def test_numpy_and_threads_work(kind):
    source = """
        import threading, numpy
        found = []
        threads = [threading.Thread(target=found.append, args=(n,)) for n in range(8)]
        for each in threads: each.start()
        for each in threads: each.join()
        print(found, int(numpy.arange(5).sum()), (numpy.ones((9, 9)) @ numpy.ones((9, 9)))[0, 0])
    """
    assert said(source, kind)[0] == "[0, 1, 2, 3, 4, 5, 6, 7] 10 9.0"


def test_files_in_the_temporary_folder_work(kind):
    source = """
        import os, shutil, tempfile
        before = os.listdir(".")
        with tempfile.TemporaryDirectory() as folder:
            open(folder + "/a", "w").write("hello")
            shutil.copyfile(folder + "/a", folder + "/b")
            print(sorted(os.listdir(folder)), open(folder + "/b").read())
        print(os.listdir(".") == before, os.path.samefile(".", os.environ["HOME"]))
    """
    assert said(source, kind)[0] == "['a', 'b'] hello\nTrue True"


def test_signals_and_timers_of_its_own_work(kind):
    source = """
        import os, signal
        seen = []
        signal.signal(signal.SIGPROF, lambda *_: seen.append("timer"))
        signal.signal(signal.SIGUSR1, lambda *_: seen.append("kill"))
        os.kill(os.getpid(), signal.SIGUSR1)
        signal.setitimer(signal.ITIMER_PROF, 0.01)
        while len(seen) < 2: pass
        print(seen)
    """
    assert said(source, kind)[0] == "['kill', 'timer']"


def test_the_library_is_there_and_the_course_is_not(kind):
    source = """
        import importlib
        import virtlab.virtio.split
        for name in ("checks", "tasks", "ps1", "ps4.walks", "grading.grader", "grading.hidden"):
            try: importlib.import_module("virtlab.course." + name); print(name)
            except (ImportError, OSError): pass
    """
    assert said(source, kind)[0] == ""


def test_a_set_has_the_same_order_in_every_child_and_a_session_of_its_own(kind):
    source = "import os; print(hash('virtlab'), os.getsid(0) == os.getpid())"
    first, second = (said(source, kind)[0] for _ in range(2))
    assert first == second
    assert first.endswith("True") or kind == "bubblewrap"


def test_exit_quit_and_help_are_there(kind):
    assert said("print(callable(help), callable(quit)); exit(3)", kind) == (
        "True True",
        "it ended Python itself, with status 3",
    )


# -- what it may not see


def test_its_environment_says_nothing_of_this_machine(kind, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    monkeypatch.setenv("API_TOKEN", "secret")
    told = said("import os; print(sorted(os.environ))", kind)[0]
    assert "PROXY" not in told
    assert "TOKEN" not in told
    assert "OPENBLAS_NUM_THREADS" in told


def test_it_reads_nothing_of_the_project_the_system_and_other_students(kind, tmp_path):
    (tmp_path / "submission.ipynb").write_text("another student's")
    forbidden = [
        ROOT / "solutions", ROOT / "tests" / "conftest.py", ROOT / "pyproject.toml",
        ROOT / "virtlab" / "course" / "checks.py", ROOT / "virtlab" / "course" / "ps1",
        tmp_path / "submission.ipynb", Path("/etc/passwd"), Path("/proc/self/mem"),
        Path("/proc/1/environ"), Path("/sys"), Path("/dev/mem"), Path("/boot"),
    ]  # fmt: skip
    lines = [f"print(os.listdir({str(path)!r}))" for path in forbidden]
    lines += [f"print(open({str(path)!r}, 'rb').read(9))" for path in forbidden]
    assert said(attempts(*lines), kind)[0] == ""


def test_of_the_home_folder_it_sees_the_way_to_python_at_most(kind):
    home, seen = Path.home(), view()
    ways = {Path(name) for name in (*seen.trees, *seen.files, seen.python, str(INSIDE))}
    first = {way.relative_to(home).parts[0] for way in ways if way.is_relative_to(home)}
    source = f"""
        import os
        try: print(*os.listdir({str(home)!r}), sep="|")
        except OSError: pass
    """
    found = said(source, kind)[0]
    assert set(found.split("|")) <= {"", *first}


def test_it_writes_nowhere_but_in_its_folder(kind, tmp_path):
    places = ["/", "/dev", "/dev/shm", "/usr/lib", str(ROOT), str(ROOT / "virtlab"), str(tmp_path)]
    if ROOT.is_relative_to("/tmp"):  # then its folders have empty twins in the child's own /tmp
        places = [*places[:4], str(tmp_path)]
    lines = [f"open({place + '/attack'!r}, 'w')" for place in places]
    lines += ["os.mkdir('/attack')", "os.symlink('/etc', '/attack')", "os.truncate('/dev/sda', 0)"]
    assert said(attempts(*lines), kind)[0] == ""
    assert not list(ROOT.glob("attack*"))
    assert not list(tmp_path.iterdir())


def test_it_changes_no_rights_and_no_times_of_files(kind, tmp_path):
    """Who grades may own them all. Without rights, the library would be broken for the others."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    before = victim.stat()
    calls = ("chmod({}, 0o777)", "utime({}, (1, 1))", "truncate({}, 0)", "chown({}, 1, 1)")
    more = ("setxattr({}, 'user.x', b'')", "remove({})", "rename({}, 'x')", "link({}, 'x')")
    lines = ["os." + call.format(repr(str(victim))) for call in calls + more]
    read, rights = ROOT / "virtlab" / "cpu.py", (ROOT / "virtlab" / "cpu.py").stat().st_mode
    lines.append(f"os.fchmod(os.open({str(read)!r}, os.O_RDONLY), {rights & 0o777})")
    assert said(attempts(*lines), kind)[0] == ""
    assert victim.stat() == before
    assert victim.read_text() == "precious"


def test_it_has_no_descriptor_but_three(kind):
    source = """
        import os
        for number in range(64):
            try: os.fstat(number); print(number, end=" ")
            except OSError: pass
    """
    assert said(source, kind)[0] == "0 1 2"


# -- what it may not do


def test_it_starts_no_process(kind):
    lines = ["os.fork()", "os.posix_spawn('/bin/true', ['true'], {})", "os.execv('/bin/sh', ['s'])"]
    lines += ["__import__('subprocess').run(['true'])", "os.forkpty()"]
    assert said(attempts(*lines), kind)[0] == ""


def test_it_opens_no_socket(kind):
    lines = ["__import__('socket').socket()", "__import__('socket').socketpair()"]
    lines += ["__import__('socket').getaddrinfo('localhost', 80)"]
    assert said(attempts(*lines), kind)[0] == ""


def test_it_signals_nobody_else(kind):
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        lines = [f"os.kill({victim.pid}, 9)", "os.kill(-1, 9)", "os.kill(0, 9)"]
        lines += ["os.kill(os.getppid(), 9)", f"os.killpg({os.getpgrp()}, 9)"]
        assert said(attempts(*lines), kind)[0] == ""
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()


def test_a_pipe_that_is_ready_signals_nobody_else(kind):
    """F_SETOWN names a process, F_SETSIG the signal: any signal, SIGKILL too."""
    lines = [f"__import__('fcntl').fcntl(0, {command}" for command in ("8, 1)", "10, 9)")]
    assert said(attempts(*lines), kind)[0] == ""


def test_it_raises_no_limit_and_gets_no_rights_back(kind):
    lines = ["__import__('resource').setrlimit(0, (99, 99))", "os.setuid(0)", "os.nice(-5)"]
    lines += ["__import__('resource').prlimit(0, 0, (99, 99))", "os.chroot('/')", "os.setsid()"]
    lines += ["os.sched_setaffinity(0, {0})", "os.mkfifo('x')", "os.memfd_create('x')"]
    assert said(attempts(*lines), kind)[0] == ""


def test_raw_system_calls_by_ctypes_are_refused_too(kind):
    source = """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        if os.uname().machine == "x86_64":
            for number in (57, 58, 59, 41, 101, 165, 272, 310, 425, 321, 250, 157):
                print(libc.syscall(number, 1, 9, 0, 0, 0), ctypes.get_errno(), end=" ")
    """
    told = said(source, kind)[0]
    assert told in ("", " ".join(["-1 1"] * 12))


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the doors are those of x86")
def test_the_other_doors_into_an_x86_kernel_are_shut(kind):
    """`int 0x80` takes the numbers of 32-bit programs, and x32 those of its own."""
    x32 = "import ctypes; ctypes.CDLL(None).syscall(0x40000000 | 39); print('through')"
    int80 = """
        import ctypes, mmap
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20; int 0x80; ret
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
        print("through")
    """
    for source in (x32, int80):
        assert said(source, kind) == ("", "it crashed Python (SIGSYS)")
