"""Which frames are for this station.

    VLAN filter     RCTL.VFE: a tagged frame must have its bit in VFTA
    then one of     promiscuous     RCTL.UPE for stations, MPE for groups
                    broadcast       RCTL.BAM
                    exact           one of 16 addresses in RA, where Address Valid is set
                    inexact         12 bits of the address pick a bit of MTA, 4096 bits

The rule that keeps it simple: the address filter answers `EXACT`, `INEXACT` or None. Software must
look again at what came through the inexact filter; the card says so by PIF.

Source: 8254x SDM 3.2.1, 9.4, 13.4.22, 13.5.
"""

from __future__ import annotations

from virtlab.backends.network import BROADCAST, is_group
from virtlab.devices.e1000.memories import Table
from virtlab.devices.e1000.registers import General
from virtlab.devices.e1000.rings import ReceiveRing

EXACT, INEXACT = "exact", "inexact"

ADDRESS_VALID = 1 << 31

HASH_SHIFTS = (4, 3, 2, 0)
"""How far the last 16 bits of an address are shifted, by RCTL.MO."""


def address_words(mac: bytes) -> tuple[int, int]:
    """RAL and RAH of an address, with Address Valid (13.5.2)."""
    low, high = int.from_bytes(mac[:4], "little"), int.from_bytes(mac[4:6], "little")
    return low, high | ADDRESS_VALID


def hash_of(address: bytes, offset: int) -> int:
    """The bit of MTA that an address picks: 12 bits, chosen by RCTL.MO (13.5.1).

    The example of 13.5.1: 12:34:56:78:9a:bc with MO 0 is row 94, bit 9.

    >>> divmod(hash_of(bytes.fromhex("123456789abc"), 0), 32)
    (94, 9)
    """
    return int.from_bytes(address[4:6], "little") >> HASH_SHIFTS[offset] & 0xFFF


def is_tagged(frame: bytes, vet: int) -> bool:
    """Whether the frame has a VLAN tag of type `vet` (9.1)."""
    return len(frame) >= 18 and int.from_bytes(frame[12:14], "big") == vet & 0xFFFF


class Filters:
    """Decides by the registers and the tables as they stand."""

    def __init__(self, receive: ReceiveRing, general: General, tables: dict[str, Table]) -> None:
        self.receive = receive
        self.general = general
        self.tables = tables

    def match(self, frame: bytes) -> str | None:
        """`EXACT`, `INEXACT`, or None for a frame that is not for this station."""
        return self._address(frame[:6]) if self._vlan(frame) else None

    def _vlan(self, frame: bytes) -> bool:
        if not self._has("VFE") or not is_tagged(frame, self.general.VET):
            return True
        number = int.from_bytes(frame[14:16], "big") & 0xFFF
        return bool(self.tables["VFTA"].words[number >> 5] >> (number & 31) & 1)

    def _address(self, address: bytes) -> str | None:
        promiscuous = self._has("MPE" if is_group(address) else "UPE")
        if promiscuous or (address == BROADCAST and self._has("BAM")) or self._stored(address):
            return EXACT
        bit = hash_of(address, ReceiveRing.RCTL.MO.get(self.receive.RCTL))
        return INEXACT if self.tables["MTA"].words[bit >> 5] >> (bit & 31) & 1 else None

    def _stored(self, address: bytes) -> bool:
        words = self.tables["RA"].words
        low, high = address_words(address)
        return any(
            words[at] == low and words[at + 1] & 0x8000FFFF == high for at in range(0, 32, 2)
        )

    def _has(self, field: str) -> bool:
        return bool(ReceiveRing.RCTL.fields[field].get(self.receive.RCTL))
