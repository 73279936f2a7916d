"""Setting up one queue over several interfaces, beside each other: the same steps, other registers.

    step            legacy PCI              modern PCI           MMIO
    which queue     QUEUE_SELECT = 0x0      QUEUE_SELECT = 0x0   QUEUE_SEL = 0x0
    how large       QUEUE_SIZE: 0x40        QUEUE_SIZE: 0x40     QUEUE_SIZE_MAX: 0x40

The idea: the accesses are those that a driver made; a trace has them. Each is named by the declared
registers, and its name says which step it is. `=` is a write, `:` a read.

The rule that keeps it simple: the order of the steps is that of the specification, and an access
that fits none of them is an error, not a gap.

Source: virtio 1.3 4.1.5.1.3 (PCI), 4.1.4.10 (legacy), 4.2.3.2 (MMIO).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from virtlab.registers import Reg
from virtlab.show.naming import READS, WRITES
from virtlab.show.tables import Table
from virtlab.trace import Event

SELECT, IN_USE, MOST = "which queue?", "is it in use?", "how large can it be?"
AGAIN, SIZE, BELL, USE = "which queue, again", "its size", "where is its doorbell?", "use it"
_PARTS = {"DESC": "descriptor table", "DRIVER": "available ring", "DEVICE": "used ring"}
_HALVES = tuple(f"{part}, {half} half" for part in _PARTS.values() for half in ("low", "high"))

STEPS = (SELECT, IN_USE, MOST, AGAIN, SIZE, *_HALVES, BELL, USE)
"""All steps, in order. An interface leaves out those that it does not know."""

_READ = {
    "QUEUE_ENABLE": {IN_USE},
    "QUEUE_READY": {IN_USE},
    "QUEUE_ADDRESS": {IN_USE},
    "QUEUE_PFN": {IN_USE},
    "QUEUE_SIZE": {MOST, SIZE},
    "QUEUE_SIZE_MAX": {MOST},
    "QUEUE_NOTIFY_OFF": {BELL},
    "QUEUE_NOTIF_CONFIG_DATA": {BELL},
}
_WRITE = {
    "QUEUE_SELECT": {SELECT, AGAIN},
    "QUEUE_SEL": {SELECT, AGAIN},
    "QUEUE_SIZE": {SIZE},
    "QUEUE_ALIGN": {SIZE},
    "QUEUE_ENABLE": {USE},
    "QUEUE_READY": {USE},
    "QUEUE_ADDRESS": {USE},
    "QUEUE_PFN": {USE},
}


class Access(NamedTuple):
    """One access to a register: `QUEUE_DESC+4` is the high half of one."""

    write: bool
    name: str
    value: int

    @property
    def words(self) -> str:
        """`NAME = value` for a write, `NAME: value` for a read."""
        return f"{self.name}{' =' if self.write else ':'} {self.value:#x}"

    @property
    def steps(self) -> set[str]:
        """The steps that it can be."""
        register, _, high = self.name.partition("+")
        for part, words in _PARTS.items():
            if self.write and register.startswith(f"QUEUE_{part}"):
                half = "high" if high or register.endswith("_HIGH") else "low"
                return {f"{words}, {half} half"}
        return (_WRITE if self.write else _READ).get(register, set())


def accesses(events: Iterable[Event], base: int, registers: Iterable[Reg]) -> list[Access]:
    """Those of `events` that are accesses to `registers`, which stand at `base`."""
    declared, found = list(registers), []
    for event in events:
        if event.kind not in READS + WRITES:
            continue
        write = event.kind in WRITES
        for reg in declared:
            inside = event.address - base - reg.offset
            if 0 <= inside < reg.width and (not reg.access or "rw"[write] in reg.access):
                name = reg.name + (f"+{inside}" if inside else "")
                found.append(Access(write, name, event.value))
    return found


def setup_table(
    runs: Mapping[str, Sequence[Access]], caption: str = "One queue is set up"
) -> Table:
    """A column for each run, a row for each step, and how many accesses it took.

    `ValueError` for an access that is none of the steps, or comes at the wrong time.
    """
    columns = {name: _placed(name, run) for name, run in runs.items()}
    rows = [
        (step, *(column.get(step, "") for column in columns.values()))
        for step in STEPS
        if any(step in column for column in columns.values())
    ]
    total = ("accesses", *(f"{len(run)}" for run in runs.values()))
    return Table(caption, ("step", *runs), (*rows, total))


def _placed(name: str, run: Sequence[Access]) -> dict[str, str]:
    """For each step of `run`, its accesses in words."""
    column: dict[str, str] = {}
    at = 0
    for access in run:
        fits = [number for number in range(at, len(STEPS)) if STEPS[number] in access.steps]
        if not fits:
            raise ValueError(f"{name}: {access.words} is no step here")
        at = fits[0]
        before = column.get(STEPS[at])
        column[STEPS[at]] = f"{before}; {access.words}" if before else access.words
    return column
