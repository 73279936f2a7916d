"""The SR-IOV capability, alive: what a physical function says and is told of its virtual ones.

    TotalVFs  16    NumVFs  4     offset 1, stride 1     Control: VF Enable, VF MSE
    VF BAR 0  [ VF 1 ][ VF 2 ][ VF 3 ][ VF 4 ] ............ room for TotalVFs
               one aperture each: the VF's bytes, but at least one system page

The idea: sizing a VF BAR tells what *one* VF takes. Software multiplies by TotalVFs and gives one
address. VF n is then at that address plus n - 1 apertures. No VF has a BAR of its own.

The rule that keeps it simple: what makes the VFs (NumVFs, page size, ARI) is locked while VF Enable
is 1. The specification leaves such a write undefined; here it changes nothing.

Source: SR-IOV 1.1, 3.3. Left out: VF migration (its bits are read-only 0), 10-bit tags, the second
that software must wait after VF Enable was cleared.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtlab.pci.bars import Bar
from virtlab.pci.extended import SrIov
from virtlab.pci.routing_ids import Placement, Spread
from virtlab.wire import all_ones

REQUIRED_PAGES = 0x553
"""Supported Page Sizes that each device has: 4, 8, 64, 256 KiB, 1 and 4 MiB (3.3.12)."""

MOST_VFS = 0xFF00
"""More than routing ids above a bus cannot be."""


class Sharing(SrIov):
    """The capability of a function with up to `total` VFs, each of `device_id` and with `bars`.

    `spread` says where they are. `lowest` is the capability of the device's lowest-numbered
    physical function, if that is another: it has the bit for an ARI-capable hierarchy.
    """

    def __init__(
        self,
        total: int,
        device_id: int,
        bars: Sequence[Bar],
        spread: Spread | None = None,
        lowest: Sharing | None = None,
        dependency: int = 0,
        pages: int = REQUIRED_PAGES,
    ) -> None:
        super().__init__()
        if not 1 <= total <= MOST_VFS:
            raise ValueError(f"a function has 1 to {MOST_VFS} VFs, not {total}")
        if pages & REQUIRED_PAGES != REQUIRED_PAGES or pages >> 32:
            raise ValueError(f"pages {pages:#x} lack some of {REQUIRED_PAGES:#x} (3.3.12)")
        self.bars = tuple(bars)
        self.spread = spread or Spread()
        self.lowest = lowest or self
        self._locked: Placement | None = None
        fields = SrIov.CONTROL
        both = fields.VF_ENABLE.mask | fields.VF_MSE.mask
        self.narrow(
            CONTROL=both if lowest else both | fields.ARI_HIERARCHY.mask, SYSTEM_PAGE_SIZE=pages
        )
        self.preset(
            INITIAL_VFS=total,
            TOTAL_VFS=total,
            FUNCTION_DEPENDENCY=dependency,
            VF_DEVICE_ID=device_id,
            SUPPORTED_PAGE_SIZES=pages,
            SYSTEM_PAGE_SIZE=1,
            **{f"VF_{bar.register}": bar.flags for bar in bars},
        )
        self._fit()

    # -- read by the functions

    @property
    def enabled(self) -> bool:
        """VF Enable."""
        return bool(SrIov.CONTROL.VF_ENABLE.get(self.CONTROL))

    @property
    def count(self) -> int:
        """VFs that there are now: NumVFs, but no more than TotalVFs."""
        return min(self.NUM_VFS, self.TOTAL_VFS) if self.enabled else 0

    @property
    def decodes(self) -> bool:
        """Whether the memory of the VFs answers."""
        return self.enabled and bool(SrIov.CONTROL.VF_MSE.get(self.CONTROL))

    @property
    def placement(self) -> Placement:
        """First VF Offset and VF Stride: fixed while there are VFs."""
        if self._locked is not None:
            return self._locked
        ari = SrIov.CONTROL.ARI_HIERARCHY.get(self.lowest.CONTROL)
        return self.spread.place(min(self.NUM_VFS, self.TOTAL_VFS), bool(ari))

    @property
    def page(self) -> int:
        """System Page Size in bytes."""
        return self.SYSTEM_PAGE_SIZE << 12

    def aperture(self, bar: Bar) -> int:
        """Bytes from one VF's `bar` to the next one's: never less than a system page (3.3.13)."""
        return max(bar.size, self.page)

    def base(self, bar: Bar) -> int:
        """Where software has put the first VF's `bar`."""
        low = self.values[f"VF_{bar.register}"] & ~0xF
        return low | (self.values[f"VF_{bar.upper}"] << 32 if bar.upper else 0)

    # -- read and written by software

    def read_FIRST_VF_OFFSET(self) -> int:
        """It may change with NumVFs and with ARI Capable Hierarchy (3.3.9)."""
        return self.placement.offset

    def read_VF_STRIDE(self) -> int:
        """The same (3.3.10)."""
        return self.placement.stride

    def write_CONTROL(self, old: int, new: int) -> None:
        """ARI Capable Hierarchy cannot change while there are VFs (3.3.3.5)."""
        was = bool(SrIov.CONTROL.VF_ENABLE.get(old))
        if was:
            ari = SrIov.CONTROL.ARI_HIERARCHY
            self.CONTROL = ari.put(new, ari.get(old))
        if was != self.enabled:
            self._locked = None
            self._locked = self.placement if self.enabled else None

    def write_NUM_VFS(self, old: int, new: int) -> None:
        """It may only be written while VF Enable is clear (3.3.7)."""
        if self.enabled:
            self.NUM_VFS = old

    def write_SYSTEM_PAGE_SIZE(self, old: int, new: int) -> None:
        """One bit, of those that are supported; not while there are VFs (3.3.13)."""
        if self.enabled or new.bit_count() != 1:
            self.SYSTEM_PAGE_SIZE = old
        self._fit()

    def reset(self) -> None:
        """No VFs, pages of 4 KiB."""
        super().reset()
        self._locked = None
        self._fit()

    def _fit(self) -> None:
        """Let each VF BAR have the writable bits of one aperture, aligned to it."""
        for bar in self.bars:
            mask = all_ones(bar.bits // 8) & ~(self.aperture(bar) - 1)
            low = f"VF_{bar.register}"
            self.narrow(**{low: mask & all_ones(4)})
            self.values[low] &= mask & all_ones(4) | 0xF
            if bar.upper:
                self.narrow(**{f"VF_{bar.upper}": mask >> 32})
                self.values[f"VF_{bar.upper}"] &= mask >> 32
