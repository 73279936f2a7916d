"""Our back-end in a process of its own, which may be killed at any time: another follows at once.

    test  --- SIGKILL --->  child: serves                 fork, as soon as it has ended
                            parent: has the socket, and everything imported

The parent says on its standard output which child serves. A child says when it finds chains that
were in flight before it, and when it ends a session because of an error.
"""

from __future__ import annotations

import collections
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

WAIT = 60
"""Seconds after which a process that should have said something counts as broken."""


PR_SET_PDEATHSIG = 1


def die_with_parent():
    """Nothing is left behind by a test that was killed (prctl(2))."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def serve(listener, image, queues, without, poll_us, moment):
    """A child: serve `image` to whoever connects. `moment` is an event's name, and how many of it.

    When so many of these have been, the child is killed. The name may be None.
    """
    from virtlab.backends.disk import Disk
    from virtlab.virtio.blk import VirtioBlk
    from virtlab.virtio.vhost_user.back_end import BackEnd
    from virtlab.virtio.vhost_user.channel import HungUp
    from virtlab.virtio.vhost_user.loop import Loop
    from virtlab.virtio.vhost_user.session import PROTOCOL, RING_FEATURES

    seen = collections.Counter()

    def watch(event):
        if event.kind == "pop" and event.note:
            os.write(1, b"again %d\n" % len(event.heads))
        seen[event.kind] += 1
        if moment and seen[moment[0]] == moment[1]:
            os.kill(os.getpid(), signal.SIGKILL)

    def make(sock):
        device = VirtioBlk(Disk.open(image), queues=queues)
        ring = RING_FEATURES - set(without)
        protocol = {bit for bit in PROTOCOL if bit.name not in without}
        return BackEnd(device, sock, ring, protocol, watch=watch)

    def ended(back_end, error):
        if not isinstance(error, HungUp):
            os.write(1, f"error {error}\n".encode())

    loop = Loop(poll_us, ended)
    loop.listen(listener, make)
    signal.signal(signal.SIGTERM, lambda *_: loop.stop())
    loop.run()
    loop.close()


def main(path, options):
    """The parent: a child after the other, until it is told to end."""
    die_with_parent()
    options = json.loads(options)
    moments = iter(options.pop("moments"))
    import virtlab.virtio.blk
    import virtlab.virtio.vhost_user.loop  # noqa: F401 - a child has it then

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(8)
    child = 0

    def end(*_):
        if child:
            os.kill(child, signal.SIGTERM)
        raise SystemExit

    signal.signal(signal.SIGTERM, end)
    while True:
        moment = next(moments, None)
        child = os.fork()
        if not child:
            die_with_parent()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            serve(listener, **options, moment=moment)
            os._exit(0)
        os.write(1, b"child %d\n" % child)  # in one piece: a child may speak too
        os.waitpid(child, 0)


class Served:
    """What the test knows of the processes: the `socket`'s path, the children, what they found."""

    def __init__(self, path, process):
        self.socket = path
        self.process = process
        self.children, self.errors = [], []
        self.again = self.kills = 0
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.child_after(0)

    def _read(self):
        for line in self.process.stdout:
            word, rest = line.split(maxsplit=1)
            with self._news:
                if word == "child":
                    self.children.append(int(rest))
                elif word == "again":
                    self.again += int(rest)
                else:
                    self.errors.append(rest)
                self._news.notify_all()

    def child_after(self, count):
        """Wait until more than `count` children have been born; the last one."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.children) > count, WAIT)
            return self.children[-1]

    def kill(self):
        """Kill the one that serves, as a crash does it."""
        count = len(self.children)
        os.kill(self.children[-1], signal.SIGKILL)
        self.kills += 1
        self.child_after(count)

    def end(self):
        self.process.terminate()
        self.process.wait(WAIT)
        self._reader.join(WAIT)
        self.process.stdout.close()


@contextmanager
def served(image, queues=1, without=(), poll_us=0, moments=()):
    """Our back-end for `image`, in a process; another goes on after each kill.

    `without` are bits of ring features, and names of extensions. `moments` says when each child in
    turn kills itself; those after them live on.
    """
    path = str(image.with_suffix(".sock"))
    options = {
        "image": str(image),
        "queues": queues,
        "without": list(without),
        "poll_us": poll_us,
        "moments": list(moments),
    }
    words = [sys.executable, "-m", __name__, path, json.dumps(options)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    found = Served(path, process)
    try:
        yield found
    finally:
        found.end()
    assert not found.errors


if __name__ == "__main__":
    main(*sys.argv[1:])
