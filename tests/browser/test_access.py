"""By keyboard alone, and for a reader who does not see: what the course adds to JupyterLab.

The extension `virtlab-accessible` is a part of what is installed. So these tests meet it as a
learner does.
"""

import contextlib
import sys
from pathlib import Path

import pytest

from tests.browser import harness
from tests.browser.test_harness import write

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(200)]

QUIZ = """
from virtlab import show
show.Quiz([
    show.question("How wide is a port number?", ("16 bits", "DX."), ("8 bits", "Short."), place=1),
    show.question("And a sector?", ("512 bytes", "Yes."), ("1 byte", "No."), ("1 KiB", "No.")),
])
"""
PICTURES = """
import matplotlib.pyplot as plt
from virtlab import show
display(show.bars("Exits", {"PIO": 256, "DMA": 3}, "exits"))
figure, axes = plt.subplots(figsize=(2, 1))
show.plot(figure, "Nothing is drawn.", "Here: nothing.")
"""
LIST = """
import ipywidgets as w
from virtlab.show.shell import Shell, choice
kind = choice("Kind", ["PIO", "DMA", "virtio"], "PIO")
said = w.HTML("-")
kind.observe(lambda change: said.set_trait("value", f"<b>{change['new']}</b>"), "value")
Shell("a list", [kind, said])
"""
MOST_TABS = 40
ROOT = Path(__file__).parents[2]
EXTENSION = "jupyter/labextensions/virtlab-accessible"


@pytest.fixture
def opened(page, lab):
    """A function: open a lesson of one cell, run it, and leave its editor."""

    def open_lesson(name, source):
        path = write(lab, name, source)
        harness.ask(page, f"open({path!r})", harness.OPEN_SECONDS)
        harness.ask(page, "run()", harness.RUN_SECONDS)
        page.keyboard.press("Escape")
        return page

    return open_lesson


def keys(page, *names):
    """Press keys, each after the kernel is done with the one before."""
    for name in names:
        page.keyboard.press(name)
        harness.ask(page, "settle()")


def tab_to(page, name):
    """Go on with Tab until the control of this name has the focus."""
    met = []
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        met.append(harness.ask(page, "focused()"))
        if name in met[-1]:
            return
    pytest.fail(f"no {name!r} by Tab, but {met}")


def test_a_quiz_is_answered_by_keyboard_alone(opened):
    page = opened("quiz", QUIZ)
    tab_to(page, "8 bits")
    keys(page, "Space", "ArrowDown")
    assert "16 bits" in harness.ask(page, "focused()")
    keys(page, "Tab", "Enter")
    assert page.locator(".vl-says").first.inner_text() == "✓ Right. DX."
    tab_to(page, "512 bytes")
    keys(page, "Space", "ArrowDown", "Tab", "Space")
    assert page.locator(".vl-says").nth(1).inner_text() == "✗ Not this one. No."
    assert page.locator(".vl-says").nth(2).inner_text() == "1 of 2 checked and right."


def test_a_list_takes_the_arrows_that_jupyterlab_would_take(opened):
    page = opened("list", LIST)
    tab_to(page, "Kind")
    keys(page, "ArrowDown", "ArrowDown")
    assert page.locator(".jp-OutputArea b").inner_text() == "virtio"
    assert harness.ask(page, "focused()") == "Kind"


def test_outside_of_the_courses_widgets_the_arrows_are_jupyterlabs(opened):
    source = LIST.replace("Shell(", "print(").replace(", [kind, said])", ")\nw.VBox([kind, said])")
    page = opened("foreign", source)
    tab_to(page, "Kind")
    keys(page, "ArrowDown")
    assert harness.ask(page, "focused()") != "Kind"


def test_pictures_among_the_outputs_have_words(opened):
    page = opened("pictures", PICTURES)
    images = page.locator(".jp-OutputArea img")
    words = [images.nth(n).get_attribute("alt") for n in range(images.count())]
    assert words == ["Exits: PIO: 256 exits; DMA: 3 exits", "Nothing is drawn. Here: nothing."]


def test_a_quiz_can_be_read_in_the_dark_theme_too(opened):
    page = opened("dark", QUIZ)
    with contextlib.ExitStack() as stack:
        stack.callback(harness.ask, page, "theme('JupyterLab Light')")
        harness.ask(page, "theme('JupyterLab Dark')")
        assert harness.audit(page) == []


def test_what_is_installed_is_what_the_project_has():
    here = ROOT / "share" / EXTENSION
    there = Path(sys.prefix, "share", EXTENSION)
    for path in (path for path in here.rglob("*") if path.is_file()):
        copy = there / path.relative_to(here)
        assert copy.is_file(), f"{copy.name} is not installed: make test installs it"
        assert copy.read_bytes() == path.read_bytes(), f"{copy.name} is an old one: make test"
