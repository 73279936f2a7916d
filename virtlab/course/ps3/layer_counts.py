"""The first half of task 1 of problem set 3: how many exits a request costs at each layer.

Small requests are counted on a real VM, exit by exit: a guest drives an IDE disk by ports.
`closed_form` says it for the others; a test holds the one against the other.
"""

from __future__ import annotations

from functools import cache
from random import Random

from virtlab.backends.disk import SECTOR, Disk
from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import Host, first
from virtlab.course.tasks import Difference, Run, compare, same
from virtlab.devices.ata import Channel, Command, Drive
from virtlab.interrupts import IrqLine

LOOK_COUNT = "each row of the table: how many commands, sectors, words; a part counts as a whole"

CALL_BYTES, CALL_SECTORS, COMMAND_SECTORS = 4096, 16, 256
"""What one system call, one hypercall and one disk command move at most."""

LAYERS = ("system call", "driver call", "I/O operation")
COMMANDS = 0x1F0
"""The ports of the disk."""


def closed_form(layer: str, length: int, polls: int) -> int:
    """The exits of a write of `length` bytes."""
    sectors = -(-length // SECTOR)
    if layer == "system call":
        return -(-length // CALL_BYTES)
    if layer == "driver call":
        return -(-sectors // CALL_SECTORS)
    return -(-sectors // COMMAND_SECTORS) * (6 + polls) + sectors * (polls + SECTOR // 2)


@cache
def counted(length: int, polls: int) -> int:
    """The same at the I/O operation: a guest drives an IDE disk, and its VM's exits are counted."""
    vm = Host().vm()
    channel = Channel(IrqLine("irq 14"), [Drive(Disk(1 << 20))])
    vm.ports.map(COMMANDS, 8, channel.commands, "disk", width=4)
    sectors = -(-length // SECTOR)
    task_file = {6: 0xE0, 2: sectors, 3: 0, 4: 0, 5: 0, 7: Command.WRITE_SECTORS}
    for offset, value in task_file.items():
        vm.cpu.out(COMMANDS + offset, value)
    for _ in range(sectors):
        for _ in range(polls):
            vm.cpu.inp(COMMANDS + 7)
        for _ in range(SECTOR // 2):
            vm.cpu.out(COMMANDS, 0x4141, 2)
    for _ in range(polls):
        vm.cpu.inp(COMMANDS + 7)
    return vm.vmm.exits.total()


def _count(answer: Answer, layer: str, length: int, polls: int, run: bool) -> Difference | None:
    answer.given = f"count_exits({layer!r}, length={length}, polls={polls})"
    expected = counted(length, polls) if run else closed_form(layer, length, polls)
    yours = answer.call("count_exits", layer, length, polls)
    if same(expected, yours):
        return None
    told = f"{expected} exits" + (", as a VM's were counted" if run else "")
    return Difference(told, decimal(expected, yours), LOOK_COUNT)


def decimal(expected: int, yours: object) -> str:
    """What an answer returned in place of `expected`, in decimal where it is a number."""
    if type(yours) is int:
        return str(yours)[:80]
    found = compare(expected, yours)
    return found.yours if found else ""


def counts(layer: str, *asked: tuple[int, int], run: bool = False) -> Run:
    """A case that asks for requests `(length, polls)`; with `run` a VM is the judge."""
    return lambda answer, rng: first(_count(answer, layer, *one, run) for one in asked)


def any_count(answer: Answer, rng: Random) -> Difference | None:
    """Requests at random, at every layer."""
    questions = [(rng.choice(LAYERS), rng.randrange(1, 1 << 18)) for _ in range(30)]
    return first(_count(answer, *one, rng.randrange(1, 6), False) for one in questions)
