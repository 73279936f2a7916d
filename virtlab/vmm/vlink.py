"""A device that does not exist, between two VMs: intercepted, buffered, delivered.

      VM A                      VMM                       VM B
      SEND  --exit-->  [ copy out of A's memory ]
                       [ the message waits      ]  --interrupt-->
                       [ copy into B's memory   ]  <--exit--  RECEIVE

The idea: where the registers are, the host has nothing at all. Every access exits, and what the VMM
answers *is* the device. It keeps a message in memory of its own, because the two VMs have no memory
in common, and because the other one may not be running now.

The rule that keeps it simple: two copies for every message, always, and one interrupt. What waits
is bounded: `MOST_MESSAGES` each way; a sender beyond that is told, and has to try again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

from virtlab.bus import Mapping
from virtlab.devices.vlink import LinkRegisters, VirtualLink
from virtlab.errors import DmaFault, GuestError
from virtlab.interrupts import IrqLine
from virtlab.trace import Trace
from virtlab.vmm.assignment import Guest

PLACE = 0xFE10_0000
"""Where the registers are (gpa): in no window of the PC's, and the host has nothing there."""

IRQ = 6
"""The diskette's, of which a VM has none."""

MOST_MESSAGES = 16
"""Messages that wait, each way."""


class Mailbox:
    """The VMM's memory for one direction: from VM `sender` to VM `receiver`.

    `arrived()` is called for each message that is put in.
    """

    def __init__(self, sender: str, receiver: str, trace: Trace) -> None:
        self.sender = sender
        self.receiver = receiver
        self.trace = trace
        self.messages: deque[bytes] = deque()
        self.connected = True
        self.arrived: Callable[[], None] = lambda: None

    @property
    def full(self) -> bool:
        """Whether no more can wait."""
        return len(self.messages) >= MOST_MESSAGES

    @property
    def oldest(self) -> bytes | None:
        """The message that has waited longest."""
        return self.messages[0] if self.messages else None

    def put(self, message: bytes) -> None:
        """A message has been copied out of the sender's memory."""
        self._copied(self.sender, message, "guest memory to the VMM")
        self.messages.append(message)
        self.arrived()

    def drop_oldest(self) -> None:
        """It has been copied into the receiver's memory."""
        self._copied(self.receiver, self.messages.popleft(), "the VMM to guest memory")

    def _copied(self, who: str, message: bytes, note: str) -> None:
        self.trace.emit("copy", who, size=len(message), note=note)


class LinkBetween:
    """Gives the VMs `a` and `b` an end each, at `place` (gpa) with interrupt `irq`.

    `ends` are the two devices; `counts` has the interrupts of each VM, by its name.
    """

    def __init__(self, a: Guest, b: Guest, place: int = PLACE, irq: int = IRQ) -> None:
        if a.vm is b.vm:
            raise ValueError("a link needs two VMs")
        self.trace = a.vm.trace
        self.counts: Counter[str] = Counter()
        there = Mailbox(a.vm.name, b.vm.name, self.trace)
        back = Mailbox(b.vm.name, a.vm.name, self.trace)
        self.boxes = (there, back)
        self.ends = (self._end(a, irq, there, back), self._end(b, irq, back, there))
        self._mappings: list[tuple[Guest, Mapping]] = []
        for guest, device in zip((a, b), self.ends, strict=True):
            mapping = guest.vm.memory.map(
                place, LinkRegisters.length, device, "virtual link", width=8
            )
            self._mappings.append((guest, mapping))

    def _end(self, guest: Guest, irq: int, outgoing: Mailbox, incoming: Mailbox) -> VirtualLink:
        line = IrqLine("virtual link", lambda level: self._drive(guest, irq, level))
        device = VirtualLink(line, guest.vm.ram, outgoing, incoming, self._faults_of(guest))
        incoming.arrived = device.update
        return device

    def _drive(self, guest: Guest, irq: int, level: bool) -> None:
        if level:
            self.counts[guest.vm.name] += 1
            self.trace.emit("irq", guest.vm.name, value=irq, note=f"IRQ {irq}: a message waits")
        guest.pic.line(irq).set(level)

    def _faults_of(self, guest: Guest) -> Callable[[GuestError | DmaFault], None]:
        return lambda error: self.trace.emit("fault", guest.vm.name, note=str(error))

    def unplug(self) -> None:
        """Take both ends out. What waits is lost, and where the registers were is nothing."""
        for box in self.boxes:
            box.connected = False
            box.messages.clear()
        for end in self.ends:
            end.update()
        for guest, mapping in self._mappings:
            guest.vm.memory.unmap(mapping)
