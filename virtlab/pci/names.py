"""Names for numbers: classes, capabilities, and the makers and devices that this course meets.

Class and capability names are the words that `lspci` prints, so that a reader who has seen the one
reads the other. An older `lspci` has no name for what is newer than it. A real id database has
40,000 devices. This table has the few that a lesson, a board of ours or QEMU shows; any other is
called by its number.

The rule that keeps it simple: a name is only for people. Nothing decides by it.

Source: PCI Code and ID Assignment 1.11, 1 (classes), 2 and 3 (capabilities); PCI Express 6.3, 7.7
to 7.9; the data sheets of the chips.
"""

from __future__ import annotations

# -- classes

_CLASSES: dict[int, tuple[str, dict[int, str]]] = {
    0x00: (
        "Unclassified device",
        {0x00: "Non-VGA unclassified device", 0x01: "VGA compatible unclassified device"},
    ),
    0x01: (
        "Mass storage controller",
        {
            0x00: "SCSI storage controller",
            0x01: "IDE interface",
            0x02: "Floppy disk controller",
            0x03: "IPI bus controller",
            0x04: "RAID bus controller",
            0x05: "ATA controller",
            0x06: "SATA controller",
            0x07: "Serial Attached SCSI controller",
            0x08: "Non-Volatile memory controller",
            0x09: "Universal Flash Storage controller",
        },
    ),
    0x02: (
        "Network controller",
        {
            0x00: "Ethernet controller",
            0x01: "Token ring network controller",
            0x02: "FDDI network controller",
            0x03: "ATM network controller",
            0x04: "ISDN controller",
            0x07: "Infiniband controller",
            0x08: "Fabric controller",
        },
    ),
    0x03: (
        "Display controller",
        {
            0x00: "VGA compatible controller",
            0x01: "XGA compatible controller",
            0x02: "3D controller",
        },
    ),
    0x04: (
        "Multimedia controller",
        {
            0x00: "Multimedia video controller",
            0x01: "Multimedia audio controller",
            0x02: "Computer telephony device",
            0x03: "Audio device",
        },
    ),
    0x05: ("Memory controller", {0x00: "RAM memory", 0x01: "FLASH memory", 0x02: "CXL"}),
    0x06: (
        "Bridge",
        {
            0x00: "Host bridge",
            0x01: "ISA bridge",
            0x02: "EISA bridge",
            0x03: "MicroChannel bridge",
            0x04: "PCI bridge",
            0x05: "PCMCIA bridge",
            0x06: "NuBus bridge",
            0x07: "CardBus bridge",
            0x08: "RACEway bridge",
            0x09: "Semi-transparent PCI-to-PCI bridge",
            0x0A: "InfiniBand to PCI host bridge",
        },
    ),
    0x07: (
        "Communication controller",
        {
            0x00: "Serial controller",
            0x01: "Parallel controller",
            0x02: "Multiport serial controller",
            0x03: "Modem",
            0x04: "GPIB controller",
            0x05: "Smart card controller",
        },
    ),
    0x08: (
        "Generic system peripheral",
        {
            0x00: "PIC",
            0x01: "DMA controller",
            0x02: "Timer",
            0x03: "RTC",
            0x04: "PCI Hot-plug controller",
            0x05: "SD Host controller",
            0x06: "IOMMU",
            0x80: "System peripheral",
        },
    ),
    0x09: (
        "Input device controller",
        {
            0x00: "Keyboard controller",
            0x01: "Digitizer Pen",
            0x02: "Mouse controller",
            0x03: "Scanner controller",
            0x04: "Gameport controller",
        },
    ),
    0x0A: ("Docking station", {0x00: "Generic Docking Station"}),
    0x0B: ("Processor", {0x40: "Co-processor"}),
    0x0C: (
        "Serial bus controller",
        {
            0x00: "FireWire (IEEE 1394)",
            0x03: "USB controller",
            0x04: "Fibre Channel",
            0x05: "SMBus",
            0x06: "InfiniBand",
            0x07: "IPMI Interface",
            0x09: "CANBUS",
        },
    ),
    0x0D: (
        "Wireless controller",
        {
            0x00: "IRDA controller",
            0x10: "RF controller",
            0x11: "Bluetooth",
            0x20: "802.1a controller",
        },
    ),
    0x0E: ("Intelligent controller", {}),
    0x0F: ("Satellite communications controller", {}),
    0x10: ("Encryption controller", {0x00: "Network and computing encryption device"}),
    0x11: ("Signal processing controller", {0x01: "Performance counters"}),
    0x12: ("Processing accelerators", {}),
    0x13: ("Non-Essential Instrumentation", {}),
    0x40: ("Coprocessor", {}),
    0xFF: ("Unassigned class", {}),
}


def class_name(class_code: int) -> str:
    """What a class code of 24 bits means: the name of the subclass, or else of the base class.

    >>> class_name(0x060400), class_name(0x0677FF), class_name(0x990000)
    ('PCI bridge', 'Bridge', 'class 99')
    """
    base, subclass = class_code >> 16, class_code >> 8 & 0xFF
    word, subclasses = _CLASSES.get(base, (f"class {base:02x}", {}))
    return subclasses.get(subclass, word)


# -- capabilities

_CAPABILITIES = {
    0x00: "Null",
    0x01: "Power Management",
    0x02: "AGP",
    0x03: "Vital Product Data",
    0x04: "Slot ID",
    0x05: "MSI",
    0x06: "CompactPCI hot-swap",
    0x07: "PCI-X",
    0x08: "HyperTransport",
    0x09: "Vendor Specific Information",
    0x0A: "Debug port",
    0x0B: "CompactPCI central resource control",
    0x0C: "Hot-plug capable",
    0x0D: "Subsystem",
    0x0E: "AGP3",
    0x0F: "Secure device",
    0x10: "Express",
    0x11: "MSI-X",
    0x12: "SATA HBA",
    0x13: "PCI Advanced Features",
    0x14: "Enhanced Allocation (EA)",
}

_EXTENDED = {
    0x00: "Null",
    0x01: "Advanced Error Reporting",
    0x02: "Virtual Channel",
    0x03: "Device Serial Number",
    0x04: "Power Budgeting",
    0x05: "Root Complex Link",
    0x06: "Root Complex Internal Link",
    0x07: "Root Complex Event Collector",
    0x08: "Multi-Function Virtual Channel",
    0x09: "Virtual Channel",
    0x0A: "Root Complex Register Block",
    0x0B: "Vendor Specific Information",
    0x0D: "Access Control Services",
    0x0E: "Alternative Routing-ID Interpretation (ARI)",
    0x0F: "Address Translation Service (ATS)",
    0x10: "Single Root I/O Virtualization (SR-IOV)",
    0x11: "Multi-Root I/O Virtualization",
    0x12: "Multicast",
    0x13: "Page Request Interface (PRI)",
    0x15: "Physical Resizable BAR",
    0x16: "Dynamic Power Allocation",
    0x17: "Transaction Processing Hints",
    0x18: "Latency Tolerance Reporting",
    0x19: "Secondary PCI Express",
    0x1A: "Protocol Multiplexing",
    0x1B: "Process Address Space ID (PASID)",
    0x1C: "LN Requester",
    0x1D: "Downstream Port Containment",
    0x1E: "L1 PM Substates",
    0x1F: "Precision Time Measurement",
    0x20: "PCI Express over M_PHY",
    0x21: "FRS Queueing",
    0x22: "Readiness Time Reporting",
    0x23: "Designated Vendor-Specific",
    0x24: "Virtual Resizable BAR",
    0x25: "Data Link Feature",
    0x26: "Physical Layer 16.0 GT/s",
    0x27: "Lane Margining at the Receiver",
    0x28: "Hierarchy ID",
    0x29: "Native PCIe Enclosure Management",
    0x2A: "Physical Layer 32.0 GT/s",
    0x2B: "Alternate Protocol",
    0x2C: "System Firmware Intermediary (SFI)",
    0x2D: "Shadow Functions",
    0x2E: "Data Object Exchange",
    0x2F: "Device 3",
    0x30: "Integrity & Data Encryption",
    0x31: "Physical Layer 64.0 GT/s",
    0x32: "Flit Logging",
    0x33: "Flit Performance Measurement",
    0x34: "Flit Error Injection",
    0x35: "Streamlined Virtual Channel",
    0x36: "MMIO Register Block Locator",
}


def capability_name(id_: int) -> str:
    """The capability with this id, as `lspci` calls it."""
    return _CAPABILITIES.get(id_, f"Capability ID {id_:#04x}")


def extended_capability_name(id_: int) -> str:
    """The extended capability with this id, as `lspci` calls it."""
    return _EXTENDED.get(id_, f"Extended Capability ID {id_:#x}")


# -- makers and devices

_VENDORS = {
    0x1011: "DEC",
    0x1022: "AMD",
    0x104C: "Texas Instruments",
    0x10DE: "NVIDIA",
    0x10EC: "Realtek",
    0x1234: "QEMU",
    0x1274: "Ensoniq",
    0x15B3: "Mellanox",
    0x1AF4: "Red Hat virtio",
    0x1B36: "Red Hat QEMU",
    0x8086: "Intel",
}

_VIRTIO = ("network", "block", "balloon", "console", "SCSI host", "entropy", "9P transport")
"""Kinds of virtio device, by their old ids 1000h to 1006h."""

_MODERN = {
    1: "network",
    2: "block",
    3: "console",
    4: "entropy",
    5: "balloon",
    8: "SCSI host",
    9: "9P transport",
    16: "GPU",
    18: "input",
    19: "socket",
    26: "file system",
}
"""Kinds of virtio device, by the number that is added to 1040h (virtio 1.3, 4.1.2.1 and 5)."""

_DEVICES = {
    (0x1011, 0x0026): "21154 PCI-PCI bridge",
    (0x104C, 0x8231): "XIO2001 PCIe-PCI bridge",
    (0x104C, 0x8232): "XIO3130 switch, upstream port",
    (0x104C, 0x8233): "XIO3130 switch, downstream port",
    (0x1234, 0x1111): "standard VGA",
    (0x1234, 0x11E8): "edu, a device to teach with",
    (0x1274, 0x5000): "ES1370 AudioPCI",
    (0x1B36, 0x0001): "PCI-PCI bridge",
    (0x1B36, 0x0005): "PCI test device",
    (0x1B36, 0x000C): "PCIe root port",
    (0x1B36, 0x000D): "xHCI USB controller",
    (0x1B36, 0x000E): "PCIe-PCI bridge",
    (0x1B36, 0x0010): "NVM Express controller",
    (0x8086, 0x100E): "82540EM Gigabit Ethernet",
    (0x8086, 0x10C9): "82576 Gigabit Ethernet",
    (0x8086, 0x10CA): "82576 virtual function",
    (0x8086, 0x10D3): "82574L Gigabit Ethernet",
    (0x8086, 0x1237): "82441FX (440FX) host bridge",
    (0x8086, 0x2415): "82801AA AC'97 audio",
    (0x8086, 0x2668): "82801FB (ICH6) HD audio",
    (0x8086, 0x2918): "82801IB (ICH9) LPC bridge",
    (0x8086, 0x2922): "82801I (ICH9) AHCI",
    (0x8086, 0x2930): "82801I (ICH9) SMBus",
    (0x8086, 0x2940): "82801I (ICH9) PCIe root port",
    (0x8086, 0x29C0): "82G33 (Q35) host bridge",
    (0x8086, 0x7000): "82371SB (PIIX3) ISA bridge",
    (0x8086, 0x7010): "82371SB (PIIX3) IDE",
    (0x8086, 0x7113): "82371AB (PIIX4) power management",
    **{(0x1AF4, 0x1000 + n): f"{kind} device" for n, kind in enumerate(_VIRTIO)},
    **{(0x1AF4, 0x1040 + n): f"{kind} device" for n, kind in _MODERN.items()},
}


def vendor_name(vendor: int) -> str:
    """Who made it, or the number in words.

    >>> vendor_name(0x8086), vendor_name(0xBEEF)
    ('Intel', 'vendor beef')
    """
    return _VENDORS.get(vendor, f"vendor {vendor:04x}")


def device_name(vendor: int, device: int) -> str:
    """Which device of that vendor, or the number in words.

    >>> device_name(0x1AF4, 0x1042), device_name(0x8086, 0xBEEF)
    ('block device', 'device beef')
    """
    return _DEVICES.get((vendor, device), f"device {device:04x}")


def is_known(vendor: int, device: int) -> bool:
    """Whether the device has a name here."""
    return (vendor, device) in _DEVICES
