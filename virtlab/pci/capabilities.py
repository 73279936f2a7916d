"""Capabilities: what a function says of itself beyond its header, each declared once.

A class here is three things. It makes a function of ours answer. It decodes a dump of a real
machine. It labels the picture.

    0x01 power management   0x05 MSI    0x09 vendor   0x0D subsystem   0x10 PCI Express   0x11 MSI-X

The extended ones, from 0x100 on, are in `extended`; both lists are kept there.

Source: PCI Local Bus 3.0, 6.7, 6.8; PCI Power Management 1.2, 3.2; PCI Express 3.0, 7.8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from virtlab.interrupts import Msi as Message
from virtlab.pci.config import Capability
from virtlab.registers import Reg
from virtlab.wire import Bits, all_ones

if TYPE_CHECKING:
    from virtlab.pci.msix import MsixTable

PM_SPEC, MSI_SPEC, MSIX_SPEC = "PCI PM 1.2 3.2", "PCI 3.0 6.8.1", "PCI 3.0 6.8.2"


class PowerManagement(Capability):
    """Power states D0 to D3."""

    id = 0x01
    length = 8
    PMC = Reg(
        0x02,
        2,
        reset=0x0003,
        fields={
            "VERSION": Bits(2, 0),
            "PME_CLOCK": Bits(3),
            "DSI": Bits(5),
            "AUX_CURRENT": Bits(8, 6),
            "D1": Bits(9),
            "D2": Bits(10),
            "PME_SUPPORT": Bits(15, 11),
        },
        spec=f"{PM_SPEC}.3",
        doc="Which states it has, and from which it can wake the machine.",
    )
    PMCSR = Reg(
        0x04,
        2,
        reset=0x0008,
        rw=0x0003,
        fields={
            "POWER_STATE": Bits(1, 0),
            "NO_SOFT_RESET": Bits(3),
            "PME_ENABLE": Bits(8),
            "DATA_SELECT": Bits(12, 9),
            "DATA_SCALE": Bits(14, 13),
            "PME_STATUS": Bits(15),
        },
        spec=f"{PM_SPEC}.4",
        doc="The state it is in: 0 is D0, 3 is D3hot.",
    )

    @property
    def state(self) -> int:
        """0 is awake."""
        return PowerManagement.PMCSR.POWER_STATE.get(self.PMCSR)

    def write_PMCSR(self, old: int, new: int) -> None:
        """D1 and D2 that it does not have are not entered (PM 1.2, 3.2.4)."""
        if PowerManagement.PMCSR.POWER_STATE.get(new) in (1, 2):
            self.PMCSR = old


class Msi(Capability):
    """Message signalled interrupts: an address and a datum to write there.

    Its layout depends on two bits of Message Control, so there are four: `Msi(...)` makes the one
    that has 32 or 64 bits of address, with or without a mask bit for each vector.
    """

    id = 0x05
    CONTROL = Reg(
        0x02,
        2,
        rw=0x0071,
        fields={
            "ENABLE": Bits(0),
            "MULTIPLE_MESSAGE_CAPABLE": Bits(3, 1),
            "MULTIPLE_MESSAGE_ENABLE": Bits(6, 4),
            "ADDRESS_64": Bits(7),
            "PER_VECTOR_MASKING": Bits(8),
        },
        spec=f"{MSI_SPEC}.3",
        doc="Whether it is on, how many vectors it has and may use, and what else is here.",
    )
    ADDRESS = Reg(0x04, 4, rw=0xFFFF_FFFC, spec=f"{MSI_SPEC}.4", doc="Where to write.")
    masks = False

    def __new__(cls, vectors: int = 1, bits64: bool = True, maskable: bool = False) -> Msi:
        """The class with the layout that is asked for."""
        return super().__new__(msi_layout(bits64, maskable) if cls is Msi else cls)

    def __init__(self, vectors: int = 1, bits64: bool = True, maskable: bool = False) -> None:
        super().__init__()
        if vectors not in (1, 2, 4, 8, 16, 32):
            raise ValueError(f"MSI has 1, 2, 4, 8, 16 or 32 vectors, not {vectors}")
        control = Msi.CONTROL.MULTIPLE_MESSAGE_CAPABLE.put(0, vectors.bit_length() - 1)
        control = Msi.CONTROL.ADDRESS_64.put(control, bits64)
        self.preset(CONTROL=Msi.CONTROL.PER_VECTOR_MASKING.put(control, maskable))
        if maskable:
            self.narrow(MASK=(1 << vectors) - 1)

    @property
    def enabled(self) -> bool:
        """Whether the guest chose messages."""
        return bool(Msi.CONTROL.ENABLE.get(self.CONTROL))

    @property
    def vectors(self) -> int:
        """How many vectors the guest lets it use (6.8.1.3): no more than it has."""
        fields = Msi.CONTROL.decode(self.CONTROL)
        return 1 << min(fields["MULTIPLE_MESSAGE_ENABLE"], fields["MULTIPLE_MESSAGE_CAPABLE"])

    def message(self, vector: int = 0) -> Message:
        """What to write for `vector`: its number replaces the low bits of the datum (6.8.1.6)."""
        low = vector % self.vectors
        data = self.values["DATA"] & -self.vectors | low
        return Message(self.ADDRESS | self.values.get("ADDRESS_UPPER", 0) << 32, data)

    def notify(self, vector: int, send: Callable[[Message], None]) -> None:
        """Send the message of `vector`; where it is masked, note that it is pending (6.8.1.7)."""
        bit = 1 << vector % self.vectors
        if self.masks and self.values["MASK"] & bit:
            self.values["PENDING"] |= bit
        else:
            send(self.message(vector))

    def unmasked(self, send: Callable[[Message], None]) -> None:
        """Send what is pending and no longer masked."""
        if not (self.masks and self.enabled):
            return
        due = self.values["PENDING"] & ~self.values["MASK"]
        self.values["PENDING"] &= ~due
        for vector in range(self.vectors):
            if due >> vector & 1:
                send(self.message(vector))


def _data(at: int) -> Reg:
    return Reg(at, 2, rw=0xFFFF, spec=f"{MSI_SPEC}.6", doc="What to write.")


def _upper() -> Reg:
    return Reg(0x08, 4, rw=all_ones(4), spec=f"{MSI_SPEC}.5", doc="Bits 63 to 32 of where.")


def _mask(at: int) -> Reg:
    return Reg(at, 4, rw=all_ones(4), spec=f"{MSI_SPEC}.7", doc="A 1 holds a vector back.")


def _pending(at: int) -> Reg:
    return Reg(at, 4, spec=f"{MSI_SPEC}.8", doc="A vector that is held back and wants to go.")


class Msi32(Msi):
    """With 32 bits of address."""

    DATA = _data(0x08)
    length = 0x0C


class Msi64(Msi):
    """With 64 bits of address."""

    ADDRESS_UPPER = _upper()
    DATA = _data(0x0C)
    length = 0x10


class Msi32Masked(Msi):
    """With 32 bits of address, and masks."""

    DATA = _data(0x08)
    MASK, PENDING = _mask(0x0C), _pending(0x10)
    masks = True


class Msi64Masked(Msi):
    """With 64 bits of address, and masks."""

    ADDRESS_UPPER = _upper()
    DATA = _data(0x0C)
    MASK, PENDING = _mask(0x10), _pending(0x14)
    masks = True


def msi_layout(bits64: bool, maskable: bool) -> type[Msi]:
    """Which of the four layouts two bits of Message Control mean."""
    if maskable:
        return Msi64Masked if bits64 else Msi32Masked
    return Msi64 if bits64 else Msi32


class Vendor(Capability):
    """What a vendor has to say. Only its length is defined."""

    id = 0x09
    LENGTH = Reg(0x02, 1, spec="PCI 3.0 appendix H", doc="Bytes of this capability.")
    length = 4


class SubsystemId(Capability):
    """Who made the card, for a bridge, whose header has no room for it."""

    id = 0x0D
    SUBSYSTEM_VENDOR_ID = Reg(0x04, 2, spec="PCI bridge 1.2 3.2.5.13", doc="Who made the card.")
    SUBSYSTEM_ID = Reg(0x06, 2, spec="PCI bridge 1.2 3.2.5.13", doc="Which card.")

    def __init__(self, vendor: int = 0, device: int = 0) -> None:
        super().__init__()
        self.preset(SUBSYSTEM_VENDOR_ID=vendor, SUBSYSTEM_ID=device)


class Msix(Capability):
    """MSI-X: up to 2048 vectors, each with its own address and datum, in a table behind a BAR."""

    id = 0x11
    CONTROL = Reg(
        0x02,
        2,
        rw=0xC000,
        fields={"TABLE_SIZE": Bits(10, 0), "FUNCTION_MASK": Bits(14), "ENABLE": Bits(15)},
        spec=f"{MSIX_SPEC}.3",
        doc="Whether it is on, whether all of it is masked, and the number of vectors less one.",
    )
    TABLE = Reg(
        0x04,
        4,
        fields={"BIR": Bits(2, 0), "OFFSET": Bits(31, 3)},
        spec=f"{MSIX_SPEC}.4",
        doc="Which BAR the table is behind, and where.",
    )
    PBA = Reg(
        0x08,
        4,
        fields={"BIR": Bits(2, 0), "OFFSET": Bits(31, 3)},
        spec=f"{MSIX_SPEC}.5",
        doc="The same for the pending bits.",
    )
    table: MsixTable

    @classmethod
    def for_table(cls, table: MsixTable, bar: int) -> Msix:
        """The capability that describes `table`, behind BAR `bar`."""
        made = cls()
        made.table = table
        made.preset(CONTROL=table.vectors - 1, TABLE=bar, PBA=table.pba_offset | bar)
        return made

    @property
    def enabled(self) -> bool:
        """Whether the guest chose MSI-X."""
        return bool(Msix.CONTROL.ENABLE.get(self.CONTROL))

    def write_CONTROL(self, old: int, new: int) -> None:
        """The function mask is the table's too: what was pending may go now."""
        self.table.set_mask(not self.enabled or bool(Msix.CONTROL.FUNCTION_MASK.get(new)))

    def reset(self) -> None:
        """Off, and the table as after power-on."""
        super().reset()
        if hasattr(self, "table"):
            self.table.reset()


EXPRESS_TYPES = {
    "endpoint": 0,
    "legacy endpoint": 1,
    "root port": 4,
    "upstream port": 5,
    "downstream port": 6,
    "pcie-pci bridge": 7,
    "pci-pcie bridge": 8,
    "root complex integrated endpoint": 9,
    "root complex event collector": 10,
}
"""Device/Port Type by role (PCI Express 3.0, 7.8.2)."""

_SPEC = "PCI Express 3.0 7.8"


class Express(Capability):
    """What kind of PCI Express function it is, its link, its slot, and its limits."""

    id = 0x10
    EXPRESS_CAPABILITIES = Reg(
        0x02,
        2,
        reset=0x0002,
        fields={
            "VERSION": Bits(3, 0),
            "TYPE": Bits(7, 4),
            "SLOT": Bits(8),
            "INTERRUPT_MESSAGE": Bits(13, 9),
        },
        spec=f"{_SPEC}.2",
        doc="The version of this structure, and what the function is.",
    )
    DEVICE_CAPABILITIES = Reg(
        0x04,
        4,
        reset=0x0000_8000,
        fields={
            "MAX_PAYLOAD_SUPPORTED": Bits(2, 0),
            "PHANTOM_FUNCTIONS": Bits(4, 3),
            "EXTENDED_TAG": Bits(5),
            "L0S_LATENCY": Bits(8, 6),
            "L1_LATENCY": Bits(11, 9),
            "ROLE_BASED_ERROR_REPORTING": Bits(15),
            "SLOT_POWER_LIMIT": Bits(25, 18),
            "SLOT_POWER_SCALE": Bits(27, 26),
            "FLR": Bits(28),
        },
        spec=f"{_SPEC}.3",
        doc="The largest payload it can take, and whether it can be reset alone.",
    )
    DEVICE_CONTROL = Reg(
        0x08,
        2,
        reset=0x2810,
        rw=0xF8FF,
        fields={
            "CORRECTABLE": Bits(0),
            "NON_FATAL": Bits(1),
            "FATAL": Bits(2),
            "UNSUPPORTED_REQUEST": Bits(3),
            "RELAXED_ORDERING": Bits(4),
            "MAX_PAYLOAD": Bits(7, 5),
            "EXTENDED_TAG": Bits(8),
            "PHANTOM_FUNCTIONS": Bits(9),
            "AUX_POWER": Bits(10),
            "NO_SNOOP": Bits(11),
            "MAX_READ_REQUEST": Bits(14, 12),
            "INITIATE_FLR": Bits(15),
        },
        spec=f"{_SPEC}.4",
        doc="The largest payload and read request that it may use; a 1 in the top bit resets it.",
    )
    DEVICE_STATUS = Reg(
        0x0A,
        2,
        w1c=0x000F,
        fields={
            "CORRECTABLE": Bits(0),
            "NON_FATAL": Bits(1),
            "FATAL": Bits(2),
            "UNSUPPORTED_REQUEST": Bits(3),
            "AUX_POWER": Bits(4),
            "TRANSACTIONS_PENDING": Bits(5),
        },
        spec=f"{_SPEC}.5",
        doc="What went wrong, and whether requests of its own are still open.",
    )
    LINK_CAPABILITIES = Reg(
        0x0C,
        4,
        fields={
            "MAX_SPEED": Bits(3, 0),
            "MAX_WIDTH": Bits(9, 4),
            "ASPM": Bits(11, 10),
            "L0S_EXIT_LATENCY": Bits(14, 12),
            "L1_EXIT_LATENCY": Bits(17, 15),
            "CLOCK_PM": Bits(18),
            "SURPRISE_DOWN": Bits(19),
            "LINK_ACTIVE_REPORTING": Bits(20),
            "BANDWIDTH_NOTIFICATION": Bits(21),
            "PORT": Bits(31, 24),
        },
        spec=f"{_SPEC}.6",
        doc="How fast and how wide the link can be; the number of the port.",
    )
    LINK_CONTROL = Reg(
        0x10,
        2,
        rw=0x0FF8 & ~0x0020,
        fields={
            "ASPM": Bits(1, 0),
            "RCB": Bits(3),
            "DISABLE": Bits(4),
            "RETRAIN": Bits(5),
            "COMMON_CLOCK": Bits(6),
            "EXTENDED_SYNCH": Bits(7),
        },
        spec=f"{_SPEC}.7",
        doc="Power saving, retraining and disabling of the link.",
    )
    LINK_STATUS = Reg(
        0x12,
        2,
        fields={
            "SPEED": Bits(3, 0),
            "WIDTH": Bits(9, 4),
            "TRAINING": Bits(11),
            "SLOT_CLOCK": Bits(12),
            "LINK_ACTIVE": Bits(13),
        },
        spec=f"{_SPEC}.8",
        doc="How fast and how wide the link is.",
    )
    SLOT_CAPABILITIES = Reg(
        0x14,
        4,
        fields={
            "ATTENTION_BUTTON": Bits(0),
            "POWER_CONTROLLER": Bits(1),
            "HOT_PLUG_SURPRISE": Bits(5),
            "HOT_PLUG_CAPABLE": Bits(6),
            "SLOT_NUMBER": Bits(31, 19),
        },
        spec=f"{_SPEC}.9",
        doc="Which slot it is, and what can be done to it.",
    )
    SLOT_CONTROL = Reg(0x18, 2, spec=f"{_SPEC}.10", doc="Which events of the slot interrupt.")
    SLOT_STATUS = Reg(
        0x1A,
        2,
        fields={"PRESENCE_DETECT": Bits(6)},
        spec=f"{_SPEC}.11",
        doc="Whether a card is in the slot, and what changed.",
    )
    ROOT_CONTROL = Reg(0x1C, 2, rw=0x001F, spec=f"{_SPEC}.12", doc="Which errors are reported.")
    ROOT_CAPABILITIES = Reg(0x1E, 2, spec=f"{_SPEC}.13", doc="Whether software sees retries.")
    ROOT_STATUS = Reg(0x20, 4, spec=f"{_SPEC}.14", doc="Who sent a power management event.")
    DEVICE_CAPABILITIES_2 = Reg(
        0x24,
        4,
        fields={"COMPLETION_TIMEOUT": Bits(3, 0), "ARI_FORWARDING": Bits(5)},
        spec=f"{_SPEC}.15",
        doc="What version 2 added: time-outs, forwarding of ARI.",
    )
    DEVICE_CONTROL_2 = Reg(
        0x28,
        2,
        rw=0x001F,
        fields={"COMPLETION_TIMEOUT": Bits(3, 0), "ARI_FORWARDING": Bits(5)},
        spec=f"{_SPEC}.16",
        doc="The same, switched on.",
    )
    DEVICE_STATUS_2 = Reg(0x2A, 2, spec=f"{_SPEC}.17", doc="Reserved.")
    LINK_CAPABILITIES_2 = Reg(
        0x2C,
        4,
        fields={"SPEEDS": Bits(7, 1)},
        spec=f"{_SPEC}.18",
        doc="All speeds of the link, a bit each.",
    )
    LINK_CONTROL_2 = Reg(
        0x30,
        2,
        rw=0x000F,
        fields={"TARGET_SPEED": Bits(3, 0)},
        spec=f"{_SPEC}.19",
        doc="The speed to aim for.",
    )
    LINK_STATUS_2 = Reg(0x32, 2, spec=f"{_SPEC}.20", doc="How the link was trained.")
    SLOT_CAPABILITIES_2 = Reg(0x34, 4, spec=f"{_SPEC}.21", doc="Reserved.")
    SLOT_CONTROL_2 = Reg(0x38, 2, spec=f"{_SPEC}.22", doc="Reserved.")
    SLOT_STATUS_2 = Reg(0x3A, 2, spec=f"{_SPEC}.23", doc="Reserved.")

    def __init__(self, role: str = "endpoint", port: int = 0, slot: int = 0) -> None:
        super().__init__()
        if role not in EXPRESS_TYPES:
            raise ValueError(f"{role!r} is no role: {', '.join(EXPRESS_TYPES)}")
        self.role = role
        word = Express.EXPRESS_CAPABILITIES.TYPE.put(0x0002, EXPRESS_TYPES[role])
        word = Express.EXPRESS_CAPABILITIES.SLOT.put(word, bool(slot))
        self.preset(EXPRESS_CAPABILITIES=word)
        self._link(port)
        if slot:
            capabilities = Express.SLOT_CAPABILITIES.SLOT_NUMBER.put(0, slot)
            present = Express.SLOT_STATUS.PRESENCE_DETECT.mask
            self.preset(SLOT_CAPABILITIES=capabilities, SLOT_STATUS=present)
        if role in ("root port", "downstream port"):
            self.preset(DEVICE_CAPABILITIES_2=Express.DEVICE_CAPABILITIES_2.ARI_FORWARDING.mask)
            self.narrow(DEVICE_CONTROL_2=0x003F)
        if "endpoint" in role:
            capabilities = Express.DEVICE_CAPABILITIES.reset | Express.DEVICE_CAPABILITIES.FLR.mask
            self.preset(DEVICE_CAPABILITIES=capabilities)

    def _link(self, port: int) -> None:
        """2.5 GT/s, one lane; a function inside the root complex has no link (7.8.6)."""
        if "integrated" in self.role or "collector" in self.role:
            self.narrow(LINK_CONTROL=0, LINK_CONTROL_2=0)
            return
        word = Express.LINK_CAPABILITIES.MAX_WIDTH.put(1, 1)
        status = Express.LINK_STATUS.WIDTH.put(1, 1)
        self.preset(
            LINK_CAPABILITIES=Express.LINK_CAPABILITIES.PORT.put(word, port),
            LINK_STATUS=status,
            LINK_CAPABILITIES_2=Express.LINK_CAPABILITIES_2.SPEEDS.put(0, 1),
            LINK_CONTROL_2=1,
        )

    @property
    def max_payload(self) -> int:
        """Bytes of data in one packet, as the guest has set it and no more than it can."""
        can = Express.DEVICE_CAPABILITIES.MAX_PAYLOAD_SUPPORTED.get(self.DEVICE_CAPABILITIES)
        return 128 << min(Express.DEVICE_CONTROL.MAX_PAYLOAD.get(self.DEVICE_CONTROL), can)

    @property
    def max_read_request(self) -> int:
        """Bytes that one read request may ask for."""
        return 128 << min(Express.DEVICE_CONTROL.MAX_READ_REQUEST.get(self.DEVICE_CONTROL), 5)

    def take_flr(self) -> bool:
        """Whether a function level reset was asked for; the bit reads 0 again (7.8.4)."""
        bit = Express.DEVICE_CONTROL.INITIATE_FLR.mask
        asked = self.DEVICE_CONTROL & bit
        self.DEVICE_CONTROL &= ~bit
        able = Express.DEVICE_CAPABILITIES.FLR.get(self.DEVICE_CAPABILITIES)
        return bool(asked and able)
