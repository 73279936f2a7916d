"""What a console has to tell its driver about ports, until there is a buffer for it.

    device: DEVICE_ADD 1 ->      driver: PORT_READY 1 ->      device: PORT_NAME 1, PORT_OPEN 1 ->

The idea: a message says how something *is*, so it is written when it is sent, and what is due is
only its kind. Saying twice that a port is open is saying it once. So however often a guest asks,
there is one entry a port and kind: a guest cannot make this list grow.

The rule that keeps it simple: messages leave in the order in which they became due.

Source: virtio 1.3 5.3.6.2 and its two requirements on the device.
"""

from __future__ import annotations

from collections.abc import Mapping

from virtlab.errors import GuestError
from virtlab.virtio.console_layouts import CONTROL, RESIZE, ConsoleEvent
from virtlab.virtio.console_port import Port
from virtlab.virtio.device import Queue
from virtlab.virtio.layouts import packer

_CONTROL, _RESIZE = packer(CONTROL), packer(RESIZE)

SPEC = "virtio 1.3 5.3.6.2"
"""Where the messages are described."""

RECEIVE = ("a readable buffer in a receiveq", "virtio 1.3 5.3.6.1")
"""The driver MUST NOT put a device-readable buffer in a receiveq."""

TRANSMIT = ("a writable buffer in a transmitq", "virtio 1.3 5.3.6.1")
"""The driver MUST NOT put a device-writable buffer in a transmitq."""


class Control:
    """The messages that are due for the driver, about `ports`, which have their numbers as keys."""

    def __init__(self, ports: Mapping[int, Port]) -> None:
        self.ports = ports
        self._due: dict[tuple[int, ConsoleEvent], None] = {}

    def reset(self) -> None:
        """There is nothing to tell any more."""
        self._due.clear()

    # -- what becomes due

    def say(self, number: int, event: ConsoleEvent) -> None:
        """Tell the driver how it is with `event` of port `number`."""
        self._due[number, event] = None

    def announce(self, number: int, port: Port) -> None:
        """Tell of a port that the driver does not know yet."""
        # The device MUST NOT specify a port which exists in a DEVICE_ADD message.
        if not port.added:
            port.added = True
            self.say(number, ConsoleEvent.DEVICE_ADD)

    def describe(self, number: int, port: Port) -> None:
        """Tell what there is to know about a port that the driver has taken over."""
        if port.console:
            self.say(number, ConsoleEvent.CONSOLE_PORT)
        if port.size is not None:
            self.say(number, ConsoleEvent.RESIZE)
        if port.name:
            self.say(number, ConsoleEvent.PORT_NAME)
        if port.host_open:
            self.say(number, ConsoleEvent.PORT_OPEN)

    def withdraw(self, number: int, port: Port) -> None:
        """Tell that a port is gone; nothing if the driver never heard of it."""
        unheard = (number, ConsoleEvent.DEVICE_ADD) in self._due
        for key in [key for key in self._due if key[0] == number and key[1] != _REMOVE]:
            del self._due[key]
        # The device MUST NOT remove a port that was not created with a previous DEVICE_ADD.
        if port.added and not unheard:
            self.say(number, _REMOVE)

    # -- what is sent

    def send(self, queue: Queue) -> None:
        """Write what is due into the buffers of `queue`, the control receiveq."""
        for _ in range(queue.size):
            if not self._due or (chain := queue.pop()) is None:
                return
            if chain.readable:
                raise GuestError(*RECEIVE)
            key = next(iter(self._due))
            message = self._message(*key)
            # No clause says how long a buffer is, but a message is never cut.
            if chain.writable < len(message):
                why = f"a buffer of {chain.writable} bytes for a message of {len(message)}"
                raise GuestError(why, SPEC)
            del self._due[key]
            queue.push(chain, chain.write(queue.dma, message))

    def _message(self, number: int, event: ConsoleEvent) -> bytes:
        """One message, as it is true now."""
        value, more = 0, b""
        match event:
            case ConsoleEvent.CONSOLE_PORT:
                value = 1
            case ConsoleEvent.PORT_OPEN:
                value = int(self.ports[number].host_open)
            case ConsoleEvent.PORT_NAME:
                value, more = 1, self.ports[number].name
            case ConsoleEvent.RESIZE:
                more = _RESIZE.pack(*(self.ports[number].size or (0, 0)))
        return _CONTROL.pack(number, event, value) + more


_REMOVE = ConsoleEvent.DEVICE_REMOVE


def unpack(message: bytes) -> tuple[int, int, int]:
    """Port, event and value of what a driver sent. `GuestError` if it is too short."""
    if len(message) < _CONTROL.size:
        raise GuestError(f"a control message of {len(message)} bytes", SPEC)
    number, event, value = _CONTROL.unpack(message[: _CONTROL.size])
    return number, event, value
