"""The C twin of the walk and of the flat IOTLB, `iommu_twin.c`, as an object.

The idea: the twin reads the tables of the very unit that it is compared with, in the same memory.
What it is given is the top table, the reserved bits by level, and the deltas of the flat IOTLB.
"""

from __future__ import annotations

import ctypes

import numpy as np

from benchmarks import compiler
from benchmarks.twin_arrays import NUMBER, POINTER
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.iotlb import FlatIotlb
from virtlab.iommu.walk import Start, reserved_bits
from virtlab.memory import GuestMemory

SOURCE = "iommu_twin.c"
LEVELS = 6
"""Rows of the reserved bits: level 0 is not used."""


class Unit(ctypes.Structure):
    """`Unit` of the C file, field by field."""

    _fields_ = [
        ("memory", POINTER),
        ("regions", POINTER),
        ("region_count", NUMBER),
        ("table", NUMBER),
        ("levels", NUMBER),
        ("reserved", NUMBER * (2 * LEVELS)),
        ("iovas", POINTER),
        ("gpas", POINTER),
        ("reasons", POINTER),
        ("deltas", POINTER),
        ("first", NUMBER),
        ("pages", NUMBER),
    ]


class IommuTwin:
    """The twin for batches of `n` addresses through the tables at `start` in `memory`."""

    def __init__(
        self,
        memory: GuestMemory,
        start: Start,
        capabilities: Capabilities,
        n: int,
        flags: tuple[str, ...] = compiler.FLAGS,
    ) -> None:
        self.library = compiler.library(SOURCE, flags)
        for name in ("walk_batch", "hit_batch"):
            getattr(self.library, name).restype = ctypes.c_int64
        self.n = n
        self.regions = np.array(memory.regions, np.uint64)
        self.iovas, self.gpas = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.reasons = np.zeros(n, np.uint8)
        self.unit = unit = Unit()
        unit.memory, unit.regions = memory.bytes.ctypes.data, self.regions.ctypes.data
        unit.region_count = len(self.regions)
        unit.table, unit.levels = start.table, start.level
        for is_page in (False, True):
            for level in range(1, LEVELS):
                bits = reserved_bits(level, is_page, capabilities)
                unit.reserved[LEVELS * is_page + level] = bits
        unit.iovas, unit.gpas = self.iovas.ctypes.data, self.gpas.ctypes.data
        unit.reasons = self.reasons.ctypes.data
        self._by_reference = ctypes.byref(unit)

    def know(self, iotlb: FlatIotlb) -> None:
        """Use the deltas that `iotlb` has now. They are copied."""
        self.deltas = iotlb._deltas.copy()
        self.unit.deltas, self.unit.first = self.deltas.ctypes.data, iotlb.first
        self.unit.pages = len(self.deltas) - 1

    def walk(self, write: bool) -> int:
        """Walk for all of `iovas`: the nanoseconds."""
        return int(self.library.walk_batch(self._by_reference, ctypes.c_uint64(self.n), int(write)))

    def hit(self) -> int:
        """Look all of `iovas` up: the nanoseconds. `AssertionError` if one is not known."""
        spent = int(self.library.hit_batch(self._by_reference, ctypes.c_uint64(self.n)))
        assert spent >= 0, "the twin does not know a page"
        return spent
