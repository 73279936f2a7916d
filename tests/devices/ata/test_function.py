"""The controller as a PCI function: identity, ports, bus masters, reset."""

from tests.devices.ata.rig import BMICOM, BMIDTP, BMISTA, AtaRig, image
from virtlab.backends.disk import Disk
from virtlab.devices.ata import Command
from virtlab.devices.ata.registers import DRDY, DSC
from virtlab.guest.ata_regions import prd_table
from virtlab.pci.config import Header

IMAGE = image(64)
READY = DRDY | DSC
READ, FAILED = 0x09, 0x02
TABLE, BUFFER = 0x8000, 0x20000


def test_the_function_is_piix3s():
    rig = AtaRig(Disk.of(IMAGE))
    config = rig.ide.config
    assert config.read(0x00, 4) == 0x7010_8086
    assert config.read(0x08, 4) == 0x0101_8000
    assert config.read(0x20, 4) & 0xF == 1
    config.write(0x40, 4, 0x8000_A307)
    assert config.read(0x40, 4) == 0x8000_A307
    assert rig.cpu.inp(0x1F7) == rig.cpu.inp(0x3F6) == READY
    assert rig.cpu.inp(0x177) == rig.cpu.inp(0x376) == 0x7F
    assert [drive.label.serial for drive in rig.ide.drives[0]] == ["VL00"]


def test_each_channel_has_its_bus_master():
    rig = AtaRig(Disk.of(IMAGE))
    for number, value in enumerate((0x1000, 0x2000)):
        rig.cpu.out(rig.bar + 8 * number + BMIDTP, value, 4)
    assert [master.BMIDTP for master in rig.ide.masters] == [0x1000, 0x2000]
    assert rig.cpu.inp(rig.bar + 8 + BMIDTP, 4) == 0x2000


def test_without_bus_master_enable_nothing_moves():
    rig = AtaRig(Disk.of(IMAGE))
    rig.ide.header.COMMAND &= ~Header.COMMAND.BUS_MASTER.mask
    rig.ram.write(TABLE, prd_table([(BUFFER, 512)]))
    rig.cpu.out(rig.bar + BMIDTP, TABLE, 4)
    rig.cpu.out(rig.bar + BMICOM, READ)
    rig.cpu.out(0x1F7, Command.READ_DMA)
    assert rig.cpu.inp(rig.bar + BMISTA) == FAILED


def test_a_reset_of_the_function_resets_drives_and_bus_masters():
    rig = AtaRig(Disk.of(IMAGE))
    rig.cpu.out(rig.bar + BMIDTP, TABLE, 4)
    rig.cpu.out(rig.bar + BMICOM, READ)
    rig.cpu.out(0x1F7, Command.READ_SECTORS)
    rig.ide.reset()
    assert rig.ide.masters[0].peek() == {"BMICOM": 0, "BMISTA": 0, "BMIDTP": 0}
    assert rig.cpu.inp(0x1F7) == READY
    assert not rig.ide.channels[0].irq.level
