"""Right answers to tasks 1 to 3 of problem set 6 that are not the solution."""

import pytest

from tests.course.answers import notebook, right, sources
from virtlab.course.checks import check


def other(source):
    """What the solutions define, and `source` on top: an answer of another style."""
    names = right()
    exec(source, names)
    return names


LIBRARY_WALK = """
from virtlab.course.ps6.second_level import UNIT
from virtlab.iommu.layouts import CONTEXT
from virtlab.iommu.walk import Start, descend, judged
from virtlab.errors import DmaFault

class Bounded:
    def __init__(self, memory):
        self.memory = memory
    def load(self, gpa, size):
        if gpa + size > self.memory.size:
            raise DmaFault("no memory there", gpa, size)
        return self.memory.load(gpa, size)

def translate(memory, context, iova, write):
    entry = int.from_bytes(context, "little")
    levels = CONTEXT.AW.get(entry) + 2
    if not UNIT.supports(levels):
        return "fault", 3
    if iova.bit_length() > 12 + 9 * levels:
        return "fault", 4
    start = Start(levels, entry & CONTEXT.SLPTPTR.mask)
    walk = judged(descend(Bounded(memory), UNIT, start, iova, write), write)
    return ("gpa", walk.gpa) if walk.reason is None else ("fault", int(walk.reason))
"""

DEEPER = """
def translate(memory, context, iova, write):
    low, high = (int.from_bytes(context[at:at + 8], "little") for at in (0, 8))
    depth = {1: 3, 2: 4, 3: 5}.get(high & 7)
    if depth is None:
        return "fault", 3
    if iova >= 1 << 12 + 9 * depth:
        return "fault", 4
    return down(memory, low >> 12 << 12 & (1 << 52) - 1, depth, depth, iova, write)

def down(memory, table, level, depth, iova, write):
    low = 12 + 9 * (level - 1)
    at = table + (iova >> low & 511) * 8
    if not 0 <= at <= memory.size - 8:
        return "fault", 7 if level < depth else 3
    entry = int.from_bytes(memory.read(at, 8), "little")
    bits = [bit for bit in range(64) if entry >> bit & 1]
    if (1 if write else 0) not in bits:
        return "fault", 6 - write
    last = level == 1 or 7 in bits
    forbidden = {11, 62, *range(46, 52)} | ({7} if level in (4, 5) else set())
    forbidden |= set(range(12, low)) if last else set()
    if forbidden & set(bits):
        return "fault", 12
    where = entry % (1 << 52) >> 12 << 12
    if not last:
        return down(memory, where, level - 1, depth, iova, write)
    gpa = where + (iova & (1 << low) - 1)
    return ("fault", 14) if 0xFEE00000 <= gpa <= 0xFEEFFFFF else ("gpa", gpa)
"""

LIBRARY_DOMAIN = """
from virtlab.guest.vtd_tables import Domain
from virtlab.iommu.capabilities import Capabilities

class Cpu:
    def __init__(self, d):
        self.d = d
        self.load, self.read = d.memory.load, d.memory.read
    def store(self, gpa, value, size):
        self.d.memory.store(gpa, size, value)
    def take(self, count=1):
        gpa = self.d.take_page()
        self.d.memory.write(gpa, bytes(4096))
        return gpa

def domain(d):
    made = Domain.__new__(Domain)
    made.cpu = made.pages = Cpu(d)
    made.number, made.levels, made.table = d.number, d.levels, d.table
    made.large_levels, made.width, made.host_width = (), 12 + 9 * d.levels, 46
    return made

def map_pages(d, iova, gpa, length, rights):
    try:
        domain(d).map(iova, gpa, length, bool(rights & 1), bool(rights & 2))
    except ValueError:
        return False
    if d.caching_mode:
        d.invalidate(d.number, iova, length)
    return True

def unmap_pages(d, iova, length):
    length = min(length, (1 << 12 + 9 * d.levels) - iova)
    if length <= 0:
        return
    here = domain(d)
    gone = [page.gpa for page in here.mapped(iova, length)]
    here.unmap(iova, length)
    d.invalidate(d.number, iova, length)
    for gpa in gone:
        d.free(gpa)
"""

HALVES = """
def walk_down(d, iova):
    tables = [d.table]
    for shift in range(3 + 9 * d.levels, 12, -9):
        entry = d.memory.load(tables[-1] + (iova >> shift) % 512 * 8, 8)
        if entry & 3 == 0:
            break
        tables.append(entry >> 12 << 12 & (1 << 52) - 1)
    return tables

def slot(d, iova):
    tables = walk_down(d, iova)
    return tables[-1] + (iova >> 12) % 512 * 8 if len(tables) == d.levels else None

def put(d, at, entry):
    halves = (at + 4, entry >> 32), (at, entry & 0xFFFFFFFF)
    for half, value in halves if entry else halves[::-1]:
        d.memory.store(half, 4, value)

def map_pages(d, iova, gpa, length, rights):
    if (iova + length - 1) >> 12 + 9 * d.levels:
        return False
    pages = range(0, length, 4096)
    slots = [slot(d, iova + at) for at in pages]
    if any(at and d.memory.load(at, 4) & 3 for at in slots):
        return False
    for at in pages:
        while (here := slot(d, iova + at)) is None:
            tables = walk_down(d, iova + at)
            page = d.take_page()
            for number in range(512):
                d.memory.store(page + 8 * number, 8, 0)
            shift = 3 + 9 * (d.levels - len(tables) + 1)
            put(d, tables[-1] + (iova + at >> shift) % 512 * 8, page | 3)
        put(d, here, gpa + at | rights)
    if d.caching_mode:
        d.invalidate(d.number, 0, 1 << 12 + 9 * d.levels)
    return True

def unmap_pages(d, iova, length):
    gone = []
    for at in range(iova, iova + length, 4096):
        if at >> 12 + 9 * d.levels:
            break
        here = slot(d, at)
        entry = d.memory.load(here, 8) if here else 0
        if entry & 3:
            put(d, here, 0)
            gone.insert(0, entry - entry % 4096)
    d.invalidate(d.number, 0, 1 << 12 + 9 * d.levels)
    while gone:
        d.free(gone.pop())
"""

WHILE_PENDING = """
import struct

def decode_fault(record):
    page, source, _, reason, flags = struct.unpack("<QHHB2xB", record)
    if flags < 128:
        return None
    place = "%02x:%02x.%x" % (source >> 8, source >> 3 & 31, source & 7)
    if reason // 16 == 2:
        return place, "interrupt", page >> 48, reason
    return place, ("write", "read")[flags >> 6 & 1], page - page % 4096, reason

def read_faults(cpu, base):
    low, high = cpu.load(base + 8, 4), cpu.load(base + 12, 4)
    fro, count = ((high & 3) << 8 | low >> 24) * 16, (high >> 8 & 255) + 1
    faults, lost = [], False
    while (status := cpu.load(base + 0x34, 4)) & 3:
        first = status >> 8 & 255
        for number in range(first, first + count):
            at = base + fro + number % count * 16
            if cpu.load(at + 12, 4) >> 31:
                words = [cpu.load(at + n, 4) for n in (0, 4, 8, 12)]
                faults.append(decode_fault(struct.pack("<4I", *words)))
                cpu.store(at + 8, 1 << 63, 8)
        lost = lost or bool(status & 1)
        cpu.store(base + 0x34, 1, 4)
    return faults, lost
"""


@pytest.mark.parametrize(
    ("task", "source"),
    [
        ("ps6.q1", LIBRARY_WALK),
        ("ps6.q1", DEEPER),
        ("ps6.q2", LIBRARY_DOMAIN),
        ("ps6.q2", HALVES),
        ("ps6.q3", WHILE_PENDING),
    ],
    ids=["the library's walk", "recursive", "the library's domain", "in halves", "while pending"],
)
@pytest.mark.parametrize("seed", range(3))
def test_an_answer_of_another_style_passes(task, source, seed):
    assert check(task, seed=seed, namespace=other(source)).ok


@pytest.mark.parametrize(
    ("task", "piece", "instead"),
    [
        ("ps6.q1", "page = level == 1 or entry & PS", "page = bool(entry & PS)"),
        ("ps6.q1", "at + 8 > memory.size", "at > memory.size - 8"),
        ("ps6.q2", "gpa + offset | rights)", "gpa + offset | rights | 0x80)"),
        ("ps6.q2", "    if found:\n        d.inv", "    if True:\n        d.inv"),
        ("ps6.q2", "    for at, _ in found:\n", "    for at, _ in reversed(found):\n"),
        ("ps6.q3", "    faults = []\n",
         "    faults = []\n    if not cpu.load(base + 0x34, 4) & 2:\n        return [], False\n"),
        ("ps6.q3", "cpu.store(at + 12, 1 << 31, 4)", "cpu.store(at + 8, high, 8)"),
        ("ps6.q3", "    if lost:\n", "    if True:\n"),
    ],
)  # fmt: skip
def test_what_makes_no_difference_is_no_mistake(task, piece, instead):
    source = sources(notebook("solutions", "ps06"))[task]
    assert piece in source
    assert check(task, seed=1, namespace=other(source.replace(piece, instead))).ok
