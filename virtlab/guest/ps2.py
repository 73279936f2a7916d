"""The driver of the keyboard controller, the keyboard and the mouse.

    ps2 = Ps2(cpu)
    ps2.start()
    ps2.read_key()                  # KeyEvent('A', down=True), or None
    ps2.wait_key(pics)              # the same, driven by interrupts 1 and 12

It starts a machine as firmware and Linux do: both plugs off, what is left in the output buffer
read away, self-test, command byte, tests of the plugs; then each device is reset and enabled.

The rules that keep it simple:

1. Status bit AUXB sorts every byte that is read: keyboard or mouse. What nobody waits for at that
   moment is kept, so a key pressed during a mouse command is not lost.
2. Every wait is a number of polls, `POLLS`. A device that does not answer is a `TimeoutError`.

Keys arrive in scan-code set 1, as the controller translates them. Source: IBM PS/2 Hardware
Interface Technical Reference. Left out: LEDs, key repeat, layouts.
"""

from __future__ import annotations

from collections import deque

from virtlab.cpu import Cpu
from virtlab.devices.i8042.link import ACK, BAT_OK, RESEND
from virtlab.devices.i8042.registers import COMMAND_BYTE, SELF_TEST_PASSED, STATUS
from virtlab.guest.pic import Pics
from virtlab.guest.ps2_events import KeyDecoder, KeyEvent, MouseEvent, PacketDecoder

DATA, COMMAND = 0x60, 0x64

POLLS = 2_000
"""Looks at the status register before the driver gives up."""

TRIES = 3
"""Times that a byte is sent again when the device asks for it."""

KEPT = 256
"""Bytes and events that wait for their reader; the oldest go first."""

KNOCK = (200, 100, 80)
"""Sample rates that make a wheel mouse show itself."""


class Ps2:
    """The controller behind `cpu`, and what is plugged in.

    `start` finds out `has_keyboard`, `has_mouse` and `has_wheel`.
    """

    def __init__(self, cpu: Cpu) -> None:
        self.cpu = cpu
        self.has_keyboard = self.has_mouse = self.has_wheel = False
        self._bytes: dict[bool, deque[int]] = {aux: deque(maxlen=KEPT) for aux in (False, True)}
        self._keys: deque[KeyEvent] = deque(maxlen=KEPT)
        self._moves: deque[MouseEvent] = deque(maxlen=KEPT)
        self._key_decoder = KeyDecoder()
        self._packet_decoder = PacketDecoder()

    # -- ports

    @property
    def status(self) -> int:
        """The status register."""
        return self.cpu.inp(COMMAND)

    def _out(self, port: int, byte: int) -> None:
        """Write a byte once the controller has taken the one before."""
        for _ in range(POLLS):
            if not STATUS.IBF.get(self.status):
                self.cpu.out(port, byte)
                return
        raise TimeoutError(f"the keyboard controller does not take {byte:#04x}")

    def _take(self) -> bool:
        """Read the output buffer, if it is full, into the queue that AUXB says."""
        status = self.status
        if STATUS.OBF.get(status):
            self._bytes[bool(STATUS.AUXB.get(status))].append(self.cpu.inp(DATA))
        return bool(STATUS.OBF.get(status))

    def _await(self, aux: bool) -> int:
        """The next byte of the mouse (`aux`) or of the keyboard and the controller."""
        for _ in range(POLLS):
            if self._bytes[aux]:
                return self._bytes[aux].popleft()
            self._take()
        raise TimeoutError(f"the {'mouse' if aux else 'keyboard'} does not answer")

    # -- the controller

    def flush(self) -> None:
        """Read away what stands in the output buffer, and forget what was kept."""
        for _ in range(KEPT):
            if not self._take():
                break
        for waiting in self._bytes.values():
            waiting.clear()

    def ask(self, command: int) -> int:
        """A controller command that answers a byte."""
        self._out(COMMAND, command)
        return self._await(aux=False)

    def tell(self, command: int, byte: int) -> None:
        """A controller command that takes a byte."""
        self._out(COMMAND, command)
        self._out(DATA, byte)

    @property
    def command_byte(self) -> int:
        """The controller's command byte."""
        return self.ask(0x20)

    @command_byte.setter
    def command_byte(self, value: int) -> None:
        self.tell(0x60, value)

    # -- a device

    def command(self, *sent: int, aux: bool = False, answers: int = 0) -> bytes:
        """Send bytes to the keyboard, or to the mouse (`aux`); its answer after the last ACK.

        `TimeoutError` if it does not acknowledge, or asks again too often.
        """
        for byte in sent:
            self._send(byte, aux)
        return bytes(self._await(aux) for _ in range(answers))

    def _send(self, byte: int, aux: bool) -> None:
        for _ in range(TRIES):
            self.tell(0xD4, byte) if aux else self._out(DATA, byte)
            if self._acknowledged(aux):
                return
        raise TimeoutError(f"the {'mouse' if aux else 'keyboard'} refuses {byte:#04x}")

    def _acknowledged(self, aux: bool) -> bool:
        """Wait for ACK, or for RESEND. What comes before it are keys and packets: keep them."""
        early = []
        while (answer := self._await(aux)) not in (ACK, RESEND):
            early.append(answer)
            if len(early) > KEPT:
                raise TimeoutError("only data comes, and no answer")
        for byte in early:
            self._decode(byte, aux)
        return answer == ACK

    # -- start

    def start(self) -> None:
        """Bring everything up. `TimeoutError` if there is no controller or its test fails."""
        self._out(COMMAND, 0xAD)
        self._out(COMMAND, 0xA7)
        self.flush()
        if self.ask(0xAA) != SELF_TEST_PASSED:
            raise TimeoutError("the keyboard controller fails its self-test")
        plugs = COMMAND_BYTE.DISABLE.mask | COMMAND_BYTE.DISABLE2.mask
        self.command_byte = COMMAND_BYTE.XLATE.mask | COMMAND_BYTE.SYS.mask | plugs
        self.has_keyboard = self.ask(0xAB) == 0 and self._start_device(False)
        self.has_mouse = self._has_mouse_plug() and self._start_device(True)
        self._enable()

    def _has_mouse_plug(self) -> bool:
        """Does A8 start the mouse's clock, and does its plug pass its test?"""
        self._out(COMMAND, 0xA8)
        return not COMMAND_BYTE.DISABLE2.get(self.command_byte) and self.ask(0xA9) == 0

    def _start_device(self, aux: bool) -> bool:
        """Reset a device (FF) and enable it (F4); False if none is there."""
        self._out(COMMAND, 0xA8 if aux else 0xAE)
        try:
            passed = self.command(0xFF, aux=aux, answers=2 if aux else 1)[0] == BAT_OK
            if aux:
                self._find_wheel()
            self.command(0xF4, aux=aux)
        except TimeoutError:
            return False
        return passed

    def _find_wheel(self) -> None:
        for rate in KNOCK:
            self.command(0xF3, rate, aux=True)
        self.has_wheel = self.command(0xF2, aux=True, answers=1) == b"\x03"
        self._packet_decoder.length = 4 if self.has_wheel else 3

    def _enable(self) -> None:
        """The command byte for work: translation, and interrupts of what was found."""
        value = COMMAND_BYTE.XLATE.mask | COMMAND_BYTE.SYS.mask
        value |= COMMAND_BYTE.INT.mask if self.has_keyboard else COMMAND_BYTE.DISABLE.mask
        value |= COMMAND_BYTE.INT2.mask if self.has_mouse else COMMAND_BYTE.DISABLE2.mask
        self.command_byte = value

    # -- work

    def service(self) -> None:
        """Take every byte that waits, and decode it: what both interrupt handlers do."""
        for _ in range(KEPT):
            if not self._take():
                break
        for aux, waiting in self._bytes.items():
            while waiting:
                self._decode(waiting.popleft(), aux)

    def _decode(self, byte: int, aux: bool) -> None:
        if aux:
            move = self._packet_decoder.feed(byte)
            self._moves.extend([move] if move else [])
        else:
            key = self._key_decoder.feed(byte)
            self._keys.extend([key] if key else [])

    def read_key(self) -> KeyEvent | None:
        """The next key that went down or up, or None if there is none."""
        self.service()
        return self._keys.popleft() if self._keys else None

    def read_mouse(self) -> MouseEvent | None:
        """The next movement, or None if there is none."""
        self.service()
        return self._moves.popleft() if self._moves else None

    def listen(self, pics: Pics) -> None:
        """Unmask both interrupts."""
        pics.unmask(1)
        pics.unmask(12)

    def wait_key(self, pics: Pics, timeout: int = 1_000_000_000) -> KeyEvent | None:
        """The next key, halting until its interrupt comes; None if none came in `timeout` ns."""
        for _ in range(KEPT):
            if self._keys:
                break
            irq = pics.next_irq(timeout)
            if irq is None:
                return None
            self.service()
            pics.eoi(irq)
        return self._keys.popleft() if self._keys else None

    def __repr__(self) -> str:
        found = [name for name in ("keyboard", "mouse", "wheel") if getattr(self, f"has_{name}")]
        return f"Ps2({', '.join(found) or 'nothing found yet'})"
