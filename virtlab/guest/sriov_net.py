"""The host's driver of a network card with virtual functions: what each VF may be.

    ports = PortDriver(cpu, found.bar(CONTROL_BAR))
    ports.apply(1, PortSettings(mac, vlan=5))       ports.load(1)

The idea: a VF's own driver runs in a guest, and cannot be trusted. Address, VLAN and cable of a VF
are set here, by whoever owns the physical function.

The rule that keeps it simple: settings are read and written whole.

`may_enable` is the rule of virtio for such a card: SR_IOV is negotiated before VFs are made.

Source: virtio 1.3 6.1 (SR_IOV). The registers are our own: see `virtlab.virtio.sriov_net`.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.backends.network import is_group
from virtlab.cpu import Cpu
from virtlab.guest.virtio_device import VirtioDriver
from virtlab.guest.virtio_net import NET_FEATURES
from virtlab.registers import Reg
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.net_layouts import MAC_BYTES
from virtlab.virtio.sriov_net import Answer, Command, PortControl

PHYSICAL_FEATURES: Features = NET_FEATURES | {Feature.SR_IOV}
"""What a driver of the physical function understands of it."""


class PortSettings(NamedTuple):
    """What one VF may be: `vlan` 0 is the untagged network; `link` is whether its cable is in."""

    mac: bytes
    vlan: int = 0
    spoof_check: bool = True
    link: bool = True


class PortCounts(NamedTuple):
    """Frames of one VF so far."""

    sent: int
    received: int
    spoofed: int


class PortRefused(Exception):
    """The card did not do what it was told; `answer` says why."""

    def __init__(self, number: int, answer: Answer) -> None:
        super().__init__(f"VF {number}: {answer.name}")
        self.answer = answer


class PortDriver:
    """The form at `base` (gpa)."""

    def __init__(self, cpu: Cpu, base: int) -> None:
        self.cpu, self.base = cpu, base

    def _get(self, reg: Reg) -> int:
        return self.cpu.load(self.base + reg.offset, reg.width)

    def _put(self, reg: Reg, value: int) -> None:
        self.cpu.store(self.base + reg.offset, value, reg.width)

    def _do(self, number: int, command: Command) -> None:
        self._put(PortControl.PORT, number)
        self._put(PortControl.COMMAND, command)
        answer = Answer(self._get(PortControl.ANSWER))
        if answer != Answer.DONE:
            raise PortRefused(number, answer)

    def load(self, number: int) -> tuple[PortSettings, PortCounts]:
        """The settings and counts of VF `number`, from 1. `PortRefused` if there is none."""
        self._do(number, Command.LOAD)
        mac = self._get(PortControl.MAC_LOW) | self._get(PortControl.MAC_HIGH) << 32
        flags = PortControl.FLAGS.decode(self._get(PortControl.FLAGS))
        settings = PortSettings(
            mac.to_bytes(MAC_BYTES, "little"),
            self._get(PortControl.VLAN),
            bool(flags["SPOOF_CHECK"]),
            bool(flags["LINK"]),
        )
        counted = (PortControl.SENT, PortControl.RECEIVED, PortControl.SPOOFED)
        return settings, PortCounts(*(self._get(reg) for reg in counted))

    def apply(self, number: int, settings: PortSettings) -> None:
        """Set all of VF `number`. `PortRefused` if the card does not take it.

        `ValueError` for what is no station's address, and no VLAN.
        """
        if len(settings.mac) != MAC_BYTES or is_group(settings.mac):
            raise ValueError(f"a station's address has {MAC_BYTES} bytes, not {settings.mac.hex()}")
        if not 0 <= settings.vlan <= PortControl.VLAN.rw:
            raise ValueError(f"a VLAN is 12 bits, not {settings.vlan}")
        mac = int.from_bytes(settings.mac, "little")
        self._put(PortControl.MAC_LOW, mac & 0xFFFF_FFFF)
        self._put(PortControl.MAC_HIGH, mac >> 32)
        self._put(PortControl.VLAN, settings.vlan)
        flags = PortControl.FLAGS.SPOOF_CHECK.put(0, settings.spoof_check)
        self._put(PortControl.FLAGS, PortControl.FLAGS.LINK.put(flags, settings.link))
        self._do(number, Command.APPLY)


def may_enable(physical: VirtioDriver) -> bool:
    """Whether the driver may make VFs: SR_IOV is negotiated, FEATURES_OK was read back (6.1)."""
    return Feature.SR_IOV in physical.features
