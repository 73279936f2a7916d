"""A student's virtio device behind a transport, with a driver: the machine of task 4 of set 5.

    VirtioDriver . MmioTransport | ModernPci     the library's front-end
    ring in the guest's memory
    VirtioMmio | VirtioPci . Carried             the transport, and in it the student's device

The idea: `Carried` is a device to the transport, and passes each call on to the student's. What
that raises ends in the report, but for `GuestError`: this is for the transport.

The rule that keeps it simple: after each call the student's `config` is read anew, so a device
keeps it as it likes.

Source: virtio 1.3 2, 5.4.
"""

from __future__ import annotations

from typing import Literal

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.course.answers import Answer, Built, Stopped, Trouble
from virtlab.course.ps3.machines import PATTERN
from virtlab.errors import GuestError
from virtlab.guest.pci import PortAccess, Scan
from virtlab.guest.pci_resources import Windows, assign, program
from virtlab.guest.room import Room
from virtlab.guest.virtio_device import VirtioDriver
from virtlab.guest.virtio_mmio import MmioTransport
from virtlab.guest.virtio_pci import ModernPci
from virtlab.guest.virtio_transport import VirtioFailed
from virtlab.hosts.python import BareCpu
from virtlab.interrupts import IrqLine
from virtlab.memory import GuestMemory
from virtlab.pci.chipset import HostBridge
from virtlab.pci.root import RootComplex
from virtlab.trace import Trace
from virtlab.virtio.device import Queue, VirtioDevice
from virtlab.virtio.features import Feature
from virtlab.virtio.mmio import VirtioMmio
from virtlab.virtio.mmio_registers import WINDOW
from virtlab.virtio.pci import VirtioPci
from virtlab.virtio.status import DeviceId

RAM, ROOM, DATA = 1 << 18, 0x8000, 0x20000
"""Bytes of memory; where the driver has its rings, and where its buffers are."""
MMIO, SLOT = 0xFEB0_0000, 3
ENTRIES, SEED_BYTES = 64, 4

Kind = Literal["mmio", "pci"]
KINDS: tuple[Kind, ...] = ("mmio", "pci")


class Memory(GuestMemory):
    """The guest's memory. Where `eager` is a function, it is called when the device has written."""

    def __init__(self) -> None:
        super().__init__(RAM)
        self.bytes[DATA:] = PATTERN
        self.eager = _nobody

    def write(self, gpa: int, data: bytes | bytearray | memoryview) -> None:
        """The device writes; into a buffer, perhaps."""
        super().write(gpa, data)
        if gpa >= DATA:
            self.eager()


class Impatient(BareCpu):
    """The guest's processor. A device that has not answered the doorbell is not waited for."""

    def wait(self, timeout: int = 1_000_000_000) -> int | None:
        """Nothing comes later that is not here now."""
        raise VirtioFailed("the device does not answer")


class Carried(VirtioDevice):
    """The student's device, made from `seed`. `said` are the answers of its `write_config`.

    `served` is how many buffers were written in this handle.
    """

    def __init__(self, answer: Answer, seed: int) -> None:
        self.built = Built(answer, "VirtioRandom", answer.call("VirtioRandom", seed))
        self.mine = [self.get(name) for name in ("device_id", "queue_sizes", "config")]
        features = self.get("features")
        in_order = isinstance(features, frozenset) and Feature.IN_ORDER in features
        super().__init__([ENTRIES], {Feature.IN_ORDER} if in_order else ())
        self.device_id = DeviceId.ENTROPY  # type: ignore[misc]  # what it says is compared elsewhere
        self.said: list[object] = []
        self.served = 0
        self.refresh()

    def get(self, name: str) -> object:
        """An attribute of the student's device."""
        found: object = self.built.call("__getattribute__", name)
        return found

    def refresh(self) -> None:
        """Take the configuration as it is now; zeros in place of what is none."""
        config = self.get("config")
        good = type(config) is bytes and len(config) == SEED_BYTES
        self.config = config if good and isinstance(config, bytes) else bytes(SEED_BYTES)

    def handle(self, index: int, queue: Queue) -> None:
        """Let the student's device handle the queue."""
        self.served = 0
        try:
            self.built.call("handle", index, queue)
        except Trouble as trouble:
            if isinstance(trouble.__cause__, GuestError):
                raise trouble.__cause__ from trouble
            raise
        finally:
            self.refresh()

    def reset(self) -> None:
        """Let it forget."""
        self.built.call("reset")
        self.refresh()

    def write_config(self, offset: int, data: bytes) -> bool:
        """Let it take `data`, and note what it says."""
        self.said.append(self.built.call("write_config", offset, data))
        self.refresh()
        return self.said[-1] is True


class Machine:
    """A guest with the student's device. The driver's steps are done by `start`."""

    def __init__(
        self, answer: Answer, seed: int, kind: Kind = "mmio", packed: bool = False
    ) -> None:
        self.device = Carried(answer, seed)
        self.ram = Memory()
        self.memory = AddressSpace("memory", 52)
        self.memory.map_ram(self.ram)
        self.ports = AddressSpace("port", 16, verbs=("in", "out"), max_size=4)
        self.cpu = Impatient(self.ports, self.memory, Clock())
        ring = {Feature.RING_PACKED} if packed else set()
        self.transport = self._mmio(ring) if kind == "mmio" else self._pci(ring)
        self.features = frozenset(ring | {Feature.VERSION_1, Feature.IN_ORDER})
        self.room = Room(ROOM, DATA - ROOM)
        self.driver = VirtioDriver(self.cpu, self.transport, self.room)

    def _mmio(self, ring: set[Feature]) -> MmioTransport:
        card = VirtioMmio(self.device, self.ram, IrqLine("virtio", _level), ring=ring)
        self.memory.map(MMIO, WINDOW, card, "virtio", width=4)
        return MmioTransport(self.cpu, MMIO)

    def _pci(self, ring: set[Feature]) -> ModernPci:
        card = VirtioPci(self.device, vectors=0, ring=ring)
        root = RootComplex(
            Trace(), lambda source: self.ram, lambda source, msi: None, lambda slot, pin, on: None
        )
        root.connect(self.ports, self.memory, ((0x1000, 0xF000),), ((0xC000_0000, 0x3E00_0000),))
        root.bus.plug(HostBridge(root), 0)
        root.bus.plug(card, SLOT)
        access = PortAccess(self.cpu)
        functions = Scan(access).run()
        assign(functions, Windows())
        program(access, functions)
        found = next(found for found in functions if found.place.device == SLOT)
        return ModernPci(self.cpu, access, found)

    def start(self) -> None:
        """All eight steps. When the device is live, handle is called once, with an empty queue."""
        self.driver.begin()
        self.driver.negotiate(self.features)
        self.queue = self.driver.add_queue(0)
        try:
            self.driver.ready()
        except VirtioFailed as failed:
            raise Trouble("handle raises GuestError though nothing waits in the queue") from failed

    def never_stop(self) -> None:
        """From now on the guest adds another request as soon as one is answered."""

        def again() -> None:
            self.device.served += 1
            if self.device.served > ENTRIES:
                raise Stopped(
                    f"it was stopped: in one call handle had answered {ENTRIES} requests, as many "
                    "as the queue has entries, and the guest kept adding more"
                )
            self.queue.get_buf()
            if self.queue.free:
                self.queue.add_buf([], [(DATA, 4)], "one more")
                self.queue.kick()

        self.ram.eager = again


def _nobody() -> None:
    """Nobody waits for a write."""


def _level(level: int) -> None:
    """Nobody listens to the wire."""
