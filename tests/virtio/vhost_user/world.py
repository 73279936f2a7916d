"""An `Echo` behind a socket, and a driver of its rings.

The tests of the session and of its rings share it: see `make` in `conftest`.
"""

from __future__ import annotations

from tests.virtio.devices import Echo
from tests.virtio.vhost_user.front_end import DATA, FrontEnd, room
from virtlab.guest.virtio_device import RING_FEATURES, VirtioDriver
from virtlab.virtio.features import Feature
from virtlab.virtio.vhost_user.layouts import (
    NEED_REPLY,
    VRING_STATE,
)
from virtlab.virtio.vhost_user.messages import pack


class World:
    """An `Echo` behind a socket, and a driver of its rings. `events` are all that was told."""

    def __init__(self, without=(Feature.RING_PACKED,), start=True, **options):
        self.events = []
        self.device = Echo(**options.pop("device", {}))
        self.front = FrontEnd(self.device, watch=self.events.append, **options)
        self.driver = VirtioDriver(self.front.cpu, self.front, room())
        self.without = set(without)
        if start:
            self.start()

    def start(self):
        self.driver.begin()
        self.driver.negotiate(RING_FEATURES - self.without)
        for index in range(2):
            self.driver.add_queue(index, entries=4)
        self.driver.ready()

    def say(self, text=b"hello", index=0, kick=True):
        queue = self.driver.queues[index]
        self.front.ram.write(DATA, text)
        queue.add_buf([(DATA, len(text))], [(DATA + 4096, len(text))], text)
        bell, self.front.muffled = self.front.muffled, not kick
        queue.kick()
        self.front.muffled = bell

    def heard(self, index=0):
        done = self.driver.queues[index].get_buf()
        return None if done is None else self.front.ram.read(DATA + 4096, done[1])

    @property
    def back_end(self):
        return self.front.back_end

    @property
    def kinds(self):
        return [event.kind for event in self.events]

    def fails(self, request, payload=b"", fds=()):
        """The request is answered with a failure, and the connection goes on."""
        answer = self.front.ask(request, payload, fds, NEED_REPLY)
        assert answer.value != 0
        return self.events[-1].note

    def ends(self, request, payload=b"", fds=()):
        """The request ends the connection, and why."""
        self.front.send(request, payload, fds)
        assert self.front.error is not None
        return self.front.error.why


def state(index, num):
    """The payload that says a number of a ring."""
    return pack(VRING_STATE, index, num)
