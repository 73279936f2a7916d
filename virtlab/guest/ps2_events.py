"""From bytes to events: what a keyboard and a mouse send, as keys and movements.

Bytes arrive one at a time, and an event has one to four of them. A decoder keeps what it has of
the next event, never more, so garbage cannot grow. What it does not know it drops.

The codes are the device's own table (`virtlab.devices.i8042.keys`), read backwards.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.devices.i8042.keys import EXTENDED_PREFIX, KEYS, PAUSE_PREFIX, VARIANTS


class KeyEvent(NamedTuple):
    """Key `name` went down, or came up."""

    name: str
    down: bool


class MouseEvent(NamedTuple):
    """A movement in counts (right and up positive), steps of the wheel, and the buttons' bits."""

    dx: int
    dy: int
    dz: int
    buttons: int


def _codes() -> dict[bytes, KeyEvent]:
    """Set 1 backwards. Of `PRINT`, two codes, the second counts; `PAUSE` comes up at once."""
    codes = {
        bytes.fromhex("e11d45"): KeyEvent("PAUSE", True),
        bytes.fromhex("e19dc5"): KeyEvent("PAUSE", False),
        bytes.fromhex("e046"): KeyEvent("PAUSE", True),
        bytes.fromhex("e0c6"): KeyEvent("PAUSE", False),
    }
    for key in [*KEYS.values(), *VARIANTS.values()]:
        name = key.name.split("+")[0]
        if name != "PAUSE":
            code = key.make(1)[-2:]
            codes[code] = KeyEvent(name, True)
            codes[code[:-1] + bytes([code[-1] | 0x80])] = KeyEvent(name, False)
    return codes


_EVENTS = _codes()
_LENGTHS = {EXTENDED_PREFIX: 2, PAUSE_PREFIX: 3}


class KeyDecoder:
    """Scan codes of set 1, byte by byte, into events.

    >>> decoder = KeyDecoder()
    >>> decoder.feed(0xE0), decoder.feed(0x48)
    (None, KeyEvent(name='UP', down=True))
    """

    def __init__(self) -> None:
        self._code = b""

    def feed(self, byte: int) -> KeyEvent | None:
        """The event that `byte` completes, or None. What is no key's code is dropped.

        An overrun code (00, translated FF) is dropped too. QEMU's keyboard cuts a code instead, so
        what does not fit after the prefix of `PAUSE` begins anew.
        """
        self._code += bytes([byte])
        if len(self._code) < _LENGTHS.get(self._code[0], 1):
            return None
        code, self._code = self._code, b""
        if len(code) == 3 and code not in _EVENTS:
            return self.feed(byte)
        return _EVENTS.get(code)


class PacketDecoder:
    """A mouse's packets, byte by byte, into events. `length` is 3, or 4 with a wheel.

    >>> decoder = PacketDecoder()
    >>> [decoder.feed(byte) for byte in (0x29, 5, 0xFE)][-1]
    MouseEvent(dx=5, dy=-2, dz=0, buttons=1)
    """

    def __init__(self) -> None:
        self.length = 3
        self._packet = b""

    def feed(self, byte: int) -> MouseEvent | None:
        """The event that `byte` completes, or None. A first byte without bit 3 is dropped."""
        if not self._packet and not byte & 0x08:
            return None
        self._packet += bytes([byte])
        if len(self._packet) < self.length:
            return None
        flags, x, y, *rest = self._packet
        self._packet = b""
        dz = (rest[0] ^ 0x80) - 0x80 if rest else 0
        return MouseEvent(x - (flags << 4 & 0x100), y - (flags << 3 & 0x100), dz, flags & 7)
