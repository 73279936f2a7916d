"""A driver for the virtual link, the device that only virtual machines have.

    link = LinkDriver(cpu, base, memory=0x8000)
    link.start(pics)
    link.send(b"hello")             # two exits
    link.receive_asleep()           # four: HLT, RECEIVE, how long, end of interrupt

No operating system has this driver. Whoever invents a device has to write one for every guest.

The rule that keeps it simple: two buffers of one message each, told to the device once. So a
message costs one store and one load on either side.
"""

from __future__ import annotations

from virtlab.cpu import Cpu
from virtlab.devices.vlink import IDENTITY, LONGEST, LinkRegisters
from virtlab.guest.pic import Pics
from virtlab.registers import Reg


class LinkError(Exception):
    """The device did not do it: `status` is what it says of that."""

    def __init__(self, what: str, status: int) -> None:
        fields = LinkRegisters.STATUS.decode(status)
        names = " ".join(name for name, value in fields.items() if value)
        super().__init__(f"{what}: {names or 'no status'}")
        self.status = status


class LinkDriver:
    """The end at `base` (gpa). Its two buffers of `LONGEST` bytes lie from `memory` (gpa) on."""

    def __init__(self, cpu: Cpu, base: int, memory: int, irq: int = 6) -> None:
        self.cpu = cpu
        self.base = base
        self.outbox, self.inbox = memory, memory + LONGEST
        self.irq = irq
        self.pics: Pics | None = None

    def detect(self) -> bool:
        """Whether it is there."""
        return self.get(LinkRegisters.ID) == IDENTITY

    def start(self, pics: Pics | None = None) -> None:
        """Tell the device the buffers; with `pics`, let it interrupt. Old errors are cleared."""
        self.put(LinkRegisters.STATUS, LinkRegisters.STATUS.w1c)
        self.put(LinkRegisters.TX_ADDRESS, self.outbox)
        self.put(LinkRegisters.RX_ADDRESS, self.inbox)
        self.put(LinkRegisters.RX_SIZE, LONGEST)
        self.pics = pics
        if pics is not None:
            pics.unmask(self.irq)
        self.put(LinkRegisters.INTERRUPT_ENABLE, int(pics is not None))

    def send(self, message: bytes) -> None:
        """Send 1 to `LONGEST` bytes. `LinkError` if the other VM lets too many wait, or is gone."""
        if not 1 <= len(message) <= LONGEST:
            raise ValueError(f"a message has 1 to {LONGEST} bytes, not {len(message)}")
        self.cpu.write(self.outbox, message)
        self.put(LinkRegisters.SEND, len(message))
        self._check("send")

    def receive(self) -> bytes | None:
        """The oldest message; None if none waits."""
        self.put(LinkRegisters.RECEIVE, 1)
        length = self.get(LinkRegisters.RECEIVE)
        return self.cpu.read(self.inbox, min(length, LONGEST)) if length else None

    def receive_asleep(self, timeout: int = 1_000_000_000) -> bytes | None:
        """Halt until a message comes, at most `timeout` ns. Needs a `start` with `pics`."""
        if self.pics is None:
            raise ValueError("start(pics) lets the link interrupt; without it nobody wakes us")
        irq = self.pics.next_irq(timeout)
        if irq is None:
            return None
        message = self.receive() if irq == self.irq else None
        self.pics.eoi(irq)
        return message

    def status(self) -> dict[str, int]:
        """STATUS, by field."""
        return LinkRegisters.STATUS.decode(self.get(LinkRegisters.STATUS))

    # -- the registers

    def get(self, reg: Reg) -> int:
        """A register, in one load."""
        return self.cpu.load(self.base + reg.offset, reg.width)

    def put(self, reg: Reg, value: int) -> None:
        """The same, in one store."""
        self.cpu.store(self.base + reg.offset, value, reg.width)

    def _check(self, what: str) -> None:
        """`LinkError` if something went wrong since the last look; the bits are cleared."""
        status = self.get(LinkRegisters.STATUS)
        if errors := status & LinkRegisters.STATUS.w1c:
            self.put(LinkRegisters.STATUS, errors)
            raise LinkError(what, status)
