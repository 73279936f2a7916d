"""Chains in lockstep, and how the steps are put together: level by level, then chain by chain.

               chain 0   chain 1   chain 2
    level 0      0         1         3         one gather for 3 chains
    level 1      -         2         4         one gather for 2
    level 2      -         -         5         one gather for 1       stored  [ 0 | 1 2 | 3 4 5 ]

The idea: chains do not wait for each other. So all of them take a step at once, and those that end
fall out. There are as many steps as the longest chain has buffers, for any number of chains.

The rule that keeps it simple: the number in a cell is where that buffer stands in the batch's flat
arrays. So the same picture shows both orders: read it in rows, and it is time; read it in columns,
and it is memory. This layout is known as CSR, for *compressed sparse row*.

Source: virtio 1.3 2.7.5; the steps are those of `split_steps.follow`.
"""

from __future__ import annotations

import numpy as np

from virtlab.show.batch_picture import FILLS, counted
from virtlab.show.palette import FAINT, INK, MARGIN, MUTED, SMALL
from virtlab.show.shapes import hatch
from virtlab.show.svg import TOP, Picture, caption, picture, rect, write
from virtlab.virtio.batch import Batch, Ints

MOST_CHAINS, MOST_LEVELS = 8, 6
"""What is drawn of more and longer chains."""

_CELL, _LINE, _LEFT = 80.0, 38.0, 120.0


def levels(batch: Batch) -> list[Ints]:
    """For each step the chains that take it, in rising order.

    >>> chains = Batch(*(np.arange(3), np.ones(3, int)), np.array([0, 1, 3, 6]), *[np.zeros(6)] * 3)
    >>> [level.tolist() for level in levels(chains)]
    [[0, 1, 2], [1, 2], [2]]
    """
    counts = np.diff(batch.starts)
    longest = int(counts.max(initial=0))
    return [np.flatnonzero(counts > level) for level in range(longest)]


def levels_picture(batch: Batch, title: str = "Chains in lockstep") -> Picture:
    """A row for each step, a column for each chain; a cell has a buffer's place in the arrays."""
    steps, n = levels(batch)[:MOST_LEVELS], min(len(batch), MOST_CHAINS)
    starts = batch.starts.tolist()
    parts = [
        write(_LEFT + (k + 0.5) * _CELL - 3, TOP + 16, f"chain {k}", SMALL, INK, "middle", True)
        for k in range(n)
    ]
    y = TOP + 26.0
    for level, going in enumerate(steps):
        parts.append(write(MARGIN, y + 22, f"level {level}", bold=True))
        alive = set(going.tolist())
        parts += [_cell(k, y, starts[k] + level if k in alive else None) for k in range(n)]
        words = counted(len(going), "chain")
        parts.append(write(_LEFT + n * _CELL + 12, y + 22, words, SMALL, MUTED))
        y += _LINE
    says = _says(batch, levels(batch))
    parts.append(caption(y + 20, says))
    return picture(title, y + 38, parts, _text(batch, title, says), f"{title}. {says}")


def _cell(chain: int, y: float, place: int | None) -> str:
    """A buffer's place, or hatching where the chain has ended."""
    x, width, height = _LEFT + chain * _CELL, _CELL - 6, 31
    if place is None:
        faint = hatch(x, y, width, height, FAINT, 9)
        return faint + rect(x, y, width, height, "none", FAINT, 3, 1)
    box = rect(x, y, width, height, FILLS[chain % len(FILLS)], INK, 3)
    return box + write(x + width / 2, y + 21, f"{place}", SMALL, INK, "middle", mono=True)


def _says(batch: Batch, steps: list[Ints]) -> str:
    """How many steps, and how to read the picture."""
    return (
        f"{counted(len(batch), 'chain')} with {counted(len(batch.offset), 'buffer')}: "
        f"{counted(len(steps), 'step')}. "
        "In rows: the order of reading. In columns: the order in memory."
    )


def _text(batch: Batch, title: str, says: str) -> str:
    lines, starts = [title], batch.starts.tolist()
    n = min(len(batch), MOST_CHAINS)
    lines.append("         " + " ".join(f"chain {k}" for k in range(n)))
    for level, going in enumerate(levels(batch)[:MOST_LEVELS]):
        alive = set(going.tolist())
        cells = " ".join(f"{starts[k] + level if k in alive else '-':>7}" for k in range(n))
        lines.append(f"level {level}  {cells}   {counted(len(going), 'chain')}")
    return "\n".join([*lines, says])
