"""Task 4 of problem set 3: which ports exit. Judges: the processor's rule, and a guest that runs.

The student's bitmaps go into a real VM. Behind the open ports there are the host's devices, behind
the others virtual ones, and the guest's exits are counted. The library's own `IoBitmap` says what
each bit must be.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import Host, first
from virtlab.course.tasks import Case, Difference, Run, Task, compare, same, shown
from virtlab.devices.uart import Uart16550
from virtlab.guest.uart import COM1, UartDriver
from virtlab.memory import PAGE
from virtlab.vmm.io_bitmap import HALF, PORTS, IoBitmap

LOOK_BIT = "a bit of 1 exits, 0 is open; port p is bit p % 8 of byte p // 8 (SDM 3C 25.6.4)"
LOOK_KEPT = "where both lists name a port, it exits"
LOOK_HALVES = "bitmap A has ports 0 to 7fffh, B has 8000h to ffffh (SDM 3C 25.6.4)"
LOOK_ANY = "the bit of any of its bytes; past ffffh always (SDM 3C 25.6.4, 26.1.3)"

Ports = list[tuple[int, int]]


def reference(direct: Iterable[tuple[int, int]], kept: Iterable[tuple[int, int]]) -> IoBitmap:
    """The library's bitmaps for a policy."""
    bitmap = IoBitmap()
    for first_port, count in direct:
        bitmap.open(first_port, count)
    for first_port, count in kept:
        bitmap.trap(first_port, count)
    return bitmap


def _text(ports: Ports) -> str:
    return "[" + ", ".join(f"({port:#x}, {count:#x})" for port, count in ports) + "]"


def _made(answer: Answer, direct: Ports, kept: Ports) -> IoBitmap | Difference:
    """The student's bitmaps, as the processor will read them, if they are two pages."""
    answer.given = f"bitmaps({_text(direct)}, {_text(kept)})"
    yours = answer.call("bitmaps", list(direct), list(kept))
    pages = yours if type(yours) is tuple and len(yours) == 2 else ()
    if not pages or any(type(page) is not bytes or len(page) != PAGE for page in pages):
        return Difference("a tuple of two bytes, 4096 each", _kinds(yours), LOOK_HALVES)
    bitmap = IoBitmap()
    bitmap.a[:], bitmap.b[:] = pages
    return bitmap


def _kinds(value: object) -> str:
    """What came in place of two pages."""
    if type(value) in (tuple, list):
        items = [
            f"{len(item)} bytes" if type(item) is bytes else type(item).__name__
            for item in list(value)[:4]  # type: ignore[call-overload]
        ]
        return f"a {type(value).__name__} of {', '.join(items) or 'nothing'}"
    return shown(value)


def _bits(answer: Answer, direct: Ports, kept: Ports) -> Difference | None:
    """Every bit of the student's bitmaps."""
    mine, right = _made(answer, direct, kept), reference(direct, kept)
    if isinstance(mine, Difference):
        return mine
    if (mine.a, mine.b) == (right.a, right.b):
        return None
    wrong = next(at for at in range(PORTS) if mine.bit(at) != right.bit(at))
    in_both = right.bit(wrong) and any(at <= wrong < at + count for at, count in direct)
    look = LOOK_KEPT if in_both else LOOK_BIT
    return Difference(_port_text(right, wrong), _port_text(mine, wrong), look)


def _port_text(bitmap: IoBitmap, port: int) -> str:
    """A port's bit as a report shows it: `port 0x3f8 exits: byte 0x7f of A is 0xff`."""
    page, name = (bitmap.a, "A") if port < HALF else (bitmap.b, "B")
    index = port % HALF // 8
    said = "exits" if bitmap.bit(port) else "is open"
    return f"port {port:#x} {said}: byte {index:#x} of {name} is {page[index]:#04x}"


def _policies(*policies: tuple[Ports, Ports]) -> Run:
    return lambda answer, rng: first(_bits(answer, *policy) for policy in policies)


# -- the processor's question


def _question(
    answer: Answer, bitmap: IoBitmap, told: str, port: int, size: int
) -> Difference | None:
    answer.given = f"exits(a, b, {port:#x}, {size}), {told}"
    expected = bitmap.exits(port, size)
    yours = answer.call("exits", bytes(bitmap.a), bytes(bitmap.b), port, size)
    return None if same(expected, yours) else compare(expected, yours, LOOK_ANY)


def _asks(direct: Ports, *questions: tuple[int, int]) -> Run:
    """Questions about the library's bitmaps for a policy."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        bitmap, told = reference(direct, []), f"with {_text(direct)} open"
        return first(_question(answer, bitmap, told, *one) for one in questions)

    return run


# -- a guest


class _Quiet:
    """A device at every port that says nothing."""

    def read(self, offset: int, size: int) -> int:
        """Zero."""
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Nothing happens."""


def _runs(answer: Answer, direct: Ports, kept: Ports, accesses: Ports) -> Difference | None:
    """A guest reads and writes these ports; every exit counts."""
    mine, right = _made(answer, direct, kept), reference(direct, kept)
    if isinstance(mine, Difference):
        return mine
    host = Host()
    vm = host.vm()
    host.ports.map(0, PORTS, _Quiet(), "hardware", width=4)
    vm.ports.map(0, PORTS, _Quiet(), "virtual", width=4)
    vm.io_bitmap.a[:], vm.io_bitmap.b[:] = mine.a, mine.b
    told = answer.given
    for port, size in accesses:
        answer.given = f"{told}; the guest reads and writes {size} bytes at {port:#x}"
        before = vm.vmm.exits.total()
        vm.cpu.inp(port, size)
        vm.cpu.out(port, 0, size)
        counted, expected = vm.vmm.exits.total() - before, 2 * right.exits(port, size)
        if counted != expected:
            look = LOOK_ANY if size > 1 else LOOK_BIT
            return Difference(f"{expected} exits", f"{counted} exits", look)
    return None


def _guest(answer: Answer, rng: Random) -> Difference | None:
    reads: Ports = [
        (0x3F8, 1),
        (0x3FC, 1),
        (0x3FD, 1),
        (0x3F7, 1),
        (0x3FA, 2),
        (0x3FA, 4),
        (0x400, 1),
    ]
    return _runs(answer, [(0x3F8, 8)], [(0x3FC, 1)], reads)


def _driver(answer: Answer, rng: Random) -> Difference | None:
    """The library's driver prints by a UART that the VM has for itself: nothing exits."""
    mine = _made(answer, [(COM1, 8)], [])
    if isinstance(mine, Difference):
        return mine
    host = Host()
    vm = host.vm()
    host.ports.map(COM1, 8, Uart16550(clock=host.clock), "uart")
    vm.io_bitmap.a[:], vm.io_bitmap.b[:] = mine.a, mine.b
    answer.given += "; the guest prints by a UART at 0x3f8"
    driver = UartDriver.at_ports(vm.cpu)
    driver.init()
    driver.write(b"direct")
    exits = vm.vmm.exits.total()
    return Difference("0 exits", f"{exits} exits", LOOK_BIT) if exits else None


def _any_policy(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(5):
        direct, kept = (_any_ports(rng, count) for count in (4, 2))
        edges = [port + by for port, n in direct + kept for by in (-3, -1, 0, n - 1, n)]
        asked = [(at % PORTS, rng.choice((1, 2, 4))) for at in edges]
        bitmap, told = reference(direct, kept), f"with {_text(direct)} open but for {_text(kept)}"
        found = _bits(answer, direct, kept) or _runs(answer, direct, kept, asked)
        if found := found or first(_question(answer, bitmap, told, *one) for one in asked):
            return found
    return None


def _any_ports(rng: Random, count: int) -> Ports:
    """Ranges anywhere, one of them across the middle, often overlapping."""
    starts = [rng.randrange(PORTS - 64) for _ in range(count)]
    starts[0] = HALF - rng.randrange(1, 20)
    starts[-1] = starts[0] + rng.randrange(16)
    return [(start, rng.randrange(1, 40)) for start in starts]


BITMAPS = Task(
    "ps3.q4",
    "which ports exit",
    ("bitmaps", "exits"),
    ("S11", "S18", "S22"),
    lines=15,
    minutes=15,
    difficulty=2,
    points=4,
    cases=(
        Case("nothing is direct", _policies(([], []))),
        Case("eight ports", _policies(([(0x3F8, 8)], []))),
        Case("one port", _policies(([(0x60, 1)], []), ([(0x64, 1)], []), ([(7, 1)], []))),
        Case("two devices", _policies(([(0x60, 1), (0x3F8, 8)], []))),
        Case("bitmap B", _policies(([(0xC000, 0x10)], []), ([(0xFFFF, 1)], []))),
        Case("from A into B", _policies(([(0x7FFC, 8)], []))),
        Case("a register is kept", _policies(([(0x3F8, 8)], [(0x3FC, 1)]))),
        Case("kept, though nobody has it", _policies(([(0x3F8, 8)], [(0x2F8, 8)]))),
        Case("overlaps", _policies(([(0x100, 8), (0x104, 8)], [(0x0FE, 4), (0x106, 1)]))),
        Case("all ports", _policies(([(0, PORTS)], [(0xCF8, 8)]))),
        Case("a guest", _guest),
        Case("a driver", _driver),
        Case("an access of one byte", _asks([(0x3F8, 8)], (0x3F8, 1), (0x3F7, 1), (0x3FF, 1))),
        Case("wide accesses", _asks([(0x3F8, 8)], (0x3F8, 4), (0x3F7, 2), (0x3FF, 2), (0x3FD, 4))),
        Case("across the middle", _asks([(0x7FFC, 8)], (0x7FFF, 2), (0x7FFE, 4), (0x8002, 4))),
        Case("across it, half open", _asks([(0x8000, 8)], (0x7FFF, 2), (0x8000, 4), (0x8004, 1))),
        Case("past the last port", _asks([(0, PORTS)], (0xFFFF, 1), (0xFFFF, 2), (0xFFFD, 4))),
        Case("any policy", _any_policy),
    ),
    hints=(
        "Which value has a byte of the bitmap if all of its eight ports exit? Start with that "
        "everywhere, then open ports one by one.",
        "Both bitmaps together are 8192 bytes in the order of the ports, so make one bytearray and "
        "cut it in two at the end. A bit is cleared by & with all bits but that one.",
        "Go through direct first and clear bits, then through kept and set bits. In exits, look at "
        "each port from port to port + size - 1, as long as that is not past 0xffff; one bit of 1 "
        "is enough.",
    ),
)
