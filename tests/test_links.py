"""Whatever a lesson, a problem set or a document points to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *(ROOT / "notebooks" / "text").glob("*.py"),
        *(ROOT / "solutions" / "text").glob("*.py"),
        *(ROOT / "docs").glob("*.md"),
        *ROOT.glob("*.md"),
    ]
)
HOME = {"notebooks": ROOT / "notebooks", "solutions": ROOT / "solutions" / "ps01"}
"""Where a link starts from: the text of a notebook lies one folder deeper than the notebook."""

LINK = re.compile(r"\]\((?!https?:|#)([^)\s]+)\)")
SOURCE = re.compile(r"`((?:virtlab|tests|docs|scripts|notebooks)/[\w/.-]*[\w/])`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_everything_named_exists(page):
    text = page.read_text("utf-8")
    base = HOME.get(page.relative_to(ROOT).parts[0], page.parent)
    missing = [link for link in LINK.findall(text) if not (base / link.partition("#")[0]).exists()]
    missing += [name for name in SOURCE.findall(text) if not (ROOT / name).exists()]
    assert missing == []


def test_a_link_to_nowhere_would_be_seen():
    assert LINK.findall("see [this](nowhere.ipynb), not [that](https://example.org)") == [
        "nowhere.ipynb"
    ]
    assert SOURCE.findall("read `virtlab/nothing.py`") == ["virtlab/nothing.py"]
