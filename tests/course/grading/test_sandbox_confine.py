"""What a child gives away before the first line of a student's, and what it says of that."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import types

import pytest

from virtlab.course import doctor
from virtlab.course.grading import (
    boot,
    confine,
    landlock,
    probe,
    sandbox,
    seccomp,
)
from virtlab.course.grading.limits import NOT_BEGUN, Limits

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="it is Linux's")


# -- what it gives away


def test_a_system_without_limits_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert confine.bound(Limits(), False) == [confine.NO_LIMITS]


def fake_resource(refused=(), most=-1):
    """A module `resource` that keeps what is set, and refuses some."""
    kept = {}

    def set_limit(kind, bounds):
        if kind in refused:
            raise ValueError("not here")
        kept[kind] = bounds

    names = ("CPU", "FSIZE", "NOFILE", "CORE", "MEMLOCK", "AS", "NPROC")
    values = {f"RLIMIT_{name}": name for name in names}
    module = types.SimpleNamespace(
        setrlimit=set_limit, getrlimit=lambda kind: (most, most), RLIM_INFINITY=-1, **values
    )
    return module, kept


def test_the_limits_are_the_kernels_and_never_above_what_was_granted(monkeypatch):
    module, kept = fake_resource()
    monkeypatch.setitem(sys.modules, "resource", module)
    monkeypatch.setattr(confine, "counts_by_namespace", lambda: True)
    monkeypatch.setattr(sys, "platform", "linux")
    assert confine.bound(Limits(cpu=0.4, memory=77), True) == []
    assert kept == {
        "CPU": (1, 2), "FSIZE": (16 << 20, 16 << 20), "NOFILE": (64, 64), "CORE": (0, 0),
        "MEMLOCK": (0, 0), "AS": (77, 77), "NPROC": (64, 64),
    }  # fmt: skip
    module, kept = fake_resource(most=50)
    monkeypatch.setitem(sys.modules, "resource", module)
    assert confine.bound(Limits(memory=77), False) == []
    assert kept["AS"] == (50, 50)
    assert "NPROC" not in kept


def test_a_system_that_does_not_bound_memory_says_so(monkeypatch):
    module, _ = fake_resource(refused=("AS",))
    monkeypatch.setitem(sys.modules, "resource", module)
    monkeypatch.setattr(sys, "platform", "linux")
    assert confine.bound(Limits(), False) == [confine.NO_MEMORY]
    module, _ = fake_resource()
    monkeypatch.setitem(sys.modules, "resource", module)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert confine.confine(Limits()) == (confine.NO_MEMORY, confine.NO_FILTER, confine.NO_FILES)


@LINUX
@pytest.mark.parametrize(
    ("release", "counts"),
    [("6.1.0-9-amd64", True), ("5.14", True), ("5.10.0", False), ("x.y", False)],
)
def test_tasks_are_bounded_where_a_namespace_counts_its_own(monkeypatch, release, counts):
    monkeypatch.setattr(os, "uname", lambda: types.SimpleNamespace(release=release))
    assert confine.counts_by_namespace() is counts


@LINUX
@pytest.mark.parametrize(
    ("alone", "files", "calls", "losses"),
    [
        (True, "", "", ()),
        (False, "", "", (confine.NAMES,)),
        (False, "no Landlock", "no filter", (confine.NO_FILES, confine.NO_FILTER)),
        (True, "not asked", "no filter", (confine.NO_FILTER,)),
    ],
)
def test_what_cannot_be_given_away_comes_back_as_sentences(
    monkeypatch, alone, files, calls, losses
):
    done = []

    class Libc:
        def prctl(self, *words):
            done.append(words[0])

        def capset(self, header, data):
            done.append("capset")

    monkeypatch.setattr(confine.ctypes, "CDLL", lambda *_, **__: Libc())
    monkeypatch.setattr(confine, "bound", lambda limits, alone: [])
    monkeypatch.setattr(landlock, "restrict", lambda *_: done.append("landlock") or files)
    monkeypatch.setattr(seccomp, "install", lambda own: done.append(("seccomp", own)) or calls)
    assert confine.confine(Limits(), ["/a"], ["/b"], alone) == losses
    steps = [4, 38, "capset"] if alone else [1, 4, 38, "capset", "landlock"]
    assert done == [*steps, ("seccomp", alone)], "no new rights before the filter, it is last"


class Kernel:
    """A `libc` that answers Landlock's calls as told, and keeps what it was asked."""

    def __init__(self, abi, create=3, restrict=0):
        self.answers = {444: create, 445: 0, 446: restrict}
        self.abi = abi
        self.asked = []

    def syscall(self, number, *words):
        if number == 444 and words[0] is None:
            return self.abi
        self.asked.append((number, words))
        return self.answers[number]


@LINUX
@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        (Kernel(-1), "no Landlock in this kernel"),
        (Kernel(7, create=-1), "no Landlock: "),
        (Kernel(7, restrict=-1), "no Landlock: "),
    ],
)
def test_a_kernel_without_landlock_is_heard(monkeypatch, kernel, said, tmp_path):
    kernel.answers[444] = kernel.answers[444] if kernel.answers[444] < 0 else os.dup(0)
    monkeypatch.setattr(landlock.ctypes, "CDLL", lambda *_, **__: kernel)
    assert landlock.restrict([str(tmp_path)], []).startswith(said)


@LINUX
def test_landlock_asks_for_what_each_version_has(monkeypatch, tmp_path):
    assert [len(landlock.attributes(abi)) for abi in range(1, 8)] == [8, 8, 8, 16, 16, 24, 24]
    file = tmp_path / "file"
    file.touch()
    for abi, all_rights in ((1, 0x1FFF), (3, 0x7FFF), (7, 0xFFFF)):
        kernel = Kernel(abi, create=os.dup(0))
        monkeypatch.setattr(landlock.ctypes, "CDLL", lambda *_, **__: kernel)  # noqa: B023
        names = [str(tmp_path), str(file), str(tmp_path / "nowhere")]
        assert landlock.restrict(names, [str(tmp_path)]) == ""
        rules = [words[2] for number, words in kernel.asked if number == 445]
        rights = [int.from_bytes(rule[:8], "little") for rule in rules]
        assert rights == [0b1100, 0b100, all_rights & ~landlock.DEVICES]
        assert kernel.asked[0][1][0][:8] == all_rights.to_bytes(8, "little")


# -- the first lines in a child


def test_the_first_lines_confine_before_they_import(monkeypatch):
    order = []
    said = '{"path": [], "limits": [1, 2, 3, 4, 5, 6], "readable": ["/a"], "writable": [],'
    monkeypatch.setattr(confine, "confine", lambda *words: order.append(words) or ("a loss",))
    module = types.SimpleNamespace(main=lambda *losses: order.append(losses))
    monkeypatch.setattr(boot.importlib, "import_module", lambda name: order.append(name) or module)
    monkeypatch.setattr(boot, "names_of_site", lambda: None)
    for name, given in (("a.child", ()), ("a.probe", (("a loss",),))):
        monkeypatch.setattr(
            sys,
            "argv",
            ["boot.py", f'{said} "expected": ["a loss"], "alone": true, "module": "{name}"}}'],
        )
        order.clear()
        boot.main()
        assert order == [(Limits(1, 2, 3, 4, 5, 6), ["/a"], [], True), name, given]
    monkeypatch.setattr(sys, "argv", ["boot.py", f'{said} "expected": [], "alone": true}}'])
    with pytest.raises(SystemExit) as stopped:
        boot.main()
    assert stopped.value.code == NOT_BEGUN
    assert len(order) == 4, "nothing is imported after that"


def test_a_child_without_its_modules_runs_nothing(monkeypatch):
    said = '{"path": [], "limits": [1, 2, 3, 4, 5, 6], "readable": [], "writable": [],'
    asked = f'{said} "expected": [], "alone": true, "module": "no_such_module"}}'
    monkeypatch.setattr(sys, "argv", ["boot.py", asked])
    monkeypatch.setattr(confine, "confine", lambda *words: ())
    monkeypatch.setattr(boot, "names_of_site", lambda: None)
    with pytest.raises(SystemExit) as stopped:
        boot.main()
    assert stopped.value.code == NOT_BEGUN


def test_names_of_site_are_given(monkeypatch):
    import builtins

    monkeypatch.delattr(builtins, "quit", raising=False)
    boot.names_of_site()
    assert callable(builtins.quit)


def test_the_probe_says_what_it_could_do(capsys, monkeypatch):
    monkeypatch.setattr(probe, "could_fork", lambda: True)
    monkeypatch.setattr(probe.sys, "stdout", stdout := io.StringIO())
    monkeypatch.setattr(stdout, "close", lambda: None)
    probe.main(("a loss", confine.NO_FILES))
    assert stdout.getvalue() == f'["a loss", "{confine.NO_FILES}", "{confine.NO_FILTER}"]\n'
    assert probe.could_read(__file__)
    assert not probe.could_read("/nowhere")


@LINUX
def test_the_probe_really_forks(monkeypatch):
    assert probe.could_fork()
    monkeypatch.delattr(os, "fork")
    assert probe.could_fork()


def test_a_fork_that_is_refused_is_held(monkeypatch):
    def refuse():
        raise PermissionError

    monkeypatch.setattr(os, "fork", refuse, raising=False)
    assert not probe.could_fork()


def test_nothing_of_windows_is_missed_where_it_is_another(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 512, raising=False)
    asked = {}
    monkeypatch.setattr(subprocess, "Popen", lambda argv, **options: asked.update(options))
    sandbox._popen(["python"], ".", {})
    assert asked["creationflags"] == 512
    assert "start_new_session" not in asked
    monkeypatch.setenv("SYSTEMROOT", "C:\\Windows")
    assert sandbox.environment("x")["SYSTEMROOT"] == "C:\\Windows"
    assert signal.SIGTERM


def test_the_doctor_says_whether_a_process_can_confine_itself(monkeypatch):
    plain = (sandbox.NO_BUBBLEWRAP, sandbox.NO_SIZE, confine.NAMES)
    monkeypatch.setattr(sandbox, "plain_losses", lambda: plain)
    assert doctor.confinement() == "limits, Landlock and a filter of system calls"
    monkeypatch.setattr(sandbox, "plain_losses", lambda: (*plain, confine.NO_FILTER))
    assert doctor.confinement() is None
