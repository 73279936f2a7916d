"""The transmitter of a 16550A: from THR, or from a FIFO of sixteen, to the wire.

    write THR  ->  THR or XMIT FIFO  ->  Transmitter Shift Register  ->  SOUT, or looped back
                        | empty                    | both empty
                      THRE                       TEMT

THRE and its interrupt are two things. THRE is a level: the THR, or the whole FIFO, is empty. The
interrupt is the *event* that it became empty. It stays `pending` until somebody takes note: by
reading IIR, or by writing THR (PC16550D 8.6, table IV).

By default the wire takes no time. With a clock, a character takes the time of its frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from virtlab.clock import Clock, Timer
from virtlab.devices.uart.registers import FIFO_SIZE, Frame


class Transmitter:
    """Hands each character sent to `deliver(character)`; calls `changed()` when it has moved.

    The UART sets `fifo` (FIFO mode) and `frame` (ns).
    """

    def __init__(
        self,
        deliver: Callable[[int], None],
        changed: Callable[[], None],
        clock: Clock | None = None,
    ) -> None:
        self.deliver = deliver
        self.changed = changed
        self.clock = clock
        self._sending: Timer | None = None
        self._emptying: Timer | None = None
        self.reset()

    def reset(self) -> None:
        """Master Reset: empty and idle, with no interrupt pending."""
        self._cancel(self._sending)
        self._cancel(self._emptying)
        self.fifo = False
        self.frame = Frame(0xFF, 0, 0)
        self.waiting: deque[int] = deque()
        self.shifting: int | None = None
        self.thr = 0
        self.thre = True
        self.pending = False
        self._alone = True

    @property
    def temt(self) -> bool:
        """Nothing waits, and nothing is being shifted out (PC16550D 8.4, bit 6)."""
        return not self.waiting and self.shifting is None

    def write(self, character: int) -> None:
        """Take a character. THR keeps the newest; a full FIFO loses it (no clause says)."""
        self.thr = character
        if not self.fifo:
            self.waiting.clear()
        if len(self.waiting) < FIFO_SIZE:
            self.waiting.append(character)
        self._alone = self._alone and len(self.waiting) == 1
        self._cancel(self._emptying)
        self.thre = self.pending = False
        self.changed()
        if self.shifting is None:
            self._shift()

    def clear(self) -> None:
        """XMIT FIFO reset. What is being shifted out still goes (PC16550D 8.5, bit 2)."""
        self.waiting.clear()
        self._empty()

    def _shift(self) -> None:
        """Move the next character into the shift register."""
        self.shifting = self.waiting.popleft()
        if not self.waiting:
            self._became_empty()
        if self.clock is None:
            self._sent()
        else:
            self._sending = self.clock.after(self.frame.time, self._sent)

    def _sent(self) -> None:
        character, self.shifting = self.shifting, None
        if self.waiting:
            self._shift()
        assert character is not None
        self.deliver(character)
        self.changed()

    def _became_empty(self) -> None:
        """In FIFO mode, a character that was alone delays THRE by its own time less the stop bits.

        So a driver that sends one character at a time is not interrupted twice at its start
        (PC16550D 8.11, transmitter, B).
        """
        if self.clock is not None and self.fifo and self._alone:
            self._emptying = self.clock.after(self.frame.time - self.frame.stop, self._empty)
        else:
            self._empty()

    def _empty(self) -> None:
        """THR or the FIFO is empty now: that is the event."""
        self._cancel(self._emptying)
        self.thre = self.pending = self._alone = True
        self.changed()

    @staticmethod
    def _cancel(timer: Timer | None) -> None:
        if timer is not None:
            timer.cancel()
