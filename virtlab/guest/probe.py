"""A guest that was told nothing: it looks for the old devices where they have always been.

    0x64   keyboard controller     0x3F8, 0x2F8   UARTs     0x21   interrupt controllers
    0x70   real-time clock         0x1F7          disk      0xB8000 (memory) text screen

The idea: what cannot be enumerated has a place that everybody knows by heart. A kernel goes there,
asks a question that only this device answers well, and compares. Each look is one function.

The rule that keeps it simple: an empty bus answers all ones, so a first read sorts most of it out.
A look leaves what it changed as it was, as far as the device allows; on a real PC every such write
was a risk, for another card could be at that port.

Sources: the device's data sheets, as in the drivers; the tests are those that PC kernels make.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from virtlab.cpu import Cpu, Recorder
from virtlab.devices.ata.registers import LBA_LOW, SECTOR_COUNT
from virtlab.devices.i8042.registers import SELF_TEST_PASSED
from virtlab.guest.ata import PRIMARY
from virtlab.guest.pic import MASTER
from virtlab.guest.ps2 import COMMAND, Ps2
from virtlab.guest.rtc import RTC
from virtlab.guest.uart import COM1, UartDriver

COM2, TEXT_SCREEN = 0x2F8, 0xB8000
EMPTY = 0xFF
"""What a byte reads as where nothing answers."""
RTC_VALID, REGISTER_D = 0x80, 0x0D
"""Bit VRT of the clock's register D; its other bits read 0 (MC146818)."""


class Look(NamedTuple):
    """One look: `what` at `where`, whether it `found` it, the `evidence`, and the accesses."""

    what: str
    where: int
    found: bool
    evidence: str
    accesses: int


def look_for_ps2(cpu: Cpu) -> tuple[bool, str]:
    """The keyboard controller: its status, its self-test, then the two plugs."""
    status = cpu.inp(COMMAND)
    if status == EMPTY:
        return False, f"status is {status:#04x}, as on an empty bus"
    ps2 = Ps2(cpu)
    try:
        ps2.start()
    except TimeoutError as error:
        return False, f"status is {status:#04x}, but {error}"
    plugs = {"keyboard": ps2.has_keyboard, "mouse": ps2.has_mouse}
    plugged = " and ".join(name for name, has in plugs.items() if has) or "nothing"
    return True, f"self-test {SELF_TEST_PASSED:#x}; plugged in: {plugged}"


def look_for_uart(cpu: Cpu, base: int) -> tuple[bool, str]:
    """A UART: registers that keep what is written, and the model that they betray."""
    model = UartDriver.at_ports(cpu, base).detect()
    return model is not None, f"a {model}" if model else "IER does not keep its bits"


def look_for_pics(cpu: Cpu) -> tuple[bool, str]:
    """The 8259A: its mask register keeps a pattern."""
    old, pattern = cpu.inp(MASTER + 1), 0xFB
    cpu.out(MASTER + 1, pattern)
    kept = cpu.inp(MASTER + 1)
    cpu.out(MASTER + 1, old)
    return kept == pattern, f"the mask {pattern:#x} reads {kept:#x}"


def look_for_rtc(cpu: Cpu) -> tuple[bool, str]:
    """The clock: register D has VRT and nothing else."""
    cpu.out(RTC, REGISTER_D)
    value = cpu.inp(RTC + 1)
    return value == RTC_VALID, f"register D reads {value:#04x}"


def look_for_disk(cpu: Cpu) -> tuple[bool, str]:
    """An ATA channel: two registers that keep two patterns."""
    places = PRIMARY.command + SECTOR_COUNT.offset, PRIMARY.command + LBA_LOW.offset
    for port, pattern in zip(places, (0x55, 0xAA), strict=True):
        cpu.out(port, pattern)
    kept = [cpu.inp(port) for port in places]
    return kept == [0x55, 0xAA], f"0x55 and 0xaa read {kept[0]:#04x} and {kept[1]:#04x}"


def look_for_screen(cpu: Cpu) -> tuple[bool, str]:
    """The text screen: its first cell is memory."""
    old = cpu.load(TEXT_SCREEN, 2)
    cpu.store(TEXT_SCREEN, 0x0741, 2)
    kept = cpu.load(TEXT_SCREEN, 2)
    cpu.store(TEXT_SCREEN, old, 2)
    return kept == 0x0741, f"the cell 0x0741 reads {kept:#06x}"


LOOKS: tuple[tuple[str, int, Callable[[Cpu], tuple[bool, str]]], ...] = (
    ("keyboard controller", COMMAND, look_for_ps2),
    ("first UART", COM1, lambda cpu: look_for_uart(cpu, COM1)),
    ("second UART", COM2, lambda cpu: look_for_uart(cpu, COM2)),
    ("interrupt controllers", MASTER, look_for_pics),
    ("real-time clock", RTC, look_for_rtc),
    ("disk", PRIMARY.command, look_for_disk),
    ("text screen", TEXT_SCREEN, look_for_screen),
)
"""What the guest knows by heart: a name, a place, a way to look."""


def probe(cpu: Cpu, names: tuple[str, ...] = ()) -> list[Look]:
    """Look for everything, or only for what has one of these names."""
    looks = []
    for what, where, look in LOOKS:
        if not names or what in names:
            recorder = Recorder(cpu)
            found, evidence = look(recorder)
            looks.append(Look(what, where, found, evidence, len(recorder.accesses)))
    return looks
