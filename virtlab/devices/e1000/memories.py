"""The 82540EM's registers, part three: tables of many equal dwords, and counters.

The rule that keeps it simple: a table is one line, a counter is one line. A table remembers what
was written, under a mask. A counter counts up, stays at its maximum, and a read clears it. Some
counters have 64 bits; reading the upper half clears both (13.7).

Source: 8254x SDM 13.5 (filters), 13.6 (wake-up), 13.7 (statistics), 13.8.11 (packet buffer).
"""

from __future__ import annotations

from collections.abc import Iterator

from virtlab.registers import Reg
from virtlab.wire import all_ones


class Table:
    """`count` dwords from `offset`, one every `stride` bytes; what lies between reads as 0.

    `masks` are the writable bits, by turns: an address register is a pair of dwords.
    """

    def __init__(
        self,
        name: str,
        offset: int,
        count: int,
        spec: str,
        *,
        masks: tuple[int, ...] = (0xFFFFFFFF,),
        stride: int = 4,
    ) -> None:
        self.name, self.offset, self.count, self.spec = name, offset, count, f"8254x SDM {spec}"
        self.masks, self.stride = masks, stride
        self.words = [0] * count

    @property
    def end(self) -> int:
        """The first offset after it."""
        return self.offset + self.count * self.stride

    def reset(self) -> None:
        """All zero."""
        self.words = [0] * self.count

    def read(self, offset: int, size: int) -> int:
        """`size` bytes inside one dword at `offset`, counted from the start of the table."""
        index, inside = divmod(offset, self.stride)
        word = self.words[index] if inside < 4 else 0
        return word >> 8 * (inside & 3) & all_ones(size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Change the written bytes of one dword, as far as they are writable."""
        index, inside = divmod(offset, self.stride)
        if inside < 4:
            shift = 8 * inside
            lanes = all_ones(size) << shift & self.masks[index % len(self.masks)]
            self.words[index] = self.words[index] & ~lanes | value << shift & lanes


RAH_MASK = 0x8003FFFF
"""Address Valid, Address Select and 16 bits of address (13.5.3)."""


def tables() -> dict[str, Table]:
    """New tables, all zero, by name."""
    made = [
        Table("MTA", 0x05200, 128, "13.5.1"),
        Table("RA", 0x05400, 32, "13.5.2", masks=(0xFFFFFFFF, RAH_MASK)),
        Table("VFTA", 0x05600, 128, "13.5.4"),
        Table("IP4AT", 0x05840, 4, "13.6.5", stride=8),
        Table("IP6AT", 0x05880, 4, "13.6.6"),
        Table("WUPM", 0x05A00, 32, "13.6.8", masks=(0,)),
        Table("FFLT", 0x05F00, 4, "13.6.9", masks=(0x7FF,), stride=8),
        Table("FFMT", 0x09000, 128, "13.6.10", masks=(0xF,), stride=8),
        Table("FFVT", 0x09800, 128, "13.6.11", stride=8),
        Table("PBM", 0x10000, 16384, "13.8.11"),
    ]
    return {table.name: table for table in made}


_NAMES = """
CRCERRS=4000 ALGNERRC=4004 SYMERRS=4008 RXERRC=400C MPC=4010 SCC=4014 ECOL=4018 MCC=401C
LATECOL=4020 COLC=4028 DC=4030 TNCRS=4034 SEC=4038 CEXTERR=403C RLEC=4040 XONRXC=4048 XONTXC=404C
XOFFRXC=4050 XOFFTXC=4054 FCRUC=4058 PRC64=405C PRC127=4060 PRC255=4064 PRC511=4068 PRC1023=406C
PRC1522=4070 GPRC=4074 BPRC=4078 MPRC=407C GPTC=4080 GORC=4088/8 GOTC=4090/8 RNBC=40A0 RUC=40A4
RFC=40A8 ROC=40AC RJC=40B0 MGTPRC=40B4 MGTPDC=40B8 MGTPTC=40BC TOR=40C0/8 TOT=40C8/8 TPR=40D0
TPT=40D4 PTC64=40D8 PTC127=40DC PTC255=40E0 PTC511=40E4 PTC1023=40E8 PTC1522=40EC MPTC=40F0
BPTC=40F4 TSCTC=40F8 TSCTFC=40FC
"""
"""Every counter in the order of 13.7.1 to 13.7.54: name, offset, and `/8` where it has 64 bits."""


def _declare() -> Iterator[Reg]:
    for number, entry in enumerate(_NAMES.split(), 1):
        name, _, place = entry.partition("=")
        offset, _, width = place.partition("/")
        yield Reg(
            int(offset, 16), int(width or 4), name=name, access="r", spec=f"8254x SDM 13.7.{number}"
        )


COUNTERS: dict[str, Reg] = {reg.name: reg for reg in _declare()}
"""The declaration of each counter, by name."""

LENGTHS = (64, 127, 255, 511, 1023, 1522)
"""The upper bounds of the counters by length, PRC64 to PRC1522 and PTC64 to PTC1522 (13.7.21)."""


class Statistics:
    """The counters. `add` counts; a read through the bus clears."""

    offset, end = 0x4000, 0x4100

    def __init__(self) -> None:
        self.values = dict.fromkeys(COUNTERS, 0)
        self._at = {
            reg.offset + half: (reg, half)
            for reg in COUNTERS.values()
            for half in range(0, reg.width, 4)
        }

    def reset(self) -> None:
        """All zero (14.8)."""
        self.values = dict.fromkeys(COUNTERS, 0)

    def add(self, name: str, amount: int = 1) -> None:
        """Count `amount` more; at its maximum a counter stays (13.7)."""
        total = self.values[name] + amount
        self.values[name] = min(total, all_ones(COUNTERS[name].width))

    def add_length(self, prefix: str, length: int) -> None:
        """Count a packet of `length` bytes, CRC included, in `PRC...` or `PTC...` by its size."""
        if length >= LENGTHS[0]:
            bound = next((each for each in LENGTHS if length <= each), LENGTHS[-1])
            self.add(f"{prefix}{bound}")

    def read(self, offset: int, size: int) -> int:
        """Bytes of one dword; the counter is cleared, if this was its upper or only half."""
        reg, half = self._at.get(Statistics.offset + (offset & ~3), (None, 0))
        if reg is None:
            return 0
        value = self.values[reg.name] >> 8 * half
        if half + 4 == reg.width:
            self.values[reg.name] = 0
        return value >> 8 * (offset & 3) & all_ones(size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Counters are read-only."""
