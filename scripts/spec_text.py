"""The sentences of the virtio specification that have a MUST, taken out of its TeX.

    a heading      \\section{...}   \\drivernormative{\\subsection}{...}   \\conformance{...}
    a clause       from one heading to the next, numbered as in print
    a sentence     if it has MUST or MUST NOT in it, it is a requirement

The idea: a sentence that ends in a colon goes on in the list below it. With a MUST in it, the items
belong to it. If an item has one, the sentence is the condition that stands before it.

The rule that keeps it simple: TeX is taken away first, and then only words are looked at.

Source: github.com/oasis-tcs/virtio-spec, of which nothing is copied here. `scripts/clauses.py` is
the command.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

COMMIT = "eb16e3397177482167675bb38d97b1eb8bf1c3b3"
"""Committee Specification Draft 01 of virtio 1.3, the last commit whose REVISION says so."""

FILES = ("introduction.tex", "content.tex", "conformance.tex")
"""The numbered chapters, in order: 1, 2 to 6, 7."""

LEVELS = ("chapter", "section", "subsection", "subsubsection", "paragraph", "subparagraph")
HEADING = re.compile(
    r"\\(?P<who>driver|device)normative\{\\(?P<of>\w+)\}\{"
    r"|\\conformance\{\\(?P<clause>\w+)\}\{"
    rf"|\\(?P<plain>{'|'.join(LEVELS)})\{{"
)
LISTS = "itemize|enumerate|description"
LIST = re.compile(LISTS)
MUST = re.compile(r"\bMUST(\s+NOT)?\b")
ABBREVIATED = re.compile(r"\b(?:e\.g|i\.e|etc|vs|resp|eg|ie)\.$")


# -- reading


def reader(spec: Path) -> Callable[[str], str]:
    """How to read a file of the specification: at `COMMIT` where git has it, else as it lies.

    What cannot be read is `OSError`.
    """
    if _git(spec, "cat-file", "-e", COMMIT) is None:
        return lambda name: (spec / name).read_text(encoding="utf-8")
    return lambda name: _git(spec, "show", f"{COMMIT}:{name}") or ""


def _git(spec: Path, *words: str) -> str | None:
    """What git says about the repository in `spec`; None if it fails, or is not there."""
    command = ["git", "-C", str(spec), *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


def whole(read: Callable[[str], str], name: str) -> str:
    """The text of `name` with all that it includes, without comments and listings."""
    text = re.sub(r"(?<!\\)%.*", "", read(name))
    text = re.sub(r"\\begin\{lstlisting\}.*?\\end\{lstlisting\}", "\n\n", text, flags=re.S)
    return re.sub(r"\\input\{([\w./-]+)\}", lambda found: whole(read, _named(found[1])), text)


def _named(name: str) -> str:
    return name if name.endswith(".tex") else f"{name}.tex"


# -- from TeX to sentences


def sections(text: str) -> Iterator[tuple[str, str, str]]:
    """The clauses of `text`: number, whose requirements they are (or ""), and what they say."""
    counts = [0] * len(LEVELS)
    headings = list(HEADING.finditer(text))
    for at, heading in enumerate(headings):
        level = LEVELS.index(heading["of"] or heading["clause"] or heading["plain"])
        counts[level] += 1
        counts[level + 1 :] = [0] * (len(LEVELS) - level - 1)
        end = headings[at + 1].start() if at + 1 < len(headings) else len(text)
        number = ".".join(map(str, counts[: level + 1]))
        yield number, heading["who"] or "", text[_closing(text, heading.end()) : end]


def _closing(text: str, start: int) -> int:
    """Where the brace that was opened before `start` is closed."""
    depth = 1
    for at in range(start, len(text)):
        depth += (text[at] == "{") - (text[at] == "}")
        if depth == 0:
            return at + 1
    raise ValueError("a heading has no closing brace")


def plain(tex: str) -> str:
    """Words without TeX: `\\field{x}` is x, a reference is nothing, white space is one blank."""
    tex = re.sub(r"\\(?:label|ref|nameref|hyperref|footnote)\s*(\[[^]]*\])?\{[^{}]*\}", "", tex)
    tex = re.sub(r"^(?:\s*\{[^{}]*\})+", "", tex)
    tex = re.sub(r"\\[A-Za-z]+\*?|[{}~$]", " ", tex).replace("\\", "")
    return re.sub(r"\s+([.,;:)])", r"\1", " ".join(tex.split()))


def blocks(tex: str) -> Iterator[tuple[str, str]]:
    """A clause in pieces: `("begin", "")` and `("end", "")` of lists, `("text", words)` between."""
    tex = re.sub(r"\\(?:begin|end)\{(?:note|tabular|table|longtable)\}", "\n\n", tex)
    for part in re.split(rf"(\n\s*\n|\\item\b|\\(?:begin|end)\{{(?:{LISTS})\}})", tex):
        mark = re.match(r"\\(begin|end)\{", part)
        if mark and LIST.search(part):
            yield mark[1], ""
        elif plain(part):
            yield "text", plain(part)


def split(words: str) -> list[str]:
    """The sentences of a paragraph."""
    found = [""]
    for piece in re.split(r"(?<=[.;:?])\s+(?=[A-Z(`'\[])", words):
        joined = f"{found[-1]} {piece}".strip()
        if not found[-1] or ABBREVIATED.search(found[-1]) or found[-1][-1] in ";:":
            found[-1] = joined
        else:
            found.append(piece)
    return [sentence for sentence in found if sentence]


def sentences(tex: str) -> Iterator[str]:
    """The sentences of a clause that have a MUST.

    What stands before a list belongs to it. With a MUST it goes on in the items that have none.
    Without one it is a condition, and begins every item that has a MUST.
    """
    leads: list[list[str]] = []
    last = ""
    for mark, words in [*blocks(tex), ("text", "")]:
        if mark == "begin":
            leads.append([last])
            last = ""
            continue
        if MUST.search(last):
            yield under(leads, last)
        last = ""
        if mark == "end":
            lead, *items = leads.pop() if leads else [""]
            if MUST.search(lead):
                yield under(leads, " ".join([lead, *items]))
            elif leads:
                leads[-1] += items  # the sentence itself is there already
            continue
        if leads and not MUST.search(words):
            leads[-1].append(words)
        for sentence in split(words):
            if sentence[-1] not in ".?":
                last = sentence
            elif MUST.search(sentence):
                yield under(leads, sentence)


def under(leads: list[list[str]], sentence: str) -> str:
    """`sentence` with the conditions before it: those of `leads` that are no rules themselves."""
    return " ".join([*(one[0] for one in leads if one[0] and not MUST.search(one[0])), sentence])
