"""Back-ends in threads of the test: ours with any device, and one on paper."""

from __future__ import annotations

import contextlib
import os
import socket
import threading

from virtlab.guest.room import Room
from virtlab.guest.virtio_device import VirtioDriver
from virtlab.hosts.vhost_user import VhostUserDevice
from virtlab.hosts.vhost_user_ram import FileRam, RamCpu
from virtlab.virtio.features import Feature, to_bits
from virtlab.virtio.vhost_user.back_end import BackEnd
from virtlab.virtio.vhost_user.channel import Channel
from virtlab.virtio.vhost_user.layouts import (
    CONFIG,
    INFLIGHT,
    NEED_REPLY,
    U64,
    VRING_STATE,
    ProtocolFeature,
    Request,
)
from virtlab.virtio.vhost_user.loop import Loop
from virtlab.virtio.vhost_user.messages import ProtocolError, pack

PC = [(0, 0xA0000), (0x10_0000, 8 << 20)]
ROOM = 0x10_0000, 4 << 20

F = ProtocolFeature
REPLY_ACK = {F.REPLY_ACK}


def new_cpu(regions=PC):
    return RamCpu(FileRam(regions))


def listen(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()
    return sock


@contextlib.contextmanager
def in_thread(device, path, **how):
    """Our back-end with `device`, at the socket `path`. Gives the loop."""
    loop = Loop()
    loop.listen(listen(path), lambda sock: BackEnd(device, sock, **how))
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield loop
    finally:
        loop.stop()
        thread.join(30)
        loop.close()


class Paper:
    """A back-end on paper. `log` has the name of each request that came.

    `answers` says what to do on a request instead of the usual: a callable of channel and message,
    or one of the functions below. It is a block device of `queues` queues that never does a
    request; `configuration` is what it has.
    """

    def __init__(self, path, answers=None, protocol=(), features=(), queues=2):
        self.answers = answers or {}
        self.protocol = {int(bit) for bit in protocol}
        self.features = {Feature.VERSION_1, *features} | ({30} if protocol else set())
        self.queues = queues
        self.configuration = bytes(range(64))
        self.log, self.messages = [], []
        self.asking = None
        self.calls, self.errs, self.kicks, self.notes = {}, {}, {}, []
        self._listener = listen(path)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self):
        return self

    def leave(self):
        """Do not listen any more: nobody finds it."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)

    def __exit__(self, *_):
        self.leave()
        self._thread.join(30)
        self._listener.close()
        self._close()

    def _close(self):
        for fds in (self.calls, self.errs, self.kicks):
            for fd in fds.values():
                os.close(fd)
            fds.clear()
        if self.asking is not None:
            self.asking.close()
            self.asking = None

    def _serve(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            channel = Channel(sock)
            with contextlib.suppress(ProtocolError):
                while (message := channel.receive()) is not None:
                    with message:
                        self._handle(channel, message)
            channel.close()
            self._close()

    def _handle(self, channel, message):
        request = Request(message.request)
        self.log.append(request.name)
        self.messages.append((request.name, message.payload))
        if request in self.answers:
            self.answers[request](channel, message)
            return
        usual = getattr(self, f"on_{request.name}", None)
        payload = usual(message) if usual else None
        if payload is None and message.flags & NEED_REPLY:
            payload = pack(U64, 0)
        if payload is not None:
            channel.reply(request, payload)

    def on_GET_FEATURES(self, message):
        return pack(U64, to_bits(self.features))

    def on_GET_PROTOCOL_FEATURES(self, message):
        return pack(U64, to_bits(self.protocol))

    def on_GET_QUEUE_NUM(self, message):
        return pack(U64, self.queues)

    def on_GET_STATUS(self, message):
        return pack(U64, 0)

    def on_GET_VRING_BASE(self, message):
        return pack(VRING_STATE, 0, 0)

    def on_GET_CONFIG(self, message):
        offset, size, _ = message.fields(CONFIG)
        return pack(CONFIG, offset, size, 0) + self.configuration[:size]

    def on_SET_BACKEND_REQ_FD(self, message):
        self.asking = Channel(socket.socket(fileno=message.fds.take()), lambda message: None)

    def on_SET_INFLIGHT_FD(self, message):
        self.notes.append((message.payload, os.fstat(message.fds.lent[0]).st_ino))

    def _keep(self, events, message):
        """Have the event that came, instead of one of before."""
        before = events.get(message.value)
        events[message.value] = message.fds.take()
        if before is not None:
            os.close(before)

    def on_SET_VRING_CALL(self, message):
        self._keep(self.calls, message)

    def on_SET_VRING_ERR(self, message):
        self._keep(self.errs, message)

    def on_SET_VRING_KICK(self, message):
        self._keep(self.kicks, message)


# -- what a back-end may do on a request


def hang_up(channel, message):
    raise ProtocolError("on paper")


def say_nothing(channel, message):
    """The other end waits."""


def refuse(channel, message):
    channel.reply(message.request, pack(U64, 1))


def answer_another(channel, message):
    channel.reply(Request.GET_STATUS, pack(U64, 0))


def answer_without_flag(channel, message):
    channel.send(message.request, pack(U64, 0))


def give_notes(channel, message):
    """GET_INFLIGHT_FD: a buffer that is large enough."""
    fd = os.memfd_create("notes")
    os.ftruncate(fd, 1 << 16)
    queues, size = message.fields(INFLIGHT)[2:4]
    channel.reply(message.request, pack(INFLIGHT, 1 << 16, 0, queues, size, 0), [fd])
    os.close(fd)


def once(action, usual=None):
    """Do `action` the first time, and what the back-end usually does after it."""
    seen = []

    def answer(channel, message):
        if seen:
            (usual or acknowledge)(channel, message)
        else:
            seen.append(message)
            action(channel, message)

    return answer


def acknowledge(channel, message):
    if message.flags & NEED_REPLY:
        channel.reply(message.request, pack(U64, 0))


# -- our end

RING = [
    *("SET_VRING_NUM", "SET_VRING_BASE", "SET_VRING_ADDR"),
    *("SET_VRING_CALL", "SET_VRING_ERR", "SET_VRING_KICK"),
]

ALONE = ["GET_FEATURES", "SET_OWNER", "SET_FEATURES", "SET_MEM_TABLE", *RING, "GET_VRING_BASE"]
"""Of a back-end that knows no extension."""

BEGIN = [
    *("GET_FEATURES", "GET_PROTOCOL_FEATURES", "SET_PROTOCOL_FEATURES", "GET_QUEUE_NUM"),
    *("SET_BACKEND_REQ_FD", "SET_OWNER"),
]
GO = ["SET_INFLIGHT_FD", "SET_MEM_TABLE", *2 * [*RING, "SET_VRING_ENABLE"]]

EVERYTHING = {F.MQ, F.REPLY_ACK, F.BACKEND_REQ, F.CONFIG, F.INFLIGHT_SHMFD, F.RESET_DEVICE}
NOTES = {Request.GET_INFLIGHT_FD: give_notes}


def device(path, cpu=None, **how):
    return VhostUserDevice(path, cpu or new_cpu(), 2, **{"patience": 10.0, **how})


def live(transport, queues=1, packed=False, size=8, understood=()):
    """A driver on it, up to DRIVER_OK."""
    driver = VirtioDriver(transport.cpu, transport, Room(*ROOM))
    driver.begin()
    ring = {Feature.RING_PACKED} if packed else set()
    driver.negotiate({Feature.VERSION_1, *ring, *understood})
    for index in range(queues):
        driver.add_queue(index, size)
    driver.ready()
    return driver
