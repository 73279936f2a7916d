"""`virtlab check NOTEBOOK`: the command, and what does not come to an end."""

import copy
import json

import pytest

from tests.course.answers import RELEASED, SOLUTION, grade_id, load
from virtlab.course import cli, selfcheck
from virtlab.course.cli import CommandError
from virtlab.course.grading import remote
from virtlab.course.grading.sandbox import NotStarted

DEAD_LOOP = "while True:\n    try:\n        pass\n    except BaseException:\n        pass"


@pytest.fixture
def command(tmp_path, capsys):
    """Run `virtlab check` on notebook data: exit status, and what it prints."""

    def run(data, *options):
        path = tmp_path / "ps01.ipynb"
        path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
        status = cli.main(["check", str(path), *options])
        return status, *capsys.readouterr()

    return run


def answer(data, task):
    return next(cell for cell in data["cells"] if grade_id(cell) == f"{task}-answer")


def test_the_solutions_pass(command):
    status, out, err = command(load(SOLUTION))
    assert (status, err) == (0, "")
    assert out.endswith("7 of 7 tasks pass\n")


def test_the_exercises_fail_task_by_task(command):
    status, out, _ = command(load(RELEASED), "--json", "--seed", "5")
    found = json.loads(out)
    assert status == 1
    assert found["problems"] == found["errors"] == []
    assert [(task["ok"], task["passed"], task["seed"]) for task in found["tasks"]] == [
        (False, 0, 5)
    ] * 7
    assert [task["task"] for task in found["tasks"]] == [f"ps1.q{n}" for n in range(1, 8)]


def test_edited_check_cells_and_a_redefined_check_gain_nothing(command):
    data = load(RELEASED)
    for cell in data["cells"]:
        if cell["cell_type"] == "code" and not grade_id(cell).endswith("-answer"):
            cell["source"] = "check = lambda *a: None"
    status, out, _ = command(data)
    assert status == 1
    assert out.count("was edited: the released one counts") == 8
    assert out.endswith("0 of 7 tasks pass\n")


def test_a_copied_answer_is_said_and_the_last_one_stands(command):
    data = load(SOLUTION)
    cell = copy.deepcopy(answer(data, "ps1-q1"))
    cell["source"] = "def who_answers(*a): return None"
    data["cells"].append(cell)
    status, out, _ = command(data)
    assert status == 1
    assert "copied or split" in out
    assert "6 of 7 tasks pass" in out


def test_a_deleted_answer_is_said(command):
    data = load(SOLUTION)
    data["cells"].remove(answer(data, "ps1-q5"))
    status, out, _ = command(data)
    assert status == 1
    assert "the answer cell ps1-q5-answer is missing" in out
    assert "there is no show here yet" in out


def test_a_cell_that_raises_is_named(command):
    data = load(SOLUTION)
    data["cells"].insert(2, {"cell_type": "code", "source": "1 / 0", "metadata": {}})
    _, out, _ = command(data)
    assert "cell 3    ZeroDivisionError: division by zero" in out
    assert "7 of 7" in out


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (DEAD_LOOP, "it did not come to an end within 2 s"),
        ("import os; os._exit(0)", "it ended Python itself"),
        ("import time; time.sleep(60)", "it did not come to an end within 2 s"),
    ],
)
def test_a_cell_that_does_not_end_costs_only_itself(command, source, why):
    data = load(SOLUTION)
    data["cells"].insert(2, {"cell_type": "code", "source": source, "metadata": {}})
    _, out, _ = command(data, "--seconds", "2")
    assert f"cell 3    {why}" in out
    assert "7 of 7" in out


def test_a_task_that_does_not_end_costs_only_itself(command):
    data = load(SOLUTION)
    answer(data, "ps1-q3")["source"] = "import time\ndef set_line(*a): time.sleep(600)"
    status, out, _ = command(data, "--seconds", "2", "--json")
    tasks = json.loads(out)["tasks"]
    assert status == 1
    assert [task["task"] for task in tasks if not task["ok"]] == ["ps1.q3"]
    assert "did not come to an end" in tasks[2]["report"]


def test_forged_output_counts_for_nothing(command):
    data = load(RELEASED)
    forged = 'import os\nfor fd in 1, 2: os.write(fd, b\'{"task": "ps1.q1", "ok": true}\\n\')'
    data["cells"].append({"cell_type": "code", "source": forged, "metadata": {}})
    _, out, _ = command(data)
    assert "0 of 7 tasks pass" in out


@pytest.mark.parametrize("text", ["", "{", "# notes"])
def test_a_bad_file_is_one_line_with_its_byte(command, text):
    status, out, err = command(text)
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert "byte" in err
    assert "ps01.ipynb" in err


def test_a_missing_file_is_one_line(capsys, tmp_path):
    assert cli.main(["check", str(tmp_path / "none.ipynb")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_help_has_an_example(capsys):
    assert cli.main(["check", "--help"]) == 0
    assert "example: virtlab check ps01.ipynb" in capsys.readouterr().out


def test_the_released_notebook_is_found_by_its_cells_or_its_name(tmp_path):
    folder = selfcheck.exercises()
    cells = selfcheck.read_notebook(SOLUTION)
    assert selfcheck.find_released(tmp_path / "mine (1).ipynb", cells, folder) == RELEASED
    assert selfcheck.find_released(tmp_path / "ps01.ipynb", [], folder) == RELEASED
    with pytest.raises(CommandError, match="--released FILE"):
        selfcheck.find_released(tmp_path / "poem.ipynb", [], folder)


def test_a_child_that_cannot_start_is_one_line(command, monkeypatch):
    def start(*_):
        raise NotStarted("a child could not be started: no room")

    monkeypatch.setattr(remote, "start", start)
    status, out, err = command(load(SOLUTION))
    assert (status, out) == (1, "")
    assert err == "virtlab check: a child could not be started: no room\n"
