"""Problems about vhost-user's memory table: one byte, three ways to name it.

    region     guest 0x100000, size, user 0x7f10..., offset in the file
    a ring's user address  -->  gpa, and place in the file

The judge is the back-end's `SharedMemory`, with real files. It maps them as only Linux can, so on
another system these problems are not there. Left out: logging of writes, several slots of one file.
"""

from __future__ import annotations

import os
import sys

from virtlab.course.practice.board import Board, hex_of
from virtlab.memory import PAGE


def memory_table(board: Board) -> None:
    """From a user address to the gpa, and to the place in the region's file."""
    if sys.platform != "linux":
        raise ValueError("vhost-memory needs Linux: its judge maps files at fixed addresses")
    from virtlab.virtio.vhost_user.messages import ProtocolError
    from virtlab.virtio.vhost_user.shared_memory import Shape

    random = board.random
    shapes, guest = [], 0
    users = random.sample(range(0x10, 0xF0), 3)
    for n in range(1 if board.level == 1 else 3):
        guest += random.randrange(n > 0, 4) * 16 * PAGE
        size = random.randrange(2, 9) * PAGE
        offset = random.randrange(0, 8) * PAGE if board.level > 1 or random.randrange(2) else 0
        user = 0x7F00_0000_0000 + (users[n] << 24) + random.randrange(16) * PAGE
        shapes.append(Shape(guest, size, user, offset))
        guest += size
    one = random.choice(shapes)
    length = random.randrange(4, 33) * 2
    user = one.user + random.randrange(0, one.size - length) & ~1
    if board.level == 3 and random.randrange(2):
        user = one.user + one.size - random.choice((length // 2 & ~1, -16 * PAGE))
    try:
        place: tuple[int, int] | None = _ask_back_end(shapes, user, length)
    except ProtocolError:
        place = None
    _show(board, [tuple(shape) for shape in shapes], user, length)
    _steps(board, [tuple(shape) for shape in shapes], user, length, place)


def _ask_back_end(shapes: list, user: int, length: int) -> tuple[int, int]:  # type: ignore[type-arg]
    """The gpa, and the offset in the file, found by writing there and looking for it."""
    from virtlab.virtio.vhost_user.mapping import sealed_file
    from virtlab.virtio.vhost_user.shared_memory import SharedMemory

    memory = SharedMemory(limit=1 << 24)
    files = [sealed_file("practice", shape.offset + shape.size) for shape in shapes]
    try:
        memory.set_table(shapes, files)
        gpa = memory.gpa_of(user, length)
        memory.write(gpa, b"\x01")
        found = [os.pread(fd, 64 * PAGE, 0).find(b"\x01") for fd in files]
        return gpa, max(found)
    finally:
        memory.close()
        for fd in files:
            os.close(fd)


def _show(board: Board, shapes: list[tuple[int, ...]], user: int, length: int) -> None:
    rows = [(str(n), *map(hex_of, shape)) for n, shape in enumerate(shapes)]
    headers = ("region", "guest address", "size", "user address", "mmap offset")
    board.table("SET_MEM_TABLE; each region has a file of its own", headers, rows)
    board.words = {"refused"}
    board.data |= {"regions": [list(shape) for shape in shapes], "user": user, "length": length}
    board.ask(
        f"SET_VRING_ADDR names a ring of {length} bytes at user address {hex_of(user)}. What is "
        "its gpa, and where does it lie in the region's file?",
        "the gpa and the offset in the file, as “0x4010 0x5010”, or “refused”",
    )


def _steps(
    board: Board,
    shapes: list[tuple[int, ...]],
    user: int,
    length: int,
    place: tuple[int, int] | None,
) -> None:
    region = next((n for n, s in enumerate(shapes) if s[2] <= user < s[2] + s[1]), None)
    spans = "\n".join(
        f"region {n}: {hex_of(s[2])} to {hex_of(s[2] + s[1] - 1)}" for n, s in enumerate(shapes)
    )
    board.step("region", f"{spans}\nThe ring is {hex_of(user)} to {hex_of(user + length - 1)}.")
    if place is None:
        board.step("refusal", "No region has all of its bytes.", "refused")
        for guest, size, base, offset in shapes:
            inside = user - base
            why = (
                "the ring ends behind this region." if inside < size else "the region ends before."
            )
            board.slip("region", (guest + inside, offset + inside), why)
        board.answer("refused")
        return
    assert region is not None
    guest, _, base, offset = shapes[region]
    inside = user - base
    board.step("inside", f"{hex_of(user)} - {hex_of(base)}", hex_of(inside))
    board.step("gpa", f"{hex_of(guest)} + {hex_of(inside)}", hex_of(place[0]))
    end = f"{hex_of(place[0])} {hex_of(place[1])}"
    board.step("file", f"mmap offset {hex_of(offset)} + {hex_of(inside)}", end)
    board.parts = ("gpa", "file")
    board.slip("file", (place[0], inside), "add the region's mmap offset.")
    board.slip("file", (place[0], place[0]), "the file knows nothing of guest addresses.")
    board.slip("inside", (guest + user, offset + user), "take the region's user address away.")
    for n, other in enumerate(shapes):
        if n != region:
            wrong = (other[0] + inside, other[3] + inside)
            board.slip("region", wrong, "the user address is in another region.")
    board.slip("region", "refused", "one region has all of its bytes.")
    board.answer(end)
