"""The layouts of the transports and of the block device, against the specification's own tables.

The numbers here are copied from the tables of virtio 1.3, not from the declarations.
"""

import pytest

from virtlab.virtio import mmio_registers, pci_layouts, status
from virtlab.virtio.blk_layouts import (
    CONFIG,
    GUARD,
    LIFETIME,
    REQUEST,
    SEGMENT,
    BlkFeature,
    BlkStatus,
    BlkType,
    config_field,
)
from virtlab.virtio.pci_layouts import (
    TRANSITIONAL,
    CfgType,
    CommonConfig,
    IsrStatus,
    LegacyHeader,
    LegacyMsixHeader,
    NotifyCap,
    PciCfgCap,
    VirtioCap,
)
from virtlab.virtio.status import DeviceId, Status


def table(text):
    """`name offset direction` a line."""
    rows = [line.split() for line in text.strip().splitlines()]
    return [(name, int(offset, 16), way) for name, offset, way in rows]


def declared(kind):
    return [(reg.name, reg.offset, reg.access) for reg in kind.registers]


COMMON = """
MAGIC_VALUE 0 r
VERSION 4 r
DEVICE_ID 8 r
VENDOR_ID c r
DEVICE_FEATURES 10 r
DEVICE_FEATURES_SEL 14 w
DRIVER_FEATURES 20 w
DRIVER_FEATURES_SEL 24 w
QUEUE_SEL 30 w
QUEUE_SIZE_MAX 34 r
QUEUE_SIZE 38 w
QUEUE_NOTIFY 50 w
INTERRUPT_STATUS 60 r
INTERRUPT_ACK 64 w
STATUS 70 rw
"""

MODERN = """
QUEUE_READY 44 rw
QUEUE_DESC_LOW 80 w
QUEUE_DESC_HIGH 84 w
QUEUE_DRIVER_LOW 90 w
QUEUE_DRIVER_HIGH 94 w
QUEUE_DEVICE_LOW a0 w
QUEUE_DEVICE_HIGH a4 w
SHM_SEL ac w
SHM_LEN_LOW b0 r
SHM_LEN_HIGH b4 r
SHM_BASE_LOW b8 r
SHM_BASE_HIGH bc r
QUEUE_RESET c0 rw
CONFIG_GENERATION fc r
"""

LEGACY = """
GUEST_PAGE_SIZE 28 w
QUEUE_ALIGN 3c w
QUEUE_PFN 40 rw
"""


@pytest.mark.parametrize(
    ("kind", "more", "version"),
    [(mmio_registers.ModernMmio, MODERN, 2), (mmio_registers.LegacyMmio, LEGACY, 1)],
)
def test_the_mmio_windows(kind, more, version):
    """4.2.2 and 4.2.4; each register has 32 bits."""
    rows = sorted(table(COMMON) + table(more), key=lambda row: row[1])
    assert declared(kind) == rows
    assert {reg.width for reg in kind.registers} == {4}
    assert (kind().VERSION, kind.length) == (version, 0x100)
    assert kind().MAGIC_VALUE.to_bytes(4, "little") == b"virt"


def test_the_common_configuration():
    """4.1.4.3: the fields one behind the other, with no hole."""
    fields = """
        device_feature_select:4 device_feature:4r driver_feature_select:4 driver_feature:4
        config_msix_vector:2 num_queues:2r device_status:1 config_generation:1r
        queue_select:2 queue_size:2 queue_msix_vector:2 queue_enable:2 queue_notify_off:2r
        queue_desc:8 queue_driver:8 queue_device:8 queue_notif_config_data:2r queue_reset:2
    """
    at = 0
    for field, reg in zip(fields.split(), CommonConfig.registers, strict=True):
        name, width = field.split(":")
        assert (reg.name, reg.offset, reg.width) == (name.upper(), at, int(width[0]))
        assert reg.access == ("r" if width.endswith("r") else "rw")
        at += reg.width
    assert at == CommonConfig.length == 60


def test_the_capabilities():
    """4.1.4: `struct virtio_pci_cap`, and what follows it (4.1.4.4, 4.1.4.9)."""
    places = {reg.name: (reg.offset, reg.width) for reg in VirtioCap.registers}
    assert places == {
        "CAPABILITY_ID": (0, 1),
        "NEXT": (1, 1),
        "LENGTH": (2, 1),
        "CFG_TYPE": (3, 1),
        "BAR": (4, 1),
        "ID": (5, 1),
        "OFFSET": (8, 4),
        "STRUCTURE_LENGTH": (12, 4),
    }
    assert (VirtioCap.id, VirtioCap.length, VirtioCap().LENGTH) == (9, 16, 16)
    assert (NotifyCap.NOTIFY_OFF_MULTIPLIER.offset, NotifyCap().LENGTH) == (16, 20)
    assert (PciCfgCap.PCI_CFG_DATA.offset, PciCfgCap().LENGTH) == (16, 20)
    assert [kind.value for kind in CfgType] == [1, 2, 3, 4, 5, 8, 9]


def test_only_the_window_can_be_written():
    """4.1.4.1, 4.1.4.9: `cap.bar`, `cap.length`, `cap.offset` and the data."""
    for kind, names in (
        (VirtioCap, set()),
        (NotifyCap, set()),
        (PciCfgCap, {"BAR", "OFFSET", "STRUCTURE_LENGTH", "PCI_CFG_DATA"}),
    ):
        assert {reg.name for reg in kind.registers if reg.rw} == names


def test_the_legacy_header():
    """4.1.4.10: 32, 32, 32, 16, 16, 16, 8, 8 bits; then 16 and 16 with MSI-X."""
    widths = [reg.width for reg in LegacyMsixHeader.registers]
    assert widths == [4, 4, 4, 2, 2, 2, 1, 1, 2, 2]
    ends = [reg.offset + reg.width for reg in LegacyMsixHeader.registers]
    assert [reg.offset for reg in LegacyMsixHeader.registers] == [0, *ends[:-1]]
    ways = ["r", "rw", "rw", "r", "rw", "rw", "rw", "r"]
    assert [reg.access for reg in LegacyHeader.registers] == ways
    assert (LegacyHeader.length, LegacyMsixHeader.length) == (
        pci_layouts.LEGACY_CONFIG,
        pci_layouts.LEGACY_CONFIG_MSIX,
    )


def test_pci_device_ids():
    """4.1.2: network, block, balloon, console, SCSI, entropy, 9P."""
    ids = {0x1000: 1, 0x1001: 2, 0x1002: 5, 0x1003: 3, 0x1004: 8, 0x1005: 4, 0x1009: 9}
    assert dict(TRANSITIONAL) == ids


def test_status_and_interrupts():
    """2.1, 4.1.4.5, 4.2.2."""
    bits = {bit.name: bit.value for bit in Status}
    assert bits == {
        "ACKNOWLEDGE": 1,
        "DRIVER": 2,
        "DRIVER_OK": 4,
        "FEATURES_OK": 8,
        "DEVICE_NEEDS_RESET": 64,
        "FAILED": 128,
    }
    for reg in (
        mmio_registers.ModernMmio.STATUS,
        CommonConfig.DEVICE_STATUS,
        LegacyHeader.DEVICE_STATUS,
    ):
        assert {name: field.mask for name, field in reg.fields.items()} == bits
    assert IsrStatus.ISR_STATUS.decode(2) == {"QUEUE": 0, "CONFIG": 1}
    assert status.names(0) == []


def test_doorbell_data():
    """2.9: vq_index 16, next_off 15, next_wrap 1."""
    word = status.notification(3, 0x8005)
    fields = {name: bits.get(word) for name, bits in status.NOTIFICATION.items()}
    assert fields == {"VQ_INDEX": 3, "NEXT_OFF": 5, "NEXT_WRAP": 1}
    assert status.notification(3, 0x1_0005) == 0x0005_0003


def test_device_ids():
    """5, those that a chapter describes."""
    known = {bit.name: bit.value for bit in DeviceId}
    assert (known["NETWORK"], known["BLOCK"]) == (1, 2)
    assert (known["CONSOLE"], known["ENTROPY"], known["GPU"], known["SOCKET"]) == (3, 4, 16, 19)
    assert (known["IOMMU"], known["FILE_SYSTEM"], known["GPIO"]) == (23, 26, 41)


# -- the block device (5.2)


def test_requests():
    """`struct virtio_blk_req`, `struct virtio_blk_discard_write_zeroes`, `virtio_blk_lifetime`."""
    assert [(name, REQUEST.fields[name][1]) for name in REQUEST.names] == [
        ("type", 0),
        ("reserved", 4),
        ("sector", 8),
    ]
    assert (REQUEST.itemsize, SEGMENT.itemsize, LIFETIME.itemsize) == (16, 16, 6)
    assert (SEGMENT.fields["num_sectors"][1], SEGMENT.fields["flags"][1]) == (8, 12)
    assert [kind.value for kind in BlkType] == [0, 1, 4, 8, 10, 11, 13, 14]
    assert [kind.value for kind in BlkStatus] == [0, 1, 2]


def test_the_configuration():
    """`struct virtio_blk_config`: offsets as Linux's `offsetof` gives them."""
    offsets = {
        "capacity": 0,
        "size_max": 8,
        "seg_max": 12,
        "cylinders": 16,
        "heads": 18,
        "sectors": 19,
        "blk_size": 20,
        "physical_block_exp": 24,
        "alignment_offset": 25,
        "min_io_size": 26,
        "opt_io_size": 28,
        "writeback": 32,
        "num_queues": 34,
        "max_discard_sectors": 36,
        "max_discard_seg": 40,
        "discard_sector_alignment": 44,
        "max_write_zeroes_sectors": 48,
        "max_write_zeroes_seg": 52,
        "write_zeroes_may_unmap": 56,
        "max_secure_erase_sectors": 60,
        "max_secure_erase_seg": 64,
        "secure_erase_sector_alignment": 68,
    }
    assert {name: config_field(name)[0] for name in offsets} == offsets
    assert CONFIG.itemsize == 72
    assert set(CONFIG.names) - set(offsets) == {"unused0", "unused1"}
    assert set(GUARD) == set(offsets) - {"capacity"}


def test_a_field_that_is_none():
    with pytest.raises(ValueError, match="has no field 'size'"):
        config_field("size")


def test_features():
    """5.2.3, and 5.2.3.1 for SCSI."""
    bits = {bit.name: bit.value for bit in BlkFeature}
    assert bits == {
        "SIZE_MAX": 1,
        "SEG_MAX": 2,
        "GEOMETRY": 4,
        "RO": 5,
        "BLK_SIZE": 6,
        "SCSI": 7,
        "FLUSH": 9,
        "TOPOLOGY": 10,
        "CONFIG_WCE": 11,
        "MQ": 12,
        "DISCARD": 13,
        "WRITE_ZEROES": 14,
        "LIFETIME": 15,
        "SECURE_ERASE": 16,
        "ZONED": 17,
    }
