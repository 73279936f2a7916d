"""exercises/ is what nbgrader makes of solutions/, and those are what the text says, exactly."""

import json

import pytest

from scripts import exercises
from tests.course.answers import RELEASED, SOLUTION, grade_id, load, text

TEXTS = sorted(exercises.TEXTS.glob("*.py"))


@pytest.mark.slow
def test_generation_changes_nothing():
    for path, content in exercises.build(TEXTS).items():
        assert path.read_text(encoding="utf-8") == content, path.name


def test_there_is_no_notebook_without_a_text():
    assert exercises.stray(TEXTS) == []
    assert [path.name for path in exercises.stray([])] == ["ps01.ipynb", "ps01.ipynb"]


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


def test_an_exercise_keeps_every_cell_of_its_solution_but_the_explanations():
    cells = load(SOLUTION)["cells"]
    kept = [cell for cell in cells if "solution" not in cell["metadata"].get("tags", ())]
    released = load(RELEASED)["cells"]
    assert [cell["id"] for cell in kept] == [cell["id"] for cell in released]
    for solution, exercise in zip(kept, released, strict=True):
        if grade_id(solution).endswith("-answer"):
            assert "raise NotImplementedError()" in text(exercise)
        else:
            assert text(solution) == text(exercise)


def test_every_task_has_an_explanation_in_the_solutions_and_none_in_the_exercise():
    assert json.dumps(load(SOLUTION)).count("**Explained.**") == 7
    released = RELEASED.read_text(encoding="utf-8")
    assert not [word for word in ("Explained", "SOLUTION", "HIDDEN") if word in released]


def test_graded_cells_have_nbgraders_metadata():
    for cell in load(RELEASED)["cells"]:
        if grade_id(cell):
            grading = cell["metadata"]["nbgrader"]
            assert grading["schema_version"] == 3
            assert len(grading["checksum"]) == 32
            assert cell["metadata"]["deletable"] is False
            assert cell["outputs"] == []
            assert grading["locked"] or not grading["grade"]


def test_ids_are_stable():
    ids = [grade_id(cell) for cell in load(RELEASED)["cells"] if grade_id(cell)]
    pairs = [(f"ps1-q{n}-answer", f"ps1-q{n}") for n in range(1, 8)]
    assert ids == ["ps1-setup", *(name for pair in pairs for name in pair)]
