"""The worlds that a guest driver runs in: one test, one driver, several machines.

A `World` is all that a driver test may know: a Cpu, and the far ends of the machine's devices.
The fixture `world` of `tests/guest/conftest.py` runs a test in each of `WORLDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.needs import require
from virtlab.backends import Keyboard, Mouse
from virtlab.cpu import Cpu
from virtlab.hosts.remote import QtestMachine
from virtlab.machine import PcDevices, lesson_pc, lesson_vm


@dataclass
class World:
    """A machine with a 16550 at COM1, a keyboard controller, and two 8259As.

    `sent()` is everything that came out of the UART so far; `type(data)` puts `data` on its line.
    `keyboard` and `mouse` are what is plugged in: a test presses and moves them. `close()` ends it.
    """

    name: str
    cpu: Cpu
    sent: Callable[[], bytes]
    type: Callable[[bytes], None]
    keyboard: Keyboard
    mouse: Mouse
    close: Callable[[], None] = lambda: None


def bare() -> World:
    """No VMM: the devices on the buses, and nothing between."""
    board = lesson_pc()
    return _ours("bare", board, board.cpu)


def ept() -> World:
    """A virtual machine: every port access exits, and the VMM emulates the device."""
    guest = lesson_vm(paging="ept")
    return _ours("ept", guest, guest.cpu)


def shadow() -> World:
    """The same with shadow page tables."""
    guest = lesson_vm(paging="shadow")
    return _ours("shadow", guest, guest.cpu)


def qemu() -> World:
    """QEMU's devices, which nobody here wrote."""
    require("QEMU")
    machine = QtestMachine("pc")
    serial = machine.serial
    return World(
        "qemu", machine, serial.sent, serial.type, machine.keyboard, machine.mouse, machine.close
    )


WORLDS = {"bare": bare, "ept": ept, "shadow": shadow, "qemu": qemu}


def _ours(name: str, devices: PcDevices, cpu: Cpu) -> World:
    terminal = devices.terminal
    sent = lambda: bytes(terminal.output)  # noqa: E731
    return World(name, cpu, sent, terminal.type, devices.keyboard, devices.mouse)
