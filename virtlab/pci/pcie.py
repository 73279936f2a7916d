"""The PCI Express capability: what kind of function it is, its link, its slot, and its limits.

    0x02  what it is                   0x04 device   0x0C link   0x14 slot   0x1C root port
    0x24  the second set, version 2    0x24 device   0x2C link   0x34 slot

Each of device, link and slot has three registers: what it can, what it is told, how it is.

Version 2 has a place for all of them, whatever the function is. Version 1 ends where the function
has no more to say; `express_length` says where.

Source: PCI Express 3.0, 7.8.
"""

from __future__ import annotations

from virtlab.pci.config import Capability
from virtlab.registers import Reg
from virtlab.wire import Bits

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

INSIDE = ("root complex integrated endpoint", "root complex event collector")
"""Roles that have no link (7.8.6)."""

WITH_SLOT = ("root port", "downstream port")
"""Roles that may have a slot (7.8.2)."""

AT_ROOT = ("root port", "root complex event collector")
"""Roles that have root registers (7.8.12)."""

LAMP_ON, LAMP_OFF = 1, 3
"""What an indicator of a slot can be told; 2 lets it blink (7.8.10)."""

SPEEDS = (2.5, 5.0, 8.0, 16.0, 32.0, 64.0)
"""GT/s, by the number of the speed less one."""

SMALLEST_PAYLOAD, LARGEST_PAYLOAD = 128, 4096
"""Bytes that one packet can carry, least and most (7.8.3)."""

_SPEC = "PCI Express 3.0 7.8"

_ERRORS = {
    "CORRECTABLE": Bits(0),
    "NON_FATAL": Bits(1),
    "FATAL": Bits(2),
    "UNSUPPORTED_REQUEST": Bits(3),
}


class Express(Capability):
    """Version 2 of the capability, for a function with the `role` that is given.

    `port` is the number of the port. A `slot` above 0 is the number of a slot with a card in it.
    `speed` is the number of the fastest speed (1: 2.5 GT/s), `width` the lanes, `payload` the most
    bytes in one packet.
    """

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
            **_ERRORS,
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
        fields={**_ERRORS, "AUX_POWER": Bits(4), "TRANSACTIONS_PENDING": Bits(5)},
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
            "ASPM_OPTIONALITY": Bits(22),
            "PORT": Bits(31, 24),
        },
        spec=f"{_SPEC}.6",
        doc="How fast and how wide the link can be; the number of the port.",
    )
    LINK_CONTROL = Reg(
        0x10,
        2,
        rw=0x0FD8,
        fields={
            "ASPM": Bits(1, 0),
            "RCB": Bits(3),
            "DISABLE": Bits(4),
            "RETRAIN": Bits(5),
            "COMMON_CLOCK": Bits(6),
            "EXTENDED_SYNCH": Bits(7),
            "CLOCK_PM": Bits(8),
            "AUTONOMOUS_WIDTH_DISABLE": Bits(9),
            "BANDWIDTH_INTERRUPT": Bits(10),
            "AUTONOMOUS_BANDWIDTH_INTERRUPT": Bits(11),
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
            "BANDWIDTH_CHANGED": Bits(14),
            "AUTONOMOUS_BANDWIDTH_CHANGED": Bits(15),
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
            "MRL_SENSOR": Bits(2),
            "ATTENTION_INDICATOR": Bits(3),
            "POWER_INDICATOR": Bits(4),
            "HOT_PLUG_SURPRISE": Bits(5),
            "HOT_PLUG_CAPABLE": Bits(6),
            "POWER_LIMIT": Bits(14, 7),
            "POWER_SCALE": Bits(16, 15),
            "INTERLOCK": Bits(17),
            "NO_COMMAND_COMPLETED": Bits(18),
            "SLOT_NUMBER": Bits(31, 19),
        },
        spec=f"{_SPEC}.9",
        doc="Which slot it is, and what can be done to it.",
    )
    SLOT_CONTROL = Reg(
        0x18,
        2,
        fields={
            "ATTENTION_BUTTON": Bits(0),
            "POWER_FAULT": Bits(1),
            "MRL_SENSOR": Bits(2),
            "PRESENCE_DETECT": Bits(3),
            "COMMAND_COMPLETED": Bits(4),
            "HOT_PLUG_INTERRUPT": Bits(5),
            "ATTENTION_INDICATOR": Bits(7, 6),
            "POWER_INDICATOR": Bits(9, 8),
            "POWER_OFF": Bits(10),
            "INTERLOCK": Bits(11),
            "LINK_STATE": Bits(12),
        },
        spec=f"{_SPEC}.10",
        doc="Which events of the slot interrupt; its lamps, its power.",
    )
    SLOT_STATUS = Reg(
        0x1A,
        2,
        fields={
            "ATTENTION_BUTTON": Bits(0),
            "POWER_FAULT": Bits(1),
            "MRL_SENSOR_CHANGED": Bits(2),
            "PRESENCE_CHANGED": Bits(3),
            "COMMAND_COMPLETED": Bits(4),
            "MRL_OPEN": Bits(5),
            "PRESENCE_DETECT": Bits(6),
            "INTERLOCK": Bits(7),
            "LINK_STATE_CHANGED": Bits(8),
        },
        spec=f"{_SPEC}.11",
        doc="Whether a card is in the slot, and what changed.",
    )
    ROOT_CONTROL = Reg(
        0x1C,
        2,
        rw=0x001F,
        fields={
            "SERR_ON_CORRECTABLE": Bits(0),
            "SERR_ON_NON_FATAL": Bits(1),
            "SERR_ON_FATAL": Bits(2),
            "PME_INTERRUPT": Bits(3),
            "RETRY_VISIBLE": Bits(4),
        },
        spec=f"{_SPEC}.12",
        doc="Which errors are reported to the system.",
    )
    ROOT_CAPABILITIES = Reg(
        0x1E,
        2,
        fields={"RETRY_VISIBLE": Bits(0)},
        spec=f"{_SPEC}.13",
        doc="Whether software can see that a device asks to be tried again.",
    )
    ROOT_STATUS = Reg(
        0x20,
        4,
        fields={
            "PME_REQUESTER": Bits(15, 0),
            "PME_STATUS": Bits(16),
            "PME_PENDING": Bits(17),
        },
        spec=f"{_SPEC}.14",
        doc="Who sent a power management event.",
    )
    DEVICE_CAPABILITIES_2 = Reg(
        0x24,
        4,
        fields={
            "COMPLETION_TIMEOUT": Bits(3, 0),
            "COMPLETION_TIMEOUT_DISABLE": Bits(4),
            "ARI_FORWARDING": Bits(5),
            "ATOMIC_ROUTING": Bits(6),
            "ATOMIC_32": Bits(7),
            "ATOMIC_64": Bits(8),
            "CAS_128": Bits(9),
            "LTR": Bits(11),
            "TPH_COMPLETER": Bits(13, 12),
            "OBFF": Bits(19, 18),
            "EXTENDED_FORMAT": Bits(20),
            "END_END_PREFIX": Bits(21),
            "MAX_END_END_PREFIXES": Bits(23, 22),
        },
        spec=f"{_SPEC}.15",
        doc="What version 2 added: time-outs, forwarding of ARI, atomics, prefixes.",
    )
    DEVICE_CONTROL_2 = Reg(
        0x28,
        2,
        rw=0x001F,
        fields={
            "COMPLETION_TIMEOUT": Bits(3, 0),
            "COMPLETION_TIMEOUT_DISABLE": Bits(4),
            "ARI_FORWARDING": Bits(5),
            "ATOMIC_REQUESTER": Bits(6),
            "ATOMIC_EGRESS_BLOCK": Bits(7),
            "IDO_REQUEST": Bits(8),
            "IDO_COMPLETION": Bits(9),
            "LTR": Bits(10),
            "OBFF": Bits(14, 13),
            "END_END_PREFIX_BLOCK": Bits(15),
        },
        spec=f"{_SPEC}.16",
        doc="The same, switched on.",
    )
    DEVICE_STATUS_2 = Reg(0x2A, 2, spec=f"{_SPEC}.17", doc="Reserved.")
    LINK_CAPABILITIES_2 = Reg(
        0x2C,
        4,
        fields={"SPEEDS": Bits(7, 1), "CROSSLINK": Bits(8)},
        spec=f"{_SPEC}.18",
        doc="All speeds of the link, a bit each.",
    )
    LINK_CONTROL_2 = Reg(
        0x30,
        2,
        rw=0x000F,
        fields={
            "TARGET_SPEED": Bits(3, 0),
            "ENTER_COMPLIANCE": Bits(4),
            "AUTONOMOUS_SPEED_DISABLE": Bits(5),
            "SELECTABLE_DEEMPHASIS": Bits(6),
            "TRANSMIT_MARGIN": Bits(9, 7),
            "ENTER_MODIFIED_COMPLIANCE": Bits(10),
            "COMPLIANCE_SOS": Bits(11),
            "COMPLIANCE_PRESET": Bits(15, 12),
        },
        spec=f"{_SPEC}.19",
        doc="The speed to aim for.",
    )
    LINK_STATUS_2 = Reg(
        0x32,
        2,
        fields={
            "DEEMPHASIS": Bits(0),
            "EQUALIZATION_COMPLETE": Bits(1),
            "EQUALIZATION_PHASE_1": Bits(2),
            "EQUALIZATION_PHASE_2": Bits(3),
            "EQUALIZATION_PHASE_3": Bits(4),
            "EQUALIZATION_REQUEST": Bits(5),
        },
        spec=f"{_SPEC}.20",
        doc="How the link was trained.",
    )
    SLOT_CAPABILITIES_2 = Reg(0x34, 4, spec=f"{_SPEC}.21", doc="Reserved.")
    SLOT_CONTROL_2 = Reg(0x38, 2, spec=f"{_SPEC}.22", doc="Reserved.")
    SLOT_STATUS_2 = Reg(0x3A, 2, spec=f"{_SPEC}.23", doc="Reserved.")

    def __init__(
        self,
        role: str = "endpoint",
        port: int = 0,
        slot: int = 0,
        *,
        speed: int = 1,
        width: int = 1,
        payload: int = SMALLEST_PAYLOAD,
    ) -> None:
        super().__init__()
        if role not in EXPRESS_TYPES:
            raise ValueError(f"{role!r} is no role: {', '.join(EXPRESS_TYPES)}")
        if slot and role not in WITH_SLOT:
            raise ValueError(f"{role}: no slot; only these have one: {', '.join(WITH_SLOT)}")
        self.role = role
        self._device(role, payload)
        if role in INSIDE:
            self.narrow(LINK_CONTROL=0, LINK_CONTROL_2=0)
        else:
            self._link(port, speed, width)
        if slot:
            self._slot(slot)
        if role in WITH_SLOT:
            self.preset(DEVICE_CAPABILITIES_2=Express.DEVICE_CAPABILITIES_2.ARI_FORWARDING.mask)
            self.narrow(DEVICE_CONTROL_2=0x003F)
        if role not in AT_ROOT:
            self.narrow(ROOT_CONTROL=0)

    def _device(self, role: str, payload: int) -> None:
        if not SMALLEST_PAYLOAD <= payload <= LARGEST_PAYLOAD or payload & (payload - 1):
            raise ValueError(f"a payload is 128, 256, 512, 1024, 2048 or 4096, not {payload}")
        kind = Express.EXPRESS_CAPABILITIES
        can = Express.DEVICE_CAPABILITIES
        word = can.MAX_PAYLOAD_SUPPORTED.put(can.reset, (payload // 128).bit_length() - 1)
        self.preset(
            EXPRESS_CAPABILITIES=kind.TYPE.put(kind.reset, EXPRESS_TYPES[role]),
            DEVICE_CAPABILITIES=can.FLR.put(word, "endpoint" in role),
        )

    def _link(self, port: int, speed: int, width: int) -> None:
        if not 1 <= speed <= len(SPEEDS):
            raise ValueError(f"a link's speed is 1 to {len(SPEEDS)}, not {speed}")
        if width not in (1, 2, 4, 8, 12, 16, 32):
            raise ValueError(f"a link has 1, 2, 4, 8, 12, 16 or 32 lanes, not {width}")
        can, now = Express.LINK_CAPABILITIES, Express.LINK_STATUS
        word = can.MAX_WIDTH.put(can.MAX_SPEED.put(0, speed), width)
        self.preset(
            LINK_CAPABILITIES=can.PORT.put(word, port),
            LINK_STATUS=now.WIDTH.put(now.SPEED.put(0, speed), width),
            LINK_CAPABILITIES_2=Express.LINK_CAPABILITIES_2.SPEEDS.put(0, (1 << speed) - 1),
            LINK_CONTROL_2=speed,
        )

    def _slot(self, slot: int) -> None:
        """A slot with a card in it and two lamps, which software switches."""
        can, lamps = Express.SLOT_CAPABILITIES, Express.SLOT_CONTROL
        both = can.ATTENTION_INDICATOR.mask | can.POWER_INDICATOR.mask
        now = lamps.ATTENTION_INDICATOR.put(lamps.POWER_INDICATOR.put(0, LAMP_ON), LAMP_OFF)
        self.preset(
            EXPRESS_CAPABILITIES=self.EXPRESS_CAPABILITIES | Express.EXPRESS_CAPABILITIES.SLOT.mask,
            SLOT_CAPABILITIES=can.SLOT_NUMBER.put(both, slot),
            SLOT_CONTROL=now,
            SLOT_STATUS=Express.SLOT_STATUS.PRESENCE_DETECT.mask,
        )
        self.narrow(SLOT_CONTROL=lamps.ATTENTION_INDICATOR.mask | lamps.POWER_INDICATOR.mask)

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

    def kept_by_flr(self) -> dict[str, int]:
        """What a function level reset leaves alone, by register: the link's settings (6.6.2)."""
        payload = Express.DEVICE_CONTROL.MAX_PAYLOAD
        link = Express.LINK_CONTROL
        kept = link.ASPM.mask | link.RCB.mask | link.COMMON_CLOCK.mask | link.EXTENDED_SYNCH.mask
        return {
            "DEVICE_CONTROL": payload.put(
                Express.DEVICE_CONTROL.reset, payload.get(self.DEVICE_CONTROL)
            ),
            "LINK_CONTROL": self.LINK_CONTROL & kept,
        }


def express_length(word: int) -> int:
    """Bytes of the structure whose second word, PCI Express Capabilities, is `word`.

    Version 1 has slot registers where there is a slot, and root registers at the root
    (PCI Express 1.1, 7.8).
    """
    fields = Express.EXPRESS_CAPABILITIES.decode(word)
    if fields["VERSION"] >= 2:
        return Express.length
    role = {number: name for name, number in EXPRESS_TYPES.items()}.get(fields["TYPE"])
    if role in AT_ROOT:
        return Express.DEVICE_CAPABILITIES_2.offset
    if fields["SLOT"]:
        return Express.ROOT_CONTROL.offset
    return (Express.LINK_CAPABILITIES if role in INSIDE else Express.SLOT_CAPABILITIES).offset
