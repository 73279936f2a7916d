"""The thin shell around a pure picture: how every widget of the course looks and behaves.

The idea: all that a widget knows is in a frozen state; buttons are functions from state to state.
The shell holds the state, draws it into an `HTML` and writes below it, in words, what the picture
shows now. So tests need no browser, and a lesson's first picture is the same everywhere.

The rules that keep it simple:

1. A callback sets traits and does nothing else: it never prints and never displays.
2. Every control has words on it, and works by keyboard. No sliders and no bare `Play`: in
   ipywidgets 8.1 their parts have no accessible name. A number box and buttons do the same.
3. Each control has a class `vl-...`, by which a browser test finds it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets

from virtlab.show.palette import NARROWEST
from virtlab.show.svg import Picture, escape

WIDE = {"description_width": "initial"}
"""Let a control's name take the room that it needs."""


class Shell(widgets.VBox):
    """A box with a picture, a row of controls and a sentence; it prints as one fixed line."""

    def __init__(self, name: str, rows: Sequence[Any]) -> None:
        super().__init__(list(rows))
        self._shown_as = name
        self.add_class("vl-widget")

    def __repr__(self) -> str:
        return self._shown_as

    @property
    def controls(self) -> list[Any]:
        """Everything in the box that a learner can press or fill in, top to bottom."""
        return [
            item for item in _leaves(self) if not isinstance(item, (widgets.HTML, widgets.Play))
        ]


def _leaves(box: Any) -> list[Any]:
    if isinstance(box, widgets.Box):
        return [leaf for child in box.children for leaf in _leaves(child)]
    return [box]


def button(words: str, press: Callable[[], None], tip: str = "", kind: str = "") -> Any:
    """A button that says `words`; `kind` is an ipywidgets style such as `"primary"`."""
    made = widgets.Button(description=words, tooltip=tip or words, button_style=kind)
    made.layout.width = "auto"
    made.on_click(lambda _: press())
    return tagged(made, words)


def choice(words: str, options: Sequence[tuple[str, Any]] | Sequence[Any], value: Any) -> Any:
    """A drop-down list named `words`."""
    made = widgets.Dropdown(description=words, options=options, value=value, style=WIDE)
    made.layout.width = "auto"
    return tagged(made, words)


def entry(words: str, value: str) -> Any:
    """A line of text named `words`; it counts when Enter is pressed or the field is left."""
    made = widgets.Text(description=words, value=value, continuous_update=False, style=WIDE)
    made.layout.width = "16em"
    return tagged(made, words)


def number_box(words: str, value: int, most: int, width: str = "13em", least: int = 1) -> Any:
    """A box named `words` for a whole number from `least` to `most`, which its name says too."""
    made = widgets.BoundedIntText(
        description=f"{words} ({least} to {most})",
        value=value,
        min=least,
        max=most,
        continuous_update=False,
        style=WIDE,
    )
    made.layout.width = width
    return tagged(made, words)


def row(*items: Any) -> Any:
    """Controls beside each other, on further lines where the notebook is narrow."""
    layout = widgets.Layout(flex_flow="row wrap", align_items="center", grid_gap="4px 8px")
    return widgets.HBox(list(items), layout=layout)


def tagged(control: Any, words: str) -> Any:
    """`control` with the class `vl-` and its words: `vl-go-to`."""
    control.add_class("vl-" + re.sub("[^a-z0-9]+", "-", words.lower()).strip("-"))
    return control


def drawing() -> Any:
    """Where a picture goes; it scrolls in a window that is too narrow for it, as at 200 % zoom."""
    made = widgets.HTML()
    made.layout.min_width = f"{NARROWEST}px"
    return tagged(made, "picture")


def sentence() -> Any:
    """Where the words below a picture go."""
    return tagged(widgets.HTML(), "says")


def shown(picture: Picture) -> str:
    """A picture as the value of an `HTML`."""
    return picture.svg


def said(words: str) -> str:
    """A sentence as the value of an `HTML`; a screen reader speaks it when it changes."""
    return f'<p role="status" style="margin: 4px 0; line-height: 1.5">{marked(words)}</p>'


def marked(words: str) -> str:
    """Text as HTML, `code` between backquotes set as code.

    >>> marked("`a < b` & so on")
    '<code>a &lt; b</code> &amp; so on'
    """
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(words)).replace("␊", "<br>")


def quoted(words: str) -> str:
    """What somebody typed, in quotation marks, at most 40 characters, with no backquote in it."""
    clean = words[:40].replace("`", "'")
    return f'"{clean}"'


def whole(words: str) -> int | None:
    """The number that somebody typed, decimal, `0x...` or `0b...`; None if it is none."""
    try:
        value = int(words.strip(), 0)
    except ValueError:
        return None
    return value if value >= 0 else None
