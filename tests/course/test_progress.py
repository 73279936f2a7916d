"""A lesson's last cell notes it, its quiz is listened to, and the picture says how far one is."""

import re

import pytest

from tests.course.reader import some
from tests.show.looks import check_picture, words_of
from virtlab.course import progress
from virtlab.course.checks import CheckFailed, check
from virtlab.course.progress_file import Progress
from virtlab.course.syllabus import LESSONS, PARTS
from virtlab.show import Quiz, question
from virtlab.show.progress_picture import Row, Stop, _sign, progress_picture

# -- in a lesson


def quiz():
    """Two questions whose first option is right."""
    return Quiz([question(text, ("yes", "so"), ("no", "not so")) for text in ("One?", "Two?")])


def test_a_lessons_last_cell_notes_it_and_listens_to_its_quiz(file):
    asked = quiz()
    asked._choices[0].index = 0
    asked.check(0)  # before the last cell has run
    words = progress.lesson_ends("14").words
    assert words.startswith("Lesson 14 is noted")
    assert progress.read() == Progress(frozenset({"14"}), {"14": (1, 2)})
    asked._choices[1].index = 0
    asked.check(1)
    assert progress.read().quizzes == {"14": (2, 2)}


def test_a_lesson_run_without_an_answer_has_no_quiz(file):
    asked = quiz()
    progress.lesson_ends("14")
    assert progress.read() == Progress(frozenset({"14"}))
    asked.check(0)  # "Choose an answer first."
    assert progress.read() == Progress(frozenset({"14"}))


def test_where_nothing_is_kept_the_last_cell_shows_nothing(monkeypatch):
    monkeypatch.setattr(Quiz, "latest", None)
    monkeypatch.setenv("VIRTLAB_PROGRESS", "off")
    assert progress.lesson_ends("14") is None


def test_only_the_last_lessons_quiz_is_listened_to(file):
    quiz()
    progress.lesson_ends("13")
    asked = quiz()
    progress.lesson_ends("14")
    asked._choices[0].index = 0
    asked.check(0)
    assert progress.read().quizzes == {"14": (1, 2)}


def test_a_task_is_noted_when_its_check_passes_and_only_then(file):
    def who_answers(mappings, address, size):
        for base, length, name in mappings:
            if base <= address and address + size <= base + length:
                return name
        return None

    with pytest.raises(CheckFailed):
        check("ps1.q1", namespace={"who_answers": lambda *_: None})
    assert progress.read() == Progress()
    check("ps1.q1", namespace={"who_answers": who_answers})
    assert progress.read().tasks == {"ps1.q1"}


# -- the picture


def test_a_picture_of_nothing_is_the_same_everywhere(file):
    drawn = progress_picture(progress.rows())
    check_picture(drawn)
    assert drawn.text.startswith("0 of 23 lessons and 0 of 7 problem sets are done, 0 more")
    assert drawn.text.count("not yet") == len(LESSONS) == 23
    assert [row.name for row in progress.rows()] == [part.name for part in PARTS]


def test_each_state_has_its_words_and_its_sign(file):
    some()
    progress.note(lambda known: known.with_lesson("13").with_quiz("13", 5, 5))
    for number in range(1, 6):
        progress.note_task(f"ps7.q{number}")
    drawn = progress_picture(progress.rows())
    check_picture(drawn)
    lines = {" ".join(line.split()) for line in drawn.text.splitlines()}
    assert {
        "✓ 13 Virtqueue run, quiz 5 of 5",
        "▸ 14 Data exchange run, quiz 4 of 5",
        "▸ 00 Tour run",
        "▸ Problem set 4 1 of 8 tasks",
        "✓ Problem set 7 5 of 5 tasks",
    } <= lines
    assert drawn.text.startswith("1 of 23 lessons and 1 of 7 problem sets are done, 3 more")
    assert {"run, quiz 5 of 5", "run, quiz 4 of 5", "run", "1 of 8 tasks"} <= set(words_of(drawn))
    assert not any(words.endswith("…") for words in words_of(drawn))


def test_the_states_differ_without_colour():
    drawn = [
        progress_picture([Row("A part", (Stop("14 Data exchange", state, "words"),))]).svg
        for state in ("", "begun", "done")
    ]
    shapes = [re.sub(r'(fill|stroke)="#\w+"', "", svg) for svg in drawn]
    shapes = [svg[svg.index("</title>") :] for svg in shapes]
    assert len(set(shapes)) == 3
    assert len({_sign(0, 0, state)[:6] for state in ("", "begun")}) == 2
    assert len({_sign(0, 0, state) for state in ("begun", "done")}) == 2


def test_the_view_reads_anew_and_forgets_only_after_a_second_press(file):
    view = progress.view()
    assert repr(view) == "(where you are in the course)"
    assert "0 of 23" in view._says.value
    some()
    read_again, begin_anew, sure = view.controls
    read_again.click()
    assert "2 more are begun" not in view._says.value
    assert "3 more are begun" in view._says.value
    assert sure.disabled
    begin_anew.click()
    assert not sure.disabled
    assert "will be forgotten" in view._says.value
    read_again.click()
    assert sure.disabled
    begin_anew.click()
    sure.click()
    assert "Forgotten." in view._says.value
    assert progress.read() == Progress()


def test_the_view_says_where_nothing_can_be_forgotten(file):
    view = progress.view()
    file.parent.write_text("in the way")
    view.reset()
    assert "could not be done" in view._says.value
