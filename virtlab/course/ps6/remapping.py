"""Task 4 of problem set 6: from a device's message to an interrupt. The judge is our own remapper.

The cases go as a message does: the index, the entry, its fields, who may use it, what it posts. At
the end stand the old format, an entry that changes, and tables that no driver would write.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import all_of, first
from virtlab.course.ps6.remapping_random import (
    GOOD_MODES,
    RESERVED,
    RESERVED_POSTED,
    WIDE_ONLY,
    any_entry,
    hostile,
)
from virtlab.course.ps6.remapping_tables import (
    EIME,
    Ask,
    entry,
    irta,
    message,
    posted,
)
from virtlab.course.tasks import Case, Difference, Run, Task
from virtlab.interrupts import Msi
from virtlab.iommu.layouts import IRTE, IRTE_POSTED

GOOD = entry(0x52, 9)


def _asks(*asks: Ask) -> Run:
    return lambda answer, rng: first(each.run(answer) for each in asks)


def _bits(mask: int) -> list[int]:
    return [1 << n for n in range(128) if mask >> n & 1]


def _each_bit(base: int, mask: int, register: int = irta()) -> Run:
    """The entry with one of these bits set, each in turn, in an order of chance."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        bits = _bits(mask)
        chosen = rng.sample(bits, len(bits))
        return first(Ask(base | bit, register=register).run(answer) for bit in chosen)

    return run


def _sources(svt: int, sq: int, sid: int, *sources: int) -> Run:
    one = entry(0x52, 9, SVT=svt, SQ=sq, SID=sid)
    return _asks(*(Ask(one, source=source) for source in sources))


REMAP = Task(
    "ps6.q4",
    "from a message to an interrupt",
    ("remap_interrupt",),
    ("B05", "S48"),
    lines=40,
    minutes=40,
    difficulty=4,
    points=7,
    cases=(
        Case("a vector", _asks(Ask(entry(0x41, 2), message(0), 0))),
        Case(
            "an entry further on",
            _asks(Ask(GOOD), Ask(GOOD, message(0x128), 0x128, register=irta(9))),
        ),
        Case(
            "mode and trigger",
            _asks(*(Ask(entry(0x52, 9, DLM=m, TM=t)) for m in GOOD_MODES for t in (0, 1))),
        ),
        Case("an APIC id of 8 bits", _asks(Ask(entry(0x52, 0xFF)), Ask(entry(0x52, 0x80)))),
        Case(
            "an APIC id of 32 bits",
            _asks(
                Ask(entry(0x52, 0, DST=0x1_2345), register=irta() | EIME),
                Ask(entry(0x52, 0, DST=0xFFFF_FFFE), register=irta() | EIME),
            ),
        ),
        Case(
            "bits that do not matter",
            _asks(
                Ask(GOOD | IRTE.AVAIL.mask | IRTE.FPD.mask | IRTE.RH.mask | IRTE.DM.mask),
                Ask(GOOD, message(5, data=0x7)),
                Ask(GOOD, message(5, data=0xFFFF_FFFF)),
            ),
        ),
        Case(
            "a subhandle",
            _asks(
                Ask(GOOD, message(5, 0)),
                Ask(GOOD, message(2, 3)),
                Ask(GOOD, message(0x11, 0x103), 0x114, register=irta(9)),
            ),
        ),
        Case(
            "no subhandle that has more bits",
            _asks(Ask(GOOD, message(2, 1 << 16 | 3)), Ask(GOOD, message(5, 1 << 31))),
        ),
        Case(
            "past the end",
            _asks(
                Ask(GOOD, message(4), 4, register=irta(1)),
                Ask(GOOD, message(0xFFFF), 0x1FF),
                Ask(GOOD, message(2), 2, register=irta(0)),
            ),
        ),
        Case(
            "the last entry",
            _asks(
                Ask(GOOD, message(3), 3, register=irta(1)),
                Ask(GOOD, message(0xFF), 0xFF),
            ),
        ),
        Case(
            "the handle's highest bit",
            _asks(
                Ask(GOOD, message(0x8005), 0x8005, register=irta(15)),
                Ask(GOOD, message(0x4005), 0x4005, register=irta(15)),
                Ask(GOOD, message(0xFFFF), 0xFFFF, register=irta(15)),
            ),
        ),
        Case(
            "the subhandle's highest bit",
            _asks(Ask(GOOD, message(5, 0xFFF0), 0xFFF5, register=irta(15))),
        ),
        Case(
            "past the end with its subhandle",
            _asks(
                Ask(GOOD, message(3, 1), 4, register=irta(1)),
                Ask(GOOD, message(0xFFFF, 6), 5, register=irta(15)),
            ),
        ),
        Case(
            "a table beyond memory",
            _asks(
                Ask(GOOD, register=irta(7, 0x1_0000)),
                Ask(GOOD, register=irta(7, 1 << 51)),
                Ask(GOOD, message(0x100), 0x100, register=irta(8, 0xF000)),
            ),
        ),
        Case("not present", _asks(Ask(GOOD & ~1), Ask(0))),
        Case("reserved bits", _each_bit(GOOD, RESERVED)),
        Case("reserved while ids have 8 bits", _each_bit(GOOD, WIDE_ONLY)),
        Case("modes that are none", _asks(Ask(entry(0x52, 9, DLM=3)), Ask(entry(0x52, 9, DLM=6)))),
        Case("nobody's: SVT 3", _asks(Ask(entry(0x52, 9, SVT=3)))),
        Case("anybody's", _sources(0, 3, 0x1234, 0x0018, 0x0000, 0xFFFF)),
        Case(
            "its own device's",
            all_of(
                _sources(1, 0, 0x0300, 0x0300, 0x0301, 0x0304, 0x0400, 0x8300),
                _sources(1, 0, 0xFE18, 0xFE18, 0x7E18),
            ),
        ),
        Case(
            "some bits not compared",
            all_of(
                _sources(1, 1, 0x0304, 0x0304, 0x0300, 0x0305, 0x0306, 0x030C),
                _sources(1, 2, 0x0301, 0x0301, 0x0307, 0x0303, 0x0300, 0x0309),
                _sources(1, 3, 0x0305, 0x0300, 0x0307, 0x0305, 0x030D, 0x0205),
            ),
        ),
        Case(
            "a range of buses",
            all_of(
                _sources(2, 3, 0x0305, 0x0300, 0x05FF, 0x0418, 0x02FF, 0x0600, 0x0018),
                _sources(2, 0, 0x7FFE, 0x7F00, 0x8018, 0xFEFF, 0xFF00, 0x0018),
            ),
        ),
        Case(
            "the first reason counts",
            _asks(
                Ask(0, message(9, 1 << 20), 9, register=irta(1)),
                Ask(GOOD, message(9), 9, register=irta(1, 1 << 51)),
                Ask(GOOD & ~1 | 1 << 31, source=0x300),
                Ask(GOOD | 1 << 31, source=0x300),
            ),
        ),
        Case(
            "posted",
            _asks(
                Ask(posted(0x3040)),
                Ask(posted(0x1234_5678_9AC0, 0x80, URG=1)),
                Ask(posted((1 << 64) - 64, 0xFF), register=irta() | EIME),
            ),
        ),
        Case("posted, with reserved bits", _each_bit(posted(0x3040), RESERVED_POSTED)),
        Case(
            "posted, and from somebody else",
            _asks(
                Ask(posted(), source=0x300),
                Ask(posted(SVT=2, SID=0x0305), source=0x400),
                Ask(posted(SVT=3)),
                Ask(posted() | IRTE_POSTED.FPD.mask | IRTE_POSTED.AVAIL.mask),
            ),
        ),
        Case(
            "the old format, blocked",
            _asks(Ask(GOOD, Msi(0xFEE0_10A0, 0x41)), Ask(GOOD, Msi(0xFEE0_2000, 0xFFFF_0041))),
        ),
        Case(
            "the old format",
            _asks(
                Ask(GOOD, Msi(0xFEE0_1000, 0x41), old_allowed=True),
                Ask(GOOD, Msi(0xFEEF_F00C, 0xC7FE), old_allowed=True),
                Ask(GOOD, Msi(0xFEE0_3000, 0x4642), source=0x300, old_allowed=True),
            ),
        ),
        Case(
            "the old format, and ids of 32 bits",
            _asks(Ask(GOOD, Msi(0xFEE0_1000, 0x41), register=irta() | EIME, old_allowed=True)),
        ),
        Case(
            "the new format, with the old allowed",
            _asks(Ask(GOOD, old_allowed=True), Ask(GOOD & ~1, old_allowed=True)),
        ),
        Case(
            "the entry changes behind your back",
            _asks(
                Ask(GOOD, after=entry(0x99, 3, SID=0x300)),
                Ask(posted(0x7_0000_3040), after=entry(0x99, 3)),
                Ask(GOOD, after=0),
            ),
        ),
        Case("any entry", any_entry),
        Case("hostile tables", hostile),
    ),
    hints=(
        "Begin with the message: which bit tells the two formats apart? In the new one, build the "
        "index, and compare it with the size of the table. Only then look at memory, one time, "
        "and make one int of the 16 bytes.",
        "Ask the questions in the order of the table, which is not that of the numbers: 0x25 is "
        "the first, and 0x23 comes before 0x22. Each is an early return. A mask of all reserved "
        "bits is one number for each form; without EIME the form for the APICs has some more.",
        "mask(hi, lo) = (2 << hi) - (1 << lo) makes the masks readable. For SVT 1, an exclusive or "
        "shows the bits that differ; take away those that SQ lets differ, and 0 is left if the "
        "message may pass. The descriptor's address has its low half from bits 63:38: shift them "
        "to 31:6.",
    ),
)
