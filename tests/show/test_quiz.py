"""Questions: judged, explained, never in the way."""

import pytest

from virtlab.show import Predict, Quiz, question
from virtlab.show.quiz import judge

PORTS = question(
    "How many bits does a port have?",
    ("16", "IN and OUT take the port from `DX`, 16 bits."),
    ("8", "Only the immediate form is that short."),
    ("32", "That is memory."),
    place=1,
)
SIZES = question("How wide is an IN?", ("1, 2 or 4 bytes", "SDM 2A."), ("8 bytes", "No."))


def test_the_right_answer_stands_where_it_was_put():
    assert [option.words for option in PORTS.options] == ["8", "16", "32"]
    assert PORTS.answer == 1
    assert SIZES.answer == 0


def test_every_option_is_explained():
    assert judge(PORTS, 1) == "✓ Right. IN and OUT take the port from `DX`, 16 bits."
    assert judge(PORTS, 0) == "✗ Not this one. Only the immediate form is that short."
    assert judge(PORTS, None) == "Choose an answer first."


def test_a_quiz_judges_each_question_and_counts():
    quiz = Quiz([PORTS, SIZES])
    quiz.check(0)
    assert "Choose an answer first." in quiz._says[0].value
    quiz._choices[0].index = 1
    quiz.check(0)
    quiz._choices[1].index = 1
    quiz.check(1)
    assert "✓ Right." in quiz._says[0].value
    assert "✗ Not this one." in quiz._says[1].value
    assert "1 of 2 checked and right." in quiz._total.value
    assert quiz.chosen == [1, 1]
    quiz.reset()
    assert quiz.chosen == [None, None]
    assert quiz._says[0].value == ""
    assert repr(quiz) == "Quiz: 2 questions"


def test_a_right_answer_that_was_not_checked_does_not_count():
    quiz = Quiz([PORTS, SIZES])
    quiz._choices[1].index = 0
    quiz._choices[0].index = 1
    quiz.check(0)
    assert "1 of 2" in quiz._total.value


def test_a_radio_button_shows_code_without_its_backquotes():
    """It shows no code as code; the answer and the prediction are the words as they were given."""
    quiz = Quiz([question("Where?", ("In `avail.idx`", "Yes."), ("On the `bell`", "No."))])
    assert list(quiz._choices[0].options) == ["In avail.idx", "On the bell"]
    predict = Predict("Where?", answer="`bell`", why="So.", options=["`bell`", "ring"])
    predict._field.index = 0
    assert predict._field.label == "bell"
    assert predict.prediction == "`bell`"
    assert predict.right


def test_an_empty_quiz_is_refused():
    with pytest.raises(ValueError, match="at least one question"):
        Quiz([])


def test_a_number_is_predicted_noted_and_compared():
    predict = Predict("How many exits?", 5, "One each.")
    assert predict.prediction is None
    predict.show()
    assert "You made no prediction." in predict._says.value
    predict._field.value = "many"
    assert "Give a whole number" in predict._says.value
    predict._field.value = "0x5"
    assert predict.prediction == 5
    assert "Noted: <code>5</code>" in predict._says.value
    predict.show()
    assert "✓ You predicted <code>5</code>. The answer is <code>5</code>. One each." in (
        predict._says.value
    )
    predict._field.value = "4"
    predict.show()
    assert "✗ You predicted <code>4</code>." in predict._says.value
    predict.reset()
    assert predict.prediction is None
    assert "run the cell below" in predict._says.value


def test_an_option_is_predicted():
    predict = Predict("Who answers?", "nobody", "All ones.", ["the uart", "nobody"])
    assert predict.prediction is None
    predict._field.index = 1
    assert predict.prediction == "nobody"
    predict.show()
    assert "✓ You predicted" in predict._says.value
    predict.reset()
    assert predict.prediction is None


def test_the_answer_must_be_one_of_the_options():
    with pytest.raises(ValueError, match="'c' is not among"):
        Predict("?", "c", "", ["a", "b"])


@pytest.mark.parametrize(("typed", "sign"), [("95", "✓"), ("105", "✓"), ("106", "✗"), ("94", "✗")])
def test_a_prediction_may_be_near_enough(typed, sign):
    widget = Predict("About how many?", answer=100, why="So many.", within=5)
    widget.controls[0].value = typed
    widget.show()
    assert f"{sign} You predicted" in widget._says.value
