"""Task 4 of problem set 1: read a recorded boot. The judge is a UART that is given the record.

A case is a list of accesses. A `Uart16550` gets all of them and its terminal says what they print.
Small records come first, one for each way to misread DLAB; then the whole recorded boot, 4,891
accesses of a real firmware and a real kernel; then records made at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from virtlab.backends import Terminal
from virtlab.course.answers import Answer
from virtlab.course.ps1.boards import COM1
from virtlab.course.tasks import Case, Difference, Run, Task, compare
from virtlab.devices.uart import Uart16550
from virtlab.recordings import recording
from virtlab.trace import Access

LOOK_THR = "a character is a write to 0x3f8 while LCR.DLAB is 0 (PC16550D 8.0, 8.1)"


def _uart_prints(accesses: Sequence[Access]) -> list[tuple[Access, int]]:
    """The judge: a UART that is given the same accesses; each that printed, with its byte."""
    terminal = Terminal()
    uart = Uart16550(terminal=terminal)
    printed: list[tuple[Access, int]] = []
    for access in accesses:
        if access.write:
            uart.write(access.address - COM1, access.size, access.value)
        else:
            uart.read(access.address - COM1, access.size)
        if len(terminal.output) > len(printed):
            printed.append((access, terminal.output[-1]))
    return printed


def _console(answer: Answer, accesses: Sequence[Access], name: str = "") -> Difference | None:
    answer.given = name or "accesses: " + ("; ".join(str(access) for access in accesses) or "none")
    printed = _uart_prints(accesses)
    expected = bytes(byte for _, byte in printed)
    yours = answer.call("console", list(accesses))
    found = compare(expected, yours, LOOK_THR)
    if found and type(yours) is bytes:
        return _part(printed, expected, yours)
    return found


def _part(printed: list[tuple[Access, int]], expected: bytes, yours: bytes) -> Difference:
    """Two outputs that part: where, and which access should have printed there."""
    pairs = enumerate(zip(expected, yours, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(expected), len(yours)))
    start = max(0, at - 8)
    sides = [
        f"{len(out)} bytes, from byte {start} {out[start : at + 8]!r}" for out in (expected, yours)
    ]
    if at < len(printed):
        access = f"byte {at} comes from access {printed[at][0].seq}: {printed[at][0]}"
    else:
        access = f"no access prints byte {at}"
    return Difference(sides[0], sides[1], LOOK_THR, access)


def _accesses(*verbs: tuple[str, int, int]) -> list[Access]:
    """Accesses to the first UART: ("w" or "r", offset, value)."""
    return [
        Access(seq, verb == "w", "serial", COM1 + offset, 1, value)
        for seq, (verb, offset, value) in enumerate(verbs)
    ]


def _reads(*verbs: tuple[str, int, int]) -> Run:
    return lambda answer, rng: _console(answer, _accesses(*verbs))


def _boot(answer: Answer, rng: Random) -> Difference | None:
    accesses = recording("uart16550")
    return _console(answer, accesses, f"the {len(accesses):,} accesses of the recorded boot")


def _any_trace(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(5):
        verbs = [
            rng.choice(
                (
                    ("w", 0, rng.randrange(0x20, 0x7F)),
                    ("w", 0, rng.randrange(0x20, 0x7F)),
                    ("w", 3, rng.randrange(0x40) | rng.choice((0, 0x80))),
                    ("w", rng.choice((1, 7)), rng.randrange(0x10)),
                    ("r", rng.choice((0, 5)), rng.randrange(256)),
                )
            )
            for _ in range(24)
        ]
        if found := _console(answer, _accesses(*verbs)):
            return found
    return None


CONSOLE = Task(
    "ps1.q4",
    "read a recorded boot",
    ("console",),
    ("S02",),
    lines=8,
    minutes=15,
    difficulty=2,
    points=3,
    cases=(
        Case("characters to THR", _reads(("w", 0, 0x48), ("w", 0, 0x69))),
        Case("no accesses", _reads()),
        Case("reads print nothing", _reads(("w", 0, 0x41), ("r", 0, 0x42), ("r", 5, 0x60))),
        Case("other registers", _reads(("w", 1, 0x41), ("w", 7, 0x42), ("w", 0, 0x43))),
        Case(
            "a divisor is no text",
            _reads(("w", 3, 0x80), ("w", 0, 0x0C), ("w", 1, 0), ("w", 3, 0x03), ("w", 0, 0x41)),
        ),
        Case(
            "DLAB among other bits",
            _reads(("w", 3, 0x93), ("w", 0, 0x0C), ("w", 3, 0x13), ("w", 0, 0x41), ("w", 3, 0x43)),
        ),
        Case(
            "what LCR reads is not written",
            _reads(("w", 0, 0x41), ("r", 3, 0x83), ("w", 0, 0x42), ("w", 3, 0x80), ("w", 0, 0x43)),
        ),
        Case("the recorded boot", _boot),
        Case("any trace", _any_trace),
    ),
    hints=(
        "Most accesses print nothing. Which direction, and which port, does a character need?",
        "The same port also takes the divisor's low byte. You need to remember one bit of the last "
        "value that was written to LCR, port 0x3fb.",
        "One loop over the accesses and one variable, dlab. A write to 0x3fb sets it from bit 7; a "
        "write to 0x3f8 adds a byte if it is 0. Collect in a bytearray and return bytes(of it).",
    ),
)
