"""A client that says whatever it likes: valid commands, changed at random, to functions at work."""

from __future__ import annotations

import array
import os
import random
import socket
import struct

from tests.descriptors import fd_count
from tests.hosts.vfio_user.bench import CAPABILITIES, Bench, Card, text
from virtlab.backends.disk import Disk
from virtlab.clock import Clock
from virtlab.devices.e1000 import E1000Function
from virtlab.devices.edu import EduFunction
from virtlab.hosts.vfio_user.layouts import (
    DMA_MAP,
    DMA_UNMAP,
    IRQ_SET,
    NO_REPLY,
    ONE_WRITE,
    REGION_ACCESS,
    REPLY,
    VERSION,
    WRITES,
    Command,
    RegionIndex,
)
from virtlab.hosts.vfio_user.messages import FORMS, pack
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.pci import VirtioPci
from virtlab.virtio.vhost_user.messages import ProtocolError

NUMBERS = [0, 1, 2, 3, 4, 7, 8, 16, 255, 256, 4095, 4096, 0xFFFF, 1 << 20, 1 << 31, (1 << 32) - 1]
NUMBERS += [1 << 62, 1 << 63, (1 << 64) - 1, (1 << 64) - 4096, 0xFEE0_0000]
WINDOWS = [(0, 0x8000), (0x8000, 0x1000), (0x10000, 0x4000), (0xFEE0_0000, 0x1000)]
CANARY = b"\xa5" * 4096


def functions():
    """A function of each kind, and its clock."""
    clocks = [Clock(), Clock()]
    return [
        (Card(), None),
        (EduFunction(clocks[0]), clocks[0]),
        (E1000Function(clocks[1]), clocks[1]),
        (VirtioPci(VirtioBlk(Disk.of(bytes(1 << 16)), queue_size=16)), None),
    ]


class Hostile:
    """The file behind the windows has a page at its end that nobody may touch."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        function, self.clock = self.rng.choice(functions())
        self.bench = Bench(function, agreed=False, patience=0.0)
        self.bench.wire.sock.settimeout(0)
        self.ram = self.bench.file(0x14000)
        os.pwrite(self.ram, CANARY, 0x13000)
        self.error = None
        self.say(Command.VERSION, pack(VERSION, 0, 0) + text(CAPABILITIES))
        for address, size in WINDOWS[:2]:
            payload = pack(DMA_MAP, 32, 3, address, address, size)
            self.say(Command.DMA_MAP, payload, [self.ram])
        # Memory, ports and bus master on; messages of both kinds.
        for at, value in ((4, 7), (0x42, 1), (0x62, 0x8000), (0x9A, 0x8000)):
            self.config(at, value)

    def close(self):
        self.bench.close()

    def config(self, at, value):
        payload = pack(REGION_ACCESS, at, RegionIndex.CONFIG, 2) + value.to_bytes(2, "little")
        self.say(Command.REGION_WRITE, payload)

    # -- a message

    def number(self):
        rng = self.rng
        if rng.random() < 0.4:
            return rng.choice(NUMBERS)
        if rng.random() < 0.7:
            return rng.randrange(0x200)
        return (rng.choice(rng.choice(WINDOWS)) + rng.choice([0, 0, 1, -1, 4096])) % (1 << 64)

    def fields(self, layout, *valid):
        values = [
            valid[at] if at < len(valid) and self.rng.random() < 0.85 else self.number()
            for at in range(len(layout.names))
        ]
        sizes = [layout.fields[name][0].itemsize for name in layout.names]
        cut = [value & (1 << 8 * size) - 1 for value, size in zip(values, sizes, strict=True)]
        return pack(layout, *cut)

    def payload(self, command, fds):
        rng = self.rng
        address, size = rng.choice(WINDOWS)
        region = rng.choice([0, 0, 0, 1, 2, 4, 4, 4, 6, 7, 7])
        offset = rng.choice([rng.randrange(256), rng.randrange(0x4000) & ~3, self.number()])
        count = rng.choice([1, 2, 4, 4, 4, 8, 3, 64])
        match command:
            case Command.DMA_MAP:
                return self.fields(DMA_MAP, 32, rng.randrange(4), address % 0x10000, address, size)
            case Command.DMA_UNMAP:
                return self.fields(DMA_UNMAP, 24, rng.choice([0, 0, 0, 0, 2]), address, size)
            case Command.REGION_READ:
                return self.fields(REGION_ACCESS, offset, region, count)
            case Command.REGION_WRITE:
                data = bytes(count) if rng.random() < 0.2 else self.data(count)
                return self.fields(REGION_ACCESS, offset, region, count) + data
            case Command.REGION_WRITE_MULTI:
                many = rng.randrange(5)
                writes = [
                    self.fields(ONE_WRITE, rng.randrange(256), region, rng.choice([1, 2, 4, 8]))
                    for _ in range(many)
                ]
                return self.fields(WRITES, many) + b"".join(writes)
            case Command.DEVICE_SET_IRQS:
                kind = 4 if fds else rng.choice([1, 2, 4])
                flags = kind | rng.choice([0x08, 0x10, 0x20, 0x20])
                how_many = len(fds) or rng.randrange(4)
                more = bytes(how_many) if kind == 2 else b""
                return self.fields(IRQ_SET, 20, flags, rng.randrange(4), 0, how_many) + more
        form = FORMS.get(command)
        if form is None or form.payload is None:
            return b""
        return self.fields(form.payload, *[0] * 8)

    def data(self, count):
        """Bytes that lead somewhere: an address of ours, or noise."""
        if self.rng.random() < 0.5:
            start, size = self.rng.choice(WINDOWS)
            return struct.pack("<QQQ", start + self.rng.randrange(size), 0, 1)[:count].ljust(count)
        return self.rng.randbytes(count)

    def descriptors(self, command):
        rng, form = self.rng, FORMS.get(command)
        count = rng.choice(form.fds[:4]) if form else 0
        if rng.random() < 0.01:
            count = rng.choice([0, 1, 2, 8, 9, 40])
        kinds = (
            lambda: os.dup(self.ram),
            lambda: os.eventfd(rng.choice([0, 1, 0xFFFF_FFFF]), os.EFD_NONBLOCK),
            lambda: os.open("/dev/null", os.O_RDWR),
            lambda: os.open("/", os.O_RDONLY),
            lambda: os.memfd_create("short"),
        )
        common = {Command.DMA_MAP: 0, Command.DEVICE_SET_IRQS: 1}.get(command)
        return [
            (kinds[common] if common is not None and rng.random() < 0.8 else rng.choice(kinds))()
            for _ in range(count)
        ]

    def message(self):
        """Send one message, mostly nearly right. False if the connection is over."""
        rng = self.rng
        common = [Command.REGION_WRITE, Command.REGION_READ] * 6
        command = rng.choice([*FORMS, *common])
        if rng.random() < 0.02:
            command = rng.choice([*Command, rng.getrandbits(16)])
        fds = self.descriptors(command)
        payload = self.payload(command, fds)
        size = 16 + len(payload)
        flags = rng.choice([0] * 60 + [NO_REPLY] * 10 + [REPLY])
        if rng.random() < 0.01:
            size, flags = rng.choice([size, 0, 15, 1 << 20]), rng.getrandbits(32)
        data = struct.pack("<HHIII", rng.randrange(8), command, size, flags, 0) + payload
        if rng.random() < 0.005:
            data = data[: rng.randrange(len(data) + 1)]
        return self._send(data, fds)

    def say(self, command, payload, fds=()):
        data = struct.pack("<HHIII", 1, command, 16 + len(payload), 0, 0) + payload
        self._send(data, [os.dup(fd) for fd in fds])

    def _send(self, data, fds):
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            if data:
                self.bench.wire.sock.sendmsg([data], beside)
            while self.bench.server.receive():
                pass
        except (OSError, ProtocolError) as error:
            self.error = error
        finally:
            for fd in fds:
                os.close(fd)
        self._drop_answers()
        self.bench.slot.attend()
        if self.clock is not None:
            self.clock.advance(1_000_000)
        return self.error is None

    def _drop_answers(self):
        try:
            while self.bench.wire.sock.recv(1 << 16):
                pass
        except OSError:
            return

    def untouched(self):
        """Whether the page behind the windows is as it was."""
        return os.pread(self.ram, 4096, 0x13000) == CANARY


def attack(count, seed):
    """`count` messages to as many servers as that takes; gives how they ended."""
    rng, sent, ends, before = random.Random(seed), 0, [], None
    while sent < count:
        client = Hostile(rng.getrandbits(32))
        for _ in range(200):
            sent += 1
            if not client.message() or sent == count:
                break
        assert client.untouched()
        ends.append(client.error)
        client.close()
        del client
        # Every session leaves as many descriptors as it found.
        if len(ends) % 10 == 1:
            now = fd_count()
            before = now if before is None else before
            assert now == before, f"{now - before} descriptors more"
    return ends
