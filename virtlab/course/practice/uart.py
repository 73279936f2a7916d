"""Problems about a UART: from a setting to its registers, and back.

    9600 8N1                 -->  DLL 0x0c, DLM 0x00, LCR 0x03
    OUT 0x3f8, 0x0c          -->  DLL or THR? it depends on DLAB

The judge is the UART's own `frame` and `named`. Left out: 5 data bits, whose stop bits are one and
a half, sticky parity, the break.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.course.practice.board import Board, bits_of, hex_of
from virtlab.devices.uart.registers import CRYSTAL, LCR, frame, named


class Line(NamedTuple):
    """What a UART is set to: bits a second, data bits, parity, stop bits."""

    baud: int
    data: int
    parity: str
    stop: int

    @property
    def divisor(self) -> int:
        """What the latch has for this speed."""
        return CRYSTAL // (16 * self.baud)

    @property
    def lcr(self) -> int:
        """The line control register, DLAB clear."""
        word = LCR.WLS.put(0, self.data - 5) | LCR.STB.put(0, self.stop - 1)
        word |= LCR.PEN.put(0, self.parity != "none")
        return LCR.EPS.put(word, self.parity == "even")


SLOW = (50, 75, 110, 150, 200, 300, 450, 600, 900, 1200, 1800, 2400)
BAUDS = (*SLOW, 3600, 4800, 7200, 9600, 14400, 19200, 28800, 38400, 57600, 115200)


def uart_line(board: Board) -> None:
    """From a setting to registers; from level 2 on, from a driver's writes to the setting."""
    pick = board.random.choice
    bauds = SLOW if board.level == 2 else BAUDS
    line = Line(pick(bauds), pick((6, 7, 8)), pick(("none", "odd", "even")), pick((1, 2)))
    board.data |= {"baud": line.baud, "data": line.data, "parity": line.parity, "stop": line.stop}
    board.say("The UART's clock is 1,843,200 Hz, 16 periods of it for each step of the divisor.")
    if board.level == 1:
        _setting_to_bytes(board, line)
    else:
        _writes_to_setting(board, line)


def _setting_to_bytes(board: Board, line: Line) -> None:
    word = f"{line.baud} baud, {line.data} data bits, parity {line.parity}, stop bits {line.stop}"
    board.say(f"A line shall have: {word}.")
    board.say("LCR: WLS is bits 1:0 (data bits less 5), STB bit 2, PEN bit 3, EPS bit 4 (even).")
    low, high = line.divisor & 0xFF, line.divisor >> 8
    board.ask(
        "Which bytes belong in DLL, in DLM, and then in LCR, with DLAB clear?",
        "three numbers, as “0x0c 0x00 0x03”",
    )
    board.step("divisor", f"1843200 / (16 * {line.baud}), rounded down", hex_of(line.divisor))
    board.step("low byte", f"DLL has bits 7:0 of {hex_of(line.divisor, 4)}.", hex_of(low, 2))
    board.step("high byte", "DLM has bits 15:8.", hex_of(high, 2))
    fields = ", ".join(f"{name}={value}" for name, value in LCR.decode(line.lcr).items() if value)
    end = f"{hex_of(low, 2)} {hex_of(high, 2)} {hex_of(line.lcr, 2)}"
    board.step("line control", f"{fields or 'no field'}: {bits_of(line.lcr, 8)}", end)
    board.parts = ("low byte", "high byte", "line control")
    board.slip("low byte", (high, low, line.lcr), "DLL has the low byte, DLM the high one.")
    fast = CRYSTAL // line.baud
    if fast <= 0xFFFF:
        why = "the UART's clock is 16 times the speed: divide by 16 too."
        board.slip("divisor", (fast & 0xFF, fast >> 8, line.lcr), why)
    board.slip("line control", (low, high, line.lcr | 0x80), "DLAB shall be clear at the end.")
    flipped = line.lcr ^ LCR.EPS.mask if line.parity != "none" else line.lcr
    board.slip("line control", (low, high, flipped), "EPS is 1 for even parity, 0 for odd.")
    board.answer(end)


def _writes_to_setting(board: Board, line: Line) -> None:
    writes = _driver(board, line)
    state = {"DLL": 12, "DLM": 0, "LCR": 0}
    for offset, value in writes:
        state[named(offset, True, bool(LCR.DLAB.get(state["LCR"]))).name] = value
    divisor = state["DLM"] << 8 | state["DLL"]
    made = frame(state["LCR"], divisor)
    baud = CRYSTAL // (16 * divisor)
    half_bits = round(2 * made.time * baud / 1e9)
    board.data |= {"writes": [list(write) for write in writes]}
    board.say("After reset the divisor is 12 and LCR is 0. A driver then executes, in this order:")
    rows = [(hex_of(0x3F8 + offset), hex_of(value, 2)) for offset, value in writes]
    board.table("OUT instructions; the UART is at 0x3f8", ("port", "value"), rows)
    board.ask(
        "How fast is the line, and how many bits does a character take on it: the start bit, "
        "data, parity and stop bits together?",
        "bits a second and bits of a character, as “9600 10”",
    )
    fates = [f"OUT {hex_of(0x3F8 + o)}, {hex_of(v, 2)} -> {n}" for o, v, n in _fates(writes)]
    board.step("registers", "DLAB decides what offsets 0 and 1 are.\n" + "\n".join(fates))
    board.step("divisor", "DLM << 8 | DLL", hex_of(divisor))
    board.step("speed", f"1843200 / (16 * {divisor}), rounded down", str(baud))
    fields = ", ".join(f"{k}={v}" for k, v in LCR.decode(state["LCR"]).items())
    work = f"LCR: {fields}. 1 start, {5 + LCR.WLS.get(state['LCR'])} data, "
    work += f"{LCR.PEN.get(state['LCR'])} parity, {1 + LCR.STB.get(state['LCR'])} stop."
    end = f"{baud} {half_bits // 2}"
    board.step("character", work, end)
    board.parts = ("speed", "character")
    _line_slips(board, writes, baud, half_bits // 2, divisor)
    board.answer(end)


def _line_slips(
    board: Board, writes: list[tuple[int, int]], baud: int, bits: int, divisor: int
) -> None:
    last = [value for offset, value in writes if offset == 0][-1]
    wrong = divisor & 0xFF00 | last
    if wrong and wrong != divisor:
        why = "with DLAB clear, a write to offset 0 is a character, not the divisor."
        board.slip("registers", (CRYSTAL // (16 * wrong), bits), why)
    swapped = (divisor & 0xFF) << 8 | divisor >> 8
    if swapped:
        why = "DLL is the low byte, DLM the high one."
        board.slip("divisor", (CRYSTAL // (16 * swapped), bits), why)
    board.slip("speed", (CRYSTAL // divisor, bits), "one bit takes 16 periods of the clock.")
    board.slip("character", (baud, bits - 1), "count the start bit too, and every stop bit.")


def _driver(board: Board, line: Line) -> list[tuple[int, int]]:
    """A driver's writes: (offset, value). At level 3 characters and IER come in between."""
    low, high = line.divisor & 0xFF, line.divisor >> 8
    writes = [(3, line.lcr | 0x80), (0, low), (1, high), (3, line.lcr)]
    if board.random.randrange(2):
        writes[1], writes[2] = writes[2], writes[1]
    writes.insert(board.random.randrange(5), (4, board.random.randrange(0x10)))
    if board.level == 3:
        writes.insert(0, (0, board.random.randrange(0x41, 0x5A)))
        writes += [(1, board.random.randrange(1, 8)), (0, board.random.randrange(0x61, 0x7A))]
    return writes


def _fates(writes: list[tuple[int, int]]) -> list[tuple[int, int, str]]:
    """Each write with the register that it reaches."""
    dlab, fates = False, []
    for offset, value in writes:
        reg = named(offset, True, dlab)
        fates.append((offset, value, reg.name))
        dlab = bool(LCR.DLAB.get(value)) if reg.name == "LCR" else dlab
    return fates
