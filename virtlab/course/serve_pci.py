"""``virtlab serve pci``: a whole PCI card at a socket, for a virtual machine that speaks vfio-user.

    edu               QEMU's teaching device
    e1000             a network card, with a peer at its wire
    blk IMAGE         a virtio disk behind PCI

The idea: with ``serve blk`` QEMU shows the guest a card of its own, and our process has the rings.
Here QEMU shows it nothing of its own: configuration space, registers, interrupts and DMA are ours.

The rule that keeps it simple: the card is any function of ours in a `Slot`. One machine has it at a
time, and the next one finds it as the last one left it.

Source: QEMU, docs/interop/vfio-user.rst (`-device vfio-user-pci`, since QEMU 10.1).
"""

from __future__ import annotations

import argparse

from virtlab.backends.image_file import open_image
from virtlab.backends.switch import Switch
from virtlab.course.serve_devices import Workshop, close
from virtlab.course.serve_socket import listening
from virtlab.devices.e1000 import E1000Function
from virtlab.devices.edu import EduFunction
from virtlab.hosts.vfio_user.real_clock import RealClock
from virtlab.hosts.vfio_user.service import Service
from virtlab.hosts.vfio_user.slot import Slot
from virtlab.pci.function import Function
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.pci import VirtioPci
from virtlab.virtio.vhost_user.messages import ProtocolError
from virtlab.virtio.vhost_user.stream import HungUp


class ServedFunction:
    """A card at the socket `path`, and what is said of it at the end."""

    def __init__(self, path: str, function: Function, workshop: Workshop) -> None:
        self.path = path
        self.device = function
        self.workshop = workshop
        self.service: Service | None = None
        self.refused = 0

    def refuse(self, why: str) -> None:
        """A command could not be carried out: worth a line, once."""
        if not self.refused:
            self.workshop.say(f"{self.path}: refused: {why} (said once)")
        self.refused += 1

    def ended(self, error: ProtocolError) -> None:
        """A session is over: worth a line if it is the client's mistake."""
        if not isinstance(error, HungUp):
            self.workshop.say(f"{self.path}: the client was hung up on: {error}")

    def line(self, seconds: float | None = None) -> str:
        """All counts on one line."""
        sessions = self.service.sessions if self.service is not None else 0
        return f"{self.path}: {sessions} sessions, {self.refused} commands refused"


def serve_pci(workshop: Workshop, options: argparse.Namespace) -> ServedFunction:
    """Make the card that was asked for, and wait for who wants it."""
    clock = RealClock()
    function = _card(workshop, options, clock)
    served = ServedFunction(options.socket, function, workshop)
    listener = workshop.stack.enter_context(listening(options.socket))
    served.service = Service(
        workshop.loop, listener, Slot(function), clock, served.ended, served.refuse
    )
    workshop.stack.callback(served.service.close)
    workshop.lines.append(f"{options.socket}: a PCI card, {options.card}")
    return served


def _card(workshop: Workshop, options: argparse.Namespace, clock: RealClock) -> Function:
    match options.card:
        case "edu":
            return EduFunction(clock)
        case "e1000":
            switch = Switch(2)
            if options.peer == "none":
                switch.links[1].set_up(False)
            else:
                workshop.plug(options.peer, switch, 1)
            return E1000Function(clock, switch.ports[0], options.mac)
    image = open_image(options.image)
    workshop.stack.callback(close, image)
    return VirtioPci(VirtioBlk(image))
