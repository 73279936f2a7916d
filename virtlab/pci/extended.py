"""Extended capabilities, from 0x100 on, that functions of ours have.

    0x0001 errors   0x0002 virtual channels   0x0003 serial number   0x000D ACS   0x000E ARI
    0x000F ATS      0x0010 SR-IOV

Those that only dumps have are in `layouts`, and so is the list of all that are known.

Source: PCI Express 3.0, 7.10 (AER), 7.11 (virtual channels), 7.12 (serial number), 7.16 (ACS), 7.23
(ARI); PCI Express ATS 1.1, 5.1; SR-IOV 1.1, 3.3. `sriov` brings that capability to life.
"""

from __future__ import annotations

from virtlab.pci.config import ExtendedCapability
from virtlab.registers import Reg
from virtlab.wire import Bits, all_ones

_AER, _VC, _ACS = "PCI Express 3.0 7.10", "PCI Express 3.0 7.11", "PCI Express 3.0 7.16"
_SRIOV = "SR-IOV 1.1 3.3"

_UNCORRECTABLE = {
    "DATA_LINK_PROTOCOL": Bits(4),
    "SURPRISE_DOWN": Bits(5),
    "POISONED_TLP": Bits(12),
    "FLOW_CONTROL": Bits(13),
    "COMPLETION_TIMEOUT": Bits(14),
    "COMPLETER_ABORT": Bits(15),
    "UNEXPECTED_COMPLETION": Bits(16),
    "RECEIVER_OVERFLOW": Bits(17),
    "MALFORMED_TLP": Bits(18),
    "ECRC": Bits(19),
    "UNSUPPORTED_REQUEST": Bits(20),
    "ACS_VIOLATION": Bits(21),
}
_UNCORRECTABLE_BITS = sum(bits.mask for bits in _UNCORRECTABLE.values())

_CORRECTABLE = {
    "RECEIVER": Bits(0),
    "BAD_TLP": Bits(6),
    "BAD_DLLP": Bits(7),
    "REPLAY_ROLLOVER": Bits(8),
    "REPLAY_TIMEOUT": Bits(12),
    "ADVISORY_NON_FATAL": Bits(13),
}
_CORRECTABLE_BITS = sum(bits.mask for bits in _CORRECTABLE.values())


class Aer(ExtendedCapability):
    """Advanced Error Reporting."""

    id = 0x0001
    version = 2
    length = 0x48
    UNCORRECTABLE_STATUS = Reg(
        0x04,
        4,
        w1c=_UNCORRECTABLE_BITS,
        fields=_UNCORRECTABLE,
        spec=f"{_AER}.2",
        doc="Errors that lost something.",
    )
    UNCORRECTABLE_MASK = Reg(
        0x08,
        4,
        rw=_UNCORRECTABLE_BITS,
        fields=_UNCORRECTABLE,
        spec=f"{_AER}.3",
        doc="Which of them are not reported.",
    )
    UNCORRECTABLE_SEVERITY = Reg(
        0x0C,
        4,
        reset=0x0006_2030,
        rw=_UNCORRECTABLE_BITS,
        fields=_UNCORRECTABLE,
        spec=f"{_AER}.4",
        doc="Which of them are fatal.",
    )
    CORRECTABLE_STATUS = Reg(
        0x10,
        4,
        w1c=_CORRECTABLE_BITS,
        fields=_CORRECTABLE,
        spec=f"{_AER}.5",
        doc="Errors that were repaired.",
    )
    CORRECTABLE_MASK = Reg(
        0x14,
        4,
        reset=0x0000_2000,
        rw=_CORRECTABLE_BITS,
        fields=_CORRECTABLE,
        spec=f"{_AER}.6",
        doc="Which of them are not reported.",
    )
    CONTROL = Reg(
        0x18,
        4,
        fields={
            "FIRST_ERROR": Bits(4, 0),
            "ECRC_GENERATION_CAPABLE": Bits(5),
            "ECRC_GENERATION_ENABLE": Bits(6),
            "ECRC_CHECK_CAPABLE": Bits(7),
            "ECRC_CHECK_ENABLE": Bits(8),
            "MULTIPLE_HEADER_CAPABLE": Bits(9),
            "MULTIPLE_HEADER_ENABLE": Bits(10),
            "PREFIX_LOG_PRESENT": Bits(11),
        },
        spec=f"{_AER}.7",
        doc="Which error came first.",
    )
    HEADER_LOG_0 = Reg(0x1C, 4, spec=f"{_AER}.8", doc="The header of the packet in error.")
    HEADER_LOG_1 = Reg(0x20, 4, spec=f"{_AER}.8", doc="Its second dword.")
    HEADER_LOG_2 = Reg(0x24, 4, spec=f"{_AER}.8", doc="Its third dword.")
    HEADER_LOG_3 = Reg(0x28, 4, spec=f"{_AER}.8", doc="Its fourth dword.")
    ROOT_COMMAND = Reg(
        0x2C,
        4,
        fields={"CORRECTABLE": Bits(0), "NON_FATAL": Bits(1), "FATAL": Bits(2)},
        spec=f"{_AER}.9",
        doc="Which errors interrupt, at a root port.",
    )
    ROOT_STATUS = Reg(
        0x30,
        4,
        fields={
            "CORRECTABLE": Bits(0),
            "MORE_CORRECTABLE": Bits(1),
            "UNCORRECTABLE": Bits(2),
            "MORE_UNCORRECTABLE": Bits(3),
            "FIRST_FATAL": Bits(4),
            "NON_FATAL": Bits(5),
            "FATAL": Bits(6),
            "INTERRUPT_MESSAGE": Bits(31, 27),
        },
        spec=f"{_AER}.10",
        doc="Which errors a root port was told of.",
    )
    ERROR_SOURCE = Reg(
        0x34,
        4,
        fields={"CORRECTABLE": Bits(15, 0), "UNCORRECTABLE": Bits(31, 16)},
        spec=f"{_AER}.11",
        doc="Who told it.",
    )
    PREFIX_LOG_0 = Reg(0x38, 4, spec=f"{_AER}.12", doc="The first prefix of the packet in error.")
    PREFIX_LOG_1 = Reg(0x3C, 4, spec=f"{_AER}.12", doc="Its second prefix.")
    PREFIX_LOG_2 = Reg(0x40, 4, spec=f"{_AER}.12", doc="Its third prefix.")
    PREFIX_LOG_3 = Reg(0x44, 4, spec=f"{_AER}.12", doc="Its fourth prefix.")

    def reset(self) -> None:
        """Nothing: all of it is sticky, and tells after a reset what happened before (7.10)."""


class VirtualChannel(ExtendedCapability):
    """Virtual channels: how traffic classes share a link. There is the one that must be, VC0."""

    id = 0x0002
    PORT_CAPABILITY_1 = Reg(
        0x04,
        4,
        fields={"EXTENDED_VCS": Bits(2, 0), "LOW_PRIORITY_VCS": Bits(6, 4)},
        spec=f"{_VC}.2",
        doc="How many channels there are besides VC0.",
    )
    PORT_CAPABILITY_2 = Reg(
        0x08,
        4,
        fields={"ARBITRATION": Bits(7, 0), "TABLE_OFFSET": Bits(31, 24)},
        spec=f"{_VC}.3",
        doc="How it can choose between channels.",
    )
    PORT_CONTROL = Reg(
        0x0C,
        2,
        fields={"LOAD_TABLE": Bits(0), "ARBITRATION": Bits(3, 1)},
        spec=f"{_VC}.4",
        doc="How it does choose.",
    )
    PORT_STATUS = Reg(0x0E, 2, fields={"TABLE": Bits(0)}, spec=f"{_VC}.5", doc="Table is loading.")
    VC0_CAPABILITY = Reg(0x10, 4, spec=f"{_VC}.6", doc="How VC0 chooses between ports.")
    VC0_CONTROL = Reg(
        0x14,
        4,
        reset=0x8000_00FF,
        rw=0x0000_00FE,
        fields={"TC_MAP": Bits(7, 0), "VC_ID": Bits(26, 24), "ENABLE": Bits(31)},
        spec=f"{_VC}.7",
        doc="Which traffic classes go through VC0. Class 0 always does.",
    )
    VC0_STATUS = Reg(
        0x1A,
        2,
        fields={"TABLE": Bits(0), "NEGOTIATION_PENDING": Bits(1)},
        spec=f"{_VC}.8",
        doc="Whether both ends of the link agree.",
    )


class SerialNumber(ExtendedCapability):
    """A number of 64 bits that no other device has."""

    id = 0x0003
    LOWER = Reg(0x04, 4, spec="PCI Express 3.0 7.12.2", doc="Bits 31 to 0.")
    UPPER = Reg(0x08, 4, spec="PCI Express 3.0 7.12.2", doc="Bits 63 to 32.")

    def __init__(self, number: int = 0) -> None:
        super().__init__()
        self.preset(LOWER=number & all_ones(4), UPPER=number >> 32 & all_ones(4))


_CONTROLS = {
    "SOURCE_VALIDATION": Bits(0),
    "TRANSLATION_BLOCKING": Bits(1),
    "P2P_REQUEST_REDIRECT": Bits(2),
    "P2P_COMPLETION_REDIRECT": Bits(3),
    "UPSTREAM_FORWARDING": Bits(4),
    "P2P_EGRESS_CONTROL": Bits(5),
    "DIRECT_TRANSLATED_P2P": Bits(6),
}


class Acs(ExtendedCapability):
    """Access Control Services: what a port lets its peers do to each other."""

    id = 0x000D
    CAPABILITY = Reg(
        0x04,
        2,
        reset=0x001F,
        fields={**_CONTROLS, "EGRESS_VECTOR_SIZE": Bits(15, 8)},
        spec=f"{_ACS}.2",
        doc="Which controls the port has.",
    )
    CONTROL = Reg(
        0x06,
        2,
        rw=0x001F,
        fields=_CONTROLS,
        spec=f"{_ACS}.3",
        doc="Which of them are on.",
    )

    @property
    def validates(self) -> bool:
        """Whether a request from below must carry a bus number that is below (6.12.1.1)."""
        return bool(Acs.CONTROL.SOURCE_VALIDATION.get(self.CONTROL))

    @property
    def redirects(self) -> bool:
        """Whether requests of a peer go up to the root."""
        return bool(Acs.CONTROL.P2P_REQUEST_REDIRECT.get(self.CONTROL))

    @property
    def forwards(self) -> bool:
        """Whether a request to where it came from goes up too, instead of being refused."""
        return bool(Acs.CONTROL.UPSTREAM_FORWARDING.get(self.CONTROL))


class Ari(ExtendedCapability):
    """Alternative Routing-ID: up to 256 functions in one device."""

    id = 0x000E
    CAPABILITY = Reg(
        0x04,
        2,
        fields={"MFVC": Bits(0), "ACS": Bits(1), "NEXT_FUNCTION": Bits(15, 8)},
        spec="PCI Express 3.0 7.23.2",
        doc="The number of the next function.",
    )
    CONTROL = Reg(
        0x06,
        2,
        fields={"MFVC": Bits(0), "ACS": Bits(1), "FUNCTION_GROUP": Bits(6, 4)},
        spec="PCI Express 3.0 7.23.3",
        doc="Groups of functions.",
    )

    def __init__(self, next_function: int = 0) -> None:
        super().__init__()
        self.preset(CAPABILITY=Ari.CAPABILITY.NEXT_FUNCTION.put(0, next_function))


class Ats(ExtendedCapability):
    """Address Translation Services: a device that keeps translations itself."""

    id = 0x000F
    CAPABILITY = Reg(
        0x04,
        2,
        fields={"QUEUE_DEPTH": Bits(4, 0), "PAGE_ALIGNED": Bits(5), "GLOBAL": Bits(6)},
        spec="ATS 1.1 5.1.2",
        doc="How many invalidations it can take at once.",
    )
    CONTROL = Reg(
        0x06,
        2,
        rw=0x801F,
        fields={"SMALLEST_UNIT": Bits(4, 0), "ENABLE": Bits(15)},
        spec="ATS 1.1 5.1.3",
        doc="Whether it may ask, and the smallest page.",
    )


class SrIov(ExtendedCapability):
    """Single Root I/O Virtualization: how a function says that it has virtual ones."""

    id = 0x0010
    length = 0x40
    CAPABILITIES = Reg(
        0x04,
        4,
        fields={
            "VF_MIGRATION": Bits(0),
            "ARI_PRESERVED": Bits(1),
            "MIGRATION_VECTOR": Bits(31, 21),
        },
        spec=f"{_SRIOV}.2",
        doc="What it can do beyond making VFs.",
    )
    CONTROL = Reg(
        0x08,
        2,
        rw=0x0019,
        fields={
            "VF_ENABLE": Bits(0),
            "MIGRATION_ENABLE": Bits(1),
            "MIGRATION_INTERRUPT": Bits(2),
            "VF_MSE": Bits(3),
            "ARI_HIERARCHY": Bits(4),
        },
        spec=f"{_SRIOV}.3",
        doc="Whether the VFs exist, and whether their memory answers.",
    )
    STATUS = Reg(0x0A, 2, fields={"MIGRATION": Bits(0)}, spec=f"{_SRIOV}.4", doc="Migration.")
    INITIAL_VFS = Reg(0x0C, 2, spec=f"{_SRIOV}.5", doc="VFs that there are at first.")
    TOTAL_VFS = Reg(0x0E, 2, spec=f"{_SRIOV}.6", doc="VFs that there can be.")
    NUM_VFS = Reg(0x10, 2, rw=all_ones(2), spec=f"{_SRIOV}.7", doc="VFs that software wants.")
    FUNCTION_DEPENDENCY = Reg(0x12, 1, spec=f"{_SRIOV}.8", doc="Which PFs belong together.")
    FIRST_VF_OFFSET = Reg(0x14, 2, spec=f"{_SRIOV}.9", doc="From the PF's id to the first VF's.")
    VF_STRIDE = Reg(0x16, 2, spec=f"{_SRIOV}.10", doc="From one VF's id to the next.")
    VF_DEVICE_ID = Reg(0x1A, 2, spec=f"{_SRIOV}.11", doc="The device id that all VFs have.")
    SUPPORTED_PAGE_SIZES = Reg(0x1C, 4, spec=f"{_SRIOV}.12", doc="Bit n: pages of 2^(n+12).")
    SYSTEM_PAGE_SIZE = Reg(0x20, 4, spec=f"{_SRIOV}.13", doc="The one that is in use.")
    VF_BAR0 = Reg(0x24, 4, spec=f"{_SRIOV}.14", doc="Where the first VF's memory begins.")
    VF_BAR1 = Reg(0x28, 4, spec=f"{_SRIOV}.14", doc="The same for BAR 1.")
    VF_BAR2 = Reg(0x2C, 4, spec=f"{_SRIOV}.14", doc="The same for BAR 2.")
    VF_BAR3 = Reg(0x30, 4, spec=f"{_SRIOV}.14", doc="The same for BAR 3.")
    VF_BAR4 = Reg(0x34, 4, spec=f"{_SRIOV}.14", doc="The same for BAR 4.")
    VF_BAR5 = Reg(0x38, 4, spec=f"{_SRIOV}.14", doc="The same for BAR 5.")
    MIGRATION_STATE = Reg(0x3C, 4, spec=f"{_SRIOV}.15", doc="Where the migration array is.")
