"""Why a request was refused: the fault reasons of the manual, and of the invalidation queue.

      1 ..  0Eh   a DMA request, in legacy mode      which entry or which right stopped it
     20h .. 29h   an interrupt request               which part of the message or of its entry

The idea: a fault record has eight bits for the reason. Every refusal of the library carries one of
these numbers, so a driver reads of our unit what it would read of hardware.

The rule that keeps it simple: a reason is a number with its sentence. Some are *qualified*: the
entry that was read has a bit, FPD, that keeps such faults out of the records.

Source: VT-d 3.0, 7.1.3 and 5.1.4; revision 5.10 for Eh, 27h to 29h and the register IQERCD. Left
out: scalable mode (30h and up).
"""

from __future__ import annotations

from enum import IntEnum


class Reason(IntEnum):
    """A fault reason, the `FR` of a fault record. `meaning` is its sentence, `qualified` see above.

    >>> Reason(2), Reason.WRITE.meaning
    (<Reason.CONTEXT_NOT_PRESENT: 2>, 'a write, and no permission to write')
    """

    meaning: str
    qualified: bool

    def __new__(cls, code: int, meaning: str, qualified: bool = False) -> Reason:
        """One number with what is known of it."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning, member.qualified = meaning, qualified
        return member

    @classmethod
    def of(cls, code: int) -> Reason | None:
        """The reason with this number, as a fault record has it; None for one not known here."""
        return _BY_CODE.get(code)

    ROOT_NOT_PRESENT = 0x1, "the root entry is not present"
    CONTEXT_NOT_PRESENT = 0x2, "the context entry is not present", True
    CONTEXT_INVALID = 0x3, "the context entry asks for what this unit cannot do", True
    BEYOND_WIDTH = 0x4, "the address has more bits than the tables or the unit", True
    WRITE = 0x5, "a write, and no permission to write", True
    READ = 0x6, "a read, and no permission to read", True
    PAGING_ACCESS = 0x7, "a page table is not in memory", True
    ROOT_ACCESS = 0x8, "the root table is not in memory"
    CONTEXT_ACCESS = 0x9, "the context table is not in memory"
    ROOT_RESERVED = 0xA, "a reserved bit is set in a root entry that is present"
    CONTEXT_RESERVED = 0xB, "a reserved bit is set in a context entry that is present", True
    PAGING_RESERVED = 0xC, "a reserved bit is set in a second-level entry", True
    BLOCKED = 0xD, "the translation type does not allow this kind of request", True
    INTERRUPT_RANGE = 0xE, "the address leads to where interrupts are written", True

    REQUEST_RESERVED = 0x20, "a reserved field is set in the interrupt request"
    INDEX_BEYOND = 0x21, "the interrupt index is beyond the table"
    IRTE_NOT_PRESENT = 0x22, "the interrupt entry is not present", True
    IRTE_ACCESS = 0x23, "the interrupt-remapping table is not in memory"
    IRTE_RESERVED = 0x24, "a reserved field is set in an interrupt entry that is present", True
    COMPATIBILITY_BLOCKED = 0x25, "compatibility-format interrupts are blocked"
    SOURCE_ID = 0x26, "the interrupt entry is not for this source id", True
    DESCRIPTOR_ACCESS = 0x27, "the posted-interrupt descriptor is not in memory", True
    DESCRIPTOR_RESERVED = 0x28, "a reserved field is set in the posted-interrupt descriptor", True
    INTERRUPT_REQUEST = 0x29, "no interrupt message, but to the addresses of interrupts"


_BY_CODE = {int(reason): reason for reason in Reason}


class QueueError(IntEnum):
    """Why the invalidation queue stopped: `IQEI` of the register IQERCD."""

    UNKNOWN = 0
    TAIL_INVALID = 1
    FETCH = 2
    TYPE_INVALID = 3
    RESERVED = 4
    WIDTH_INVALID = 5
    TAIL_MISALIGNED = 6
    MODE_INVALID = 7
