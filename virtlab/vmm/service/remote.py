"""What the guest meets of a device that is served elsewhere: one that forwards, and that may fail.

    guest --exit--> VMM --request--> service          2 more world switches, there and back
    guest <-entry-- VMM <---reply--- service

The idea: the bus sees an ordinary `Device`. Behind it an access is a message, its price is two
switches of process, and its answer may never come.

The guest then sees a *failed device*, never an exception. `KINDS` says what that reads; all writes
are lost. If the device has a status that tells of it, the failure stays until the guest has read
that, even when a new process has taken over before: a request that was under way is never lost in
silence.

A write to an offset in `posted` is a doorbell: the VMM sends it and enters the guest at once, as
with KVM_IOEVENTFD. (There the kernel rings a bell; here the message carries the value too.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from virtlab.clock import COSTS, Clock
from virtlab.interrupts import IrqLine
from virtlab.trace import Trace
from virtlab.vmm.service.link import Link
from virtlab.vmm.service.messages import DATA_BYTES, Kind, Reply, Request
from virtlab.vmm.service.shared import DiskFile
from virtlab.wire import all_ones

SWITCH = round(COSTS["process_switch"].ns)
"""Virtual ns from the VMM to the service, and as many back."""

MAX_PRINTED = 1 << 16
"""Characters that are fetched at most."""


class DeviceService(Link):
    """The device `name`, served by another process. `posted` are its doorbells, `(part, offset)`.

    `devices` has a `Device` for each of its parts.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        trace: Trace,
        line: IrqLine,
        memory: dict[str, Any] | None = None,
        disk: DiskFile | None = None,
        posted: Collection[tuple[int, int]] = (),
    ) -> None:
        super().__init__(name, clock, trace, line, memory, disk)
        self.posted = frozenset(posted)
        self.devices = tuple(RemotePart(self, part) for part in range(len(self.kind.parts)))
        self._debt = 0

    # -- the guest's accesses

    def read(self, part: int, offset: int, size: int) -> int:
        """The guest reads."""
        if not self.silent and (part, offset) not in self.owed:
            reply = self._trip(Request(Kind.READ, part, size, offset=offset))
            if reply is not None:
                return reply.value
        return self._dead(part, offset, size)

    def write(self, part: int, offset: int, size: int, value: int) -> None:
        """The guest writes; what it writes to a failed device is lost."""
        if self.silent:
            return
        self.owed.clear()
        request = Request(Kind.WRITE, part, size, offset=offset, value=value)
        if (part, offset) in self.posted:
            self._post(request._replace(kind=Kind.POST))
        else:
            self._trip(request)

    @property
    def silent(self) -> bool:
        """Whether the guest meets a failed device: no process, or a failure it has not seen yet."""
        return self.failed or self.status in self.owed

    def _dead(self, part: int, offset: int, size: int) -> int:
        """What a failed device reads. Its status, once read, is told."""
        key = (part, offset)
        self.owed.discard(key)
        if key == self.status:
            self.line.set(False)
        return self.kind.failed.get(key, all_ones(size)) & all_ones(size)

    # -- what the guest's accesses cost

    def _trip(self, request: Request) -> Reply | None:
        """There and back: two world switches and their time. None if the service failed."""
        self._switch(f"VMM to service: {request.kind.name.lower()}")
        self._debt += SWITCH
        self.pay()
        reply = self.ask(request)
        self._switch("service to VMM" if reply else "nobody answers")
        self.clock.advance(SWITCH)
        return reply

    def _post(self, request: Request) -> None:
        """Send, and do not wait. What comes of it is fetched a switch of process later."""
        self.trace.emit("doorbell", self.name, note="posted: nobody waits")
        if self.ask(request) is not None:
            self._set_timer(self.clock.now + SWITCH)

    def _switch(self, words: str) -> None:
        self.trace.emit("world switch", self.name, note=words)

    # -- an interrupt controller that is served

    def drive(self, number: int, level: bool) -> None:
        """One of its inputs changes: there and back, at once.

        A timer's call may do that, and time never passes inside one: it is paid later, by `pay`
        or by the next access.
        """
        if not self.failed:
            self._switch("VMM to service: line")
            self._debt += 2 * SWITCH
            self.ask(Request(Kind.LINE, offset=number, value=level))
            self._switch("service to VMM")

    def pay(self) -> None:
        """Let the time pass that has been put off."""
        debt, self._debt = self._debt, 0
        self.clock.advance(debt)

    def acknowledge(self) -> int:
        """The INTA cycle: its vector, all ones if it failed."""
        reply = None if self.failed else self._trip(Request(Kind.ACKNOWLEDGE))
        return all_ones(1) if reply is None else reply.value & all_ones(1)

    # -- the terminal behind a UART that is served

    def type(self, text: str | bytes) -> None:
        """Somebody types."""
        data = text.encode("ascii") if isinstance(text, str) else text
        for at in range(0, len(data), DATA_BYTES):
            self.ask(Request(Kind.TYPE, data=data[at : at + DATA_BYTES]))

    @property
    def printed(self) -> str:
        """What it shows; nothing for a device without one, or without a process."""
        return b"".join(self._pieces()).decode("ascii", "backslashreplace")

    def _pieces(self) -> Iterator[bytes]:
        for at in range(0, MAX_PRINTED, DATA_BYTES):
            reply = self.ask(Request(Kind.PRINTED, offset=at))
            if reply is None or not reply.data:
                break
            yield reply.data


class RemotePart:
    """One range of a served device, as the bus sees it."""

    def __init__(self, service: DeviceService, part: int) -> None:
        self.service = service
        self.part = part

    def read(self, offset: int, size: int) -> int:
        """Ask the service."""
        return self.service.read(self.part, offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Tell the service."""
        self.service.write(self.part, offset, size, value)


class RemoteChip:
    """A served interrupt controller, as the VMM sees it: INT by the bell, INTA by a request."""

    def __init__(self, service: DeviceService) -> None:
        self.service = service

    @property
    def pending(self) -> bool:
        """Whether INT is up."""
        return self.service.line.level

    def acknowledge(self) -> int:
        """The INTA cycle."""
        return self.service.acknowledge()

    def line(self, n: int) -> IrqLine:
        """A wire to input `n`, 0 to 15, for a device that is not in the service."""
        if not 0 <= n < self.service.kind.inputs:
            raise ValueError(f"a pair of 8259As has IRQ 0 to 15, not {n}")
        return IrqLine(f"IRQ {n}", lambda level: self.service.drive(n, level))
