"""One guest program under an I/O bitmap: which of its accesses exit, and who answers each.

The idea: `run` is a pure function of the ports that are open. It makes a fresh board and a fresh
virtual machine, sets the bitmap, and lets the guest run. At the host's keyboard somebody has typed
S; the virtual keyboard has a V. So one look at what the guest read says whose keyboard it was.

      in 0x64   in 0x60                    a key
      in 0x3fd  out 0x3f8  twice           prints `hi`
      out 0xcf8/4  in 0xcfc/4              who is PCI device 0?
      in 0x1f7                             is the disk ready?

The rule that keeps it simple: the rows are read off the trace. Nothing is computed beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from virtlab import machine
from virtlab.cpu import Cpu
from virtlab.guest.ata import PRIMARY
from virtlab.guest.ps2 import COMMAND, DATA, Ps2
from virtlab.guest.uart import UartDriver
from virtlab.show.naming import READS
from virtlab.show.palette import (
    BLUE,
    GREEN_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    PHOSPHOR,
    SCREEN,
    SKY_TINT,
    SMALL,
    VERMILLION,
)
from virtlab.show.shapes import arrow, legend
from virtlab.show.svg import TOP, Picture, line, picture, rect, write
from virtlab.trace import Event
from virtlab.vmm.io_bitmap import IoBitmap

TEXT = b"hi"
HOST_KEY, VIRTUAL_KEY = "S", "V"
SCAN_CODES = {0x1F: HOST_KEY, 0x2F: VIRTUAL_KEY}
"""Set 1, as the controller translates them."""

PCI_ADDRESS, PCI_DATA, ENABLE = 0xCF8, 0xCFC, 1 << 31
DISK_STATUS = PRIMARY.command + 7
USED = (0x60, 0x64, 0x3F8, 0x3FD, *range(0xCF8, 0xD00), DISK_STATUS)
"""The ports that the program touches."""


class Row(NamedTuple):
    """One access of the guest: whether it was a write, its port, size and value.

    `exited` says whether it went through the VMM; `who` answered it.
    """

    write: bool
    port: int
    size: int
    value: int
    exited: bool
    who: str

    @property
    def words(self) -> str:
        """`in 0x64 gives 0x1d`, with the size where it is not one byte."""
        size = f"/{self.size}" if self.size > 1 else ""
        sign = "←" if self.write else "gives"
        return f"{'out' if self.write else 'in'} {self.port:#x}{size} {sign} {self.value:#x}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: the accesses, the key that was read, what each terminal shows."""

    rows: tuple[Row, ...]
    key: str
    virtual: str
    physical: str

    @property
    def exits(self) -> int:
        """Accesses that the VMM saw."""
        return sum(row.exited for row in self.rows)


def program(cpu: Cpu) -> int:
    """The guest: it reads a key, prints, looks at PCI and at the disk. Gives the scan code."""
    cpu.inp(COMMAND)
    code = cpu.inp(DATA)
    uart = UartDriver.at_ports(cpu)
    for byte in TEXT:
        uart.put(byte)
    cpu.out(PCI_ADDRESS, ENABLE, 4)
    cpu.inp(PCI_DATA, 4)
    cpu.inp(DISK_STATUS)
    return code


def run(bitmap: IoBitmap) -> Outcome:
    """Run the program in a fresh virtual machine whose I/O bitmap is a copy of `bitmap`."""
    board = machine.lesson_pc()
    guest = machine.lesson_vm(board)
    for devices, key in ((board, HOST_KEY), (guest, VIRTUAL_KEY)):
        Ps2(devices.cpu).start()
        devices.keyboard.press(key)
    guest.vm.io_bitmap.a[:], guest.vm.io_bitmap.b[:] = bitmap.a, bitmap.b
    with board.trace.recording() as events:
        code = program(guest.cpu)
    key = SCAN_CODES.get(code, f"{code:#x}")
    return Outcome(tuple(rows(events)), key, guest.terminal.text, board.terminal.text)


def rows(events: Iterable[Event]) -> list[Row]:
    """The accesses to ports in a trace, each with its way."""
    found, exited = [], False
    for event in events:
        if event.space == "port" and event.kind not in ("exit", "entry"):
            write = event.kind not in READS
            place = event.address, event.size, event.value
            found.append(Row(write, *place, exited, event.who or "nobody"))
        exited = {"exit": True, "entry": False}.get(event.kind, exited)
    return found


def explain(outcome: Outcome) -> str:
    """The outcome in a few sentences."""
    total, exits = len(outcome.rows), outcome.exits
    owner = {HOST_KEY: "typed at the host's keyboard", VIRTUAL_KEY: "from the virtual keyboard"}
    read = (
        f"The guest read the key `{outcome.key}`, {owner.get(outcome.key, 'which nobody typed')}."
    )
    prints = " and ".join(
        f"the {name} terminal shows `{text}`"
        for name, text in (("physical", outcome.physical), ("virtual", outcome.virtual))
        if text
    )
    counts = f"{total} accesses: {exits} exit, {total - exits} do not."
    return f"{counts} {read} It printed: {prints or 'nothing'}."


def open_ports(ports: Iterable[int]) -> IoBitmap:
    """A bitmap in which exactly `ports` are open."""
    bitmap = IoBitmap()
    for port in ports:
        bitmap.open(port)
    return bitmap


def exits_of(ports: Sequence[int]) -> int:
    """How many accesses of the program exit when `ports` are open: the closed form.

    Nine accesses; each exits if one of its bytes is not open.
    """
    opened = set(ports)
    touched = ((0x64, 1), (0x60, 1), *[(0x3FD, 1), (0x3F8, 1)] * len(TEXT))
    touched += ((PCI_ADDRESS, 4), (PCI_DATA, 4), (DISK_STATUS, 1))
    return sum(not set(range(port, port + size)) <= opened for port, size in touched)


# -- drawing

_GUEST, _VMM, _DEVICE, _ROW = 310.0, 500.0, 690.0, 30


def run_picture(outcome: Outcome, title: str = "The guest under this bitmap") -> Picture:
    """Each access as a row: straight to the physical device, or by the VMM to a virtual one."""
    top = TOP + 40.0
    bottom = top + len(outcome.rows) * _ROW + 4
    parts = [_heads(), *_lifelines(top, bottom)]
    parts += [_draw(row, top + _ROW * (i + 0.6)) for i, row in enumerate(outcome.rows)]
    parts.append(legend(bottom + 24, _keys()))
    parts.append(_terminals(outcome, bottom + 44))
    label = f"{title}: {explain(outcome)}".replace("`", "'")
    return picture(title, bottom + 126, parts, _text(outcome, title), label)


def _heads() -> str:
    parts = []
    for x, name, tint in zip(
        (_GUEST, _VMM, _DEVICE),
        ("guest", "VMM", "device"),
        (GREEN_TINT, ORANGE_TINT, SKY_TINT),
        strict=True,
    ):
        parts.append(rect(x - 55, TOP, 110, 30, tint, INK, 6))
        parts.append(write(x, TOP + 20, name, anchor="middle", bold=True))
    return "".join(parts)


def _lifelines(top: float, bottom: float) -> list[str]:
    return [line(x, top - 10, x, bottom, MUTED, 1.5, "3 5") for x in (_GUEST, _VMM, _DEVICE)]


def _draw(row: Row, y: float) -> str:
    parts = [write(MARGIN, y + 5, row.words, SMALL, mono=True)]
    if row.exited:
        parts.append(arrow(_GUEST + 5, y, _VMM - 5, VERMILLION, 3))
        parts.append(arrow(_VMM + 5, y, _DEVICE - 5, INK, 2))
    else:
        parts.append(arrow(_GUEST + 5, y, _DEVICE - 5, BLUE, 5))
    parts.append(write(_DEVICE + 14, y + 5, _answered(row), SMALL, bold=not row.exited))
    return "".join(parts)


def _answered(row: Row) -> str:
    return f"{'virtual' if row.exited else 'physical'} {row.who}"


def _keys() -> list[tuple[str, str]]:
    return [
        (arrow(0, 9, 30, VERMILLION, 3), "exit"),
        (arrow(0, 9, 30, INK, 2), "made by the VMM"),
        (arrow(0, 9, 30, BLUE, 5), "direct, no exit"),
    ]


def _terminals(outcome: Outcome, y: float) -> str:
    """What the guest printed and where, and the key that it read."""
    shown = (
        ("physical terminal", outcome.physical),
        ("virtual terminal", outcome.virtual),
        ("the guest read the key", outcome.key),
    )
    parts = []
    for i, (name, words) in enumerate(shown):
        x = MARGIN + i * 300.0
        parts.append(write(x, y + 14, name, SMALL, MUTED))
        parts.append(rect(x, y + 24, 270, 40, SCREEN, INK, 6))
        parts.append(write(x + 14, y + 50, words, fill=PHOSPHOR, mono=True))
    return "".join(parts)


def _text(outcome: Outcome, title: str) -> str:
    width = max((len(row.words) for row in outcome.rows), default=0)
    lines = [title]
    for row in outcome.rows:
        way = "exit  " if row.exited else "direct"
        lines.append(f"{row.words.ljust(width)}  {way}  {_answered(row)}")
    lines += [f"physical terminal: {outcome.physical}", f"virtual terminal: {outcome.virtual}"]
    return "\n".join([*lines, f"the guest read the key {outcome.key}"])
