"""The host's interrupts in the VMM's hands: taken, passed on, ended.

    device -> physical 8259A -> the VMM: which IRQ? -> virtual 8259A's line -> the guest
                   ^                    |
                   +------ EOI ---------+

The idea: a guest may reach a device with no exit, but the device's interrupt still comes to the
processor, and the processor is the VMM's. So the VMM takes it from the physical controller, lets
the line of a *virtual* controller rise, and ends it at the physical one. The guest acknowledges and
ends its own, virtual one.

The rule that keeps it simple: an interrupt that nobody took is masked. One that comes `IN_A_ROW`
times with no end is masked too, and says so: a device that screams cannot stop the host.

The VMM asks by the 8259A's poll command, which needs no vector ("Poll Command", data sheet). While
a guest runs, such an interrupt costs one more exit, "external interrupt" (SDM 3C 26.2). Our vCPU
looks for interrupts only at its `HLT`, when the VMM runs already; so `counts["interrupts"]` counts
them apart. Left out: level-triggered lines, which have to stay masked until the guest's own EOI.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from virtlab.guest.pic import Pics
from virtlab.vmm.assignment import Board, Guest

IRQS = 16

IN_A_ROW = 64
"""Interrupts served without a pause before their source counts as broken."""


class HostInterrupts:
    """Takes the two 8259As of `host` over. From then on its processor waits for nothing itself.

    `counts` has `interrupts`, `spurious`, and how many were relayed to each VM, by its name.
    """

    def __init__(self, host: Board) -> None:
        self.trace = host.trace
        self.controller = host.pic
        self.pics = Pics(host.cpu)
        self.actions: dict[int, Callable[[], None]] = {}
        self.counts: Counter[str] = Counter()
        self._busy = False
        self.pics.remap()
        host.pic.master.int_line.sink = self._changed

    def check_free(self, irq: int) -> None:
        """`ValueError` if somebody has `irq` already."""
        if irq in self.actions:
            raise ValueError(f"IRQ {irq} is taken already")

    def take(self, irq: int, action: Callable[[], None]) -> None:
        """Call `action` for each interrupt of `irq`. `ValueError` if somebody has it already.

        An edge from before, which the controller has kept, is not for whoever takes it now.
        """
        self.check_free(irq)
        self.actions[irq] = lambda: None
        self.pics.unmask(irq)
        self.actions[irq] = action

    def release(self, irq: int) -> None:
        """Nobody wants it any more: mask it."""
        del self.actions[irq]
        self.pics.mask(irq)

    def relay(self, irq: int, guest: Guest) -> None:
        """Let each interrupt of `irq` rise, as an edge, at the same input of the guest's 8259As."""
        self.take(irq, lambda: self._pass_on(irq, guest))

    def _pass_on(self, irq: int, guest: Guest) -> None:
        self.counts[guest.vm.name] += 1
        self.trace.emit("relay", guest.vm.name, value=irq, note=f"IRQ {irq}, physical to virtual")
        guest.pic.line(irq).pulse()

    # -- the VMM's interrupt handler

    def _changed(self, level: bool) -> None:
        """The physical controller's INT pin rose or fell."""
        if not level or self._busy:
            return
        self._busy = True
        try:
            self._serve()
        finally:
            self._busy = False

    def _serve(self) -> None:
        served: Counter[int] = Counter()
        for _ in range(IRQS * IN_A_ROW):
            if not self.controller.pending:
                return
            irq = self.pics.poll()
            if irq is None:
                self.counts["spurious"] += 1
                continue
            self.counts["interrupts"] += 1
            self.actions[irq]()
            self.pics.eoi(irq)
            served[irq] += 1
            if served[irq] == IN_A_ROW:
                self._silence(irq)

    def _silence(self, irq: int) -> None:
        self.pics.mask(irq)
        self.trace.emit("storm", "host", value=irq, note=f"IRQ {irq} does not stop: masked")
