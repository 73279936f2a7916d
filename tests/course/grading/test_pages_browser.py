"""Feedback and the class report in a real browser: nobody is kept out, on any screen or on paper.

The class of twelve has every kind of result: full, wrong, half, a stub, stopped, a broken cell, two
broken files, a hostile one, someone's very long name, and someone who never handed in.
"""

import dataclasses

import pytest

from tests.course.grading.graded import full, grades, handed_in, stub, wrong
from tests.course.grading.test_feedback import HOSTILE, hostile_result
from virtlab.course.checks import TASKS
from virtlab.course.grading import feedback, report
from virtlab.course.grading.result import CellError, Cost, Flaw, Unplaced

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(200)]

LONG = "Hugo-with-a-family-name-that-does-not-end von und zu Hohenlohe-Waldenburg_108"
PS01 = [task for task in TASKS if task.startswith("ps1.")]

BARRIERS = """async () => {
  const found = await axe.run(document, {resultTypes: ['violations']});
  return found.violations.filter(rule => rule.impact !== 'minor')
    .map(rule => `${rule.id}: ${rule.nodes[0].html.slice(0, 200)}`);
}"""
TOO_WIDE = """() => [document.documentElement, ...document.querySelectorAll('body *')]
  .filter(node => node.scrollWidth > node.clientWidth + 1 && node.clientWidth > 0
    && getComputedStyle(node).display !== 'inline' && !node.closest('svg'))
  .map(node => `${node.scrollWidth} in ${node.clientWidth}: ${node.outerHTML.slice(0, 150)}`)"""
SMALLEST = """() => Math.min(...[...document.querySelectorAll('body *')]
  .filter(node => !node.closest('svg')).map(node => parseFloat(getComputedStyle(node).fontSize)))"""
FOLDED = """() => [...document.querySelectorAll('details table')]
  .filter(node => !node.checkVisibility()).length"""
WIDTHS = {
    "a projector": (1280, 16),
    "200 %": (640, 14),
    "a telephone": (360, 14),
    "paper": (718, 11),
}
"""Pixels of a page there, and of its smallest letters."""


def twelve():
    """Their results."""
    right = handed_in("ada", *map(full, PS01))
    costly = dataclasses.replace(full("ps1.q1"), costs=(Cost("accesses", 1200, 4),))
    stopped = dataclasses.replace(stub("ps1.q2"), ended="it used more than 2 GiB of memory")
    broken = (CellError(4, "SyntaxError: '(' was never closed, in line 1: def " + "x" * 90),)
    flaws = tuple(Flaw(kind, "ps1-q1", (3,), f"cell 3 is {kind}") for kind in feedback.ADVICE)
    hostile = [
        dataclasses.replace(hostile_result(text), student=f"mallory{n}", assignment="ps01")
        for n, text in enumerate(HOSTILE[:2])
    ]
    return grades(
        right,
        handed_in("ben", costly, *map(wrong, PS01[1:])),
        handed_in("chloe", *map(wrong, PS01), flaws=flaws),
        handed_in("dan", *map(full, PS01[:3]), *map(stub, PS01[3:])),
        handed_in("eve", *map(stub, PS01)),
        handed_in("fay", stopped, errors=broken),
        handed_in("gus", refused="2 different notebooks of ps01, none was taken: " + "a/" * 60),
        handed_in(LONG, *map(wrong, PS01)),
        handed_in("ian", refused="ian/ps01.ipynb: byte 12: the notebook is cut off"),
        handed_in("joe", wrong("ps2.q1"), assignment="ps02"),
        *hostile,
        unplaced=(Unplaced("kim/" + "very-" * 30 + "long.zip", "not a notebook"),),
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The pages of the class."""
    folder, whole = tmp_path_factory.mktemp("pages"), twelve()
    written = feedback.write_pages(whole, folder)
    written.append(report.write_report(whole, folder / "class.html", ["never"]))
    written.append(report.write_report(whole, folder / "named.html", ["never"], names=True))
    return written


@pytest.fixture(scope="module")
def context():
    """A browser without a network."""
    from tests.browser import conftest, harness

    with conftest.chromium() as browser:
        context = browser.new_context(offline=True, bypass_csp=True)
        context.add_init_script(path=harness.axe())
        yield context
        context.close()


@pytest.fixture
def look(context):
    """Open a file, all of it unfolded: the page, and what it asked for or complained about."""
    opened = []

    def look(file, unfold=True):
        page, heard = context.new_page(), []
        opened.append(page)
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda request: heard.append(request.url))
        page.goto(file.as_uri())
        heard.remove(file.as_uri())
        if unfold:
            page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        return page, heard

    yield look
    for page in opened:
        page.close()


def test_nobody_is_kept_out_and_nothing_is_asked_for(files, look):
    for file in files:
        page, heard = look(file)
        assert page.evaluate(BARRIERS) == [], file
        if file.name in ("class.html", "index.html"):
            page.emulate_media(color_scheme="dark")
            assert page.evaluate(BARRIERS) == [], file
        assert heard == [], file


def test_nothing_is_too_wide_and_nothing_too_small(files, look):
    for file in files:
        page, _ = look(file)
        for where, (width, smallest) in WIDTHS.items():
            page.emulate_media(media="print" if where == "paper" else "screen")
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate(TOO_WIDE) == [], (file, where)
            assert page.evaluate(SMALLEST) >= smallest, (file, where)


def test_on_paper_nothing_is_folded_away(files, look):
    for file in files[-2:]:
        page, _ = look(file, unfold=False)
        assert page.evaluate(FOLDED) > 0
        page.emulate_media(media="print")
        assert page.evaluate(FOLDED) == 0
        assert page.pdf(format="A4").startswith(b"%PDF")
