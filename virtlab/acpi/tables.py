"""The tables of a PC, by signature: root tables, FADT, DSDT, MADT, MCFG, HPET, DMAR.

The idea: what is different from table to table is only declarations. `TABLES` is the list that the
reader and the writer go by; a new table is a new line there.

The rule that keeps it simple: one line a field, in the order of the bytes, with its unit where it
has one.

Source: ACPI 6.4, 5.2; PCI Firmware 3.0, 4.1.2 (MCFG); IA-PC HPET 1.0a, 3.2.4. Left out: what no PC
of this course has: NUMA, power states, x2APIC.
"""

from __future__ import annotations

import numpy as np

from virtlab.acpi.dmar import DMAR
from virtlab.acpi.layouts import GENERIC_ADDRESS, HEADER, Layout, table_dtype
from virtlab.wire import Bits, u8, u16, u32, u64

ENTRY32 = Layout("table address", np.dtype([("address", u32)]), "ACPI 6.4 5.2.7")
ENTRY64 = Layout("table address", np.dtype([("address", u64)]), "ACPI 6.4 5.2.8")

# -- FADT: the fixed hardware, or that there is none

BOOT_FLAGS = {
    "LEGACY_DEVICES": Bits(0),
    "HAS_8042": Bits(1),
    "VGA_NOT_PRESENT": Bits(2),
    "MSI_NOT_SUPPORTED": Bits(3),
    "NO_ASPM": Bits(4),
    "CMOS_RTC_NOT_PRESENT": Bits(5),
}
"""IA-PC Boot Architecture flags (ACPI 6.4 5.2.9.3)."""

FADT_FLAGS = {
    "WBINVD": Bits(0),
    "PWR_BUTTON": Bits(4),
    "SLP_BUTTON": Bits(5),
    "RESET_REG_SUP": Bits(10),
    "HW_REDUCED_ACPI": Bits(20),
}
"""Some of the feature flags (ACPI 6.4 5.2.9, table 5.10)."""

FADT = Layout(
    "Fixed ACPI Description Table",
    table_dtype(
        ("firmware_ctrl", u32),  # gpa of the FACS
        ("dsdt", u32),  # gpa
        ("int_model", u8),  # reserved since ACPI 2.0
        ("preferred_pm_profile", u8),  # 1: desktop
        ("sci_int", u16),
        ("smi_cmd", u32),  # port
        ("acpi_enable", u8),
        ("acpi_disable", u8),
        ("s4bios_req", u8),
        ("pstate_cnt", u8),
        ("pm1a_evt_blk", u32),  # port; so the seven that follow
        ("pm1b_evt_blk", u32),
        ("pm1a_cnt_blk", u32),
        ("pm1b_cnt_blk", u32),
        ("pm2_cnt_blk", u32),
        ("pm_tmr_blk", u32),
        ("gpe0_blk", u32),
        ("gpe1_blk", u32),
        ("pm1_evt_len", u8),  # bytes; so the five that follow
        ("pm1_cnt_len", u8),
        ("pm2_cnt_len", u8),
        ("pm_tmr_len", u8),
        ("gpe0_blk_len", u8),
        ("gpe1_blk_len", u8),
        ("gpe1_base", u8),
        ("cst_cnt", u8),
        ("p_lvl2_lat", u16),  # microseconds; above 100: no C2
        ("p_lvl3_lat", u16),  # microseconds; above 1000: no C3
        ("flush_size", u16),
        ("flush_stride", u16),
        ("duty_offset", u8),
        ("duty_width", u8),
        ("day_alrm", u8),  # index in the RTC; so the two that follow
        ("mon_alrm", u8),
        ("century", u8),
        ("iapc_boot_arch", u16),  # BOOT_FLAGS
        ("reserved", u8),
        ("flags", u32),  # FADT_FLAGS
        ("reset_reg", GENERIC_ADDRESS),
        ("reset_value", u8),
        ("arm_boot_arch", u16),
        ("minor_version", u8),
        ("x_firmware_ctrl", u64),
        ("x_dsdt", u64),  # gpa; used instead of dsdt where it is not 0
        ("x_pm1a_evt_blk", GENERIC_ADDRESS),
        ("x_pm1b_evt_blk", GENERIC_ADDRESS),
        ("x_pm1a_cnt_blk", GENERIC_ADDRESS),
        ("x_pm1b_cnt_blk", GENERIC_ADDRESS),
        ("x_pm2_cnt_blk", GENERIC_ADDRESS),
        ("x_pm_tmr_blk", GENERIC_ADDRESS),
        ("x_gpe0_blk", GENERIC_ADDRESS),
        ("x_gpe1_blk", GENERIC_ADDRESS),
        ("sleep_control_reg", GENERIC_ADDRESS),
        ("sleep_status_reg", GENERIC_ADDRESS),
        ("hypervisor_vendor", "S8"),
    ),
    "ACPI 6.4 5.2.9",
)

# -- MADT: the interrupt controllers

PCAT_COMPAT = 1
"""MADT flag: a pair of 8259As is there too (ACPI 6.4 5.2.12)."""

INTI_FLAGS = {"POLARITY": Bits(1, 0), "TRIGGER": Bits(3, 2)}
"""Flags of an interrupt input (ACPI 6.4 table 5.26). 0 means: as the bus has it."""

ACTIVE_HIGH, ACTIVE_LOW, EDGE, LEVEL = 1, 3, 1, 3

LOCAL_APIC = Layout(
    "Processor Local APIC",
    np.dtype(
        [
            ("type", u8),
            ("length", u8),
            ("processor_uid", u8),
            ("apic_id", u8),
            ("flags", u32),  # bit 0: enabled
        ]
    ),
    "ACPI 6.4 5.2.12.2",
    0,
)
IO_APIC = Layout(
    "I/O APIC",
    np.dtype(
        [
            ("type", u8),
            ("length", u8),
            ("io_apic_id", u8),
            ("reserved", u8),
            ("address", u32),  # gpa
            ("gsi_base", u32),  # the global system interrupt of its input 0
        ]
    ),
    "ACPI 6.4 5.2.12.3",
    1,
)
OVERRIDE = Layout(
    "Interrupt Source Override",
    np.dtype(
        [
            ("type", u8),
            ("length", u8),
            ("bus", u8),  # 0: ISA
            ("source", u8),  # the ISA interrupt
            ("gsi", u32),  # where it really arrives
            ("flags", u16),  # INTI_FLAGS
        ]
    ),
    "ACPI 6.4 5.2.12.5",
    2,
)
LOCAL_NMI = Layout(
    "Local APIC NMI",
    np.dtype(
        [
            ("type", u8),
            ("length", u8),
            ("processor_uid", u8),  # 255: all
            ("flags", u16),  # INTI_FLAGS
            ("lint", u8),  # which of the two inputs
        ]
    ),
    "ACPI 6.4 5.2.12.7",
    4,
)
MADT = Layout(
    "Multiple APIC Description Table",
    table_dtype(
        ("local_apic_address", u32),  # gpa, the same for each processor
        ("flags", u32),  # PCAT_COMPAT
    ),
    "ACPI 6.4 5.2.12",
    parts=(LOCAL_APIC, IO_APIC, OVERRIDE, LOCAL_NMI),
)

# -- MCFG: where configuration space is in memory

ALLOCATION = Layout(
    "configuration space",
    np.dtype(
        [
            ("base", u64),  # gpa of bus 0, whatever start_bus is
            ("segment", u16),
            ("start_bus", u8),
            ("end_bus", u8),  # included
            ("reserved", u32),
        ]
    ),
    "PCI Firmware 3.0 4.1.2",
)
MCFG = Layout(
    "PCI Express memory mapped configuration",
    table_dtype(("reserved", "S8")),
    "PCI Firmware 3.0 4.1.2",
    parts=(ALLOCATION,),
)

# -- HPET: where the timer block is

HPET = Layout(
    "IA-PC High Precision Event Timer",
    table_dtype(
        ("block_id", u32),  # the low half of GCAP_ID
        ("base", GENERIC_ADDRESS),
        ("number", u8),
        ("minimum_tick", u16),  # the shortest period, in ticks, that loses no interrupt
        ("page_protection", u8),
    ),
    "HPET 1.0a 3.2.4",
)

TABLES = {
    "RSDT": Layout("Root System Description Table", HEADER, "ACPI 6.4 5.2.7", parts=(ENTRY32,)),
    "XSDT": Layout("Extended Root Table", HEADER, "ACPI 6.4 5.2.8", parts=(ENTRY64,)),
    "FACP": FADT,
    "DSDT": Layout("Differentiated Description Table", HEADER, "ACPI 6.4 5.2.11.1"),
    "APIC": MADT,
    "MCFG": MCFG,
    "HPET": HPET,
    "DMAR": DMAR,
}
"""By signature. The FADT's and the MADT's are not their names."""
