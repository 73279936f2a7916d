"""The quizzes of all lessons: few questions, each option explained, and none given away.

A lesson's text is read, not run: a question stands in it as words.
"""

import ast
from collections import Counter
from pathlib import Path

import pytest

from virtlab import show

TEXTS = Path(__file__).parents[2] / "notebooks" / "text"
LESSONS = sorted(path.stem for path in TEXTS.glob("[0-9]*.py"))
FEWEST, MOST = 3, 5
SHORTEST = 12  # characters of an explanation


def calls(tree, name):
    """The calls `show.name(...)` of a lesson, in order."""
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [call for call in found if ast.unparse(call.func) == f"show.{name}"]


def quizzes(text):
    """The quizzes of a lesson's text, each a list of questions."""
    found = []
    for quiz in calls(ast.parse(text), "Quiz"):
        asked = calls(quiz, "question")
        words = [[ast.literal_eval(part) for part in call.args] for call in asked]
        place = [
            {each.arg: ast.literal_eval(each.value) for each in call.keywords} for call in asked
        ]
        found.append(
            [show.question(*args, **more) for args, more in zip(words, place, strict=True)]
        )
    return found


def longest(question):
    """Whether the right option is longer than all others."""
    sizes = [len(option.words) for option in question.options]
    right = sizes.pop(question.answer)
    return right > max(sizes)


def weak(questions):
    """What is wrong with a quiz."""
    found = []
    if not FEWEST <= len(questions) <= MOST:
        found.append(f"{len(questions)} questions")
    if len({question.answer for question in questions}) == 1:
        found.append("the right option is always at one place")
    if sum(map(longest, questions)) > len(questions) / 2:
        found.append("the right option is the longest in most of the questions")
    for question in questions:
        words = [option.words for option in question.options]
        if len(words) < 2 or len(set(words)) < len(words):
            found.append(f"options that are not apart: {words}")
        found += [
            f"not explained: {option.words}"
            for option in question.options
            if len(option.why) < SHORTEST
        ]
    return found


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_ends_with_one_good_quiz(lesson):
    (questions,) = quizzes((TEXTS / f"{lesson}.py").read_text("utf-8"))
    assert weak(questions) == []


def test_every_place_is_right_now_and_then():
    every = [
        each for name in LESSONS for each in quizzes((TEXTS / f"{name}.py").read_text("utf-8"))
    ]
    places = Counter(question.answer for questions in every for question in questions)
    assert min(places[place] for place in range(3)) > sum(places.values()) / 10


# -- the check itself

PROMPT = "How wide is a port number?"
GOOD = [
    show.question(PROMPT, ("16 bits", "It comes from DX."), ("8 bits", "Only the short form.")),
    show.question(PROMPT, ("16", "It comes from DX."), ("32", "That is memory."), place=1),
    show.question(PROMPT, ("16 bits", "It comes from DX."), ("32 bits", "That is memory.")),
]


def test_a_good_quiz_is_left_alone():
    assert weak(GOOD) == []


@pytest.mark.parametrize(
    ("questions", "why"),
    [
        (GOOD[:2], "2 questions"),
        (2 * GOOD, "6 questions"),
        ([GOOD[0], GOOD[2], GOOD[2]], "always at one place"),
        (
            3 * [show.question(PROMPT, ("sixteen bits", "It comes from DX."), ("8", "x" * 12))],
            "the longest in most",
        ),
        (
            [*GOOD[:2], show.question(PROMPT, ("16", "It is."), ("8", "x" * 12))],
            "not explained: 16",
        ),
        (
            [*GOOD[:2], show.question(PROMPT, ("16", "x" * 12), ("16", "x" * 12))],
            "options that are not apart",
        ),
    ],
)
def test_a_weak_quiz_is_seen(questions, why):
    assert any(why in line for line in weak(questions))


def test_the_questions_are_those_of_the_text():
    text = 'show.Quiz([show.question("Why?", ("a", "A."), ("b", "B."), place=1)])'
    (((prompt, options, answer),),) = quizzes(text)
    assert (prompt, answer) == ("Why?", 1)
    assert [tuple(option) for option in options] == [("b", "B."), ("a", "A.")]
