"""A program as a table: address, machine code, assembly, and what each line does.

The rule that keeps it simple: everything comes from the `Program`; nothing is assembled or decoded
here.
"""

from __future__ import annotations

from virtlab.guest.programs import Program
from virtlab.show.tables import Table


def listing(program: Program) -> Table:
    """The lines of `program`."""
    rows = tuple(
        (f"{line.address:#x}", line.code.hex(" "), line.text, line.why) for line in program.lines
    )
    many = f"{len(rows)} instruction{'s' * (len(rows) != 1)}, {len(program.code)} bytes"
    caption = f"{program.task}, through {program.way}: {many}"
    return Table(caption, ("address", "machine code", "assembly", "what it does"), rows)
