"""The devices that can be placed: their ranges, and one function that builds each.

    uart   3F8h, 8 ports                             one line
    ata    1F0h, 8 ports; 3F6h; bus master at C00h   one line, DMA, a disk
    edu    FE100000h, 1 MiB of memory                one line, DMA
    pic    20h, A0h, 4D0h, 2 ports each              INT to the processor, 15 inputs
    pic+uart   both of them, the UART on input 4     INT to the processor

The idea: `build` is called inside the VMM for one placement, and inside the service for the other.
So it is the same object, and nothing in a device's module knows of processes.

The rule that keeps it simple: a kind is data. It says where the ranges are, and what the guest
reads where the device's process is gone. A device with a status of its own says *device fault*
there: an ATA drive sets DF and ERR, with ABRT (ATA-6, Status and Error register). Any other one is
a card that was pulled out: all ones.

The edu device and the bus master are PCI functions on the lesson PC. Placed from here they have
fixed addresses, as platform devices have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from virtlab.backends import Storage, Terminal
from virtlab.bus import Device
from virtlab.clock import Clock
from virtlab.devices.ata import BusMaster, Channel, Drive
from virtlab.devices.ata.registers import (
    ABRT,
    ALTERNATE_STATUS,
    BUS_MASTER,
    COMMAND_BLOCK,
    CONTROL_BLOCK,
    DRDY,
    ERR,
    ERROR,
    STATUS,
)
from virtlab.devices.edu import LENGTH as EDU_LENGTH
from virtlab.devices.edu import Edu
from virtlab.devices.pic import PicPair
from virtlab.devices.uart import Uart16550
from virtlab.guest.ata import PRIMARY
from virtlab.guest.pic import MASTER, SLAVE
from virtlab.guest.uart import COM1
from virtlab.interrupts import IrqLine
from virtlab.memory import Dma

FAULT = STATUS.DF.mask | DRDY | ERR
"""STATUS of a drive whose process is gone."""

UART_INPUT = 4
"""The 8259A's input that COM1 has."""


class Part(NamedTuple):
    """A range of addresses: `length` from `base` in `space`, a data path of `width` bytes."""

    space: str
    base: int
    length: int
    width: int
    name: str


class DeviceKind(NamedTuple):
    """What can be placed: its `parts`, and whether it needs `dma` or a `disk`.

    `failed` says what a dead device reads, by part and offset, the status that tells of it first;
    anything else is all ones.
    `inputs` are its interrupt inputs, where it is a controller.
    """

    parts: tuple[Part, ...]
    dma: bool = False
    disk: bool = False
    inputs: int = 0
    failed: Mapping[tuple[int, int], int] = MappingProxyType({})


ATA_FAILED = {
    (0, STATUS.offset): FAULT,
    (0, ERROR.offset): ABRT,
    (1, ALTERNATE_STATUS.offset): FAULT,
}

UART_PART = Part("port", COM1, 8, 1, "uart")
PIC_PARTS = (
    Part("port", MASTER, 2, 1, "pic master"),
    Part("port", SLAVE, 2, 1, "pic slave"),
    Part("port", 0x4D0, 2, 1, "elcr"),
)

KINDS: dict[str, DeviceKind] = {
    "uart": DeviceKind((UART_PART,)),
    "ata": DeviceKind(
        (
            Part("port", PRIMARY.command, COMMAND_BLOCK, 4, "ata"),
            Part("port", PRIMARY.control, CONTROL_BLOCK, 1, "ata control"),
            Part("port", 0xC00, BUS_MASTER, 4, "ata bus master"),
        ),
        dma=True,
        disk=True,
        failed=ATA_FAILED,
    ),
    "edu": DeviceKind((Part("memory", 0xFE10_0000, EDU_LENGTH, 8, "edu"),), dma=True),
    "pic": DeviceKind(PIC_PARTS, inputs=16),
    "pic+uart": DeviceKind((*PIC_PARTS, UART_PART), inputs=16),
}
"""By name."""


class Model(NamedTuple):
    """A device, built: a `Device` for each part, and what else can be done with it."""

    devices: Sequence[Device]
    terminal: Terminal | None = None
    chip: PicPair | None = None


def kind_of(name: str) -> DeviceKind:
    """The kind of that name; `ValueError` for a name that there is not."""
    if name not in KINDS:
        raise ValueError(f"{name!r} cannot be placed; these can: {', '.join(KINDS)}")
    return KINDS[name]


def build(name: str, line: IrqLine, clock: Clock, dma: Dma, disk: Storage | None = None) -> Model:
    """The device `name`. `line` is its interrupt, or INT of a controller.

    `dma` and `disk` are used by the kinds that have one. `ValueError` for a name there is not.
    """
    kind_of(name)
    if name == "ata":
        channel = Channel(line, [Drive(disk, clock=clock)] if disk is not None else [])
        return Model((channel.commands, channel.control, BusMaster(channel, dma)))
    if name == "edu":
        return Model((Edu(line, dma, clock),))
    if name == "uart":
        return _uart(line, clock)
    chip = PicPair(latched=True)
    chip.master.int_line.sink = line.set
    model = Model((chip.master, chip.slave, chip.elcr), chip=chip)
    if name == "pic":
        return model
    uart = _uart(chip.line(UART_INPUT), clock)
    return Model((*model.devices, *uart.devices), uart.terminal, chip)


def _uart(line: IrqLine, clock: Clock) -> Model:
    terminal = Terminal()
    return Model((Uart16550(line, terminal, clock),), terminal)
