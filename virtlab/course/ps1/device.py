"""Task 7 of problem set 1: a device of your own. The judge is `Counter`, declared in a few lines.

Both devices get the same accesses, and every read is compared. The first read that differs is the
failure. The last cases are what no driver does, every offset near an edge with every size, and a
long run of accesses at random.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer, Built
from virtlab.course.tasks import Case, Difference, Run, Task, compare, same, shown
from virtlab.registers import Reg, RegisterFile
from virtlab.wire import Bits, all_ones

ALL = all_ones(4)
OFFSETS = (0x00, 0x04, 0x08, 0x0C)
IDENT = 0x544E4356
"""What ID reads: the bytes 56 43 4e 54, "VCNT"."""


class Counter(RegisterFile):
    """The judge: the device that the text of task 7 describes."""

    ID = Reg(0x00, 4, reset=IDENT)
    SCRATCH = Reg(0x04, 4, rw=ALL)
    COUNT = Reg(0x08, 4)
    STATUS = Reg(0x0C, 4, w1c=0b11, fields={"WRITTEN": Bits(0), "REFUSED": Bits(1)})

    def write_ID(self, old: int, new: int) -> None:
        """A read-only register was written."""
        self.STATUS |= Counter.STATUS.REFUSED.mask

    write_COUNT = write_ID

    def write_SCRATCH(self, old: int, new: int) -> None:
        """Count the write, and remember that there was one."""
        self.COUNT += 1
        self.STATUS |= Counter.STATUS.WRITTEN.mask


Step = tuple[str, int, int, int]
"""A verb ("read" or "write"), an offset, a size, and the value written."""


class _Twins:
    """The student's device and the judge, given the same accesses."""

    def __init__(self, answer: Answer, given: str = "") -> None:
        self.answer = answer
        self.judge = Counter()
        self.given = given
        self.steps: list[str] = []
        self._tell()
        self.device: Built = answer.build("Counter")

    def step(self, verb: str, offset: int, size: int, value: int = 0) -> Difference | None:
        """One access to both: the difference of what they read, if any."""
        number = len(self.steps)
        if verb == "write":
            self.steps.append(f"write {offset:#x}/{size} <- {value:#x}")
            self._tell()
            self.judge.write(offset, size, value)
            self.device.call("write", offset, size, value)
            return None
        self.steps.append(f"read {offset:#x}/{size}")
        self._tell()
        expected = self.judge.read(offset, size)
        yours = self.device.call("read", offset, size)
        self.steps[-1] += f" -> {expected:#x}"
        if same(expected, yours):
            return None
        found = compare(expected, yours, _row_of(offset, size))
        access = f"access {number}: read {offset:#x}/{size} -> expected {shown(expected)}, yours "
        return found and found._replace(access=access + shown(yours))

    def _tell(self) -> None:
        """Say which accesses were made; of a long run, the last ones."""
        cut = "... " if len(self.steps) > 6 else ""
        said = "; ".join(self.steps[-6:])
        self.answer.given = self.given + (f"accesses: {cut}{said}" if said else "Counter()")


def _row_of(offset: int, size: int) -> str:
    """The rows of the register table that an access covers."""
    under = [
        reg for reg in Counter.registers if reg.offset < offset + size and offset < reg.offset + 4
    ]
    names = " and ".join(reg.name for reg in under)
    if not under:
        return "offsets from 0x10 read as zero and ignore writes"
    return f"{names} in the table of registers; byte {offset:#x} is the lowest of the value"


def _runs(*steps: Step) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        twins = _Twins(answer)
        return next((found for step in steps if (found := twins.step(*step))), None)

    return run


def _r(offset: int, size: int = 4) -> Step:
    return "read", offset, size, 0


def _w(offset: int, value: int, size: int = 4) -> Step:
    return "write", offset, size, value


def _two_devices(answer: Answer, rng: Random) -> Difference | None:
    """What is written to one device, another one knows nothing of."""
    _Twins(answer).step("write", 4, 4, 0xCAFEF00D)
    return _Twins(answer, "another Counter() was written before; a new one, ").step("read", 4, 4)


def _all_registers(twins: _Twins) -> Difference | None:
    return next((found for offset in OFFSETS if (found := twins.step("read", offset, 4))), None)


def _any_access(answer: Answer, rng: Random) -> Difference | None:
    """A long run of accesses at random, half of them within the registers."""
    twins = _Twins(answer)
    for _ in range(250):
        size, offset = rng.choice((1, 2, 4)), rng.randrange(0x14)
        value = rng.getrandbits(8 * size)
        if found := twins.step(rng.choice(("read", "write")), offset, size, value):
            return found
    return _all_registers(twins)


def _hostile(answer: Answer, rng: Random) -> Difference | None:
    """What no driver does: every offset near an edge, and far outside, with every size."""
    twins = _Twins(answer)
    far = [0x1000, 0xFFFF, 0xFFFF_FFFF, 1 << 51, rng.getrandbits(40) + 0x10]
    for offset in [*range(0x18), *far]:
        for size in (1, 2, 4):
            twins.step("write", offset, size, all_ones(size))
            if found := twins.step("read", offset, size):
                return found
    return _all_registers(twins)


DEVICE = Task(
    "ps1.q7",
    "a device of your own",
    ("Counter",),
    ("S01", "S03"),
    lines=25,
    minutes=45,
    difficulty=4,
    points=7,
    cases=(
        Case("ID", _runs(_r(0))),
        Case("ID byte by byte", _runs(_r(0, 1), _r(1, 1), _r(2, 1), _r(3, 1), _r(2, 2))),
        Case("SCRATCH keeps a value", _runs(_w(4, 0xCAFEF00D), _r(4))),
        Case("a new device starts at 0", _two_devices),
        Case("a byte of SCRATCH", _runs(_w(4, 0x11223344), _w(5, 0x99, 1), _r(4), _r(5, 1))),
        Case("COUNT counts writes", _runs(_r(8), _w(4, 1), _w(4, 1), _w(7, 2, 1), _r(4), _r(8))),
        Case("STATUS.WRITTEN", _runs(_r(12), _w(4, 5), _r(12), _r(12))),
        Case("read-only registers", _runs(_w(0, 0), _w(8, 9), _r(0), _r(8))),
        Case("STATUS.REFUSED", _runs(_w(9, 0xFF, 1), _r(12))),
        Case("a written 1 clears", _runs(_w(4, 5), _w(0, 5), _w(12, 1), _r(12), _w(12, 0), _r(12))),
        Case("reserved bits of STATUS", _runs(_w(12, ALL), _w(13, 0xFF, 1), _r(12))),
        Case(
            "an access over two registers",
            _runs(_r(2, 4), _w(2, 0xAABBCCDD), _r(4), _r(12), _w(10, 0xFFFFFFFF), _r(12), _r(8)),
        ),
        Case("outside", _runs(_r(0x10), _w(0x10, 1), _r(0x10), _r(0x0E, 4), _r(0x4000, 2))),
        Case("hostile accesses", _hostile),
        Case("any accesses", _any_access),
    ),
    hints=(
        "Do one register at a time: ID first, and at first only its reads of 4 bytes. Run the "
        "check after each step; its cases come in that order.",
        "Sizes and odd offsets need no cases of their own if you work in bytes: a read is made of "
        "size bytes, each found by its own offset, the lowest address in the lowest bits.",
        "Keep the 16 bytes in a bytearray. For a write, first change each byte by the rule of task "
        "6. Side effects come once an access for each register touched, the lower one first: "
        "compare the access's first and last offset with the register's.",
    ),
)
