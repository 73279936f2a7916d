"""What every picture must be: valid, named, big enough, and with no text over another."""

from xml.etree import ElementTree

from virtlab.show.palette import MARGIN, SMALL, WIDTH
from virtlab.show.svg import Picture

SVG = "{http://www.w3.org/2000/svg}"


def check_picture(drawn: Picture) -> ElementTree.Element:
    """Assert the rules that hold for all pictures, and give the parsed SVG."""
    root = ElementTree.fromstring(drawn.svg)
    assert root.tag == f"{SVG}svg"
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"].strip()
    title = root.find(f"{SVG}title").text.strip()
    assert title
    assert root.attrib["aria-label"] != title, "the label says what is seen, not only the title"
    assert float(root.attrib["width"]) == WIDTH <= 960
    assert not any("id" in element.attrib for element in root.iter()), "ids clash on a page"
    assert drawn.text.strip()
    assert repr(drawn) == drawn.text
    assert drawn._repr_mimebundle_() == {"image/svg+xml": drawn.svg, "text/plain": drawn.text}
    boxes = [box for box in map(_text_box, root.iter(f"{SVG}text")) if box]
    height = float(root.attrib["height"])
    for x1, y1, x2, y2, words in boxes:
        assert x1 >= 0, words
        assert x2 <= WIDTH - MARGIN / 3, words
        assert 0 <= y1 < y2 <= height, words
    _check_apart(boxes)
    return root


def words_of(drawn: Picture) -> list[str]:
    """All the texts that the picture shows, in drawing order."""
    root = ElementTree.fromstring(drawn.svg)
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def _text_box(element):
    """A text's box as `(left, top, right, bottom, words)`, in a typical font's width."""
    size, words = float(element.attrib["font-size"]), element.text or ""
    assert size >= SMALL, f"{words!r} is set in {size} px"
    if "x" not in element.attrib or not words:
        return None
    each = 0.6 if "Mono" in element.attrib.get("font-family", "") else 0.5
    width = len(words) * size * each
    left = float(element.attrib["x"])
    left -= {"middle": width / 2, "end": width}.get(element.attrib.get("text-anchor"), 0)
    base = float(element.attrib["y"])
    return left, base - 0.7 * size, left + width, base + 0.1 * size, words


def _check_apart(boxes):
    for i, (left, top, right, bottom, words) in enumerate(boxes):
        for x1, y1, x2, y2, other in boxes[i + 1 :]:
            apart = right <= x1 or x2 <= left or bottom <= y1 or y2 <= top
            lit = len(other) == 1 and words.endswith(other)  # a character drawn again, lit
            assert apart or lit, f"{words!r} lies over {other!r}"
