"""A hard disk with an ATA interface: what each command does.

The idea: a command either moves sectors, and then says only which way and how many a block; or it
changes a setting and ends. How that runs is the business of `ProtocolEngine`.

The rule that keeps it simple: one `match` has all the commands. What is not in it is refused.

Source: ATA-6, "Command descriptions". Left out: the optional feature sets (SMART, security, host
protected area, queues), and the standby timer.
"""

from __future__ import annotations

from virtlab.backends.disk import Storage
from virtlab.clock import Clock
from virtlab.devices.ata.identify import Label, words
from virtlab.devices.ata.protocol import ProtocolEngine
from virtlab.devices.ata.registers import (
    BSY,
    DEVICE,
    DRDY,
    DRQ,
    DSC,
    EXTENDED,
    PASSED,
    SECTOR_COUNT,
    Command,
    Feature,
    Power,
)
from virtlab.devices.ata.settings import Refused
from virtlab.devices.ata.transfer import DMA_BLOCK, Transfer, Way


class Drive(ProtocolEngine):
    """One drive with `disk` in it. `label` is what it calls itself.

    Its medium takes `latency` ns of `clock`; 0 is no time at all.
    """

    def __init__(
        self,
        disk: Storage,
        label: Label | None = None,
        clock: Clock | None = None,
        latency: int = 0,
    ) -> None:
        super().__init__(disk, clock, latency)
        self.label = label if label is not None else Label()
        self.power_on()

    # -- reset

    def power_on(self) -> None:
        """Power on, or a hardware reset: everything as it was made."""
        self.settings.restore()
        self.settings.reverts = False
        self.begin_reset()
        self.end_reset()

    def begin_reset(self) -> None:
        """SRST goes up: the drive drops what it does, and is busy (ATA-6, Software reset)."""
        self.halt()
        self.status = BSY
        if self.settings.reverts:
            self.settings.restore()

    def end_reset(self) -> None:
        """SRST falls: the self-test has passed. No interrupt (ATA-6, Software reset)."""
        self.task.clear()
        self._diagnose()

    def _diagnose(self) -> None:
        self.task.sign()
        self.error, self.status = PASSED, DRDY | DSC

    # -- commands

    def execute(self, code: int) -> None:
        """The host wrote COMMAND, to a drive that is not busy. Asleep, it ignores that."""
        if self.power is Power.SLEEP:
            return
        self.error, self.status = 0, DRDY
        self.task.extended = code in EXTENDED
        self.attempt(lambda: self._begin(code))

    def _begin(self, code: int) -> None:
        match code:
            case Command.READ_SECTORS | Command.READ_SECTORS_EXT:
                self.start(Way.PIO_IN, 1)
            case Command.READ_MULTIPLE | Command.READ_MULTIPLE_EXT:
                self.start(Way.PIO_IN, self.settings.multiple)
            case Command.READ_DMA | Command.READ_DMA_EXT:
                self.start(Way.DMA_IN, DMA_BLOCK)
            case Command.WRITE_SECTORS | Command.WRITE_SECTORS_EXT:
                self.start(Way.PIO_OUT, 1)
            case Command.WRITE_MULTIPLE | Command.WRITE_MULTIPLE_EXT:
                self.start(Way.PIO_OUT, self.settings.multiple)
            case Command.WRITE_DMA | Command.WRITE_DMA_EXT:
                self.start(Way.DMA_OUT, DMA_BLOCK)
            case Command.READ_VERIFY_SECTORS | Command.READ_VERIFY_SECTORS_EXT:
                self.later(self._verify)
            case Command.FLUSH_CACHE | Command.FLUSH_CACHE_EXT:
                self.later(self._flush)
            case Command.IDENTIFY_DEVICE:
                self._identify()
            case Command.SET_FEATURES:
                self._set_features()
            case Command.SET_MULTIPLE_MODE:
                self.settings.set_multiple(self._count)
                self.end()
            case Command.INITIALIZE_DEVICE_PARAMETERS:
                self.settings.set_geometry(DEVICE.HEAD.get(self.task.device) + 1, self._count)
                self.end()
            case Command.RECALIBRATE | Command.SEEK:
                self.end()
            case Command.EXECUTE_DEVICE_DIAGNOSTIC:
                self._diagnose()
                self.interrupt()
            case Command.CHECK_POWER_MODE:
                self.task.set(SECTOR_COUNT.offset, self.power)
                self.end()
            case Command.STANDBY | Command.STANDBY_IMMEDIATE:
                self._rest(Power.STANDBY)
            case Command.IDLE | Command.IDLE_IMMEDIATE:
                self._rest(Power.IDLE)
            case Command.SLEEP:
                self._rest(Power.SLEEP)
            case _:
                raise Refused("a command that this drive has not", "ATA-6 Error register, ABRT")

    def _verify(self) -> None:
        """READ VERIFY: are the sectors there? Nothing is moved."""
        self.medium.locate(self.task.count)
        self.end()

    def _flush(self) -> None:
        self.disk.flush()
        self.end()

    # -- settings

    def _identify(self) -> None:
        self.transfer = Transfer(Way.PIO_IN, 0, 1)
        self.transfer.fill(words(self.label, self.disk.sectors, self.settings))
        self.status = DRDY | DSC | DRQ
        self.interrupt()

    def _set_features(self) -> None:
        """One setting, by FEATURES (ATA-6, SET FEATURES)."""
        match self.task.features:
            case Feature.WRITE_CACHE_ON:
                self.settings.write_cache = True
            case Feature.WRITE_CACHE_OFF:
                self.settings.write_cache = False
                self.disk.flush()
            case Feature.KEEP_ON_RESET:
                self.settings.reverts = False
            case Feature.REVERT_ON_RESET:
                self.settings.reverts = True
            case Feature.TRANSFER_MODE:
                self.settings.set_mode(self._count)
            case _:
                raise Refused("a setting that this drive has not", "ATA-6 SET FEATURES, ABRT")
        self.end()

    @property
    def _count(self) -> int:
        """The byte in SECTOR_COUNT, where it is no number of sectors."""
        return self.task.get(SECTOR_COUNT.offset)

    def _rest(self, power: Power) -> None:
        """A power mode; DSC falls, since the heads are on no track."""
        self.end(DRDY)
        self.power = power
