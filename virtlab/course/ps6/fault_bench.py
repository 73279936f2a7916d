"""Task 3 of problem set 6: a unit that has refused requests, and a handler that asks it why.

    bench.fault(5)    five requesters are refused       bench.read()    the answer, and what it left
    bench.strike(k)   the same, while at access k devices go on being refused

The idea: the unit is the library's, and so are its records. Each fault that it takes into a record
is kept here, too. What an answer gives must be these, in order, each once.

The rule that keeps it simple: the unit sends an event for a first fault, and none while anything is
pending. So after a call either nothing is pending, or an event has come, and the answer is called
again. A fault that neither call gives is lost, and a unit that stays pending is deaf.

Source: VT-d 3.0, 7.2, 7.3, 10.4.9, 10.4.14.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from virtlab.course.answers import Answer, Stopped
from virtlab.course.budget import BudgetCpu
from virtlab.course.ps4.machines import Stepped
from virtlab.course.tasks import Difference, compare, shown
from virtlab.guest.vtd_faults import Fault
from virtlab.interrupts import Msi
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.faults import PENDING
from virtlab.iommu.layouts import FAULT_RECORD
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import BASE, FAULT_OFFSET, MAX_RECORDS, RECORD_SIZE, VtdRegisters
from virtlab.iommu.vtd import VtdUnit
from virtlab.memory import PAGE, GuestMemory
from virtlab.pci.tlp import bdf_text

CAP, FSTS, FECTL = VtdRegisters.CAP, VtdRegisters.FSTS, VtdRegisters.FECTL

LOOK_ORDER = "from record FRI on, after the last one comes record 0 (VT-d 7.2.1, 10.4.9)"
LOOK_PLACE = "CAP says where the records are and how many (VT-d 10.4.2: FRO, NFR)"
LOOK_FREE = "a record is in use until a 1 is written to its F (VT-d 10.4.14)"
LOOK_LOST = "PFO says that faults were lost; nothing is recorded until it is 0 (VT-d 7.2.1)"
LOOK_MINE = "a 1 clears a bit of FSTS: which of them are yours? (VT-d 10.4.9)"
LOOK_WIDTH = "a register is accessed as 4 or 8 bytes (VT-d 10.2)"
LOOK_END = "a 1 written to F frees a record; FRI stays until all are free (VT-d 10.4.9, 10.4.14)"
LOOK_BYTES = "nothing of the kind was recorded: a record is 16 bytes, F the last bit (VT-d 10.4.14)"
LOOK_OTHER = "what is written is F of a record, and FSTS (VT-d 7.2.1)"
LOOK_MOMENT = "devices go on: read a record, then free it, and look again before you leave"

OTHERS = FSTS.IQE.mask | FSTS.ITE.mask
"""Bits of FSTS that belong to whoever drives the invalidation queue."""

ACCESSES = 2000
"""So many accesses an answer may make in one call: far more than the records need."""

Decoded = tuple[str, str, int, int]


def decoded(record: int) -> Decoded:
    """What `decode_fault` gives for a record that is in use."""
    fault = Fault.of(record)
    if fault.iova is None:
        return bdf_text(fault.source_id), "interrupt", fault.entry or 0, fault.code
    kind = "write" if fault.write else "read"
    return bdf_text(fault.source_id), kind, fault.iova, fault.code


def told(fault: object) -> str:
    """A fault as a report shows it."""
    if type(fault) is tuple and [type(one) for one in fault] == [str, str, int, int]:
        return f"({fault[0]!r}, {fault[1]!r}, {fault[2]:#x}, {fault[3]:#x})"
    return shown(fault)


class Window:
    """The unit's registers, with the records at `place`; the first wrong access is kept."""

    def __init__(self, unit: VtdUnit, place: int) -> None:
        self.unit, self.place = unit, place
        self.wrong: Difference | None = None

    def read(self, offset: int, size: int) -> int:
        """The unit's answer. CAP tells of `place`."""
        self._width("a read", offset, size)
        value = self.unit.read(self._there(offset), size)
        shift = 8 * (offset - CAP.offset)
        if 0 <= shift < 64:
            moved = CAP.FRO.put(self.unit.CAP, self.place >> 4)
            value = moved >> shift & (1 << 8 * size) - 1
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        """The same for a write."""
        self._width("a write", offset, size)
        end = self.place + RECORD_SIZE * self.unit.capabilities.records
        if not (self.place <= offset < end or offset == FSTS.offset):
            self._note("no other register is written", f"a write at {offset:#x}", LOOK_OTHER)
        self.unit.write(self._there(offset), size, value)

    def _there(self, offset: int) -> int:
        """Where the unit itself has what is at `offset`. Its own place, if moved, is empty."""
        length = RECORD_SIZE * MAX_RECORDS
        if self.place <= offset < self.place + length:
            return offset - self.place + FAULT_OFFSET
        hidden = FAULT_OFFSET <= offset < FAULT_OFFSET + length
        return VtdRegisters.length - 8 if hidden else offset

    def _width(self, what: str, offset: int, size: int) -> None:
        if size not in (4, 8):
            said = f"{what} of {size} bytes at {offset:#x}"
            self._note("4 or 8 bytes", said, LOOK_WIDTH)

    def _note(self, expected: str, yours: str, look: str) -> None:
        self.wrong = self.wrong or Difference(expected, yours, look)


def _sources(rng: Random) -> Iterator[int]:
    """Source ids, none of them twice."""
    seen: set[int] = set()
    while True:
        source = rng.getrandbits(16)
        if source not in seen:
            seen.add(source)
            yield source


class Bench:
    """A unit with so many `records`, at `place`. `recorded` are the faults that no call gave."""

    def __init__(
        self, answer: Answer, rng: Random, records: int = 8, place: int = FAULT_OFFSET
    ) -> None:
        self.answer, self.rng = answer, rng
        self.events: list[Msi] = []
        self.unit = VtdUnit(
            GuestMemory(PAGE), Capabilities(records=records), message=self.events.append
        )
        self.unit.write(FECTL.offset, FECTL.width, 0)
        self.window = Window(self.unit, place)
        self.recorded: list[int] = []
        self.accesses = 0
        self._sources = _sources(rng)

    # -- what devices do

    def fault(self, count: int = 1) -> None:
        """So many requesters are refused, each another one."""
        for _ in range(count):
            log, at = self.unit.faults, self.unit.faults.next
            before = log.records[at]
            self._refuse(next(self._sources))
            if log.records[at] != before:
                self.recorded.append(log.records[at])

    def _refuse(self, source_id: int) -> None:
        """One request: mostly DMA."""
        reason = self.rng.choice([*Reason])
        if reason >= Reason.REQUEST_RESERVED:
            self.unit.faults.interrupt(reason, source_id, self.rng.getrandbits(16))
        else:
            iova, write = self.rng.getrandbits(48), self.rng.random() < 0.5
            self.unit.faults.dma(source_id, reason, iova, write)

    def turn(self, count: int) -> None:
        """So many faults that were handled before: the records begin elsewhere now."""
        for _ in range(count):
            at = FAULT_OFFSET + RECORD_SIZE * self.unit.faults.next
            self.fault()
            self.unit.write(at + 12, 4, FAULT_RECORD.F.mask >> 96)
        self.recorded.clear()
        self.events.clear()

    # -- the answer

    def read(self) -> Difference | None:
        """One call with nothing going on: the faults, and what is pending afterwards."""
        status = self.unit.FSTS
        lost = bool(FSTS.PFO.get(status))
        self._given(f"PFO {int(lost)}, FRI {FSTS.FRI.get(status)}, {len(self.recorded)} in use")
        fewest = 4 + 3 * len(self.recorded) + lost
        found = self._call(LOOK_PLACE if self.window.place != FAULT_OFFSET else LOOK_ORDER, lost)
        self.answer.note_cost("register accesses", self.accesses, fewest)
        return found or self._pending(status & OTHERS)

    def _given(self, state: str) -> None:
        count = self.unit.capabilities.records
        at = f" from offset {self.window.place:#x}" if self.window.place != FAULT_OFFSET else ""
        self.answer.given = f"read_faults(cpu, {BASE:#x}): {count} records{at}; {state}"

    def _call(
        self, look: str, lost: bool | None, at: int = -1, faults: int = 0
    ) -> Difference | None:
        """One call; at its access number `at` so many devices are refused."""
        cpu = Stepped(GuestMemory(PAGE))
        cpu.memory.map(BASE, VtdRegisters.length, self.window, "vtd", width=8)
        cpu.before = lambda number: self.fault(faults) if number == at else None
        given = BudgetCpu(cpu, cpu.clock, ACCESSES)
        try:
            yours = self.answer.call("read_faults", given, BASE)
        except Stopped as stopped:
            if len(given.accesses) < ACCESSES:
                raise
            return Difference("your code comes to an end", str(stopped), LOOK_END)
        self.accesses = cpu.count
        if self.window.wrong:
            return self.window.wrong
        if type(yours) is not tuple or len(yours) != 2 or type(yours[0]) is not list:
            return compare(([], bool(lost)), yours, "a list of faults, and a bool")
        judge = self._each_once if look is LOOK_MOMENT else self._in_order
        return judge(yours[0], look) or self._lost(yours[1], lost)

    def _in_order(self, yours: list[object], look: str) -> Difference | None:
        """Whether these are all that were recorded, the oldest first; they are then done with."""
        for number, fault in enumerate(yours):
            right = told(decoded(self.recorded[number])) if number < len(self.recorded) else ""
            if told(fault) != right:
                where = f"faults[{number}] "
                if look is LOOK_ORDER and type(fault) is tuple and not self._recorded(fault):
                    look = LOOK_BYTES
                return Difference(where + (right or "no more"), where + told(fault), look)
        if len(yours) < len(self.recorded):
            return Difference(f"faults: {len(self.recorded)}", f"faults: {len(yours)}", look)
        self.recorded.clear()
        return None

    def _recorded(self, fault: object) -> list[int]:
        """The records that say this."""
        return [record for record in self.recorded if told(decoded(record)) == told(fault)]

    def _each_once(self, yours: list[object], look: str) -> Difference | None:
        """Whether each of these was recorded, in any order; they are then done with."""
        for fault in yours:
            here = self._recorded(fault)
            if not here:
                right = "each fault is one that was recorded, and is given once"
                return Difference(right, told(fault), look)
            self.recorded.remove(here[0])
        return None

    def _lost(self, yours: object, lost: bool | None) -> Difference | None:
        if lost is None and type(yours) is bool:
            return None
        return compare(bool(lost), yours, LOOK_LOST)

    def _pending(self, others: int, look: str = "") -> Difference | None:
        """Whether the unit is ready for the next fault, and nobody else's bits are gone."""
        status = self.unit.FSTS
        if status & OTHERS != others:
            gone = "IQE and ITE" if others else "none"
            return Difference(f"{gone} as before", f"FSTS {status:#x}", LOOK_MINE)
        if FSTS.PPF.get(status):
            used = sum(FAULT_RECORD.F.get(record) for record in self.unit.faults.records)
            return Difference("every record is free", f"{used} in use", look or LOOK_FREE)
        if FSTS.PFO.get(status):
            return Difference("PFO is 0", "PFO is 1: no fault is recorded", look or LOOK_LOST)
        return None

    def strike(self, at: int, faults: int) -> Difference | None:
        """A call while devices are refused at its access `at`; then one for each event."""
        self._given(f"{len(self.recorded)} in use; {faults} faults more before access {at}")
        self.events.clear()
        found = self._call(LOOK_MOMENT, None, at, faults)
        if not found and self.events and self.unit.FSTS & PENDING:
            found = self._call(LOOK_MOMENT, None)
        if not found and self.recorded and not self.unit.FSTS & PENDING:
            lost = told(decoded(self.recorded[0]))
            found = Difference(f"{lost} is found, now or later", "nobody saw it", LOOK_MOMENT)
        return found or self._pending(0, LOOK_MOMENT)
