"""Text of a lesson as HTML of a slide: Markdown, code with its colours, and characters as they are.

The idea: Markdown and Python are read by the libraries that JupyterLab itself brings, mistune and
Pygments. Both are pure Python; they are imported when a deck is made, never before.

The rule that keeps it simple: nothing of a deck leads to a file beside it, but to other decks. A
link to another lesson becomes a link to its deck; any other relative link becomes its words.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_LINK = re.compile(r'<a href="([^"]*)"[^>]*>(.*?)</a>', re.S)
_LESSON = re.compile(r"(\d\d_\w+)\.ipynb(#.*)?\Z")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_FORMULA = re.compile(r"\$\$(.+?)\$\$", re.S)
_WORDS = ((r"\\text\{([^}]*)\}", r"\1"), (r"\\times", "×"), (r"\\cdot", "·"), (r"\\,", " "))


@cache
def _markdown() -> Any:
    import mistune

    return mistune.create_markdown(escape=True, plugins=["table", "strikethrough"])


def markdown(text: str) -> str:
    """Markdown as HTML; formulas become a line of plain characters."""
    plain = _FORMULA.sub(lambda match: f"*{_spelled(match[1])}*", text)
    return _LINK.sub(_followed, str(_markdown()(plain)).strip())


def inline(text: str) -> str:
    """One line of Markdown as HTML, without a paragraph around it."""
    return markdown(text).removeprefix("<p>").removesuffix("</p>")


def _spelled(formula: str) -> str:
    for pattern, instead in _WORDS:
        formula = re.sub(pattern, instead, formula)
    return formula.strip()


def _followed(link: re.Match[str]) -> str:
    """A link that leads on from a deck, or the words of one that would lead nowhere."""
    if lesson := _LESSON.match(link[1]):
        return f'<a href="{lesson[1]}.html">{link[2]}</a>'
    return link[0] if link[1].startswith(("https://", "http://")) else link[2]


def code(source: str) -> str:
    """Python with its colours, as spans of the classes that `deck.css` knows."""
    from pygments import highlight  # type: ignore[import-untyped]
    from pygments.formatters.html import HtmlFormatter  # type: ignore[import-untyped]
    from pygments.lexers.python import PythonLexer  # type: ignore[import-untyped]

    made = highlight(source, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True))
    return str(made).rstrip("\n")


def plain(text: str) -> str:
    """What a program printed, without the colours of a terminal."""
    return _ANSI.sub("", text).rstrip("\n")
