"""A batch of chains as the plural calls have it: six arrays, beside the chains they came from.

    chain 0  head 3   r 16
    chain 1  head 0   r 512   w 1             length  [ 16 | 512  1 | 512 ]
    chain 2  head 5   r 512                   starts  [ 0, 1, 3, 4 ]

The idea: each buffer of a chain is one column of the lower three arrays. Columns of one chain have
one colour, and the same colour as the chain. `starts` says where a chain's columns begin.

The rule that keeps it simple: chains and arrays come from two calls that did not know of each
other, `pop` and `pop_many`. The picture computes nothing, so it shows whether they agree.

Source: virtio 1.3 2.7.4, 2.7.5; the arrays are those of `Batch`.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtlab.show.palette import (
    GREEN_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    PURPLE_TINT,
    SKY_TINT,
    SMALL,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.svg import TOP, Picture, caption, picture, rect, write
from virtlab.virtio.batch import Batch
from virtlab.virtio.chain import Chain

MOST_CHAINS, MOST_PIECES = 6, 10
"""What is drawn of a larger batch."""

FILLS = (SKY_TINT, ORANGE_TINT, GREEN_TINT, PURPLE_TINT, YELLOW_TINT)
"""Chain k has fill k, and again from the front."""

_LINE, _CELL, _LEFT = 34.0, 77.0, 130.0
_EACH = (("offset", "hex"), ("length", "int"), ("write", "bool"))
_CHAIN = ("heads", "slots", "starts")


def batch_picture(batch: Batch, chains: Sequence[Chain] = (), title: str = "A batch") -> Picture:
    """The arrays of `batch` with `chains` above them, the first few of each."""
    n = min(len(batch), MOST_CHAINS)
    while n and int(batch.starts[n]) > MOST_PIECES:
        n -= 1
    parts, y = [], TOP + 4.0
    for number, chain in enumerate(chains[:n]):
        parts.append(_chain(number, chain, y))
        y += _LINE
    y += 10 if chains else 0
    for name in _CHAIN:
        parts.append(_row(name, _values(batch, name, n), range(n + (name == "starts")), y))
        y += _LINE
    y += 12
    owners = [k for k in range(n) for _ in range(int(batch.starts[k]), int(batch.starts[k + 1]))]
    for name, _ in _EACH:
        parts.append(_row(name, _values(batch, name, n), owners, y))
        y += _LINE
    left_out = f"; the first {n} chains are drawn" if n < len(batch) else ""
    says = f"{counted(len(batch), 'chain')}, {counted(len(batch.offset), 'buffer')}{left_out}"
    parts.append(caption(y + 18, f"{says}. A colour is a chain; starts[k] is where it begins."))
    return picture(title, y + 36, parts, _text(batch, chains, title, n, says), f"{title}: {says}")


def _chain(number: int, chain: Chain, y: float) -> str:
    """One chain as `pop` gave it: its head, and its buffers in boxes."""
    fill = FILLS[number % len(FILLS)]
    parts = [write(MARGIN, y + 21, f"chain {number}", bold=True)]
    parts.append(write(_LEFT - 22, y + 21, f"head {chain.head}", SMALL, MUTED, mono=True))
    x = _LEFT + 80
    for buffer in chain.buffers:
        words = described(buffer.write, buffer.length, buffer.addr)
        width = 8.5 * len(words) + 20
        if x + width > WIDTH - MARGIN:
            parts.append(write(x, y + 21, "…"))
            break
        parts.append(rect(x, y + 2, width, 27, fill, INK, 3, 3 if buffer.write else 1.2))
        parts.append(write(x + 10, y + 21, words, SMALL, INK, mono=True))
        x += width + 8
    return "".join(parts)


def described(write_: bool, length: int, addr: int) -> str:
    """A buffer in few characters: `w 512 @0x5000`."""
    return f"{'w' if write_ else 'r'} {length} @{addr:#x}"


def counted(number: int, thing: str) -> str:
    """`1 chain`, `2,000 chains`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _row(name: str, values: Sequence[str], owners: Sequence[int], y: float) -> str:
    """An array: its name, and a cell for each element with the colour of the chain `owners`."""
    parts = [write(MARGIN, y + 21, name, mono=True)]
    for column, (value, owner) in enumerate(zip(values, owners, strict=True)):
        x = _LEFT + column * _CELL
        end = name == "starts" and column == len(values) - 1
        parts.append(rect(x, y, _CELL - 4, 29, "none" if end else FILLS[owner % len(FILLS)]))
        parts.append(write(x + _CELL / 2 - 2, y + 20, value, SMALL, INK, "middle", mono=True))
    return "".join(parts)


def _values(batch: Batch, name: str, n: int) -> list[str]:
    """The elements of one array, for the first `n` chains."""
    found = getattr(batch.first(n), name).tolist()
    if name == "offset":
        return [f"{value:#x}" for value in found]
    return [{True: "T", False: "F"}.get(v, "") if name == "write" else f"{v}" for v in found]


def _text(batch: Batch, chains: Sequence[Chain], title: str, n: int, says: str) -> str:
    lines = [title]
    for number, chain in enumerate(chains[:n]):
        buffers = "   ".join(described(b.write, b.length, b.addr) for b in chain.buffers)
        lines.append(f"chain {number}  head {chain.head}  {buffers}")
    for name in (*_CHAIN, *(name for name, _ in _EACH)):
        lines.append(f"{name:7} [ {'  '.join(_values(batch, name, n))} ]")
    return "\n".join([*lines, says])
