"""The set-up: quick when nothing has changed, one clear line when it cannot work."""

import ast
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts import bootstrap

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "bootstrap.py"
OLD = (
    "virtlab needs Python 3.11 or newer; this is 3.9.18. "
    "Install a newer one and run: make lab PYTHON=python3.12"
)
OFFLINE = (
    "WARNING: Retrying after connection broken by 'NewConnectionError: [Errno -2] Name or "
    "service not known'\nERROR: No matching distribution found for numpy\n"
)


@pytest.fixture
def project(tmp_path):
    """A checkout that is nothing but the two files which decide what is installed."""
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "constraints.txt").write_text("numpy==2.4.6\n")
    return tmp_path


@pytest.fixture
def commands(monkeypatch, project):
    """Every command the set-up would run; making the environment is pretended."""
    seen = []

    def pretend(command, venv, what, cwd=None):
        seen.append(command)
        if "venv" in command:
            python = Path(bootstrap.venv_bin(venv, "python"))
            python.parent.mkdir(parents=True)
            python.symlink_to(sys.executable)

    monkeypatch.setattr(bootstrap, "run", pretend)
    monkeypatch.setattr(bootstrap, "say", lambda text: None)
    return seen


def program(folder, name, text):
    """A fake program, first on the path."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)
    return folder / name


def test_an_old_python_can_parse_it():
    ast.parse(SCRIPT.read_text(), feature_version=(3, 6))
    assert "\nfrom __future__" not in SCRIPT.read_text()


def test_an_old_python_is_told_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 9, 18, "final", 0))
    assert bootstrap.main([]) == 1
    assert capsys.readouterr().err == f"{OLD}\n"


def test_make_lab_with_an_old_python(tmp_path):
    code = (
        "import sys; sys.version_info = (3, 9, 18); sys.argv = sys.argv[1:]; "
        "import runpy; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    python = program(tmp_path, "python3.9", f'exec "{sys.executable}" -c "{code}" "$@"')
    done = subprocess.run(
        ["make", "lab", f"PYTHON={python}"],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("MAKE")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert lines[0] == OLD
    assert len(lines) == 2  # the other is make's own
    assert lines[1].startswith("make: ***")


def test_the_first_run_makes_and_installs_the_second_does_nothing(project, commands):
    venv = str(project / ".venv")
    assert bootstrap.bootstrap(str(project), venv, ["test"])
    assert commands[0][1:3] == ["-m", "venv"]
    assert commands[1][-4:] == ["-c", "constraints.txt", "-e", ".[test]"]
    del commands[:]
    assert not bootstrap.bootstrap(str(project), venv, ["test"])
    assert not bootstrap.bootstrap(str(project), venv, [])  # less than what is there
    assert commands == []


@pytest.mark.parametrize("file", ["pyproject.toml", "constraints.txt"])
def test_a_changed_file_installs_again_and_keeps_the_extras(project, commands, file):
    venv = str(project / ".venv")
    bootstrap.bootstrap(str(project), venv, ["x86", "test"])
    del commands[:]
    (project / file).write_text("changed")
    assert bootstrap.bootstrap(str(project), venv, [])
    assert [command[-1] for command in commands] == [".[test,x86]"]


def test_more_extras_are_added(project, commands):
    venv = str(project / ".venv")
    bootstrap.bootstrap(str(project), venv, [])
    assert commands[-1][-1] == "."
    assert bootstrap.bootstrap(str(project), venv, ["test"])
    assert commands[-1][-1] == ".[test]"


@pytest.mark.parametrize("content", ["", "[1]", "{}", "not json"])
def test_a_broken_stamp_installs_again(project, commands, content):
    venv = str(project / ".venv")
    bootstrap.bootstrap(str(project), venv, [])
    (project / ".venv" / "virtlab-stamp.json").write_text(content)
    assert bootstrap.bootstrap(str(project), venv, [])


def test_a_moved_checkout_installs_again(project, commands, tmp_path_factory):
    bootstrap.bootstrap(str(project), str(project / ".venv"), [])
    moved = tmp_path_factory.mktemp("else") / "where"
    project.rename(moved)
    assert bootstrap.bootstrap(str(moved), str(moved / ".venv"), [])


def test_a_broken_environment_is_made_anew(project, commands):
    venv = str(project / ".venv")
    bootstrap.bootstrap(str(project), venv, [])
    Path(bootstrap.venv_bin(venv, "python")).unlink()
    (project / ".venv" / "bin").rmdir()
    del commands[:]
    assert bootstrap.bootstrap(str(project), venv, [])
    assert commands[0][1:4] == ["-m", "venv", "--clear"]


@pytest.mark.parametrize("absent", ["venv", "ensurepip"])
def test_without_the_venv_module(project, commands, monkeypatch, absent):
    monkeypatch.setattr(bootstrap, "has_module", lambda name: name != absent)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(bootstrap.Stop, match="apt install python3-venv") as stop:
        bootstrap.bootstrap(str(project), str(project / ".venv"), [])
    assert "\n" not in str(stop.value)


def test_uv_makes_the_environment_where_venv_is_missing(project, commands, monkeypatch, tmp_path):
    uv = program(tmp_path / "bin", "uv", "exit 0")
    monkeypatch.setattr(bootstrap, "has_module", lambda name: False)
    monkeypatch.setenv("PATH", str(uv.parent))
    bootstrap.bootstrap(str(project), str(project / ".venv"), [])
    assert [command[:2] for command in commands] == [[str(uv), "venv"], [str(uv), "pip"]]


def test_pip_is_used_where_there_is_no_uv(project, commands, monkeypatch):
    monkeypatch.setenv("PATH", "")
    bootstrap.bootstrap(str(project), str(project / ".venv"), [])
    assert commands[1][1:4] == ["-m", "pip", "install"]


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (OFFLINE, "the package index cannot be reached. Connect this machine to a network"),
        ("error: Failed to fetch\n  Caused by: dns error: failed to lookup", "cannot be reached"),
        ("first\nERROR: no space left on device\n\n", "ERROR: no space left on device"),
        ("", "no output"),
    ],
)
def test_a_failing_installer_is_one_line(project, monkeypatch, tmp_path, output, said):
    (tmp_path / "output").write_text(output)
    uv = program(tmp_path / "bin", "uv", f'cat "{tmp_path / "output"}" >&2; exit 1')
    monkeypatch.setattr(bootstrap, "find_uv", lambda venv: str(uv))
    monkeypatch.setattr(bootstrap, "make_venv", lambda venv: Path(venv).mkdir())
    with pytest.raises(bootstrap.Stop) as stop:
        bootstrap.bootstrap(str(project), str(project / ".venv"), [])
    line = str(stop.value)
    assert line.startswith("Could not install the dependencies: ")
    assert said in line
    assert "\n" not in line
    assert (project / ".venv" / "virtlab-install.log").read_text() == output
    assert not (project / ".venv" / "virtlab-stamp.json").exists()


def test_an_installer_that_cannot_start_is_one_line(project):
    with pytest.raises(bootstrap.Stop, match=r"Could not try: .*No such file"):
        bootstrap.run([str(project / "none")], str(project / ".venv"), "try")


def test_an_interrupt_is_quiet(monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap, "bootstrap", interrupt)
    assert bootstrap.main([]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_second_run_takes_a_fraction_of_a_second(tmp_path):
    """The real script on a real, already stamped environment."""
    venv = tmp_path / ".venv"
    python = Path(bootstrap.venv_bin(str(venv), "python"))
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    bootstrap.write_stamp(str(venv), {"hash": bootstrap.fingerprint(str(ROOT)), "extras": ["x86"]})
    assert json.loads((venv / "virtlab-stamp.json").read_text())["extras"] == ["x86"]
    times = []
    plain = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    for _ in range(3):
        begin = time.monotonic()
        subprocess.run(
            [sys.executable, str(SCRIPT), "--venv", str(venv), "--extras", "x86"],
            env=plain,
            check=True,
            timeout=60,
        )
        times.append(time.monotonic() - begin)
    assert min(times) < 1
