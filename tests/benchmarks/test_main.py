"""`python -m benchmarks`: the table, the gates, and a machine without a compiler."""

import json

import pytest

from benchmarks import __main__ as command
from benchmarks import compiler
from benchmarks.harness import Row
from tests.benchmarks.test_harness import Steady

ROWS = [
    Row("split, quick", 8, Steady, 1.6, True),
    Row("split, slow", 8, Steady, 1.4, False),
    Row("split, free", 16, Steady),
    Row("split, scalar", 8, lambda: Steady(10, 5000), 200, True, True, "pop and push"),
]


@pytest.fixture
def run(monkeypatch, capsys):
    """Run it on `ROWS`: its status and its lines."""
    monkeypatch.setattr(command, "pin", lambda: None)
    monkeypatch.setattr(compiler, "compiler", lambda: "cc")
    monkeypatch.setattr(compiler, "version", lambda: "cc 1.0")
    monkeypatch.setattr(command.split_rows, "native_note", lambda: "A note.")

    def go(*arguments, rows=ROWS):
        def chosen(text, flags):
            if found := [row for row in rows if text in row.name]:
                yield found, ["what it means"]

        monkeypatch.setattr(command, "chosen", chosen)
        monkeypatch.setattr("benchmarks.harness.SLICE", 100)
        return command.main(arguments), capsys.readouterr().out.splitlines()

    return go


def test_every_row_is_printed_with_its_goal(run):
    status, lines = run()
    assert status == 0
    assert "cc 1.0 -O2" in lines[0]
    words = [" ".join(line.split()) for line in lines]
    assert words[2] == "split, quick 8 0.03 us 0.02 us 1.50 <= 1.6*"
    assert words[3] == "split, slow 8 0.03 us 0.02 us 1.50 <= 1.4 missed"
    assert words[4] == "split, free 16 0.03 us 0.02 us 1.50"
    assert "against pop and push" in lines[5]
    assert lines[5].endswith("500.00  >= 200*")
    assert lines[6].strip() == "what it means"


def test_a_missed_gate_is_the_exit_status(run):
    gate = [Row("split, slow", 8, Steady, 1.4, True)]
    assert run(rows=gate)[0] == 1
    assert run("--no-gate", rows=gate)[0] == 0
    assert run("--quick", rows=[Row("split", 8, Steady, 1.4, False)])[0] == 0


def test_json(run):
    status, lines = run("--json", "--rows", "slow")
    assert status == 0
    found = json.loads(lines[0])
    assert found["row"] == "split, slow"
    assert (found["ratio"], found["goal"], found["gate"], found["met"]) == (1.5, 1.4, False, False)
    assert len(found["ratios"]) == 9
    assert len(lines) == 1


def test_no_compiler(monkeypatch, capsys):
    monkeypatch.setenv("CC", "no-such-compiler")
    assert command.main(["--quick"]) == 2
    said = capsys.readouterr()
    assert "no C compiler: `no-such-compiler` is not here" in said.err
    assert said.out == ""


def test_no_such_row(monkeypatch, capsys):
    monkeypatch.setattr(compiler, "compiler", lambda: "cc")
    assert command.main(["--rows", "spilt"]) == 2
    said = capsys.readouterr()
    assert said.err == "no row has 'spilt' in its name and batch\n"
    assert said.out == ""


def test_rows_are_chosen_by_name_and_batch():
    for rows, notes in command.chosen("in order 1024", compiler.FLAGS):
        assert notes
        assert all("in order" in row.name and row.batch == 1024 for row in rows)
