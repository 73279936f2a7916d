r"""What ``virtlab serve`` serves: a disk or network cards, each at a socket of its own.

    image file -- VirtioBlk -- socket            blk: one disk
    peer ------ Switch ------ VirtioNet -- socket
                        \--- VirtioNet -- socket   net: as many cards as sockets

The idea: a `ServedDevice` is a device that waits for a front-end, and counts over all of them. A
virtual machine that is started again finds the same disk, and the counts go on.

The rule that keeps it simple: what is opened here is put on a stack at once. So whatever goes
wrong, at the start or later, all of it is closed: the image flushed, the socket removed.

Left out: several queues of a network card. A virtual machine's own control queue says how many are
used, and vhost-user does not carry that to the back-end.
"""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import astuple
from typing import Protocol

from virtlab.backends.image_file import Image, WholeImage, open_image
from virtlab.backends.switch import Switch
from virtlab.course.cli import CommandError
from virtlab.course.serve_plug import Plug
from virtlab.course.serve_socket import listening, reason
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import BlkFeature
from virtlab.virtio.device import VirtioDevice
from virtlab.virtio.features import Feature
from virtlab.virtio.net import VirtioNet
from virtlab.virtio.vhost_user.back_end import BackEnd
from virtlab.virtio.vhost_user.loop import Loop
from virtlab.virtio.vhost_user.session import RING_FEATURES
from virtlab.virtio.vhost_user.statistics import Statistics, Watch

Say = Callable[[str], None]
"""Says a line to whoever started the command."""

WatchOf = Callable[[str], Watch | None]
"""Gives who watches the rings of the device of that name, if anybody does."""


class Served(Protocol):
    """A device that waits at the socket `path`, and counts."""

    path: str

    @property
    def device(self) -> object:
        """What is served."""

    def line(self, seconds: float | None = None) -> str:
        """All counts on one line; what was done in the `seconds` since the last."""


class ServedDevice:
    """`device` at the socket `path`, for one front-end after the other.

    Packed rings are offered if `packed` is set.
    """

    def __init__(self, path: str, device: VirtioDevice, packed: bool, watch: Watch | None) -> None:
        self.path = path
        self.device: VirtioDevice = device
        self.ring = RING_FEATURES - (set() if packed else {Feature.RING_PACKED})
        self.watch = watch
        self._before, self._now = Statistics(), Statistics()
        self._seen = 0

    def connect(self, sock: socket.socket) -> BackEnd:
        """The back-end for a front-end that has come."""
        back_end = BackEnd(self.device, sock, self.ring, watch=self.watch)
        self._before, self._now = self.counts, back_end.statistics
        return back_end

    @property
    def counts(self) -> Statistics:
        """What was counted, over all front-ends."""
        pairs = zip(astuple(self._before), astuple(self._now), strict=True)
        return Statistics(*(before + now for before, now in pairs))

    def line(self, seconds: float | None = None) -> str:
        """All counts on one line; with the requests a second, in the `seconds` since the last."""
        counts = self.counts
        rate = "" if seconds is None else f" ({(counts.requests - self._seen) / seconds:.0f}/s)"
        self._seen = counts.requests
        parts = [
            f"{counts.requests} requests{rate} in {counts.batches} batches",
            f"{counts.bytes} bytes",
            f"{counts.kicks} kicks",
            f"{counts.calls} calls",
            f"{max(0, counts.saved)} notifications saved",
        ]
        parts += [f"{counts.again} served again"] if counts.again else []
        parts += [f"{counts.errors} rings broken"] if counts.errors else []
        return f"{self.path}: {', '.join(parts)}"


class Workshop:
    """Makes devices for `loop`. What they hold is closed with `stack`."""

    def __init__(self, loop: Loop, stack: ExitStack, say: Say) -> None:
        self.loop = loop
        self.stack = stack
        self.say = say
        self.served: list[Served] = []
        self.lines: list[str] = []  # what is there, to be said once all of it is

    def blk(self, options: argparse.Namespace, watch: WatchOf) -> None:
        """A disk, as ``virtlab serve blk`` asks for it."""
        image = open_image(options.image, options.read_only)
        self.stack.callback(close, image)
        image.failed = Once(image.name, self.say)
        kept = isinstance(image, WholeImage)
        device = VirtioBlk(
            image,
            options.serial,
            queues=options.queues,
            without={BlkFeature.DISCARD} if kept else (),
        )
        mode = "read only, " if image.read_only else ""
        room = "all of its room there" if kept else "with holes"
        self._listen(options.socket, device, options.packed, watch)
        self.lines.append(f"{options.socket}: {image.name}, {image.sectors} sectors, {mode}{room}")

    def net(self, options: argparse.Namespace, watch: WatchOf) -> None:
        """Network cards on one switch, as ``virtlab serve net`` asks for them."""
        cards = len(options.socket)
        switch = Switch(cards + 1)
        if options.peer == "none":
            switch.links[cards].set_up(False)
        else:
            self.plug(options.peer, switch, cards)
        for number, path in enumerate(options.socket):
            mac = following(options.mac, number)
            self._listen(path, VirtioNet(switch.ports[number], mac), options.packed, watch)
            self.lines.append(f"{path}: a card with address {mac.hex(':')}, port {number}")

    def plug(self, path: str, switch: Switch, port: int) -> None:
        """Connect whoever is at `path` to a port of the switch."""
        self.stack.callback(Plug(path, switch, port, self.loop, self.say).close)
        self.lines.append(f"{path}: the peer, port {port}")

    def _listen(self, path: str, device: VirtioDevice, packed: bool, watch: WatchOf) -> None:
        served = ServedDevice(path, device, packed, watch(path))
        self.loop.listen(self.stack.enter_context(listening(path)), served.connect)
        self.served.append(served)

    def name_of(self, device: VirtioDevice) -> str:
        """The socket of a device."""
        return next(each.path for each in self.served if each.device is device)


def following(mac: bytes, number: int) -> bytes:
    """The address `number` after `mac`, of the same maker: only its last three bytes are others.

    >>> following(bytes.fromhex("525400fffffe"), 3).hex(":")
    '52:54:00:00:00:01'
    """
    last = (int.from_bytes(mac[3:], "big") + number) % (1 << 24)
    return mac[:3] + last.to_bytes(3, "big")


class Once:
    """Says of each kind of failure that it was there, the first time."""

    def __init__(self, name: str, say: Say) -> None:
        self.name = name
        self.say = say
        self._said: set[int | None] = set()

    def __call__(self, error: OSError) -> None:
        """The medium could not do something."""
        if error.errno not in self._said:
            self._said.add(error.errno)
            self.say(f"{self.name}: {reason(error)}: requests end with an error (said once)")


def close(image: Image) -> None:
    """Flush and close. `CommandError` if the last writes are not on the medium."""
    try:
        image.close()
    except OSError as error:
        why = f"{image.name}: {reason(error)}: what was written last may be lost"
        raise CommandError(why) from None


def check_apart(sockets: Iterable[str]) -> None:
    """`CommandError` if a path is named twice: each device has a socket of its own."""
    seen: set[str] = set()
    for path in sockets:
        if path in seen:
            raise CommandError(f"{path}: two devices at one socket")
        seen.add(path)
