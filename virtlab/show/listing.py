"""A program as a table: address, machine code, assembly, and what each line does.

The rule that keeps it simple: everything comes from the `Program`; nothing is assembled or decoded
here.
"""

from __future__ import annotations

from virtlab.guest.programs import Program
from virtlab.guest.small import Piece
from virtlab.show.tables import Table


def listing(program: Program | Piece) -> Table:
    """The lines of `program`, or of a piece of a small guest."""
    rows = tuple(
        (f"{line.address:#x}", line.code.hex(" "), line.text, line.why) for line in program.lines
    )
    many = f"{len(rows)} instruction{'s' * (len(rows) != 1)}, {len(program.code)} bytes"
    name = program.name if isinstance(program, Piece) else f"{program.task}, through {program.way}"
    return Table(f"{name}: {many}", ("address", "machine code", "assembly", "what it does"), rows)
