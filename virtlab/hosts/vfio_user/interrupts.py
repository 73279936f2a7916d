"""The interrupts of a function, as its client hears them: an eventfd for each.

    INTx    1       up: one event, then masked by itself; UNMASK when the guest has looked
    MSI     1..32   a message: one event
    MSI-X   1..2048 a message: one event, and the function's own table says what is pending

The idea: the client gives the messages, so the addresses in them are the client's affair. What the
function writes is turned into a number: which vector. It is what Linux's VFIO does on a real card,
where the kernel owns the card's table and fills it with messages of its own.

The rule that keeps it simple: a vector that nobody hears is pending, and goes out when somebody
does. Only a release forgets it.

Source: vfio-user.rst, "VFIO_USER_DEVICE_SET_IRQS", "VFIO_USER_DEVICE_GET_IRQ_INFO". Left out: an
eventfd that *tells of* masking, or masks; the specification lets a server refuse combinations.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import NamedTuple

from virtlab.hosts.vfio_user.layouts import (
    ACTION_MASK,
    ACTION_TRIGGER,
    ACTION_UNMASK,
    ACTIONS_MASK,
    DATA_BOOL,
    DATA_EVENTFD,
    DATA_MASK,
    DATA_NONE,
    IRQ_AUTOMASKED,
    IRQ_EVENTFD,
    IRQ_MASKABLE,
    IRQ_NORESIZE,
    IRQS,
    IrqIndex,
)
from virtlab.hosts.vfio_user.messages import Refused
from virtlab.interrupts import MESSAGE_BASE
from virtlab.pci import capabilities
from virtlab.pci.function import Function
from virtlab.pci.msix import ENTRY, Vector
from virtlab.virtio.vhost_user.messages import Descriptors, ProtocolError
from virtlab.virtio.vhost_user.vring import EventFd

INTX, MSI, MSIX = IrqIndex.INTX, IrqIndex.MSI, IrqIndex.MSIX

FLAGS = {
    INTX: IRQ_EVENTFD | IRQ_MASKABLE | IRQ_AUTOMASKED,
    MSI: IRQ_EVENTFD | IRQ_MASKABLE,
    MSIX: IRQ_EVENTFD | IRQ_MASKABLE,
}
"""What the client may do with each kind. A vector can be given and taken alone."""

MESSAGE_BYTES = 4


class Irq(NamedTuple):
    """One interrupt: its kind and its number."""

    kind: int
    number: int


class Interrupts:
    """Those of `function`."""

    def __init__(self, function: Function) -> None:
        self.function = function
        msi, msix = function.config.find(capabilities.Msi), function.config.find(capabilities.Msix)
        capable = capabilities.Msi.CONTROL.MULTIPLE_MESSAGE_CAPABLE
        self.table = msix.table if msix is not None else None
        self.counts = {
            INTX: int(bool(function.header.INTERRUPT_PIN)),
            MSI: 1 << capable.get(msi.CONTROL) if msi is not None else 0,
            MSIX: self.table.vectors if self.table is not None else 0,
        }
        self.level = False
        self._events: dict[Irq, EventFd] = {}
        self._masked: set[Irq] = set()
        self._pending: set[Irq] = set()

    def info(self, index: int) -> tuple[int, int]:
        """Flags and number of the interrupts of a kind; `Refused` if there is no such kind."""
        if index >= IRQS:
            raise Refused(errno.EINVAL, f"no kind of interrupts is {index}")
        count = self.counts.get(IrqIndex(index), 0)
        return (FLAGS[IrqIndex(index)] if count else IRQ_NORESIZE), count

    @property
    def heard(self) -> list[Irq]:
        """Those that have an eventfd."""
        return sorted(self._events)

    # -- from the function

    def pin(self, level: bool) -> None:
        """Its pin was driven."""
        self.level = level
        self._go(Irq(INTX, 0))

    def number_of(self, iova: int, data: bytes) -> Irq | None:
        """Which interrupt this write is, if it is a message and no data."""
        if len(data) != MESSAGE_BYTES:
            return None
        config, datum = self.function.config, int.from_bytes(data, "little")
        msix, msi = config.find(capabilities.Msix), config.find(capabilities.Msi)
        if msix is not None and msix.enabled:
            ours = iova == MESSAGE_BASE and datum < self.counts[MSIX]
            return Irq(MSIX, datum) if ours else None
        if msi is not None and msi.enabled:
            number = datum % msi.vectors
            return Irq(MSI, number) if msi.message(number) == (iova, datum) else None
        return None

    def send(self, irq: Irq) -> None:
        """A message: somebody hears it, or it is pending."""
        self._pending.add(irq)
        self._go(irq)

    def _go(self, irq: Irq) -> None:
        """Let it go out, if it wants to and may."""
        event = self._events.get(irq)
        if event is None or irq in self._masked:
            return
        if irq.kind == INTX:
            if self.level:
                self._masked.add(irq)
                event.signal()
        elif irq in self._pending:
            self._pending.discard(irq)
            event.signal()

    # -- from the client

    def set(
        self, flags: int, index: int, start: int, count: int, data: bytes, fds: Descriptors
    ) -> None:
        """Carry out a DEVICE_SET_IRQS. `Refused` changes nothing."""
        kind, action = flags & DATA_MASK, flags & ACTIONS_MASK
        self._check(flags, index, start, count)
        numbers = [Irq(index, number) for number in range(start, start + count)]
        if kind == DATA_EVENTFD:
            if action != ACTION_TRIGGER or data or len(fds) not in (0, count):
                raise Refused(errno.EINVAL, f"{len(fds)} eventfds for {count} interrupts")
            self._listen(numbers, fds) if len(fds) else self._release(numbers)
            return
        if fds or len(data) != (count if kind == DATA_BOOL else 0):
            raise Refused(errno.EINVAL, f"{len(data)} bytes, {len(fds)} eventfds")
        if not count:
            self._release([irq for irq in self.heard if irq.kind == index])
            return
        meant = [irq for at, irq in enumerate(numbers) if kind == DATA_NONE or data[at]]
        for irq in meant:
            self._act(action, irq)

    def _check(self, flags: int, index: int, start: int, count: int) -> None:
        kind, action = flags & DATA_MASK, flags & ACTIONS_MASK
        if kind not in (DATA_NONE, DATA_BOOL, DATA_EVENTFD) or flags & ~(DATA_MASK | ACTIONS_MASK):
            raise Refused(errno.EINVAL, f"the data flags {flags:#x}")
        if action not in (ACTION_MASK, ACTION_UNMASK, ACTION_TRIGGER):
            raise Refused(errno.EINVAL, f"the action flags {flags:#x}")
        have = self.info(index)[1]
        if start + count > have:
            raise Refused(errno.EINVAL, f"interrupts {start} to {start + count - 1} of {have}")
        # No interrupts at all: that is a way to say "all", for this one purpose.
        if not count and (start or (kind, action) != (DATA_NONE, ACTION_TRIGGER)):
            raise Refused(errno.EINVAL, "no interrupts")

    def _listen(self, numbers: Iterable[Irq], fds: Descriptors) -> None:
        for irq, event in zip(numbers, _eventfds(fds), strict=True):
            self._forget(irq)
            self._events[irq] = event
            self._open(irq)

    def _release(self, numbers: Iterable[Irq]) -> None:
        for irq in numbers:
            self._forget(irq)
            self._pending.discard(irq)
            self._shut(irq)

    def _forget(self, irq: Irq) -> None:
        self._masked.discard(irq)
        event = self._events.pop(irq, None)
        if event is not None:
            event.close()

    def _act(self, action: int, irq: Irq) -> None:
        if action == ACTION_TRIGGER:
            if irq in self._events:
                self._events[irq].signal()
        elif action == ACTION_MASK:
            self._masked.add(irq)
            self._shut(irq)
        else:
            self._masked.discard(irq)
            self._open(irq)

    # -- the function's own table

    def _open(self, irq: Irq) -> None:
        """Somebody hears it from now on."""
        if irq.kind == MSIX and irq in self._events:
            self._fill(irq.number, masked=False)
        self._go(irq)

    def _shut(self, irq: Irq) -> None:
        """Nobody hears it any more: the function shall note it as pending."""
        if irq.kind == MSIX:
            self._fill(irq.number, masked=True)

    def _fill(self, number: int, masked: bool) -> None:
        """Vector `number` shall write its own number to where messages go."""
        if self.table is not None:
            at = number * ENTRY
            self.table.write(at + Vector.ADDRESS.offset, 4, MESSAGE_BASE)
            self.table.write(at + Vector.DATA.offset, 4, number)
            self.table.write(at + Vector.CONTROL.offset, 4, int(masked))

    def settle(self) -> None:
        """The function may have been reset, and its table with it: fill it again."""
        for irq in self._events:
            if irq.kind == MSIX and irq not in self._masked and self._held(irq.number):
                self._fill(irq.number, masked=False)

    def _held(self, number: int) -> bool:
        """Whether the table holds vector `number` back."""
        return self.table is not None and bool(self.table.vector_masks >> number & 1)

    def close(self) -> None:
        """The client is gone: nobody hears anything, and nothing is pending."""
        self._release(self.heard)
        self._masked.clear()
        self._pending.clear()


def _eventfds(fds: Descriptors) -> list[EventFd]:
    """All of these as eventfds. `Refused` if one of them is none; then all are closed."""
    made: list[EventFd] = []
    try:
        while len(fds):
            made.append(EventFd())
            made[-1].set(fds.take())
    except ProtocolError as error:
        for event in made:
            event.close()
        raise Refused(errno.EINVAL, error.why) from None
    return made
