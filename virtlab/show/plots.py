"""A plot of matplotlib with words for readers who do not see it.

    figure, axes = plt.subplots()
    axes.plot(sizes, costs)
    show.plot(figure, "The cost of a request falls from 3 exits to 0.1.")

The idea: a plot is a picture like any other, so it says what it shows.

The rule that keeps it simple: words that are compared hold on every machine. What was measured on
this one goes into `measured`, which only the alternative has.
"""

from __future__ import annotations

import io
from typing import Any

from virtlab.show.raster import Raster


def plot(figure: Any, words: str, measured: str = "") -> Raster:
    """A matplotlib `figure` that says `words`, and what was `measured` here. The figure is closed.

    `ValueError` if there are no words: a plot without any is nothing for many readers.
    """
    if not words.strip():
        raise ValueError("a plot needs words: what is seen in it")
    from matplotlib import pyplot

    file = io.BytesIO()
    figure.savefig(file, format="png")
    pyplot.close(figure)
    return Raster(file.getvalue(), words, measured)
