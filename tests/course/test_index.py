"""The course as one thing: the index tells the truth, every lesson begins and ends alike."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import glossary, index, lessons
from tests.course.answers import load, notebook, text
from virtlab.course.checks import TASKS
from virtlab.course.syllabus import LESSONS, PARTS, TOPICS

ROOT = Path(__file__).parents[2]
STEMS = [lesson.stem for lesson in LESSONS]
ABOUT = {lesson.number: lessons.about(lesson.stem) for lesson in LESSONS}
TERMS = glossary.terms()

HEADINGS = ("The picture", "Break it", "Measure it", "How real systems do it", "Quiz", "Take away")
"""What every lesson has, in this order; `Play` comes before `Break it`, where there is one."""


def source(stem):
    """A lesson's text, as it is written."""
    return (lessons.TEXTS / f"{stem}.py").read_text(encoding="utf-8")


# -- what is made, is made of what is there


def test_the_index_the_glossary_and_the_lists_of_terms_are_as_they_are_made():
    assert index.main(["--check"]) == 0


def test_a_change_is_seen_and_made_good(monkeypatch, capsys, tmp_path):
    page = tmp_path / "glossary.md"
    page.write_text("old")
    monkeypatch.setattr(index, "ROOT", tmp_path)
    monkeypatch.setattr(index, "made", lambda: {page: "new"})
    assert index.main(["--check"]) == 1
    assert page.read_text() == "old"
    assert index.main([]) == 0
    assert page.read_text() == "new"
    assert index.main(["--check"]) == 0
    assert capsys.readouterr().out.split() == ["differs", "glossary.md", "changed", "glossary.md"]


def test_the_syllabus_has_the_lessons_that_there_are():
    assert STEMS == sorted(path.stem for path in lessons.TEXTS.glob("[0-9]*.py"))
    sets = {number: after for part in PARTS for number, after in part.sets.items()}
    assert list(sets) == [int(path.name[2:]) for path in sorted((ROOT / "exercises").glob("ps*"))]
    for number, after in sets.items():
        tasks = [task for told in ABOUT.values() for task in told.tasks]
        needs = [n for n, told in ABOUT.items() if any(f"ps{number}." in t for t in told.tasks)]
        assert any(f"ps{number}." in task for task in tasks)
        assert max(needs) == after, "a set is due after the last lesson that leads to it"


def test_the_index_has_each_lesson_set_and_topic_with_its_minutes():
    made = index.index()
    for lesson in LESSONS:
        told = ABOUT[lesson.number]
        row = next(
            line for line in made.splitlines() if f"[{lesson.number} {lesson.name}](" in line
        )
        assert f"]({lesson.stem}.ipynb) | {told.title} | {told.minutes} |" in row
        assert row.endswith(f"| {' '.join(told.topics)} |")
    for number in range(1, 8):
        minutes = sum(task.minutes for task in TASKS.values() if task.id.startswith(f"ps{number}."))
        row = next(line for line in made.splitlines() if f"[**Problem set {number}**](" in line)
        assert f" | {minutes} | " in row
    assert all(f"# | {topic} | {title} | [" in made for topic, title in TOPICS.items())


def test_the_readme_has_the_same_minutes():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for lesson in LESSONS:
        row = re.search(rf"^\| \[{lesson.number} .*\]\(.*\).*\| (\d+) \|$", readme, re.MULTILINE)
        assert int(row[1]) == ABOUT[lesson.number].minutes


# -- every lesson begins alike


@pytest.mark.parametrize("stem", STEMS)
def test_the_first_cell_says_what_the_lesson_is(stem):
    opening = lessons.cells(source(stem))[0].text
    assert re.match(r"# .+\n\nAfter this lesson you can\n\n(- \*\*.+\n){3}\n\*", opening)
    header = lessons.HEADER.search(opening)
    told = ABOUT[stem[:2]]
    assert all(number < stem[:2] for number in told.builds_on)
    named = set()
    for first, last in re.findall(r"([SB]\d\d)(?: to [SB](\d\d))?", header["topics"]):
        numbers = range(int(first[1:]), int(last or first[1:]) + 1)
        named |= {f"{first[0]}{number:02}" for number in numbers}
    assert named == set(told.topics), "the topics of the header are those of the tags"


def test_a_lesson_that_does_not_say_it_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(lessons, "TEXTS", tmp_path)
    (tmp_path / "00_bad.py").write_text("# %% [markdown]\n# # A title\n")
    with pytest.raises(ValueError, match="00_bad: no title, or no line of minutes"):
        lessons.about("00_bad")


def test_lessons_are_counted_from_words():
    assert lessons.numbers("nothing but Python") == []
    assert lessons.numbers("lessons 07, 13 to 15 and 18") == ["07", "13", "14", "15", "18"]


# -- the same headings for the same things


@pytest.mark.parametrize("stem", STEMS)
def test_the_same_things_have_the_same_headings(stem):
    headings = re.findall(r"^# ## (.+)$", source(stem), re.MULTILINE)
    begun = [next((h for h in HEADINGS if heading.startswith(h)), None) for heading in headings]
    assert [heading for heading in begun if heading] == list(HEADINGS)
    rounds = [int(n) for n in re.findall(r"^# ## Round (\d)\. .", source(stem), re.MULTILINE)]
    assert rounds == list(range(1, len(rounds) + 1))
    assert 3 <= len(rounds) <= 6
    plays = [at for at, heading in enumerate(headings) if re.match(r"Play(:|$)", heading)]
    assert len(plays) == sum(heading.startswith("Play") for heading in headings)


ODD = {
    r"\b\d+(\.\d+)? us\b": "µs",
    r"\bG(bit|bps)": "Gb/s",
    r"(?<![\w])[0-9A-F]{2,}h\b": "0x",
    r"\b(behavior|color|center|neighbor|gray|analyze|modeled|labeled)\b": "British spelling",
    r" · \(?\d": "×",
    r"(?<=[a-z,] )Round \d": "round, in a sentence",
}
"""What is written in another way, and how."""


@pytest.mark.parametrize("stem", STEMS)
def test_numbers_units_and_words_are_written_in_one_way(stem):
    said = lessons.words(source(stem))
    assert [(found[0], how) for odd, how in ODD.items() if (found := re.search(odd, said))] == []


def test_another_way_would_be_seen():
    for odd in ("10 us", "1 Gbit/s", "FFFFh", "behavior", "8 · 4", "see Round 2 again"):
        assert any(re.search(pattern, odd) for pattern in ODD), odd


# -- every lesson ends alike


def ending(stem):
    """The paragraphs of a lesson's ending, by how they begin."""
    heading, *paragraphs = lessons.ending(stem).split("\n\n")
    assert heading == "## Take away"
    return paragraphs


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_a_lesson_ends_like_all_others(lesson):
    terms = [term for term in TERMS if term.lesson == lesson.number]
    take, *rest = ending(lesson.stem)
    starts = ["New terms"] * bool(terms) + ["Read the code", "Exercise", "Next"]
    assert [re.match(r"\*\*(.+?)\*\*", part)[1] for part in rest] == starts
    assert len(re.findall(r"[.?](?=\s|$)", take)) == 3, "three sentences"
    links = re.findall(r"\[(virtlab/[\w/]+\.py)\]\(\.\./(virtlab/[\w/]+\.py)\) \(", rest[-3])
    assert len(links) == 3
    assert all(shown == there for shown, there in links)
    assert rest[-3].startswith("**Read the code**, in this order: ")


@pytest.mark.parametrize(("lesson", "after"), [*zip(LESSONS, [*LESSONS[1:], None], strict=True)])
def test_each_lesson_leads_to_the_next(lesson, after):
    going_on = ending(lesson.stem)[-1]
    if after:
        assert going_on.startswith(f"**Next**: [lesson {after.number}, ")
        assert f"]({after.stem}.ipynb). " in going_on
    else:
        assert "](index.ipynb)" in going_on


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_the_last_cell_that_runs_notes_the_lesson(lesson):
    last = [cell for cell in lessons.cells(source(lesson.stem)) if not cell.markdown][-1]
    assert last.tags == ("progress",)
    assert last.text.splitlines()[-1] == f'lesson_ends("{lesson.number}")'
    stored = json.loads((ROOT / "notebooks" / f"{lesson.stem}.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in stored["cells"] if cell["cell_type"] == "code"]
    assert code[-1]["outputs"] == []


def test_each_task_is_the_exercise_of_one_lesson():
    led_to = [task for told in ABOUT.values() for task in told.tasks]
    assert sorted(led_to) == list(TASKS)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_an_exercise_link_leads_to_the_tasks_own_heading(lesson):
    links = re.findall(
        r"\[task (\d), \*([^*]+)\*\]\(\.\./exercises/(ps0\d)/ps0\d\.ipynb#([^)]+)\)",
        ending(lesson.stem)[-2],
    )
    assert links
    for number, title, name, anchor in links:
        cells = load(notebook("exercises", name))["cells"]
        headings = [text(cell).splitlines()[0] for cell in cells if text(cell).startswith("## ")]
        assert f"## {anchor.replace('-', ' ')}".casefold() in [
            heading.replace("-", " ").casefold() for heading in headings
        ]
        assert TASKS[f"ps{name[-1]}.q{number}"].title == title


# -- what is to be read was run

ELSEWHERE = {"virtlab/vmm/service/server.py"}
"""What runs in a process of its own, where nobody looks on."""

RUN = """
import json, os, re, sys, threading
sys.path.insert(0, sys.argv[1])
os.chdir(os.path.join(sys.argv[1], "notebooks"))
from scripts import lessons

ran = set()

def watch(frame, event, value):
    if event == "call" and frame.f_code.co_name != "<module>":
        ran.add(frame.f_code.co_filename)

cells = lessons.cells((lessons.TEXTS / f"{sys.argv[2]}.py").read_text("utf-8"))
names = {"__name__": "__main__"}
threading.setprofile(watch)
sys.setprofile(watch)
for cell in cells:
    if cell.markdown or "measured" in cell.tags:
        continue
    try:
        exec(compile(cell.text, "<cell>", "exec"), names)
    except Exception:
        if "raises-exception" not in cell.tags:
            raise
sys.setprofile(None)
print("\\n" + json.dumps(sorted(ran)))
"""


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("stem", STEMS)
def test_the_code_that_a_lesson_names_is_code_that_it_ran(stem):
    import os

    env = {**os.environ, "VIRTLAB_TIER": "recorded", "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(ROOT), stem], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ran = {Path(name) for name in json.loads(done.stdout.splitlines()[-1])}
    named = re.findall(r"\]\(\.\./(virtlab/[\w/]+\.py)\)", lessons.ending(stem))
    assert [name for name in named if ROOT / name not in ran and name not in ELSEWHERE] == []
