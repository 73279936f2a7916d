"""Tables of descriptors for task 8, and how the arrays of a walk are compared.

    Tables(16)                    a table as an array of rows, and the memory that has it
    any_table, measured_table     by chance: the second is the one that is timed
    compare_arrays(right, yours)  None, or the first chain that differs

The idea: whatever is wrong with an array is told as a chain that has other buffers than it should.

Source: virtio 1.3 2.7.5.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from virtlab.course.given.scalar_walk import Arrays, walk_one
from virtlab.course.ps3.machines import PATTERN
from virtlab.course.ps4.machines import BASE, pieces_text
from virtlab.course.tasks import Difference, returned, shown
from virtlab.memory import GuestMemory
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE

LOOK_STARTS = "starts[k] buffers come before chain k; a refused chain has none"
LOOK_BUFFERS = "buffers chain after chain, each in the chain's own order (virtio 1.3 2.7.5)"
LOOK_REFUSED = "an index out of the table, a chain too long, or out of order (virtio 1.3 2.7.5)"
LOOK_DTYPE = "int64, uint64, int64 and bool, one dimension each"

CHAINS, LENGTH = 4096, 4
"""What is measured: so many chains, of so many descriptors each."""

Heads = npt.NDArray[np.int64]
NAMES = ("starts", "addr", "length", "write")
DTYPES = (np.dtype(np.int64), np.dtype(np.uint64), np.dtype(np.int64), np.dtype(np.bool_))


class Tables:
    """A descriptor table in memory, as arrays."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.rows = np.zeros(size, DESC)

    def ram(self) -> GuestMemory:
        """The memory with the table in it."""
        ram = GuestMemory(BASE + self.rows.nbytes + 4096)
        ram.bytes[:] = PATTERN
        ram.write(BASE, self.rows.tobytes())
        return ram


def any_table(rng: np.random.Generator, size: int, longest: int, wild: float) -> Tables:
    """Chains of 1 to `longest` all over the table; a share of `wild` descriptors is by chance."""
    table = Tables(size)
    rows = table.rows
    rows["addr"] = rng.integers(0, 1 << 64, size, np.uint64, endpoint=False)
    rows["len"] = rng.integers(1, 1 << 32, size)
    order = rng.permutation(size)
    rows["next"][order] = np.append(order[1:], order[0])
    ends = rng.random(size) < 1 / max(1, longest / 2)
    rows["flags"] = np.where(ends, 0, NEXT) | np.where(ends, WRITE, 0)
    odd = rng.random(size) < wild
    rows["flags"][odd] = rng.integers(0, 1 << 16, size)[odd] & ~INDIRECT
    rows["next"][odd] = rng.integers(0, 1 << 16, size)[odd]
    return table


def measured_table(rng: np.random.Generator) -> tuple[Tables, Heads, Arrays]:
    """`CHAINS` chains of `LENGTH` descriptors, everywhere in a table of four times as many.

    The table, the heads, and what a walk gives: it is known from how the table was made.
    """
    table = Tables(CHAINS * LENGTH)
    rows = table.rows
    rows["addr"] = rng.integers(0, 1 << 40, table.size)
    rows["len"] = rng.integers(1, 4096, table.size)
    chains = rng.permutation(table.size).reshape(CHAINS, LENGTH)
    rows["flags"] = WRITE
    rows["flags"][chains[:, :-1]] = NEXT
    rows["next"][chains[:, :-1]] = chains[:, 1:]
    order = rows[chains.ravel()]
    starts = np.arange(0, table.size + 1, LENGTH, dtype=np.int64)
    right = starts, order["addr"], order["len"].astype(np.int64), order["flags"] == WRITE
    return table, chains[:, 0].astype(np.int64), right


def compare_arrays(
    right: Arrays, yours: object, ram: GuestMemory, size: int, heads: Heads, longest: int
) -> Difference | None:
    """None if the four arrays are those of the scalar walk."""
    if type(yours) is not tuple or len(yours) != 4:
        said = returned(yours)
        return Difference("a tuple of four arrays", said, LOOK_DTYPE)
    for name, dtype, mine in zip(NAMES, DTYPES, yours, strict=True):
        if type(mine) is not np.ndarray or mine.dtype != dtype or mine.ndim != 1:
            return Difference(
                f"{name}: {dtype}, one dimension", f"{name}: {_kind(mine)}", LOOK_DTYPE
            )
    if all(np.array_equal(one, other) for one, other in zip(right, yours, strict=True)):
        return None
    return _first_chain(right, yours, ram, size, heads, longest)


def _kind(value: object) -> str:
    if type(value) is np.ndarray:
        return f"{value.dtype}, {value.ndim} dimension{'s' * (value.ndim != 1)}"
    return shown(value)


def _first_chain(
    right: Arrays, yours: Arrays, ram: GuestMemory, size: int, heads: Heads, longest: int
) -> Difference:
    """The first chain whose buffers differ, in words."""
    if len(yours[0]) != len(right[0]):
        said = f"{len(right[0])} starts", f"{len(yours[0])} starts"
        return Difference(*said, LOOK_STARTS)
    for k, head in enumerate(heads.tolist()):
        expected, mine = _buffers(right, k), _buffers(yours, k)
        if expected != mine or right[0][k + 1] != yours[0][k + 1]:
            name = f"chain {k}, head {head}"
            refused = not walk_one(ram, BASE, size, head, longest)
            said = f"{name}: {_text(expected)}", f"{name}: {_text(mine)}"
            if said[0] == said[1]:
                said = f"starts[{k + 1}] {right[0][k + 1]}", f"starts[{k + 1}] {yours[0][k + 1]}"
            return Difference(*said, LOOK_REFUSED if refused else LOOK_BUFFERS)
    said = f"{len(right[1])} buffers", f"{len(yours[1])} buffers"
    return Difference(*said, LOOK_STARTS)


def _buffers(arrays: Arrays, chain: int) -> list[tuple[int, int, bool]]:
    starts, addr, length, write = arrays
    low, high = int(starts[chain]), int(starts[chain + 1])
    low, high = max(low, 0), min(high, len(addr), len(length), len(write))
    span = range(low, high)[:16]
    return [(int(addr[at]), int(length[at]), bool(write[at])) for at in span]


def _text(buffers: list[tuple[int, int, bool]]) -> str:
    return pieces_text(buffers) or "no buffers"
