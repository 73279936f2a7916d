"""An unmodified Linux with PCI functions of ours: it lists them, drives them and loses nothing.

QEMU has no idea what these cards are. Configuration space, registers, MSI-X, pins and DMA are all
answered here. The kernel of a cloud has no driver for the e1000; with one that has it, it pings.
"""

from __future__ import annotations

import pytest

from tests.hosts.vfio_user.world import Elsewhere, running
from tests.needs import needs, require
from tests.oracles.linux_guest import BOOT, WORK, clean, empty_image
from tests.oracles.test_linux_net import Peer
from tests.oracles.vfio_user_qemu import found, function, needs_vfio_user
from virtlab.backends.disk import Disk
from virtlab.backends.network import Link
from virtlab.devices.e1000 import E1000Function
from virtlab.devices.edu import EduFunction
from virtlab.hosts.linux import LinuxGuest
from virtlab.hosts.linux_find import find_linux
from virtlab.hosts.linux_initrd import linux_image
from virtlab.hosts.vfio_user.real_clock import RealClock
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.pci import VirtioPci

EDU, BLK, CARD = "0000:00:01.0", "0000:00:02.0", "0000:00:03.0"
"""Where QEMU puts them."""

DRIVERS = ("e1000", "uio_pci_generic", "crc32c_generic", "ext4")
"""What a kernel may have as modules. The last two are built into a cloud's."""

LIST = "cd /sys/bus/pci/devices; for d in *; do echo $d $(cat $d/vendor $d/device $d/class); done"

UIO = """
cd /sys/bus/pci/devices/{edu}
echo 1 > enable
bar=$(head -n 1 resource | cut -d ' ' -f 1)
at() {{ printf '0x%x' $((bar + $1)); }}
echo "1234 11e8" > /sys/bus/pci/drivers/uio_pci_generic/new_id
mdev -s
devmem $(at 0x00)
devmem $(at 0x04) 32 0x12345678
devmem $(at 0x04)
devmem $(at 0x08) 32 12
sleep 0.1
devmem $(at 0x08)
count() {{ grep uio /proc/interrupts | awk '{{ print $2 + $3 }}'; }}
before=$(count)
dd if=/dev/uio0 bs=4 count=1 2>/dev/null | hexdump -v -e '"events %d\\n"' &
sleep 0.2
devmem $(at 0x60) 32 1
wait
devmem $(at 0x24)
devmem $(at 0x64) 32 1
devmem $(at 0x24)
echo interrupts $(($(count) - before))
"""
"""Drives edu from a shell: `uio_pci_generic` tells a program of its pin."""


@pytest.fixture
def cards(tmp_path):
    """An edu, a disk of 160 MiB and a network card, and whoever is at the card's wire."""
    there, link = Elsewhere(), Link("cable")
    there.peer = Peer(link.b)
    there.image = empty_image(tmp_path / "disk.img", 160)
    edu, card = RealClock(), RealClock()
    with Disk.open(there.image) as storage:
        there.slots = [
            there.add(EduFunction(edu), tmp_path / "edu.sock", edu),
            there.add(VirtioPci(VirtioBlk(storage)), tmp_path / "blk.sock"),
            there.add(E1000Function(card, link.a), tmp_path / "e1000.sock", card),
        ]
        there.arguments = [
            word
            for number, name in enumerate(("edu", "blk", "e1000"), 1)
            for word in function(tmp_path / f"{name}.sock", addr=f"0x{number}")
        ]
        with running(there):
            yield there


@needs_vfio_user
@needs("Linux")
@pytest.mark.timeout(300)
def test_linux_lists_and_drives_them(cards):
    require("Linux")
    linux = find_linux()
    drivers = [name for name in DRIVERS if name in linux.modules.files]
    with LinuxGuest(cards.arguments, image=linux_image(linux, drivers), qemu=found()) as guest:
        guest.boot(BOOT)
        lines = guest.run(LIST).text.splitlines()
        assert f"{EDU} 0x1234 0x11e8 0x00ff00" in lines
        assert f"{BLK} 0x1af4 0x1042 0x010000" in lines
        assert f"{CARD} 0x8086 0x100e 0x020000" in lines
        a_disk(guest)
        if "uio_pci_generic" in drivers:
            an_edu(guest)
        if "e1000" in drivers:
            a_network_card(guest, cards.peer)
        said = guest.run("dmesg").text
        assert "I/O error" not in said
        guest.power_off()
    fine, said = clean(cards.image)
    assert fine, said
    assert [service.sessions for service in cards.services] == [1, 1, 1]
    assert cards.refused == []


def a_disk(guest):
    """Make a file system, fill it, read all of it again; by MSI-X."""
    status, text = guest.run(WORK.format(files=4, blocks=16), 200)
    assert status == 0, text
    lines = [line for line in guest.run("cat /proc/interrupts").text.splitlines() if "req" in line]
    assert "MSI" in lines[0]
    assert sum(int(word) for word in lines[0].split()[1:3]) > 50


def an_edu(guest):
    """It says who it is, inverts, computes, and pulls its pin."""
    status, text = guest.run(UIO.format(edu=EDU))
    assert status == 0, text
    assert text.split() == [
        *("0x010000ED", "0xEDCBA987", "0x1C8CFC00", "events", "1", "0x00000001", "0x00000000"),
        *("interrupts", "1"),
    ]


def a_network_card(guest, peer):
    """A hundred echo requests are answered."""
    assert guest.run("ifconfig eth0 10.0.0.2 up") == (0, "")
    status, text = guest.run("ping -q -A -c 100 -s 1000 10.0.0.1", 100)
    assert (status, "100 packets received, 0% packet loss" in text) == (0, True), text
    assert len(peer.echoes) == 100
