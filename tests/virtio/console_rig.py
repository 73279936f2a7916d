"""A console behind any transport, with a driver's end of each queue, by hand."""

from __future__ import annotations

from itertools import pairwise

from tests.virtio.rig import DATA, Rig
from virtlab.backends import Terminal
from virtlab.virtio.console import VirtioConsole
from virtlab.virtio.console_layouts import (
    CONTROL,
    CONTROL_RECEIVEQ,
    CONTROL_TRANSMITQ,
    ConsoleEvent,
    ConsoleFeature,
)
from virtlab.virtio.console_port import Port
from virtlab.virtio.layouts import packer

SAY, ROOM_FOR = DATA, DATA + 0x8000
"""Where a test puts control messages, and the buffers for those of the device."""

FEATURES = set(ConsoleFeature)


class Console:
    """`ports` behind `transport`, started with all queues; `terminals` are their far ends."""

    def __init__(self, transport="mmio", layout="split", ports=None, most=4, size=32, **how):
        self.terminals = [Terminal() for _ in range(3)] if ports is None else None
        self.ports = ports or [
            Port(self.terminals[0], console=True, size=(80, 25)),
            Port(self.terminals[1], "org.virtlab.agent"),
            Port(self.terminals[2]),
        ]
        self.device = VirtioConsole(self.ports, most, size)
        self.rig = Rig(self.device, transport)
        self.rig.trace.on = True
        how.setdefault("understood", FEATURES)
        self.rig.start(layout, queues=len(self.device.queue_sizes), entries=4, **how)
        self.queues = self.rig.guest.queues

    def transmit(self, index, data, at=DATA + 0x1000, cuts=()):
        """Send `data` through queue `index`, in pieces that end at `cuts`; what came back."""
        self.rig.ram.write(at, data)
        ends = [0, *cuts, len(data)]
        pieces = [(at + a, b - a) for a, b in pairwise(ends)]
        self.queues[index].add_buf(pieces, [], "sent")
        self.queues[index].kick()
        return self.queues[index].get_buf()

    def offer(self, index, sizes, at=DATA + 0x2000):
        """Buffers of these sizes in queue `index`, side by side."""
        for number, size in enumerate(sizes):
            self.queues[index].add_buf([], [(at, size)], (at, number))
            at += size
        self.queues[index].kick()

    def received(self, index):
        """What the device has put into buffers of queue `index`."""
        found = []
        while used := self.queues[index].get_buf():
            found.append(self.rig.ram.read(used.token[0], used.written))
        return found

    def say(self, event, number=0, value=1):
        """A control message of the driver."""
        self.transmit(CONTROL_TRANSMITQ, packer(CONTROL).pack(number, event, value), SAY)

    def listen(self, count=12, size=96):
        """Buffers for the device's control messages."""
        self.offer(CONTROL_RECEIVEQ, [size] * count, ROOM_FOR)

    def heard(self):
        """The device's control messages: `(event, port, value, more)`."""
        unpack, size = packer(CONTROL).unpack, CONTROL.itemsize
        messages = [(unpack(raw[:size]), raw[size:]) for raw in self.received(CONTROL_RECEIVEQ)]
        return [(ConsoleEvent(event), port, v, more) for (port, event, v), more in messages]

    def begin(self):
        """All ports known and ready; nothing left to hear."""
        self.listen()
        self.say(ConsoleEvent.DEVICE_READY)
        for number in range(len(self.ports)):
            self.say(ConsoleEvent.PORT_READY, number)
        heard = self.heard()
        self.listen()
        return heard
