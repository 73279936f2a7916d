"""A picture of pixels with words: a photo of a screen, a plot.

The idea: whatever is shown says what it shows. The words go where a screen reader looks (the
alternative of the image) and where a test looks (`text/plain`).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, repr=False)
class Raster:
    """`png` for the eye; `text`, words that hold on every machine; `measured`, those of this one.

    `measured` goes into the alternative only, which nothing compares.
    """

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
