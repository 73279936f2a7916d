"""Requests of a guest, each sent through the VMM to a device model in one of its homes.

The idea: a journey is a real run on a fresh lesson PC, where a service is a real process. So what
it costs is what the trace has counted, and nothing is said of a home that was not tried.

The rule that keeps it simple: `run` is a function of a `Plan`. A run has one outcome only, so it is
made once, and kept.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

from virtlab import machine
from virtlab.devices.edu import EduRegisters
from virtlab.devices.uart import IER, LSR
from virtlab.guest.ata import PRIMARY, AtaDriver
from virtlab.guest.edu import EduDriver
from virtlab.guest.pic import Pics
from virtlab.guest.uart import COM1
from virtlab.machine import PcVm
from virtlab.show.journey_steps import EDU, Step, steps
from virtlab.vmm import placement
from virtlab.vmm.meter import Cost
from virtlab.vmm.service.models import UART_INPUT
from virtlab.vmm.service.process import why_not

Home = Literal["VMM", "service", "posted"]
Request = Literal["in", "out", "sector", "dma", "interrupt"]

HOMES: tuple[tuple[str, Home], ...] = (
    ("inside the VMM", "VMM"),
    ("in a service", "service"),
    ("in a service, doorbells", "posted"),
)
"""Where the device model lives, by the words in the list."""

REQUESTS: tuple[tuple[str, Request], ...] = (
    ("IN: the UART's line status", "in"),
    ("OUT: a character to the UART", "out"),
    ("A disk sector, word by word", "sector"),
    ("DMA of 4 KiB, and its interrupt", "dma"),
    ("A key at the UART: interrupt, EOI", "interrupt"),
)
"""What the guest wants, by the words in the list."""

EDU_IRQ = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """One request, and the home of the device that it is for."""

    request: Request = "in"
    home: Home = "service"


class Trip(NamedTuple):
    """A journey's steps; the first one is the guest before it, with nothing spent."""

    plan: Plan
    steps: tuple[Step, ...]

    @property
    def cost(self) -> Cost:
        """What all of it cost."""
        return self.steps[-1].cost


def homes() -> tuple[tuple[str, Home], ...]:
    """The homes that there are on this machine: a service needs a process."""
    return HOMES[:1] if why_not() else HOMES


@cache
def run(plan: Plan) -> Trip:
    """Send the request through a fresh machine, and tell its steps."""
    board = machine.lesson_pc()
    placement.share(board)
    guest = machine.lesson_vm(board)
    with ExitStack() as stack:
        act = _REQUESTS[plan.request](guest, plan.home, stack)
        with board.trace.recording() as events:
            act()
    return Trip(plan, tuple(steps(events, plan.home != "VMM")))


def _place(
    guest: PcVm, plan: Home, stack: ExitStack, name: str, irq: int, *doorbells: tuple[int, int]
) -> placement.Placed:
    """The device in its home, until the stack unwinds."""
    line = guest.pic.line(irq)
    image = bytes(64 * 512) if name == "ata" else None
    made: placement.Placed
    if plan == "VMM":
        made = placement.inside(guest.vm, name, line, image)
    else:
        posted = doorbells if plan == "posted" else ()
        made = placement.service(guest.vm, name, line, image, posted)
    stack.callback(made.close)
    return made


def _in(guest: PcVm, home: Home, stack: ExitStack) -> Callable[[], object]:
    _place(guest, home, stack, "uart", UART_INPUT)
    return lambda: guest.cpu.inp(COM1 + LSR.offset)


def _out(guest: PcVm, home: Home, stack: ExitStack) -> Callable[[], object]:
    _place(guest, home, stack, "uart", UART_INPUT, (0, 0))
    return lambda: guest.cpu.out(COM1, ord("A"))


def _sector(guest: PcVm, home: Home, stack: ExitStack) -> Callable[[], object]:
    _place(guest, home, stack, "ata", PRIMARY.irq, *((0, n) for n in range(2, 8)))
    driver = AtaDriver(guest.cpu)
    driver.mute()
    return lambda: driver.read(7)


def _dma(guest: PcVm, home: Home, stack: ExitStack) -> Callable[[], object]:
    command = EduRegisters.DMA_COMMAND
    _place(guest, home, stack, "edu", EDU_IRQ, (0, command.offset))
    pics, driver = Pics(guest.cpu), EduDriver(guest.cpu, EDU)
    pics.remap()
    pics.unmask(EDU_IRQ)
    driver.put(EduRegisters.DMA_SOURCE, 0x40000)
    driver.put(EduRegisters.DMA_DESTINATION, 0x10000)
    driver.put(EduRegisters.DMA_COUNT, 4096)
    start = command.START.mask | command.TO_MEMORY.mask | command.INTERRUPT.mask

    def act() -> None:
        driver.put(command, start)
        guest.cpu.wait()

    return act


def _interrupt(guest: PcVm, home: Home, stack: ExitStack) -> Callable[[], object]:
    uart = _place(guest, home, stack, "pic+uart", UART_INPUT, (0, 0))
    pics = Pics(guest.cpu)
    pics.remap()
    pics.unmask(UART_INPUT)
    guest.cpu.out(COM1 + IER.offset, IER.ERBFI.mask)

    def act() -> None:
        uart.type("k")
        guest.cpu.wait()
        pics.eoi(UART_INPUT)
        guest.cpu.inp(COM1)

    return act


_REQUESTS: dict[Request, Callable[[PcVm, Home, ExitStack], Callable[[], object]]] = {
    "in": _in,
    "out": _out,
    "sector": _sector,
    "dma": _dma,
    "interrupt": _interrupt,
}
