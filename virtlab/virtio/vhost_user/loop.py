"""Serve several back-ends in one process: wait for sockets and doorbells, do a bounded turn each.

    wait    listeners   a front-end comes      -> a `BackEnd` for its device
            sockets     a message              -> receive
            doorbells   a kick                 -> kicked
            time        it is so late          -> what `after` was told

The idea: everything that may happen is a descriptor, so one `poll` waits for all of it. That
costs a system call and, worse, a wake-up. With `poll_us` the loop goes on looking into the rings
for so long after the last request, and asks the drivers not to ring meanwhile.

The rule that keeps it simple: a front-end can end its own session and nothing else. What it does
wrong closes its connection, and its listener waits for the next one.

Source: vhost-user.rst, "Communication", "Ring states".
"""

from __future__ import annotations

import errno
import heapq
import itertools
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from virtlab.virtio.vhost_user.back_end import BackEnd
from virtlab.virtio.vhost_user.messages import ProtocolError

NAP = 0.001
"""Seconds between two looks into rings that have no doorbell."""

LATER = 1.0
"""Seconds until somebody is let in, where no descriptor is free."""

MESSAGES = 64
"""Messages of one front-end that are handled in one turn."""

Make = Callable[[socket.socket], BackEnd]
"""Makes the back-end for a front-end that has come."""

Ended = Callable[[BackEnd, ProtocolError], None]
"""Is told how a session ended: by `HungUp` or an error."""


class Service:
    """A device that front-ends reach at `listener`, one at a time."""

    def __init__(self, listener: socket.socket, make: Make) -> None:
        listener.setblocking(False)
        self.listener = listener
        self.make = make
        self.back_end: BackEnd | None = None


class Loop:
    """Serves what is added to it. It polls for `poll_us` microseconds after each request.

    `ended` is told of each session that is over. What is written to `wake_fd`, which does not
    block, ends a wait.
    """

    def __init__(self, poll_us: int = 0, ended: Ended | None = None) -> None:
        self.poll_us = poll_us
        self.ended = ended
        self.back_ends: list[BackEnd] = []
        self._services: list[Service] = []
        self._selector = selectors.PollSelector()
        self._fds: dict[BackEnd, list[int]] = {}
        self._stopped = False
        self._calls: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []  # when; of two, the first
        self._numbers = itertools.count()
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        self.wake_fd = self._waker.fileno()
        self._selector.register(self._wake, selectors.EVENT_READ, self._woken)

    # -- what is served

    def listen(self, listener: socket.socket, make: Make) -> Service:
        """Serve whoever connects to `listener`, which is the loop's from now on."""
        service = Service(listener, make)
        self._services.append(service)
        self._await(service)
        return service

    def attach(self, back_end: BackEnd) -> None:
        """Serve a back-end that is connected."""
        self.back_ends.append(back_end)
        self._fds[back_end] = []
        self._follow(back_end)

    def also(self, fd: int, action: Callable[[], None]) -> None:
        """Call `action` whenever `fd` can be read: the far end of a wire. None is waited for twice.

        What the action gives to a device goes on from there, as `arrived` does.
        """
        self._selector.register(fd, selectors.EVENT_READ, action)

    def no_more(self, fd: int) -> None:
        """Do not wait for `fd` any more; before it is closed."""
        self._selector.unregister(fd)

    def accept(self, listener: socket.socket, again: Callable[[], None]) -> socket.socket | None:
        """Whoever has come to `listener`, which is waited for; None if they have gone again.

        Without a free descriptor nobody can come, and whoever waits would be there again at once.
        So then it is not waited for any more, and `again` is called later.
        """
        try:
            return listener.accept()[0]
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self.no_more(listener.fileno())
                self.after(LATER, again)
            return None

    def call(self, action: Callable[[], None]) -> None:
        """Have `action` called in the loop. It may be asked for by another thread."""
        self._calls.append(action)
        self._awake()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Have `action` called, once, so many seconds from now, by whoever turns the loop then."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), action))

    def stop(self) -> None:
        """`run` ends after this turn. It may be called from a signal handler or another thread."""
        self._stopped = True
        self._awake()

    def _awake(self) -> None:
        try:
            self._waker.send(b"\0")
        except BlockingIOError:
            return  # it has been told often enough

    def _woken(self) -> None:
        self._wake.recv(64)
        while self._calls:
            self._calls.popleft()()

    def close(self) -> None:
        """Close every session and listener: requests that were taken have been answered."""
        for back_end in list(self.back_ends):
            self._remove(back_end)
        for service in self._services:
            service.listener.close()
        self._services.clear()
        self._selector.close()
        self._wake.close()
        self._waker.close()

    # -- running

    def run(self) -> None:
        """Serve until `stop`."""
        while not self._stopped:
            self.turn()

    def turn(self, timeout: float | None = None) -> None:
        """Wait for something, at most `timeout` seconds, and do it."""
        if any(back_end.pending for back_end in self.back_ends):
            timeout = 0
        elif any(back_end.polled for back_end in self.back_ends):
            timeout = NAP if timeout is None else min(timeout, NAP)
        before = self._requests()
        self._dispatch(timeout)
        for back_end in self.back_ends:
            if back_end.polled:
                back_end.look()
            back_end.work()
        if self.poll_us and self._requests() != before:
            self._poll()

    def _dispatch(self, timeout: float | None) -> None:
        """Wait, handle each descriptor that is ready, and do what it is time for."""
        if self._timers:
            left = max(0.0, self._timers[0][0] - time.monotonic())
            timeout = left if timeout is None else min(timeout, left)
        for key, _ in self._selector.select(timeout):
            # What an earlier one of these has closed is not there any more.
            if self._selector.get_map().get(key.fd) is key:
                key.data()
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()

    def _requests(self) -> int:
        return sum(back_end.statistics.requests for back_end in self.back_ends)

    def _poll(self) -> None:
        """Look into the rings until nothing has come for `poll_us`."""
        for back_end in self.back_ends:
            back_end.hush()
        patient_until = 0
        while not self._stopped:
            found = [back_end.look() for back_end in self.back_ends]
            self._dispatch(0)
            now = time.monotonic_ns()
            if True in found or not patient_until:
                patient_until = now + 1000 * self.poll_us
            if now >= patient_until:
                break
        for back_end in self.back_ends:
            back_end.listen()

    # -- descriptors

    def _await(self, service: Service) -> None:
        """Wait for a front-end."""
        self.also(service.listener.fileno(), lambda: self._accept(service))

    def _accept(self, service: Service) -> None:
        sock = self.accept(service.listener, lambda: self._await(service))
        if sock is None:
            return
        try:
            service.back_end = service.make(sock)
        except OSError:
            sock.close()  # the machine has no room for one more
            return
        # A device has one front-end. Others wait until it has hung up.
        self._selector.unregister(service.listener)
        self.attach(service.back_end)

    def _receive(self, back_end: BackEnd) -> None:
        """Handle what has come on a socket."""
        try:
            for _ in range(MESSAGES):
                if not back_end.receive():
                    break
        except ProtocolError as error:
            self._remove(back_end)
            if self.ended is not None:
                self.ended(back_end, error)
            return
        self._follow(back_end)

    def _kicked(self, back_end: BackEnd, ring: int) -> None:
        back_end.kicked(ring)
        if back_end.rings[ring].kick.fd is None:
            self._follow(back_end)

    def _follow(self, back_end: BackEnd) -> None:
        """Wait for the socket and the doorbells that there are now.

        `poll` knows descriptors by number. With `epoll` a doorbell that is closed here would go on
        ringing, as long as the front-end has it.
        """
        self._forget(back_end)
        wanted = [(back_end.channel.fileno(), partial(self._receive, back_end))]
        wanted += [(fd, partial(self._kicked, back_end, n)) for fd, n in back_end.kick_fds()]
        for fd, action in wanted:
            self._selector.register(fd, selectors.EVENT_READ, action)
            self._fds[back_end].append(fd)

    def _forget(self, back_end: BackEnd) -> None:
        for fd in self._fds[back_end]:
            self._selector.unregister(fd)
        self._fds[back_end].clear()

    def _remove(self, back_end: BackEnd) -> None:
        """A session is over; its listener waits for the next front-end."""
        self._forget(back_end)
        del self._fds[back_end]
        self.back_ends.remove(back_end)
        back_end.close()
        for service in self._services:
            if service.back_end is back_end:
                service.back_end = None
                self._await(service)
