"""A PS/2 mouse: movement goes in, packets come out, and commands are answered.

           7      6      5      4      3       2        1       0
        +------+------+------+------+-----+--------+-------+------+
    1   | YOVF | XOVF | YNEG | XNEG |  1  | MIDDLE | RIGHT | LEFT |
    2   |                X, low 8 bits of a 9-bit number          |
    3   |                Y, low 8 bits of a 9-bit number          |
    4   |  a wheel mouse only: Z; with five buttons: 0 0 B5 B4 Z  |
        +---------------------------------------------------------+

Movement is counted until a packet carries it away; a count past 9 bits stays at its limit and
sets its overflow bit. A packet goes out when something changed, the mouse is enabled and its 16
bytes have room. So nothing grows, and a slow host loses no button.

    E6 E7 scaling 1:1, 2:1 | E8 resolution | E9 status | EA stream | EB read data | EC EE wrap
    F0 remote | F2 identify | F3 sample rate | F4 F5 enable, disable | F6 default | FE | FF

Three sample rates are a knock: after 200, 100, 80 the mouse is a wheel mouse (type 3), after 200,
200, 80 it has five buttons (type 4). Source: IBM PS/2 Hardware Interface Technical Reference,
"Auxiliary Device"; the knocks by Microsoft's IntelliMouse. Left out: the time between samples.
"""

from __future__ import annotations

from virtlab.backends import Mouse
from virtlab.devices.i8042.link import ACK, BAT_OK, BUFFER, RESEND, Ps2Device
from virtlab.wire import Bits

ERROR = 0xFC
"""Answers a second wrong byte after RESEND (FE)."""

STATUS_REMOTE = Bits(6)
STATUS_ENABLED = Bits(5)
STATUS_SCALING = Bits(4)

RATES = (10, 20, 40, 60, 80, 100, 200)
"""Samples a second (command F3)."""

KNOCKS = {(200, 100, 80): 3, (200, 200, 80): 4}
"""Three sample rates that turn the mouse into another type, as command F2 tells it."""

SCALED = (0, 1, 1, 3, 6, 9)
"""Counts in scaling 2:1; from 6 on they are doubled."""


def scale(count: int) -> int:
    """A count in scaling 2:1, its sign kept.

    >>> [scale(n) for n in (-4, 2, 5, 7)]
    [-6, 1, 9, 14]
    """
    size = abs(count)
    value = SCALED[size] if size < len(SCALED) else 2 * size
    return value if count >= 0 else -value


def clip(count: int, bits: int) -> int:
    """`count` held inside a two's complement number of `bits` bits."""
    limit = 1 << (bits - 1)
    return max(-limit, min(limit - 1, count))


class Ps2Mouse(Ps2Device):
    """The mouse behind `backend` (its own if None is given).

    `kind` is 0, 3 or 4 (command F2), `resolution` 0-3, `rate` in samples a second; `remote`,
    `enabled`, `scaling` (2:1) and `wrap` are its modes; `buttons` are bits 0-4.
    """

    _x: int
    _y: int
    _z: int
    _changed: bool

    def __init__(self, backend: Mouse | None = None) -> None:
        super().__init__()
        self.backend = backend if backend is not None else Mouse()
        self.backend.listener = self.move
        self.backend.wheel_listener = self.scroll
        self.buttons = 0
        self._error = False
        self._packet = b""
        self.reset()

    # -- movement

    def move(self, dx: int, dy: int, buttons: int) -> None:
        """Count a movement, right and up positive, and note the buttons."""
        self._x, self._y = clip(self._x + dx, 32), clip(self._y + dy, 32)
        self._changed = self._changed or bool(dx or dy) or buttons & 0x1F != self.buttons
        self.buttons = buttons & 0x1F
        self._stream()
        self._tell()

    def scroll(self, steps: int) -> None:
        """Count steps of the wheel."""
        self._z = clip(self._z + steps, 32)
        self._changed = True
        self._stream()
        self._tell()

    @property
    def _length(self) -> int:
        return 4 if self.kind else 3

    def _stream(self) -> None:
        """Buffer a packet, if anything changed and nothing forbids it."""
        silent = self.remote or self.wrap or not self.enabled
        if self._changed and not silent and len(self._data) + self._length <= BUFFER:
            self._data.extend(self._take_packet(self.scaling))

    def _take_packet(self, scaled: bool) -> bytes:
        """The packet for what was counted, which starts at zero again."""
        x, y = (scale(self._x), scale(self._y)) if scaled else (self._x, self._y)
        near_x, near_y = clip(x, 9), clip(y, 9)
        flags = (near_y != y) << 7 | (near_x != x) << 6 | (y < 0) << 5 | (x < 0) << 4
        packet = [flags | 0x08 | self.buttons & 7, near_x & 0xFF, near_y & 0xFF]
        if self.kind == 3:
            packet.append(clip(self._z, 8) & 0xFF)
        elif self.kind == 4:
            packet.append((self.buttons & 0x18) << 1 | clip(self._z, 4) & 0x0F)
        self._forget()
        self._packet = bytes(packet)
        return self._packet

    def _forget(self) -> None:
        self._x = self._y = self._z = 0
        self._changed = False

    def send(self) -> int:
        """Take the next byte; where that made room, movement that waited follows."""
        byte = super().send()
        self._stream()
        return byte

    # -- commands

    def reset(self) -> None:
        """Power on: defaults, a plain mouse, nothing to send."""
        self._replies.clear()
        self._expects = 0
        self.wrap = False
        self.kind = 0
        self._rates = (0, 0, 0)
        self._defaults()

    def _defaults(self) -> None:
        """What F6 and FF set back."""
        self._data.clear()
        self._forget()
        self.remote = self.enabled = self.scaling = False
        self.resolution = 2
        self.rate = 100

    @property
    def status(self) -> int:
        """The first byte that E9 (status request) answers: modes, and the buttons L, M, R."""
        left, right, middle = (self.buttons >> n & 1 for n in range(3))
        modes = STATUS_REMOTE.put(0, self.remote) | STATUS_ENABLED.put(0, self.enabled)
        return modes | STATUS_SCALING.put(0, self.scaling) | left << 2 | middle << 1 | right

    def _is_command(self, byte: int) -> bool:
        return byte >= 0xE6

    def _command(self, byte: int) -> None:
        if self.wrap and byte not in (0xEC, 0xFF):
            self._reply(byte)
            return
        match byte:
            case 0xE8 | 0xF3:
                self._expects = byte
                self._reply(ACK)
            case 0xE9:
                self._reply(ACK, self.status, self.resolution, self.rate)
            case 0xEB:
                self._reply(ACK, *self._take_packet(scaled=False))
            case 0xF2:
                self._reply(ACK, self.kind)
            case 0xFE:
                self._reply(*(self._packet or (ACK,)))
            case 0xFF:
                self.reset()
                self._reply(ACK, BAT_OK, self.kind)
            case _:
                self._reply(ACK if self._set_mode(byte) else self._wrong())
                return
        self._error = False

    def _set_mode(self, byte: int) -> bool:
        """The commands that change a mode and answer nothing more; False if it is none."""
        match byte:
            case 0xE6 | 0xE7:
                self.scaling = byte == 0xE7
            case 0xEA | 0xF0:
                self.remote = byte == 0xF0
                self._data.clear()
            case 0xEC | 0xEE:
                self.wrap = byte == 0xEE
            case 0xF4 | 0xF5:
                self.enabled = byte == 0xF4
                self._data.clear()
                self._forget()
            case 0xF6:
                self._defaults()
            case _:
                return False
        self._error = False
        return True

    def _option(self, command: int, byte: int) -> None:
        if command == 0xE8 and byte <= 3:
            self.resolution = byte
        elif command == 0xF3 and byte in RATES:
            self.rate = byte
            self._rates = (*self._rates[1:], byte)
            self.kind = KNOCKS.get(self._rates, self.kind)
        else:
            self._expects = command
            self._reply(self._wrong())
            return
        self._error = False
        self._reply(ACK)

    def _wrong(self) -> int:
        """A wrong byte is answered with FE, the next wrong one with FC."""
        answer = ERROR if self._error else RESEND
        self._error = not self._error
        return answer

    def __repr__(self) -> str:
        return f"Ps2Mouse(type {self.kind}, {len(self.waiting)} bytes waiting)"
