"""What a tape says about the price of a ring: times, batches, notifications, each counted.

    time in the device      < 64 us    ####################  140
                            < 128 us   ####  30
    chains found per kick   1          #################     130
                            2 to 3     ###                   20

The idea: a virtqueue costs what its notifications cost. A chain alone needs two, a kick and a call.
So with n chains, `2 n - kicks - calls` of them were saved.

The rule that keeps it simple: only what the tape has is counted. The time in the device is that
from pop to push. What the guest waits is longer, and no device can see it.

Source: `Statistics.saved`; virtio 1.3 2.7.7, 2.7.10.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from virtlab.show.palette import (
    BODY,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    SKY_TINT,
    SMALL,
    WIDTH,
)
from virtlab.show.real_index import NONE, Index
from virtlab.show.svg import TOP, Picture, caption, picture, rect, write

Bins = tuple[tuple[str, int], ...]
"""What each bar of a histogram stands for, and how many there are."""

_ROW, _BARS, _NAME = 26.0, 10, 96.0


class Figures(NamedTuple):
    """Counts of a tape, and two histograms. Times are in microseconds."""

    requests: int
    batches: int
    kicks: int
    calls: int
    quiet: int
    seconds: float
    median: float
    slowest: float
    latency: Bins
    turns: Bins

    @property
    def saved(self) -> int:
        """Notifications that were not needed: there is one to each side for a chain alone."""
        return 2 * self.requests - self.kicks - self.calls

    def __str__(self) -> str:
        many = 2 * self.requests
        return (
            f"{self.requests} requests in {self.batches} batches: {self.kicks} kicks and "
            f"{self.calls} calls; {self.saved} of {many} notifications saved"
        )


def figures(index: Index, ring: int | None = None, since: int = 0) -> Figures:
    """Count what is in the rows from `since` on; of one `ring`, or of all."""
    chosen = np.ones(len(index), bool) if ring is None else index.ring == ring
    chosen[:since] = False
    count = {
        kind: int((chosen & index.of_kind(kind)).sum()) for kind in ("pop", "kick", "call", "quiet")
    }
    lives = index.lives
    pop, push = np.array(lives.pop, np.int64), np.array(lives.push, np.int64)
    mine = chosen[pop] if len(pop) else np.zeros(0, bool)
    done = mine & (push != NONE)
    took = (index.ns[push[done]] - index.ns[pop[done]]) / 1000
    span = index.ns[chosen] if chosen.any() else np.zeros(1, np.int64)
    return Figures(
        int(mine.sum()),
        count["pop"],
        count["kick"],
        count["call"],
        count["quiet"],
        float(span[-1] - span[0]) / 1e9,
        float(np.median(took)) if len(took) else 0.0,
        float(took.max()) if len(took) else 0.0,
        doubling(took, "< {} us"),
        doubling(turns(index, chosen), "{}"),
    )


def turns(index: Index, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """How many chains each kick brought: those that were taken before the next one."""
    kicks = np.flatnonzero(chosen & index.of_kind("kick"))
    pops = np.array([each for each in index.lives.pop if chosen[each]], np.int64)
    found = np.searchsorted(pops, np.append(kicks, len(index)))
    many = np.diff(found)
    return many[many > 0].astype(float)


def doubling(values: npt.NDArray[np.float64], name: str) -> Bins:
    """A histogram whose bars are twice as wide from one to the next.

    >>> doubling(np.array([1.0, 1.0, 2.0, 3.0]), "{}")
    (('1', 2), ('2 to 3', 2))
    """
    if not len(values):
        return ()
    power = np.floor(np.log2(np.maximum(values, 1))).astype(int)
    low, high = int(power.min()), int(power.max())
    counts = np.bincount(power - low, minlength=high - low + 1).tolist()
    return tuple((_named(low + n, name), count) for n, count in enumerate(counts))


def _named(power: int, name: str) -> str:
    start, end = 1 << power, (2 << power) - 1
    if "<" in name:
        return name.format(end + 1)
    return name.format(start if start == end else f"{start} to {end}")


# -- the picture


def figures_picture(found: Figures, title: str = "What the rings did") -> Picture:
    """The counts, and both histograms beside each other."""
    half = (WIDTH - 2 * MARGIN - 24) / 2
    top = TOP + 34
    parts = [caption(TOP + 4, f"{found}, in {found.seconds:.2f} s")]
    names = ("time in the device, from pop to push", "chains that one kick brought")
    fills = (SKY_TINT, ORANGE_TINT)
    for side, bins in enumerate((found.latency, found.turns)):
        x = MARGIN + side * (half + 24)
        parts.append(write(x, top + 14, names[side], BODY, INK, bold=True))
        parts += _histogram(x, top + 26, half, bins, fills[side])
    rows = min(_BARS, max(len(found.latency), len(found.turns), 1))
    bottom = top + 30 + rows * _ROW + 20
    said = (
        f"half of the chains take less than {found.median:.0f} us, the slowest {found.slowest:.0f}"
    )
    parts.append(write(MARGIN, bottom, said, SMALL, MUTED))
    text = [title, f"{found}", said]
    for name, bins in zip(names, (found.latency, found.turns), strict=True):
        text += [name, *(f"  {each:<12}{many}" for each, many in bins)]
    return picture(title, bottom + 18, parts, "\n".join(text), f"{title}: {found}")


def _histogram(x: float, y: float, wide: float, bins: Bins, fill: str) -> list[str]:
    shown = squeezed(bins)
    if not shown:
        return [write(x, y + 18, "none", SMALL, MUTED)]
    most = max(count for _, count in shown)
    room = wide - _NAME - 56
    parts = []
    for n, (name, count) in enumerate(shown):
        top = y + n * _ROW
        length = room * count / most
        parts.append(write(x + _NAME - 8, top + 16, name, SMALL, INK, "end"))
        if count:
            parts.append(rect(x + _NAME, top + 2, max(length, 2), _ROW - 6, fill, INK, 0, 1))
        parts.append(write(x + _NAME + length + 8, top + 16, f"{count}", SMALL, INK, bold=True))
    return parts


def squeezed(bins: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """At most `_BARS` bars: of more, the last ones are one."""
    if len(bins) <= _BARS:
        return list(bins)
    rest = sum(count for _, count in bins[_BARS - 1 :])
    return [*bins[: _BARS - 1], ("more", rest)]
