"""Task 2 of problem set 1: print through a port. The judge is a UART on a slow line.

The board's UART is timed: a character takes as long as on a real line, and every access of the
student's Cpu takes a bus cycle. So whoever writes without asking loses characters, and the
terminal shows it. The report names the first character that came too early.
"""

from __future__ import annotations

from random import Random

from virtlab.clock import SECOND
from virtlab.course.answers import Answer
from virtlab.course.ps1.boards import COM1, SerialBoard
from virtlab.course.tasks import Case, Difference, Run, Task
from virtlab.devices.uart import LSR, THR


def _print(
    answer: Answer, text: str, divisor: int, busy: str = "", typed: str = ""
) -> Difference | None:
    board = SerialBoard(divisor, timed=True)
    for character in busy.encode():
        board.uart.write(THR.offset, 1, character)
    board.terminal.type(typed)
    board.clock.advance(SECOND // 10 if typed else 0)
    state = f", still busy with {busy!r}" if busy else ""
    state += ", with a received character waiting" if typed else ""
    answer.given = f"a UART at {115200 // divisor} baud{state}; text {text!r}"
    answer.call("put", board.cpu, text)
    board.clock.advance(SECOND)
    expected, printed = busy + text, board.terminal.text
    answer.note_cost("port accesses", len(board.cpu.accesses), _polled(text, divisor))
    if printed == expected:
        return None
    return Difference(
        f"on the terminal {expected!r}", f"on the terminal {printed!r}", *_lost(board)
    )


def _polled(text: str, divisor: int) -> int:
    """Port accesses on an idle UART, if LSR is read until THRE is 1 and no more often."""
    board = SerialBoard(divisor, timed=True)
    for character in text.encode():
        while not LSR.THRE.get(board.cpu.inp(COM1 + LSR.offset)):
            pass
        board.cpu.out(COM1 + THR.offset, character)
    return len(board.cpu.accesses)


def _lost(board: SerialBoard) -> tuple[str, str]:
    """Where to look, and the access that overwrote a character, if there is one."""
    look = "LSR.THRE: whether THR can take a character (PC16550D 8.4, bit 5)"
    outs = [a for a in board.cpu.accesses if a.write and a.address == COM1]
    if not outs:
        return "no character was written to THR, port 0x3f8 (PC16550D 8.0)", ""
    if not board.bare.too_early:
        return "one OUT of size 1 to port 0x3f8 for each character (PC16550D 8.0)", ""
    early = outs[board.bare.too_early[0]]
    return (
        look,
        f"access {early.seq}: {early}, while LSR.THRE is 0: the character before it is lost",
    )


def _prints(text: str, divisor: int = 1, busy: str = "", typed: str = "") -> Run:
    return lambda answer, rng: _print(answer, text, divisor, busy, typed)


def _any_text(answer: Answer, rng: Random) -> Difference | None:
    text = "".join(chr(rng.randrange(0x20, 0x7F)) for _ in range(rng.randrange(8, 14)))
    return _print(answer, text, divisor=rng.choice((1, 2)), busy=rng.choice(("", "ab")))


PRINT = Task(
    "ps1.q2",
    "print through a port",
    ("put",),
    ("S02",),
    lines=4,
    minutes=10,
    difficulty=1,
    points=2,
    cases=(
        Case("one character", _prints("A")),
        Case("an empty text", _prints("")),
        Case("a line", _prints("Hello, port space!\n"), costs=True),
        Case("a slow line", _prints("slow", divisor=6)),
        Case("the UART is busy", _prints("me too", busy="ab")),
        Case("a character has come in", _prints("in and out", typed="x")),
        Case("any text", _any_text),
    ),
    hints=(
        "The processor is much faster than the line. Before each character, ask the UART whether "
        "it can take one.",
        "The answer is one bit of the line status register, port 0x3fd. Other bits of that "
        "register may be 1 or 0 at the same time.",
        "Two loops, one inside the other: for each character of the text, read LSR until bit 5 "
        "is 1; then one OUT to port 0x3f8. A character's number is ord(character).",
    ),
)
