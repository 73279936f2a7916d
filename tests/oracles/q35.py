"""A q35 with everything that PCI Express has, and what QEMU itself says of it.

`query-pci` reads QEMU's own registers: identities, bus numbers, windows, BARs with their sizes. It
knows nothing of our enumeration.
"""

from __future__ import annotations

from virtlab.guest.pci import Found

TREE = """
pcie-root-port,id=rp1,chassis=1,slot=1,addr=3.0,multifunction=on
pcie-root-port,id=rp2,chassis=2,slot=2,addr=3.1
pcie-root-port,id=rp3,chassis=3,slot=3,addr=3.2
x3130-upstream,id=up,bus=rp1
xio3130-downstream,id=down1,bus=up,chassis=10,slot=10
xio3130-downstream,id=down2,bus=up,chassis=11,slot=11
xio3130-downstream,id=down3,bus=up,chassis=12,slot=12
pcie-pci-bridge,id=old,bus=rp2
pci-bridge,id=older,bus=old,chassis_nr=20,addr=2
virtio-rng-pci,bus=down1
nvme,bus=down2,serial=1
e1000e,bus=down3
e1000,bus=old,addr=1
ES1370,bus=older,addr=1,audiodev=quiet
edu,bus=older,addr=2
virtio-balloon-pci,bus=older,addr=3
e1000e,bus=rp3
edu,addr=5
pci-testdev,addr=6
bochs-display,addr=7
virtio-serial-pci,addr=8
ES1370,addr=9,audiodev=quiet
"""
"""One device a line: a switch with three ports, two bridges to conventional PCI, and more."""


def arguments(tree: str = TREE) -> list[str]:
    """QEMU's arguments for a tree."""
    words = ["-nodefaults", "-audiodev", "none,id=quiet"]
    for device in tree.split():
        words += ["-device", device]
    return words


def theirs(reply: list[dict]) -> list[dict]:
    """The devices of the first bus in a reply to `query-pci`."""
    return reply[0]["devices"]


def flat(devices: list[dict]) -> list[dict]:
    """Every device, depth first."""
    found = []
    for device in devices:
        found.append(device)
        found += flat(device.get("pci_bridge", {}).get("devices", []))
    return found


def facts_of_theirs(device: dict) -> dict:
    """Place, identity, bus numbers, windows and BARs of one of QEMU's devices."""
    bridge = device.get("pci_bridge")
    facts = {
        "place": (device["bus"], device["slot"], device["function"]),
        "identity": (device["id"]["vendor"], device["id"]["device"]),
        "class": device["class_info"]["class"],
        "bars": [
            (region["bar"], region["type"], region["size"], region["address"])
            for region in device["regions"]
            if region["bar"] < 6
        ],
        "buses": None,
        "windows": {},
    }
    if bridge:
        bus = bridge["bus"]
        facts["buses"] = bus["secondary"], bus["subordinate"]
        for ours, name in (("io", "io"), ("memory", "memory"), ("prefetchable", "prefetchable")):
            span = bus[f"{name}_range"]
            if span["base"] <= span["limit"]:
                facts["windows"][ours] = span["base"], span["limit"]
    return facts


def facts_of_ours(found: Found) -> dict:
    """The same, as our enumeration found and assigned it."""
    return {
        "place": tuple(found.place),
        "identity": (found.vendor, found.device),
        "class": found.class_code >> 8,
        "bars": [
            (bar.index, "io" if bar.space == "port" else "memory", bar.size, bar.address)
            for bar in found.bars
        ],
        "buses": found.buses,
        "windows": found.windows,
    }
