"""A connection that may be lost: the back-end is killed, another comes, and the driver goes on.

    request fails, or the socket hangs up
        nothing was taken yet, or there are notes on it      connect again, tell everything again
        else                                                 `ConnectionError`

The idea: rings, RAM and notes are memory of ours, so they are still there. What a back-end had
taken and not given back is noted (INFLIGHT). The next one does it once more and gives it back once.

The rule that keeps it simple: whoever speaks does it by `last`. So a loss is met in one place,
whether a request finds it out or a processor that waits.

Source: vhost-user.rst, "Inflight I/O tracking", "Communication" (reconnection is optional).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from virtlab.hosts.vhost_user_link import NAP, Refused
from virtlab.hosts.vhost_user_ram import RamCpu
from virtlab.hosts.vhost_user_session import Session
from virtlab.hosts.vhost_user_told import Told
from virtlab.virtio.status import Interrupt

TRIES = 3
"""How often one request is sent, at most, if a back-end is lost over it each time."""

_Answer = TypeVar("_Answer")


class Connection:
    """`session`, and what the back-end is told; `cpu` listens to it.

    With `reconnects` a back-end that is lost may come back within the session's patience. `lost`
    counts. `causes` are bits of `Interrupt`.
    """

    def __init__(self, session: Session, cpu: RamCpu, reconnects: bool) -> None:
        self.session = session
        self.cpu = cpu
        self.told = Told(session, cpu.ram)
        self.reconnects = reconnects
        self.lost = 0
        self.causes = 0
        self._sockets: list[int] = []

    def open(self) -> None:
        """Connect. `ConnectionError` if there is no back-end, or none that can be spoken to."""
        try:
            self.session.open(self.session.patience)
        except BaseException:
            self.session.close()
            raise
        self._listen()

    def close(self) -> None:
        """Hang up."""
        self._deafen()
        self.session.close()

    # -- listening

    def _listen(self) -> None:
        self._sockets = self.session.fds
        for fd in self._sockets:
            self.cpu.listen(fd, self.spoken_to)

    def _deafen(self) -> None:
        for fd in self._sockets:
            self.cpu.ignore(fd)
        self._sockets = []

    def spoken_to(self) -> int:
        """Something is on a socket: the back-end tells us something, or is gone. Gives a vector."""
        if self.session.lost:
            self.again(ConnectionError("the back-end hung up between two requests"))
        self.hear()
        return 0

    def hear(self) -> None:
        """What the back-end has to tell. If its socket is closed by now, do not listen to it."""
        if self.session.hear():
            self.causes |= Interrupt.CONFIG
        if self.session.fds != self._sockets:
            self._deafen()
            self._listen()

    # -- speaking

    def last(self, speak: Callable[[], _Answer]) -> _Answer:
        """Say something, perhaps to the back-end that comes after this one."""
        for _ in range(TRIES - 1):
            try:
                return speak()
            except Refused:
                raise
            except ConnectionError as lost:
                self.again(lost)
        return speak()

    def again(self, lost: ConnectionError) -> None:
        """Have another back-end in the place of the one that is `lost`, or raise that."""
        if not self.reconnects:
            raise lost
        if not self.told.survives:
            raise ConnectionError(f"{lost}; without INFLIGHT_SHMFD nobody knows what it had taken")
        self._deafen()
        deadline = time.monotonic() + self.session.patience
        while not self._came_back(lost, deadline):
            time.sleep(NAP)
        self._listen()
        self.lost += 1

    def _came_back(self, lost: ConnectionError, deadline: float) -> bool:
        """Whether another back-end has come, and knows everything."""
        left = deadline - time.monotonic()
        try:
            self.session.open(max(0.0, left))
            self.told.again()
        except Refused:
            raise
        except ConnectionError as error:
            if left <= 0:
                raise ConnectionError(f"{lost}; and no other came: {error}") from None
            return False
        return True
