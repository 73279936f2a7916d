"""A plot of matplotlib with words for readers who do not see it.

    figure, axes = plt.subplots()
    axes.plot(sizes, costs)
    show.plot(figure, "The cost of a request falls from 3 exits to 0.1.")

The idea: a plot is a picture like any other, so it says what it shows. The words go where a screen
reader looks (the alternative of the image) and where a test looks (`text/plain`).

The rule that keeps it simple: words that are compared hold on every machine. What was measured on
this one goes into `measured`, which only the alternative has.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, repr=False)
class Plot:
    """A plot: `png` for the eye, `text` for every machine, `measured` for this one."""

    png: bytes
    text: str
    measured: str = ""

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, Any]]:
        shown = base64.b64encode(self.png).decode("ascii")
        words = f"{self.text} {self.measured}".strip()
        return {"image/png": shown, "text/plain": self.text}, {"image/png": {"alt": words}}


def plot(figure: Any, words: str, measured: str = "") -> Plot:
    """A matplotlib `figure` that says `words`, and what was `measured` here. The figure is closed.

    `ValueError` if there are no words: a plot without any is nothing for many readers.
    """
    if not words.strip():
        raise ValueError("a plot needs words: what is seen in it")
    from matplotlib import pyplot

    file = io.BytesIO()
    figure.savefig(file, format="png")
    pyplot.close(figure)
    return Plot(file.getvalue(), words, measured)
