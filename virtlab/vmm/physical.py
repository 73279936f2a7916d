"""What belongs to one physical device: all of it changes hands together.

The idea: to give a VM the keyboard is to give it two ports and two interrupts, and the mouse, since
both hang on the same chip. Who gives only the ports gives a keyboard that never calls.

The rule that keeps it simple: a `Physical` names everything that a guest can reach. `quiesce`
leaves the device as nobody had it: no access, no interrupt and no byte of the last owner remains.

    keyboard and mouse    ports 60h, 64h          IRQ 1, 12      IBM PS/2 Technical Reference
    UART                  8 ports                 IRQ 4          PC16550D
    text screen           32 KiB at 0xB8000       none           IBM VGA, mode 3

Left out: devices that reach memory themselves. Who may say where they write is lesson 10's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from virtlab.cpu import Cpu
from virtlab.devices.i8042 import I8042
from virtlab.devices.text_screen import LENGTH, TextScreen
from virtlab.devices.uart import Uart16550
from virtlab.guest.ps2 import COMMAND, DATA, Ps2
from virtlab.guest.uart import COM1


class Physical(NamedTuple):
    """A device of the host: pairs `(base, count)` of `ports` and of `memory`, and its `irqs`.

    `quiesce()` is called while no VM can reach it.
    """

    name: str
    quiesce: Callable[[], None]
    ports: tuple[tuple[int, int], ...] = ()
    memory: tuple[tuple[int, int], ...] = ()
    irqs: tuple[int, ...] = ()


def keyboard_and_mouse(controller: I8042, cpu: Cpu) -> Physical:
    """The 8042 with both its plugs.

    A reset is not enough to make it forget. The keyboard repeats its last byte when it is asked
    (FE, resend), so the VMM has a conversation with it, and its last word is to the VMM.
    """

    def quiesce() -> None:
        Ps2(cpu).start()
        controller.reset()

    return Physical("keyboard", quiesce, ports=((DATA, 1), (COMMAND, 1)), irqs=(1, 12))


def serial_port(uart: Uart16550, base: int = COM1, irq: int = 4) -> Physical:
    """The UART at port `base`."""
    return Physical("uart", uart.reset, ports=((base, 8),), irqs=(irq,))


def text_display(screen: TextScreen, base: int) -> Physical:
    """The text screen at `base` (hpa), all of its memory: more than what shows."""
    return Physical("display", screen.clear, memory=((base, LENGTH),))
