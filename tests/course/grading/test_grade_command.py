"""`virtlab grade`: options, journal, outputs, and what is said. The work itself is a stand-in's."""

import csv
import io
import json

import pytest

from tests.course.answers import notebook
from tests.course.grading.made import CASES
from virtlab.course import cli
from virtlab.course.grading import cluster, grader, outputs, pool, sandbox
from virtlab.course.grading.pool import Failed
from virtlab.course.grading.result import Result, Run, TaskResult
from virtlab.course.grading.sandbox import Sandbox
from virtlab.errors import FileError

PS01 = notebook("exercises", "ps01").read_bytes()
PS04 = notebook("exercises", "ps04").read_bytes()


class Work:
    """Stands for the pool: gives each submission's tasks a point, and remembers what it was given.

    `lost` students are not graded; before a student in `stop`, Ctrl-C is pressed.
    """

    def __init__(self):
        self.asked, self.setups, self.lost, self.stop, self.closed = [], [], (), (), 0

    def grade_all(self, submissions, setup, **how):
        self.how = how
        self.setups.append(setup)
        try:
            for each in reversed(submissions):
                if each.student in self.stop:
                    raise KeyboardInterrupt
                self.asked.append(f"{each.student} {each.assignment}")
                yield self.outcome(each, setup)
        finally:
            self.closed += 1

    def outcome(self, each, setup):
        if each.student in self.lost:
            return Failed(each, "it was lost")
        tasks = tuple(
            TaskResult(task, task, 1.0, 3, grader.seed_of(setup.seed, each.student, task), CASES)
            for task in setup.course.sets[each.assignment].tasks
        )
        how = Run(1.5, setup.sandbox.kind, setup.sandbox.losses)
        return Result(each.student, each.assignment, each.file, each.digest, tasks, run=how)


@pytest.fixture
def work(monkeypatch):
    work = Work()
    monkeypatch.setattr(pool, "grade_all", work.grade_all)
    monkeypatch.setattr(sandbox, "available", lambda: Sandbox("bubblewrap"))
    monkeypatch.setattr(sandbox, "plain_losses", lambda: ("no wall",))
    return work


@pytest.fixture
def grade(work, tmp_path, capsys, monkeypatch):
    """Run the command on the folder `in`; exit status, and what it wrote to out and err."""
    folder = tmp_path / "in"
    for name, raw in {"ada_ps01": PS01, "ben_ps01": PS01, "ben_ps04": PS04}.items():
        (folder / f"{name}.ipynb").parent.mkdir(exist_ok=True)
        (folder / f"{name}.ipynb").write_bytes(raw)
    monkeypatch.chdir(tmp_path)

    def run(*words, source=folder):
        status = cli.main(["grade", str(source), *map(str, words)])
        return status, *capsys.readouterr()

    run.folder = folder
    return run


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_without_an_output_the_table_goes_to_standard_output(grade):
    status, out, err = grade("--seed", 5)
    assert status == 0
    assert [(row["student"], row["set"], row["points"]) for row in rows(out)] == [
        ("ada", "ps01", "7.0"),
        ("ben", "ps01", "7.0"),
        ("ben", "ps04", "8.0"),
    ]
    assert "3 of 3 notebooks of 2 students graded in " in err
    assert err.endswith(" s; --seed 5 gives the same again\n")


def test_every_output_is_written(grade, tmp_path):
    options = ("--out", "g.csv", "--json", "g.json", "--times", "t.csv", "--gradescope", "gs")
    status, out, _ = grade(*options, "--feedback", "fb", "--report", "class.html", "--quiet")
    assert (status, out) == (0, "")
    data = json.loads((tmp_path / "g.json").read_text())
    assert [result["student"] for result in data["results"]] == ["ada", "ben", "ben"]
    assert f",{data['seed']}\n" in (tmp_path / "g.csv").read_text()
    assert "1.5" in (tmp_path / "t.csv").read_text()
    assert (tmp_path / "gs" / "ben" / "ps04" / "results.json").is_file()
    assert (tmp_path / "fb" / "index.html").is_file()
    assert "ada" not in (tmp_path / "class.html").read_text()


def test_json_goes_to_standard_output_for_a_program(grade):
    status, out, err = grade("--json", "-", "--quiet")
    assert json.loads(out)["format"] == "virtlab grades 1"
    assert (status, err) == (0, "")


def test_the_gradebook_gets_the_course_and_says_what_it_left_out(grade, monkeypatch):
    from virtlab.course.grading import gradebook

    given = []

    class Written:
        skipped = (("ada", "graded by hand"),)

    monkeypatch.setattr(
        gradebook, "write_gradebook", lambda *arguments: given.append(arguments) or Written
    )
    _, _, err = grade("--gradebook", "g.db")
    grades, course, where, submitted = given[0]
    assert (len(grades.results), where, "ps04" in course.sets) == (3, "g.db", True)
    assert submitted is None
    assert "not in the gradebook: ada: graded by hand" in err


def test_nbgraders_folder_of_submissions_is_known(tmp_path):
    (tmp_path / "submitted").mkdir()
    assert outputs.collected(tmp_path) == tmp_path / "submitted"
    assert outputs.collected(tmp_path / "submitted") == tmp_path / "submitted"
    assert outputs.collected(tmp_path / "submitted" / "ada") is None


def test_notebooks_for_the_formgrader_are_written(grade, tmp_path):
    (tmp_path / "autograded").mkdir()
    (grade.folder / "ada_ps01.ipynb").unlink()
    (grade.folder / "submitted" / "ada" / "ps01").mkdir(parents=True)
    (grade.folder / "submitted" / "ada" / "ps01" / "ps01.ipynb").write_bytes(PS01)
    _, out, _ = grade("--autograded", tmp_path / "autograded")
    assert (tmp_path / "autograded" / "ada" / "ps01" / "ps01.ipynb").is_file()
    assert out == ""


def test_a_report_may_have_names_and_who_handed_in_nothing(grade, tmp_path):
    (tmp_path / "class.csv").write_text("student,mail\nada,a@b\nben,\neve,\n\n")
    assert outputs.roster(tmp_path / "class.csv") == ["ada", "ben", "eve"]
    grade("--report", "class.html", "--names", "--roster", "class.csv")
    assert "eve" in (tmp_path / "class.html").read_text()


def test_a_roster_is_read_as_spreadsheets_write_it(tmp_path):
    (tmp_path / "class.csv").write_text("Student;mail\nAda  Byron_1;a@b\nZoe\u0308;z@b\n")
    assert outputs.roster(tmp_path / "class.csv") == ["Ada Byron_1", "Zo\u00eb"]
    (tmp_path / "class.csv").write_text('"' + "x" * 200_000)
    with pytest.raises(FileError, match="not a roster: field larger than"):
        outputs.roster(tmp_path / "class.csv")


def test_a_roster_with_other_names_is_noticed(grade, tmp_path):
    (tmp_path / "class.csv").write_text("Ada Byron\n")
    said = "nobody of the roster handed in; the names of students here are as ada"
    assert said in grade("--report", "class.html", "--roster", "class.csv")[2]
    (tmp_path / "class.csv").write_text("ada\n")
    assert said not in grade("--report", "class.html", "--roster", "class.csv")[2]


def test_a_roster_that_is_no_text_is_named(tmp_path):
    (tmp_path / "class.xlsx").write_bytes(b"PK\xff")
    with pytest.raises(FileError, match="byte 2: not a roster"):
        outputs.roster(tmp_path / "class.xlsx")
    assert outputs.roster(None) == []


# -- what is graded


def test_only_a_student_is_graded(grade, work):
    grade("--only", "ben")
    assert sorted(work.asked) == ["ben ps01", "ben ps04"]
    status, _, err = grade("--only", "eve")
    assert (status, err) == (1, "virtlab grade: no notebook of eve; there are some of ada, ben\n")


def test_a_student_who_is_not_there_is_told_those_who_are_like_it(grade):
    for name in ("Ada Byron_17", "Adam_18", "zoe_19", "yan_20", "xi_21"):
        (grade.folder / f"{name}_ps01.ipynb").write_bytes(PS01)
    _, _, err = grade("--only", "byron")
    assert "no notebook of byron; there are some of Ada Byron_17, " in err
    _, _, err = grade("--only", "Adan_18")
    assert "no notebook of Adan_18; there are some of Adam_18, " in err
    assert err.endswith(" ...\n")


def test_nothing_to_grade_is_said_and_no_table_is_replaced(grade, tmp_path):
    grade("--out", "g.csv")
    table = (tmp_path / "g.csv").read_text()
    (tmp_path / "none" / "eve").mkdir(parents=True)
    status, out, err = grade("--out", "g.csv", source="none")
    assert (status, out) == (1, "")
    assert err == (
        "virtlab grade: not placed: eve/: a folder without a notebook\n"
        "virtlab grade: none: there is no notebook to grade\n"
    )
    assert (tmp_path / "g.csv").read_text() == table
    assert "there is no notebook to grade" in grade("--task", "ps7.q1")[2]


def test_gradescope_is_told_that_there_is_nothing(grade, tmp_path):
    (tmp_path / "none").mkdir()
    grade("--gradescope", "gs", source="none")
    assert "no notebook here" in (tmp_path / "gs" / "results.json").read_text()


def test_a_notebook_of_another_set_is_graded_as_that_and_it_is_said(grade):
    (grade.folder / "eve_ps04.ipynb").write_bytes(PS01)
    status, _, err = grade("--quiet")
    said = "eve_ps04.ipynb has the cells of ps01, and was graded as that"
    assert (status, err) == (0, f"virtlab grade: {said}\n")


def test_an_archive_is_not_unpacked_but_named(grade, tmp_path):
    (tmp_path / "moodle.zip").write_bytes(b"PK")
    status, _, err = grade(source="moodle.zip")
    why = "moodle.zip: an archive: unpack it into a folder, and grade that"
    assert (status, err) == (1, f"virtlab grade: {why}\n")
    (grade.folder / "eve_17_assignsubmission_file_").mkdir()
    (grade.folder / "eve_17_assignsubmission_file_" / "work.ZIP").write_bytes(b"PK")
    _, _, err = grade()
    assert "eve_17_assignsubmission_file_/work.ZIP: an archive: unpack it where it lies" in err


def test_only_a_task_is_graded(grade, work):
    _, out, _ = grade("--task", "ps4.q3")
    assert work.asked == ["ben ps04"]
    assert [(row["points"], row["out of"]) for row in rows(out)] == [("1.0", "3")]
    status, _, err = grade("--task", "ps4.q33")
    assert (status, err.count("\n")) == (1, 1)
    assert "there is no task ps4.q33; did you mean ps4.q3" in err


def test_one_notebook_of_a_given_student(grade, work):
    (grade.folder.parent / "ps01.ipynb").write_bytes(PS01)
    grade("--student", "eve", source=grade.folder.parent / "ps01.ipynb")
    assert work.asked == ["eve ps01"]


def test_what_cannot_be_placed_or_graded_is_named_and_the_rest_is_written(grade, work):
    (grade.folder / "poem.txt").write_text("")
    (grade.folder / "eve_ps01.ipynb").write_bytes(PS01[:99])
    status, out, err = grade()
    assert status == 1
    assert "virtlab grade: not placed: poem.txt: not a notebook" in err
    assert "virtlab grade: not graded: eve ps01: eve_ps01.ipynb: byte 99: the notebook is c" in err
    assert rows(out)[3] | {"note": ""} == rows(out)[3] | {"student": "eve", "note": ""}
    assert rows(out)[3]["points"] == "0.0"
    assert "eve ps01" not in work.asked


def test_many_troubles_are_not_all_named(grade):
    for number in range(30):
        (grade.folder / f"{number}.txt").write_text("")
    _, _, err = grade()
    assert err.count("not placed") == outputs.NAMED
    assert "and 10 more like these" in err


def test_hidden_checks_are_found_or_their_absence_is_said(grade, work, tmp_path):
    _, _, err = grade()
    assert work.setups[0].course.hidden["ps04.py"]
    assert "hidden" not in err
    (tmp_path / "exercises" / "ps01").mkdir(parents=True)
    (tmp_path / "exercises" / "ps01" / "ps01.ipynb").write_bytes(PS01)
    _, _, err = grade("--exercises", tmp_path / "exercises", "--only", "ada")
    assert work.setups[1].course.hidden == {}
    assert "there are no hidden checks, so the visible ones decide" in err


@pytest.mark.parametrize("option", ["--solutions", "--exercises"])
def test_a_folder_that_has_not_what_it_should_is_one_line(grade, option, tmp_path):
    status, out, err = grade(option, tmp_path / "nowhere")
    assert (status, out, err.count("nowhere"), err.count("\n")) == (1, "", 1, 1)


def test_a_folder_that_is_not_there_is_one_line(grade, tmp_path):
    status, out, err = grade(source=tmp_path / "nowhere")
    assert (status, out) == (1, "")
    assert err == f"virtlab grade: {tmp_path / 'nowhere'}: No such file or directory\n"


# -- how


def test_limits_and_sandbox_go_to_the_workers(grade, work):
    _, _, err = grade("--seconds", 90, "--plain", "--workers", 3)
    assert work.setups[0].limits.cpu == 90
    assert work.setups[0].limits.wall > 90
    assert work.setups[0].sandbox == Sandbox("plain", ("no wall",))
    assert work.how == {"workers": 3}
    assert "virtlab grade: not held: no wall" in err


def test_a_cluster_may_do_the_work(grade, work, monkeypatch):
    monkeypatch.setattr(cluster, "grade_all", work.grade_all)
    assert grade("--scheduler", "tcp://10.0.0.5:8786")[0] == 0
    assert work.how == {"address": "tcp://10.0.0.5:8786"}


@pytest.mark.parametrize("words", [("--workers", 0), ("--workers", "x"), ("--seed", "x")])
def test_a_wrong_option_is_a_wrong_command_line(grade, words):
    status, _, err = grade(*words)
    assert (status, err.count("\n")) == (2, 1)


def test_a_fresh_seed_is_another_one_each_time(grade, work):
    grade()
    grade()
    assert work.setups[0].seed != work.setups[1].seed


# -- resuming


def test_ctrl_c_keeps_what_is_done_and_resume_goes_on(grade, work, tmp_path):
    work.stop = ("ada",)
    status, _, err = grade("--out", "g.csv")
    assert status == 1
    assert err.endswith("virtlab grade: stopped after 2 of 3; --resume goes on from there\n")
    assert not (tmp_path / "g.csv").exists()
    assert work.closed == 1
    work.stop, work.asked = (), []
    assert grade("--out", "g.csv", "--resume")[0] == 0
    assert work.asked == ["ada ps01"]
    assert work.setups[0].seed == work.setups[1].seed
    assert len(rows((tmp_path / "g.csv").read_text())) == 3


def test_a_run_that_was_resumed_writes_the_same_bytes(grade, work, tmp_path):
    grade("--json", "whole.json", "--seed", 5)
    work.stop = ("ben",)
    grade("--json", "parts.json", "--seed", 5)
    work.stop = ()
    grade("--json", "parts.json", "--resume")
    assert (tmp_path / "parts.json").read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_ctrl_c_without_a_journal_says_how_far_it_came(grade, work):
    work.stop = ("ada",)
    assert grade()[2].endswith("stopped after 2 of 3\n")


def test_what_changed_is_graded_again(grade, work):
    grade("--out", "g.csv")
    (grade.folder / "ben_ps04.ipynb").write_bytes(PS04 + b"\n")
    (grade.folder / "eve_ps04.ipynb").write_bytes(PS04)
    work.asked = []
    grade("--out", "g.csv", "--resume")
    assert sorted(work.asked) == ["ben ps04", "eve ps04"]


def test_what_the_grader_lost_is_said_and_tried_again(grade, work, tmp_path):
    work.lost = ("ada",)
    status, _, err = grade("--out", "g.csv")
    assert status == 1
    assert "not graded: ada ps01: it was lost; --resume tries again" in err
    assert rows((tmp_path / "g.csv").read_text())[0]["points"] == "0.0"
    work.lost, work.asked = (), []
    assert grade("--out", "g.csv", "--resume")[0] == 0
    assert work.asked == ["ada ps01"]


def test_resume_without_a_journal_begins(grade, work):
    grade("--out", "g.csv", "--resume")
    assert len(work.asked) == 3


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--seed", 6), "it has another seed"),
        (("--seed", 5, "--task", "ps4.q3"), "it was made with other options"),
        (("--seconds", 3), "it was made with other options"),
    ],
)
def test_a_journal_of_another_run_is_refused_and_left_alone(grade, tmp_path, words, why):
    grade("--out", "g.csv", "--seed", 5)
    before = (tmp_path / "g.csv.journal").read_bytes()
    status, _, err = grade("--out", "g.csv", "--resume", *words)
    assert (status, err.count("\n")) == (1, 1)
    assert why in err
    assert (tmp_path / "g.csv.journal").read_bytes() == before


def test_resume_needs_a_place_for_its_journal(grade):
    status, _, err = grade("--resume", "--json", "-")
    assert (status, err) == (
        1,
        "virtlab grade: --resume needs --out FILE: the journal lies beside it\n",
    )


def test_help_has_an_example(capsys):
    assert cli.main(["grade", "--help"]) == 0
    assert "example: virtlab grade submitted/ --out grades.csv" in capsys.readouterr().out
