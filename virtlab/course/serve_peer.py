"""The other end of a served network: a program at a UNIX socket that takes and gives frames.

    [ length ][ frame .......... ][ length ][ frame ... ]
      4 bytes, most significant first

The idea: QEMU's `-netdev stream,addr.type=unix,server=on` speaks so, and so do others. Whatever is
there, a second machine or a gateway to the Internet, is one more port of the switch.

The rule that keeps it simple: nobody waits for a peer. What it does not take in time is dropped, as
on a wire that is full. When it hangs up its cable is pulled; the cards go on.

It has a poll object of its own, which is ready whenever the peer is: one descriptor for both ways.
Source: QEMU, net/stream.c, net/net.c (NET_BUFSIZE). Linux only (epoll).
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterable

from virtlab.backends.frames import Frames
from virtlab.backends.network import LinkEnd
from virtlab.course.serve_socket import reason

LENGTH = 4
"""Bytes of a length."""

MOST = 4096 + 65536
"""The longest frame that QEMU sends. What is above `MAX_FRAME` is dropped by the wire."""

PIECE = 1 << 18
"""Bytes that are read at once."""

WAITING = 1 << 20
"""Bytes that wait for the peer to take them."""


class StreamPeer:
    """Whoever is at `sock`, plugged into a cable at `end`. `gone` is called, once, with the reason.

    `sock` is the peer's from now on. `dropped` counts frames that it did not take in time.
    """

    def __init__(self, sock: socket.socket, end: LinkEnd, gone: Callable[[str], None]) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._end = end
        self._gone = gone
        self._in, self._out = bytearray(), bytearray()
        self._events = select.EPOLLIN
        self._poll = select.epoll()
        self._poll.register(sock, self._events)
        self.dropped = 0
        self.open = True
        end.listener = lambda frame: self.send([frame])
        end.many_listener = self.send

    @property
    def waiting(self) -> int:
        """Bytes that it has not taken yet."""
        return len(self._out)

    def fileno(self) -> int:
        """The descriptor to wait on; then call `ready`."""
        return self._poll.fileno()

    def close(self) -> None:
        """Hang up. Closing twice does nothing."""
        self.open = False
        self._poll.close()
        self._sock.close()

    # -- from the peer

    def ready(self) -> None:
        """The peer has sent something, or takes something: one bounded turn."""
        for _, events in self._poll.poll(0):
            if events & select.EPOLLOUT:
                self._flush()
            if events & ~select.EPOLLOUT and self.open:
                self._receive()

    def _receive(self) -> None:
        try:
            data = self._sock.recv(PIECE)
        except BlockingIOError:
            return
        except OSError as error:
            self._end_with(reason(error))
            return
        if not data:
            self._end_with("it has hung up")
            return
        self._in += data
        frames = self._whole()
        if frames:
            self._end.send_many(Frames.of(frames))

    def _whole(self) -> list[bytes]:
        """Take out the frames that have come as a whole."""
        frames, at, buffer = list[bytes](), 0, self._in
        while len(buffer) - at >= LENGTH:
            begin = at + LENGTH
            size = int.from_bytes(buffer[at:begin], "big")
            if size > MOST:
                self._end_with(f"a frame of {size} bytes, above {MOST}")
                break
            if len(buffer) - begin < size:
                break
            frames.append(bytes(buffer[begin : begin + size]))
            at = begin + size
        del buffer[:at]
        return frames

    # -- to the peer

    def send(self, frames: Iterable[bytes]) -> None:
        """Give it frames, as many as find room."""
        if not self.open:
            return
        for frame in frames:
            if len(self._out) + LENGTH + len(frame) > WAITING:
                self.dropped += 1
                continue
            self._out += len(frame).to_bytes(LENGTH, "big")
            self._out += frame
        self._flush()

    def _flush(self) -> None:
        """Send what it takes now, and wait for the rest to be taken."""
        try:
            while self._out:
                del self._out[: self._sock.send(self._out)]
        except BlockingIOError:
            pass
        except OSError as error:
            self._end_with(reason(error))
            return
        events = select.EPOLLIN | (select.EPOLLOUT if self._out else 0)
        if events != self._events:
            self._events = events
            self._poll.modify(self._sock, events)

    def _end_with(self, why: str) -> None:
        """It is over."""
        self.open = False
        self._out.clear()
        self._poll.unregister(self._sock)
        self._gone(why)
