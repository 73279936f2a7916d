"""Posted interrupts: a bit in memory, and a note to the processor that should look.

    remapping unit                 descriptor, 64 bytes                 processor, or the VMM
    set bit `vector` ------------> PIR   256 vectors
    ON=0 and (SN=0 or urgent)? --> ON=1  NV, NDST -- notification -->   ON=0, take PIR: `sync`

The idea: a VM's interrupt is not delivered to anybody. It is written down where the VM's processor
finds it. If that runs, the notification makes it look, with no exit. If it does not run, nobody
need be disturbed: the VMM looks before the next entry.

The rules that keep it simple: ON says that a notification is under way, so many posts need one. Who
takes the bits clears ON *first*. What is posted after that brings a new notification, and no bit is
lost.

Source: VT-d 3.0, 5.2 (posting), 9.12 (the descriptor); SDM 3C 30.6 (what a processor does with a
notification). The descriptor is read and written here in one piece; hardware locks it.
"""

from __future__ import annotations

from virtlab.errors import DmaFault
from virtlab.interrupts import Interrupt
from virtlab.iommu.layouts import POSTED_DESCRIPTOR as PD
from virtlab.iommu.reasons import Reason
from virtlab.memory import GuestMemory
from virtlab.wire import Bits

NDST_XAPIC = Bits(303, 296)
"""The part of `NDST` that an xAPIC id is in; the rest is then reserved."""


class PostError(Exception):
    """A descriptor cannot be used; `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.meaning)
        self.reason = reason


def post(
    memory: GuestMemory, gpa: int, vector: int, urgent: bool = False, extended: bool = False
) -> Interrupt | None:
    """Post `vector` in the descriptor at `gpa`; the notification to send, if one is due (5.2.3).

    `extended`: NDST is an x2APIC id. `PostError` where the descriptor is not in memory (27h), or
    has a reserved bit set (28h); then nothing was posted.
    """
    try:
        descriptor = memory.load(gpa, PD.size)
    except DmaFault:
        raise PostError(Reason.DESCRIPTOR_ACCESS) from None
    outside = 0 if extended else descriptor & PD.NDST.mask & ~NDST_XAPIC.mask
    if PD.reserved(descriptor) or outside:
        raise PostError(Reason.DESCRIPTOR_RESERVED)
    due = not PD.ON.get(descriptor) and (urgent or not PD.SN.get(descriptor))
    posted = descriptor | 1 << vector
    memory.store(gpa, PD.size, PD.ON.put(posted, 1) if due else posted)
    if not due:
        return None
    target = PD.NDST if extended else NDST_XAPIC
    return Interrupt(PD.NV.get(descriptor), target.get(descriptor))


class PostedDescriptor:
    """A descriptor in the VMM's hands: at `gpa`, a multiple of 64, for one virtual processor."""

    def __init__(self, memory: GuestMemory, gpa: int) -> None:
        if gpa % PD.size:
            raise ValueError(f"a descriptor is at a multiple of {PD.size}, not at {gpa:#x}")
        self.memory, self.gpa = memory, gpa

    @property
    def value(self) -> int:
        """All 64 bytes, as one number."""
        return self.memory.load(self.gpa, PD.size)

    def _put(self, value: int) -> None:
        self.memory.store(self.gpa, PD.size, value)

    def start(self, vector: int, processor: int, *, extended: bool = False) -> None:
        """Make it new: nothing posted; notify `processor`, an APIC id, by `vector`."""
        target = PD.NDST if extended else NDST_XAPIC
        self._put(target.put(PD.NV.put(0, vector), processor))

    def move(self, vector: int, processor: int, *, extended: bool = False) -> None:
        """Notify another processor, by another vector, from now on. What is posted stays."""
        target = PD.NDST if extended else NDST_XAPIC
        value = PD.NDST.put(self.value, 0)
        self._put(target.put(PD.NV.put(value, vector), processor))

    def suppress(self, on: bool) -> None:
        """Let posts bring no notification, or let them again (SN)."""
        self._put(PD.SN.put(self.value, on))

    @property
    def pending(self) -> int:
        """The posted vectors, a bit each."""
        return PD.PIR.get(self.value)

    @property
    def outstanding(self) -> bool:
        """Whether a notification is under way (ON)."""
        return bool(PD.ON.get(self.value))

    def sync(self) -> int:
        """Take what was posted, to be added to the virtual IRR: a bit for each vector.

        ON is cleared first, then PIR is taken (SDM 3C 30.6).
        """
        self._put(PD.ON.put(self.value, 0))
        value = self.value
        self._put(PD.PIR.put(value, 0))
        return PD.PIR.get(value)
