"""The receiver of a 16550A: from the wire to RBR, or to a FIFO of sixteen.

    SIN, or looped back  ->  Receiver Shift Register  ->  RBR or RCVR FIFO  ->  read RBR
                                                              | not empty
                                                             DR

A character carries its own errors through the FIFO. They enter LSR when the character comes to the
top, so a driver that reads LSR before each RBR knows which character was bad. Reading LSR clears
them; reading RBR does not (PC16550D 8.4).

By default the far end is patient: what is typed waits until there is room, and nothing is lost. On
a timed line it comes one character after the other, ready or not; that is how an overrun happens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from virtlab.clock import Clock, Timer
from virtlab.devices.uart.registers import BI, FE, FIFO_SIZE, OE, PE, Frame


class Receiver:
    """Calls `changed()` when its state moved.

    The UART sets `fifo` (FIFO mode), `trigger` (characters), `frame` (ns), and `connected`: whether
    SIN leads to the terminal, which it does not in loopback. With `clock` the character timeout
    works; with `timed` the line takes time.
    """

    def __init__(
        self, changed: Callable[[], None], clock: Clock | None = None, timed: bool = False
    ) -> None:
        self.changed = changed
        self.clock = clock
        self.timed = timed
        self._silence: Timer | None = None
        self._arriving: Timer | None = None
        self.reset()

    def reset(self) -> None:
        """Master Reset: empty, no error, nothing on the line."""
        self.fifo = False
        self.trigger = 1
        self.frame = Frame(0xFF, 0, 0)
        self.connected = True
        self.rbr = 0
        self.errors = 0
        self.incoming: deque[int] = deque()
        self.clear()

    def clear(self) -> None:
        """RCVR FIFO reset: the characters go, and their errors with them (PC16550D 8.5, bit 1)."""
        self.received: deque[tuple[int, int]] = deque()
        self.errors &= OE
        self.timed_out = False

    # -- the line

    def type(self, data: bytes) -> None:
        """The far end sends `data`."""
        self.incoming.extend(data)
        if self.timed:
            self._arrive_later()
        else:
            self.accept()

    def accept(self) -> None:
        """Let a patient far end send what there is room for."""
        while self.incoming and self.connected and self._room() and not self.timed:
            self.put(self.incoming.popleft())

    def _arrive_later(self) -> None:
        if self.clock is not None and self.incoming and self._arriving is None:
            self._arriving = self.clock.after(self.frame.time, self._arrive)

    def _arrive(self) -> None:
        """One character is in, if SIN is connected. The next one follows."""
        self._arriving = None
        if self.incoming:
            character = self.incoming.popleft() & self.frame.mask
            if self.connected:
                self.put(character)
        self._arrive_later()

    def put(self, character: int, errors: int = 0) -> None:
        """A character is in the shift register, with any of the errors `PE`, `FE` and `BI`.

        Without room that is an overrun: RBR takes the new character, the FIFO does not
        (PC16550D 8.4, bit 1).
        """
        if not self._room():
            self.errors |= OE
        if not self.fifo:
            self.received.clear()
            self.rbr = character
        if self._room():
            self.received.append((character, errors & (PE | FE | BI)))
            self._reveal()
        self._restart_timeout()
        self.changed()

    # -- the CPU's side

    @property
    def reached(self) -> bool:
        """Whether Received Data Available is pending (PC16550D 8.11, receiver, A)."""
        return len(self.received) >= self.trigger

    @property
    def fifo_error(self) -> bool:
        """LSR bit 7: some character in the FIFO has an error; 0 without FIFOs."""
        return self.fifo and any((self.errors & ~OE, *(bad for _, bad in self.received)))

    def top(self) -> int:
        """What RBR shows. Empty, the FIFO shows 0 and RBR its last character (no clause says)."""
        if not self.fifo:
            return self.rbr
        return self.received[0][0] if self.received else 0

    def take(self) -> int:
        """Read RBR. The next character comes to the top; the timeout starts again."""
        character = self.top()
        if self.received:
            self.received.popleft()
            self._reveal()
        self.timed_out = False
        self._restart_timeout()
        self.changed()
        self.accept()
        return character

    def _room(self) -> bool:
        return len(self.received) < (FIFO_SIZE if self.fifo else 1)

    def _reveal(self) -> None:
        """The errors of the character now at the top enter LSR."""
        if self.received:
            character, errors = self.received[0]
            self.errors |= errors
            self.received[0] = character, 0

    # -- the character timeout

    def _restart_timeout(self) -> None:
        """Something came or went: four character times from now (PC16550D 8.11, receiver)."""
        if self._silence is not None:
            self._silence.cancel()
        if self.clock is not None and self.fifo and self.received:
            self._silence = self.clock.after(4 * self.frame.time, self._time_out)

    def _time_out(self) -> None:
        self.timed_out = bool(self.received)
        self.changed()
