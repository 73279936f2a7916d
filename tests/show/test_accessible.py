"""What every stored picture owes a reader who does not see it, or does not see its colours.

The pictures are those that the lessons store: the outputs of the notebooks. What widgets show is
looked at by the browser test, state by state.
"""

import json
import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from virtlab.show.palette import PAPER, contrast
from virtlab.show.svg import element, picture, rect, write

FOLDER = Path(__file__).parents[2] / "notebooks"
LESSONS = sorted(FOLDER.glob("[0-9]*.ipynb"))
SVG = "{http://www.w3.org/2000/svg}"
LEAST = 4.5  # of contrast, WCAG 2.2, 1.4.3


def outputs(lesson):
    """The outputs of a lesson that are pictures: `(cell, data, metadata)`."""
    for number, cell in enumerate(json.loads(lesson.read_text("utf-8"))["cells"], 1):
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if any(mime.startswith("image/") for mime in data):
                yield number, data, output["metadata"]


def drawings(lesson):
    """The SVGs of a lesson: `(cell, root)`."""
    for number, data, _ in outputs(lesson):
        if "image/svg+xml" in data:
            yield number, ElementTree.fromstring("".join(data["image/svg+xml"]))


# -- words


def speechless(lesson):
    """Pictures of a lesson that do not say what they show, as `(cell, why)`."""
    found = []
    for number, root in drawings(lesson):
        label, title = root.get("aria-label", ""), root.findtext(f"{SVG}title")
        if root.get("role") != "img" or not label.strip():
            found.append((number, "no label"))
        elif label == title:
            found.append((number, f"only its title: {title}"))
    for number, data, metadata in outputs(lesson):
        if "image/png" in data and len(metadata.get("image/png", {}).get("alt", "")) < 30:
            found.append((number, "a PNG without words"))
    return found


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_every_picture_of_a_lesson_says_what_it_shows(lesson):
    assert speechless(lesson) == []


def test_a_picture_without_words_is_seen(tmp_path):
    svg = picture("A title", 100, [], "words", "A title").svg
    cells = [{"image/svg+xml": svg}, {"image/svg+xml": svg.replace("role", "rule")}]
    cells += [{"image/png": "iVBORw0KGgo="}]
    stored = [{"outputs": [{"data": data, "metadata": {}}]} for data in cells]
    path = tmp_path / "lesson.ipynb"
    path.write_text(json.dumps({"cells": stored}))
    assert [number for number, _ in speechless(path)] == [1, 2, 3]


# -- contrast


def ground(boxes, x, y):
    """The colour of the last box drawn that holds the point."""
    return next(
        fill
        for left, top, right, bottom, fill in reversed(boxes)
        if left <= x <= right and top <= y <= bottom
    )


def pale(root):
    """Texts with too little contrast to what is drawn behind them: `(words, fill, ground)`."""
    boxes, found = [(-1e9, -1e9, 1e9, 1e9, PAPER)], []
    for node in root.iter():
        fill = node.get("fill", "")
        if node.tag == f"{SVG}rect" and fill.startswith("#"):
            x, y, width, height = (float(node.get(name)) for name in ("x", "y", "width", "height"))
            boxes.append((x, y, x + width, y + height, fill))
        if node.tag == f"{SVG}text" and node.text and fill.startswith("#") and node.get("x"):
            size = float(node.get("font-size"))
            shift = {"middle": 0, "end": -2}.get(node.get("text-anchor"), 2)
            behind = ground(boxes, float(node.get("x")) + shift, float(node.get("y")) - size / 3)
            if contrast(fill, node.get("stroke") or behind) < LEAST:
                found.append((node.text, fill, node.get("stroke") or behind))
    return found


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_every_text_of_a_picture_stands_out_from_what_is_behind_it(lesson):
    assert [(number, text) for number, root in drawings(lesson) for text in pale(root)] == []


def test_pale_text_is_seen():
    parts = [rect(30, 70, 100, 30, fill="#0072B2"), write(40, 90, "dark", fill="#1B2330")]
    root = ElementTree.fromstring(picture("A title", 120, parts, "words", "label").svg)
    assert pale(root) == [("dark", "#1B2330", "#0072B2")]


# -- colour is never the only cue

COLOUR = re.compile(' (fill|stroke)="#[0-9A-Fa-f]{6}"')
WORDS = re.compile(' aria-label="[^"]*"|<title>.*?</title>|<text[^>]*>[^<]{13,}</text>')

# Pictures of one kind in two states, by the lesson and the beginnings of their labels.
STATES = [
    ("04_pci", "Who has which addresses", "Two BARs at one address"),
    ("09_interception", "At first everything is shut", "By the slide"),
    ("09_interception", "By the slide", "As it was meant"),
    ("10_dma_remapping", "A asked, and B was hit", "Remapped by the VMM"),
    ("10_dma_remapping", "Remapped by the VMM", "The page moved"),
    ("13_virtqueue", "A virtqueue in memory", "Who wrote each byte"),
    ("14_data_exchange", "1. add_buf", "2. kick: exposed"),
    ("14_data_exchange", "2. kick: exposed", "3. pop: with the device"),
    ("14_data_exchange", "3. pop: with the device", "4. push: used"),
    ("14_data_exchange", "4. push: used", "5. get_buf: free again"),
    ("15_notifications", "Does a driver that looks once", "Does the driver sleep"),
    ("16_packed_ring", "1. add_buf", "2. kick: the flags"),
    ("16_packed_ring", "2. kick: the flags", "4. push: written"),
    ("18_hostile_guest", "An honest write", "A disk write from behind"),
    ("19_vtd", "03:00.0 asks to write", "04:00.0 asks to read"),
    ("20_interrupts", "Entry 4", "Entry 6"),
    ("21_sriov", "One card at", "20 VFs without ARI"),
]


def colourless(svg):
    """A picture without its colours, its words for a screen reader, and its sentences.

    What is left are places, shapes, patterns, weights, and marks of up to 12 characters.
    """
    return WORDS.sub("", COLOUR.sub("", svg))


def stored(lesson, start):
    """The one stored picture of a lesson whose label begins so."""
    found = [
        "".join(data["image/svg+xml"])
        for _, data, _ in outputs(FOLDER / f"{lesson}.ipynb")
        if f'aria-label="{start}' in "".join(data.get("image/svg+xml", ""))
    ]
    assert len(set(found)) == 1, (lesson, start)
    return found[0]


@pytest.mark.parametrize(("lesson", "one", "other"), STATES)
def test_two_states_differ_in_more_than_colour(lesson, one, other):
    assert colourless(stored(lesson, one)) != colourless(stored(lesson, other))


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_no_two_pictures_of_a_lesson_are_alike_but_for_their_colours(lesson):
    drawn = {"".join(data.get("image/svg+xml", "")) for _, data, _ in outputs(lesson)} - {""}
    plain = {svg: COLOUR.sub("", re.sub(' aria-label="[^"]*"', "", svg)) for svg in drawn}
    alike = [pair for pair in combinations(drawn, 2) if plain[pair[0]] == plain[pair[1]]]
    assert alike == []


def test_a_difference_of_colour_alone_is_seen():
    def state(fill, mark=""):
        return picture("A box", 120, [rect(30, 70, 50, 30, fill), mark], "words", fill).svg

    tick = element("path", d="M30 70h9", stroke="#000000")
    assert colourless(state("#D6F0E6")) == colourless(state("#FCE2D2"))
    assert colourless(state("#D6F0E6")) != colourless(state("#D6F0E6", tick))
