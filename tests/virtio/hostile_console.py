"""A hostile guest of the console, and a world outside that plugs, closes, types and resizes."""

from __future__ import annotations

from contextlib import suppress

from tests.virtio.console_rig import FEATURES, SAY, Console
from tests.virtio.hostile import Attack
from virtlab.backends import Terminal
from virtlab.guest.virtqueue import DeviceBroken, QueueFull
from virtlab.virtio.console_layouts import CONTROL, ConsoleEvent, receiveq, transmitq
from virtlab.virtio.console_port import MAX_WAITING, Port
from virtlab.virtio.layouts import packer


class ConsoleAttack(Attack):
    """Against a console with three ports of four."""

    more = ("message", "message") + ("outside",) * 3 + ("config",)
    queues = 10
    understood = FEATURES

    def make(self):
        self.console = Console(self.transport, self.layout)
        self.console.rig.trace.on = False
        self.device = self.console.device
        self.spare = [Port(Terminal()) for _ in range(2)]
        return self.console.rig

    def serve(self):
        device, console = self.device, self.console
        for number in [number for number in device.ports if number]:
            self.spare.append(device.unplug(number))
        if not device.ports:
            device.plug(0, self.spare.pop())
        terminal = Terminal()
        device.plug(1, Port(terminal))
        self.rig.start(self.layout, FEATURES, queues=10)
        console.queues = self.rig.guest.queues
        console.listen()
        console.say(ConsoleEvent.DEVICE_READY)
        console.say(ConsoleEvent.PORT_READY, 1)
        console.say(ConsoleEvent.PORT_OPEN, 1)
        assert (ConsoleEvent.DEVICE_ADD, 1, 0, b"") in console.heard()
        console.transmit(transmitq(1), b"well again")
        terminal.type("so am I")
        console.offer(receiveq(1), [40])
        assert console.received(receiveq(1)) == [b"so am I"]
        assert terminal.text == "well again"
        device.unplug(1)
        del self.spare[2:]

    def cut(self, index, count):
        if self.rng.random() < 0.2:
            return super().cut(index, count)
        return count if index % 2 else 0

    def head(self):
        event = self.rng.choice([*ConsoleEvent, 0xFFFF])
        number = self.rng.choice([0, 1, 2, 3, 4, 0xFFFFFFFF])
        return packer(CONTROL).pack(number, event, self.rng.randrange(3))

    def bounded(self):
        assert len(self.device.control._due) <= 4 * len(ConsoleEvent)
        for port in self.device.ports.values():
            assert len(port.incoming) <= MAX_WAITING

    def message(self):
        """A message to the control queue that is in order, but for what it says."""
        with suppress(DeviceBroken, QueueFull):
            self.ends[3].get_bufs()
            self.rig.ram.write(SAY, self.head())
            self.ends[3].add_buf([(SAY, 8)], [], "message")
            self.ends[3].kick()

    def config(self):
        at, size = self.rng.randrange(16), self.rng.choice([1, 2, 4])
        self.rig.core.write_config(at, size, self.rng.randrange(1 << 32))

    # -- the world outside

    def outside(self):
        ports = self.device.ports
        number = self.rng.choice([*ports, 0])
        match self.rng.randrange(5):
            case 0 if ports:
                ports[self.rng.choice(list(ports))].arrive(
                    self.rng.randbytes(self.rng.choice([5, 500, 30_000]))
                )
            case 1 if number in ports:
                self.device.set_open(number, self.rng.random() < 0.5)
            case 2 if number in ports:
                self.device.resize(self.rng.randrange(200), 50, number)
            case 3 if number in ports and len(ports) > 1:
                self.spare.append(self.device.unplug(number))
            case 4:
                free = [number for number in range(4) if number not in ports]
                if free and self.spare:
                    self.device.plug(free[0], self.spare.pop())
