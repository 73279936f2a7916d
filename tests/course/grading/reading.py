"""How the tests read a page: as a browser does, and as somebody who cannot see it."""

from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

LANDMARKS = ("header", "main", "footer", "nav")
VOID = ("meta", "rect", "line")


def tree(page):
    """The page as elements: it is well-formed XML too."""
    head, _, rest = page.partition("\n")
    assert head == "<!DOCTYPE html>"
    return ElementTree.fromstring(rest)


def name(element):
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def words(element):
    """What a reader sees of an element, in one line."""
    return " ".join("".join(element.itertext()).split())


class Seen(HTMLParser):
    """What a browser would make of a page: elements with attributes, and the text."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.elements, self.text = [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def assert_harmless(page):
    """Nothing in the page runs, loads, or leaves it for another host."""
    for tag, attributes in Seen(page).elements:
        assert tag not in ("script", "iframe", "object", "embed", "link", "base", "form", "img")
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("href", "src"):
            where = attributes.get(name) or ""
            assert ":" not in where
            assert not where.startswith("//")
    policies = [attributes.get("content") for _, attributes in Seen(page).elements]
    assert any("default-src 'none'" in policy for policy in policies if policy)


def assert_accessible(page):
    """What WCAG asks and a program can see: language, headings, landmarks, tables, names."""
    root = tree(page)
    assert root.get("lang") == "en"
    assert words(root.find("head/title"))
    body = root.find("body")
    assert [name(child) for child in body if name(child) not in LANDMARKS] == []
    assert len(body.findall("main")) == 1
    levels = [int(name(each)[1]) for each in body.iter() if name(each) in ("h1", "h2", "h3", "h4")]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [each.get("id") for each in body.iter() if each.get("id")]
    assert len(ids) == len(set(ids))
    for link in body.iter("a"):
        assert words(link)
        assert not link.get("href").startswith("#") or link.get("href")[1:] in ids
    for table in body.iter("table"):
        assert words(table.find("caption"))
        assert all(cell.get("scope") == "col" for cell in table.findall("thead/tr/th"))
        assert all(row[0].get("scope") == "row" for row in table.findall("tbody/tr"))
        columns = len(table.findall("thead/tr/th"))
        assert all(len(row) == columns for row in table.findall("tbody/tr"))
    for picture in (each for each in body.iter() if name(each) == "svg"):
        assert picture.get("aria-hidden") == "true" or (
            picture.get("role") == "img" and picture.get("aria-label")
        )
