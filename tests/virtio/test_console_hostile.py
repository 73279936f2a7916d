"""A guest that does anything, and a world outside that does too: nothing raises, nothing grows."""

import random

import pytest

from tests.virtio.console_rig import FEATURES, Console
from tests.virtio.rig import DATA, RAM, ROOM, WORLDS
from virtlab.backends import Terminal
from virtlab.guest.virtqueue import DeviceBroken, QueueFull
from virtlab.virtio.console_layouts import CONTROL, ConsoleEvent, receiveq, transmitq
from virtlab.virtio.console_port import MAX_WAITING, Port
from virtlab.virtio.layouts import packer

STEPS = 100
"""Of each seed, world by world."""

LONG = 1500
"""The same in the slow suite."""


class Storm:
    """Random steps of guest and host on a console with three ports of four."""

    def __init__(self, transport, layout, seed):
        self.rng = random.Random(seed)
        self.console = Console(transport, layout)
        self.console.rig.trace.on = False
        self.device, self.rig = self.console.device, self.console.rig
        self.spare = [Port(Terminal()) for _ in range(2)]

    def run(self, steps):
        kinds = [self.buffer, self.buffer, self.message, self.message, self.outside, self.outside]
        kinds += [self.scribble, self.ring, self.config, self.restart]
        for _ in range(steps):
            # A ring that was scribbled over may stop its own driver, which is no failure.
            with_driver = self.rng.choice(kinds)
            try:
                with_driver()
            except (DeviceBroken, QueueFull):
                self.restart()
            self.check()

    # -- the guest

    def pieces(self):
        return [
            (self.rng.choice([DATA + self.rng.randrange(0x800), RAM - 40]), self.rng.randint(1, 90))
            for _ in range(self.rng.randrange(4))
        ]

    def buffer(self):
        queue = self.rng.choice(list(self.console.queues.values()))
        out, in_ = self.pieces(), self.pieces()
        choice = self.rng.randrange(6)
        out, in_ = (out, []) if choice < 2 else ([], in_) if choice < 5 else (out, in_)
        if out or in_:
            queue.add_buf(out, in_, None)
            queue.kick()
        queue.get_bufs()

    def message(self):
        event = self.rng.choice([*ConsoleEvent, 0xFFFF])
        words = self.rng.choice([0, 1, 2, 3, 4, 0xFFFFFFFF]), event, self.rng.randrange(3)
        self.console.transmit(3, packer(CONTROL).pack(*words))

    def scribble(self):
        if self.rng.random() < 0.3:
            at = ROOM + self.rng.randrange(0x3000)
            self.rig.ram.write(at, self.rng.randbytes(self.rng.randint(1, 4)))

    def ring(self):
        self.rig.core.notify(self.rng.randrange(12))

    def config(self):
        at, size = self.rng.randrange(16), self.rng.choice([1, 2, 4])
        self.rig.core.write_config(at, size, self.rng.randrange(1 << 32))

    def restart(self):
        if self.rig.broken or self.rng.random() < 0.1:
            self.rig.ram.write(ROOM, bytes(0x8000))
            layout = self.rng.choice(["split", "packed"])
            self.rig.start("split" if self.rig.legacy else layout, FEATURES, queues=10, entries=4)
            self.console.queues = self.rig.guest.queues

    # -- the world outside

    def outside(self):
        ports = self.device.ports
        number = self.rng.choice([*ports, 0])
        match self.rng.randrange(5):
            case 0 if ports:
                ports[self.rng.choice(list(ports))].arrive(self.rng.randbytes(500))
            case 1 if number in ports:
                self.device.set_open(number, self.rng.random() < 0.5)
            case 2 if number in ports:
                self.device.resize(self.rng.randrange(200), 50, number)
            case 3 if number in ports and len(ports) > 1:
                self.spare.append(self.device.unplug(number))
            case 4:
                free = [number for number in range(4) if number not in ports]
                if free:
                    self.device.plug(free[0], self.spare.pop())

    # -- what always holds

    def check(self):
        assert not self.rig.core.handling
        for setup in self.rig.core.queues:
            setup.queue._check()
        assert len(self.device.control._due) <= 4 * len(ConsoleEvent)
        for port in self.device.ports.values():
            assert len(port.incoming) <= MAX_WAITING

    def mend(self):
        """After a reset it serves a driver that keeps the rules."""
        self.rig.ram.write(ROOM, bytes(0x8000))
        while len(self.device.ports) > 1:
            self.device.unplug(max(self.device.ports))
        (number,) = self.device.ports
        terminal = Terminal()
        self.device.unplug(number)
        self.device.plug(1, Port(terminal))
        self.rig.start("split", FEATURES, queues=10)
        self.console.queues = self.rig.guest.queues
        self.console.listen()
        self.console.say(ConsoleEvent.DEVICE_READY)
        self.console.say(ConsoleEvent.PORT_READY, 1)
        assert self.console.heard() == [(ConsoleEvent.DEVICE_ADD, 1, 0, b""), (6, 1, 1, b"")]
        self.console.say(ConsoleEvent.PORT_OPEN, 1)
        self.console.transmit(transmitq(1), b"well again")
        terminal.type("so am I")
        self.console.offer(receiveq(1), [40])
        assert self.console.received(receiveq(1)) == [b"so am I"]
        assert terminal.text == "well again"


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_nothing_raises_and_a_reset_mends_it(transport, layout, seed):
    storm = Storm(transport, layout, seed)
    storm.run(STEPS)
    storm.mend()


@pytest.mark.slow
@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_nothing_raises_in_a_long_storm(transport, layout):
    storm = Storm(transport, layout, transport + layout)
    storm.run(LONG)
    storm.mend()
