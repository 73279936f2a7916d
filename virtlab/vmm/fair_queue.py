"""Whose turn is it? Two ways to let many senders through one door.

    first come, first served     one queue for all: who sends most, gets most
    deficit round robin          a queue for each; every turn is worth `quantum` bytes

Deficit round robin: the senders that have something take turns. A turn adds `quantum` bytes to what
the sender may send; frames go out while they fit; what is left over is kept for the next turn. A
sender whose queue runs dry loses what was left: nobody saves up.

     turn        A: 900, 900, 900 ...      B: 1500, 1500 ...        quantum 1500
      1          900           keeps 600   1500          keeps 0
      2          900, 900      keeps 300   1500          keeps 0

Closed form: a sender that never runs dry has sent, after m turns, m * quantum bytes less what it
keeps, and it keeps less than one frame. With frames of one length L that is exactly
floor(m * quantum / L) frames. Two such senders never differ by more than a turn and a frame.

Both queues are bounded: a flood costs the one who floods, and nobody else.

Source: Shreedhar, Varghese, Efficient Fair Queueing Using Deficit Round Robin, SIGCOMM 1995, 3.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Protocol

QUANTUM = 1514
"""Bytes of a turn: the longest frame, so that every turn sends at least one (the paper's section
3: with a quantum of the largest packet the work for one packet is constant)."""

SMALLEST_QUANTUM = 64
"""A bound for the turns that one long frame may have to wait for."""

LIMIT = 64
"""Frames that wait: of each sender, or of all in one queue."""


class Turn(NamedTuple):
    """The frame that goes out next, and whose it is."""

    sender: str
    frame: bytes


class Scheduler(Protocol):
    """What a shared device needs: frames in, by sender; frames out, in some order."""

    def push(self, sender: str, frame: bytes) -> bool:
        """Keep a frame. False if there is no room for it."""

    def pop(self) -> Turn | None:
        """The next frame; None if nobody has one."""

    def forget(self, sender: str) -> None:
        """Throw away what a sender has waiting."""


class FirstComeFirstServed:
    """One queue of `limit` frames for everybody."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.queue: deque[Turn] = deque()

    def push(self, sender: str, frame: bytes) -> bool:
        """At the end, if there is room."""
        if len(self.queue) >= self.limit:
            return False
        self.queue.append(Turn(sender, frame))
        return True

    def pop(self) -> Turn | None:
        """The oldest."""
        return self.queue.popleft() if self.queue else None

    def forget(self, sender: str) -> None:
        """Throw away what a sender has waiting."""
        self.queue = deque(turn for turn in self.queue if turn.sender != sender)


class DeficitRoundRobin:
    """A queue of `limit` frames for each sender; a turn of `quantum` bytes, one after another.

    `deficits` has what each may send, of the turns it has had.
    """

    def __init__(self, quantum: int = QUANTUM, limit: int = LIMIT) -> None:
        if quantum < SMALLEST_QUANTUM:
            raise ValueError(f"a turn has {SMALLEST_QUANTUM} bytes or more, not {quantum}")
        self.quantum = quantum
        self.limit = limit
        self.queues: dict[str, deque[bytes]] = {}
        self.deficits: dict[str, int] = {}
        self._waiting: deque[str] = deque()
        self._begun = False

    def push(self, sender: str, frame: bytes) -> bool:
        """To the sender's own queue. One that had nothing waits behind the others for its turn."""
        queue = self.queues.setdefault(sender, deque())
        if len(queue) >= self.limit:
            return False
        if not queue:
            self._waiting.append(sender)
            self.deficits[sender] = 0
        queue.append(frame)
        return True

    def pop(self) -> Turn | None:
        """The next frame of whose turn it is."""
        while self._waiting:
            sender = self._waiting[0]
            if not self._begun:
                self.deficits[sender] += self.quantum
                self._begun = True
            if len(self.queues[sender][0]) <= self.deficits[sender]:
                return self._send(sender)
            self._waiting.rotate(-1)
            self._begun = False
        return None

    def _send(self, sender: str) -> Turn:
        frame = self.queues[sender].popleft()
        self.deficits[sender] -= len(frame)
        if not self.queues[sender]:
            self._leave(sender)
        return Turn(sender, frame)

    def _leave(self, sender: str) -> None:
        """A queue ran dry: its turn is over, and nothing is kept."""
        self._begun = self._begun and self._waiting[0] != sender
        self._waiting.remove(sender)
        self.deficits[sender] = 0

    def forget(self, sender: str) -> None:
        """Throw away what a sender has waiting."""
        if self.queues.pop(sender, None):
            self._leave(sender)
        self.deficits.pop(sender, None)
