"""A guest that was given a virtual function, and drives it as any network card.

    guest = VfGuest(host, "A")
    passthrough.give(vf, guest.made, posted=True)
    guest.boot()                           its kernel, and its ordinary virtio-net driver
    guest.send(other.mac, b"hello")        guest.heard()

The idea: nothing here knows of SR-IOV. The guest enumerates the buses of its VM, finds a virtio
network card, and starts the driver of lesson 12 with two MSI-X vectors. What the card really is,
only the host knows.

The rule that keeps it simple: the guest never halts. Its processor takes an interrupt between two
instructions, so an exit that is counted is one that the way of the interrupt has caused.

Source: virtio 1.3 4.1.5 and 5.1. Left out: everything that a kernel does with a frame.
"""

from __future__ import annotations

from virtlab.cards import ECAM
from virtlab.guest.apic import LocalApic
from virtlab.guest.msix import MsixDriver
from virtlab.guest.pci import Access, Found, find, open_ecam
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.room import Room
from virtlab.guest.virtio_net import NetDriver
from virtlab.guest.virtio_pci import ModernPci
from virtlab.interrupts import Interrupt
from virtlab.server import lesson_guest
from virtlab.server_board import Server
from virtlab.show.path_choice import SHORTEST
from virtlab.show.path_runs import EXPERIMENTAL
from virtlab.show.share_mediated import NET
from virtlab.virtio.net_filter import TAGGED, vlan
from virtlab.virtio.net_layouts import ETH_HEADER, VLAN_TAG

VECTOR = 0x50
"""The guest's vector for a change of the card's configuration; the next one is for its queues."""

_ROOM, _ROOM_BYTES = 0x8_0000, 0x8_0000


def frame(to: bytes, source: bytes, words: bytes, tag: int = 0) -> bytes:
    """A frame of 60 bytes that says `words`, in VLAN `tag` if that is not 0."""
    inner = TAGGED + tag.to_bytes(2, "big") if tag else b""
    return (to + source + inner + EXPERIMENTAL + words).ljust(SHORTEST, b"\0")


def words_of(raw: bytes) -> str:
    """What a frame says, with its tag if it has one.

    >>> words_of(frame(bytes(6), bytes(6), b"hello", tag=5))
    'hello (tag 5)'
    """
    tag = vlan(raw)
    said = raw[ETH_HEADER + VLAN_TAG * bool(tag) :].rstrip(b"\0").decode()
    return f"{said} (tag {tag})" if tag else said


class VfGuest:
    """A VM of `host`: `made` is what a VMM gives devices to. The rest is there after `boot`.

    `card` is what the guest's kernel found, `net` its driver, `mac` the card's address.
    """

    def __init__(self, host: Server, name: str) -> None:
        self.made = lesson_guest(host, name)
        self.vm, self.cpu = self.made.vm, self.made.cpu
        self.apic = LocalApic(self.cpu)
        self.access: Access
        self.card: Found
        self.net: NetDriver

    @property
    def exits(self) -> int:
        """Exits of this VM so far."""
        return self.made.exits

    @property
    def mac(self) -> bytes:
        """The card's address, as the driver read it."""
        return self.net.address

    def boot(self) -> None:
        """Find the buses, give out addresses, start the driver. `LookupError` without a card."""
        self.apic.enable()
        self.access = open_ecam(self.cpu, ECAM)
        self.card = find(enumerate_pci(self.cpu, self.access), *NET)
        msix = MsixDriver(self.cpu, self.access, self.card)
        for number in (0, 1):
            msix.set(number, *Interrupt(VECTOR + number).message())
        msix.enable()
        transport = ModernPci(self.cpu, self.access, self.card)
        room = Room(_ROOM, _ROOM_BYTES)
        self.net = NetDriver(self.cpu, transport, room, slots=32, size=256, vectors=(0, 1))
        self.net.start()
        self.net.receiving[0].queue.enable_cb()

    def send(self, to: bytes, words: bytes, source: bytes = b"", tag: int = 0) -> None:
        """Send a frame; under another address, or with a tag of its own, where one is given."""
        self.net.send(frame(to, source or self.mac, words, tag))

    def heard(self) -> list[str]:
        """Take the interrupt, if there is one, and say what the frames that came say."""
        if self.made.lapic.acknowledge() is not None:
            self.apic.eoi()
        return [words_of(packet.frame) for packet in self.net.receive()]
