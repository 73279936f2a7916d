"""100,000 accesses to random hostile tables: one at a time, a batch, and the model say the same.

Each case is a memory of six frames full of entries that point at each other, at themselves, past
the end, with reserved bits here and there; and addresses, most of which lead through them.
"""

import numpy as np
import pytest

from tests.vmm import hostile, paging_model
from tests.vmm.paging_model import Processor, marked
from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.ept import Ept
from virtlab.vmm.exits import EptViolation, ShadowFault
from virtlab.vmm.guest_paging import GuestFault, Paging4Level, Paging32
from virtlab.vmm.shadow import ShadowPageTable
from virtlab.vmm.table_memory import PlainMemory

ROUNDS, EACH = 250, 100
"""Four kinds of table, so many memories each, so many addresses in each: 100,000 accesses."""

ODD_8 = (3, 6, 7, 12, 13, 20, 29, 45, 46, 51, 52, 62, 63)
ODD_4 = (3, 6, 7, 12, 13, 21, 22, 31)


CODES = {0, 2, 4, 6, 3, 5, 7, 9, 11, 13, 15}
"""Error codes that data accesses can push: a supervisor's read is always allowed, so 1 is none."""


def content(rng, low, odd, top, last):
    """Three entries in each of six frames; bits `odd` are seldom set, `last` is the last index."""
    found = {}
    for frame in range(paging_model.FRAMES):
        for index in (0, 1, last):
            entry = int(rng.integers(paging_model.FRAMES + 1)) << 12 | int(rng.choice(low))
            if rng.random() < 0.25:
                entry |= 1 << int(rng.choice(odd))
            if rng.random() < 0.02:
                entry = int(rng.integers(1 << top, dtype=np.uint64, endpoint=False))
            found[frame, index] = entry
    return found


def through(rng, bits, last):
    """Addresses whose fields are 0, 1 or the last index, and some that are anything."""
    choice = np.array([0, 1, last], np.uint64)
    width = int(last).bit_length()
    gvas = rng.integers(PAGE, size=EACH, dtype=np.uint64)
    for shift in range(12, bits, width):
        gvas |= choice[rng.integers(3, size=EACH)] << np.uint64(shift)
    wild = rng.random(EACH) < 0.1
    gvas[wild] = rng.integers(1 << (bits + 4), size=int(wild.sum()), dtype=np.uint64)
    return gvas


def memory_of(found, size):
    memory = GuestMemory(paging_model.FRAMES * PAGE)
    for (frame, index), entry in found.items():
        memory.store(frame * PAGE + size * index, size, entry)
    return memory


def test_ept():
    seen = set()
    for number in range(ROUNDS):
        rng = np.random.default_rng(number)
        found = content(rng, [7, 7, 7, 0x37, 0x33, 0x35, 0x31, 2, 4, 0], ODD_8, 63, 511)
        write, width, only = bool(number & 1), (36, 46, 52)[number % 3], bool(number & 4)
        tables = hostile.build(Ept, found, width=width, execute_only=only)
        gpas = through(rng, 48, 511)
        batch = tables.translate_many(gpas, write)
        for gpa, hpa, code in zip(gpas.tolist(), *map(np.ndarray.tolist, batch), strict=True):
            end = paging_model.ept(found, gpa, write, width, only)
            result = tables.translate(gpa, 4, write)
            seen.add(end if end[0] != "address" else "address")
            problem = Ept.PROBLEMS[code]
            if end[0] == "address":
                assert (result, hpa, problem) == (end[1], end[1], "")
            elif end[0] == "violation":
                assert result == EptViolation(gpa, 4, write, rights=end[1])
                assert (hpa, problem in ("not present", "not allowed")) == (0, True)
            else:
                assert (result.why, hpa, problem) == (end[1], 0, end[1])
    assert {end[1] for end in seen if end[0] == "violation"} == {0, 1, 4, 5}
    assert len([end for end in seen if end[0] == "misconfiguration"]) == 4


def check_pages(tables, batch, one, processor, found, gvas, write):
    """A batch, one at a time, and the model, over the same content; the ends that were seen."""
    seen, after = set(), dict(found)
    codes = tables.error_codes(batch.codes, write).tolist()
    ends = zip(gvas.tolist(), batch.results.tolist(), batch.codes.tolist(), codes, strict=True)
    for gva, result, code, pushed in ends:
        (kind, number), used = processor.access(found, 0, gva, write)
        after = marked(after, used)
        seen.add((kind, number if kind == "page fault" else 0))
        assert one(gva) == (kind, number)
        problem = tables.PROBLEMS[code]
        if kind == "address":
            assert (result, problem) == (number, "")
        elif kind == "page fault":
            assert (result, pushed) == (0, number)
        else:
            assert problem == "not canonical"
    return seen, after


LOW = [7, 7, 7, 0x27, 3, 5, 1, 0x67, 0]


def test_a_shadow_page_table():
    seen = set()
    for number in range(ROUNDS):
        rng = np.random.default_rng(1000 + number)
        found, gvas = content(rng, LOW, ODD_8, 63, 511), through(rng, 44, 511) % (1 << 47)
        write, user, width = bool(number & 1), bool(number & 2), (36, 46, 52)[number % 3]
        one, many = (
            hostile.build(ShadowPageTable, found, user=user, width=width) for _ in range(2)
        )
        batch = many.translate_many(gvas, write)

        def access(gva, tables=one, write=write):
            match tables.translate(gva, 4, write):
                case ShadowFault(error_code=code):
                    return "page fault", code
                case hpa:
                    return "address", hpa

        processor = Processor(user=user, width=width)
        ends, after = check_pages(many, batch, access, processor, found, gvas, write)
        seen |= ends
        again = memory_of(after, 8).bytes.tobytes()
        assert one.memory.bytes.tobytes() == many.memory.bytes.tobytes() == again
    assert seen == {("address", 0)} | {("page fault", code) for code in CODES}


@pytest.mark.parametrize("levels", [2, 4])
def test_a_guests_own_tables(levels):
    seen = set()
    for number in range(ROUNDS):
        rng = np.random.default_rng(2000 * levels + number)
        write, user, wp = bool(number & 1), bool(number & 2), bool(number & 4)
        nxe, wide, some = bool(number & 8), (36, 46, 52)[number % 3], bool(number & 16)
        size, last = (8, 511) if levels == 4 else (4, 1023)
        odd = ODD_8 if levels == 4 else ODD_4
        found = content(rng, LOW, odd, 8 * size - 1, last)
        gvas = through(rng, 12 + levels * (9 if levels == 4 else 10), last)
        if levels == 4:
            gvas |= np.where((gvas >> 47 & 1) & (rng.random(EACH) < 0.9), 0xFFFF << 48, 0).astype(
                np.uint64
            )
        one, many = (
            guest(levels, memory_of(found, size), user, wp, nxe, wide, some) for _ in range(2)
        )
        batch = many.translate_many(gvas, write)

        def access(gva, paging=one, write=write):
            match paging.translate(gva, write):
                case GuestFault(vector=13, error_code=0):
                    return "general protection", 0
                case GuestFault(vector=14, error_code=code, cr2=cr2):
                    assert cr2 == gva
                    return "page fault", code
                case gpa:
                    return "address", gpa

        processor = Processor(levels, user, wp, nxe, wide, gigabyte=some, pse=some)
        ends, after = check_pages(many, batch, access, processor, found, gvas, write)
        seen |= ends
        again = memory_of(after, size).bytes.tobytes()
        assert one.memory.memory.bytes.tobytes() == many.memory.memory.bytes.tobytes() == again
    kinds = {kind for kind, _ in seen}
    assert kinds == {"address", "page fault"} | ({"general protection"} if levels == 4 else set())
    assert {number for kind, number in seen if kind == "page fault"} == CODES


def guest(levels, memory, user, wp, nxe, wide, some):
    """A guest's paging over plain memory, its root in frame 0."""
    if levels == 4:
        paging = Paging4Level(PlainMemory(memory), 0, user, wide, nxe, gigabyte=some)
    else:
        paging = Paging32(PlainMemory(memory), 0, user, pse=some)
    paging.write_protect = wp
    return paging
