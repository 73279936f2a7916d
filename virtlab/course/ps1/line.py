"""Task 3 of problem set 1: set the line. The judge is the UART's own divisor latch and LCR.

Any order of accesses is right that leaves the UART as it should be: the divisor, DLAB closed, the
frame, and nothing else touched. Each case looks at one of these, the divisor first. The report
names the first write that went to THR or IER because DLAB was 0.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps1.boards import COM1, DLAB, SerialBoard
from virtlab.course.tasks import Case, Difference, Run, Task
from virtlab.devices.uart import IER, LCR

PARITIES = {"N": 0b00, "O": 0b01, "E": 0b11}
"""What PEN (bit 3) and EPS (bit 4) of LCR are for each parity (PC16550D 8.1)."""

LOOK_DIVISOR = "115200 // baud, low byte in DLL, high byte in DLM (PC16550D 8.3)"
LOOK_DLAB = "LCR.DLAB decides what ports 0x3f8 and 0x3f9 mean (PC16550D 8.1, bit 7)"
LOOK_LCR = "WLS in bits 1:0, STB bit 2, PEN bit 3, EPS bit 4 (PC16550D 8.1)"

Line = tuple[int, int, str, int]


class _LineSet:
    """A board after the student set its line; each method looks at one thing."""

    def __init__(self, answer: Answer, line: Line, lcr: int = 0b11) -> None:
        baud, bits, parity, stop = line
        self.board = SerialBoard(divisor=3)
        self.board.uart.write(IER.offset, 1, 0b0101)
        self.board.uart.write(LCR.offset, 1, lcr)
        answer.given = (
            f"a UART with LCR {lcr:#04x}, divisor 3, IER 0x05; "
            f"set_line(cpu, {baud}, {bits}, {parity!r}, {stop})"
        )
        answer.call("set_line", self.board.cpu, baud, bits, parity, stop)
        self.divisor = 115200 // baud
        self.lcr = (bits - 5) | (stop - 1) << 2 | PARITIES[parity] << 3

    def check_divisor(self) -> Difference | None:
        found = self.board.uart.dlm << 8 | self.board.uart.dll
        if found == self.divisor:
            return None
        access = self._outside()
        look = LOOK_DLAB if access else LOOK_DIVISOR
        return Difference(f"divisor {self.divisor:#06x}", f"divisor {found:#06x}", look, access)

    def check_closed(self) -> Difference | None:
        if not self.board.uart.lcr & DLAB:
            return None
        return Difference(
            "LCR.DLAB is 0 at the end", f"LCR is {self.board.uart.lcr:#04x}", LOOK_DLAB
        )

    def check_frame(self) -> Difference | None:
        found = self.board.uart.lcr & ~DLAB
        if found == self.lcr:
            return None
        return Difference(f"LCR {self.lcr:#010b}", f"LCR {found:#010b}", LOOK_LCR)

    def check_rest(self) -> Difference | None:
        sent, ier = bytes(self.board.terminal.output), self.board.uart.ier
        if not sent and ier == 0b0101:
            return None
        yours = f"sent {sent!r}, IER {ier:#04x}"
        return Difference("nothing sent, IER 0x05 as before", yours, LOOK_DLAB, self._outside())

    def _outside(self) -> str:
        """The first write to a divisor's port while DLAB was 0."""
        dlab = 0
        for access in self.board.cpu.accesses:
            if access.write and access.address == COM1 + LCR.offset:
                dlab = access.value & DLAB
            elif access.write and access.address in (COM1, COM1 + 1) and not dlab:
                name = "THR" if access.address == COM1 else "IER"
                return f"access {access.seq}: {access}, while LCR.DLAB is 0: that is {name}"
        return ""


def _divisor(baud: int) -> Run:
    return lambda answer, rng: _LineSet(answer, (baud, 8, "N", 1)).check_divisor()


def _closed(answer: Answer, rng: Random) -> Difference | None:
    return _LineSet(answer, (9600, 8, "N", 1)).check_closed()


def _rest(answer: Answer, rng: Random) -> Difference | None:
    return _LineSet(answer, (300, 8, "N", 1)).check_rest()


def _frame(*lines: tuple[int, str, int]) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        found = (_LineSet(answer, (9600, *line)).check_frame() for line in lines)
        return next((difference for difference in found if difference), None)

    return run


def _any_line(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(7):
        baud = 115200 // rng.choice((1, 2, 3, 6, 12, 96, 384, 1047, rng.randrange(2, 1152)))
        line = (baud, rng.randrange(5, 9), rng.choice("NOE"), rng.randrange(1, 3))
        done = _LineSet(answer, line, lcr=rng.randrange(0x40))
        found = (
            done.check_divisor() or done.check_closed() or done.check_frame() or done.check_rest()
        )
        if found:
            return found
    return None


SET_LINE = Task(
    "ps1.q3",
    "set the line",
    ("set_line",),
    ("S02",),
    lines=8,
    minutes=15,
    difficulty=2,
    points=3,
    cases=(
        Case("the divisor of 9600 baud", _divisor(9600)),
        Case("a divisor above 255", _divisor(300)),
        Case("DLAB closed at the end", _closed),
        Case("8N1", _frame((8, "N", 1))),
        Case("other word lengths", _frame((7, "N", 1), (5, "N", 1))),
        Case("even and odd parity", _frame((7, "E", 1), (8, "O", 1))),
        Case("two stop bits", _frame((8, "N", 2), (7, "E", 2))),
        Case("nothing else changed", _rest),
        Case("any line", _any_line),
    ),
    hints=(
        "There are twelve registers behind eight ports. Which bit of which register decides "
        "whether port 0x3f8 is THR or DLL?",
        "Four OUTs are enough: open DLAB, low byte of the divisor, high byte, and one last write "
        "to LCR. The last one can set the frame and close DLAB at once.",
        "LCR is a sum of fields: bits - 5 in bits 1:0; stop - 1 in bit 2; parity in bits 4:3, "
        "where N is 00, O is 01 and E is 11. Shift each to its place and join them with |.",
    ),
)
