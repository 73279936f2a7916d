"""All our devices, and a message through any of them, for the rules that hold for every one."""

from __future__ import annotations

from tests.virtio.rig import DATA, LEGACY, MODERN
from virtlab.backends import Disk, Link, Terminal
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.console import VirtioConsole
from virtlab.virtio.console_port import Port
from virtlab.virtio.net import VirtioNet
from virtlab.virtio.rng import VirtioRng, seeded

EVERY = [*MODERN, *LEGACY]
OUT, IN, PLACE = DATA, DATA + 0x10000, 0x100

DEVICES = {
    "blk": lambda: VirtioBlk(Disk.of(bytes(64 * 512)), queues=2),
    "net": lambda: VirtioNet(Link("cable").a, mtu=1500, pairs=2),
    "console": lambda: VirtioConsole([Port(Terminal(), "tty", size=(80, 25))], 4),
    "rng": lambda: VirtioRng(seeded(1)),
}


def image(rig):
    """All of the guest's memory."""
    return rig.ram.read(0, rig.ram.size)


def send(rig, text, at=0, queue=0, token="it"):
    """Place `text` and as much room for the answer, and ring."""
    rig.ram.write(OUT + PLACE * at, text)
    there = [(OUT + PLACE * at, len(text))], [(IN + PLACE * at, len(text))]
    rig.guest.queues[queue].add_buf(*there, token)
    rig.guest.queues[queue].kick()
