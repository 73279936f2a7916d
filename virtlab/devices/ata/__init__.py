"""An IDE controller with its disks: ATA/ATAPI-6, and bus-master DMA.

`registers`   the ports by name, the entries of a region table, the commands
`task_file`   what the registers hold, and which sector they name
`settings`    what the host can set, and how a drive refuses
`medium`      the sectors themselves, and who says that one is not there
`transfer`    the data of a command, a block at a time
`identify`    the 256 words in which a drive says what it is
`protocol`    how a command runs
`drive`       what each command does
`channel`     two drives on one cable, and their interrupt
`bus_master`  the same transfers without the processor
`function`    all of it as a PCI function

Left out: ATAPI (the packet commands of a CD-ROM), and the optional feature sets.
"""

from virtlab.devices.ata.bus_master import BusMaster
from virtlab.devices.ata.channel import Channel
from virtlab.devices.ata.drive import Drive
from virtlab.devices.ata.function import BUS_MASTER_BAR, IdeFunction
from virtlab.devices.ata.identify import IDENTIFY, Label
from virtlab.devices.ata.medium import Medium
from virtlab.devices.ata.protocol import ACCESS_TIME
from virtlab.devices.ata.registers import (
    CONTROL_REGISTERS,
    PRD,
    REGISTERS,
    BusMasterRegisters,
    Command,
)
from virtlab.devices.ata.settings import Refused, Settings
from virtlab.devices.ata.task_file import Geometry, TaskFile
from virtlab.devices.ata.transfer import DMA_BLOCK, Transfer, Way

__all__ = [
    "ACCESS_TIME",
    "BUS_MASTER_BAR",
    "CONTROL_REGISTERS",
    "DMA_BLOCK",
    "IDENTIFY",
    "PRD",
    "REGISTERS",
    "BusMaster",
    "BusMasterRegisters",
    "Channel",
    "Command",
    "Drive",
    "Geometry",
    "IdeFunction",
    "Label",
    "Medium",
    "Refused",
    "Settings",
    "TaskFile",
    "Transfer",
    "Way",
]
