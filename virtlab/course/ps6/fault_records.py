"""Task 3 of problem set 6: decode a fault record, and take the records that a unit holds.

`decode_fault` gets 16 bytes, by hand and by chance. `read_faults` drives the library's unit. It is
judged by the faults it gives, by what it leaves pending, and then again at every moment at which
one more fault may come.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import all_of, first
from virtlab.course.ps6.fault_bench import OTHERS, Bench, decoded, told
from virtlab.course.tasks import Case, Difference, Run, Task, compare, same
from virtlab.iommu.layouts import FAULT_RECORD, FI_INDEX
from virtlab.iommu.registers import FAULT_OFFSET

LOOK_RECORD = "SID 79:64, FR 103:96, T1 126, F 127, the page in 63:12 (VT-d 10.4.14)"
LOOK_WHO = "bus 15:8, device 7:3, function 2:0 of SID (VT-d 3.4.1)"
LOOK_INTERRUPT = "reasons 20h to 2Fh are those of interrupts: an index in 63:48 (VT-d 10.4.14)"
LOOK_FREE = "without F the record holds nothing, whatever stands in it (VT-d 10.4.14)"

_BITS = (1 << 128) - 1
_NOISE = _BITS & ~sum(FAULT_RECORD.fields[name].mask for name in ("FI", "SID", "FR", "T1", "F"))
"""Bits that say nothing of what is asked."""


# -- one record


def _decodes(*records: int, look: str = LOOK_RECORD) -> Run:
    """Records of 128 bits, one after another."""
    return lambda answer, rng: first(_decode(answer, record, look) for record in records)


def _decode(answer: Answer, record: int, look: str) -> Difference | None:
    right = decoded(record) if FAULT_RECORD.F.get(record) else None
    answer.given = f"decode_fault(record) of {record.to_bytes(16, 'little').hex(' ', 4)}"
    yours = answer.call("decode_fault", record.to_bytes(16, "little"))
    if right is None:
        return compare(right, yours, LOOK_FREE)
    if same(right, yours):
        return None
    found = compare(right, yours, look)
    if found and type(yours) is tuple:
        found = found._replace(yours=told(yours))
    return found and found._replace(expected=told(right))


def _record(source: int = 0x0018, reason: int = 5, iova: int = 0x5000, read: int = 0) -> int:
    return FAULT_RECORD.pack(SID=source, FR=reason, FI=iova >> 12, T1=read, F=1)


def _interrupt(index: int, reason: int = 0x22, more: int = 0) -> int:
    return FAULT_RECORD.pack(SID=0x0318, FR=reason, F=1) | FI_INDEX.put(0, index) | more


def _any_record(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(60):
        record = rng.getrandbits(128) | (rng.random() < 0.8) << 127
        if rng.random() < 0.5:
            record = FAULT_RECORD.FR.put(record, rng.choice((5, 6, 0xE, 0x22, 0x26, 0x1F, 0x30)))
        if found := _decode(answer, record, LOOK_RECORD):
            return found
    return None


# -- all of them


def _reads(
    *faults: int, turned: int = 0, records: int = 8, place: int = FAULT_OFFSET, others: int = 0
) -> Run:
    """A call after so many faults, another one after so many more, and so on."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        bench = Bench(answer, rng, records, place)
        bench.turn(turned)
        if others:
            bench.unit.faults.report(others)
        for count in faults:
            bench.fault(count)
            if found := bench.read():
                return found
        return None

    return run


def _struck(more: Iterable[int], *waiting: int, records: int = 3) -> Run:
    """Calls with `waiting` faults, and at each of their accesses `more` come."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        return first(
            _at_each_access(answer, rng, records, count, faults)
            for faults in more
            for count in waiting
        )

    return run


def _at_each_access(
    answer: Answer, rng: Random, records: int, waiting: int, faults: int
) -> Difference | None:
    at = 0
    while True:
        bench = Bench(answer, rng, records)
        bench.turn(rng.randrange(records))
        bench.fault(waiting)
        if found := bench.strike(at, faults):
            return found
        if at > 40 or at >= bench.accesses:
            return None
        at += 1


def _any_faults(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(5):
        records = rng.randrange(1, 9)
        bench = Bench(answer, rng, records, rng.choice((FAULT_OFFSET, FAULT_OFFSET, 0x400, 0x3F0)))
        bench.turn(rng.randrange(records + 1))
        for _ in range(4):
            bench.fault(rng.randrange(records + 2))
            if found := bench.read():
                return found
    return None


FAULTS = Task(
    "ps6.q3",
    "find out what was refused",
    ("decode_fault", "read_faults"),
    ("S43", "S48", "B05"),
    lines=28,
    minutes=25,
    difficulty=3,
    points=5,
    cases=(
        Case("a write", _decodes(_record())),
        Case("a read", _decodes(_record(reason=6, read=1))),
        Case(
            "who it was",
            _decodes(
                *(_record(source) for source in (0x0000, 0x0007, 0x00F8, 0xFFFF, 0x1234, 0x0A51)),
                look=LOOK_WHO,
            ),
        ),
        Case("a high page", _decodes(_record(iova=0xFFFF_FFFF_FFFF_F000), _record(iova=1 << 45))),
        Case(
            "an interrupt",
            _decodes(_interrupt(0), _interrupt(7), _interrupt(0xABCD), look=LOOK_INTERRUPT),
        ),
        Case(
            "the first reason and the last",
            _decodes(
                *(_interrupt(0x1234, reason) for reason in (0x1F, 0x20, 0x2F, 0x30, 0x25, 0xFF)),
                look=LOOK_INTERRUPT,
            ),
        ),
        Case("a record that is free", _decodes(0, _record() & _BITS >> 1, _BITS >> 1)),
        Case(
            "what else is in it",
            _decodes(_record() | _NOISE, _interrupt(3, more=_NOISE | 0xFFFF_FFFF_FFFF)),
        ),
        Case("any record", _any_record),
        Case("no fault", _reads(0)),
        Case("one fault", _reads(1)),
        Case("several", _reads(3), costs=True),
        Case("not from record 0", _reads(3, turned=2)),
        Case("after the last comes record 0", _reads(4, turned=6)),
        Case("every record", all_of(_reads(8), _reads(8, turned=5))),
        Case("again and again", _reads(3, 0, 4, 1, 6)),
        Case("another unit", all_of(_reads(3, records=4, place=0x400), _reads(2, 2, records=3))),
        Case("one record", _reads(1, 1, 0, 1, records=1)),
        Case("faults were lost", all_of(_reads(9, 2), _reads(4, 1, turned=2, records=3))),
        Case("what is not yours", all_of(_reads(2, others=OTHERS), _reads(9, others=OTHERS))),
        Case("any faults", _any_faults),
        Case("a fault at any moment", _struck((1,), 0, 1, 2)),
        Case("many at any moment", _struck((3, 5), 0, 1, 3)),
        Case("one record, at any moment", _struck((1, 2), 0, 1, records=1)),
    ),
    hints=(
        "Make one number of the 16 bytes: int.from_bytes, little-endian. Then each field is a "
        "shift and a mask. A source id is 8 bits of bus, 5 of device, 3 of function, and the text "
        "of it is hexadecimal: f'{bus:02x}'.",
        "read_faults begins with two loads, of CAP and of FSTS. Then comes a loop that goes on "
        "while the record at hand has F. When may a record be used again by the unit: before you "
        "have read it, or after?",
        "A record is two loads of 8 bytes. F is the highest bit of the record, so the highest of "
        "its last 4 bytes: one store frees it, and touches nothing else. FSTS is looked at once "
        "more in the end, for PFO, and cleared by a store of that one bit.",
    ),
)
"""The task."""
