"""A device of ours behind a vhost-user socket, in a thread of the test."""

from __future__ import annotations

import socket
import threading

from virtlab.virtio.vhost_user.back_end import BackEnd
from virtlab.virtio.vhost_user.loop import Loop
from virtlab.virtio.vhost_user.session import RING_FEATURES


class Served:
    """Our back-end for `device` at the socket `path`.

    `sessions` has each `BackEnd` that there was, `errors` how those that are over ended.
    """

    def __init__(self, device, path, ring=RING_FEATURES, poll_us=0):
        self.path = path
        self.sessions, self.errors = [], []
        self._device, self._ring = device, ring
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen()
        self.loop = Loop(poll_us, lambda _, error: self.errors.append(error))
        self.loop.listen(listener, self._make)
        self._thread = threading.Thread(target=self.loop.run, daemon=True)

    def _make(self, sock):
        self.sessions.append(BackEnd(self._device, sock, self._ring))
        return self.sessions[-1]

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Hang up. Closing twice does nothing."""
        if self._thread.is_alive():
            self.loop.stop()
            self._thread.join(20)
            assert not self._thread.is_alive()
            self.loop.close()
