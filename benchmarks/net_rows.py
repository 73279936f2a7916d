"""Packets of 64 bytes from one driver's transmit ring to another driver's receive ring.

    driver A -> transmitq of A | device A | cable | device B | receiveq of B -> driver B
    Python      pop_many, gather, `Frames`  ->  filter, pop_many, scatter, push_many    all of it
    C           pop, check, copy, push, packet by packet: `net_twin.c`

The idea: two whole devices, each behind virtio-mmio, with the guest's own driver. What is measured
begins when A's packets are available and ends when B's buffers are used. The drivers' own work, and
the bells, are outside of the clock.

The rule that keeps it simple: both machines are one memory. So what both sides leave, packets,
rings and all, is compared byte by byte: all of the memory is.
"""

from __future__ import annotations

import ctypes
from functools import partial
from time import perf_counter_ns

import numpy as np

from benchmarks import compiler
from benchmarks.boards import mmio
from benchmarks.harness import Row
from benchmarks.packed_twin import PackedTwin
from benchmarks.split_twin import SplitTwin
from virtlab.backends.network import Link, LinkEnd
from virtlab.backends.switch import Switch
from virtlab.guest.room import Room
from virtlab.guest.virtio_net import NET_FEATURES, NetDriver
from virtlab.memory import GuestMemory
from virtlab.virtio.device import Queue
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.net import VirtioNet
from virtlab.virtio.net_layouts import receiveq, transmitq

FRAME, SLOT = 64, 2048
"""Bytes of a frame, and of each buffer of a driver."""

MACS = bytes.fromhex("525400000001"), bytes.fromhex("525400000002")
ROOM = 0x10000
VARIANTS = 4
"""Different packets that driver A has ready."""

BATCHES = (32, 256, 1024, 4096)

NOTES = ("network: 64-byte frames, driver to device to driver; the C side does all ring work too",)


class HeldBack(VirtioNet):
    """A network device that sends when the clock runs, and not when the bell rings."""

    def handle(self, index: int, queue: Queue) -> None:
        if index != transmitq(0):
            super().handle(index, queue)

    def send_now(self, queue: Queue) -> None:
        """Send what waits."""
        super().handle(transmitq(0), queue)


class Station:
    """A device at `wire` and its driver, whose memory begins at `base`."""

    def __init__(
        self, number: int, wire: LinkEnd, memory: GuestMemory, n: int, ring: Features
    ) -> None:
        self.device = HeldBack(wire, MACS[number], queue_size=n)
        cpu, transport, setups = mmio(self.device, memory)
        half = (memory.size - ROOM) // 2
        room = Room(ROOM + number * half, half)
        understood = NET_FEATURES | {Feature.VERSION_1, *ring}
        self.driver = NetDriver(cpu, transport, room, understood=understood, slots=n, slot=SLOT)
        self.driver.start()
        self.queues = [setup.queue for setup in setups]


class Packets:
    """`n` packets from station 0 to station 1. `ring` are the features of all rings."""

    def __init__(self, n: int, ring: Features, switched: bool, flags: tuple[str, ...]) -> None:
        self.n = n
        # Two rings of slots each, and room for the queues.
        self.memory = GuestMemory(ROOM + 4 * n * SLOT + (8 << 20))
        ends = self._cable(switched)
        self.stations = [
            Station(number, end, self.memory, n, ring) for number, end in enumerate(ends)
        ]
        sender, receiver = self.stations
        self.sent, self.filled = sender.queues[transmitq(0)], receiver.queues[receiveq(0)]
        self._twins(ring, flags)
        random = np.random.default_rng(n)
        head = MACS[1] + MACS[0] + b"\x88\xb5"
        self.ready = [
            [head + random.bytes(FRAME - len(head)) for _ in range(n)] for _ in range(VARIANTS)
        ]
        self.turn, self.waiting = 0, False
        if switched:
            # The switch learns where both are.
            receiver.driver.sending[0].send([MACS[0] + MACS[1] + bytes(FRAME - 12)])
            receiver.device.send_now(receiver.queues[transmitq(0)])
            sender.driver.receive()
        self.prepare()

    def _cable(self, switched: bool) -> list[LinkEnd]:
        if switched:
            return Switch(2).ports
        link = Link()
        return [link.a, link.b]

    def _twins(self, ring: Features, flags: tuple[str, ...]) -> None:
        packed = Feature.RING_PACKED in ring
        kind = PackedTwin if packed else SplitTwin
        self.twins = [
            kind(self.memory, queue.rings, queue.features, flags)
            for queue in (self.sent, self.filled)
        ]
        self.written = np.zeros(self.n, np.int64)
        more = ("-DPACKED",) if packed else ()
        self.net_batch = compiler.library("net_twin.c", (*flags, *more)).net_batch
        self.net_batch.restype = ctypes.c_int64

    def prepare(self) -> None:
        """Other packets. What waits from before is sent, read and taken back."""
        sender, receiver = (station.driver for station in self.stations)
        if self.waiting:
            self.python()
        receiver.receive()
        self.turn += 1
        frames = self.ready[self.turn % VARIANTS]
        assert sender.sending[0].send(frames) == self.n
        self.waiting = True

    def python(self) -> int:
        """All of them through both devices."""
        device = self.stations[0].device
        start = perf_counter_ns()
        device.send_now(self.sent)
        spent = perf_counter_ns() - start
        self.waiting = False
        return spent

    def twin(self) -> int:
        """The same by C; the queues then go on behind it."""
        queues = self.sent, self.filled
        for twin, queue in zip(self.twins, queues, strict=True):
            twin.follow(queue)
        spent = self._batch()
        for twin, queue in zip(self.twins, queues, strict=True):
            twin.lead(queue)
        self.waiting = False
        return spent

    def _batch(self) -> int:
        mac, written = ctypes.c_char_p(MACS[1]), ctypes.c_void_p(self.written.ctypes.data)
        sides = [ctypes.byref(twin.queue) for twin in self.twins]
        spent = int(self.net_batch(*sides, mac, written, ctypes.c_uint64(self.n)))
        assert spent >= 0, f"the twin did not move {self.n} packets"
        return spent

    def check(self) -> None:
        """Both leave the same memory, and the packets come out whole."""
        for _ in range(2 * VARIANTS + 1):
            self.prepare()
            before = self.memory.bytes.copy()
            for twin, queue in zip(self.twins, (self.sent, self.filled), strict=True):
                twin.follow(queue)
            self.python()
            ours = self.memory.bytes.copy()
            self.memory.bytes[:] = before
            self._batch()
            assert np.array_equal(self.memory.bytes, ours), "the memory differs"
            came = [packet.frame for packet in self.stations[1].driver.receive()]
            assert came == self.ready[self.turn % VARIANTS], "the packets differ"


RINGS = {
    "split": set(),
    "split in order": {Feature.IN_ORDER},
    "packed": {Feature.RING_PACKED},
    "packed in order": {Feature.RING_PACKED, Feature.IN_ORDER},
}


def rows(flags: tuple[str, ...]) -> list[Row]:
    """All rows, for a twin compiled with `flags`."""
    found = [
        Row(f"network, {name}", n, partial(Packets, n, frozenset(ring), False, flags))
        for name, ring in RINGS.items()
        for n in BATCHES
    ]
    split = frozenset(RINGS["split"])
    return found + [
        Row("network, split, by a switch", n, partial(Packets, n, split, True, flags))
        for n in BATCHES
    ]
