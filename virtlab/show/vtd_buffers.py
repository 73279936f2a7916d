"""Where a device's buffers really lie: each iova of a chain beside the memory that it means.

    way    bytes   iova         gpa
    read   16      0xffff8510   0x35d2510
    write  4096    0xffff9000   0x75b8000

The idea: a driver behind a unit writes iovas into its ring. Neither the ring nor the device knows
where they lead. Who has the tables can say.

The rule that keeps it simple: `translate` is whatever knows it, such as `SavedIommu.translate` of a
snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from virtlab.memory import PAGE
from virtlab.show.tables import Table
from virtlab.virtio.chain import Buffer


def buffers_table(
    buffers: Iterable[Buffer], translate: Callable[[int], int], caption: str = ""
) -> Table:
    """The buffers of a chain, in its order. One that crosses a page has a row for each page."""
    rows = tuple(row for buffer in buffers for row in _rows(buffer, translate))
    heads = ("the device may", "bytes", "iova, in the ring", "gpa, in memory")
    return Table(caption or f"{len(rows)} pieces of memory", heads, rows)


def _rows(buffer: Buffer, translate: Callable[[int], int]) -> list[tuple[str, ...]]:
    iova, left, way = buffer.addr, buffer.length, "write" if buffer.write else "read"
    rows: list[tuple[str, ...]] = []
    while left > 0:
        n = min(left, PAGE - iova % PAGE)
        rows.append((way, str(n), f"{iova:#x}", f"{translate(iova):#x}"))
        iova, left = iova + n, left - n
    return rows
