"""virtio-pci: a device as a PCI function, modern, legacy, or both at once (transitional).

    BAR 0   ports    LegacyPorts      legacy and transitional
    BAR 1   memory   MSI-X table      if there are vectors
    BAR 4   memory   Structures       modern and transitional; five capabilities say where and what

    interrupt   MSI-X on:  the vector of the event, if it has one
                MSI-X off: a bit of the ISR status, and the pin is up while there is any

The idea: the function is the only part that knows PCI. Structures and ports are registers, the
decisions are those of `Transport`, and neither knows an address.

The rule that keeps it simple: the pin follows from the ISR status and from whether MSI-X is on.
`update` looks at both again after every configuration write.

Source: virtio 1.3 4.1.2 (ids), 4.1.3, 4.1.4 to 4.1.4.10, 4.1.5. Left out: shared memory, vendor
data and administration. BAR numbers and offsets are QEMU's; our BAR 4 is not prefetchable, for
reading the ISR has an effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import ClassVar, Literal

from virtlab.pci.function import Function, Identity
from virtlab.registers import RegisterFile
from virtlab.trace import Trace
from virtlab.virtio.device import VirtioDevice
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.pci_common import (
    MULTIPLIER,
    PART,
    CommonStructure,
    DeviceStructure,
    Doorbells,
    Structures,
)
from virtlab.virtio.pci_layouts import (
    LEGACY_CONFIG_MSIX,
    MODERN_BASE,
    TRANSITIONAL,
    VENDOR,
    CfgType,
    IsrStatus,
    NotifyCap,
    PciCfgCap,
    VirtioCap,
)
from virtlab.virtio.pci_legacy import LegacyPorts
from virtlab.virtio.session import RING_FEATURES
from virtlab.virtio.status import NO_VECTOR, DeviceId, Interrupt
from virtlab.virtio.transport import Transport
from virtlab.wire import all_ones

Interface = Literal["modern", "transitional", "legacy"]

_ONLY: dict[Interface, bool | None] = {"modern": False, "transitional": None, "legacy": True}
"""Whether the one interface is the legacy one; None where there are both."""

PCI_FEATURES: Features = RING_FEATURES | {Feature.NOTIF_CONFIG_DATA}
"""What is offered beside the device's own features: one more than over MMIO."""

PORTS_BAR, MSIX_BAR, STRUCTURES_BAR = 0, 1, 4
CAPABILITIES, MSIX_AT = 0x40, 0x98
"""Where the capabilities are: the virtio ones from the first on, then that of MSI-X."""

COMMON, ISR, CONFIG, NOTIFY = 0, 1, 2, 3
"""Which page of the BAR each structure has."""

SUBSYSTEM = 0x1100
"""The subsystem of a modern function: QEMU's, and above 0x40 as 4.1.2.1 asks."""

CLASSES = MappingProxyType(
    {
        DeviceId.NETWORK: 0x02_00_00,
        DeviceId.BLOCK: 0x01_00_00,
        DeviceId.CONSOLE: 0x07_80_00,
    }
)
OTHER_CLASS = 0x00_FF_00
"""The PCI class of a virtio device, and of those that have none of their own."""


class IsrRegister(IsrStatus):
    """The ISR structure: reading it clears it."""

    def __init__(self, take: Callable[[], int]) -> None:
        super().__init__()
        self.take = take

    def read_ISR_STATUS(self) -> int:
        """Why the pin is up; from now on it is not."""
        return self.take()


class Window(PciCfgCap):
    """The capability through which `structures` can be reached without a BAR (4.1.4.9)."""

    def __init__(self, structures: Structures) -> None:
        super().__init__()
        self.preset(CFG_TYPE=CfgType.PCI_CFG)
        self.structures = structures

    @property
    def _inside(self) -> bool:
        """Whether BAR, offset and length are an access that can be made."""
        size = self.STRUCTURE_LENGTH
        fits = size in (1, 2, 4) and self.OFFSET % size == 0
        return fits and self.BAR == STRUCTURES_BAR and self.OFFSET < self.structures.length

    def read_PCI_CFG_DATA(self) -> int:
        """Reading it is a read there."""
        if not self._inside:
            return 0
        size = self.STRUCTURE_LENGTH
        return self.structures.read(self.OFFSET, size) & all_ones(size)

    def write_PCI_CFG_DATA(self, old: int, new: int) -> None:
        """Writing it is a write there, of the first bytes."""
        if self._inside:
            size = self.STRUCTURE_LENGTH
            self.structures.write(self.OFFSET, size, new & all_ones(size))


class PciTransport(Transport):
    """The core of a virtio-pci function."""

    able: ClassVar[Features] = Transport.able | PCI_FEATURES


class VirtioPci(Function):
    """A PCI function in front of `device`.

    `vectors` is the number of MSI-X vectors: one for each queue and one more unless given; 0 for a
    function without MSI-X. `ring` is what is offered of `PCI_FEATURES`. `ValueError` for a legacy
    or transitional function of a device type that never had one.
    """

    transport: ClassVar[type[PciTransport]] = PciTransport

    def __init__(
        self,
        device: VirtioDevice,
        interface: Interface = "modern",
        vectors: int | None = None,
        trace: Trace | None = None,
        ring: Iterable[int] = PCI_FEATURES,
        name: str = "",
    ) -> None:
        identity = _identity(device.device_id, interface)
        super().__init__(identity, name=name or type(device).__name__, pin=1)
        self.isr = 0
        self._registers: list[RegisterFile] = []
        self.core = self.transport(device, self.dma, self._signal, _ONLY[interface], trace, ring)
        self.core.name = self.name
        self.core.on_reset = self._cleared
        if interface != "modern":
            self._add_ports(len(device.config))
        self.core.vectors = len(self.core.queues) + 1 if vectors is None else vectors
        self.table = None
        if self.core.vectors:
            self.table = self.msix_bar(MSIX_BAR, self.core.vectors, MSIX_AT)
        if interface != "legacy":
            self._add_structures(len(device.config))

    # -- making it

    def _add_ports(self, config: int) -> None:
        """The legacy header, and `config` bytes behind it."""
        ports = LegacyPorts(self.core, self.take_isr, lambda: self.messages)
        self._registers.append(ports)
        size = 1 << (LEGACY_CONFIG_MSIX + config - 1).bit_length()
        self.port_bar(PORTS_BAR, ports, size)

    def _add_structures(self, config: int) -> None:
        """The structures of the modern interface, and a capability for each."""
        common = CommonStructure(self.core)
        self._registers.append(common)
        # In the order of COMMON, ISR, CONFIG and NOTIFY.
        isr, bells = IsrRegister(self.take_isr), Doorbells(self.core)
        structures = Structures([common, isr, DeviceStructure(self.core), bells])
        self.memory_bar(STRUCTURES_BAR, structures, structures.length)
        doorbells = max(1, len(self.core.queues)) * MULTIPLIER
        found = [
            _capability(CfgType.COMMON_CFG, COMMON, CommonStructure.length),
            _capability(CfgType.ISR_CFG, ISR, IsrRegister.length),
            _capability(CfgType.NOTIFY_CFG, NOTIFY, doorbells),
        ]
        # A device type without a configuration has no such structure (4.1.4.6).
        if config:
            found.append(_capability(CfgType.DEVICE_CFG, CONFIG, config))
        at = CAPABILITIES
        for capability in (*found, Window(structures)):
            self.config.add(capability, at)
            at += capability.length

    # -- interrupts

    def _signal(self, cause: Interrupt, index: int) -> None:
        """The device has used a buffer of queue `index`, or has another configuration."""
        vector = self.core.config_vector
        if cause == Interrupt.QUEUE:
            vector = self.core.queues[index].vector
        if self.messages and self.table is not None:
            # The device MUST set this bit before it tells of another configuration, in any case.
            self.isr |= cause & Interrupt.CONFIG
            if vector != NO_VECTOR:
                self.table.notify(vector)
        else:
            self.isr |= cause
            self._drive()

    def take_isr(self) -> int:
        """Read the ISR status. The device MUST reset it to 0 on driver read (4.1.4.5.1)."""
        isr, self.isr = self.isr, 0
        self._drive()
        return isr

    def _drive(self) -> None:
        """With MSI-X off the pin is the logical OR of all bits of the ISR status (4.1.4.5.1)."""
        self.irq.set(self.isr != 0 and not self.messages)

    def update(self) -> None:
        """Look at all registers again: MSI-X may be another, and with it what the pin does."""
        self._drive()
        super().update()

    # -- reset

    def _cleared(self) -> None:
        """The device was reset by its driver: nothing interrupts, and no selector is set."""
        self.take_isr()
        for registers in self._registers:
            registers.reset()

    def reset(self) -> None:
        """As after the bus was reset."""
        self.core.reset()
        super().reset()


def _identity(device_id: int, interface: Interface) -> Identity:
    """What the function says that it is (4.1.2.1, 4.1.2.3)."""
    kind = CLASSES.get(DeviceId(device_id), OTHER_CLASS)
    if interface == "modern":
        return Identity(VENDOR, MODERN_BASE + device_id, kind, 1, VENDOR, SUBSYSTEM)
    for pci_id, known in TRANSITIONAL.items():
        if known == device_id:
            return Identity(VENDOR, pci_id, kind, 0, VENDOR, device_id)
    raise ValueError(f"virtio device {device_id} has no transitional PCI device id")


def _capability(kind: CfgType, part: int, length: int) -> VirtioCap:
    """The capability that says where structure `part` is."""
    capability = NotifyCap() if kind == CfgType.NOTIFY_CFG else VirtioCap()
    capability.preset(
        CFG_TYPE=kind, BAR=STRUCTURES_BAR, OFFSET=part * PART, STRUCTURE_LENGTH=length
    )
    if isinstance(capability, NotifyCap):
        capability.preset(NOTIFY_OFF_MULTIPLIER=MULTIPLIER)
    return capability
