"""Task 6 of problem set 2: read the disk without the processor. Judges: the rules, and memory.

First the table alone: any table is right that names the bytes in order and keeps the rules. Then
the whole read, on a disk that takes its time. Memory counts, all of it: the sectors where they were
wanted, and every other byte as before. The report names the first wrong byte.
"""

from __future__ import annotations

from random import Random

import numpy as np

from virtlab.course.answers import Answer
from virtlab.course.ps2.machines import COMMANDS, PATTERN, RAM, DiskMachine
from virtlab.course.ps2.regions import Pieces, any_pieces, check_table, pieces_text
from virtlab.course.tasks import Case, Difference, Run, Task, compare, same
from virtlab.devices.ata import BusMasterRegisters, Command
from virtlab.devices.ata.registers import COMMAND, SECTOR_COUNT

LOOK_STEPS = "table, direction, status, command, start; in this order (Bus Master IDE 1.0, 3.1)"
LOOK_DRIVE = "count in 1f2h; number in 1f3h, 1f4h, 1f5h and bits 3:0 of 1f6h (ATA-6, LBA)"
LOOK_WAIT = "the data is there when BMISTA bit 2, INTERRUPT, is 1 (Bus Master IDE 1.0, 2.2)"
LOOK_FAILED = "BMISTA bit 1, and ERR, bit 0 of STATUS, port 1f7h (Bus Master IDE 1.0, 2.2; ATA-6)"
LOOK_END = "stop the bus master; a read of STATUS acknowledges (Bus Master IDE 1.0, 3.1; ATA-6)"

TASK_FILE = range(COMMANDS + SECTOR_COUNT.offset, COMMANDS + COMMAND.offset)
"""The ports that say which sectors are meant."""

TABLE = 0x8000
"""Where the table goes in the fixed cases."""


PORT_WRITES = 11
"""What a read writes: three of the bus master's registers, six of the drive's, start and stop."""


def _tables(*pieces: tuple[int, int]) -> Run:
    return lambda answer, rng: check_table(answer, list(pieces))


# -- the read


class _Read:
    """A machine, and what memory must be after each read."""

    def __init__(self, answer: Answer, base: int = 0xC000, table: int = TABLE) -> None:
        self.answer = answer
        self.machine = DiskMachine(base)
        self.table = table
        self.expected = self.machine.ram.bytes.copy()

    def read(self, sector: int, pieces: Pieces, works: bool = True) -> Difference | None:
        """Let the student read; look at the answer, at memory, and at what is left behind."""
        machine = self.machine
        arguments = f"{machine.base:#x}, {self.table:#x}, {sector:#x}, {pieces_text(pieces)}"
        self.answer.given = f"read_disk(cpu, {arguments})"
        yours = self.answer.call(
            "read_disk", machine.cpu, machine.base, self.table, sector, list(pieces)
        )
        if works:
            self._fill(sector, pieces)
            if found := self._memory():
                return found
        if not same(works, yours):
            return compare(works, yours, LOOK_FAILED)
        ports = [one for one in machine.cpu.accesses if one.write and one.region == "port"]
        self.answer.note_cost("writes to ports", len(ports), PORT_WRITES)
        return self._end()

    def _fill(self, sector: int, pieces: Pieces) -> None:
        """What the disk has goes to where it is wanted; of the table nothing is asked."""
        total = sum(length for _, length in pieces)
        data = np.frombuffer(self.machine.disk.read(sector, total // 512), np.uint8)
        for gpa, length in pieces:
            self.expected[gpa : gpa + length], data = data[:length], data[length:]

    def _memory(self) -> Difference | None:
        ram = self.machine.ram
        kept = slice(self.table, self.table + 0x800)
        self.expected[kept] = ram.bytes[kept]
        gpa = self.machine.changed(self.expected)
        if gpa is None:
            return None
        right = self.expected[gpa : gpa + 4].tobytes()
        mine = ram.read(gpa, 4)
        where, access = self._step(arrived=mine[0] != PATTERN)
        said, seen = (f"at {gpa:#x} the bytes {data.hex(' ')}" for data in (right, mine))
        return Difference(said, seen, where, access)

    def _step(self, arrived: bool) -> tuple[str, str]:
        """The first step that was not made, as far as can be seen; else how it ended.

        Where wrong bytes have `arrived`, what the drive was asked for.
        """
        machine = self.machine
        writes = [access for access in machine.cpu.accesses if access.write]
        commands = [a for a in writes if a.address == COMMANDS + COMMAND.offset]
        starts = [a for a in writes if a.address == machine.base and a.value & 1]
        if machine.master.BMIDTP != self.table:
            return LOOK_STEPS, f"BMIDTP is {machine.master.BMIDTP:#x}, not the table's address"
        if not commands or commands[-1].value != Command.READ_DMA:
            last = f"the last: {commands[-1]}" if commands else "none was given"
            return LOOK_STEPS, f"no command READ DMA, c8h, to port 0x1f7; {last}"
        if not starts:
            return LOOK_STEPS, f"START, bit 0 of port {machine.base:#x}, was never set"
        if arrived:
            asked = {a.address: a.value for a in writes if a.address in TASK_FILE}
            ports = [f"port {port:#x} {value:#x}" for port, value in sorted(asked.items())]
            return LOOK_DRIVE, f"the drive was given {', '.join(ports)}"
        return LOOK_WAIT, f"the last access: {machine.cpu.last()}; then read_disk returned"

    def _end(self) -> Difference | None:
        """It went the right way; then it was stopped, and the drive's interrupt acknowledged."""
        machine, bits = self.machine, BusMasterRegisters.BMICOM
        starts = [a for a in machine.cpu.accesses if a.write and a.address == machine.base]
        wrong = [a for a in starts if bits.START.get(a.value) and not bits.TO_MEMORY.get(a.value)]
        if wrong:
            said = f"access {wrong[-1].seq}: {wrong[-1]}"
            return Difference("bit 3 of BMICOM, to memory, is 1", "it is 0", LOOK_STEPS, said)
        if bits.START.get(machine.master.BMICOM):
            return Difference("BMICOM bit 0 is 0 at the end", "it is 1", LOOK_END)
        if machine.irq.level:
            return Difference("the drive's interrupt line is low at the end", "high", LOOK_END)
        return None


def _reads(*asked: tuple[int, Pieces]) -> Run:
    """Reads, one after another on one machine."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        board = _Read(answer)
        return next((found for one in asked if (found := board.read(*one))), None)

    return run


def _other_sectors(answer: Answer, rng: Random) -> Difference | None:
    """Numbers that use all 28 bits, each on a machine of its own."""
    numbers = (0x1234567, 0xFEDCBA9, 0x10)
    reads = (_Read(answer).read(number, [(0x20000, 512)]) for number in numbers)
    return next((found for found in reads if found), None)


def _no_such_sector(answer: Answer, rng: Random) -> Difference | None:
    board = _Read(answer)
    last = board.machine.disk.sectors - 1
    return board.read(last, [(0x20000, 1024)], works=False) or board.read(7, [(0x20000, 512)])


def _no_such_memory(answer: Answer, rng: Random) -> Difference | None:
    return _Read(answer).read(3, [(RAM[1] + 0x10000, 512)], works=False)


def _any_read(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(3):
        board = _Read(
            answer, base=rng.randrange(0x1000, 0xF000, 16), table=rng.randrange(0, 0x8000, 4)
        )
        for _ in range(2):
            sector, pieces = rng.randrange(1 << 28), any_pieces(rng, rng.randrange(1, 40))
            if found := check_table(answer, pieces) or board.read(sector, pieces):
                return found
    return None


READ_DISK = Task(
    "ps2.q6",
    "read the disk without the processor",
    ("prd_table", "read_disk"),
    ("S04", "S05"),
    lines=30,
    minutes=35,
    difficulty=4,
    points=6,
    cases=(
        Case("a table of one piece", _tables((0x20000, 0x200))),
        Case("three pieces, in their order", _tables((0x30000, 0x200), (0x2000, 2), (0x9000, 8))),
        Case("a piece that ends at a border", _tables((0x2FE00, 0x200), (0x30000, 0x200))),
        Case("a piece across a border", _tables((0x2FF00, 0x200))),
        Case("64 KiB in one piece", _tables((0x40000, 0x10000))),
        Case("a piece across two borders", _tables((0x1FFFE, 0x10004), (0x50000, 0x20000))),
        Case("one sector", _reads((0, [(0x20000, 512)]))),
        Case("another sector", _other_sectors),
        Case("four sectors", _reads((5, [(0x30000, 2048)])), costs=True),
        Case("a sector in three pieces", _reads((9, [(0x40002, 2), (0x3000, 500), (0x50000, 10)]))),
        Case("across a border", _reads((0x77, [(0x2FE02, 1024)]))),
        Case("256 sectors", _reads((0x100, [(0x20000, 0x20000)]))),
        Case("a second read", _reads((1, [(0x20000, 512)]), (2, [(0x21000, 512)]))),
        Case("a sector that is not there", _no_such_sector),
        Case("memory that is not there", _no_such_memory),
        Case("any read", _any_read),
    ),
    hints=(
        "Do the table first; its cases come first. How many bytes are there from gpa to the next "
        "multiple of 65536? A region ends there at the latest.",
        "For the read, follow the six steps in their order, with one line for each write. Nothing "
        "moves before the bus master is started *and* the drive has its command.",
        "Cut pieces in a loop: n is the smaller of what is left and 65536 - gpa % 65536; the count "
        "is n & 0xffff. Poll base + 2 until bit 1 or bit 2 is set, stop the bus master, read "
        "STATUS once, and give back whether neither of the two error bits was set.",
    ),
)
