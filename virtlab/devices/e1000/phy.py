"""The PHY: sixteen-bit registers behind `MDIC`, and the question whether there is a link.

The rule that keeps it simple: the link is up while the wire is, the PHY has power, and no
negotiation is under way. `settle` looks at these three after any change, and tells the card where
the answer is new.

    wire plugged in, or restart asked for  ->  link down  ->  AUTONEG_TIME  ->  link up

The partner at the far end can do everything, so a negotiation always ends in 1000 Mb/s full duplex.

Source: IEEE 802.3 22.2.4 (control and status), 28.2.4 (negotiation), 40.5.1 (1000BASE-T); 8254x SDM
13.4.7.1. Initial values as QEMU 7.2 has them, link up without a negotiation. Left out: the
registers of the analogue part.
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.backends.network import LinkEnd
from virtlab.clock import MILLISECOND, Clock, Timer
from virtlab.registers import Reg
from virtlab.wire import Bits

ADDRESS = 1
"""The PHY's address on the management bus (13.4.7)."""

AUTONEG_TIME = 500 * MILLISECOND
"""How long a negotiation takes (virtual ns), as in QEMU."""

CONTROL = Reg(
    0,
    2,
    name="CONTROL",
    reset=0x1140,
    rw=0x7DC0,
    fields={
        "SPEED_1000": Bits(6),
        "COLLISION_TEST": Bits(7),
        "DUPLEX": Bits(8),
        "RESTART": Bits(9),
        "ISOLATE": Bits(10),
        "POWER_DOWN": Bits(11),
        "AUTONEG": Bits(12),
        "SPEED_100": Bits(13),
        "LOOPBACK": Bits(14),
        "RESET": Bits(15),
    },
    spec="802.3 22.2.4.1",
)
STATUS = Reg(
    1,
    2,
    name="STATUS",
    reset=0x7949,
    access="r",
    fields={"LINK": Bits(2), "AUTONEG_ABLE": Bits(3), "AUTONEG_DONE": Bits(5)},
    spec="802.3 22.2.4.2",
)
PARTNER = Reg(
    5,
    2,
    name="PARTNER",
    reset=0x01E0,
    access="r",
    fields={"ACKNOWLEDGE": Bits(14)},
    spec="802.3 28.2.4.1.4",
)

REGISTERS = {
    reg.offset: reg
    for reg in (
        CONTROL,
        STATUS,
        Reg(2, 2, 0x0141, name="ID1", access="r", spec="802.3 22.2.4.3.1"),
        Reg(3, 2, 0x0C20, name="ID2", access="r", spec="802.3 22.2.4.3.1"),
        Reg(4, 2, 0x0DE1, 0xFFFF, name="ADVERTISEMENT", spec="802.3 28.2.4.1.3"),
        PARTNER,
        Reg(6, 2, name="EXPANSION", access="r", spec="802.3 28.2.4.1.5"),
        Reg(9, 2, 0x0E00, 0xFFFF, name="CONTROL_1000", spec="802.3 40.5.1.1"),
        Reg(10, 2, 0x3C00, name="STATUS_1000", access="r", spec="802.3 40.5.1.1"),
        Reg(16, 2, 0x0360, 0xFFFF, name="PSCON", spec="8254x SDM 13.4.7.1"),
        Reg(17, 2, 0xAC00, name="PSSTAT", access="r", spec="8254x SDM 13.4.7.1"),
        Reg(20, 2, 0x0D60, 0xFFFF, name="EPSCON", spec="8254x SDM 13.4.7.1"),
        Reg(21, 2, name="RXERRC", access="r", spec="8254x SDM 13.4.7.1"),
    )
}
"""The PHY's registers by number. The others fail, with the error bit of `MDIC`."""


class Phy:
    """The PHY on `wire`. `changed()` is called when the link goes up or down."""

    def __init__(self, clock: Clock, wire: LinkEnd, changed: Callable[[], None]) -> None:
        self.clock = clock
        self.wire = wire
        self.changed = changed
        self.negotiation: Timer | None = None
        wire.link_listener = self._wire_changed
        self.power_on()

    def power_on(self) -> None:
        """Registers as after power-on; where there is a wire the link is up at once."""
        self._forget()
        self.link = self.wire.up
        self.done = self.was_down = False

    def _forget(self) -> None:
        self._stop()
        self.values = {number: reg.reset for number, reg in REGISTERS.items()}

    def reset(self) -> None:
        """A reset by software: registers as after power-on, and a new negotiation (22.2.4.1.1)."""
        self._forget()
        self._negotiate()

    def has(self, field: str) -> bool:
        """Whether a one-bit field of the control register is set."""
        return bool(CONTROL.fields[field].get(self.values[CONTROL.offset]))

    # -- the management bus

    def read(self, number: int) -> int | None:
        """Register `number`; None if there is none."""
        if number == STATUS.offset:
            return self._status()
        if number == PARTNER.offset:
            return PARTNER.ACKNOWLEDGE.put(PARTNER.reset, self.done)
        return self.values.get(number)

    def _status(self) -> int:
        """The link bit latches low until it is read (22.2.4.2.13)."""
        link = self.link and not self.was_down
        self.was_down = not self.link
        return STATUS.AUTONEG_DONE.put(STATUS.LINK.put(STATUS.reset, link), self.done)

    def write(self, number: int, value: int) -> bool:
        """Set register `number`; False if it cannot be written."""
        reg = REGISTERS.get(number)
        if reg is None or reg.access == "r":
            return False
        powered = not self.has("POWER_DOWN")
        self.values[number] = value & reg.rw
        if reg is CONTROL:
            self._control(value, powered)
        return True

    def _control(self, value: int, powered: bool) -> None:
        """RESET and RESTART do their work and clear themselves (22.2.4.1.1, 22.2.4.1.7)."""
        if CONTROL.RESET.get(value):
            self.reset()
        elif self.has("AUTONEG") and (CONTROL.RESTART.get(value) or not powered):
            self._negotiate()
        else:
            if not self.has("AUTONEG"):  # speed and duplex are forced: nothing to agree on
                self._stop()
            self.settle()

    # -- the link

    def _wire_changed(self, up: bool) -> None:
        if up and self.has("AUTONEG"):
            self._negotiate()
        else:
            self.settle()

    def _stop(self) -> None:
        """End a negotiation that is under way, with no result."""
        if self.negotiation is not None:
            self.negotiation.cancel()
            self.negotiation = None

    def _negotiate(self) -> None:
        self._stop()
        self.done = False
        self.negotiation = self.clock.after(AUTONEG_TIME, self._agreed)
        self.settle()

    def _agreed(self) -> None:
        self.negotiation = None
        self.done = self.wire.up and not self.has("POWER_DOWN")
        self.settle()

    def settle(self) -> None:
        """See whether there is a link now, and say so if that is news."""
        up = self.wire.up and not self.has("POWER_DOWN") and self.negotiation is None
        if up == self.link:
            return
        self.link = up
        if not up:
            self.done = False
            self.was_down = True
        self.changed()
