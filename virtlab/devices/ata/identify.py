"""IDENTIFY DEVICE: 256 words in which a drive says what it is.

The idea: the layout is declared once, as a NumPy dtype of 512 bytes. The drive fills a record of
it, the guest driver reads one. The words that no field names are zero.

Strings are ASCII, padded with blanks, and the two characters of each word are swapped: the first is
in the upper byte.

    >>> swapped("QM00001", 8)
    b'MQ0000 1'

Source: ATA-6, IDENTIFY DEVICE, table of words; the values are those of QEMU 7.2, except for what
this drive has not: SMART (words 82 and 85, bit 0) and TRIM (words 69 and 169).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from virtlab.backends.disk import SECTOR
from virtlab.devices.ata.registers import FASTEST, Mode
from virtlab.devices.ata.settings import MAX_MULTIPLE, Settings
from virtlab.devices.ata.task_file import Geometry
from virtlab.wire import Bits, u16, u32, u64

# fmt: off
_FIELDS = (
    (0, "GENERAL", u16),              # bit 15 is 0: an ATA drive; bit 6 is 1: not removable
    (1, "CYLINDERS", u16),            # the default geometry
    (3, "HEADS", u16),
    (4, "TRACK_BYTES", u16),          # retired since ATA-2: unformatted bytes of a track
    (5, "SECTOR_BYTES", u16),         # retired
    (6, "SECTORS_PER_TRACK", u16),
    (10, "SERIAL", "S20"),
    (20, "BUFFER_TYPE", u16),         # retired; 3: caches, two ports
    (21, "BUFFER_SECTORS", u16),      # retired
    (22, "ECC_BYTES", u16),           # obsolete
    (23, "FIRMWARE", "S8"),
    (27, "MODEL", "S40"),
    (47, "MAX_MULTIPLE", u16),        # 80h, and the most sectors of a block
    (48, "DWORD_IO", u16),            # reserved since ATA-2: 32-bit access to DATA
    (49, "CAPABILITIES", u16),
    (51, "PIO_TIMING", u16),          # retired: the mode in the upper byte
    (52, "DMA_TIMING", u16),          # retired
    (53, "VALID", u16),               # bit 0: words 54-58, bit 1: words 64-70, bit 2: word 88
    (54, "CURRENT_CYLINDERS", u16),
    (55, "CURRENT_HEADS", u16),
    (56, "CURRENT_SECTORS_PER_TRACK", u16),
    (57, "CURRENT_CAPACITY", u32),    # sectors that CHS can address
    (59, "MULTIPLE", u16),            # bit 8: the lower byte is the block that is set
    (60, "LBA_SECTORS", u32),         # sectors that 28 bits can address
    (62, "SINGLE_WORD_DMA", u16),     # retired: like the next
    (63, "MULTIWORD_DMA", u16),       # bits 2-0: the modes there are, 10-8: the one that is set
    (64, "PIO_MODES", u16),           # bit 0: mode 3, bit 1: mode 4
    (65, "MIN_DMA_CYCLE", u16),       # ns
    (66, "BEST_DMA_CYCLE", u16),      # ns
    (67, "MIN_PIO_CYCLE", u16),       # ns
    (68, "MIN_PIO_CYCLE_IORDY", u16), # ns
    (80, "MAJOR_VERSION", u16),       # bit n: ATA-n
    (81, "MINOR_VERSION", u16),
    (82, "COMMANDS_1", u16),          # supported: bit 5 write cache, bit 14 NOP
    (83, "COMMANDS_2", u16),          # supported
    (84, "COMMANDS_3", u16),
    (85, "ENABLED_1", u16),           # the same three, as they are enabled now
    (86, "ENABLED_2", u16),
    (87, "ENABLED_3", u16),
    (88, "ULTRA_DMA", u16),           # like word 63
    (93, "HARDWARE_RESET", u16),      # what device 0 saw at its reset
    (100, "LBA48_SECTORS", u64),
    (106, "SECTOR_SIZE", u16),        # bits 3-0: log2 of the sectors of a physical one
)
# fmt: on

IDENTIFY = np.dtype(
    {
        "names": [name for _, name, _ in _FIELDS],
        "formats": [kind for _, _, kind in _FIELDS],
        "offsets": [2 * word for word, _, _ in _FIELDS],
        "itemsize": SECTOR,
    }
)
"""The 256 words; words of two and four are one field."""

DMA_SUPPORTED, LBA_SUPPORTED = Bits(8), Bits(9)
"""Fields of CAPABILITIES."""

WRITE_CACHE = Bits(5)
"""Field of COMMANDS_1 and ENABLED_1."""

LBA48, FLUSH, FLUSH_EXT = Bits(10), Bits(12), Bits(13)
"""Fields of COMMANDS_2 and ENABLED_2."""

MULTIPLE_SECTORS, MULTIPLE_VALID = Bits(7, 0), Bits(8)
"""Fields of MULTIPLE; MAX_MULTIPLE has the first as well."""

MODES_SUPPORTED, MODES_SELECTED = Bits(7, 0), Bits(15, 8)
"""Fields of SINGLE_WORD_DMA, MULTIWORD_DMA and ULTRA_DMA: a bit for each mode."""

MAX_LBA28 = (1 << 28) - 1

FIXED: dict[str, int] = {
    "GENERAL": 0x0040,
    "SECTOR_BYTES": SECTOR,
    "BUFFER_TYPE": 3,
    "BUFFER_SECTORS": 512,
    "ECC_BYTES": 4,
    "MAX_MULTIPLE": 0x8000 | MAX_MULTIPLE,
    "DWORD_IO": 1,
    "CAPABILITIES": 1 << 11 | LBA_SUPPORTED.mask | DMA_SUPPORTED.mask,
    "PIO_TIMING": 0x0200,
    "DMA_TIMING": 0x0200,
    "VALID": 0x0007,
    "PIO_MODES": 0x0003,
    "MIN_DMA_CYCLE": 120,
    "BEST_DMA_CYCLE": 120,
    "MIN_PIO_CYCLE": 120,
    "MIN_PIO_CYCLE_IORDY": 120,
    "MAJOR_VERSION": 0x00F0,
    "MINOR_VERSION": 0x0016,
    "COMMANDS_1": 1 << 14 | WRITE_CACHE.mask,
    "COMMANDS_2": 1 << 14 | FLUSH_EXT.mask | FLUSH.mask | LBA48.mask,
    "COMMANDS_3": 1 << 14,
    "ENABLED_2": FLUSH_EXT.mask | FLUSH.mask | LBA48.mask,
    "ENABLED_3": 1 << 14,
    "HARDWARE_RESET": 0x6001,
    "SECTOR_SIZE": 0x6000,
}
"""The words that are the same for every drive of ours."""

DMA_WORDS = {
    "SINGLE_WORD_DMA": Mode.SINGLE_WORD_DMA,
    "MULTIWORD_DMA": Mode.MULTIWORD_DMA,
    "ULTRA_DMA": Mode.ULTRA_DMA,
}


class Label(NamedTuple):
    """What is printed on a drive: up to 40, 20 and 8 characters of ASCII."""

    model: str = "VIRTLAB HARDDISK"
    serial: str = "VL00001"
    firmware: str = "1.0"


def words(label: Label, sectors: int, settings: Settings) -> bytes:
    """The 512 bytes that a drive of `sectors` sectors answers."""
    record = np.zeros((), IDENTIFY)
    for name, value in FIXED.items():
        record[name] = value
    for name, text in zip(("MODEL", "SERIAL", "FIRMWARE"), label, strict=True):
        record[name] = swapped(text, IDENTIFY[name].itemsize)
    default, current = Geometry.of(sectors), settings.geometry
    record["CYLINDERS"], record["HEADS"], record["SECTORS_PER_TRACK"] = default
    record["TRACK_BYTES"] = SECTOR * default.sectors
    record["CURRENT_CYLINDERS"], record["CURRENT_HEADS"] = current.cylinders, current.heads
    record["CURRENT_SECTORS_PER_TRACK"] = current.sectors
    record["CURRENT_CAPACITY"] = current.capacity
    record["MULTIPLE"] = MULTIPLE_VALID.mask | settings.multiple if settings.multiple else 0
    record["LBA_SECTORS"] = min(sectors, MAX_LBA28)
    record["LBA48_SECTORS"] = sectors
    record["ENABLED_1"] = WRITE_CACHE.put(FIXED["COMMANDS_1"], settings.write_cache)
    for name, kind in DMA_WORDS.items():
        record[name] = _modes(kind, settings.mode)
    return record.tobytes()


def _modes(kind: Mode, mode: int | None) -> int:
    """A word of DMA modes: all up to the fastest, and the selected one. First it is UDMA 5."""
    if mode is None:
        mode = Mode.ULTRA_DMA << 3 | FASTEST[Mode.ULTRA_DMA]
    word = (2 << FASTEST[kind]) - 1
    return MODES_SELECTED.put(word, 1 << (mode & 7)) if mode >> 3 == kind else word


def swapped(text: str, length: int) -> bytes:
    """`text` as IDENTIFY DEVICE has it: `length` bytes, the two of each word swapped."""
    data = text.encode("ascii", "replace")[:length].ljust(length)
    return bytes(data[index ^ 1] for index in range(length))


def text_of(data: bytes) -> str:
    """A string of IDENTIFY DEVICE, read back without its blanks.

    NumPy drops zeros at the end of a string; they count as blanks.
    """
    data = data.ljust(len(data) + len(data) % 2, b"\0")
    plain = bytes(data[index ^ 1] for index in range(len(data)))
    return plain.decode("ascii", "replace").strip(" \0")
