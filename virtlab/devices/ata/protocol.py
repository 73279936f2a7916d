"""The protocols of a drive: how a command runs, whichever it is.

    PIO in     a block is loaded, DRQ, interrupt --> the host takes it --> the next block
    PIO out    DRQ --> the host fills a block --> it is stored, interrupt --> the next block
    DMA        DRQ until all has moved; one interrupt, at the end
    no data    BSY, if the medium is needed; the end, with an interrupt

The idea: a drive waits for a command, or for the other half of a block. What it waits for stands in
STATUS, and nowhere else: BSY, for its own medium; DRQ, for the host or the bus master.

The rules that keep it simple: a command that cannot be done raises `Refused`, which one place turns
into ERR. The medium takes `latency` ns: for each block of PIO, and once for a DMA command.

Source: ATA-6, "Protocol".
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.backends.disk import Storage
from virtlab.clock import MICROSECOND, Clock, Timer
from virtlab.devices.ata.medium import Medium
from virtlab.devices.ata.registers import BSY, DRDY, DRQ, DSC, ERR, SECTOR_COUNT, Power
from virtlab.devices.ata.settings import Refused, Settings
from virtlab.devices.ata.task_file import TaskFile
from virtlab.devices.ata.transfer import Transfer, Way

ACCESS_TIME = 100 * MICROSECOND
"""A `latency` for a board on which things take time: long enough to see the processor do something
else meanwhile. A flash disk has about that much; one that spins needs a hundred times as long."""


class ProtocolEngine:
    """What runs the commands of a drive with `disk` in it.

    `task` are its registers, `status` and `error` the two that it writes; `pending` says that it
    wants an interrupt. `changed()` is called when it has come to want one, or the bus master.
    """

    def __init__(self, disk: Storage, clock: Clock | None = None, latency: int = 0) -> None:
        if latency and clock is None:
            raise ValueError(f"a latency of {latency} ns needs a clock")
        self.disk = disk
        self.clock = clock
        self.latency = latency
        self.changed: Callable[[], None] = lambda: None
        self.task = TaskFile()
        self.settings = Settings(disk.sectors)
        self.medium = Medium(disk, self.task, self.settings)
        self.status = self.error = 0
        self._timer: Timer | None = None
        self.halt()

    def halt(self) -> None:
        """Drop the command that runs, and wake up."""
        if self._timer is not None:
            self._timer.cancel()
        self.transfer: Transfer | None = None
        self.pending = False
        self.power = Power.ACTIVE

    @property
    def busy(self) -> bool:
        """Whether the host must not write a register: BSY or DRQ is set."""
        return bool(self.status & (BSY | DRQ))

    # -- how a command ends, and how it goes on

    def attempt(self, action: Callable[[], None]) -> None:
        """Do `action`. A refusal ends here, and with it the command: ERR, and why in ERROR."""
        try:
            action()
        except Refused as refused:
            self.error = refused.error
            self.end(DRDY | ERR)

    def end(self, status: int = DRDY | DSC) -> None:
        """The command is over."""
        self.transfer, self.status = None, status
        self.interrupt()

    def interrupt(self) -> None:
        """Want an interrupt."""
        self.pending = True
        self.changed()

    def later(self, action: Callable[[], None]) -> None:
        """Do `action` when the medium is there: after `latency`, with BSY set, or at once."""
        self.power = Power.ACTIVE
        if self.clock is None or not self.latency:
            self.attempt(action)
            return
        self.status |= BSY
        self._timer = self.clock.after(self.latency, lambda: self._arrived(action))

    def _arrived(self, action: Callable[[], None]) -> None:
        self.status &= ~BSY
        self.attempt(action)

    # -- sectors

    def start(self, way: Way, per_block: int) -> None:
        """Begin to move as many sectors as the registers say."""
        if not per_block:
            raise Refused("blocks of no sectors", "ATA-6 READ MULTIPLE, ABRT")
        if not way.inwards and self.disk.read_only:
            raise Refused("a disk that cannot be written", "ATA-6 WRITE SECTOR(S), ABRT")
        self.transfer = Transfer(way, self.task.count, per_block)
        self.status = DRDY | DSC
        if way is Way.PIO_OUT:
            self._open_block(self.transfer)
        else:
            self.later(self._request if way.dma else self._load)

    def _open_block(self, transfer: Transfer) -> None:
        """Have the next block: loaded, or room for it. DRQ asks for the other half."""
        if transfer.way.inwards:
            transfer.fill(self.medium.load(transfer.next_block))
            self._count_down(transfer, transfer.next_block)
        else:
            transfer.make_room()
        self.status |= DRQ

    def _store(self) -> None:
        """The block is full: to the medium with it. More to come: open the next one."""
        transfer = self._running
        self.medium.store(bytes(transfer.block))
        self._count_down(transfer, transfer.next_block)
        if transfer.remaining:
            self._open_block(transfer)
            if not transfer.way.dma:
                self.interrupt()
        else:
            self.end()

    def _load(self) -> None:
        """A block of a PIO read has come."""
        self._open_block(self._running)
        self.interrupt()

    def _request(self) -> None:
        """DMA may begin, if all the sectors are there."""
        self.medium.locate(self._running.remaining)
        self._open_block(self._running)
        self.changed()

    def _count_down(self, transfer: Transfer, count: int) -> None:
        transfer.remaining -= count
        self.task.set(SECTOR_COUNT.offset, transfer.remaining)

    @property
    def _running(self) -> Transfer:
        assert self.transfer is not None
        return self.transfer

    # -- the other half of a block: DATA, or the bus master

    def _wanted(self, *ways: Way) -> Transfer | None:
        """The transfer that waits for the other half, if it goes one of these ways."""
        transfer = self.transfer
        if transfer is None or transfer.way not in ways or not self.status & DRQ:
            return None
        return transfer

    def read_word(self) -> int:
        """DATA, read: the next two bytes; 0 where there are none."""
        transfer = self._wanted(Way.PIO_IN)
        if transfer is None:
            return 0
        word = int.from_bytes(transfer.data(2), "little")
        self.moved(transfer, 2)
        return word

    def write_word(self, word: int) -> None:
        """DATA, written: the next two bytes; ignored where none are wanted."""
        transfer = self._wanted(Way.PIO_OUT)
        if transfer is not None:
            transfer.put((word & 0xFFFF).to_bytes(2, "little"))
            self.moved(transfer, 2)

    @property
    def dmarq(self) -> Transfer | None:
        """The transfer that waits for the bus master: the DMARQ line is up."""
        return self._wanted(Way.DMA_IN, Way.DMA_OUT)

    def moved(self, transfer: Transfer, count: int) -> None:
        """`count` bytes of its block have moved. After the last one, go on."""
        if transfer.moved(count):
            if transfer.way.dma:
                self._dma_block_moved(transfer)
            else:
                self._pio_block_moved(transfer)

    def _pio_block_moved(self, transfer: Transfer) -> None:
        """DRQ falls. The medium is next, or, after the last block of a read, nobody."""
        self.status = DRDY | DSC
        if not transfer.way.inwards:
            self.later(self._store)
        elif transfer.remaining:
            self.later(self._load)
        else:
            self.transfer = None

    def _dma_block_moved(self, transfer: Transfer) -> None:
        """The buffer is emptied and filled again; DRQ stays until the end."""
        if not transfer.way.inwards:
            self._store()
        elif transfer.remaining:
            self._open_block(transfer)
        else:
            self.end()
