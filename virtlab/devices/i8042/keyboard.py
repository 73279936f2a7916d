"""A PS/2 keyboard: keys go in, scan codes come out, and commands are answered.

Every byte that the host sends is answered with FA (acknowledge), except EE (echo, answered with
itself) and FE (send that again). A command with an option waits for it; a new command there
replaces the old one. FE answers what is no command.

    ED leds | EE echo | F0 scan-code set | F2 identify | F3 typematic rate and delay
    F4 enable | F5 default and disable | F6 default | FE resend | FF reset
    F7-FA all keys, FB-FD one key: what a key of set 3 sends, of repeat, break, make only

The buffer holds 16 bytes. A key that no longer fits is lost, and an overrun code stands in the
seventeenth place. A held key repeats where the keyboard was given a clock.

IBM PS/2 Hardware Interface Technical Reference, Keyboards, "Commands from the System". Left out:
the time of the self-test, which ends at once.
"""

from __future__ import annotations

import difflib

from virtlab.backends import Keyboard
from virtlab.clock import MICROSECOND, MILLISECOND, Clock, Timer
from virtlab.devices.i8042.keys import KEYS, Key, pressed
from virtlab.devices.i8042.link import ACK, BAT_OK, BUFFER, RESEND, Ps2Device
from virtlab.wire import Bits

ECHO = 0xEE
IDENTITY = (0xAB, 0x83)
"""A keyboard with 101 keys or more (command F2)."""

DEFAULT_TYPEMATIC = 0x2B
"""500 ms, then 10.9 characters a second."""

DELAY = Bits(6, 5)
EXPONENT = Bits(4, 3)
MANTISSA = Bits(2, 0)
"""Typematic byte: delay (1 + DELAY) * 250 ms, period (8 + MANTISSA) * 2^EXPONENT * 4.17 ms."""

ALL_KINDS = {0xF7: "T", 0xF8: "B", 0xF9: "M", 0xFA: "TB"}
ONE_KIND = {0xFB: "T", 0xFC: "B", 0xFD: "M"}
"""Set 3: what F7-FA make of every key, and FB-FD of one (see `Key.kind`)."""

_BY_SET_3 = {key.make(3)[0]: name for name, key in KEYS.items()}


class Ps2Keyboard(Ps2Device):
    """The keyboard behind `backend` (its own if None is given).

    `scan_set` is 1-3, `leds` bits 0-2 (Scroll, Num, Caps Lock), `typematic` the byte of command
    F3, `scanning` whether keys are looked at, `kinds` what each key sends in set 3.
    """

    def __init__(self, backend: Keyboard | None = None, clock: Clock | None = None) -> None:
        super().__init__()
        self.backend = backend if backend is not None else Keyboard()
        self.backend.listener = self.key
        self.clock = clock
        self._held: dict[str, Key] = {}
        self._repeat: Timer | None = None
        self._last = BAT_OK
        self.leds = 0
        self.reset()

    # -- keys

    def key(self, name: str, down: bool) -> None:
        """Key `name` goes down or comes up. `ValueError` if no key has that name."""
        if name not in KEYS:
            near = difflib.get_close_matches(name.upper(), KEYS, 3)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise ValueError(f"no key is called {name!r}{hint}")
        if down:
            self._held[name] = pressed(name, self._held)
            self._press(name)
        elif name in self._held:
            self._release(name)

    def _press(self, name: str) -> None:
        self._stop_repeat()
        self._put(self._held[name].make(self.scan_set))
        if self.clock is not None and "T" in self._kind(name):
            delay = (1 + DELAY.get(self.typematic)) * 250 * MILLISECOND
            self._repeat = self.clock.after(delay, lambda: self._again(name))

    def _again(self, name: str) -> None:
        """The typematic timer: the key that went down last is still held."""
        assert self.clock is not None
        self._put(self._held[name].make(self.scan_set))
        factor = (8 + MANTISSA.get(self.typematic)) << EXPONENT.get(self.typematic)
        self._repeat = self.clock.after(factor * 4170 * MICROSECOND, lambda: self._again(name))

    def _release(self, name: str) -> None:
        key = self._held.pop(name)
        self._stop_repeat()
        if "B" in self._kind(name):
            self._put(key.release(self.scan_set))

    def _kind(self, name: str) -> str:
        """Sets 1 and 2 know one kind of key, and Pause, which never repeats."""
        if self.scan_set == 3:
            return self.kinds[name]
        return "B" if name == "PAUSE" else "TB"

    def _stop_repeat(self) -> None:
        if self._repeat is not None:
            self._repeat.cancel()

    def _put(self, code: bytes) -> None:
        """Buffer a whole code, or an overrun code where it does not fit."""
        if not self.scanning or len(self._data) > BUFFER:
            return
        fits = len(self._data) + len(code) <= BUFFER
        self._data.extend(code if fits else (0xFF if self.scan_set == 1 else 0x00,))
        self._tell()

    # -- commands

    def reset(self) -> None:
        """Power on: defaults, nothing to send."""
        self._replies.clear()
        self._expects = 0
        self.leds = 0
        self._defaults()

    def _defaults(self) -> None:
        """What F5, F6 and FF set back. The LEDs stay (F5, F6)."""
        self._data.clear()
        self._stop_repeat()
        self.scanning = True
        self.scan_set = 2
        self.typematic = DEFAULT_TYPEMATIC
        self.kinds = {name: key.kind for name, key in KEYS.items()}

    def send(self) -> int:
        """Take the next byte, and remember it for FE (resend)."""
        byte = super().send()
        if byte != RESEND:
            self._last = byte
        return byte

    def _is_command(self, byte: int) -> bool:
        return byte >= 0xED

    def _command(self, byte: int) -> None:
        match byte:
            case 0xED | 0xF0 | 0xF3 | 0xFB | 0xFC | 0xFD:
                self._expects = byte
                self._reply(ACK)
            case 0xEE:
                self._reply(ECHO)
            case 0xF2:
                self._reply(ACK, *IDENTITY)
            case 0xF4 | 0xF5 | 0xF6:
                self._enable(byte)
                self._reply(ACK)
            case 0xF7 | 0xF8 | 0xF9 | 0xFA:
                self.kinds = dict.fromkeys(KEYS, ALL_KINDS[byte])
                self._reply(ACK)
            case 0xFE:
                self._reply(self._last)
            case 0xFF:
                self.reset()
                self._reply(ACK, BAT_OK)
            case _:
                self._reply(RESEND)

    def _enable(self, command: int) -> None:
        """F4: start with an empty buffer. F5, F6: the defaults, and F5 stops looking at keys."""
        if command == 0xF4:
            self._data.clear()
            self.scanning = True
        else:
            self._defaults()
            self.scanning = command == 0xF6

    def _option(self, command: int, byte: int) -> None:
        match command:
            case 0xED:
                self.leds = byte & 7
            case 0xF0 if byte == 0:
                self._reply(ACK, self.scan_set)
                return
            case 0xF0 if byte <= 3:
                self.scan_set = byte
                self._data.clear()
            case 0xF3:
                self.typematic = byte & 0x7F
            case 0xFB | 0xFC | 0xFD if byte in _BY_SET_3:
                self.kinds[_BY_SET_3[byte]] = ONE_KIND[command]
                self._expects = command
            case _:
                self._reply(RESEND)
                return
        self._reply(ACK)

    def __repr__(self) -> str:
        return f"Ps2Keyboard(set {self.scan_set}, {len(self.waiting)} bytes waiting)"
