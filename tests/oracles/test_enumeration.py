"""Our enumeration, unchanged, on QEMU's q35 and pc: the tree that QEMU itself then reports."""

import itertools
import re
import subprocess

import pytest

from tests.needs import needs_lspci, needs_qemu, require
from tests.oracles.q35 import arguments, facts_of_ours, facts_of_theirs, flat, theirs
from virtlab.guest.pci import EcamAccess, PortAccess, capability_list, find, open_ecam
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.hosts.remote import QtestMachine

ECAM = 0xB000_0000


@pytest.fixture(scope="module")
def q35():
    require("QEMU")
    with QtestMachine("q35", arguments()) as machine:
        machine.functions = enumerate_pci(machine)
        machine.theirs = flat(theirs(machine.qmp("query-pci")))
        yield machine


def ours(machine):
    return [found for top in machine.functions for found in top.walk()]


@needs_qemu
def test_every_function_every_bar_every_window_is_what_qemu_says(q35):
    mine = [facts_of_ours(found) for found in ours(q35)]
    assert len(mine) > 20
    assert mine == [facts_of_theirs(device) for device in q35.theirs]


@needs_qemu
def test_twelve_functions_and_more_are_behind_bridges(q35):
    assert sum(found.place.bus > 0 for found in ours(q35)) >= 12


@needs_qemu
def test_no_two_bars_overlap_and_each_lies_in_the_window_above(q35):
    taken = sorted(
        (bar.space, bar.address, bar.address + bar.size)
        for found in ours(q35)
        for bar in found.bars
    )
    for low, high in itertools.pairwise(taken):
        assert low[0] != high[0] or low[2] <= high[1], (low, high)
    for bridge in (found for found in ours(q35) if found.is_bridge):
        for child in bridge.below:
            for bar in child.bars:
                assert any(
                    base <= bar.address and bar.address + bar.size - 1 <= limit
                    for base, limit in bridge.windows.values()
                ), (bridge.place, child.place, bar)


@needs_qemu
def test_the_interrupt_line_is_what_qemu_reports(q35):
    noted = {found.place: found.line for found in ours(q35) if found.line}
    for device in q35.theirs:
        place = device["bus"], device["slot"], device["function"]
        if "irq" in device and place in noted:
            assert device["irq"] == noted[place]
    assert len(noted) > 10


@needs_qemu
def test_ports_and_ecam_read_the_same(q35):
    ecam, ports = open_ecam(q35, ECAM), PortAccess(q35)
    for found in ours(q35):
        for offset in range(0, 0x40, 4):
            assert ecam.read(found.place, offset, 4) == ports.read(found.place, offset, 4)
        assert capability_list(ecam, found.place) == capability_list(ports, found.place)


@needs_qemu
def test_a_device_answers_where_it_was_put(q35):
    """QEMU's edu, behind three bridges, at the address that we gave it."""
    for found in ours(q35):
        if (found.vendor, found.device) == (0x1234, 0x11E8):
            assert q35.load(found.bar(0), 4) == 0x0100_00ED


@needs_qemu
@needs_lspci
def test_lspci_prints_the_same_tree_and_windows(q35, tmp_path):
    """`lspci -F` on what ECAM then shows: bridges, their numbers and windows, every region."""
    ecam = EcamAccess(q35, ECAM)
    open_ecam(q35, ECAM)
    dump = tmp_path / "dump.txt"
    dump.write_text("\n".join(hex_dump(ecam, found) for found in ours(q35)))
    told = subprocess.run(
        ["lspci", "-F", dump, "-vvn"], capture_output=True, text=True, timeout=30, check=True
    )
    blocks = {block[:7]: block for block in told.stdout.split("\n\n") if block.strip()}
    assert list(blocks) == sorted(str(found.place) for found in ours(q35))
    for found in ours(q35):
        block = blocks[str(found.place)]
        assert f"{found.vendor:04x}:{found.device:04x}" in block
        for bar in found.bars:
            kind = "I/O ports" if bar.space == "port" else "Memory"
            assert f"Region {bar.index}: {kind} at {bar.address:x}" in block
        if found.is_bridge:
            low, high = found.buses
            assert f"secondary={low:02x}, subordinate={high:02x}" in block
            assert windows_of(block) == found.windows


def hex_dump(access, found):
    """One function as `lspci -xxxx` prints it."""
    lines = [f"{found.place} x"]
    for start in range(0, 4096, 16):
        words = [access.read(found.place, start + at, 4) for at in range(0, 16, 4)]
        data = b"".join(word.to_bytes(4, "little") for word in words)
        lines.append(f"{start:02x}: {data.hex(' ')}")
    return "\n".join(lines) + "\n"


def windows_of(block):
    """The open windows in the text of a bridge."""
    names = {"I/O": "io", "Memory": "memory", "Prefetchable memory": "prefetchable"}
    found = {}
    pattern = r"^\s(I/O|Memory|Prefetchable memory) behind bridge: ([0-9a-f]+)-([0-9a-f]+) (.*)$"
    for name, base, limit, rest in re.findall(pattern, block, re.MULTILINE):
        if "[disabled]" not in rest:
            found[names[name]] = int(base, 16), int(limit, 16)
    return found


@needs_qemu
def test_the_older_chip_set_too():
    """`pc`: an i440FX with a PIIX3, no PCI Express at all."""
    require("QEMU")
    tree = "edu,addr=5 pci-bridge,id=b,chassis_nr=1,addr=6 e1000,bus=b,addr=1"
    with QtestMachine("pc", arguments(tree)) as machine:
        functions = enumerate_pci(machine)
        mine = [found for top in functions for found in top.walk()]
        told = flat(theirs(machine.qmp("query-pci")))
        assert [facts_of_ours(f) for f in mine] == [facts_of_theirs(d) for d in told]
        assert machine.load(find(functions, 0x1234, 0x11E8).bar(0), 4) == 0x0100_00ED
        with pytest.raises(LookupError, match="no PCIEXBAR"):
            open_ecam(machine, ECAM)
        with pytest.raises(LookupError, match="no function 1af4:1041"):
            find(functions, 0x1AF4, 0x1041)
