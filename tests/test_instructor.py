"""The instructor's page agrees with the course: minutes, rounds, questions, topics, commands."""

import re

import pytest

from scripts import instructor
from virtlab.course.checks import TASKS
from virtlab.course.syllabus import TOPICS

PAGE = instructor.PAGE.read_text(encoding="utf-8")
LESSONS = {lesson.number: lesson for lesson in instructor.lessons()}
PLAN = re.compile(r"<!-- plan: (\d+) -->\n\n\| begin.*\n\|[-|]+\n((?:\|.*\n)+)")
COURSE = re.compile(r"<!-- course: (\d+) -->\n\n\| week.*\n\|[-|]+\n((?:\|.*\n)+)")
SECTIONS = re.split(r"^### (?=\d\d\. )", PAGE.partition("## Grading")[0], flags=re.M)[1:]


def rows(table):
    """The cells of each row."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def problems_of(page):
    """What is wrong with the plans of a page."""
    return [line for total, table in PLAN.findall(page) for line in plan_problems(total, table)]


def plan_problems(total, table):
    """What is wrong with one plan: times, sums, lessons, rounds."""
    clock = 0
    for begin, minutes, lesson, run, _ in rows(table):
        hours, past = begin.split(":")
        if 60 * int(hours) + int(past) != clock:
            yield f"{begin}: the minutes before it add up to {clock}"
        clock += int(minutes)
        if lesson != "break":
            yield from run_problems(begin, int(minutes), LESSONS[lesson[1:3]], run)
    if clock != int(total):
        yield f"{clock} minutes, not {total}"


def run_problems(begin, minutes, lesson, run):
    """What is wrong with what a row of a plan wants to run."""
    if minutes >= lesson.minutes:
        yield f"{begin}: {minutes} minutes of a lesson of {lesson.minutes}"
    for part in run.split("; "):
        if not any(re.match(rf"{re.escape(part)}\b", heading) for heading in lesson.headings):
            yield f"{begin}: no {part} in {lesson.name}"


def test_the_plans_add_up_and_name_rounds_that_exist():
    assert [int(total) for total, _ in PLAN.findall(PAGE)] == [180, 50]
    assert problems_of(PAGE) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("| 0:12 | 8 |", "| 0:12 | 9 |", "0:20: the minutes before it add up to 21"),
        ("| 2:55 | 5 |", "| 2:55 | 6 |", "181 minutes, not 180"),
        ("Round 4; Looking back", "Round 9; Looking back", "2:55: no Round 9 in 22_real_linux"),
    ],
)
def test_a_wrong_plan_would_be_seen(old, new, problem):
    assert old in PAGE
    assert problem in problems_of(PAGE.replace(old, new))


def test_the_long_lecture_shows_every_lesson_that_stands_for_slides():
    _, table = PLAN.findall(PAGE)[0]
    shown = {row[2][1:3] for row in rows(table) if row[2] != "break"}
    assert {number for number, lesson in LESSONS.items() if lesson.slides} <= shown


def test_the_course_of_six_weeks_adds_up():
    ((length, table),) = COURSE.findall(PAGE)
    lessons, tasks = [], []
    for number, (week, session, names, minutes, around, homework, work) in enumerate(
        rows(table), 1
    ):
        assert (int(session), int(week)) == (number, (number + 1) // 2)
        here = names.split(", ")
        assert sum(LESSONS[name].minutes for name in here) == int(minutes)
        assert int(minutes) + int(around) == int(length)
        given = instructor.tasks_of(homework)
        assert sum(TASKS[task].minutes for task in given) == int(work)
        lessons, tasks = lessons + here, tasks + given
    assert lessons == list(LESSONS)
    assert sorted(tasks) == sorted(TASKS)


def test_the_numbers_in_its_prose_are_those_of_the_course():
    assert f"{len(LESSONS)} lessons with predictions" in PAGE
    assert f"{len(TASKS)} tasks in 7 problem sets" in PAGE
    assert f"all sets together have {sum(task.points for task in TASKS.values())}" in PAGE
    assert f"The syllabus has {len(TOPICS)} topics" in PAGE


def test_each_lesson_has_questions_with_answers_and_misconceptions():
    assert [section[:2] for section in SECTIONS] == list(LESSONS)
    for section in SECTIONS:
        wrong, _, asked = section.partition("**Questions**")
        assert len(re.findall(r"^- \*.+?\* \w", wrong, re.M)) >= 2, section[:40]
        questions = re.split(r"^\d\. ", asked, flags=re.M)[1:]
        assert len(questions) >= 2
        for question in questions:
            said, answer = re.fullmatch(r"\*(.+?)\*[ \n](.+)", question.strip(), re.S).groups()
            assert "?" in said or said.endswith(".")
            assert len(answer) > 40, question
        assert any(question.startswith("*Open. ") for question in questions), section[:40]


def test_a_task_that_it_names_exists():
    named = set(re.findall(r"\bps\d\.q\d\b", PAGE))
    assert named <= set(TASKS)


def test_every_topic_is_in_the_table_with_a_lesson_a_slide_and_a_task():
    assert PAGE == instructor.renewed(PAGE)
    found = instructor.rows()
    assert [row[0].split()[0] for row in found] == list(TOPICS)
    assert all(all(row) for row in found)


def test_the_minutes_of_a_session_are_counted_anew():
    old = "| 1 | 1 | 00, 01 | 1 | 89 | ps1.q1 to ps1.q2 | 3 |"
    assert instructor.SESSION.sub(instructor.session, old) == (
        f"| 1 | 1 | 00, 01 | 70 | 20 | ps1.q1 to ps1.q2 | "
        f"{TASKS['ps1.q1'].minutes + TASKS['ps1.q2'].minutes} |"
    )


def test_a_range_of_topics_in_a_heading_is_understood():
    assert LESSONS["06"].names("S09")  # "Topics S08 to S11"
    assert not LESSONS["06"].names("S12")


def test_its_check_notices_an_old_table(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace("| ps1.q7 |\n", "| ps1.q6 |\n", 1), encoding="utf-8")
    monkeypatch.setattr(instructor, "PAGE", page)
    assert instructor.main(["--check"]) == 1
    assert "python scripts/instructor.py" in capsys.readouterr().err
    assert instructor.main([]) == 0
    assert page.read_text(encoding="utf-8") == PAGE
    assert instructor.main(["--check"]) == 0
