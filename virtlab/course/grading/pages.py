"""HTML pages that stand alone: no script, no network, and nothing a student wrote is markup.

    page("Title", tag("p", "2 < 3"))    <p>2 &lt; 3</p>, in a whole document with its own style

The idea: markup is a type of its own, `Html`. Every other text is escaped when it enters a page, so
a forgotten escape cannot happen: who wants markup must have made it with `tag`.

The rules that keep it simple: a page is a pure function of its data, so the same data gives the
same bytes. Its colours are the palette's, light and dark; each pair in `PAIRS` has a contrast of at
least 4.5 to 1. Colour is never the only cue. Sizes are relative, so a page can be read at 400 %.

A page also forbids itself to run or to load anything (Content-Security-Policy): a second lock.
What it leaves out: sorting and searching, which need a script; a browser can find text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from virtlab.show.palette import (
    BLUE,
    FAINT,
    INK,
    MONO,
    MUTED,
    PAPER,
    PHOSPHOR,
    SANS,
    SCREEN,
    SKY,
    WHITE,
)

LIGHT = {"ink": INK, "muted": MUTED, "paper": PAPER, "panel": WHITE, "line": MUTED, "link": BLUE}
DARK = {"ink": PHOSPHOR, "muted": FAINT, "paper": SCREEN, "panel": INK, "line": FAINT, "link": SKY}

PAIRS = tuple(
    (theme[text], theme[ground])
    for theme in (LIGHT, DARK)
    for text in ("ink", "muted", "line", "link")
    for ground in ("paper", "panel")
)
"""`(text, background)`: what stands on what, in both themes."""


def _variables(theme: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in theme.items())


STYLE = f"""
:root {{ color-scheme: light dark; {_variables(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}
@media print {{ :root {{ {_variables(LIGHT)} }} body {{ max-width: none; padding: 0; }} }}
* {{ box-sizing: border-box; }}
html {{ font: 112.5%/1.5 {SANS}; color: var(--ink); background: var(--paper); }}
body {{ max-width: 62rem; margin: 0 auto; padding: 1rem clamp(.75rem, 3vw, 2rem) 3rem; }}
html.big {{ font-size: 137.5%; }}
html.big body {{ max-width: 72rem; }}
h1 {{ font-size: 1.7rem; line-height: 1.2; }}
h2 {{ font-size: 1.3rem; line-height: 1.25; margin-top: 2.5rem; }}
h3 {{ font-size: 1.05rem; margin: 1.5rem 0 .25rem; }}
h1, h2, h3, h4, p, li, td, th, dd {{ overflow-wrap: break-word; }}
a {{ color: var(--link); }}
:focus-visible {{ outline: 3px solid var(--link); outline-offset: 2px; }}
section.task {{ background: var(--panel); border: 1px solid var(--line); border-radius: .5rem;
  padding: 0 clamp(.75rem, 2.5vw, 1.5rem) 1rem; margin: 1.5rem 0; }}
section.task > h2 {{ margin-top: 1rem; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin: .5rem 0; }}
caption {{ text-align: left; color: var(--muted); padding-bottom: .25rem; }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0;
  border-bottom: 1px solid var(--line); font-weight: normal; }}
thead th {{ font-weight: 600; }}
tbody th {{ min-width: 7rem; }}
td.n, th.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
td.n {{ white-space: nowrap; }}
dl {{ display: grid; grid-template-columns: minmax(6rem, max-content) 1fr; gap: .25rem 1rem;
  margin: .5rem 0; }}
dt {{ color: var(--muted); }}
dd {{ margin: 0; min-width: 0; }}
summary {{ cursor: pointer; padding: .25rem 0; }}
code, pre {{ font: .92em/1.45 {MONO}; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }}
strong {{ font-weight: 650; }}
.muted {{ color: var(--muted); }}
svg.bar {{ vertical-align: middle; }}
svg .track {{ fill: none; stroke: var(--line); }}
svg .value {{ fill: var(--link); }}
svg text {{ fill: var(--ink); font-family: {SANS}; }}
@media (max-width: 36rem) {{
  dl {{ grid-template-columns: 1fr; gap: 0; }} dd {{ margin-bottom: .5rem; }}
}}
@media print {{
  section.task {{ border: 0; padding: 0; }} h2, h3 {{ break-after: avoid; }}
  dl, tr {{ break-inside: avoid; }} .scroll {{ overflow: visible; }}
  details::details-content {{ content-visibility: visible; block-size: auto; }}
}}
"""

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

    A header that begins with `#` has numbers below it. A wide table scrolls by itself, with the
    keyboard too.
    """
    numeric = [header.startswith("#") for header in headers]
    kinds = ["n" if number else "" for number in numeric]
    head = [
        tag("th", header.removeprefix("#"), scope="col", class_=kind)
        for header, kind in zip(headers, kinds, strict=True)
    ]
    body = join(tag("tr", *_cells(row, kinds)) for row in rows)
    whole = tag(
        "table", tag("caption", caption), tag("thead", tag("tr", *head)), tag("tbody", body)
    )
    return tag("div", whole, class_="scroll", role="region", tabindex="0", aria_label=caption)


def _cells(row: Sequence[str], kinds: Sequence[str]) -> list[Html]:
    first, *others = zip(row, kinds, strict=True)
    heading = tag("th", first[0], scope="row", class_=first[1])
    return [heading, *(tag("td", cell, class_=kind) for cell, kind in others)]


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
