"""The command: exit status, one clear line, never a traceback."""

import json
import os
import subprocess
import sys

import pytest

from virtlab.course import cli, doctor


def test_the_package_is_quick_to_import():
    code = (
        "import time; t = time.perf_counter(); import virtlab, virtlab.course.cli; "
        "print(time.perf_counter() - t)"
    )
    plain = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    times = [
        float(subprocess.check_output([sys.executable, "-c", code], env=plain, timeout=60))
        for _ in range(3)
    ]
    assert min(times) < 0.25


def test_the_command_does_not_import_what_it_does_not_use():
    code = "import sys, virtlab.course.cli; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60).split()
    assert not {"numpy", "matplotlib", "ipywidgets", "nbformat", "jupyterlab"} & set(loaded)


def test_the_installed_command_runs():
    done = subprocess.run(
        [sys.executable, "-m", "virtlab.course.cli", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("virtlab ")


def test_help_lists_every_command(capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(command.name in out and command.help in out for command in cli.COMMANDS)


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
def test_every_command_has_help_with_an_example(command, capsys):
    assert cli.main([command.name, "--help"]) == 0
    assert f"example: {command.example}" in capsys.readouterr().out


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
def test_the_example_in_the_help_is_a_right_command_line(command):
    words = command.example.split()
    assert words[:2] == ["virtlab", command.name]
    cli.parser_for(command).parse_args(words[2:])


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["no-such-command"],
        ["doctor", "--bogus"],
        ["lab", "--port", "x"],
        ["lab", "--port", "65536"],
        ["lab", "--port"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_one_line_and_status_2(words, capsys):
    assert cli.main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("virtlab")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (cli.CommandError("it is so; do this"), "virtlab doctor: it is so; do this\n"),
        (
            FileNotFoundError(2, "No such file", "dump.txt"),
            "virtlab doctor: dump.txt: No such file\n",
        ),
        (KeyboardInterrupt(), "\n"),
    ],
)
def test_what_goes_wrong_is_one_line_and_status_1(error, said, capsys, monkeypatch):
    def fail(options):
        raise error

    monkeypatch.setattr(doctor, "run", fail)
    assert cli.main(["doctor"]) == 1
    assert capsys.readouterr().err == said


def test_a_closed_pipe_is_no_traceback():
    code = (
        "import sys; from virtlab.course import cli, doctor\n"
        "doctor.run = lambda options: print('x' * 1_000_000) or 0\n"
        "sys.exit(cli.main(['doctor']))"
    )
    shell = 'set -o pipefail; "$0" -c "$1" | head -c 1 >/dev/null'
    done = subprocess.run(
        ["bash", "-c", shell, sys.executable, code], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (1, "")


def test_doctor_as_data(capsys):
    status = cli.main(["doctor", "--json"])
    findings = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert status == 0
    assert findings["NumPy"]["found"]
    assert list(findings) == [check.name for check in doctor.CHECKS]
    assert all(finding["get"] for finding in findings.values())


def test_doctor_says_how_to_get_what_is_missing(capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    missing = doctor.Check("Flux", lambda: None, "time travel", "apt install flux", needed=True)
    monkeypatch.setattr(doctor, "CHECKS", (*doctor.CHECKS, missing))
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "QEMU           no   for the same drivers on QEMU's devices: sudo apt install" in out
    assert "Flux           NO   for time travel: apt install flux" in out


def test_doctor_on_a_machine_without(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.qemu() is None
    assert doctor.chromium() is None
    assert doctor.sandbox() is None
    assert doctor.package("no-such-package-here") is None
    assert doctor.importable("no_such_module_here") is None


def test_doctor_believes_only_a_program_that_answers(monkeypatch, tmp_path):
    for name, text in (("good", "echo good 1.0"), ("bad", "exit 3")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.program("none", "bad", "good") == f"good 1.0 ({tmp_path / 'good'})"
    assert doctor.program("bad") is None


def test_doctor_asks_whether_the_sandbox_and_kvm_really_work(monkeypatch, tmp_path):
    (tmp_path / "bwrap").write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo bubblewrap 0.8.0\nexit $BAD\n'
    )
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BAD", "0")
    assert doctor.sandbox() == f"bubblewrap 0.8.0 ({tmp_path / 'bwrap'})"
    monkeypatch.setenv("BAD", "1")
    assert doctor.sandbox() is None
    monkeypatch.setattr(os, "access", lambda *_: True)
    monkeypatch.setattr(doctor, "output", lambda command: "HLT")
    assert doctor.kvm() == "a guest ran on /dev/kvm"
    monkeypatch.setattr(doctor, "output", lambda command: None)
    assert doctor.kvm() is None


def test_run_as_a_module_a_commands_error_is_one_line_too():
    program = (
        "import pathlib, runpy, sys, virtlab.course.bench as bench\n"
        "bench.PROJECT, sys.argv[1:] = pathlib.Path('none'), ['bench']\n"
        "runpy.run_module('virtlab.course.cli', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("virtlab bench: the benchmarks are in")
    assert "Traceback" not in done.stderr


def test_doctor_without_kvm(monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert doctor.kvm() is None
