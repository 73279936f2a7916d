"""The layouts against the manual's figures, and against what QEMU and Linux left in memory."""

import gzip
import json
from pathlib import Path

import pytest

from virtlab.iommu import layouts
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.descriptors import (
    CONTEXT_INVALIDATE,
    DESCRIPTORS,
    DEVICE_TLB_INVALIDATE,
    IEC_INVALIDATE,
    IOTLB_INVALIDATE,
    WAIT,
    DescriptorType,
)
from virtlab.iommu.layouts import CONTEXT, FAULT_RECORD, IRTE, ROOT, SECOND_LEVEL, Structure
from virtlab.iommu.reasons import QueueError, Reason
from virtlab.iommu.registers import VtdRegisters
from virtlab.wire import Bits

DATA = Path(__file__).parent.parent / "data" / "virtio" / "vtd48_split.expected.json.gz"

OFFSETS = {
    "VER": 0x000,
    "CAP": 0x008,
    "ECAP": 0x010,
    "GCMD": 0x018,
    "GSTS": 0x01C,
    "RTADDR": 0x020,
    "CCMD": 0x028,
    "FSTS": 0x034,
    "FECTL": 0x038,
    "FEDATA": 0x03C,
    "FEADDR": 0x040,
    "FEUADDR": 0x044,
    "PMEN": 0x064,
    "PLMBASE": 0x068,
    "PLMLIMIT": 0x06C,
    "PHMBASE": 0x070,
    "PHMLIMIT": 0x078,
    "IQH": 0x080,
    "IQT": 0x088,
    "IQA": 0x090,
    "ICS": 0x09C,
    "IECTL": 0x0A0,
    "IEDATA": 0x0A4,
    "IEADDR": 0x0A8,
    "IEUADDR": 0x0AC,
    "IQERCD": 0x0B0,
    "IRTA": 0x0B8,
    "IVA": 0x0F0,
    "IOTLB": 0x0F8,
    **{f"FRCD{n}": 0x220 + 16 * n for n in range(8)},
}
"""VT-d 3.0 10.4."""


def test_every_register_is_where_the_manual_has_it():
    assert {reg.name: reg.offset for reg in VtdRegisters.registers} == OFFSETS
    assert VtdRegisters.length == 4096


@pytest.mark.parametrize("register", VtdRegisters.registers, ids=lambda reg: reg.name)
def test_every_register_says_what_it_is(register):
    assert register.doc
    assert register.spec


def test_structures_have_the_manual_s_size():
    sizes = {each.name: each.size for each in vars(layouts).values() if isinstance(each, Structure)}
    assert sizes.pop("second-level entry") == 8
    assert sizes.pop("posted-interrupt descriptor") == 64
    assert sizes.pop("interrupt request, address") == sizes.pop("interrupt request, data") == 4
    assert set(sizes.values()) == {16}
    assert {layout.size for layout in DESCRIPTORS.values()} == {16}


@pytest.mark.parametrize(
    ("layout", "low", "high"),
    [  # the reserved bits of bits 63:0 and of bits 127:64
        (ROOT, 0xFFE, 0xFFFF_FFFF_FFFF_FFFF),
        (CONTEXT, 0xFF0, 0xFFFF_FFFF_FF00_0080),
        (IRTE, 0xFF00_7000, 0xFFFF_FFFF_FFF0_0000),
        (layouts.IRTE_POSTED, 0x3F_FF00_30FC, 0x0000_0000_FFF0_0000),
        (FAULT_RECORD, 0xFFF, 0x0000_0000_0FFF_0000),
        (CONTEXT_INVALIDATE, 0xFFFC_0000_0000_F1C0, 0xFFFF_FFFF_FFFF_FFFF),
        (IOTLB_INVALIDATE, 0xFFFF_FFFF_0000_F100, 0xF80),
        (DEVICE_TLB_INVALIDATE, 0xFFFF_0000_FFE0_F1F0, 0xFFE),
        (IEC_INVALIDATE, 0xFFFF_0000_07FF_F1E0, 0xFFFF_FFFF_FFFF_FFFF),
        (WAIT, 0xFFFF_F180, 0x3),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_reserved_bits(layout, low, high):
    assert layout.reserved_mask == high << 64 | low


def test_second_level_entries_reserve_nothing_by_themselves():
    assert SECOND_LEVEL.reserved_mask == 0


def test_context_entries_that_linux_wrote():
    contexts = json.loads(gzip.decompress(DATA.read_bytes()))["contexts"]
    for seen in contexts.values():
        fields = CONTEXT.decode(seen["ctx_hi"] << 64 | seen["ctx_lo"])
        assert (fields["DID"], fields["AW"], fields["TT"]) == (seen["did"], seen["aw"], seen["tt"])
        assert fields["SLPTPTR"] << 12 == seen["slptptr"]
    assert len(contexts) == 11


def test_interrupt_entries_that_linux_wrote():
    """QEMU's words for what it delivered last, beside the entries that were there in the end."""
    data = json.loads(gzip.decompress(DATA.read_bytes()))
    lines = [line.split() for line in data["interrupt_remapping"]]
    delivered = [dict(zip(words[1::2], words[2::2], strict=True)) for words in lines]
    last = {said["index"]: said for said in delivered}
    assert len(last) == 9
    for index, said in last.items():
        low, high = data["irte"][index]
        fields = IRTE.decode(high << 64 | low)
        assert not IRTE.reserved(high << 64 | low)
        assert fields["V"] == int(said["vector"])
        assert (fields["TM"], fields["DM"]) == (int(said["trigger"]), int(said["mode"]))
        assert layouts.DST_XAPIC.get(low) == int(said["dest"], 16)


def test_a_structure_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="does not fit in TT"):
        CONTEXT.pack(TT=4)
    with pytest.raises(ValueError, match="does not fit"):
        CONTEXT.pack(DID=-1)
    with pytest.raises(AttributeError, match="no field 'DOMAIN'"):
        CONTEXT.pack(DOMAIN=1)
    with pytest.raises(ValueError, match="overlaps"):
        Structure("x", 8, "", {"A": Bits(3, 0), "B": Bits(3)})
    with pytest.raises(ValueError, match="outside"):
        Structure("x", 8, "", {"A": Bits(64)})
    assert repr(ROOT) == "Structure('root entry', 16 bytes)"


def test_reasons_have_the_manual_s_numbers():
    assert [int(reason) for reason in Reason] == [*range(1, 0xF), *range(0x20, 0x2A)]
    assert [int(error) for error in QueueError] == [*range(8)]
    assert [int(kind) for kind in DescriptorType] == [1, 2, 3, 4, 5]
    assert all(reason.meaning for reason in Reason)


def test_which_faults_fpd_keeps_quiet():
    """Those that a context entry or an interrupt entry was read for."""
    loud = {reason for reason in Reason if not reason.qualified}
    assert loud == {0x1, 0x8, 0x9, 0xA, 0x20, 0x21, 0x23, 0x25, 0x29}


# -- what a unit can do


@pytest.mark.parametrize(
    "unit",
    [
        Capabilities(host_width=52),
        Capabilities(host_width=52, guest_width=39, levels=(3,), large_levels=(), records=1),
        Capabilities(host_width=52, caching_mode=True, page_selective=False, snoop=False),
        Capabilities(host_width=52, pass_through=False, device_tlb=False, write_buffers=True),
        Capabilities(host_width=52, protected_memory=False, set_root_flushes=True, address_mask=9),
    ],
)
def test_what_a_unit_can_do_is_in_its_registers(unit):
    assert Capabilities.of(unit.cap, unit.ecap) == unit


def test_the_unit_of_a_snapshot():
    """QEMU 11, `intel-iommu,aw-bits=48,caching-mode=on`."""
    unit = Capabilities.of(0x00D2008C_222F0686, 0xF00F4A, 48)
    assert unit.guest_width == 48
    assert (unit.levels, unit.large_levels) == ((3, 4), (2, 3))
    assert (unit.caching_mode, unit.pass_through, unit.device_tlb) == (True, True, False)
    assert (unit.records, unit.address_mask, unit.page_selective) == (1, 18, True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"levels": ()},
        {"levels": (2, 3)},
        {"large_levels": (4,)},
        {"levels": (3,), "guest_width": 48},
        {"guest_width": 12},
        {"host_width": 53},
        {"records": 9},
        {"records": 0},
        {"address_mask": 64},
    ],
)
def test_no_unit_is_like_this(wrong):
    with pytest.raises(ValueError, match=r"not|more"):
        Capabilities(**wrong).check()
