"""Task 1 of problem set 3: one request at three layers. The judge is a VM whose exits are counted.

A guest writes a file in three ways: it asks the VMM at the system call, its driver asks by
hypercall, or it drives an IDE disk by ports. The first two are served by the student's own
functions. Their arguments come from a guest, so the hostile ones are among them.

Small requests are counted on a real VM, exit by exit; `closed_form` says it for the large ones.
"""

from __future__ import annotations

from random import Random

from virtlab.backends.disk import SECTOR, Disk
from virtlab.course.answers import Answer
from virtlab.course.ps3.layer_counts import (
    CALL_BYTES,
    CALL_SECTORS,
    any_count,
    closed_form,
    counts,
    decimal,
)
from virtlab.course.ps3.machines import PATTERN, Host, Memory, first
from virtlab.course.tasks import Case, Difference, Run, Task, same
from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.exits import Exit, VmcallExit
from virtlab.vmm.vcpu import Resume, Vmcall

LOOK_SHADOW = "a guest's numbers are checked in the table's order, before anything moves"
LOOK_MOVED = "all of it, or nothing: where the answer is an error, no byte has moved"

EBADF, EFAULT, EINVAL, ENOSYS, EIO = -9, -14, -22, -38, -5

RAM_PAGES, DISK_SECTORS = 8, 64


# -- how many exits: counted on a VM, and as a formula


# -- the shadow I/O routine


class _Files:
    """A guest's memory and its open files, as the VMM keeps them."""

    def __init__(self, answer: Answer, rng: Random) -> None:
        self.answer = answer
        self.ram = GuestMemory(RAM_PAGES * PAGE)
        self.ram.write(0, rng.randbytes(self.ram.size))
        self.memory = Memory(self.ram)
        self.files = {3: bytearray(), 5: bytearray(b"old")}

    def write(self, number: int, buffer: int, length: int) -> Difference | None:
        """One system call, and what it must leave in the files."""
        before = {name: bytes(data) for name, data in self.files.items()}
        n = min(length, CALL_BYTES)
        expected = n
        if number not in before:
            expected = EBADF
        elif buffer + n > self.ram.size:
            expected = EFAULT
        else:
            before[number] += self.ram.read(buffer, n)
        self.answer.given = f"shadow_write(memory, files, {number}, {buffer:#x}, {length:#x})"
        self.answer.given += f"; files 3 and 5 are open, memory.size is {self.ram.size:#x}"
        yours = self.answer.call("shadow_write", self.memory, self.files, number, buffer, length)
        if not same(expected, yours):
            return Difference(str(expected), decimal(expected, yours), LOOK_SHADOW)
        return self._contents(before)

    def _contents(self, right: dict[int, bytes]) -> Difference | None:
        if self.files.keys() != right.keys():
            return Difference(f"files {list(right)}", f"files {list(self.files)}", LOOK_MOVED)
        for name, data in right.items():
            mine = self.files[name]
            if type(mine) not in (bytes, bytearray) or bytes(mine) != data:
                said = f"file {name} ends with {len(data)} bytes: ...{data[-4:].hex(' ')}"
                seen = f"{len(mine)} bytes: ...{bytes(mine[-4:]).hex(' ')}"
                return Difference(said, seen, LOOK_MOVED)
        return None


def _writes(*calls: tuple[int, int, int]) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        files = _Files(answer, rng)
        return first(files.write(*call) for call in calls)

    return run


def _application(answer: Answer, rng: Random) -> Difference | None:
    """An application writes 10,000 bytes, call by call, until all are written; exits count."""
    files = _Files(answer, rng)
    data, vm = files.ram.read(0x100, 10_000), Host().vm()

    def serve(exit: Exit) -> Resume:
        assert isinstance(exit, VmcallExit)
        value = answer.call("shadow_write", files.memory, files.files, *exit.arguments)
        return Resume(value if type(value) is int else EFAULT)

    vm.vmm.handlers[VmcallExit] = serve
    answer.given = "an application writes 10000 bytes from 0x100, until all are written"
    done = 0
    for _ in range(10):
        if done < len(data):
            done += max(vm.cpu.finish(Vmcall(4, (3, 0x100 + done, len(data) - done))) or 0, 0)
    exits, fewest = vm.vmm.exits.total(), closed_form("system call", len(data), 0)
    answer.note_cost("exits", exits, fewest)
    if exits != fewest:
        return Difference(f"{fewest} exits", f"{exits} exits", LOOK_SHADOW)
    return files._contents({3: data, 5: b"old"})


# -- the hypercall


class _Disk:
    """A guest's memory, and the disk that its driver reaches by hypercall."""

    def __init__(self, answer: Answer, rng: Random) -> None:
        self.answer = answer
        self.ram = GuestMemory(RAM_PAGES * PAGE)
        self.ram.bytes[:] = PATTERN
        self.ram.write(0x1000, rng.randbytes(0x4000))
        self.disk = Disk.of(rng.randbytes(DISK_SECTORS * SECTOR))
        self.memory = Memory(self.ram)

    def call(self, number: int, sector: int, count: int, gpa: int) -> Difference | None:
        """One hypercall; afterwards memory and disk are as they must be."""
        ram, image = GuestMemory(self.ram.size), Disk.of(self.disk.read(0, DISK_SECTORS))
        ram.write(0, self.ram.read(0, self.ram.size))
        expected = self._expected(number, sector, count, gpa)
        if expected > 0 and number == 0:
            ram.write(gpa, image.read(sector, count))
        elif expected > 0:
            image.write(sector, ram.read(gpa, count * SECTOR))
        asked = f"hypercall(memory, disk, {number}, {sector:#x}, {count:#x}, {gpa:#x})"
        told = f"disk.sectors is {DISK_SECTORS:#x}, memory.size {ram.size:#x}"
        self.answer.given = f"{asked}; {told}"
        yours = self.answer.call("hypercall", self.memory, self.disk, number, sector, count, gpa)
        if not same(expected, yours):
            return Difference(str(expected), decimal(expected, yours), LOOK_SHADOW)
        if self.disk.read(0, DISK_SECTORS) != image.read(0, DISK_SECTORS):
            return Difference("the disk as the call says", "other sectors", LOOK_MOVED)
        if self.ram.read(0, ram.size) != ram.read(0, ram.size):
            return Difference("memory as the call says", "other bytes", LOOK_MOVED)
        return None

    def _expected(self, number: int, sector: int, count: int, gpa: int) -> int:
        """The answer, by the table's order."""
        if number not in (0, 1):
            return ENOSYS
        if not 1 <= count <= CALL_SECTORS:
            return EINVAL
        if sector + count > DISK_SECTORS:
            return EIO
        return EFAULT if gpa + count * SECTOR > self.ram.size else count


def _calls(*calls: tuple[int, int, int, int]) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        driver = _Disk(answer, rng)
        return first(driver.call(*call) for call in calls)

    return run


def _first_question(answer: Answer, rng: Random) -> Difference | None:
    """Several questions are not met; the first of them gives the answer."""
    calls = ((0, 64, 1, 0x8000), (2, 64, 0, 0x8000), (1, 0xFFFF_FFFF, 17, 0xFFFF_FFFF))
    files, driver = _Files(answer, rng), _Disk(answer, rng)
    return files.write(4, 0x9000, 8) or first(driver.call(*call) for call in calls)


ANY_NUMBER = (0, 1, 2, 15, 16, 17, 63, 64, 0x7000, 0x7FFF, 0x8000, 0x7FFF_FFFF, 0xFFFF_FFFF)


def _hostile(answer: Answer, rng: Random) -> Difference | None:
    """Numbers that a guest may put into its registers, near every edge."""
    files, driver = _Files(answer, rng), _Disk(answer, rng)
    for _ in range(40):
        a, b, c, d = (rng.choice(ANY_NUMBER) for _ in range(4))
        found = files.write(rng.choice((3, 5, a)), b, max(c, 1))
        if found := found or driver.call(rng.choice((0, 1, a)), b, rng.choice((1, 16, c)), d):
            return found
    return None


REQUEST = Task(
    "ps3.q1",
    "one request at three layers",
    ("count_exits", "shadow_write", "hypercall"),
    ("S08", "S09", "S10"),
    lines=30,
    minutes=30,
    difficulty=2,
    points=5,
    cases=(
        Case("one system call", counts("system call", (4096, 1), (1, 1))),
        Case("several system calls", counts("system call", (4097, 1), (100_000, 3))),
        Case("hypercalls", counts("driver call", (512, 1), (8192, 1), (8193, 1), (70_000, 2))),
        Case("one sector by ports", counts("I/O operation", (512, 1), (1, 1), run=True)),
        Case("more polls", counts("I/O operation", (512, 3), run=True)),
        Case("sectors by ports", counts("I/O operation", (2048, 1), (1025, 2), run=True)),
        Case("several commands", counts("I/O operation", (131_072, 2), (131_073, 2))),
        Case("any request", any_count),
        Case("a system call is served", _writes((3, 0x200, 100), (5, 0, 7), (3, 0x4001, 4096))),
        Case("no such file", _writes((4, 0x200, 100))),
        Case("a buffer outside", _writes((3, 0x7F00, 0x101), (3, 0x10_0000, 1))),
        Case("a buffer that ends with memory", _writes((3, 0x7F00, 0x100), (3, 0x8000, 0))),
        Case("a long write", _writes((3, 0x1000, 5000), (5, 0x7000, 0xFFFF_FFFF))),
        Case("an application", _application, costs=True),
        Case("a hypercall reads", _calls((0, 7, 2, 0x1000), (0, 63, 1, 0x7E00))),
        Case("a hypercall writes", _calls((1, 3, 1, 0x1000), (1, 48, 16, 0x2000))),
        Case("no such hypercall", _calls((2, 3, 1, 0x1000), (0xFFFF_FFFF, 0, 0, 0))),
        Case("too many sectors, or none", _calls((0, 3, 17, 0x1000), (1, 3, 0, 0x1000))),
        Case("sectors that are not there", _calls((0, 63, 2, 0x1000), (1, 64, 1, 0x1000))),
        Case("memory that is not there", _calls((0, 3, 1, 0x7E01), (1, 3, 16, 0x8000))),
        Case("the first question counts", _first_question),
        Case("hostile numbers", _hostile),
    ),
    hints=(
        "Write the count for one layer at a time. How many sectors are 513 bytes? Then how many "
        "commands are 257 sectors? Both are divisions that round up.",
        "Rounding up is -(-a // b) for whole numbers. In the handlers, say first how many bytes "
        "will move, then ask whether all of them are the guest's. Each question is one if with its "
        "own return.",
        "A disk command costs 6 writes and one more round of polls at its end; a sector costs a "
        "round of polls and 256 words. In shadow_write the bytes are the smaller of length and "
        "4096, and it is their end that must not lie past memory.size. In hypercall keep the four "
        "questions in the table's order, and move data only after the last.",
    ),
)
