"""A front-end that says whatever it likes: valid messages, changed at random, over valid rings."""

from __future__ import annotations

import array
import os
import random
import socket
import struct

from tests.descriptors import fd_count
from tests.virtio.vhost_user.front_end import RAM, FrontEnd, memfd, room
from virtlab.backends.disk import Disk
from virtlab.guest.virtio_blk import BLK_FEATURES, BlkDriver
from virtlab.guest.virtio_blk_queue import Request as Wish
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import SECTOR, BlkType
from virtlab.virtio.features import Feature
from virtlab.virtio.vhost_user.layouts import (
    CONFIG,
    INFLIGHT,
    LOG,
    MEMORY,
    NEED_REPLY,
    NOFD,
    REGION,
    SINGLE_REGION,
    U64,
    VRING_ADDR,
    VRING_STATE,
    Request,
)
from virtlab.virtio.vhost_user.messages import FORMS, pack

NUMBERS = [0, 1, 2, 7, 8, 255, 256, 4095, 4096, 0xFFFF, 1 << 31, (1 << 32) - 1, 1 << 62]
NUMBERS += [1 << 63, (1 << 64) - 1, (1 << 64) - 4096, 0x7F00_0000_0000]
SIZES = [0, 1, 7, 8, 12, 40, 264, 268, 269, 4096, 1 << 20]
CANARY = b"\xa5" * 4096


class Hostile(FrontEnd):
    """The memory has a page behind the last region, in the same file, that nobody may touch."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        disk = Disk.of(bytes(64 * SECTOR))
        super().__init__(
            VirtioBlk(disk, queue_size=16, queues=2),
            inflight=self.rng.random() < 0.5,
            migration=True,
        )
        self.end = os.fstat(self.ram_fd).st_size
        os.ftruncate(self.ram_fd, self.end + 4096)
        os.pwrite(self.ram_fd, CANARY, self.end)
        self.channel.sock.settimeout(0)

    # -- a valid beginning

    def begin(self):
        """A driver at work, so that rings are running when the messages come."""
        understood = RING_FEATURES | BLK_FEATURES
        if self.rng.random() < 0.5:
            understood -= {Feature.RING_PACKED}
        driver = BlkDriver(self.cpu, self, room(), understood=understood, queues=2, slots=8)
        driver.start()
        driver.run([Wish(BlkType.IN, n, length=SECTOR) for n in range(6)])

    # -- a message

    def number(self):
        rng = self.rng
        if rng.random() < 0.3:
            return rng.choice(NUMBERS)
        if rng.random() < 0.5:
            return rng.randrange(20)
        start, size, user, offset = rng.choice(self.table())
        base = rng.choice([start, size, user, offset, self.end])
        return (base + rng.choice([0, 0, 0, 1, -1, 4096, -4096, 64])) % (1 << 64)

    def fields(self, layout, valid, right=0.7):
        values = [
            valid[at] if at < len(valid) and self.rng.random() < right else self.number()
            for at in range(len(layout.names))
        ]
        sizes = [layout.fields[name][0].itemsize for name in layout.names]
        cut = [value & (1 << 8 * size) - 1 for value, size in zip(values, sizes, strict=True)]
        return pack(layout, *cut)

    def payload(self, request, count):
        rng, ring = self.rng, self.rng.randrange(2)
        form = FORMS.get(request)
        layout = form.payload if form else None
        if layout is None:
            return b""
        if layout is VRING_STATE:
            return self.fields(layout, (ring, rng.choice([0, 1, 8, 16])), 0.95)
        if layout is VRING_ADDR and self.rings[ring].areas:
            desc, driver, device = (self.user(area) for area in self.rings[ring].areas)
            return self.fields(layout, (ring, rng.randrange(2), desc, device, driver, 0))
        if layout is MEMORY:
            count = rng.randrange(4)
            rows = b"".join(self.fields(REGION, rng.choice(self.table())) for _ in range(count))
            return pack(MEMORY, count if rng.random() < 0.8 else self.rng.randrange(9), 0) + rows
        if layout is SINGLE_REGION:
            return self.fields(layout, (0, *rng.choice(self.table())))
        if layout is CONFIG:
            size = rng.choice([0, 1, 4, 60, 256])
            return self.fields(layout, (rng.choice([0, 32]), size, 0)) + bytes(size)
        if layout is INFLIGHT:
            return self.fields(layout, (1 << 16, 0, 2, 16, 0), 0.95)
        if layout is LOG:
            return self.fields(layout, (4096, 0), 0.95)
        if layout is U64 and request in (12, 13, 14):
            return pack(U64, ring | (0 if count else NOFD) | (rng.random() < 0.01) << 8)
        if layout is U64 and request in (Request.SET_FEATURES, Request.SET_PROTOCOL_FEATURES):
            known = self.offered if request == Request.SET_FEATURES else self.extensions
            word = sum(1 << bit for bit in known) & ~(1 << rng.choice([10, 11, 12, 28, 29, 34]))
            return pack(U64, word if rng.random() < 0.9 else rng.getrandbits(64))
        return self.fields(layout, ())

    def descriptors(self, request):
        """Descriptors, and whether they are to be closed after sending."""
        rng = self.rng
        form = FORMS.get(request)
        count = rng.choice(form.fds) if form else 0
        if rng.random() < 0.01:
            count = rng.choice([0, 1, 2, 8, 9, 40])
        kinds = (
            lambda: os.dup(self.ram_fd),
            lambda: os.eventfd(rng.choice([0, 1, 0xFFFF_FFFF]), os.EFD_NONBLOCK),
            lambda: memfd(rng.choice([0, 100, 4096, *[1 << 16] * 9])),
            lambda: os.open("/dev/null", os.O_RDWR),
            lambda: os.open("/", os.O_RDONLY),
            self._half_a_pipe,
            self._closed_socket,
        )
        common = {12: 1, 13: 1, 14: 1, 5: 0, 37: 0, 32: 2, 6: 2}.get(request)
        return [
            (kinds[common] if common is not None and rng.random() < 0.8 else rng.choice(kinds))()
            for _ in range(count)
        ]

    def _half_a_pipe(self):
        ends = os.pipe()
        keep = self.rng.randrange(2)
        os.close(ends[1 - keep])
        return ends[keep]

    def _closed_socket(self):
        one, other = socket.socketpair()
        other.close()
        return one.detach()

    def message(self):
        """Send one message, mostly nearly right. False if the connection is over."""
        rng = self.rng
        request = rng.choice(list(FORMS))
        if rng.random() < 0.01:
            request = rng.choice([*map(int, Request), rng.getrandbits(32)])
        fds = self.descriptors(request)
        payload = self.payload(request, len(fds))
        size = len(payload) if rng.random() < 0.99 else rng.choice(SIZES)
        flags = 1 | NEED_REPLY if rng.random() < 0.98 else rng.choice([1, 1, rng.getrandbits(32)])
        data = struct.pack("<III", request, flags, size) + payload
        if rng.random() < 0.01:
            data = data[: rng.randrange(len(data) + 1)]
        if rng.random() < 0.01:
            data = rng.randbytes(rng.randrange(1, 300))
        try:
            self._send(data, fds)
        except OSError:
            return False
        finally:
            for fd in fds:
                os.close(fd)
        self.pump()
        self._drop_answers()
        return self.error is None

    def _send(self, data, fds):
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        if self.rng.random() < 0.05 and len(data) > 1:
            cut = self.rng.randrange(1, len(data))
            self.channel.sock.sendmsg([data[:cut]], beside)
            self.pump()
            data, beside = data[cut:], []
        if data:
            self.channel.sock.sendmsg([data], beside)

    def _drop_answers(self):
        try:
            while True:
                data, beside, *_ = self.channel.sock.recvmsg(4096, 1024)
                for _, _, raw in beside:
                    for fd in array.array("i", raw):
                        os.close(fd)
                if not data:
                    return
        except OSError:
            return

    def scribble(self):
        """The guest writes into its rings, and rings."""
        rng = self.rng
        for ring in self.rings:
            if not ring.areas:
                continue
            for _ in range(rng.randrange(4)):
                at = rng.choice(ring.areas) + rng.randrange(64)
                if at + 8 < RAM:
                    self.ram.write(at, rng.randbytes(rng.choice([1, 2, 4])))
            os.eventfd_write(ring.kick, 1)
        self.pump()

    def untouched(self):
        """Whether the page behind the memory is as it was."""
        return os.pread(self.ram_fd, 4096, self.end) == CANARY


SESSIONS = 25
"""Sessions between two counts of descriptors: the garbage of a long run is collected each time."""


def attack(count, seed):
    """`count` messages to as many back-ends as that takes; gives how they ended."""
    rng, sent, ends = random.Random(seed), 0, []
    before = fd_count()
    while sent < count:
        front = Hostile(rng.getrandbits(32))
        if rng.random() < 0.5:
            front.channel.sock.settimeout(5)
            front.begin()
            front.channel.sock.settimeout(0)
        for _ in range(200):
            sent += 1
            if not front.message() or sent == count:
                break
            if rng.random() < 0.3:
                front.scribble()
        assert front.untouched()
        ends.append(front.error)
        back_end = front.back_end
        front.close()
        assert not any(ring.queue for ring in back_end.rings)
        del front, back_end
        # Sessions leave as many descriptors as they found.
        if sent == count or len(ends) % SESSIONS == 0:
            now = fd_count()
            assert now == before, f"{now - before} descriptors more"
    return ends
