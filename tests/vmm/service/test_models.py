"""The devices that can be placed: each is built whole, and says what it reads when it is dead."""

import pytest

from virtlab.backends import Disk
from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.devices.ata.registers import STATUS
from virtlab.interrupts import IrqLine
from virtlab.memory import GuestMemory
from virtlab.vmm.service.models import FAULT, KINDS, build, kind_of


@pytest.mark.parametrize("name", KINDS)
def test_there_is_a_device_for_each_part_and_its_parts_do_not_overlap(name):
    model = build(name, IrqLine(), Clock(), GuestMemory([]), Disk(512))
    kind = kind_of(name)
    spaces = {"port": AddressSpace("port", 16), "memory": AddressSpace("memory", 52)}
    for part, device in zip(kind.parts, model.devices, strict=True):
        spaces[part.space].map(part.base, part.length, device, part.name, part.width)
        assert 0 <= device.read(0, 1 if part.width < 8 else 4)
    assert (model.terminal is not None) == ("uart" in name)
    assert (model.chip is not None) == (kind.inputs == 16)


def test_a_name_that_there_is_not_says_which_there_are():
    with pytest.raises(ValueError, match=r"'nvme' cannot be placed; these can: uart, ata, edu"):
        kind_of("nvme")
    with pytest.raises(ValueError, match="cannot be placed"):
        build("nvme", IrqLine(), Clock(), GuestMemory([]))


def test_a_drive_without_its_process_says_device_fault():
    """ATA-6, Status register: DF is bit 5, ERR bit 0; BSY and DRQ, on which drivers wait, are 0."""
    assert FAULT == 0x61
    assert STATUS.decode(FAULT) == {"ERR": 1, "DRQ": 0, "DSC": 0, "DF": 1, "DRDY": 1, "BSY": 0}
    assert next(iter(KINDS["ata"].failed)) == (0, STATUS.offset)


def test_a_drive_without_a_disk_is_an_empty_cable():
    model = build("ata", IrqLine(), Clock(), GuestMemory([]))
    assert model.devices[0].read(7, 1) == 0x7F


def test_the_uart_beside_the_controller_is_on_input_4():
    line = IrqLine()
    model = build("pic+uart", line, Clock(), GuestMemory([]))
    chip, uart = model.chip, model.devices[3]
    model.devices[0].write(0, 1, 0x11)
    for value in (0x20, 0x04, 0x01, 0xEF):
        model.devices[0].write(1, 1, value)
    uart.write(1, 1, 1)
    model.terminal.type("x")
    assert line.level
    assert chip.pending
    assert chip.acknowledge() == 0x24
    assert not line.level
