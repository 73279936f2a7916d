"""Interrupt remapping: what a device writes is the index of an entry, not a vector.

    device, source id                      [ IRT ]
        | address FEE.., FORMAT=1    +--> IRTE: P? reserved? whose? --> a message to the APICs
        | handle (+ subhandle) ------+                              or  a posted interrupt

The idea: a message in the old format names any vector of any processor, and whoever can write to
memory can send it. Remapped, it names an entry, and software wrote the entry: the vector, the
processor, and *who* may use it. Isolation of interrupts is that last field.

The rule that keeps it simple: `decide` says what becomes of a message, with no effect; `send` makes
it so. The order of the checks is the order of the manual's fault reasons, but for 26h, which is the
last that concerns the entry.

Entries are cached, in the interrupt-entry cache, until software invalidates them. A changed entry
is not seen before. Entries that are not present, or wrong, are cached with CAP.CM only.

Source: VT-d 3.0, 5.1 (remapping), 5.1.4 (faults), 6.5.2.7 (invalidation), 9.10, 9.11. Choices where
it is silent: a reserved SVT or delivery mode is a reserved field (24h); handle plus subhandle does
not wrap at 65536. Left out: the pending state of interrupts in flight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from virtlab.errors import DmaFault
from virtlab.interrupts import MESSAGE_BASE, Delivery, Interrupt, Msi
from virtlab.iommu.layouts import (
    DST_XAPIC,
    IRTE,
    IRTE_POSTED,
    REQUEST_ADDRESS,
    REQUEST_DATA,
    descriptor_gpa,
)
from virtlab.iommu.posted import PostError, post
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import VtdRegisters
from virtlab.memory import GuestMemory

CACHE_ENTRIES = 256
"""Entries that the cache holds; the oldest goes first."""

REMAPPABLE = 1
"""`REQUEST_ADDRESS.FORMAT` of a message that names an entry."""

NO_CHECK, CHECK_ID, CHECK_BUS = 0, 1, 2
"""`IRTE.SVT`: whose messages an entry takes. Anybody's; those of `SID`; those of a bus range."""

COMPARED = (0xFFFF, 0xFFFB, 0xFFF9, 0xFFF8)
"""By `IRTE.SQ`, the bits of a source id that are compared: fewer and fewer of the function."""


class Outcome(NamedTuple):
    """What becomes of a message, and why.

    `message` goes to the APICs. `reason` says that it was refused, and `recorded` whether that is
    for the fault records: an entry's FPD keeps it out. `interrupt_index` and `entry` are what it
    named, as far as it came. With `descriptor` (gpa), `vector` is posted there, `urgent` or not.
    """

    message: Msi | None = None
    reason: Reason | None = None
    recorded: bool = False
    interrupt_index: int | None = None
    entry: int | None = None
    descriptor: int | None = None
    vector: int = 0
    urgent: bool = False


class InterruptRemapper:
    """The part of a remapping unit that interrupts go through.

    `memory` has the table. `fault(reason, source_id, index)` is told of what belongs in the
    records. `deliver(msi)` gets the messages for the APICs. `extended`: the unit knows x2APIC ids
    (ECAP.EIM); `posting`: it can post (CAP.PI); `caching_mode`: it caches wrong entries too
    (CAP.CM).

    `enabled` is GSTS.IRES, `compatibility` is GSTS.CFIS. `hits` and `misses` count the cache's.
    """

    def __init__(
        self,
        memory: GuestMemory,
        fault: Callable[[Reason, int, int], object] | None = None,
        deliver: Callable[[Msi], object] | None = None,
        *,
        extended: bool = True,
        posting: bool = True,
        caching_mode: bool = False,
    ) -> None:
        self.memory = memory
        self.fault = fault or (lambda reason, source_id, index: None)
        self.deliver = deliver or (lambda msi: None)
        self.extended, self.posting, self.caching_mode = extended, posting, caching_mode
        self.cache: dict[int, int] = {}
        self.reset()

    def reset(self) -> None:
        """As after power-on: nothing is remapped, nothing is cached."""
        self.enabled = self.compatibility = self.eime = False
        self.table = self.entries = 0
        self.hits = self.misses = 0
        self.cache.clear()

    # -- what the registers do

    def set_table(self, irta: int) -> None:
        """Take the value of IRTA: the command SIRTP (10.4.4). The cache stays as it is."""
        field = VtdRegisters.IRTA
        self.table = field.IRTA.get(irta) << field.IRTA.lo
        self.entries = 2 << field.S.get(irta)
        self.eime = self.extended and bool(field.EIME.get(irta))

    def invalidate_all(self) -> None:
        """Forget every entry: global invalidation (6.5.2.7)."""
        self.cache.clear()

    def invalidate(self, index: int, mask: int) -> None:
        """Forget the 2**`mask` entries around `index`: the low `mask` bits do not count."""
        for cached in [each for each in self.cache if each >> mask == index >> mask]:
            del self.cache[cached]

    # -- a message

    def send(self, source_id: int, msi: Msi) -> Outcome:
        """Do with `msi` of `source_id` what `decide` says: deliver it, post it, or record why not.

        Nothing raises, whatever the device wrote and whatever the tables hold.
        """
        outcome = self.decide(source_id, msi)
        if outcome.descriptor is not None:
            outcome = self._post(outcome)
        if outcome.message is not None:
            self.deliver(outcome.message)
        if outcome.reason is not None and outcome.recorded:
            self.fault(outcome.reason, source_id, outcome.interrupt_index or 0)
        return outcome

    def decide(self, source_id: int, msi: Msi) -> Outcome:
        """What becomes of `msi`, written by `source_id` (5.1.2). Only the cache changes."""
        if not self.enabled:
            return Outcome(msi)
        address = msi.address & ~REQUEST_ADDRESS.IGNORED.mask
        if address >> REQUEST_ADDRESS.FEE.lo != MESSAGE_BASE >> REQUEST_ADDRESS.FEE.lo:
            return Outcome(reason=Reason.REQUEST_RESERVED, recorded=True)
        if REQUEST_ADDRESS.FORMAT.get(address) == REMAPPABLE:
            return self._remap(source_id, address, msi.data)
        if self.eime or not self.compatibility:
            return Outcome(reason=Reason.COMPATIBILITY_BLOCKED, recorded=True)
        return Outcome(msi)

    def _remap(self, source_id: int, address: int, data: int) -> Outcome:
        """The entry that the message names, and what it says."""
        index = REQUEST_ADDRESS.HANDLE_15.get(address) << 15 | REQUEST_ADDRESS.HANDLE.get(address)
        if REQUEST_ADDRESS.SHV.get(address):
            if REQUEST_DATA.reserved(data):
                return Outcome(reason=Reason.REQUEST_RESERVED, recorded=True)
            index += REQUEST_DATA.SUBHANDLE.get(data)
        if index >= self.entries:
            return Outcome(reason=Reason.INDEX_BEYOND, recorded=True, interrupt_index=index)
        entry = self._entry(index)
        if entry is None:
            return Outcome(reason=Reason.IRTE_ACCESS, recorded=True, interrupt_index=index)
        reason = self._refusal(entry, source_id)
        if reason in (None, Reason.SOURCE_ID) or self.caching_mode:
            self._keep(index, entry)
        if reason is not None:
            recorded = not (reason.qualified and IRTE.FPD.get(entry))
            return Outcome(reason=reason, recorded=recorded, interrupt_index=index, entry=entry)
        return self._meaning(index, entry)

    def _entry(self, index: int) -> int | None:
        """Entry `index` as the cache has it, else as memory has it. None: it is not in memory."""
        if index in self.cache:
            self.hits += 1
            return self.cache[index]
        self.misses += 1
        try:
            return self.memory.load(self.table + IRTE.size * index, IRTE.size)
        except DmaFault:
            return None

    def _keep(self, index: int, entry: int) -> None:
        if index not in self.cache and len(self.cache) >= CACHE_ENTRIES:
            del self.cache[next(iter(self.cache))]
        self.cache[index] = entry

    def _refusal(self, entry: int, source_id: int) -> Reason | None:
        """Why an entry is not for this message, in the order of the manual; None if it is."""
        if not IRTE.P.get(entry):
            return Reason.IRTE_NOT_PRESENT
        if reserved(entry, self.eime, self.posting):
            return Reason.IRTE_RESERVED
        return None if is_from(entry, source_id) else Reason.SOURCE_ID

    def _meaning(self, index: int, entry: int) -> Outcome:
        """What a good entry makes of the message."""
        if IRTE.IM.get(entry):
            return Outcome(
                interrupt_index=index,
                entry=entry,
                descriptor=descriptor_gpa(entry),
                vector=IRTE_POSTED.VV.get(entry),
                urgent=bool(IRTE_POSTED.URG.get(entry)),
            )
        interrupt = Interrupt(
            IRTE.V.get(entry),
            IRTE.DST.get(entry) if self.eime else DST_XAPIC.get(entry),
            IRTE.DLM.get(entry),
            bool(IRTE.DM.get(entry)),
            bool(IRTE.RH.get(entry)),
            bool(IRTE.TM.get(entry)),
        )
        return Outcome(interrupt.message(), interrupt_index=index, entry=entry)

    def _post(self, outcome: Outcome) -> Outcome:
        """Post, and give the notification as the message, if there is one."""
        assert outcome.descriptor is not None
        assert outcome.entry is not None
        try:
            notice = post(
                self.memory, outcome.descriptor, outcome.vector, outcome.urgent, self.eime
            )
        except PostError as error:
            recorded = not IRTE.FPD.get(outcome.entry)
            return outcome._replace(reason=error.reason, recorded=recorded)
        return outcome if notice is None else outcome._replace(message=notice.message())


def reserved(entry: int, eime: bool, posting: bool = True) -> bool:
    """Whether a present entry has a reserved bit set, or a field a value that means nothing."""
    if IRTE.SVT.get(entry) > CHECK_BUS:
        return True
    if IRTE.IM.get(entry):
        return not posting or bool(IRTE_POSTED.reserved(entry))
    outside = 0 if eime else entry & IRTE.DST.mask & ~DST_XAPIC.mask
    mode = IRTE.DLM.get(entry)
    return bool(IRTE.reserved(entry) or outside) or mode not in _MODES


_MODES = frozenset(Delivery) - {Delivery.STARTUP}
"""Delivery modes that an entry may have (9.10)."""


def is_from(entry: int, source_id: int) -> bool:
    """Whether an entry takes messages of `source_id` (9.10: SVT, SQ, SID)."""
    sid = IRTE.SID.get(entry)
    if IRTE.SVT.get(entry) == CHECK_ID:
        return not (source_id ^ sid) & COMPARED[IRTE.SQ.get(entry)]
    if IRTE.SVT.get(entry) == CHECK_BUS:
        return sid >> 8 <= source_id >> 8 <= sid & 0xFF
    return True
