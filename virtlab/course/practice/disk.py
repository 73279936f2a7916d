"""Problems about a disk's table of regions: where does a byte of the drive land in memory?

    PRD    [ base, count, flags ]     count 0 is 64 KiB, bit 15 of flags ends the table

The judge is the bus master itself, `devices.ata.bus_master`, which moves the bytes. Left out: the
drive's commands, regions that cross 64 KiB.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from virtlab.backends.disk import SECTOR
from virtlab.course.practice.board import Board, hex_of
from virtlab.devices.ata.bus_master import BusMaster
from virtlab.devices.ata.channel import Channel
from virtlab.devices.ata.registers import BOUNDARY, PRD, PRD_EOT
from virtlab.devices.ata.transfer import Transfer, Way
from virtlab.memory import PAGE, Bytes, GuestMemory

Row = tuple[int, int, int]
"""Base, count, flags of one entry."""

TABLE = 0x1000
"""Where the table lies (gpa)."""


class Noted:
    """Memory that has the table, and notes what is written: (address, bytes)."""

    def __init__(self, rows: list[Row]) -> None:
        self.memory = GuestMemory(2 * PAGE)
        self.memory.write(TABLE, np.array(rows, PRD).tobytes())
        self.written: list[tuple[int, int]] = []

    def read(self, iova: int, length: int) -> bytes:
        """An entry of the table."""
        return self.memory.read(iova, length)

    def write(self, iova: int, data: bytes) -> None:
        """Bytes of the drive."""
        self.written.append((iova, len(data)))

    def view(self, iova: int, length: int, write: bool = False) -> Bytes:
        """The bytes of the table."""
        return self.memory.view(iova, length, write)


class OneCommand:
    """A channel and its drive, as far as a bus master sees them: one READ DMA of `sectors`."""

    def __init__(self, sectors: int) -> None:
        self.transfer = Transfer(Way.DMA_IN, sectors, sectors)
        self.transfer.make_room()

    @property
    def selected(self) -> OneCommand:
        """The drive."""
        return self

    @property
    def dmarq(self) -> Transfer | None:
        """What waits to be moved."""
        return self.transfer if self.transfer.left else None

    def moved(self, transfer: Transfer, count: int) -> None:
        """So many bytes have moved."""
        transfer.moved(count)


def places(rows: list[Row], sectors: int) -> list[tuple[int, int]]:
    """Where a bus master puts the bytes of `sectors`: (address, bytes), in order."""
    noted = Noted(rows)
    master = BusMaster(cast(Channel, OneCommand(sectors)), noted)
    master.write(BusMaster.BMIDTP.offset, 4, TABLE)
    master.write(BusMaster.BMICOM.offset, 1, 0x09)
    return noted.written


def prd_table(board: Board) -> None:
    """Where one byte of a transfer lands."""
    random = board.random
    rows = _table(board)
    sizes = [count or BOUNDARY for _, count, _ in rows]
    sectors = min(128, -(-sum(sizes) // SECTOR))
    if board.level < 3 and sum(sizes) < sectors * SECTOR:
        sectors = sum(sizes) // SECTOR
    moved = places(rows, sectors)
    reached = sum(n for _, n in moved)
    wanted = random.randrange(sectors * SECTOR)
    if board.level == 3 and reached < sectors * SECTOR and random.randrange(2):
        wanted = random.randrange(reached, sectors * SECTOR)
    entry, inside, end = _find(moved, wanted)
    _show(board, rows)
    board.data |= {"rows": [list(row) for row in rows], "sectors": sectors, "byte": wanted}
    board.words = {"nowhere"}
    board.ask(
        f"The drive sends {sectors} sectors of 512 bytes to memory. Where does byte "
        f"{hex_of(wanted)} of them land, counted from 0?",
        "the address, as “0x5f040”, or “nowhere” if the table has no place for it",
    )
    _steps(board, rows, sizes, wanted, entry, inside, end)


def _table(board: Board) -> list[Row]:
    """Three or four regions. From level 2 on one may have 64 KiB; at level 3 the table may end."""
    random, rows = board.random, []
    bases = random.sample(range(0x10, 0x80), 4)
    for n in range(random.randrange(3, 5)):
        count = random.randrange(2, 32) * 0x100
        rows.append((bases[n] << 16, count, 0))
    if board.level > 1 and random.randrange(2):
        at = random.randrange(1, len(rows))
        rows[at] = (rows[at][0], 0, 0)
    for n, (base, count, _) in enumerate(rows):
        room = (BOUNDARY - (count or BOUNDARY)) >> 8
        rows[n] = (base + (random.randrange(room + 1) << 8), count, 0)
    rows[-1] = (*rows[-1][:2], PRD_EOT.mask)
    if board.level == 3 and random.randrange(2):
        rows[-2] = (*rows[-2][:2], PRD_EOT.mask)
    return rows


def _find(moved: list[tuple[int, int]], wanted: int) -> tuple[int, int, str]:
    """Which region has byte `wanted`, how far in, and its address."""
    left = wanted
    for entry, (address, count) in enumerate(moved):
        if left < count:
            return entry, left, hex_of(address + left)
        left -= count
    return len(moved), left, "nowhere"


def _show(board: Board, rows: list[Row]) -> None:
    if board.level == 1:
        shown = [(str(n), hex_of(b), hex_of(c), hex_of(f, 4)) for n, (b, c, f) in enumerate(rows)]
        board.table("The table of regions", ("entry", "base", "count", "flags"), shown)
    else:
        raw = [(str(n), np.array([row], PRD).tobytes().hex(" ")) for n, row in enumerate(rows)]
        board.say("An entry is base (4 bytes), count (2), flags (2), all little-endian.")
        board.table("The table of regions, as it lies in memory", ("entry", "bytes"), raw)
    board.say("Counts are bytes; a count of 0 is 64 KiB. Bit 15 of flags ends the table.")


def _steps(
    board: Board,
    rows: list[Row],
    sizes: list[int],
    wanted: int,
    entry: int,
    inside: int,
    end: str,
) -> None:
    at, lines = 0, []
    for n, (base, _, flags) in enumerate(rows):
        ends = ", the last" if flags & PRD_EOT.mask else ""
        lines.append(
            f"{n}: bytes {hex_of(at)} to {hex_of(at + sizes[n] - 1)} at {hex_of(base)}{ends}"
        )
        at += sizes[n]
        if ends:
            break
    board.step("regions", "\n".join(lines))
    if end == "nowhere":
        board.step("entry", f"{hex_of(wanted)} is in none of them: the table ended before.", end)
        left = wanted
        for (base, _, _), size in zip(rows, sizes, strict=True):
            if left < size:
                why = "flags bit 15 ends the table before this entry."
                board.slip("regions", base + left, why)
                break
            left -= size
        last = next(n for n, row in enumerate(rows) if row[2] & PRD_EOT.mask)
        behind = rows[last][0] + wanted - sum(sizes[:last])
        board.slip("entry", behind, "the last region ends before this byte.")
        board.slip("entry", rows[0][0] + wanted, "the first region is too short for this byte.")
    else:
        board.step("entry", f"{hex_of(wanted)} is in entry {entry}, {hex_of(inside)} bytes in.")
        base = rows[entry][0]
        board.step("address", f"{hex_of(base)} + {hex_of(inside)}", end)
        board.slip("address", base + wanted, "take away the bytes of the entries before it.")
        board.slip("entry", rows[0][0] + wanted, "the first region is too short for this byte.")
        board.slip("address", base, "this is where the region begins.")
        if entry + 1 < len(rows):
            why = "a region of n bytes has bytes 0 to n - 1."
            board.slip("entry", rows[entry + 1][0], why)
        _empty_slip(board, rows, wanted)
        board.slip("regions", "nowhere", "the table has this byte before it ends.")
    board.answer(end)


def _empty_slip(board: Board, rows: list[Row], wanted: int) -> None:
    """Who takes a count of 0 for nothing."""
    left = wanted
    for base, count, _ in rows:
        if left < count:
            board.slip("regions", base + left, "a count of 0 is 64 KiB.")
            return
        left -= count
