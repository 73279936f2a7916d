"""Extended capabilities that only dumps have: no function of ours has them yet.

No bit of them can be written. Where entries or lanes follow, only what stands before them is here.

Source: PCI Express 6.3, 7.7 to 7.9; ATS 1.1, 5.2.
"""

from __future__ import annotations

from virtlab.pci.config import ExtendedCapability
from virtlab.registers import Reg
from virtlab.wire import Bits

_PCIE = "PCI Express 6.3"


def _flags(*names: str) -> dict[str, Bits]:
    """A bit for each name, from bit 0 up."""
    return {name: Bits(bit) for bit, name in enumerate(names)}


class PowerBudgeting(ExtendedCapability):
    """How much power it takes in each state."""

    id = 0x0004
    DATA_SELECT = Reg(0x04, 1, spec=f"{_PCIE} 7.8.1.2", doc="Which entry.")
    DATA = Reg(
        0x08,
        4,
        fields={"BASE_POWER": Bits(7, 0), "SCALE": Bits(9, 8), "PM_STATE": Bits(14, 13)},
        spec=f"{_PCIE} 7.8.1.4",
        doc="The entry.",
    )


class RootComplexLink(ExtendedCapability):
    """How the parts of a root complex hang together. The links follow."""

    id = 0x0005
    ELEMENT = Reg(
        0x04,
        4,
        fields={
            "TYPE": Bits(3, 0),
            "LINKS": Bits(15, 8),
            "COMPONENT": Bits(23, 16),
            "PORT": Bits(31, 24),
        },
        spec=f"{_PCIE} 7.9.8.2",
        doc="Which part this is.",
    )


class EventCollectorEndpoints(ExtendedCapability):
    """Whose events a root complex event collector collects."""

    id = 0x0007
    BITMAP = Reg(0x04, 4, spec=f"{_PCIE} 7.9.10.2", doc="A bit for each device of its bus.")
    BUSES = Reg(
        0x08,
        4,
        fields={"FIRST": Bits(15, 8), "LAST": Bits(23, 16)},
        spec=f"{_PCIE} 7.9.10.3",
        doc="Further buses.",
    )


class VendorSpecific(ExtendedCapability):
    """What a vendor has to say. Only its head is defined."""

    id = 0x000B
    VENDOR_HEADER = Reg(
        0x04,
        4,
        fields={"ID": Bits(15, 0), "REVISION": Bits(19, 16), "LENGTH": Bits(31, 20)},
        spec=f"{_PCIE} 7.9.5.2",
        doc="The vendor's own id for it.",
    )


class Multicast(ExtendedCapability):
    """One write to many receivers."""

    id = 0x0012
    CAPABILITY = Reg(
        0x04,
        2,
        fields={"MAX_GROUP": Bits(5, 0), "WINDOW_SIZE": Bits(13, 8), "ECRC": Bits(15)},
        spec=f"{_PCIE} 7.9.11.2",
        doc="How many groups it can have.",
    )
    CONTROL = Reg(
        0x06,
        2,
        fields={"GROUPS": Bits(5, 0), "ENABLE": Bits(15)},
        spec=f"{_PCIE} 7.9.11.3",
        doc="How many it has.",
    )
    BASE_ADDRESS = Reg(0x08, 8, spec=f"{_PCIE} 7.9.11.4", doc="Where the groups' windows begin.")


class PageRequest(ExtendedCapability):
    """A device that may ask for a page that is not there."""

    id = 0x0013
    CONTROL = Reg(0x04, 2, fields=_flags("ENABLE", "RESET"), spec="ATS 1.1 5.2.2", doc="It may.")
    STATUS = Reg(
        0x06,
        2,
        fields={
            "RESPONSE_FAILURE": Bits(0),
            "UNEXPECTED_GROUP": Bits(1),
            "STOPPED": Bits(8),
            "PASID_REQUIRED": Bits(15),
        },
        spec="ATS 1.1 5.2.3",
        doc="What went wrong.",
    )
    CAPACITY = Reg(0x08, 4, spec="ATS 1.1 5.2.4", doc="How many requests it can have open.")
    ALLOCATION = Reg(0x0C, 4, spec="ATS 1.1 5.2.5", doc="How many it may have open.")


class ResizableBar(ExtendedCapability):
    """A BAR of several possible sizes. More may follow."""

    id = 0x0015
    CAPABILITY = Reg(
        0x04, 4, fields={"SIZES": Bits(31, 4)}, spec=f"{_PCIE} 7.8.6.2", doc="Bit n: 2^(n+20)."
    )
    CONTROL = Reg(
        0x08,
        4,
        fields={"BAR": Bits(2, 0), "COUNT": Bits(7, 5), "SIZE": Bits(13, 8)},
        spec=f"{_PCIE} 7.8.6.3",
        doc="Which BAR, and the size it has.",
    )


class TphRequester(ExtendedCapability):
    """Hints with a packet about who will use the data."""

    id = 0x0017
    CAPABILITY = Reg(
        0x04,
        4,
        fields={
            **_flags("NO_TAG", "INTERRUPT_VECTOR", "DEVICE_SPECIFIC"),
            "EXTENDED": Bits(8),
            "TABLE_LOCATION": Bits(10, 9),
            "TABLE_SIZE": Bits(26, 16),
        },
        spec=f"{_PCIE} 7.9.13.2",
        doc="How it can choose a tag.",
    )
    CONTROL = Reg(
        0x08,
        4,
        fields={"MODE": Bits(2, 0), "ENABLE": Bits(9, 8)},
        spec=f"{_PCIE} 7.9.13.3",
        doc="How it does.",
    )


_LATENCY = {"VALUE": Bits(9, 0), "SCALE": Bits(12, 10)}


class LatencyTolerance(ExtendedCapability):
    """How long it may have to wait for memory."""

    id = 0x0018
    MAX_SNOOP = Reg(0x04, 2, fields=_LATENCY, spec=f"{_PCIE} 7.8.2.2", doc="With snooping.")
    MAX_NO_SNOOP = Reg(0x06, 2, fields=_LATENCY, spec=f"{_PCIE} 7.8.2.3", doc="Without.")


class SecondaryExpress(ExtendedCapability):
    """A link of 8 GT/s. The lanes follow."""

    id = 0x0019
    LINK_CONTROL_3 = Reg(
        0x04,
        4,
        fields=_flags("PERFORM_EQUALIZATION", "EQUALIZATION_INTERRUPT"),
        spec=f"{_PCIE} 7.7.3.2",
        doc="How the link is trained.",
    )
    LANE_ERROR_STATUS = Reg(0x08, 4, spec=f"{_PCIE} 7.7.3.3", doc="A bit for each lane.")


class Pasid(ExtendedCapability):
    """Requests that name a process."""

    id = 0x001B
    CAPABILITY = Reg(
        0x04,
        2,
        fields={"EXECUTE": Bits(1), "PRIVILEGED": Bits(2), "WIDTH": Bits(12, 8)},
        spec=f"{_PCIE} 7.8.9.2",
        doc="How many bits a name has.",
    )
    CONTROL = Reg(
        0x06,
        2,
        fields=_flags("ENABLE", "EXECUTE", "PRIVILEGED"),
        spec=f"{_PCIE} 7.8.9.3",
        doc="Whether it may name one.",
    )


class DownstreamPortContainment(ExtendedCapability):
    """A port that takes its link down after an error."""

    id = 0x001D
    CAPABILITY = Reg(
        0x04,
        2,
        fields={
            "INTERRUPT_MESSAGE": Bits(4, 0),
            "ROOT_PORT": Bits(5),
            "POISONED_TLP": Bits(6),
            "SOFTWARE_TRIGGER": Bits(7),
            "LOG_SIZE": Bits(11, 8),
        },
        spec=f"{_PCIE} 7.9.14.2",
        doc="What can trigger it.",
    )
    CONTROL = Reg(
        0x06,
        2,
        fields={"TRIGGER": Bits(1, 0), "COMPLETION": Bits(2), "INTERRUPT": Bits(3)},
        spec=f"{_PCIE} 7.9.14.3",
        doc="What does.",
    )
    STATUS = Reg(
        0x08,
        2,
        fields={"TRIGGERED": Bits(0), "REASON": Bits(2, 1), "INTERRUPT": Bits(3)},
        spec=f"{_PCIE} 7.9.14.4",
        doc="Whether it did.",
    )
    SOURCE = Reg(0x0A, 2, spec=f"{_PCIE} 7.9.14.5", doc="Who had the error.")


_L1 = _flags("PCIPM_L1_2", "PCIPM_L1_1", "ASPM_L1_2", "ASPM_L1_1")


class L1PmSubstates(ExtendedCapability):
    """Deeper sleep of a link."""

    id = 0x001E
    CAPABILITIES = Reg(
        0x04, 4, fields=_L1, spec=f"{_PCIE} 7.8.3.2", doc="Which states the port has."
    )
    CONTROL_1 = Reg(0x08, 4, fields=_L1, spec=f"{_PCIE} 7.8.3.3", doc="Which are on.")
    CONTROL_2 = Reg(0x0C, 4, spec=f"{_PCIE} 7.8.3.4", doc="How long it takes to wake.")


class PrecisionTime(ExtendedCapability):
    """A clock that both ends of a link share."""

    id = 0x001F
    CAPABILITY = Reg(
        0x04,
        4,
        fields={**_flags("REQUESTER", "RESPONDER", "ROOT"), "GRANULARITY": Bits(15, 8)},
        spec=f"{_PCIE} 7.9.15.2",
        doc="What it can be.",
    )
    CONTROL = Reg(
        0x08,
        4,
        fields={**_flags("ENABLE", "ROOT_SELECT"), "GRANULARITY": Bits(15, 8)},
        spec=f"{_PCIE} 7.9.15.3",
        doc="What it is.",
    )


class DesignatedVendorSpecific(ExtendedCapability):
    """What one vendor has to say in another's device: CXL, for one."""

    id = 0x0023
    HEADER_1 = Reg(
        0x04,
        4,
        fields={"VENDOR": Bits(15, 0), "REVISION": Bits(19, 16), "LENGTH": Bits(31, 20)},
        spec=f"{_PCIE} 7.9.6.2",
        doc="Whose layout it is.",
    )
    HEADER_2 = Reg(0x08, 2, spec=f"{_PCIE} 7.9.6.3", doc="Which of that vendor's.")


class DataLinkFeature(ExtendedCapability):
    """What the data link layers of both ends can do."""

    id = 0x0025
    CAPABILITIES = Reg(
        0x04,
        4,
        fields={"LOCAL": Bits(22, 0), "EXCHANGE_ENABLE": Bits(31)},
        spec=f"{_PCIE} 7.7.4.2",
        doc="What this end can do.",
    )
    STATUS = Reg(
        0x08,
        4,
        fields={"REMOTE": Bits(22, 0), "VALID": Bits(31)},
        spec=f"{_PCIE} 7.7.4.3",
        doc="What the other can.",
    )


class DataObjectExchange(ExtendedCapability):
    """A mailbox in configuration space."""

    id = 0x002E
    CAPABILITIES = Reg(
        0x04,
        4,
        fields={"INTERRUPT": Bits(0), "MESSAGE": Bits(11, 1)},
        spec=f"{_PCIE} 7.9.24.2",
        doc="Whether it can interrupt.",
    )
    CONTROL = Reg(
        0x08,
        4,
        fields={"ABORT": Bits(0), "INTERRUPT": Bits(1), "GO": Bits(31)},
        spec=f"{_PCIE} 7.9.24.3",
        doc="Starts and stops.",
    )
    STATUS = Reg(
        0x0C,
        4,
        fields={**_flags("BUSY", "INTERRUPT", "ERROR"), "READY": Bits(31)},
        spec=f"{_PCIE} 7.9.24.4",
        doc="How far it is.",
    )
