"""What works where nothing is Linux: `docs/platforms.md` is held against a pretended system."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.other_platform import NO_MODULES, TEXTS
from tests.other_python import run_module
from virtlab.course.cli import COMMANDS, UNIX

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "platforms.md").read_text(encoding="utf-8")
SYSTEMS = ("win32", "darwin")

LINUX_ONLY = (
    *("virtlab.backends.image_file", "virtlab.hosts.kvm", "virtlab.hosts.vfio_user"),
    *("virtlab.virtio.vhost_user", "virtlab.hosts.vhost_user", "virtlab.hosts.live_"),
    *("virtlab.course.serve_", "virtlab.show.real_lives"),
)
"""Modules that may need what Windows lacks: a kernel of Linux, files in shared memory, seals."""


@cache
def said(system: str) -> dict[str, str]:
    """By name of a module, a command or a lesson: "" or what its import ended with."""
    done = run_module("other_platform", system)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_imports_of_every_lesson_work_on_windows_and_macos() -> None:
    for system in SYSTEMS:
        lessons = {path.stem: said(system)[path.stem] for path in TEXTS.glob("*.py")}
        assert len(lessons) > 22
        assert set(lessons.values()) == {""}, lessons


def test_every_module_imports_on_macos() -> None:
    assert {name: words for name, words in said("darwin").items() if words} == {}


def test_on_windows_only_what_deals_with_a_real_kernel_does_not_import() -> None:
    failed = {name: words for name, words in said("win32").items() if words}
    assert failed.pop("serve").startswith("ModuleNotFoundError")
    strange = {name: words for name, words in failed.items() if not name.startswith(LINUX_ONLY)}
    assert strange == {}
    assert "virtlab.virtio.vhost_user.mapping" in failed


def test_every_other_command_starts_on_windows() -> None:
    for command in COMMANDS:
        assert said("win32")[command.name] == "" or command.name == "serve"


@pytest.mark.parametrize("command", ["serve blk disk.img --socket disk.sock", "serve --help"])
def test_serve_says_in_one_line_that_it_needs_linux(command: str) -> None:
    done = run_module("other_platform", "win32", *command.split())
    assert done.returncode == 1
    assert done.stderr == ("virtlab serve: this needs Linux: Python on win32 has no module fcntl\n")


def test_a_problem_is_the_same_on_windows() -> None:
    words = ("practice", "vtd-walk", "--seed", "7", "--answer")
    here = [sys.executable, "-m", "virtlab.course.cli", *words]
    done = subprocess.run(here, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert run_module("other_platform", "win32", *words).stdout == done.stdout


def test_the_command_knows_the_modules_that_windows_lacks() -> None:
    assert set(UNIX) <= NO_MODULES["win32"]


# -- the page


def test_the_page_has_a_row_for_every_command_and_every_lesson() -> None:
    for command in COMMANDS:
        assert re.search(rf"`(virtlab )?{command.name}`", PAGE), command.name
    rows = re.findall(r"^\| lessons? (.*?) \|", PAGE, re.MULTILINE)
    spans = [span for row in rows for span in re.findall(r"(\d\d)(?: to (\d\d))?", row)]
    covered = {n for first, last in spans for n in range(int(first), int(last or first) + 1)}
    assert covered == {int(path.stem[:2]) for path in TEXTS.glob("[0-9]*.py")}


# -- names of files, and how text is opened


def files() -> list[str]:
    """What is in the repository, or would be."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    except OSError:
        return []
    return done.stdout.splitlines()


def test_no_two_files_differ_only_in_case_and_windows_takes_every_name() -> None:
    names = files()
    if not names:
        pytest.skip("needs git and a checkout: git clone the repository")
    parts = {"/".join(n.split("/")[:k]) for n in names for k in range(1, n.count("/") + 2)}
    assert len({part.lower() for part in parts}) == len(parts)
    for part in parts:
        name = part.rsplit("/", 1)[-1]
        assert not re.search(r'[<>:"\\|?*\x00-\x1f]', name), part
        assert not name.endswith((" ", ".")), part
        stem = name.split(".")[0].upper()
        assert not re.fullmatch(r"CON|PRN|AUX|NUL|COM\d|LPT\d", stem), part
        assert len(part) < 160, part


TEXT_CALLS = {"open", "read_text", "write_text"}


def test_every_text_file_is_opened_with_its_encoding() -> None:
    found = []
    for path in sorted((ROOT / "virtlab").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _forgets(node):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


def _forgets(call: ast.Call) -> bool:
    """Whether a call opens text in whatever encoding the system has."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    owner = getattr(getattr(call.func, "value", None), "id", "")
    if name not in TEXT_CALLS or owner in ("os", "webbrowser", "zipfile", "tarfile", "self"):
        return False
    if any(keyword.arg in ("encoding", None) for keyword in call.keywords):
        return False
    if name == "read_text":
        return not call.args
    if name == "write_text":
        return len(call.args) < 2
    given = [*call.args[: 1 if isinstance(call.func, ast.Attribute) else 2]]
    given += [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    if any(not isinstance(one, ast.Constant) for one in given[-1:]) and len(given) > 1:
        return False  # a mode that is computed: binary wherever we do so
    modes = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    modes += [
        k.value.value
        for k in call.keywords
        if k.arg == "mode" and isinstance(k.value, ast.Constant)
    ]
    if isinstance(call.func, ast.Attribute):
        return any(re.fullmatch(r"[rwax]t?\+?", str(mode)) for mode in modes)
    return not any("b" in str(mode) for mode in modes)
