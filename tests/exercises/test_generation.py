"""exercises/ is what nbgrader makes of solutions/, and those are what the text says, exactly."""

import json

import pytest

from scripts import exercises
from tests.course.answers import SETS, grade_id, load, notebook, tasks_of, text
from virtlab.course.submission import released_part

TEXTS = sorted(exercises.TEXTS.glob("*.py"))


@pytest.mark.slow
@pytest.mark.timeout(400)  # a run of nbgrader
def test_generation_changes_nothing():
    for path, content in exercises.build(TEXTS).items():
        assert path.read_text(encoding="utf-8") == content, path.name


def test_there_is_no_notebook_without_a_text():
    assert exercises.stray(TEXTS) == []
    assert [path.stem for path in exercises.stray([])] == SETS * 2


def test_an_unknown_name_is_an_error(capsys):
    assert exercises.main(["ps99"]) == 2
    assert "ps99.py" in capsys.readouterr().err


def test_a_difference_is_said_and_written_only_without_check(monkeypatch, tmp_path, capsys):
    path = tmp_path / "exercises" / "ps01" / "ps01.ipynb"
    monkeypatch.setattr(exercises, "ROOT", tmp_path)
    monkeypatch.setattr(exercises, "build", lambda texts: {path: "new\n"})
    monkeypatch.setattr(exercises, "stray", lambda texts: [])
    assert exercises.main(["--check"]) == 1
    assert not path.exists()
    assert "+new" in capsys.readouterr().err
    assert exercises.main([]) == 0
    assert path.read_text() == "new\n"
    assert exercises.main(["--check"]) == 0
    assert "unchanged" in capsys.readouterr().out


@pytest.mark.parametrize("name", SETS)
def test_an_exercise_keeps_every_cell_of_its_solution_but_the_explanations(name):
    cells = load(notebook("solutions", name))["cells"]
    kept = [cell for cell in cells if "solution" not in cell["metadata"].get("tags", ())]
    released = load(notebook("exercises", name))["cells"]
    assert [cell["id"] for cell in kept] == [cell["id"] for cell in released]
    for solution, exercise in zip(kept, released, strict=True):
        if grade_id(solution).endswith("-answer"):
            assert "raise NotImplementedError()" in text(exercise)
        else:
            assert released_part(text(solution)) == text(exercise)


@pytest.mark.parametrize("name", SETS)
def test_every_task_has_an_explanation_in_the_solutions_and_none_in_the_exercise(name):
    solved = json.dumps(load(notebook("solutions", name)))
    assert solved.count("**Explained.**") == len(tasks_of(name))
    released = notebook("exercises", name).read_text(encoding="utf-8")
    assert not [word for word in ("Explained", "SOLUTION", "HIDDEN") if word in released]


@pytest.mark.parametrize("name", SETS)
def test_a_check_cell_of_a_solution_calls_the_hidden_cases_and_holds_no_more_of_them(name):
    cells = load(notebook("solutions", name))["cells"]
    checks = {grade_id(cell): text(cell) for cell in cells if "BEGIN HIDDEN" in text(cell)}
    assert list(checks) == [task.replace(".", "-") for task in tasks_of(name)]
    for grade, source in checks.items():
        hidden = source.removesuffix(f'check("{grade.replace("-", ".")}")').strip().split("\n")
        assert hidden[1:-1] == ["from virtlab.course.grading.hidden import check"]


@pytest.mark.parametrize("name", SETS)
def test_graded_cells_have_nbgraders_metadata(name):
    for cell in load(notebook("exercises", name))["cells"]:
        if grade_id(cell):
            grading = cell["metadata"]["nbgrader"]
            assert grading["schema_version"] == 3
            assert len(grading["checksum"]) == 32
            assert cell["metadata"]["deletable"] is False
            assert cell["outputs"] == []
            assert grading["locked"] or not grading["grade"]


@pytest.mark.parametrize("name", SETS)
def test_ids_are_stable(name):
    cells = load(notebook("exercises", name))["cells"]
    ids = [grade_id(cell) for cell in cells if grade_id(cell)]
    tasks = [task.replace(".", "-") for task in tasks_of(name)]
    pairs = [(f"{task}-answer", task) for task in tasks]
    assert ids == [f"ps{int(name[2:])}-setup", *(each for pair in pairs for each in pair)]
