"""How far a run is, on a terminal and elsewhere."""

import io

import pytest

from virtlab.course.grading.progress import Progress


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def run(out, total=4, seconds=6.0, **how):
    """Four steps of six seconds each."""
    times = iter(seconds * number for number in range(total + 1))
    with Progress(total, out, clock=lambda: next(times), **how) as progress:
        for _ in range(total):
            progress.step()
    return out.getvalue()


def test_a_bar_on_a_terminal_says_how_long_it_will_take():
    frames = run(Terminal()).split("\r\x1b[K")
    assert frames[1] == "grading  " + "█" * 7 + "░" * 23 + "   1 of 4   6 s, about 18 s to go"
    assert frames[4] == "grading  " + "█" * 30 + "   4 of 4   24 s\n"


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_a_terminal_that_is_gone_ends_no_run(kind):
    class Gone(kind):
        def write(self, text):
            raise BrokenPipeError

    assert run(Gone()) == ""


def test_elsewhere_there_is_a_line_now_and_then():
    assert run(io.StringIO()).splitlines() == [
        "grading  2 of 4   12 s, about 12 s to go",
        "grading  4 of 4   24 s",
    ]


def test_a_plain_terminal_gets_a_plain_bar():
    class Plain(Terminal):
        encoding = "latin-1"

    assert run(Plain()).isascii()


def test_the_bar_is_not_drawn_more_often_than_it_is_seen():
    assert run(Terminal(), total=100, seconds=0.01).count("\r") <= 11


@pytest.mark.parametrize("out", [Terminal(), io.StringIO()])
def test_quiet_is_quiet(out):
    assert run(out, quiet=True) == ""


def test_nothing_to_do_is_nothing_to_say():
    assert run(Terminal(), total=0) == ""


def test_minutes():
    assert "3 min 20 s" in run(Terminal(), total=1, seconds=200)
