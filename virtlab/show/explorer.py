"""Print a text in a virtual machine, and see what each choice costs in exits.

The idea: `run` is a pure function of a `Plan`. It makes a fresh virtual machine, lets the UART's
driver print, and gives the events. The widget `ExitExplorer` is three fields around it.
"""

from __future__ import annotations

from dataclasses import dataclass

from virtlab import machine
from virtlab.clock import COSTS
from virtlab.devices.uart import FIFO_SIZE
from virtlab.guest.uart import UartDriver
from virtlab.show.shell import (
    Shell,
    button,
    choice,
    drawing,
    entry,
    row,
    said,
    sentence,
    shown,
)
from virtlab.show.timeline import exit_timeline
from virtlab.trace import Event

LONGEST = 32
"""Characters that are printed at most."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to print, whether the UART's ports are `open`, and whether the driver uses the FIFO."""

    text: str = "hello"
    open: bool = False
    fifo: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened: the events, the exits, and what each of the two terminals showed."""

    events: tuple[Event, ...]
    exits: int
    virtual: str
    physical: str


def run(plan: Plan) -> Outcome:
    """Carry a plan out on a fresh board with a fresh virtual machine."""
    board = machine.lesson_pc()
    guest = machine.lesson_vm(board)
    driver = UartDriver.at_ports(guest.cpu)
    if plan.open:
        guest.vm.assign_ports(machine.UART, machine.UART_PORTS)
    if plan.fifo:
        driver.init()
    before = guest.exits
    data = plan.text.encode("ascii", "replace")[:LONGEST]
    with board.trace.recording() as events:
        if plan.fifo:
            driver.write(data)
        else:
            for byte in data:
                driver.put(byte)
    return Outcome(tuple(events), guest.exits - before, guest.terminal.text, board.terminal.text)


def in_words(plan: Plan, outcome: Outcome) -> str:
    """What the picture shows, and why there are so many exits."""
    n = len(plan.text[:LONGEST])
    questions = -(-n // FIFO_SIZE) if plan.fifo else n
    where = "physical" if outcome.physical else "virtual"
    words = f"{n} characters, {questions} questions: {n + questions} accesses to a port. "
    if plan.open:
        words += "The ports are open, so none of them exits. "
    else:
        cost = outcome.exits * COSTS["vm_exit"].ns / 1000
        words += f"Each exits: {outcome.exits} exits, about {cost:.1f} µs on a Sandy Bridge. "
    printed = outcome.physical or outcome.virtual
    return (
        f"{words}The {where} terminal shows `{printed}`."
        if printed
        else f"{words}Nothing to print."
    )


class ExitExplorer(Shell):
    """Choose a text, the state of the ports and the way of the driver, and watch the exits."""

    def __init__(self) -> None:
        self._picture, self._says = drawing(), sentence()
        self._text = entry("Text to print", Plan().text)
        self._ports = choice("The UART's ports", [("trap: exit", False), ("open", True)], False)
        ways = [("asks before each character", False), ("asks before sixteen", True)]
        self._way = choice("The driver", ways, False)
        fields = row(self._text, self._ports, self._way, button("Reset", self.reset))
        super().__init__("ExitExplorer", [fields, self._picture, self._says])
        for control in (self._text, self._ports, self._way):
            control.observe(lambda _: self._show(), "value")
        self._show()

    @property
    def plan(self) -> Plan:
        """What the fields say."""
        return Plan(self._text.value, self._ports.value, self._way.value)

    def reset(self) -> None:
        """The fields as they were at the start."""
        self._text.value, self._ports.value, self._way.value = Plan().text, False, False

    def _show(self) -> None:
        outcome = run(self.plan)
        self._picture.value = shown(exit_timeline(outcome.events))
        self._says.value = said(in_words(self.plan, outcome))
