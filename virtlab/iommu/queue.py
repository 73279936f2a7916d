"""The invalidation queue: a ring of requests in memory, which software fills and the unit empties.

    IQA --> [ ... | iotlb | device | wait |  free  ... ]     2**QS pages, 16 bytes a descriptor
                  ^ IQH                   ^ IQT
                  the unit                software, and its doorbell

The idea: software writes descriptors and then the tail. The unit takes them in order. A *wait*
descriptor comes last: when it is taken, all before it is done, and the unit writes a number to
memory or sends an interrupt.

The rules that keep it simple:

1. A descriptor is read once. What is checked is what is done.
2. A descriptor that is wrong stops the queue where it stands: IQH points at it, FSTS.IQE is set,
   IQERCD says why. It goes on when software has cleared IQE.
3. A device that does not answer stops it too, with FSTS.ITE, one descriptor further.
4. One write of software takes at most one lap of the ring.

Source: VT-d 3.0, 6.5.2, 6.5.2.10 (errors), 10.4.21 to 10.4.28. A wait without IF and SW is a fence,
and allowed. Left out: wide descriptors; requests that overtake each other, so FN has no effect.
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.errors import DmaFault
from virtlab.interrupts import Msi
from virtlab.iommu.descriptors import (
    CONTEXT_INVALIDATE,
    DESCRIPTOR_SIZE,
    DESCRIPTORS,
    DEVICE_TLB_INVALIDATE,
    IEC_INVALIDATE,
    IOTLB_INVALIDATE,
    TYPE,
    TYPE_HIGH,
    WAIT,
    DescriptorType,
    Granularity,
)
from virtlab.iommu.faults import FSTS, Event, FaultLog
from virtlab.iommu.invalidation import Invalidator
from virtlab.iommu.reasons import QueueError
from virtlab.iommu.registers import VtdRegisters
from virtlab.memory import PAGE, GuestMemory

ICS, IQA, IQERCD = VtdRegisters.ICS, VtdRegisters.IQA, VtdRegisters.IQERCD


class InvalidationQueue:
    """The queue of `registers`, in `memory`.

    What is asked for is done by `invalidator`; what goes wrong is told to `faults`; `send` gets the
    message of a wait descriptor. `done` counts descriptors, by type.
    """

    def __init__(
        self,
        memory: GuestMemory,
        registers: VtdRegisters,
        invalidator: Invalidator,
        faults: FaultLog,
        send: Callable[[Msi], None],
    ) -> None:
        self.memory, self.registers = memory, registers
        self.invalidator, self.faults = invalidator, faults
        self.event = Event(registers, "IE", send)
        self.enabled = self._running = False
        self.done = dict.fromkeys(DescriptorType, 0)
        self._actions: dict[DescriptorType, Callable[[int], QueueError | None]] = {
            DescriptorType.CONTEXT: self._contexts,
            DescriptorType.IOTLB: self._pages,
            DescriptorType.DEVICE_TLB: self._device,
            DescriptorType.INTERRUPT_ENTRY: self._interrupts,
            DescriptorType.WAIT: self._wait,
        }

    @property
    def size(self) -> int:
        """Bytes of the ring."""
        return PAGE << IQA.QS.get(self.registers.IQA)

    def enable(self, on: bool) -> None:
        """The command QIE. The queue begins at its first descriptor."""
        if on != self.enabled:
            self.enabled = on
            self.registers.IQH = 0
            self.run()

    def settle(self) -> None:
        """After a write of software: the completion event."""
        self.event.settle(bool(ICS.IWC.get(self.registers.ICS)))

    @property
    def stopped(self) -> bool:
        """Whether an error waits for software."""
        return bool(self.registers.FSTS & (FSTS.IQE.mask | FSTS.ITE.mask))

    def run(self) -> None:
        """Take descriptors up to the tail, or up to one that stops the queue."""
        # Whoever gets the message of a wait descriptor may ring the doorbell: it adds to this lap.
        if self.enabled and not self._running:
            self._running = True
            try:
                self._lap()
            finally:
                self._running = False

    def _lap(self) -> None:
        registers = self.registers
        if registers.IQH >= self.size:  # software has made the ring smaller than it was
            registers.IQH = 0
        for _ in range(self.size // DESCRIPTOR_SIZE):
            if self.stopped or not self.enabled:
                return
            if registers.IQT >= self.size:
                self._fail(QueueError.TAIL_INVALID)
                return
            if registers.IQH == registers.IQT:
                return
            error = self._take(registers.IQH)
            if error is not None:
                self._fail(error)
                return
            registers.IQH = (registers.IQH + DESCRIPTOR_SIZE) % self.size

    def _fail(self, error: QueueError) -> None:
        self.registers.IQERCD = IQERCD.IQEI.put(self.registers.IQERCD, error)
        self.faults.report(FSTS.IQE.mask)

    def _take(self, at: int) -> QueueError | None:
        """One descriptor, `at` so many bytes of the ring. What is wrong with it, if anything is."""
        try:
            descriptor = self.memory.load((self.registers.IQA & IQA.IQA.mask) + at, DESCRIPTOR_SIZE)
        except DmaFault:
            return QueueError.FETCH
        number = TYPE_HIGH.get(descriptor) << TYPE.width | TYPE.get(descriptor)
        can = self.invalidator.capabilities
        if number not in DESCRIPTORS or (
            number == DescriptorType.DEVICE_TLB and not can.device_tlb
        ):
            return QueueError.TYPE_INVALID
        kind = DescriptorType(number)
        if DESCRIPTORS[kind].reserved(descriptor):
            return QueueError.RESERVED
        error = self._actions[kind](descriptor)
        if error is None:
            self.done[kind] += 1
        return error

    # -- the descriptors

    def _contexts(self, descriptor: int) -> QueueError | None:
        layout = CONTEXT_INVALIDATE
        done = self.invalidator.contexts(
            layout.G.get(descriptor),
            layout.DID.get(descriptor),
            layout.SID.get(descriptor),
            layout.FM.get(descriptor),
        )
        return _unless(done)

    def _pages(self, descriptor: int) -> QueueError | None:
        layout = IOTLB_INVALIDATE
        done = self.invalidator.pages(
            layout.G.get(descriptor),
            layout.DID.get(descriptor),
            layout.ADDR.get(descriptor) << 12,
            layout.AM.get(descriptor),
            bool(layout.IH.get(descriptor)),
        )
        return _unless(done)

    def _device(self, descriptor: int) -> QueueError | None:
        layout = DEVICE_TLB_INVALIDATE
        source_id = layout.SID.get(descriptor)
        address, several = layout.ADDR.get(descriptor) << 12, bool(layout.S.get(descriptor))
        if not self.invalidator.device(source_id, address, several):
            self.registers.IQERCD = IQERCD.ITESID.put(self.registers.IQERCD, source_id)
            self.faults.report(FSTS.ITE.mask)
        return None

    def _interrupts(self, descriptor: int) -> QueueError | None:
        layout = IEC_INVALIDATE
        selective = bool(layout.G.get(descriptor))
        self.invalidator.interrupts(
            selective, layout.IIDX.get(descriptor), layout.IM.get(descriptor)
        )
        return None

    def _wait(self, descriptor: int) -> QueueError | None:
        if WAIT.SW.get(descriptor):
            # Address bits that the host has not are ignored.
            host = (1 << self.invalidator.capabilities.host_width) - 1
            status_at = WAIT.STADDR.get(descriptor) << 2 & host
            try:
                self.memory.store(status_at, 4, WAIT.STDATA.get(descriptor))
            except DmaFault:
                return QueueError.UNKNOWN
        if WAIT.IF.get(descriptor) and not ICS.IWC.get(self.registers.ICS):
            self.registers.ICS |= ICS.IWC.mask
            self.event.happen()
        return None


def _unless(done: Granularity) -> QueueError | None:
    """A request that makes no sense is a field with a reserved value."""
    return QueueError.RESERVED if done == Granularity.RESERVED else None
