"""The VMM's end of the line to a service: ask, collect what it did by itself, see it fail.

    ask --> the process --> a reply   --> collect: its line, the DMA it made, its next timer
                        --> no answer --> a failed device --> restart

The idea: everything that the service may do without being asked is collected after each reply. Its
line follows the mailbox, and its next timer is set on the VMM's clock, where `_tick` fetches what
has come. So no thread waits for it, and virtual time decides the order.

The rule that keeps it simple: what goes through `ask` costs the guest nothing and counts nothing.
It is for the outside world and for virtual time; the guest's own accesses are counted by `remote`.

A failure is an event of the trace, and a line that goes up where the device has a status to show: a
guest that sleeps must wake to see it. `restart` brings the device back, powered on.
"""

from __future__ import annotations

from typing import Any

from virtlab.clock import MICROSECOND, Clock, Timer
from virtlab.interrupts import IrqLine
from virtlab.trace import Trace
from virtlab.vmm.service.messages import UNANSWERED, Kind, Reply, Request
from virtlab.vmm.service.models import kind_of
from virtlab.vmm.service.process import ServiceDied, ServiceProcess
from virtlab.vmm.service.shared import WRAP, Bell, DiskFile, Mailbox

SHORTEST = MICROSECOND
"""The service is asked for its timers no more often than this, whatever it says is due."""


class Link:
    """The line to a process that serves the device `name`, for a VM with this `clock` and `trace`.

    `line` is the device's interrupt. `memory` describes the VM's RAM and `disk` is the file of its
    disk, for the kinds that need one. `failed` says whether the process is gone, `why` what was
    seen; `owed` are the registers in which the guest has yet to see it.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        trace: Trace,
        line: IrqLine,
        memory: dict[str, Any] | None = None,
        disk: DiskFile | None = None,
    ) -> None:
        self.name = name
        self.kind = kind_of(name)
        self.clock = clock
        self.trace = trace
        self.line = line
        self.memory = memory
        self.disk = disk
        self.bell = Bell.new()
        self.failed, self.why = False, ""
        self.owed: set[tuple[int, int]] = set()
        self._timer: Timer | None = None
        try:
            self._start()
        except OSError:
            self.bell.close()
            raise

    def _start(self) -> None:
        """A new process, with an empty mailbox: an old ring of the bell then means nothing."""
        self.mailbox = Mailbox()
        self._seen, self._moved = 0, (0, 0)
        greeting: dict[str, Any] = {"kind": self.name}
        fds = []
        if self.memory is not None:
            greeting["memory"] = self.memory
            fds.append(self.memory["fd"])
        if self.disk is not None:
            greeting["disk"] = {"fd": self.disk.fd, "size": self.disk.size}
            fds.append(self.disk.fd)
        self.process = ServiceProcess(greeting, self.bell.write_fd, self.mailbox.fd, fds)

    def ask(self, request: Request) -> Reply | None:
        """Send `request` at this moment of virtual time. None, and a failed device, if it fails.

        After one that is only sent nothing is collected: the service may not have come to it yet,
        and what happens when must not depend on how fast it is.
        """
        if self.failed:
            return None
        try:
            reply = self.process.ask(request._replace(time=self.clock.now))
        except ServiceDied as death:
            self._fail(str(death))
            return None
        if request.kind not in UNANSWERED:
            self._collect(reply)
        return reply

    # -- what the service does by itself

    def _collect(self, reply: Reply) -> None:
        """Count its DMA, follow its line, and note when it wants to be asked again."""
        if self.kind.dma:
            self._count_dma()
        if self.bell.heard():
            self._follow_line()
        if reply.due is not None:
            self._set_timer(reply.due)

    def _follow_line(self) -> None:
        """As many changes as the mailbox counts; of a great many only the last two or three."""
        changes = self.mailbox.changes
        count = (changes - self._seen) % WRAP
        self._seen = changes
        for _ in range(count if count < 4 else 2 + count % 2):
            if not self.line.level:
                self.trace.emit("irq", self.name, note="the bell")
            self.line.set(not self.line.level)

    def _count_dma(self) -> None:
        """Bytes went straight to the shared memory; here they are only counted."""
        now = self.mailbox.bytes_moved
        for kind, before, after in zip(("dma read", "dma write"), self._moved, now, strict=True):
            if after > before:
                self.trace.emit(kind, self.name, size=after - before, note="shared memory")
        self._moved = now

    def _set_timer(self, due: int) -> None:
        """Ask again at `due`, unless that happens earlier anyway."""
        timer = self._timer
        if timer is not None and timer.when <= due:
            return
        self._cancel_timer()
        self._timer = self.clock.after(max(SHORTEST, due - self.clock.now), self._tick)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        """Let the service's clock come as far as ours, and see what it did."""
        self._timer = None
        self.ask(Request(Kind.TIME))

    # -- failure

    @property
    def status(self) -> tuple[int, int] | None:
        """The register that tells the guest of a failure, by part and offset; None: it has none."""
        return next(iter(self.kind.failed), None)

    def _fail(self, why: str) -> None:
        """The process is of no use: end it, tell the trace, and in its way the guest."""
        self.failed, self.why = True, why
        self.process.end()
        self._cancel_timer()
        self.trace.emit("device failed", self.name, note=why)
        self.owed = set(self.kind.failed)
        self.line.set(bool(self.owed))

    def check(self) -> bool:
        """Look after the process without waiting for an access: whether it is there."""
        if not self.failed and not self.process.alive:
            self._fail("the service hung up")
        return not self.failed

    def kill(self) -> None:
        """An accident: kill -9. The VMM sees it when it next speaks to the service, or checks."""
        self.process.kill()

    def restart(self) -> None:
        """A new process for the same memory and the same disk, powered on.

        What the old one had acknowledged is in the disk's file. What it had not is reported to the
        guest as failed, once. `OSError` if no process can be started.
        """
        if not self.failed:
            self._fail("replaced by a new one")
        self._start()
        self.failed = False
        self.trace.emit("restart", self.name)

    def close(self) -> None:
        """End the process, and let its line and the bell go. Closing twice does nothing."""
        self.failed, self.why = True, "closed"
        self.process.end()
        self._cancel_timer()
        self.line.set(False)
        self.bell.close()
