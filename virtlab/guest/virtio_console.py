"""A driver for a virtio console: bytes in and out of ports, over any transport and any ring.

    console = ConsoleDriver(cpu, transport, Room(gpa, 1 << 20))
    console.start()
    console.ports[0].write(b"login: "); console.ports[0].read()

The idea: without MULTIPORT there is port 0, and nothing to agree on. With it the device says which
ports there are, and the driver answers: ready, open. All that is `service`, called now and then.

The rule that keeps it simple: all queues are made before DRIVER_OK, for then it is too late. The
buffers of a port are made when the device says that it is there.

What a port is called, and whether somebody listens, is in its attributes. A byte that is sent to a
closed port is the device's to keep or to drop.

Source: virtio 1.3 5.3.5, 5.3.6. Left out: interrupts; the driver looks again and again.
"""

from __future__ import annotations

from virtlab.cpu import Cpu
from virtlab.guest.room import Room
from virtlab.guest.virtio_console_rings import GuestPort, ReceiveRing, SendRing
from virtlab.guest.virtio_device import RING_FEATURES, VirtioDriver
from virtlab.guest.virtio_transport import Transport, VirtioFailed
from virtlab.virtio.console_layouts import (
    CONTROL,
    CONTROL_RECEIVEQ,
    GUARD,
    RESIZE,
    ConsoleEvent,
    ConsoleFeature,
    config_field,
    queue_count,
    receiveq,
)
from virtlab.virtio.features import Features, from_bits
from virtlab.virtio.layouts import packer
from virtlab.virtio.status import DeviceId

CONSOLE_FEATURES: Features = frozenset(ConsoleFeature)
"""What this driver understands of a console: all there is."""

MOST_PORTS = 31
"""Ports that it makes queues for, if the device could have more."""

BUFFERS, CHUNK = 16, 256
"""Buffers in each direction of a port, and bytes of each, if nobody says otherwise."""

CONTROL_BUFFERS, CONTROL_CHUNK = 64, 256
"""The same for the messages about ports: a device may drop one for which there is no buffer."""

ROUNDS = 64
"""How often `start` listens, at most, until the device has nothing more to say."""

Heard = tuple[int, int, int]
"""A message of the device: event, port, value."""

_CONTROL, _RESIZE = packer(CONTROL), packer(RESIZE)


class ConsoleDriver:
    """The console behind `transport`; rings and buffers lie in `room`.

    `understood` are the features to accept if offered; `size` is the queues', as far as they can be
    so large, the largest if None. Each port has `buffers` of `chunk` bytes in each direction. At
    most `most` ports are used. What the device does not do is `VirtioFailed`.
    """

    def __init__(
        self,
        cpu: Cpu,
        transport: Transport,
        room: Room,
        *,
        understood: Features = RING_FEATURES | CONSOLE_FEATURES,
        size: int | None = None,
        buffers: int = BUFFERS,
        chunk: int = CHUNK,
        most: int = MOST_PORTS,
    ) -> None:
        if min(buffers, chunk, most) <= 0:
            raise ValueError("one port, one buffer of one byte, or more")
        self.cpu = cpu
        self.virtio = VirtioDriver(cpu, transport, room)
        self.understood = understood
        self.size, self.buffers, self.chunk, self.most = size, buffers, chunk, most
        self.config: dict[str, int] = {}
        self.ports: dict[int, GuestPort] = {}
        self._rings: dict[int, tuple[ReceiveRing, SendRing]] = {}
        self._inbox: list[bytes] = []
        self._count = 1

    # -- beginning (5.3.5)

    def start(self) -> None:
        """The eight steps, then the ports. `VirtioFailed` if it is no console, or not to be had."""
        self.virtio.begin()
        self.ports.clear()
        self._rings.clear()
        self._inbox.clear()
        if self.virtio.transport.device_id != DeviceId.CONSOLE:
            self.virtio.fail(f"no console, but type {self.virtio.transport.device_id}")
        self.virtio.negotiate(self.understood)
        self.refresh()
        self._count = max(1, min(self.most, self.config.get("max_nr_ports", 1)))
        for index in range(queue_count(self._count, self.multiport)):
            self._add_queue(index)
        self.virtio.ready()
        if self.multiport:
            self._ring_pair(CONTROL_RECEIVEQ)[0].fill()
            self.say(0, ConsoleEvent.DEVICE_READY, 1)
            for _ in range(ROUNDS):
                if not self.service():
                    break
        else:
            self._plain_port()

    def _add_queue(self, index: int) -> None:
        most = self.virtio.transport.queue_max(index)
        legacy = self.virtio.transport.legacy
        self.virtio.add_queue(index, None if self.size is None or legacy else min(self.size, most))

    def _plain_port(self) -> None:
        """Port 0 without any message: it is a console, and open at both ends."""
        port = self.ports[0] = self._port(0)
        port.console = port.is_open = port.host_open = True

    @property
    def multiport(self) -> bool:
        """Whether there are messages about ports."""
        return ConsoleFeature.MULTIPORT in self.virtio.features

    def refresh(self) -> dict[str, int]:
        """Read the configuration again: the fields that the negotiated features vouch for."""
        known = [name for name, bit in GUARD.items() if bit in self.virtio.features]
        known = [name for name in known if name != "emerg_wr"]  # this one is for writing
        values = self.virtio.config([config_field(name) for name in known])
        self.config = dict(zip(known, values, strict=True))
        return self.config

    @property
    def window(self) -> tuple[int, int] | None:
        """Columns and rows of port 0, as the configuration has them; None if it does not say."""
        if "cols" not in self.config:
            return None
        return self.config["cols"], self.config["rows"]

    # -- a character without a queue

    def emergency(self, data: bytes) -> None:
        """Write `data` through the configuration: at any time, even before `start` (5.3.5).

        `VirtioFailed` if the device does not offer that.
        """
        if ConsoleFeature.EMERG_WRITE not in from_bits(self.virtio.transport.device_features()):
            raise VirtioFailed("the device does not offer EMERG_WRITE")
        offset, size = config_field("emerg_wr")
        for byte in data:
            self.virtio.transport.config_write(offset, size, byte)

    # -- ports (5.3.6.2)

    def say(self, number: int, event: ConsoleEvent, value: int) -> None:
        """Send a message about port `number`; without MULTIPORT there is none to send."""
        if self.multiport:
            receive, send = self._ring_pair(CONTROL_RECEIVEQ)
            send.send(_CONTROL.pack(number, event, value))
            # The answers are taken at once, so that there is room for those to the next message.
            self._inbox += receive.take()

    def service(self) -> list[Heard]:
        """Take the device's messages, and answer them. Gives what was said.

        What it says to our answers is for the next time.
        """
        if not self.multiport:
            return []
        heard: list[Heard] = []
        messages = self._inbox + self._ring_pair(CONTROL_RECEIVEQ)[0].take()
        self._inbox = []
        for message in messages:
            if len(message) < _CONTROL.size:
                continue
            number, event, value = _CONTROL.unpack(message[: _CONTROL.size])
            self._hear(number, event, value, message[_CONTROL.size :])
            heard.append((event, number, value))
        return heard

    def _hear(self, number: int, event: int, value: int, more: bytes) -> None:
        if event == ConsoleEvent.DEVICE_ADD:
            self._add(number)
            return
        port = self.ports.get(number)
        if port is None:
            return
        match event:
            case ConsoleEvent.DEVICE_REMOVE:
                del self.ports[number]
            case ConsoleEvent.CONSOLE_PORT:
                port.console = True
                # The driver MUST respond with PORT_OPEN, which MUST have value 1.
                port.open()
            case ConsoleEvent.RESIZE if len(more) >= _RESIZE.size:
                port.size = _RESIZE.unpack(more[: _RESIZE.size])
            case ConsoleEvent.PORT_OPEN:
                port.host_open = bool(value)
            case ConsoleEvent.PORT_NAME:
                # It has no NUL at its end; QEMU sends one.
                port.name = more.rstrip(b"\0").decode("utf-8", "replace")

    def _add(self, number: int) -> None:
        """There is a port more: say whether we can use it."""
        usable = number < self._count
        if usable and number not in self.ports:
            self.ports[number] = self._port(number)
        self.say(number, ConsoleEvent.PORT_READY, int(usable))

    def _port(self, number: int) -> GuestPort:
        """Port `number`, with buffers for what comes.

        If the number had a port before, the device has them still, and what came for that is lost.
        """
        rings = self._ring_pair(receiveq(number))
        rings[0].take()
        rings[0].fill()
        return GuestPort(number, rings, self.say)

    def _ring_pair(self, index: int) -> tuple[ReceiveRing, SendRing]:
        """The rings of queue `index` and the one behind it, made when they are needed first."""
        if index not in self._rings:
            how = self.virtio.room, self.buffers, self.chunk
            if index == CONTROL_RECEIVEQ:
                how = self.virtio.room, CONTROL_BUFFERS, CONTROL_CHUNK
            receive, send = self.virtio.queues[index], self.virtio.queues[index + 1]
            self._rings[index] = (
                ReceiveRing(self.cpu, receive, *how),
                SendRing(self.cpu, send, *how),
            )
        return self._rings[index]
