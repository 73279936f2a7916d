"""The 8042 keyboard controller: one output buffer, two plugs, and a few wires of the board.

    port 60h  read   the output buffer            port 64h  read   the status register
              write  data, see below                        write  a controller command

A data write goes where the last command said: to the controller's own RAM (60-7F), its output
port (D1), its output buffer (D2, D3), the mouse (D4), and to the keyboard if there was none.

The rules that keep it simple:

1. There is *one* output buffer of one byte. While it is full (OBF), everybody else waits: the
   controller's own answer first, then the keyboard, then the mouse. A read of port 60h empties
   it, and the next byte moves in at once.
2. AUXB says where the byte came from. IRQ 1 is high while a byte stands there that is not the
   mouse's, IRQ 12 while it is the mouse's, if the command byte allows it.
3. A disabled plug's clock stands still: its bytes wait in the device. A byte to the device starts
   the clock again.

With XLATE on, bytes of the keyboard pass the table that turns set 2 into set 1, the code of the
first PC; F0, the prefix of a break, becomes bit 7 of the byte after it.

IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller". Left
out: the password commands (A5, A6), the input port's poll (C1, C2), the key lock, and time: the
controller is never busy, so IBF is never seen.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.devices.i8042.keyboard import Ps2Keyboard
from virtlab.devices.i8042.keys import BREAK_PREFIX
from virtlab.devices.i8042.link import RESEND, Plug
from virtlab.devices.i8042.mouse import Ps2Mouse
from virtlab.devices.i8042.registers import (
    COMMAND_BYTE,
    COMMAND_PORT,
    DATA_PORT,
    INPUT_PORT,
    NO_PASSWORD,
    OUTPUT_PORT,
    SELF_TEST_PASSED,
    STATUS,
    TRANSLATION,
)
from virtlab.interrupts import IrqLine
from virtlab.wire import all_ones


class Answer(NamedTuple):
    """A byte for the output buffer: `aux` if it is the mouse's, `timeout` if nobody answered."""

    byte: int
    aux: bool = False
    timeout: bool = False


class Port:
    """One of the controller's two ports as a device of its own, so that 61h-63h stay free."""

    def __init__(self, controller: I8042, offset: int) -> None:
        self.controller = controller
        self.offset = offset

    def read(self, offset: int, size: int) -> int:
        """A read of the port."""
        return self.controller.read(self.offset + offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """A write to the port."""
        self.controller.write(self.offset + offset, size, value)


class I8042:
    """The controller, mapped from port 60h: offset 0 is data, offset 4 command and status.

    `keyboard` and `mouse` are what is plugged in, `irq1` and `irq12` its interrupts, `a20` the
    gate (high: open), `reset_line` the processor's reset. `data_port` and `command_port` are the
    two ports as devices of 1 byte. An access of more than a byte reaches the low byte only.

    With `data_sheet`, STATUS.A2 tells whether the last write was a command, and STATUS.SYS is the
    SYS bit of the command byte ("Status Register", bits 3 and 2). The recorded machines do
    neither: A2 is always 1, and SYS stays 1 from the self-test on. That is the default.
    """

    def __init__(
        self,
        keyboard: Plug | None = None,
        mouse: Plug | None = None,
        irq1: IrqLine | None = None,
        irq12: IrqLine | None = None,
        a20: IrqLine | None = None,
        reset_line: IrqLine | None = None,
        *,
        data_sheet: bool = False,
    ) -> None:
        self.keyboard: Plug = keyboard if keyboard is not None else Ps2Keyboard()
        self.mouse: Plug = mouse if mouse is not None else Ps2Mouse()
        self.irq1 = irq1 if irq1 is not None else IrqLine("irq1")
        self.irq12 = irq12 if irq12 is not None else IrqLine("irq12")
        self.a20 = a20 if a20 is not None else IrqLine("a20")
        self.reset_line = reset_line if reset_line is not None else IrqLine("reset")
        self.data_sheet = data_sheet
        self.data_port = Port(self, DATA_PORT)
        self.command_port = Port(self, COMMAND_PORT)
        self.keyboard.listener = self.mouse.listener = self._fill
        self.reset()

    def reset(self) -> None:
        """Power on: the controller, and what is plugged in."""
        self.ram = bytearray(32)
        self.command_byte = COMMAND_BYTE.reset
        self.output_port = OUTPUT_PORT.reset
        self._out = Answer(0)
        self._full = self._last_was_command = self._tested = self._break = False
        self._own: Answer | None = None
        self._expects = 0
        self.keyboard.reset()
        self.mouse.reset()
        self._drive_output(self.output_port)
        self._drive_irqs()

    # -- the ports

    def read(self, offset: int, size: int) -> int:
        """A byte of port 60h (offset 0) or 64h (offset 4); all ones at the others."""
        match offset:
            case 0:
                return self._read_data()
            case 4:
                return self.status
            case _:
                return all_ones(size)

    def write(self, offset: int, size: int, value: int) -> None:
        """The low byte of `value` to port 60h (offset 0) or 64h (offset 4)."""
        if offset not in (DATA_PORT, COMMAND_PORT):
            return
        self._last_was_command = offset == COMMAND_PORT
        if self._last_was_command:
            self._command(value & 0xFF)
        else:
            self._write_data(value & 0xFF)
        self._fill()

    @property
    def status(self) -> int:
        """The status register."""
        value = STATUS.INH.mask
        value |= STATUS.OBF.put(0, self._full)
        value |= STATUS.AUXB.put(0, self._full and self._out.aux)
        value |= STATUS.TO.put(0, self._full and self._out.timeout)
        sys = COMMAND_BYTE.SYS.get(self.command_byte) if self.data_sheet else self._tested
        command = self._last_was_command if self.data_sheet else True
        return value | STATUS.SYS.put(0, sys) | STATUS.A2.put(0, command)

    @property
    def command_byte(self) -> int:
        """Byte 0 of the controller's RAM."""
        return self.ram[0]

    @command_byte.setter
    def command_byte(self, value: int) -> None:
        self.ram[0] = value

    def peek(self) -> dict[str, int]:
        """Every readable register by name, with no side effect."""
        return {
            "OUTPUT_BUFFER": self._out.byte,
            "STATUS": self.status,
            "COMMAND_BYTE": self.command_byte,
            "OUTPUT_PORT": self._output_port_now(),
        }

    # -- port 64h: commands

    def _command(self, byte: int) -> None:
        """A controller command. What is no command is ignored."""
        self._expects = 0
        match byte:
            case _ if 0x20 <= byte <= 0x3F:
                self._answer(self.ram[byte & 0x1F])
            case _ if 0x60 <= byte <= 0x7F or 0xD1 <= byte <= 0xD4:
                self._expects = byte
            case 0xA4:
                self._answer(NO_PASSWORD)
            case 0xA7 | 0xA8:
                self.command_byte = COMMAND_BYTE.DISABLE2.put(self.command_byte, byte == 0xA7)
            case 0xA9 | 0xAB:
                self._answer(0)
            case 0xAA:
                self._tested = True
                self.command_byte |= COMMAND_BYTE.SYS.mask if self.data_sheet else 0
                self._answer(SELF_TEST_PASSED)
            case 0xAD | 0xAE:
                self.command_byte = COMMAND_BYTE.DISABLE.put(self.command_byte, byte == 0xAD)
            case 0xC0:
                self._answer(INPUT_PORT)
            case 0xD0:
                self._answer(self._output_port_now())
            case 0xDD | 0xDF:
                self.output_port = OUTPUT_PORT.A20.put(self.output_port, byte == 0xDF)
                self._drive_output(self.output_port)
            case 0xE0:
                self._answer(self._test_inputs())
            case _ if byte >= 0xF0:
                self._drive_output(self.output_port & (byte | 0xF0))
                self._drive_output(self.output_port)

    def _answer(self, byte: int, aux: bool = False, timeout: bool = False) -> None:
        """The controller's own byte: it waits for the output buffer, and replaces an older one."""
        self._own = Answer(byte, aux, timeout)

    def _output_port_now(self) -> int:
        """The output port; its bits 4 and 5 say whose byte stands in the output buffer."""
        value = OUTPUT_PORT.OBF.put(self.output_port, self._full and not self._out.aux)
        return OUTPUT_PORT.AUXB.put(value, self._full and self._out.aux)

    def _test_inputs(self) -> int:
        """Bits 0 and 1: the clock of the keyboard and of the mouse runs."""
        stopped = self.command_byte >> COMMAND_BYTE.DISABLE.lo
        return ~stopped & 3

    def _drive_output(self, value: int) -> None:
        """The wires that the output port drives: the A20 gate, and reset while bit 0 is low."""
        self.a20.set(bool(OUTPUT_PORT.A20.get(value)))
        self.reset_line.set(not OUTPUT_PORT.NO_RESET.get(value))

    # -- port 60h: data

    def _write_data(self, byte: int) -> None:
        command, self._expects = self._expects, 0
        match command:
            case 0:
                self._pass_on(byte, aux=False)
            case 0xD1:
                self.output_port = byte & OUTPUT_PORT.rw
                self._drive_output(self.output_port)
            case 0xD2 | 0xD3:
                self._answer(byte, aux=command == 0xD3)
            case 0xD4:
                self._pass_on(byte, aux=True)
            case _:
                self.ram[command & 0x1F] = byte

    def _pass_on(self, byte: int, aux: bool) -> None:
        """Send `byte` down a plug. It starts the clock; where no device answers, time runs out."""
        plug = self.mouse if aux else self.keyboard
        self.command_byte &= ~(COMMAND_BYTE.DISABLE2 if aux else COMMAND_BYTE.DISABLE).mask
        if plug.plugged:
            plug.receive(byte)
        else:
            self._answer(RESEND, aux, timeout=True)

    def _read_data(self) -> int:
        """The output buffer's byte, also where it was read before; then the next one moves in."""
        byte = self._out.byte
        self._full = False
        self._drive_irqs()
        self._fill()
        return byte

    # -- the output buffer

    def _fill(self) -> None:
        """Move the next byte into the output buffer if that is empty."""
        if not self._full and (following := self._next()) is not None:
            self._out, self._full = following, True
        self._drive_irqs()

    def _next(self) -> Answer | None:
        """Whose turn it is: the controller, the keyboard, the mouse."""
        own, self._own = self._own, None
        if own is not None:
            return own
        if not COMMAND_BYTE.DISABLE.get(self.command_byte):
            byte = self._next_of_keyboard()
            if byte is not None:
                return Answer(byte)
        if not COMMAND_BYTE.DISABLE2.get(self.command_byte) and self.mouse.ready:
            return Answer(self.mouse.send(), aux=True)
        return None

    def _next_of_keyboard(self) -> int | None:
        """The keyboard's next byte, translated if XLATE is on. F0 alone is no byte yet."""
        while self.keyboard.ready:
            byte = self.keyboard.send()
            if not COMMAND_BYTE.XLATE.get(self.command_byte):
                self._break = False
                return byte
            if byte != BREAK_PREFIX:
                bit, self._break = 0x80 * self._break, False
                return TRANSLATION[byte] | bit
            self._break = True
        return None

    def _drive_irqs(self) -> None:
        """Rule 2: a full buffer and an enabled interrupt make a high line."""
        aux = self._out.aux
        self.irq1.set(self._full and not aux and bool(COMMAND_BYTE.INT.get(self.command_byte)))
        self.irq12.set(self._full and aux and bool(COMMAND_BYTE.INT2.get(self.command_byte)))

    def __repr__(self) -> str:
        return f"I8042(status {self.status:#04x}, command byte {self.command_byte:#04x})"
