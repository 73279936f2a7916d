"""The colours, fonts and sizes of every picture, in one place.

The idea: a picture brings its own light panel, so it looks the same in JupyterLab's light and
dark themes, on paper and on a projector. The eight strong colours are Okabe and Ito's set, which
people with any of the usual kinds of colour blindness tell apart (jfly.uni-koeln.de/color, 2002).
Text stands on a pale tint of one of them, never on the strong colour.

The rules that keep it simple: colour is never the only cue, there is a pattern, a label or a
weight beside it; every pair in `PAIRS` has a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3),
and a test computes it.
"""

from __future__ import annotations

BLACK = "#000000"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"

INK = "#1B2330"
"""Text and outlines."""
MUTED = "#4F5B69"
"""Text that explains, and thin lines."""
FAINT = "#C3CAD3"
"""Patterns behind text, and grid lines."""
WHITE = "#FFFFFF"
PAPER = "#FCFCFA"
"""The panel that every picture is drawn on."""

GREY_TINT = "#EDF0F3"
ORANGE_TINT = "#FCEDCB"
SKY_TINT = "#DCEFFB"
GREEN_TINT = "#D6F0E6"
YELLOW_TINT = "#FCF8C5"
VERMILLION_TINT = "#FCE2D2"
PURPLE_TINT = "#F6E4EF"

SCREEN = "#12202E"
"""The background of a drawn terminal."""
PHOSPHOR = "#E6F2E9"
"""The text of a drawn terminal."""

TINTS = (GREY_TINT, ORANGE_TINT, SKY_TINT, GREEN_TINT, YELLOW_TINT, VERMILLION_TINT, PURPLE_TINT)

PAIRS = (
    *((INK, ground) for ground in (PAPER, WHITE, *TINTS)),
    *((MUTED, ground) for ground in (PAPER, WHITE, *TINTS)),
    (WHITE, BLUE),
    (WHITE, INK),
    (PHOSPHOR, SCREEN),
    (SCREEN, YELLOW),
)
"""`(text, background)`: the only pairs that pictures use."""

SANS = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif"
MONO = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"

SMALL = 14
"""The smallest type, in pixels at the natural size."""
BODY = 16
TITLE = 20

WIDTH = 940
"""Pixels across, for every picture: a notebook's column at full size."""
NARROWEST = 560
"""Pixels across to which a widget's picture shrinks in a narrow window, and no further.

It is then whole at 200 % zoom in a window of 1,400 pixels, with type of 17 of the screen's."""
MARGIN = 28
"""Pixels between the panel's edge and what is drawn on it."""


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours `"#rrggbb"`, 1 to 21 (WCAG 2.2, definition).

    >>> round(contrast("#000000", "#FFFFFF"))
    21
    """
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)
