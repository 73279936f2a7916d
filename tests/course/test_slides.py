"""`virtlab slides`: a deck shows what the notebook shows, fits, is always the same, and is alone.

That all of a deck fits on its slides can only be seen in a browser: `VIRTLAB_SLOW=1` looks at all
23, the ordinary run at one.
"""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from virtlab.course import cli
from virtlab.course.slides import first, page
from virtlab.course.slides.lesson import Code, read_lesson
from virtlab.course.slides.markup import inline

ROOT = Path(__file__).parents[2]
LESSON = "14_data_exchange"
BOOK = ROOT / "notebooks" / f"{LESSON}.ipynb"
SLIDES = cli.Command("slides", "virtlab.course.slides_command", "make slides", "virtlab slides 14")
PICTURE = '<svg role="img" aria-label="a ring" viewBox="0 0 940 {}" width="940">{}</svg>'


def cells(*given):
    """A notebook of these cells: text is Markdown, a pair is code and its outputs."""
    made = []
    for cell in given:
        text, kind, rest = cell, "markdown", {}
        if isinstance(cell, tuple):
            text, *outs = cell
            kind, rest = "code", {"outputs": outs, "execution_count": 1}
        made.append({"cell_type": kind, "source": text, "metadata": {}, **rest})
    return {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def written(folder, book, name="30_made"):
    """A notebook file of a course of its own."""
    notebooks = folder / "notebooks"
    notebooks.mkdir(exist_ok=True)
    path = notebooks / f"{name}.ipynb"
    path.write_text(json.dumps(book), encoding="utf-8")
    return path


def run(*words):
    """The command's exit status."""
    return cli.run(SLIDES, [str(word) for word in words])


@pytest.fixture(scope="module")
def deck(tmp_path_factory):
    """The deck of one lesson, as text."""
    out = tmp_path_factory.mktemp("decks")
    assert run("14", "--out", out) == 0
    return (out / f"{LESSON}.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def widgets():
    """What the widgets of that lesson show first."""
    return first.firsts(BOOK)


# -- a deck of the course


def test_the_same_notebook_gives_the_same_bytes(deck, tmp_path):
    assert run("14", "--out", tmp_path) == 0
    assert (tmp_path / f"{LESSON}.html").read_text(encoding="utf-8") == deck


def test_a_deck_asks_for_nothing_outside_of_its_file(deck):
    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            named.extend((tag, value) for name, value in attributes if name in ("src", "href"))

    named = []
    Reader().feed(deck)
    links = [value for tag, value in named if tag == "a"]
    assert all(re.match(r"https://|\d\d_\w+\.html\Z", link) for link in links)
    assert [value for tag, value in named if tag != "a" and not value.startswith("data:")] == []
    assert "url(" not in deck
    assert "@import" not in deck
    assert page.POLICY in deck
    assert len(deck) < 600_000


def test_every_heading_and_every_stored_picture_is_there(deck):
    lesson = read_lesson(BOOK)
    for part in lesson.parts:
        assert inline(part.heading) in deck
    for part in lesson.parts:
        for item in part.items:
            for output in item.outputs if isinstance(item, Code) else ():
                if svg := output.get("data", {}).get("image/svg+xml"):
                    assert "".join(svg) in deck


def test_code_that_the_notebook_shows_is_there_and_folded_code_is_not(deck):
    text = re.sub("<.*?>", "", deck)
    assert "driver.add_buf(out=[(0x2_0000, 16)]" in text
    assert "show.Predict(" not in text
    assert "show.Quiz(" not in text


def test_a_prediction_is_asked_before_its_cell_and_answered_after_it(deck):
    asked = deck.index("How many bytes of the ring does kick change?")
    run_at = deck.index("2. kick: exposed")
    answered = deck.index("The low byte of avail.idx: from 0 to 1.")
    assert asked < run_at < answered
    number = [deck[:at].count("<section") for at in (asked, run_at, answered)]
    assert number[0] < number[1]


def test_each_question_of_the_quiz_is_asked_and_then_answered(deck, widgets):
    (quiz,) = [each for each in widgets.values() if each["kind"] == "quiz"]
    sections = re.findall(r'<div class="quiz">.*?</ol></div>', deck, re.S)
    assert len(sections) == 2 * len(quiz["questions"])
    for asked, plain, explained in zip(
        quiz["questions"], sections[::2], sections[1::2], strict=True
    ):
        assert inline(asked["prompt"]) in plain
        assert inline(asked["prompt"]) in explained
        for option in asked["options"]:
            assert inline(option["words"]) in plain
            assert inline(option["why"]) in explained
            assert inline(option["why"]) not in plain
        right = asked["options"][asked["answer"]]["why"]
        assert f"Right.</span> {inline(right)}" in explained
        assert explained.count("✓ Right.") == 1


def test_a_widget_is_its_first_picture_with_its_alternative_and_a_word(deck, widgets):
    (stepper,) = [each for each in widgets.values() if each["kind"] == "widget"]
    assert stepper["svg"] in deck
    assert 'role="img" aria-label="' in stepper["svg"]
    assert "The live one is in the notebook: First, Back, " in deck


def test_the_instructors_cell_is_said_and_not_shown(deck):
    lesson = read_lesson(BOOK)
    assert lesson.instructor.startswith("The demo that surprises")
    notes = re.findall(r"<aside.*?</aside>", deck, re.S)
    shown = re.sub(r"<aside.*?</aside>", "", deck, flags=re.S)
    assert "For the instructor" in notes[0]
    assert "The demo that surprises" in notes[0]
    assert "The demo that surprises" not in shown


def test_prose_is_the_speakers(deck):
    shown = re.sub(r"<aside.*?</aside>", "", deck, flags=re.S)
    words = "nobody clears a descriptor"
    assert words in deck
    assert words not in shown


# -- in a browser

FITS = """() => [...document.querySelectorAll('.slide')].flatMap((slide, index) => {
  slide.hidden = false;
  const stage = slide.querySelector('.stage').getBoundingClientRect(), scale = stage.width / 1280;
  const heading = slide.querySelector('h1, h2');
  const boxes = [...slide.querySelectorAll('.room *')].map(node => node.getBoundingClientRect());
  const bottom = Math.max(0, ...boxes.map(box => box.bottom - stage.top)) / scale;
  const right = Math.max(0, ...boxes.map(box => box.right - stage.left)) / scale;
  slide.hidden = true;
  const wrong = bottom > 688 || right > 1240 || heading.scrollWidth > heading.clientWidth + 1;
  return wrong ? [`slide ${index + 1}: ends at ${right}, ${bottom}: ${heading.innerText}`] : [];
})"""
BARRIERS = """async () => {
  document.body.classList.remove('live');
  for (const slide of document.querySelectorAll('.slide')) slide.hidden = false;
  const found = await axe.run(document, {resultTypes: ['violations']});
  return found.violations.filter(rule => rule.impact !== 'minor')
    .map(rule => `${rule.id}: ${rule.nodes[0].html.slice(0, 200)}`);
}"""
EVERY = sorted(path.name[:2] for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
LOOKED_AT = [
    number if number == "14" else pytest.param(number, marks=pytest.mark.long) for number in EVERY
]


@pytest.fixture(scope="module")
def page_of():
    """Open a file in Chromium that has no network, and hear what it complains about."""
    from tests.browser import conftest, harness

    with conftest.chromium() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 720}, offline=True)
        context.add_init_script(path=harness.axe())
        heard = []

        def opened(file):
            shown = context.new_page()
            shown.on("console", lambda message: heard.append(message.text))
            shown.on("pageerror", lambda error: heard.append(str(error)))
            shown.on("request", lambda request: heard.append(request.url))
            shown.goto(file.as_uri())
            asked = [line for line in heard if not line.startswith(("data:", file.as_uri()))]
            heard.clear()
            return shown, asked

        yield opened


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("number", LOOKED_AT)
def test_in_a_browser_all_fits_and_nobody_is_kept_out(number, page_of, tmp_path):
    assert run(number, "--out", tmp_path) == 0
    (file,) = tmp_path.glob("*.html")
    shown, complaints = page_of(file)
    assert complaints == []
    assert shown.evaluate(FITS) == []
    assert shown.evaluate(BARRIERS) == []
    shown.close()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(200)
def test_keys_turn_pages_show_notes_and_print_one_page_a_slide(deck, page_of, tmp_path):
    file = tmp_path / "deck.html"
    file.write_text(deck, encoding="utf-8")
    shown, _ = page_of(file)

    def where():
        return shown.evaluate("document.querySelector('.slide:not([hidden])').id")

    count = deck.count("<section")
    seen = []
    for key in ("ArrowRight", "PageDown", " ", "ArrowLeft", "Home", "ArrowLeft", "End", "End"):
        shown.keyboard.press(key)
        seen.append(where())
    assert seen == ["s2", "s3", "s4", "s3", "s1", "s1", f"s{count}", f"s{count}"]
    assert shown.evaluate("document.activeElement.id") == f"s{count}"
    assert shown.get_by_role("button", name="Next").is_disabled()
    notes = shown.locator(f"#s{count} .notes")
    assert not notes.is_visible()
    shown.keyboard.press("n")
    assert notes.is_visible()
    shown.goto(f"{file.as_uri()}#s5")
    assert where() == "s5"
    pdf = shown.pdf(prefer_css_page_size=True, print_background=True)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == count
    shown.close()


def test_a_deck_is_ready_for_a_reader_without_the_script(deck):
    assert "hidden>" in deck.partition("<nav")[2][:60]  # the buttons appear with the script
    assert deck.startswith('<!DOCTYPE html>\n<html lang="en">\n')
    labels = re.findall(r'aria-label="Slide (\d+) of (\d+)"', deck)
    assert [int(number) for number, _ in labels] == [*range(1, len(labels) + 1)]
    assert {int(count) for _, count in labels} == {len(labels)}
