"""The console: ports, each a stream of bytes to the guest and one from it.

    VirtioConsole([Port(Terminal())])                          one port, a console
    VirtioConsole([Port(a, console=True), Port(b, "agent")], most=4)    several, with names

The idea: bytes have no borders. A buffer that the guest sends is passed on as it is, and what is
typed fills whatever buffers the guest has given. All else is news about ports: see `Control`.

The rule that keeps it simple: port 0 works without any of that news. It is there from DRIVER_OK on,
so a driver that knows no MULTIPORT has a console, and one that knows nothing at all has `emerg_wr`.

What the guest sends is passed on in batches. What comes goes one buffer after the other: it is
typed. Of a single buffer `MOST` bytes are passed on; the rest of it is dropped, and counted.

Source: virtio 1.3 5.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from virtlab.errors import GuestError
from virtlab.memory import Flat, is_flat
from virtlab.virtio.batch import Batch
from virtlab.virtio.console_control import RECEIVE, TRANSMIT, Control, unpack
from virtlab.virtio.console_layouts import (
    CONFIG,
    CONTROL,
    CONTROL_RECEIVEQ,
    CONTROL_TRANSMITQ,
    ConsoleEvent,
    ConsoleFeature,
    config_field,
    port_of,
    queue_count,
    receiveq,
    transmitq,
)
from virtlab.virtio.console_port import Port
from virtlab.virtio.device import Queue, VirtioDevice, waiting
from virtlab.virtio.features import Feature
from virtlab.virtio.status import DeviceId
from virtlab.virtio.streams import batches, check_all, gather, shortened, slabs, split_off

MOST = 1 << 20
"""Bytes that one buffer of the guest sends: its numbers decide no work of the host."""

MAX_PORTS = 511
"""Ports of a device: a queue's number has 10 bits on every transport here."""

EMERG_WR = config_field("emerg_wr")[0]


class VirtioConsole(VirtioDevice):
    """A console with these `ports`, numbered from 0.

    With `most`, the largest number of ports, it offers MULTIPORT; without, it has one port. If
    port 0 has a size, it offers SIZE. `ValueError` for more ports than there may be.
    """

    device_id: ClassVar[int] = DeviceId.CONSOLE
    # The device MUST allow a write to emerg_wr, even on an unconfigured device.
    always_writable: ClassVar[range] = range(EMERG_WR, EMERG_WR + 1)

    def __init__(
        self, ports: Sequence[Port], most: int | None = None, queue_size: int = 128
    ) -> None:
        self.most = 1 if most is None else most
        least = int(most is None)
        if not 1 <= self.most <= MAX_PORTS or not least <= len(ports) <= self.most:
            most_now = min(self.most, MAX_PORTS)
            raise ValueError(f"{least} to {most_now} ports, not {len(ports)} of {self.most}")
        features = {ConsoleFeature.EMERG_WRITE, Feature.IN_ORDER}
        features |= set() if most is None else {ConsoleFeature.MULTIPORT}
        features |= {ConsoleFeature.SIZE} if ports and ports[0].size else set()
        super().__init__([queue_size] * queue_count(self.most, most is not None), features)
        self.ports: dict[int, Port] = {}
        self.control = Control(self.ports)
        self.multiport = self.ready = False
        self.dropped = 0
        for number, port in enumerate(ports):
            self._tie(number, port)
        self.config = self._config()

    def _tie(self, number: int, port: Port) -> None:
        self.ports[number] = port
        port.news = lambda: self.arrived(receiveq(number))

    def reset(self) -> None:
        """The driver knows no port. What was typed still waits."""
        self.multiport = self.ready = False
        self.control.reset()
        for port in self.ports.values():
            port.reset()

    # -- the queues

    def handle(self, index: int, queue: Queue) -> None:
        """Pass on what waits in queue `index`, or fill its buffers with what has come."""
        self.multiport = ConsoleFeature.MULTIPORT in queue.features
        # Other queues than those of port 0 only exist if MULTIPORT is set.
        if not self.multiport and index > transmitq(0):
            return
        if index == CONTROL_RECEIVEQ:
            self.control.send(queue)
        elif index == CONTROL_TRANSMITQ:
            self._listen(queue)
        elif index % 2:
            self._transmit(self.ports.get(port_of(index)), queue)
        elif (port := self.ports.get(port_of(index))) is not None:
            self._receive(port, queue)

    def _receive(self, port: Port, queue: Queue) -> None:
        """Into the guest's buffers what has come for it."""
        # With MULTIPORT, who has not opened a port does not wait for its bytes.
        if self.multiport and not port.guest_open:
            return
        for _ in range(queue.size):
            if not port.incoming or (chain := queue.pop()) is None:
                return
            if chain.readable:
                raise GuestError(*RECEIVE)
            queue.push(chain, chain.write(queue.dma, port.take(chain.writable)))

    def _transmit(self, port: Port | None, queue: Queue) -> None:
        """To the far end what the guest sends; where no port is, nowhere."""
        dma = queue.dma
        if not is_flat(dma):
            self.transmit_each(port, queue)
            return
        for batch in batches(queue):
            good, refused = split_off(batch, batch.writable())
            if len(good):
                self._pass_on(port, good, dma)
                queue.push_many(good)
            check_all(refused, *TRANSMIT)

    def transmit_each(self, port: Port | None, queue: Queue) -> None:
        """The same, chain by chain."""
        for chain in waiting(queue):
            if chain.writable:
                raise GuestError(*TRANSMIT)
            data = chain.read(queue.dma, 0, MOST)
            self.dropped += chain.readable - len(data)
            if port is not None:
                port.send(data)
            queue.push(chain)

    def _pass_on(self, port: Port | None, batch: Batch, dma: Flat) -> None:
        length = shortened(batch, MOST)
        self.dropped += int(np.sum(batch.length) - np.sum(length))
        if port is None:
            return
        for begin, end in slabs(length):
            port.send(gather(dma.bytes, batch.offset[begin:end], length[begin:end]))

    # -- what the driver says about ports

    def _listen(self, queue: Queue) -> None:
        for chain in waiting(queue):
            if chain.writable:
                raise GuestError(*TRANSMIT)
            number, event, value = unpack(chain.read(queue.dma, 0, CONTROL.itemsize))
            self._told(number, event, value)
            queue.push(chain)

    def _told(self, number: int, event: int, value: int) -> None:
        """The driver said something. What is not known, or of no port, means nothing."""
        port = self.ports.get(number)
        if event == ConsoleEvent.DEVICE_READY and value:
            self.ready = True
            for other, known in sorted(self.ports.items()):
                self.control.announce(other, known)
        elif port is None or not port.added:
            return
        elif event == ConsoleEvent.PORT_READY and value:
            self.control.describe(number, port)
        elif event == ConsoleEvent.PORT_OPEN:
            port.guest_open = bool(value)
            port.news()
        self.arrived(CONTROL_RECEIVEQ)

    # -- what the world outside does

    def plug(self, number: int, port: Port) -> None:
        """Here is one port more. `ValueError` if there is one, or `number` is too large."""
        # The device MUST NOT specify a port that is equal or greater than max_nr_ports.
        if number in self.ports or not 0 <= number < self.most:
            raise ValueError(f"a free number below {self.most}, not {number}")
        self._tie(number, port)
        self._show_size()
        if self.ready:
            self.control.announce(number, port)
            self.arrived(CONTROL_RECEIVEQ)

    def unplug(self, number: int) -> Port:
        """Take port `number` away. `KeyError` if there is none."""
        port = self.ports.pop(number)
        self.control.withdraw(number, port)
        port.reset()
        port.news = lambda: None
        self._show_size()
        self.arrived(CONTROL_RECEIVEQ)
        return port

    def set_open(self, number: int, is_open: bool) -> None:
        """Somebody outside opens or closes the far end of a port."""
        self.ports[number].host_open = is_open
        self._tell(number, ConsoleEvent.PORT_OPEN)

    def resize(self, cols: int, rows: int, number: int = 0) -> None:
        """The console at port `number` has another size. That of port 0 is in the configuration."""
        self.ports[number].size = (cols, rows)
        self._show_size()
        self._tell(number, ConsoleEvent.RESIZE)

    def _tell(self, number: int, event: ConsoleEvent) -> None:
        if self.ports[number].added:
            self.control.say(number, event)
            self.arrived(CONTROL_RECEIVEQ)

    # -- configuration

    def _show_size(self) -> None:
        """If port 0 has another size now, the configuration has."""
        if ConsoleFeature.SIZE in self.features and self.config != self._config():
            self.configure(self._config())

    def _config(self) -> bytes:
        config = np.zeros((), CONFIG)
        port = self.ports.get(0)
        config["cols"], config["rows"] = (port and port.size) or (0, 0)
        config["max_nr_ports"] = self.most
        return config.tobytes()

    def write_config(self, offset: int, data: bytes) -> bool:
        """`emerg_wr`: the low byte is a character for port 0. Nothing else can be written."""
        if offset != EMERG_WR:
            return False
        if 0 in self.ports:
            self.ports[0].send(data[:1])
        return True
