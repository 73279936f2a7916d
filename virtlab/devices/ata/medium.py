"""The medium: the sectors that the task file names, and the registers that follow them.

    task file --sector--> which one?  --> load or store --> the task file names the next

The idea: a command says where it begins, and with every block the address registers move on. So
they always name the first sector that has not moved, also when the command fails there.

The rule that keeps it simple: sectors are looked for before they are touched. A block that is not
whole on the medium does not move at all.

Source: ATA-6, READ SECTOR(S) and WRITE SECTOR(S), "Error outputs". Left out: sectors that are worn.
"""

from __future__ import annotations

from virtlab.backends.disk import SECTOR, Storage
from virtlab.devices.ata.registers import IDNF
from virtlab.devices.ata.settings import Refused, Settings
from virtlab.devices.ata.task_file import TaskFile


class Medium:
    """The sectors of `disk`, as `task` names them; `settings` say how CHS addresses count."""

    def __init__(self, disk: Storage, task: TaskFile, settings: Settings) -> None:
        self.disk = disk
        self.task = task
        self.settings = settings

    def locate(self, count: int) -> int:
        """The sector that the registers name. `Refused` unless `count` from there are on the disk.

        An address beyond the last sector sets IDNF, and the registers name the first sector in
        error (ATA-6, READ SECTOR(S)).
        """
        sector = self.task.sector(self.settings.geometry)
        if sector is not None and sector + count <= self.disk.sectors:
            return sector
        if sector is not None and sector < self.disk.sectors:
            self.task.set_sector(self.disk.sectors, self.settings.geometry)
        raise Refused("a sector that the disk has not", "ATA-6 READ SECTOR(S)", IDNF)

    def load(self, count: int) -> bytes:
        """The next `count` sectors."""
        sector = self.locate(count)
        data = self.disk.read(sector, count)
        self.task.set_sector(sector + count, self.settings.geometry)
        return data

    def store(self, data: bytes) -> None:
        """`data`, whole sectors, to the next ones. Without a write cache it is safe at once."""
        count = len(data) // SECTOR
        sector = self.locate(count)
        self.disk.write(sector, data)
        if not self.settings.write_cache:
            self.disk.flush()
        self.task.set_sector(sector + count, self.settings.geometry)
