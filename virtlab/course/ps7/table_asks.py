"""Task 2 of problem set 7: what is right about a memory table, and how it is asked.

    row       guest 0x0, size 0xa0000, user 0x7f10_0000_0000, offset 0     and a file with it
    a ring    has user addresses     gpa_of: must lie in one region
    a buffer  has gpas               place: may lie in several

The idea: `Case`s describe tables as rows; what is right about them is said by three short
functions. A test holds them against the library's `SharedMemory`.

The rule that keeps it simple: a file is a number, its size. Nothing is mapped.

Source: vhost-user.rst, "Memory access", "Memory regions description", SET_MEM_TABLE.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.given.world import Piece, Region
from virtlab.course.ps3.machines import first
from virtlab.course.tasks import Difference, Run, compare, returned, same, shown
from virtlab.virtio.layouts import packer
from virtlab.virtio.vhost_user.layouts import MAX_REGIONS, MEMORY, REGION

LAST = 1 << 62
"""No region goes beyond: more than any machine has."""

LOOK_ROWS = "count and 4 bytes of padding, then 32 bytes a row: guest, size, user, offset"
LOOK_GOOD = "nothing is wrong with this table"
LOOK_COUNT = "1 to 8 rows, all of them in the payload, and a file for each"
LOOK_EMPTY = "a region has a byte or more"
LOOK_FILE = "a byte beyond the end of its file kills who touches it: offset + size is the end"
LOOK_LAST = "guest, user and offset plus size: none passes 2 ** 62"
LOOK_OVERLAP = "no byte has two places: neither by guest nor by user address"
LOOK_USER = "a ring has user addresses: its region is found by them, and gives the gpa"
LOOK_ONE = "a ring part lies in one region, from its first byte to its last"
LOOK_OFFSET = "where in the file: the region's offset, plus how far the gpa is inside"
LOOK_MORE = "where one region ends, another may go on: the file is another one then"
LOOK_HOLE = "a buffer of which one byte is no memory is no buffer"
LOOK_NONE = "no bytes have no pieces"

_header, _row = packer(MEMORY), packer(REGION)

MIB = 1 << 20
USER = 0x7F10_0000_0000


def payload_of(rows: list[Region], count: int | None = None, padding: int = 0) -> bytes:
    """The payload of SET_MEM_TABLE; `count` where it is to lie."""
    head = _header.pack(len(rows) if count is None else count, padding)
    return head + b"".join(_row.pack(*row) for row in rows)


# -- what is right


def right_table(payload: bytes, sizes: list[int]) -> tuple[list[Region] | str, str]:
    """The regions, or "refused"; and where to look."""
    if len(payload) < _header.size:
        return "refused", LOOK_COUNT
    count, _ = _header.unpack_from(payload)
    body = payload[_header.size : _header.size + count * _row.size]
    if not 1 <= count <= MAX_REGIONS or count != len(sizes) or len(body) < count * _row.size:
        return "refused", LOOK_COUNT
    regions: list[Region] = list(_row.iter_unpack(body))
    for (guest, size, user, offset), end in zip(regions, sizes, strict=True):
        if not size:
            return "refused", LOOK_EMPTY
        if max(guest, user, offset) + size > LAST:
            return "refused", LOOK_LAST
        if offset + size > end:
            return "refused", LOOK_FILE
    for field in (0, 2):
        spans = sorted((region[field], region[1]) for region in regions)
        if any(start + size > following for (start, size), (following, _) in pairwise(spans)):
            return "refused", LOOK_OVERLAP
    return regions, LOOK_GOOD


def right_gpa(regions: list[Region], user: int, length: int) -> int | None:
    """The gpa of what the front-end has at `user`; None if it is not all in one region."""
    for guest, size, start, _ in regions:
        if start <= user and user + length <= start + size:
            return guest + user - start
    return None


def right_place(regions: list[Region], gpa: int, length: int) -> list[Piece] | None:
    """Where the bytes of a buffer lie, piece by piece; None if not all of them are memory."""
    pieces: list[Piece] = []
    for guest, number in sorted((region[0], n) for n, region in enumerate(regions)):
        _, size, _, offset = regions[number]
        inside = gpa - guest
        if length and 0 <= inside < size:
            piece = min(length, size - inside)
            pieces.append((number, offset + inside, piece))
            gpa, length = gpa + piece, length - piece
    return None if length else pieces


# -- cases


def _table(
    answer: Answer, rows: list[Region], sizes: list[int], payload: bytes | None = None
) -> Difference | None:
    payload = payload_of(rows) if payload is None else payload
    count = int.from_bytes(payload[:4], "little")
    told = " · ".join(map(_words, rows[:4])) or "none"
    files = ", ".join(f"{size:#x}" for size in sizes[:9])
    answer.given = f"read_table(payload, [{files}]): {len(payload)} bytes, count {count}"
    answer.given += f", rows {told}"
    right, look = right_table(payload, list(sizes))
    yours = answer.call("read_table", payload, list(sizes))
    if right != "refused" and type(yours) is str and yours == "refused":
        return Difference(_rows_text(right), repr(yours), LOOK_GOOD)
    if same(right, yours):
        return None
    return Difference(
        _rows_text(right), _rows_text(yours), LOOK_ROWS if right != "refused" else look
    )


def _words(row: Region) -> str:
    guest, size, user, offset = row
    return f"(guest {guest:#x}, size {size:#x}, user {user:#x}, offset {offset:#x})"


def _rows_text(value: object) -> str:
    if type(value) is list and value and all(_numbers(row, 4) for row in value):
        return " · ".join(map(_words, value[:4]))
    return returned(value)


def _numbers(row: object, count: int) -> bool:
    return type(row) is tuple and [type(item) for item in row] == [int] * count


def tables(*given: tuple[list[Region], list[int]]) -> Run:
    """Each of these tables, with the sizes of its files."""
    return lambda answer, rng: first(_table(answer, *table) for table in given)


def raw(rows: list[Region], sizes: list[int], *payloads: bytes) -> Run:
    """These payloads as they are; `rows` are for the report."""
    return lambda answer, rng: first(_table(answer, rows, sizes, one) for one in payloads)


def _gpa(answer: Answer, regions: list[Region], user: int, length: int) -> Difference | None:
    told = " · ".join(map(_words, regions[:4]))
    answer.given = f"gpa_of(regions, {user:#x}, {length:#x}), regions {told}"
    right = right_gpa(regions, user, length)
    yours = answer.call("gpa_of", list(regions), user, length)
    if right is None and yours is not None:
        return Difference("None", shown(yours), LOOK_ONE)
    return compare(right, yours, LOOK_USER)


def _place(answer: Answer, regions: list[Region], gpa: int, length: int) -> Difference | None:
    told = " · ".join(map(_words, regions[:4]))
    answer.given = f"place(regions, {gpa:#x}, {length:#x}), regions {told}"
    right = right_place(regions, gpa, length)
    yours = answer.call("place", list(regions), gpa, length)
    if same(right, yours):
        return None
    look = LOOK_HOLE if right is None else LOOK_OFFSET if len(right) == 1 else LOOK_MORE
    return Difference(_pieces_text(right), _pieces_text(yours), look if right != [] else LOOK_NONE)


def _pieces_text(value: object) -> str:
    if value is None:
        return "None: not all of it is memory"
    if type(value) is list and all(_numbers(piece, 3) for piece in value):
        return "[" + ", ".join(f"({n}, {at:#x}, {size:#x})" for n, at, size in value[:8]) + "]"
    return returned(value)


Asked = tuple[int, int]


def gpas(regions: list[Region], *asked: Asked) -> Run:
    """The gpa of each of these user addresses and lengths."""
    return lambda answer, rng: first(_gpa(answer, regions, *one) for one in asked)


def places(regions: list[Region], *asked: Asked) -> Run:
    """The pieces of each of these buffers."""
    return lambda answer, rng: first(_place(answer, regions, *one) for one in asked)


def any_rows(rng: Random, count: int) -> list[Region]:
    """Regions that go together: some of them neighbours, in an order of chance."""
    rows: list[Region] = []
    guest, user = rng.choice((0, 0x1000)), USER
    for _ in range(count):
        size = rng.choice((1, 0x1000, 0xA0000, rng.randrange(1, 1 << 20)))
        rows.append((guest, size, user, rng.choice((0, 0x1000, 0xC_0000))))
        guest += size + rng.choice((0, 0, 0x1000))
        user += size + rng.choice((0, 0, 0x10_0000))
    rng.shuffle(rows)
    return rows


def ends_of(rows: list[Region]) -> list[int]:
    """Files that have what these regions want of them, and no more."""
    return [offset + size for _, size, _, offset in rows]


def any_table(answer: Answer, rng: Random) -> Difference | None:
    """Tables of which some are spoilt."""
    for _ in range(40):
        rows = any_rows(rng, rng.randrange(1, 9))
        sizes = ends_of(rows)
        n = rng.randrange(len(rows))
        guest, size, user, offset = rows[n]
        spoilt = rng.choice(
            (
                rows[n],
                rows[n],
                (guest, 0, user, offset),
                (guest, size + 1, user, offset),
                (rows[0][0], size, user, offset),
                (guest, size, rows[-1][2] - 1, offset),
                (LAST - size + rng.randrange(2), size, user, offset),
                (guest, size, user, rng.getrandbits(64)),
            )
        )
        rows[n] = spoilt
        if rng.random() < 0.1:
            sizes = sizes[:-1] or [1, 1]
        if found := _table(answer, rows, sizes):
            return found
    return None


def any_place(answer: Answer, rng: Random) -> Difference | None:
    """Rings and buffers, inside and across."""
    for _ in range(40):
        rows = any_rows(rng, rng.randrange(1, 9))
        guest, size, user, _ = rng.choice(rows)
        inside = rng.choice((0, size - 1, size, rng.randrange(size)))
        length = rng.choice((0, 1, 2, size - inside, size, 0x20_0000, rng.getrandbits(32)))
        found = _place(answer, rows, guest + inside, length)
        if found := found or _gpa(answer, rows, user + inside, max(1, min(length, 0x2000))):
            return found
    return None


def eight(answer: Answer, count: int = 8) -> Difference | None:
    """So many regions, each in a file of its own."""
    rows = [(n * MIB, 0x1000 * (n + 1), USER + n * MIB, 0) for n in range(count)]
    return _table(answer, rows, [MIB] * count)
