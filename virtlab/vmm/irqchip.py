"""Where the interrupt controller lives, and what one interrupt costs there.

    raise    the device drives its line
    deliver  the guest wakes from HLT: the VMM asks the controller for the vector (INTA)
    mask     the handler masks its input      OUT to IMR
    EOI      ... and ends the interrupt       OUT to OCW2, at both chips from IRQ 8 on
    serve    ... reads the device             IN, which also lowers the line
    unmask   ... and lets the input through   OUT to IMR

The idea: for one interrupt a device may be asked once, but its controller four times, five from IRQ
8 on. So a controller in a process of its own makes *every* device slow, also those in the VMM.
That is why KVM can have one in the kernel (KVM API, KVM_CREATE_IRQCHIP).

The rules that keep it simple: a step is one access, or one INTA. Masking keeps a copy of IMR, as
Linux does, so it needs no read. What a device and a controller in one process say to each other is
free. A line into another world is carried by the VMM, two world switches a change; out of a service
it is a bell, and free.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Literal, NamedTuple

from virtlab.devices.uart import IER
from virtlab.guest.pic import MASTER, SLAVE, Pics
from virtlab.guest.uart import COM1
from virtlab.interrupts import IrqLine
from virtlab.vmm import placement
from virtlab.vmm.meter import Cost, Meter
from virtlab.vmm.service.models import UART_INPUT
from virtlab.vmm.service.remote import SWITCH
from virtlab.vmm.virtual_machine import VirtualMachine

Home = Literal["VMM", "service"]
"""Where something lives."""

STEPS = ("raise", "deliver", "mask", "EOI", "serve", "unmask")


class Interrupt(NamedTuple):
    """One interrupt on input `irq`, of a device in `device`, whose handler makes `reads` of it.

    With no reads it is a timer's: a pulse, and nothing to ask.
    """

    irq: int
    device: Home = "VMM"
    reads: int = 0


TIMER, DISK = Interrupt(0), Interrupt(14)
UART, UART_SERVED = Interrupt(UART_INPUT, reads=1), Interrupt(UART_INPUT, "service", reads=1)
"""Four to compare. The disk here is a pulse on its line, which is one of the slave's."""


def predicted(chip: Home, interrupt: Interrupt, exit_ns: int) -> dict[str, Cost]:
    """The closed form: what each step costs with the controller in `chip`.

    `exit_ns` is the virtual time of one exit.
    """
    served, remote = chip == "service", interrupt.device == "service"
    hop = 2 * (served and not remote)
    eois = 2 if interrupt.irq >= 8 else 1
    access = Cost(1, 2 + 2 * served)
    steps = {
        "raise": Cost(0, hop if interrupt.reads else 2 * hop),
        "deliver": access,
        "mask": access,
        "EOI": Cost(eois, eois * access.switches),
        "serve": _serve(interrupt.reads, remote, hop),
        "unmask": access,
    }
    return {name: timed(cost, exit_ns) for name, cost in steps.items()}


def _serve(reads: int, remote: bool, hop: int) -> Cost:
    return Cost(reads, reads * (2 + 2 * remote) + hop) if reads else Cost()


def timed(cost: Cost, exit_ns: int) -> Cost:
    """`cost` with the time that its events take: exits, and switches of process beyond them."""
    beyond = cost.switches - 2 * cost.exits
    return cost._replace(ns=cost.exits * exit_ns + beyond * SWITCH)


def total(steps: dict[str, Cost]) -> Cost:
    """The sum of all steps."""
    return Cost(*(sum(column) for column in zip(*steps.values(), strict=True)))


def measured(vm: VirtualMachine, chip: Home, interrupt: Interrupt) -> dict[str, Cost]:
    """The same, counted: an interrupt on `vm`, with real processes where something is served."""
    with ExitStack() as stack:
        rig = _Rig(vm, chip, interrupt, stack)
        return {name: _cost(vm, rig, name) for name in STEPS}


def _cost(vm: VirtualMachine, rig: _Rig, name: str) -> Cost:
    with Meter(vm) as meter:
        rig.step(name)
        if isinstance(rig.chip, placement.Served):
            rig.chip.pay()
    return meter.cost


class _Rig:
    """A VM whose controller and device are placed, and the guest's side of one interrupt."""

    def __init__(
        self, vm: VirtualMachine, chip: Home, interrupt: Interrupt, stack: ExitStack
    ) -> None:
        self.cpu, self.interrupt = vm.cpu, interrupt
        self.together = chip == interrupt.device == "service"
        self.chip = self.uart = _place(vm, chip, "pic+uart" if self.together else "pic")
        stack.enter_context(self.chip)
        assert self.chip.chip is not None
        self.line = self.chip.chip.line(interrupt.irq)
        if interrupt.reads and not self.together:
            self.uart = _place(vm, interrupt.device, "uart", self.line)
            stack.enter_context(self.uart)
        self.pics = Pics(self.cpu)
        self.pics.remap()
        self.pics.unmask(interrupt.irq)
        if interrupt.reads:
            self.cpu.out(COM1 + IER.offset, IER.ERBFI.mask)

    def step(self, name: str) -> None:
        """One step of `STEPS`."""
        irq = self.interrupt.irq
        match name:
            case "raise" if self.interrupt.reads:
                self.uart.type("k")
            case "raise":
                self.line.pulse()
            case "deliver":
                assert self.pics.irq_of(self.cpu.wait() or 0) == irq
            case "mask":
                self._mask(0xFF)
            case "EOI":
                self.pics.eoi(irq)
            case "serve":
                for _ in range(self.interrupt.reads):
                    self.cpu.inp(COM1)
            case _:
                self._mask(0xFF & ~(1 << irq % 8))

    def _mask(self, mask: int) -> None:
        self.cpu.out((SLAVE if self.interrupt.irq >= 8 else MASTER) + 1, mask)


def _place(
    vm: VirtualMachine, home: Home, name: str, line: IrqLine | None = None
) -> placement.Placed:
    if home == "service":
        return placement.service(vm, name, line)
    return placement.inside(vm, name, line)
