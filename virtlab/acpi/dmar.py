"""DMAR: the remapping units of a machine, and which devices each is responsible for.

    DMAR --> hardware unit --> scope --> path     its registers; a bus; a hop for each bridge

The rule that keeps it simple: a device is named by the way to it, not by its bus number, because
software may number the buses anew. A scope has the number of the first bus, and then device and
function of each bridge on the way, the device itself last.

Source: VT-d 3.0, 8.1 to 8.3.1. Left out: reserved memory regions, ATS reporting, affinity. A reader
keeps them as they are.
"""

from __future__ import annotations

import numpy as np

from virtlab.acpi.layouts import Layout, table_dtype
from virtlab.wire import u8, u16, u64

PATH = Layout("path", np.dtype([("device", u8), ("function", u8)]), "VT-d 8.3.1")
SCOPES = {1: "endpoint", 2: "bridge", 3: "I/O APIC", 4: "HPET", 5: "named device"}
SCOPE = tuple(
    Layout(
        name,
        np.dtype(
            [
                ("type", u8),
                ("length", u8),
                ("reserved", u16),
                ("enumeration_id", u8),
                ("start_bus", u8),
            ]
        ),
        "VT-d 8.3.1",
        number,
        (PATH,),
    )
    for number, name in SCOPES.items()
)
HARDWARE_UNIT = Layout(
    "hardware unit",
    np.dtype(
        [
            ("type", u16),
            ("length", u16),
            ("flags", u8),  # bit 0: all devices that no other unit names
            ("size", u8),  # reserved: 0 is one page of registers
            ("segment", u16),
            ("base", u64),  # gpa of its registers
        ]
    ),
    "VT-d 8.3",
    0,
    SCOPE,
)
DMAR = Layout(
    "DMA Remapping",
    table_dtype(
        ("host_address_width", u8),  # bits, less one
        ("flags", u8),  # bit 0: interrupt remapping
        ("reserved", "S10"),
    ),
    "VT-d 8.1",
    parts=(HARDWARE_UNIT,),
)
