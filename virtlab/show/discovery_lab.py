"""Two rooms to look around in: a guest behind a VMM that pretends more or less.

`look_around` and `scan_bus` are pure functions of a choice: they make a fresh virtual machine, put
there what the VMM has, and let the guest look. The widgets are a list and a picture around them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from virtlab.guest.pci import Found, PortAccess, Scan
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.probe import Look, probe
from virtlab.guest.ps2 import COMMAND, DATA
from virtlab.machine import lesson_vm
from virtlab.memory import PAGE
from virtlab.pci.access import CONFIG_PORTS, ConfigPorts
from virtlab.pci.dump import DumpedFunction, dumped
from virtlab.show.looks import looks_picture, sizes_picture
from virtlab.show.shell import Shell, button, choice, drawing, row, said, sentence, shown
from virtlab.vmm.preset import Photograph, Preset
from virtlab.vmm.virtual_machine import VirtualMachine

SMALL_RAM = 16 * PAGE
"""Bytes of RAM of a VM that has nothing else."""

READY, FULL = 0x1C, 0x1D
"""Status of a controller: tested and unlocked, the output buffer empty or full."""

KEYBOARDS: dict[str, dict[int, dict[int, int]] | None] = {
    "nothing": {},
    "a status that says: ready": {COMMAND: {0: READY}},
    "status full, data 0x55": {COMMAND: {0: FULL}, DATA: {0: 0x55}},
    "the model of an 8042": None,
}
"""What the VMM has at the two ports: fixed answers, or the model (None)."""

WORDS = {
    "nothing": "Nobody answers, so the status reads `0xff`. The guest asks nothing else.",
    "a status that says: ready": "The guest believes in a controller, and gives it the command for"
    " the self-test. It polls the status for the answer, until its patience ends.",
    "status full, data 0x55": "The self-test passes: `0x55` is the right answer. It is the only"
    " answer, so it is the wrong one to the next question: no keyboard, no mouse.",
    "the model of an 8042": "Each answer depends on what was asked before. The guest finds the"
    " controller, the keyboard and the mouse.",
}


@dataclass(frozen=True, slots=True)
class Room:
    """What a guest found in a room, and how often it exited there."""

    look: Look
    exits: int


def look_around(keyboard: str) -> Room:
    """Let a fresh guest look for a keyboard controller where the VMM has this one."""
    pc = lesson_vm()
    answers = KEYBOARDS[keyboard]
    vm = pc.vm if answers is None else VirtualMachine(pc.host, pc.host.frames, SMALL_RAM)
    for port, numbers in (answers or {}).items():
        vm.ports.map(port, 1, Preset(numbers), f"preset {port:#x}")
    [look] = probe(vm.cpu, ("keyboard controller",))
    return Room(look, vm.vmm.exits.total())


class PresetLab(Shell):
    """Choose what the VMM has at the ports of the keyboard controller; the guest looks there."""

    def __init__(self) -> None:
        self._picture, self._says = drawing(), sentence()
        first = list(KEYBOARDS)[1]
        self._has = choice("The VMM has", list(KEYBOARDS), first)
        super().__init__(
            "PresetLab",
            [row(self._has, button("Reset", self.reset)), self._picture, self._says],
        )
        self._first = first
        self._has.observe(lambda _: self._show(), "value")
        self._show()

    def reset(self) -> None:
        """The status alone, as at the start."""
        self._has.value = self._first

    def _show(self) -> None:
        room = look_around(self._has.value)
        title = f"The VMM has: {self._has.value}"
        self._picture.value = shown(looks_picture([room.look], title))
        self._says.value = said(f"{WORDS[self._has.value]} {room.exits} exits.")


# -- a bus


@cache
def _true() -> tuple[tuple[Found, ...], tuple[DumpedFunction, ...]]:
    """The cards of the lesson PC as enumeration finds them, and as it leaves them."""
    pc = lesson_vm()
    found = enumerate_pci(pc.cpu)
    return tuple(found), tuple(dumped(each) for each in pc.cards.root.bus.walk())


BUSES: dict[str, Callable[[], Photograph] | None] = {
    "a photograph": lambda: Photograph(_true()[1]),
    "a photograph that keeps what is written": lambda: Photograph(_true()[1], kept=True),
    "the emulated bus": None,
}
"""What the VMM has behind the ports of configuration space."""

BUS_WORDS = {
    "a photograph": "The functions are found: their numbers are true. To size a BAR the guest"
    " writes all ones and reads back. Here nothing changed, so it takes the old address for the"
    " mask: each size is the alignment of where the card happened to be.",
    "a photograph that keeps what is written": "Now the guest reads back the all ones that it"
    " wrote. Bit 0 is set, which means a port; no bit stayed 0, which means the smallest size."
    " Registers that do not exist look the same.",
    "the emulated bus": "A BAR keeps some bits and not others, and that says how large it is. It is"
    " behaviour, and no table of bytes has it.",
}


def scan_bus(bus: str) -> list[Found]:
    """What a fresh guest finds on this bus."""
    pc = lesson_vm()
    make = BUSES[bus]
    if make is None:
        return enumerate_pci(pc.cpu)
    vm = VirtualMachine(pc.host, pc.host.frames, SMALL_RAM)
    vm.ports.map(CONFIG_PORTS, 8, ConfigPorts(make()), "photograph", width=4)
    return Scan(PortAccess(vm.cpu)).run()


def true_functions() -> list[Found]:
    """What there is."""
    return list(_true()[0])


class BusLab(Shell):
    """Choose what the VMM has behind the configuration ports; the guest sizes every BAR."""

    def __init__(self) -> None:
        self._picture, self._says = drawing(), sentence()
        self._first = next(iter(BUSES))
        self._has = choice("The VMM has", list(BUSES), self._first)
        super().__init__(
            "BusLab", [row(self._has, button("Reset", self.reset)), self._picture, self._says]
        )
        self._has.observe(lambda _: self._show(), "value")
        self._show()

    def reset(self) -> None:
        """The photograph, as at the start."""
        self._has.value = self._first

    def _show(self) -> None:
        bus = self._has.value
        picture = sizes_picture(scan_bus(bus), true_functions(), f"The VMM has: {bus}")
        self._picture.value = shown(picture)
        self._says.value = said(BUS_WORDS[bus])
