"""Names: what `lspci` calls it, or a plain number; everything that the course shows has one."""

import pytest

from virtlab.guest.pci_resources import ROUTERS
from virtlab.pci.bridge import PciBridge
from virtlab.pci.chipset import HOST_BRIDGE, ISA_BRIDGE
from virtlab.pci.config import Header
from virtlab.pci.dump import example
from virtlab.pci.express import DownstreamPort, PciePciBridge, RootPort, UpstreamPort
from virtlab.pci.names import (
    capability_name,
    class_name,
    device_name,
    extended_capability_name,
    is_known,
    vendor_name,
)


@pytest.mark.parametrize(
    ("class_code", "name"),
    [
        (0x000000, "Non-VGA unclassified device"),
        (0x00FF00, "Unclassified device"),
        (0x010802, "Non-Volatile memory controller"),
        (0x020000, "Ethernet controller"),
        (0x030000, "VGA compatible controller"),
        (0x040100, "Multimedia audio controller"),
        (0x060000, "Host bridge"),
        (0x060400, "PCI bridge"),
        (0x068000, "Bridge"),
        (0x0C0330, "USB controller"),
        (0x120000, "Processing accelerators"),
        (0xFF0000, "Unassigned class"),
        (0x990000, "class 99"),
    ],
)
def test_the_name_of_a_class(class_code, name):
    """PCI Code and ID Assignment, 1: the subclass has the name, else the base class."""
    assert class_name(class_code) == name


@pytest.mark.parametrize(
    ("id_", "name"),
    [
        (0x01, "Power Management"),
        (0x05, "MSI"),
        (0x09, "Vendor Specific Information"),
        (0x10, "Express"),
        (0x11, "MSI-X"),
        (0x15, "Capability ID 0x15"),
        (0x07F, "Capability ID 0x7f"),
    ],
)
def test_the_name_of_a_capability(id_, name):
    assert capability_name(id_) == name


@pytest.mark.parametrize(
    ("id_", "name"),
    [
        (0x0001, "Advanced Error Reporting"),
        (0x0009, "Virtual Channel"),
        (0x000C, "Extended Capability ID 0xc"),
        (0x0010, "Single Root I/O Virtualization (SR-IOV)"),
        (0x002F, "Device 3"),
        (0xFFFF, "Extended Capability ID 0xffff"),
    ],
)
def test_the_name_of_an_extended_capability(id_, name):
    assert extended_capability_name(id_) == name


def test_what_has_no_name_is_called_by_its_number():
    assert (vendor_name(0x00AB), device_name(0x8086, 0x00AB)) == ("vendor 00ab", "device 00ab")
    assert not is_known(0x8086, 0x00AB)


@pytest.mark.parametrize("kind", [RootPort, UpstreamPort, DownstreamPort, PciePciBridge, PciBridge])
def test_every_bridge_of_ours_has_a_name(kind):
    header = kind().config.header
    assert is_known(header.values["VENDOR_ID"], header.values["DEVICE_ID"])


@pytest.mark.parametrize("identity", [HOST_BRIDGE, ISA_BRIDGE])
def test_both_functions_of_the_chip_set_have_a_name(identity):
    assert is_known(identity.vendor, identity.device)


@pytest.mark.parametrize(
    ("vendor", "device"),
    [(0x1234, 0x11E8), (0x1274, 0x5000), (0x8086, 0x100E), (0x8086, 0x7010)],
    ids=["edu", "es1370", "e1000", "piix3 ide"],
)
def test_the_devices_of_the_course_have_a_name(vendor, device):
    assert is_known(vendor, device)


def test_every_router_has_a_name():
    assert all(is_known(*ids) for ids in ROUTERS)


def test_every_function_of_the_example_has_a_name():
    for each in example():
        head = each.data[Header.VENDOR_ID.offset : Header.DEVICE_ID.offset + 2]
        vendor, device = int.from_bytes(head[:2], "little"), int.from_bytes(head[2:], "little")
        assert is_known(vendor, device), each.bdf
        assert not vendor_name(vendor).startswith("vendor")


@pytest.mark.parametrize(
    ("device", "name"),
    [
        (0x1000, "network device"),
        (0x1005, "entropy device"),
        (0x1041, "network device"),
        (0x1042, "block device"),
        (0x1044, "entropy device"),
        (0x105A, "file system device"),
    ],
)
def test_a_virtio_device_is_named_by_its_kind(device, name):
    """virtio 1.3, 4.1.2.1: 1040h plus the kind; 1000h and on for what is transitional."""
    assert device_name(0x1AF4, device) == name
