"""Task 5 of problem set 1: the same job through memory. The judge is a `TextScreen`.

First the picture counts, then its price: the right cells with more accesses than cells, or with
accesses of another size, are refused too. The report names the first wrong cell, and the last
store that touched it.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps1.boards import SCREEN, ScreenBoard
from virtlab.course.tasks import Case, Difference, Run, Task
from virtlab.devices.text_screen import COLUMNS, ROWS

LOOK_CELL = "a cell is 2 bytes, the character first; 80 cells make a row (VGA, mode 3)"
LOOK_COST = "one 2-byte store draws a whole cell (VGA, mode 3)"


def _show(answer: Answer, row: int, column: int, text: str, attribute: int) -> Difference | None:
    board = ScreenBoard()
    wanted = board.screen.cells.copy()
    for i, character in enumerate(text[: max(0, COLUMNS - column)]):
        wanted[row, column + i] = ord(character), attribute
    answer.given = f"a blank screen; show(cpu, {row}, {column}, {text!r}, {attribute:#04x})"
    answer.call("show", board.cpu, row, column, text, attribute)
    wrong = (board.screen.cells != wanted).any(axis=2).nonzero()
    if len(wrong[0]):
        at = int(wrong[0][0]), int(wrong[1][0])
        return Difference(
            _cell(at, wanted[at].tolist()),
            _cell(at, board.screen.cells[at].tolist()),
            LOOK_CELL,
            _touching(board, at),
        )
    return _cost(board, min(len(text), max(0, COLUMNS - column)))


def _cell(at: tuple[int, int], cell: list[int]) -> str:
    character = bytes(cell[:1]).decode("cp437")
    return f"row {at[0]}, column {at[1]}: {character!r}, attribute {cell[1]:#04x}"


def _touching(board: ScreenBoard, at: tuple[int, int]) -> str:
    """The last store that touched a cell; if none did, the first store of all."""
    gpa = SCREEN + 2 * (COLUMNS * at[0] + at[1])
    stores = [access for access in board.cpu.accesses if access.write]
    touching = [a for a in stores if a.address < gpa + 2 and gpa < a.address + a.size]
    if touching:
        return f"access {touching[-1].seq}: {touching[-1]}"
    first = f"; the first store: {stores[0]}" if stores else ""
    return f"no store reached {gpa:#x}{first}"


def _cost(board: ScreenBoard, cells: int) -> Difference | None:
    """The right picture, but at what price?"""
    accesses = board.cpu.accesses
    if len(accesses) == cells and all(access.write and access.size == 2 for access in accesses):
        return None
    other = next((a for a in accesses if not a.write or a.size != 2), accesses[-1])
    return Difference(
        f"{cells} accesses, each a store of 2 bytes",
        f"{len(accesses)} accesses",
        LOOK_COST,
        f"access {other.seq}: {other}",
    )


def _shows(row: int, column: int, text: str, attribute: int = 0x07) -> Run:
    return lambda answer, rng: _show(answer, row, column, text, attribute)


def _any_place(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(6):
        text = "".join(chr(rng.randrange(0x21, 0x7F)) for _ in range(rng.randrange(30)))
        place = rng.randrange(ROWS), rng.randrange(COLUMNS)
        if found := _show(answer, *place, text, rng.randrange(1, 256)):
            return found
    return None


SHOW = Task(
    "ps1.q5",
    "the same job through memory",
    ("show",),
    ("S03",),
    lines=4,
    minutes=15,
    difficulty=2,
    points=3,
    cases=(
        Case("one character", _shows(0, 0, "A")),
        Case("its colours", _shows(0, 1, "A", 0x1F)),
        Case("a word", _shows(0, 4, "memory", 0x2E)),
        Case("another row", _shows(3, 10, "row three")),
        Case("the last cell", _shows(24, 79, "Z", 0x4F)),
        Case("cut at the end of the row", _shows(7, 76, "too long")),
        Case("cut on the last row", _shows(24, 78, "end")),
        Case("nothing to show", _shows(5, 5, "")),
        Case("any place", _any_place),
    ),
    hints=(
        "Draw the first three cells of row 0 and the first cell of row 1 as bytes with their "
        "addresses. How far is it from one cell to the next, and from one row to the next?",
        "The character is the low byte, at the lower address; the attribute is the high byte. One "
        "2-byte value holds both, so one store draws a cell.",
        "Only 80 - column characters fit: cut the text first. Then, for each character with its "
        "number i, one cpu.store(gpa, value, 2) into cell 80 * row + column + i.",
    ),
)
