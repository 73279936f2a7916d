"""A front-end written by hand: RAM in a memfd, a socket pair, and our own drivers on top.

It and the back-end live in one process and one thread: what is sent is handled before the answer is
read, so a test runs the same each time.
"""

from __future__ import annotations

import os
import select
import socket

from virtlab.bus import AddressSpace, Ram
from virtlab.clock import Clock
from virtlab.guest.room import Room
from virtlab.hosts.python import BareCpu
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature, from_bits, to_bits
from virtlab.virtio.layouts import packer
from virtlab.virtio.status import Status
from virtlab.virtio.vhost_user.back_end import BackEnd
from virtlab.virtio.vhost_user.channel import Channel
from virtlab.virtio.vhost_user.layouts import (
    CONFIG,
    INFLIGHT,
    MEMORY,
    NEED_REPLY,
    PROTOCOL_FEATURES,
    REGION,
    SINGLE_REGION,
    U64,
    VRING_ADDR,
    VRING_STATE,
    ProtocolFeature,
    Request,
)
from virtlab.virtio.vhost_user.loop import Loop
from virtlab.virtio.vhost_user.mapping import Reservation
from virtlab.virtio.vhost_user.messages import check_reply, pack

RAM = 4 << 20
REGIONS = [(0, 0xA0000), (0x100000, 0x300000)]
"""Guest-physical, as a PC has them: bytes from each start."""

USER = 0x7F00_0000_0000
"""Where the front-end says that its own copy lies: no address of anything here."""

ROOM, DATA = 0x100000, 0x40000


def memfd(size, name="ram"):
    fd = os.memfd_create(name, os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    return fd


class Ring:
    """What the front-end keeps of a ring: its eventfds, and where it lies."""

    def __init__(self):
        self.kick, self.call, self.err = (os.eventfd(0, os.EFD_NONBLOCK) for _ in range(3))
        self.size = 0
        self.areas = None

    def close(self):
        for fd in (self.kick, self.call, self.err):
            os.close(fd)


class FrontEnd:
    """The front-end of `device`, and a `guest.virtio_transport.Transport`.

    `kill` ends the back-end as a crash would, and `reconnect` starts another one.
    """

    legacy = False

    def __init__(self, device, regions=REGIONS, inflight=False, **options):
        self.device, self.options = device, options
        self.regions = regions
        total = sum(size for _, size in regions)
        self.ram_fd = memfd(total)
        pages = Reservation(total)
        pages.map(0, total, self.ram_fd, 0)
        self.ram = GuestMemory(regions, pages.bytes)
        self.memory = AddressSpace("memory", 52)
        for region in self.ram.regions:
            self.memory.map(region.start, region.size, Ram(self.ram, region.start), "ram", 8)
        self.cpu = BareCpu(AddressSpace("port", 16), self.memory, Clock())
        self.cpu.wait = self.wait
        self.wants_inflight, self.inflight = inflight, None
        self.rings = [Ring() for _ in device.queue_sizes]
        self.features, self.told, self.muffled = frozenset(), 0, False
        self.connect()

    # -- the connection

    def connect(self):
        mine, theirs = socket.socketpair()
        self.loop = Loop(self.options.get("poll_us", 0), self._ended)
        options = {key: value for key, value in self.options.items() if key != "poll_us"}
        self.back_end = BackEnd(self.device, theirs, **options)
        self.loop.attach(self.back_end)
        self.channel = Channel(mine, check_reply)
        mine.settimeout(5)
        self.error = None
        self.offered = from_bits(self.ask(Request.GET_FEATURES).value)
        extensions = self.ask(Request.GET_PROTOCOL_FEATURES).value
        self.tell(Request.SET_PROTOCOL_FEATURES, pack(U64, extensions))
        self.extensions = from_bits(extensions)
        self.tell(Request.SET_OWNER)

    def _ended(self, back_end, error):
        self.error = error

    def pump(self):
        """Let the back-end do what there is to do."""
        for _ in range(100):
            self.loop.turn(0)
            fds = [self.back_end.channel, *(fd for fd, _ in self.back_end.kick_fds())]
            if self.error or not (self.back_end.pending or select.select(fds, [], [], 0)[0]):
                return

    def wait(self, timeout=0):
        self.pump()

    def send(self, request, payload=b"", fds=(), flags=0):
        self.channel.send(request, payload, flags, fds)
        self.pump()

    def tell(self, request, payload=b"", fds=()):
        """Send a request that is not answered; it must be carried out."""
        if ProtocolFeature.REPLY_ACK in self.back_end.protocol:
            answer = self.ask(request, payload, fds, NEED_REPLY)
            assert answer.value == 0, f"{answer.name} failed"
        else:
            self.send(request, payload, fds)
        assert self.error is None, self.error

    def ask(self, request, payload=b"", fds=(), flags=0):
        """Send a request, and give the answer."""
        self.send(request, payload, fds, flags)
        assert self.error is None, self.error
        answer = self.channel.receive()
        assert answer is not None
        assert answer.request == request
        return answer

    def close(self):
        self.loop.close()
        self.channel.close()
        for ring in self.rings:
            ring.close()
        if self.inflight:
            os.close(self.inflight[1])
        os.close(self.ram_fd)

    def kill(self):
        """The back-end is gone in the middle of whatever it did: nothing is tidied up."""
        back_end = self.back_end
        self.loop._forget(back_end)
        back_end.channel.close()
        for vring in back_end.rings:
            vring.ledger.tracker = None
            for event in (vring.kick, vring.call, vring.err):
                event.close()
        self.loop.back_ends.clear()
        self.loop.close()
        self.channel.close()

    def reconnect(self, device=None):
        """Another back-end takes over; nothing of the rings is known but what is in memory."""
        self.device = device or self.device
        self.connect()
        self.set_up()
        for index, ring in enumerate(self.rings):
            if ring.areas:
                self.start_ring(index, base=self.base_of(index))

    def base_of(self, index):
        """What QEMU takes where the back-end cannot tell: the used ring's index (split)."""
        ring = self.rings[index]
        if Feature.RING_PACKED in self.features:
            return 0x8000_8000
        return self.ram.load(ring.areas[2] + 2, 2)

    # -- setting up

    def set_up(self):
        """Features, inflight, memory: what QEMU sends at DRIVER_OK."""
        self.tell(Request.SET_FEATURES, pack(U64, to_bits(self.features | {PROTOCOL_FEATURES})))
        if self.wants_inflight:
            if self.inflight is None:
                size = max(self.device.queue_sizes)
                wish = pack(INFLIGHT, 0, 0, len(self.rings), size, 0)
                with self.ask(Request.GET_INFLIGHT_FD, wish) as answer:
                    self.inflight = (answer.payload, answer.fds.take())
            self.tell(Request.SET_INFLIGHT_FD, self.inflight[0], [self.inflight[1]])
        self.share()

    def table(self):
        return [
            (region.start, region.size, USER + region.offset * 3, region.offset)
            for region in self.ram.regions
        ]

    def share(self):
        if ProtocolFeature.CONFIGURE_MEM_SLOTS in self.back_end.protocol:
            if not self.back_end.memory.size:
                for row in self.table():
                    self.tell(Request.ADD_MEM_REG, pack(SINGLE_REGION, 0, *row), [self.ram_fd])
            return
        rows = b"".join(pack(REGION, *row) for row in self.table())
        payload = pack(MEMORY, len(self.table()), 0) + rows
        self.tell(Request.SET_MEM_TABLE, payload, [self.ram_fd] * len(self.table()))

    def user(self, gpa):
        """The front-end's address of a byte of RAM."""
        for start, size, user, _ in self.table():
            if start <= gpa < start + size:
                return user + gpa - start
        raise ValueError(f"no memory at {gpa:#x}")

    def start_ring(self, index, base=None):
        ring = self.rings[index]
        packed = Feature.RING_PACKED in self.features
        if base is None:
            base = 0x8000_8000 if packed else 0
        desc, driver, device = (self.user(gpa) for gpa in ring.areas)
        state = lambda value: pack(VRING_STATE, index, value)  # noqa: E731
        self.tell(Request.SET_VRING_NUM, state(ring.size))
        self.tell(Request.SET_VRING_BASE, state(base))
        self.tell(Request.SET_VRING_ADDR, pack(VRING_ADDR, index, 0, desc, device, driver, 0))
        self.tell(Request.SET_VRING_ERR, pack(U64, index), [ring.err])
        self.tell(Request.SET_VRING_CALL, pack(U64, index), [ring.call])
        self.tell(Request.SET_VRING_KICK, pack(U64, index), [ring.kick])
        self.tell(Request.SET_VRING_ENABLE, state(1))

    def stop_ring(self, index):
        answer = self.ask(Request.GET_VRING_BASE, pack(VRING_STATE, index, 0))
        return answer.fields(VRING_STATE)[1]

    # -- the transport

    @property
    def device_id(self):
        return self.device.device_id

    def status(self):
        return self.told | self.back_end.status & Status.DEVICE_NEEDS_RESET

    def set_status(self, status):
        if status == 0 and self.told:
            for index, ring in enumerate(self.rings):
                if ring.areas:
                    self.stop_ring(index)
                    ring.areas = None
            self.tell(Request.SET_STATUS, pack(U64, 0))
        if status & Status.DRIVER_OK and not self.told & Status.DRIVER_OK:
            self.set_up()
            for index, ring in enumerate(self.rings):
                if ring.areas:
                    self.start_ring(index)
        self.told = status & ~Status.DEVICE_NEEDS_RESET

    def device_features(self):
        return to_bits(self.offered - {PROTOCOL_FEATURES})

    def accept(self, features):
        self.features = features

    def queue_max(self, index):
        sizes = self.device.queue_sizes
        return sizes[index] if index < len(sizes) and not self.rings[index].areas else 0

    def set_queue(self, index, size, areas):
        self.rings[index].size, self.rings[index].areas = size, areas

    def notify(self, index, following):
        if not self.muffled:
            os.eventfd_write(self.rings[index].kick, 1)
            self.pump()

    def interrupts(self):
        found = 0
        for ring in self.rings:
            try:
                found |= bool(os.eventfd_read(ring.call))
            except BlockingIOError:
                continue
        return found

    def generation(self):
        return 0

    def config_read(self, offset, size):
        answer = self.ask(Request.GET_CONFIG, pack(CONFIG, offset, size, 0) + bytes(size))
        return int.from_bytes(answer.payload[packer(CONFIG).size :], "little")

    def config_write(self, offset, size, value):
        data = value.to_bytes(size, "little")
        self.tell(Request.SET_CONFIG, pack(CONFIG, offset, size, 0) + data)


def room():
    return Room(ROOM, RAM - ROOM)
