"""Read sectors from the disk, by the way that you choose, and see who moved the bytes.

The idea: every choice is an experiment on a fresh board. The picture is drawn from its trace, and
the sentence counts what the trace has. Nothing is computed beside it.

The rule that keeps it simple: `experiment` is a pure function from a `Choice` to a `Result`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

from virtlab import machine
from virtlab.backends import SECTOR
from virtlab.devices.ata.registers import BusMasterRegisters
from virtlab.guest.ata import AtaDriver
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pic import Pics
from virtlab.show.dma import dma_timeline, tally
from virtlab.show.naming import Registers
from virtlab.show.shell import (
    Shell,
    button,
    choice,
    drawing,
    number_box,
    row,
    said,
    sentence,
    shown,
)
from virtlab.trace import Event

Way = Literal["pio16", "pio32", "dma"]

WAYS = (("PIO, 2 bytes an access", "pio16"), ("PIO, 4 bytes an access", "pio32"), ("DMA", "dma"))
"""The ways to read, by the words in the list."""

MOST_SECTORS, MOST_PIECES = 8, 8

IDE = (0x8086, 0x7010)
TABLE, BUFFER, GAP = 0x9000, 0x2_0000, 0x3000
"""Where the table and the first piece are (gpa), and from piece to piece."""

FIRST_SECTOR = 7


@dataclass(frozen=True, slots=True)
class Choice:
    """What to do: read `sectors`, by DMA into so many `pieces`; asleep, or polling."""

    way: Way = "dma"
    sectors: int = 2
    pieces: int = 3
    asleep: bool = True


class Result(NamedTuple):
    """What came of it: the events, the registers' names, what was read, virtual ns it took."""

    events: list[Event]
    names: Registers
    data: bytes
    time: int


def experiment(choice: Choice) -> Result:
    """Read the sectors on a fresh board on which things take time."""
    board = machine.lesson_pc(timed=True)
    base = find(enumerate_pci(board.cpu), *IDE).bar(4)
    size = 4 if choice.way == "pio32" else 2
    disk = AtaDriver(board.cpu, bus_master=base, table=TABLE, size=size)
    pics = Pics(board.cpu)
    pics.remap()
    if choice.asleep:
        disk.listen(pics)
    else:
        disk.mute()
    names = {**machine.PORT_REGISTERS, base: BusMasterRegisters.registers}
    begin = board.clock.now
    with board.trace.recording() as events:
        if choice.way == "dma":
            disk.read_dma(FIRST_SECTOR, regions(choice))
        else:
            data = disk.read(FIRST_SECTOR, choice.sectors)
    time = board.clock.now - begin
    if choice.way == "dma":
        data = b"".join(board.cpu.read(gpa, length) for gpa, length in regions(choice))
    return Result(events, names, data, time)


def regions(choice: Choice) -> list[tuple[int, int]]:
    """The pieces of memory to fill, `(gpa, bytes)`: as equal as even numbers let them be."""
    words, count = choice.sectors * SECTOR // 2, choice.pieces
    sizes = [2 * (words * (n + 1) // count - words * n // count) for n in range(count)]
    return [(BUFFER + GAP * n, size) for n, size in enumerate(sizes)]


def explain(choice: Choice, result: Result) -> str:
    """What the picture shows, in a few sentences."""
    count = tally(result.events)
    by = "It moved every byte itself."
    if choice.way == "dma":
        data = choice.sectors * SECTOR
        by = f"The device moved {count.by_dma} bytes, {data} of them data."
    wait = f"{_many(count.interrupts, 'interrupt')} came." if choice.asleep else "It polled."
    return (
        f"The processor made {count.accesses} accesses for {_many(choice.sectors, 'sector')}."
        f" {by} {wait} The machine's clock says {result.time / 1000:.0f} µs."
    )


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


class DmaExplorer(Shell):
    """Choose a way, a number of sectors and of pieces; see the transfer, and what it cost."""

    def __init__(self, start: Choice | None = None, title: str = "Who moves the bytes") -> None:
        self.start = start or Choice()
        self.state = self.start
        self._title = title
        self._picture, self._says = drawing(), sentence()
        self._way = choice("Way", WAYS, self.start.way)
        self._sectors = number_box("Sectors", self.start.sectors, MOST_SECTORS)
        self._pieces = number_box("Pieces", self.start.pieces, MOST_PIECES)
        self._wait = choice("Wait", (("asleep", True), ("polling", False)), self.start.asleep)
        controls = row(self._way, self._sectors, self._pieces, self._wait)
        super().__init__(
            f"{title}: read sectors by PIO or DMA",
            [self._picture, controls, row(button("Reset", self.reset)), self._says],
        )
        fields = {"way": self._way, "sectors": self._sectors, "pieces": self._pieces}
        for name, control in (fields | {"asleep": self._wait}).items():
            control.observe(partial(self._changed, name), "value")
        self._show()

    def reset(self) -> None:
        """Back to where it started."""
        self._way.value, self._wait.value = self.start.way, self.start.asleep
        self._sectors.value, self._pieces.value = self.start.sectors, self.start.pieces

    def _changed(self, name: str, change: dict[str, Any]) -> None:
        self.state = replace(self.state, **{name: change["new"]})
        self._show()

    def _show(self) -> None:
        result = experiment(self.state)
        drawn = dma_timeline(result.events, 24, self._title, result.names)
        self._picture.value = shown(drawn)
        self._says.value = said(explain(self.state, result))
