"""What the answer to task 4 of problem set 6 is asked: a message, and a table with one entry.

    Ask       an entry, and a message that names it     remap_interrupt -> what it becomes
    decoys    all other entries are good ones, too      a wrong index is seen at once

The idea: what is right is said by the library's own remapper, which reads the same memory. The
answer gets bytes; nothing of the library's decoding helps it.

The rule that keeps it simple: an ask has one entry that matters. What lies around it says by its
vector that it was taken.

Source: VT-d 3.0, 5.1 (remapping), 9.10 and 9.11 (the entries), 10.4.29 (IRTA).
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.course.answers import Answer, Stopped
from virtlab.course.ps3.machines import whole
from virtlab.course.tasks import Difference, compare, returned, same
from virtlab.errors import DmaFault
from virtlab.guest.vtd_interrupts import InterruptTable
from virtlab.guest.vtd_interrupts import message as request
from virtlab.interrupts import Interrupt, Msi
from virtlab.iommu.interrupt_remapping import InterruptRemapper
from virtlab.iommu.layouts import DST_XAPIC, IRTE, IRTE_POSTED, REQUEST_ADDRESS
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import VtdRegisters
from virtlab.memory import GuestMemory

IRTA = VtdRegisters.IRTA

TABLE = 0x4000
"""Where the table is, if a case says nothing."""
EIME = IRTA.EIME.mask
"""The bit of IRTA that makes APIC ids 32 bits wide."""
DISK = 0x0018
"""The source id of most messages: 00:03.0."""
ROOM = 0x1_0000
"""Bytes of RAM of a small case; the table of a large one takes 1 MiB."""
READS = 1000
"""Reads that an ask grants."""

LOOK_HANDLE = "the index: bits 19:5 of the address, and bit 2 above them (VT-d 5.1.2.1)"
LOOK_SUB = (
    "with SHV, bit 3 of the address, bits 15:0 of the data are added, else none (VT-d 5.1.2.1)"
)
LOOK_FIELDS = "V 23:16, DLM 7:5, TM 4, DST 63:32, of which 47:40 without EIME (VT-d 9.10)"
LOOK_NEW = (
    "bit 4 of the address is 1: the message names an entry, and nothing blocks it (VT-d 5.1.2.2)"
)
LOOK_POST = "PDAH 127:96 and PDAL 63:38 are bits 63:32 and 31:6 of an address (VT-d 9.11)"
LOOK_OLD = "bit 4 of the address is 0: the message speaks for itself, if it may (VT-d 5.1.2.2)"
LOOK_ONCE = "the entry is one number of 16 bytes: read it once, then decide"

LOOKS = {
    Reason.REQUEST_RESERVED: "with SHV, bits 31:16 of the data are reserved (VT-d 5.1.2.1)",
    Reason.INDEX_BEYOND: "the table has 2 ** (S + 1) entries; index does not wrap (VT-d 5.1.4)",
    Reason.IRTE_NOT_PRESENT: "P comes before all the entry's other bits (VT-d 5.1.4)",
    Reason.IRTE_ACCESS: "memory.read gives None: the entry is not in memory (VT-d 5.1.4)",
    Reason.IRTE_RESERVED: "bits that no field has; DLM 3 or 6; SVT 3 (VT-d 5.1.4, 9.10, 9.11)",
    Reason.COMPATIBILITY_BLOCKED: "the old format passes only if compatibility is true, and EIME 0 "
    "(VT-d 5.1.2.2)",
    Reason.SOURCE_ID: "SVT says how SID is compared, SQ which bits are not (VT-d 9.10)",
}

REASONS = {int(reason): reason for reason in Reason}

Reply = int | tuple[str, int, int, int, int] | tuple[str, int, int, int]


class Table:
    """Memory as the answer gets it: `read` gives bytes, or None where there is no memory.

    With `struck`, the entry at its address becomes another one behind the first read.
    """

    def __init__(self, ram: GuestMemory, struck: tuple[int, int] | None = None) -> None:
        self.ram, self.struck = ram, struck
        self.reads = 0

    def read(self, gpa: int, length: int) -> bytes | None:
        """A copy of `length` bytes from `gpa` on; None where not all of them are memory."""
        if not 0 <= whole(length) <= ROOM:
            raise ValueError(f"a read has 0 to {ROOM} bytes, not {length}")
        self.reads += 1
        if self.reads > READS:
            raise Stopped(f"it was stopped after {READS:,} reads")
        try:
            data = self.ram.read(whole(gpa), length)
        except DmaFault:
            return None
        if self.struck is not None and self.reads == 1:
            self.ram.store(self.struck[0], IRTE.size, self.struck[1])
        return data


# -- entries and messages


def entry(vector: int = 0x41, processor: int = 2, **fields: int) -> int:
    """A good entry for messages of `DISK`, for an APIC id of 8 bits."""
    fields = {"P": 1, "V": vector, "SID": DISK, "SVT": 1, **fields}
    return DST_XAPIC.put(IRTE.pack(**fields), processor)


def posted(descriptor: int = 0x3040, vector: int = 0x61, **fields: int) -> int:
    """A good entry of the other form."""
    one = InterruptTable.posted_entry(DISK, vector, descriptor)
    for name, value in fields.items():
        one = IRTE_POSTED.fields[name].put(one, value)
    return one


def message(index: int, subhandle: int | None = None, data: int = 0) -> Msi:
    """What a device writes to name entry `index`; with a subhandle, that is added."""
    asked = request(index, several=subhandle is not None)
    return asked._replace(data=data if subhandle is None else subhandle)


def irta(exponent: int = 7, table: int = TABLE, eime: bool = False) -> int:
    """The register: a table of 2 ** (exponent + 1) entries."""
    return IRTA.S.put(IRTA.EIME.put(table, eime), exponent)


def decoys(count: int) -> bytes:
    """`count` good entries that take anybody's messages: vectors 30h, 31h, and so on."""
    each = (
        IRTE.pack(P=1, V=0x30 + n % 0xC0, DST=(n * 5 & 0xFF) << 8).to_bytes(IRTE.size, "little")
        for n in range(count)
    )
    return b"".join(each)


DECOYS = decoys(1024)


class Ask(NamedTuple):
    """One message. `planted` is put at number `named` of the table, where that is in memory.

    `after`: what another processor makes of the entry once it was read.
    """

    planted: int = entry()
    msi: Msi = message(5)
    named: int = 5
    source: int = DISK
    register: int = irta()
    old_allowed: bool = False
    after: int | None = None

    @property
    def table(self) -> int:
        """Where the table is (gpa)."""
        return self.register & IRTA.IRTA.mask

    @property
    def place(self) -> int:
        """Where the entry is (gpa)."""
        return self.table + IRTE.size * self.named

    def ram(self) -> GuestMemory:
        """Memory with the table and the entry."""
        ram = GuestMemory(ROOM if self.named < 1024 else 0x11_0000)
        if self.table < ram.size:
            ram.write(self.table, DECOYS[: ram.size - self.table])
        if self.place + IRTE.size <= ram.size:
            ram.store(self.place, IRTE.size, self.planted)
        return ram

    def right(self, ram: GuestMemory) -> Reply:
        """What the library makes of it."""
        unit = InterruptRemapper(ram)
        unit.set_table(self.register)
        unit.enabled, unit.compatibility = True, self.old_allowed
        outcome = unit.decide(self.source, self.msi)
        if outcome.message is None and outcome.descriptor is None:
            assert outcome.reason is not None
            return int(outcome.reason)
        if outcome.descriptor is not None:
            return "post", outcome.vector, outcome.descriptor, int(outcome.urgent)
        assert outcome.message is not None
        got = Interrupt.of(outcome.message)
        return "send", got.vector, got.destination, got.mode, int(got.level)

    def run(self, answer: Answer) -> Difference | None:
        """Ask the answer, and compare."""
        answer.given = str(self)
        ram = self.ram()
        expected = self.right(ram)
        table = Table(ram, None if self.after is None else (self.place, self.after))
        yours = answer.call(
            "remap_interrupt", table, self.register, self.old_allowed, self.source, *self.msi
        )
        found = compare(expected, yours, self._look(expected, yours))
        return found._replace(expected=_said(expected), yours=_said(yours)) if found else None

    def _look(self, expected: Reply, yours: object) -> str:
        """Where to look: what is expected tells, or else the reason that was given instead."""
        if self.after is not None:
            return LOOK_ONCE
        if isinstance(expected, int):
            return LOOKS[REASONS[expected]]
        new = bool(REQUEST_ADDRESS.FORMAT.get(self.msi.address))
        if new and same(yours, int(Reason.COMPATIBILITY_BLOCKED)):
            return LOOK_NEW
        if isinstance(yours, int) and (reason := REASONS.get(yours)) in LOOKS:
            return LOOKS[reason]
        if not new:
            return LOOK_OLD
        if expected[0] == "post":
            return LOOK_POST
        return self._look_sent(expected, yours)

    def _look_sent(self, expected: tuple[object, ...], yours: object) -> str:
        if isinstance(yours, tuple) and same(yours[1:2], expected[1:2]):
            return LOOK_FIELDS
        added = REQUEST_ADDRESS.SHV.get(self.msi.address) or self.msi.data
        return LOOK_SUB if added else LOOK_HANDLE

    def __str__(self) -> str:
        high, low = self.planted >> 64, self.planted & (1 << 64) - 1
        here = f"entry {self.named:#x} is {high:016x}_{low:016x}"
        old = "allowed" if self.old_allowed else "blocked"
        return (
            f"irta {self.register:#x}, the old format {old}; source {self.source:#06x} writes "
            f"{self.msi.data:#x} to {self.msi.address:#x}; {here}"
        )


def _said(reply: object) -> str:
    """A reply as the report shows it: a reason with its sentence."""
    if type(reply) is int and (reason := REASONS.get(reply)):
        return f"{reply:#x}: {reason.meaning}"
    return returned(reply)
