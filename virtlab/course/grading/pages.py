"""HTML pages that stand alone: no script, no network, and nothing a student wrote is markup.

    page("Title", tag("p", "2 < 3"))    <p>2 &lt; 3</p>, in a whole document with its own style

The idea: markup is a type of its own, `Html`. Every other text is escaped when it enters a page, so
a forgotten escape cannot happen: who wants markup must have made it with `tag`.

The rules that keep it simple: a page is a pure function of its data, so the same data gives the
same bytes. Its looks are in `style`.

A page also forbids itself to run or to load anything (Content-Security-Policy): a second lock.
What it leaves out: sorting and searching, which need a script; a browser can find text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from virtlab.course.grading.style import STYLE

WIDE = 2
"""A table of more columns than this is wide."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


class Html(str):
    """Markup that is whole and safe: made by the functions of this module."""

    __slots__ = ()


_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069"
    "\ufeff\ud800-\udfff\ufffe\uffff]"
)
_SIGNS = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}


def visible(text: str) -> str:
    """A text whose hidden characters show: control codes, marks that turn text round, halves of
    surrogates. Line ends and tabs stay.

    >>> visible("a" + chr(27) + "[31m")
    'a␛[31m'
    """
    return _HIDDEN.sub(lambda m: chr(0x2400 + ord(m[0])) if ord(m[0]) < 32 else "�", text)


def escape(text: str) -> Html:
    """A text as markup that shows it, in an element or in a quoted attribute."""
    if isinstance(text, Html):
        return text
    return Html("".join(_SIGNS.get(sign, sign) for sign in visible(text)))


def join(parts: Iterable[str], between: str = "\n") -> Html:
    """Several pieces in a row; plain texts among them are escaped."""
    return Html(escape(between).join(escape(part) for part in parts))


def tag(name: str, *children: str, **attributes: str) -> Html:
    """One element. Attributes that are empty go; `class_` is `class`, `aria_label` `aria-label`.

    >>> tag("a", "R&D", href="#top", class_="")
    '<a href="#top">R&amp;D</a>'
    """
    words = [name]
    for key, value in attributes.items():
        if value:
            words.append(f'{key.rstrip("_").replace("_", "-")}="{escape(value)}"')
    inside = join(children, "")
    return Html(f"<{' '.join(words)}>{inside}</{name}>" if children else f"<{' '.join(words)}/>")


# -- pieces of a page


def terms(rows: Iterable[tuple[str, str]]) -> Html:
    """A list of names and what they stand for; rows without a text are left out."""
    pairs = ((tag("dt", name), tag("dd", text)) for name, text in rows if text)
    return tag("dl", *(piece for pair in pairs for piece in pair))


def table(caption: str, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> Html:
    """A table with a caption and header cells. Its first column names the row.

    A header that begins with `#` has numbers below it. On a telephone a row of a wide table becomes
    a short list, each cell with its header. What is still too wide scrolls by itself, with the
    keyboard too.
    """
    numeric = [header.startswith("#") for header in headers]
    kinds = ["n" if number else "" for number in numeric]
    names = [header.removeprefix("#") for header in headers]
    head = [
        tag("th", name, scope="col", class_=kind) for name, kind in zip(names, kinds, strict=True)
    ]
    wide = len(headers) > WIDE
    body = join(tag("tr", *_cells(row, kinds, names if wide else None)) for row in rows)
    parts = (tag("caption", caption), tag("thead", tag("tr", *head)), tag("tbody", body))
    whole = tag("table", *parts, class_="wide" if wide else "")
    return tag("div", whole, class_="scroll", role="region", tabindex="0", aria_label=caption)


def _cells(row: Sequence[str], kinds: Sequence[str], names: Sequence[str] | None) -> list[Html]:
    labels = names or [""] * len(row)
    first, *others = zip(row, kinds, labels, strict=True)
    heading = tag("th", first[0], scope="row", class_=first[1])
    cells = (tag("td", cell, class_=kind, data_label=label) for cell, kind, label in others)
    return [heading, *cells]


def bar(share: float, width: int = 120) -> Html:
    """A bar that is full to `share` (0 to 1). The number beside it says the same, so it is silent
    to a screen reader.
    """
    full = round(max(0.0, min(1.0, share)) * (width - 2), 1)
    track = tag("rect", x="0.5", y="0.5", width=f"{width - 1}", height="13", class_="track")
    value = tag("rect", x="1", y="1", width=f"{full:g}", height="12", class_="value")
    return tag(
        "svg",
        *(track, value),
        xmlns="http://www.w3.org/2000/svg",
        class_="bar",
        width=f"{width}",
        height="14",
        viewBox=f"0 0 {width} 14",
        aria_hidden="true",
    )


def page(title: str, *body: str, big: bool = False) -> str:
    """A whole document; `body` holds its header, main part and footer. `big` is for a projector."""
    head = [
        Html('<meta charset="utf-8"/>'),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="robots", content="noindex"),
        tag("title", title),
        Html(f"<style>{STYLE}</style>"),
    ]
    kind = "big" if big else ""
    whole = tag("html", tag("head", join(head)), tag("body", join(body)), lang="en", class_=kind)
    return f"<!DOCTYPE html>\n{whole}\n"


# -- words for numbers, names for files


def points(value: float) -> str:
    """Points with at most two decimals: `2.5`, `7`, `0.33`."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def percent(share: float) -> str:
    """A share as a whole percentage; never 100 % nor 0 % for what is not.

    >>> percent(0.999), percent(0.001), percent(1)
    ('99 %', '1 %', '100 %')
    """
    whole = round(share * 100)
    if 0 < share < 1:
        whole = min(99, max(1, whole))
    return f"{whole} %"


def count(number: int, word: str, many: str = "") -> str:
    """A number with its noun: `1 check`, `3 checks`."""
    return f"{number} {word if number == 1 else many or word + 's'}"


_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}\Z")
_TAKEN = re.compile(r"(con|prn|aux|nul|com\d|lpt\d|.*-[0-9a-f]{8})\Z")


def file_name(name: str) -> str:
    """A name for a file or folder on every system, and a different one for every `name`.

    Small letters, digits, `_` and `-` stay. Any other name is changed, and gets a part of its
    SHA-256: so neither `../x` nor two names that differ in case are a danger.

    >>> file_name("ada"), file_name("Ada")
    ('ada', 'ada-99a563ab')
    """
    if _PLAIN.match(name) and not _TAKEN.match(name):
        return name
    known = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-")[:40] or "x"
    return f"{known}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
