"""VM exits: what the processor hands to the VMM when a guest may not go on by itself.

The idea: an exit is a *record*, not a callback. The vCPU returns it, the VMM's loop reads it, the
trace keeps it. A record never changes.

Each has the two numbers that VT-x puts into the VMCS: the basic exit reason (SDM 3D appendix C)
and the exit qualification (SDM 3C 28.2.1), built here bit by bit.

       31             16 15       7   6     5     4      3     2    0
      +-----------------+----------+-----+-----+--------+----+--------+
      |   port number   |    0     | imm | REP | string | IN | size-1 |   an I/O instruction
      +-----------------+----------+-----+-----+--------+----+--------+

      12       9  8   7       6       5   4   3   2   1   0
      +--------+----+----+---------+----+----+---+---+---+---+
      |   0    | LA | LV |    0    | X  | W  | R | f | w | r |            an EPT violation
      +--------+----+----+---------+----+----+---+---+---+---+
      r w f: the access that was tried;  R W X: what the entries allow;
      LV: the linear address is known;  LA: the access itself failed, not a table walk

The SDM is cited in its edition of December 2022: 25 the VMCS, 26 non-root operation, 28 VM exits,
29 EPT. Other editions count one less or one more (docs/glossary.md, "Specifications"). One thing
here no processor gives: `size` and `value` of a memory access. A VMM for real code decodes the
instruction to find them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from virtlab.wire import Bits

READ, WRITE, EXECUTE = 1, 2, 4
"""Rights, as an EPT entry has them in bits 2:0 (SDM 3C 29.3.2)."""

IO_SIZE, IO_IN, IO_STRING, IO_REP = Bits(2, 0), Bits(3), Bits(4), Bits(5)
IO_IMMEDIATE, IO_PORT = Bits(6), Bits(31, 16)
"""The qualification of an I/O instruction (SDM 3C table 28-5)."""

EPT_ACCESS, EPT_RIGHTS, EPT_LINEAR_VALID, EPT_LINEAR_ACCESS = (
    Bits(2, 0),
    Bits(5, 3),
    Bits(7),
    Bits(8),
)
"""The qualification of an EPT violation (SDM 3C table 28-7)."""

PF_PRESENT, PF_WRITE, PF_USER, PF_RESERVED, PF_FETCH = (Bits(n) for n in range(5))
"""The error code of a page fault (SDM 3A 4.7)."""

UNDEFINED_OPCODE, DOUBLE_FAULT, NO_SEGMENT, GENERAL_PROTECTION, PAGE_FAULT = 6, 8, 11, 13, 14
"""Vectors of exceptions (SDM 3A table 6-1)."""

PAGE_FAULT_INFORMATION = 1 << 31 | 1 << 11 | 3 << 8 | PAGE_FAULT
"""Valid, with an error code, a hardware exception (SDM 3C 25.9.2)."""


class Place(NamedTuple):
    """Where an exit happened, in the words of a trace event."""

    space: str = ""
    address: int = 0
    size: int = 0
    value: int = 0


@dataclass(frozen=True, slots=True)
class Exit:
    """Any VM exit. `REASON` is the basic exit reason, `NAME` what the SDM calls it."""

    REASON: ClassVar[int]
    NAME: ClassVar[str]

    @property
    def qualification(self) -> int:
        """The exit qualification; 0 for reasons that define none."""
        return 0

    @property
    def place(self) -> Place:
        """Where it happened."""
        return Place()

    def __str__(self) -> str:
        return f"{self.NAME} (reason {self.REASON}, qualification {self.qualification:#x})"


@dataclass(frozen=True, slots=True)
class IoExit(Exit):
    """`IN` or `OUT` to a port whose bit in the I/O bitmap is 1 (SDM 3C 26.1.3).

    `size` is in bytes. `value` is what an `OUT` writes, and 0 for an `IN`. A guest in Python has
    neither string nor immediate forms; real code has.
    """

    REASON: ClassVar[int] = 30
    NAME: ClassVar[str] = "I/O instruction"
    port: int
    size: int
    write: bool
    value: int = 0
    string: bool = False
    rep: bool = False
    immediate: bool = False

    @property
    def qualification(self) -> int:
        """As SDM 3C table 28-5 has it."""
        word = IO_SIZE.put(0, self.size - 1)
        word = IO_IN.put(word, not self.write)
        word = IO_STRING.put(word, self.string)
        word = IO_REP.put(word, self.rep)
        word = IO_IMMEDIATE.put(word, self.immediate)
        return IO_PORT.put(word, self.port)

    @property
    def place(self) -> Place:
        """The ports it touches."""
        return Place("port", self.port, self.size, self.value)


@dataclass(frozen=True, slots=True)
class MemoryExit(Exit):
    """A load or a store that did not get through its translation.

    `gpa` is the guest-physical address, `size` is in bytes, `value` is what a store writes, and 0
    for a load.
    """

    gpa: int
    size: int
    write: bool
    value: int = 0

    @property
    def place(self) -> Place:
        """The guest-physical bytes it touches."""
        return Place("memory", self.gpa, self.size, self.value)


@dataclass(frozen=True, slots=True)
class EptViolation(MemoryExit):
    """An entry on the way is not present, or does not allow the access (SDM 3C 29.3.3.2).

    `rights` is the AND of bits 2:0 of all entries used, 0 if one is not present. The guest has
    its paging off, so its linear address is the guest-physical one, and is known.
    """

    REASON: ClassVar[int] = 48
    NAME: ClassVar[str] = "EPT violation"
    rights: int = 0

    @property
    def qualification(self) -> int:
        """As SDM 3C table 28-7 has it."""
        word = EPT_ACCESS.put(0, WRITE if self.write else READ)
        word = EPT_RIGHTS.put(word, self.rights)
        return word | EPT_LINEAR_VALID.mask | EPT_LINEAR_ACCESS.mask


@dataclass(frozen=True, slots=True)
class EptMisconfiguration(MemoryExit):
    """A present entry has a setting that no processor accepts (SDM 3C 29.3.3.1). `why` names it."""

    REASON: ClassVar[int] = 49
    NAME: ClassVar[str] = "EPT misconfiguration"
    why: str = ""


@dataclass(frozen=True, slots=True)
class ShadowFault(MemoryExit):
    """A page fault on the shadow page table, which the VMM intercepts (SDM 3C 26.2).

    `error_code` is as SDM 3A 4.7 has it. With EPT off the processor knows no guest-physical
    address; the qualification is the linear one. `gpa` has that too: while guest paging is off the
    two are the same.
    """

    REASON: ClassVar[int] = 0
    NAME: ClassVar[str] = "exception: page fault"
    error_code: int = 0

    @property
    def qualification(self) -> int:
        """The linear address that faulted (SDM 3C 28.2.1)."""
        return self.gpa

    @property
    def interruption_information(self) -> int:
        """The VM-exit interruption-information field (SDM 3C 25.9.2)."""
        return PAGE_FAULT_INFORMATION


@dataclass(frozen=True, slots=True)
class ExceptionExit(Exit):
    """An exception that the VMM asked to see, in the exception bitmap (SDM 3C 25.6.3).

    `vector` is its number. A page fault on a shadow table has a record of its own, `ShadowFault`.
    """

    REASON: ClassVar[int] = 0
    NAME: ClassVar[str] = "exception"
    vector: int
    error_code: int = 0

    def __str__(self) -> str:
        return f"{self.NAME} {self.vector} (reason {self.REASON}, qualification 0x0)"


@dataclass(frozen=True, slots=True)
class TripleFault(Exit):
    """The guest's exception handlers fault themselves: a real machine would reset (SDM 3A 6.15)."""

    REASON: ClassVar[int] = 2
    NAME: ClassVar[str] = "triple fault"


@dataclass(frozen=True, slots=True)
class InvlpgExit(Exit):
    """`INVLPG`: the guest asks the processor to forget the translation of `gva` (SDM 3C 26.1.3)."""

    REASON: ClassVar[int] = 14
    NAME: ClassVar[str] = "INVLPG"
    gva: int

    @property
    def qualification(self) -> int:
        """The linear address (SDM 3C 28.2.1)."""
        return self.gva


@dataclass(frozen=True, slots=True)
class VmcallExit(Exit):
    """`VMCALL`: the guest calls the VMM on purpose, a hypercall (SDM 3C 26.1.2).

    `number` says which service, as EAX does; `arguments` are the registers after it.
    """

    REASON: ClassVar[int] = 18
    NAME: ClassVar[str] = "VMCALL"
    number: int
    arguments: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ControlExit(Exit):
    """`MOV` to CR3, when the VMM wants to know which page table the guest uses (SDM 3C 26.1.3)."""

    REASON: ClassVar[int] = 28
    NAME: ClassVar[str] = "control-register access"
    value: int
    register: int = 3

    @property
    def qualification(self) -> int:
        """As SDM 3C table 28-3 has it: the register, and 0 for "MOV to CR"; the source is EAX."""
        return self.register


@dataclass(frozen=True, slots=True)
class HltExit(Exit):
    """The guest halts, and waits at most `timeout` ns for an interrupt (SDM 3C 26.1.3).

    The timeout is the course's: real code that wants one sets a timer before its `HLT`. 0 says
    that interrupts are masked, IF = 0, so that none can end it.
    """

    REASON: ClassVar[int] = 12
    NAME: ClassVar[str] = "HLT"
    timeout: int
