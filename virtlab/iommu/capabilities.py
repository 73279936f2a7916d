"""What a unit can do, as the walk and the caches ask it, and as the registers CAP and ECAP tell it.

    CAP   SAGAW  MGAW  SLLPS  PSI  MAMV  CM  NFR ...       ECAP   QI  DT  IR  PT  SC ...

The idea: one record of plain values. A unit is made with it, and shows it in its registers. A
decoder of somebody else's unit makes it from the registers.

The rule that keeps it simple: the address width of the host stands in no register. It comes from
the DMAR table.

Source: VT-d 3.0, 10.4.2, 10.4.3; 8.1 for the host address width.
"""

from __future__ import annotations

from typing import NamedTuple, Self

from virtlab.iommu.layouts import TranslationType, index_bits
from virtlab.iommu.registers import FAULT_OFFSET, IOTLB_OFFSET, MAX_RECORDS, VtdRegisters
from virtlab.registers import Reg

CAP, ECAP = VtdRegisters.CAP, VtdRegisters.ECAP

LEVELS = (3, 4, 5)
"""Depths of table that legacy mode knows: 39, 48 and 57 bits of address."""

LARGE_LEVELS = (2, 3)
"""Levels whose entries may map a page: of 2 MiB and of 1 GiB."""

_DOMAINS_64K, _HANDLE_MASK = 6, 15


class Capabilities(NamedTuple):
    """What one unit can do.

    `host_width` and `guest_width` are bits of addresses, after translation and before. `levels` are
    the depths of table it walks; `large_levels` those whose entries may map a page.

    >>> Capabilities(levels=(3,), guest_width=39).supports(4)
    False
    """

    host_width: int = 46
    guest_width: int = 57
    levels: tuple[int, ...] = LEVELS
    large_levels: tuple[int, ...] = LARGE_LEVELS
    pass_through: bool = True
    device_tlb: bool = True
    snoop: bool = True
    caching_mode: bool = False
    page_selective: bool = True
    address_mask: int = 18
    records: int = MAX_RECORDS
    write_buffers: bool = False
    protected_memory: bool = True
    set_root_flushes: bool = False

    @classmethod
    def of(cls, cap: int, ecap: int, host_width: int = 52) -> Self:
        """What the registers CAP and ECAP say. The default of `host_width` forbids no address."""
        sagaw, pages = CAP.SAGAW.get(cap), CAP.SLLPS.get(cap)
        return cls(
            host_width=host_width,
            guest_width=CAP.MGAW.get(cap) + 1,
            levels=tuple(n for n in LEVELS if sagaw >> n - 2 & 1),
            large_levels=tuple(n for n in LARGE_LEVELS if pages >> n - 2 & 1),
            pass_through=bool(ECAP.PT.get(ecap)),
            device_tlb=bool(ECAP.DT.get(ecap)),
            snoop=bool(ECAP.SC.get(ecap)),
            caching_mode=bool(CAP.CM.get(cap)),
            page_selective=bool(CAP.PSI.get(cap)),
            address_mask=CAP.MAMV.get(cap),
            records=CAP.NFR.get(cap) + 1,
            write_buffers=bool(CAP.RWBF.get(cap)),
            protected_memory=bool(CAP.PLMR.get(cap)),
            set_root_flushes=bool(CAP.ESRTPS.get(cap)),
        )

    @property
    def cap(self) -> int:
        """The register CAP."""
        return _pack(
            CAP,
            ND=_DOMAINS_64K,
            RWBF=self.write_buffers,
            PLMR=self.protected_memory,
            PHMR=self.protected_memory,
            CM=self.caching_mode,
            SAGAW=sum(1 << n - 2 for n in self.levels),
            MGAW=self.guest_width - 1,
            ZLR=1,
            FRO=FAULT_OFFSET >> 4,
            SLLPS=sum(1 << n - 2 for n in self.large_levels),
            PSI=self.page_selective,
            NFR=self.records - 1,
            MAMV=self.address_mask,
            DWD=1,
            DRD=1,
            PI=1,
            ESRTPS=self.set_root_flushes,
        )

    @property
    def ecap(self) -> int:
        """The register ECAP."""
        return _pack(
            ECAP,
            C=1,
            QI=1,
            DT=self.device_tlb,
            IR=1,
            EIM=1,
            PT=self.pass_through,
            SC=self.snoop,
            IRO=IOTLB_OFFSET >> 4,
            MHMV=_HANDLE_MASK,
        )

    def check(self) -> None:
        """`ValueError` where no unit can be like this."""
        widest = index_bits(max(self.levels, default=1)).hi + 1
        if not self.levels or not set(self.levels) <= set(LEVELS):
            raise ValueError(f"tables have 3, 4 or 5 levels, not {self.levels}")
        if not set(self.large_levels) <= set(LARGE_LEVELS):
            raise ValueError(f"pages are mapped at level 2 or 3, not {self.large_levels}")
        if not 12 < self.guest_width <= widest:
            raise ValueError(f"{self.levels} levels have {widest} bits, not {self.guest_width}")
        if not 12 < self.host_width <= 52:
            raise ValueError(f"a host address has 13 to 52 bits, not {self.host_width}")
        if not 1 <= self.records <= MAX_RECORDS:
            raise ValueError(f"there are 1 to {MAX_RECORDS} fault records, not {self.records}")
        if not 0 <= self.address_mask < 1 << CAP.MAMV.width:
            raise ValueError(f"an address mask has 6 bits, {self.address_mask} has more")

    def supports(self, levels: int) -> bool:
        """Whether tables of so many levels can be walked."""
        return levels in self.levels

    def allows(self, kind: int) -> bool:
        """Whether a context entry may ask for this `TranslationType`."""
        return (
            kind == TranslationType.UNTRANSLATED
            or (kind == TranslationType.DEVICE_TLB and self.device_tlb)
            or (kind == TranslationType.PASS_THROUGH and self.pass_through)
        )


def _pack(register: Reg, **values: int) -> int:
    """The register's number with these fields."""
    return sum(register.fields[name].put(0, int(value)) for name, value in values.items())
