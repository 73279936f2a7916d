"""What the plural calls of both drivers share: moves of many entries, and steps from used to used.

    places   [ 6  7  0  1 ]      two moves: 6 to 7, then 0 to 1
    steps    [ 2  .  1  1  0 ]   used elements stand at 0, 2 and 3

The idea: each stretch of neighbours in a ring is one string move of the Cpu, and not one an entry.

The rule that keeps it simple: plural is singular repeated. The same bytes come into memory, the
same tokens come back, and the two can be mixed. Only the number of accesses is another.

Source: virtio 1.3 2.7.9, 2.8.8 (one used element for many), 2.8.6 (skipping).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from virtlab.cpu import Cpu
from virtlab.guest.virtqueue_books import Bools, Ints
from virtlab.guest.virtqueue_pieces import Records

# -- memory


def write_runs(cpu: Cpu, base: int, places: Ints, items: npt.NDArray[Any]) -> None:
    """Put (k,) `items` at (k,) different `places` of the table at `base`: a move for each run."""
    breaks = _breaks(places)
    if len(breaks) > 3:
        # More than one run, and one behind the end of the ring: sorted there are fewer.
        order = np.argsort(places)
        places, items = places[order], items[order]
        breaks = _breaks(places)
    raw, size = items.tobytes(), items.dtype.itemsize
    for start, end in pairwise(breaks):
        cpu.write(base + int(places[start]) * size, raw[start * size : end * size])


def _breaks(places: Ints) -> list[int]:
    """Where runs of neighbours begin, and the end of the last one."""
    inner = np.flatnonzero(np.diff(places) != 1) + 1
    return [0, *inner.tolist(), len(places)] if len(places) else []


def read_ring(
    cpu: Cpu, base: int, position: int, count: int, size: int, layout: np.dtype[Any]
) -> Records:
    """(count,) the entries from `position` on of the ring of `size` at `base`: a move or two."""
    start = position % size
    before = min(count, size - start)
    raw = cpu.read(base + start * layout.itemsize, before * layout.itemsize)
    if before < count:
        raw += cpu.read(base, (count - before) * layout.itemsize)
    return np.frombuffer(raw, layout)


# -- used elements


def hops(steps: Ints) -> Ints:
    """The places 0, `steps[0]` behind it, and so on, up to the end or a step below 1.

    >>> hops(np.array([2, 9, 1, 3, 0, 0, 1, 0])).tolist()
    [0, 2, 3, 6]
    """
    if not len(steps):
        return steps
    # Mostly all steps are equal. Then no place has to be waited for.
    first = max(1, int(steps[0]))
    ramp = np.arange(0, len(steps), first)
    even = prefix(steps[ramp] == first)
    found = ramp[:even].tolist()
    at, later = (int(ramp[even]), steps.tolist()) if even < len(ramp) else (len(steps), [])
    while at < len(later) and later[at] > 0:
        found.append(at)
        at += later[at]
    return np.array(found, np.int64)


def prefix(good: Bools) -> int:
    """How many are True before the first that is not."""
    return len(good) if good.all() else int(good.argmin())


def in_order(room: Ints, ends: Ints, wrote: Ints) -> Ints:
    """(n,) the bytes written to n buffers that came back in order, with (n,) `room`.

    An element behind whose buffer `ends` stands says what was `wrote` there. Those that it stands
    for as well were written completely (virtio 1.3 2.7.9, 2.8.8).
    """
    inside = ends <= len(room)
    last = ends[inside] - 1
    written = room.copy()
    written[last] = np.minimum(wrote[inside], room[last])
    return written
