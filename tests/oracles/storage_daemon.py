"""`qemu-storage-daemon` serves an image as a vhost-user block device, with our driver on it."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager

from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BlkDriver
from virtlab.hosts.vhost_user import VhostUserDevice
from virtlab.hosts.vhost_user_ram import FileRam, RamCpu
from virtlab.virtio.status import DeviceId

PROGRAM = "qemu-storage-daemon"

RAM = [(0, 0xA0000), (0x10_0000, 24 << 20)]
"""A PC's memory: two regions of one file."""

ROOM = 0x10_0000, 16 << 20


class Daemon:
    """A daemon that runs: the path of its `socket`, and an end for it."""

    def __init__(self, socket, words):
        self.socket = socket
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL)

    def kill(self):
        """As a crash does it."""
        self.process.kill()
        self.process.wait()

    def end(self):
        """As its user does it."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


@contextmanager
def daemon(image, queues=1, writable=True):
    """A daemon that serves `image`. It must not end by itself."""
    socket = str(image.with_suffix(".sock"))
    export = f"type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,addr.path={socket}"
    words = [
        *(PROGRAM, "--blockdev"),
        f"driver=file,node-name=disk,filename={image},discard=unmap",
        "--export",
        f"{export},num-queues={queues},writable={'on' if writable else 'off'}",
    ]
    served = Daemon(socket, words)
    try:
        yield served
        assert served.process.poll() in (None, -9), "it has ended by itself"
    finally:
        served.end()


@contextmanager
def started(served, ram=RAM, device=None, **driver):
    """Our block driver at work on what is served: by a daemon, or whoever has a `socket`."""
    cpu = RamCpu(FileRam(ram))
    with VhostUserDevice(served.socket, cpu, DeviceId.BLOCK, **device or {}) as transport:
        disk = BlkDriver(cpu, transport, Room(*ROOM), **driver)
        disk.start()
        yield disk
