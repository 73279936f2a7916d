"""Read docs/conformance/: for every MUST of virtio 1.3, which test proves it, or why none does.

    docs/conformance/manifest.tsv   which table has which part, and how many statements
    docs/conformance/block.tsv ...  one row a statement: id, clause, who, must, what, proof
    docs/conformance.md             what this is, the reasons, and the counts

The idea: the manifest fixes how many statements there are, so that none can vanish unseen. Whether
they are the right ones is what `scripts/clauses.py SPEC --check` says, given the specification.

The rule that keeps it simple: a proof is the name of a test, or `no: REASON` with a reason of
`REASONS`. Run as `python scripts/conformance.py`, it writes the counts into docs/conformance.md.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "conformance"
PAGE = ROOT / "docs" / "conformance.md"
COLUMNS = ("id", "clause", "who", "must", "what", "proof")
WHO = ("driver", "device", "both")
MUSTS = ("MUST", "MUST NOT", "MUST, MUST NOT")
BEGIN, END = "<!-- counts: begin -->", "<!-- counts: end -->"

REASONS = MappingProxyType(
    {
        "not offered": "It is about a feature that our devices do not offer and our drivers do "
        "not accept; two tests hold them to that, bit by bit.",
        "other transport": "It is about channel I/O, which exists on one kind of machine only.",
        "other device": "It is about a device type that is not part of this course.",
        "not observable": "It forbids someone to rely on something. No run of a program can show "
        "that this is kept or broken.",
        "documents": "It is addressed to who writes a specification or claims conformance.",
    }
)
"""Why a statement may have no test."""


class Row(NamedTuple):
    """One statement in `table`: its columns as they stand."""

    table: str
    id: str
    clause: str
    who: str
    must: str
    what: str
    proof: str

    @property
    def reason(self) -> str | None:
        """Why there is no test; None where there is one."""
        return self.proof.removeprefix("no: ") if self.proof.startswith("no: ") else None

    @property
    def tests(self) -> list[str]:
        """The tests that prove it."""
        return [] if self.reason is not None else self.proof.split()


class Part(NamedTuple):
    """A `section` of the specification: its `table`, or None and a `reason`; its statements."""

    section: str
    table: str | None
    reason: str | None
    statements: int


def within(clause: str, section: str) -> bool:
    """Whether `clause` is `section` or lies in it.

    >>> within("5.2.6.1", "5.2"), within("5.20", "5.2")
    (True, False)
    """
    return f"{clause}.".startswith(f"{section}.")


def _lines(name: str) -> list[list[str]]:
    """The rows below the header of a table, cut at tabs; lines that begin with # are comments."""
    lines = (FOLDER / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")][1:]


def manifest() -> list[Part]:
    """The parts of the specification, in its order; of two that fit, the longer one counts."""
    parts = []
    for section, table, statements in _lines("manifest"):
        left_out = table.startswith("no: ")
        reason = table.removeprefix("no: ") if left_out else None
        parts.append(Part(section, None if left_out else table, reason, int(statements)))
    return parts


def part(clause: str) -> Part:
    """The part that `clause` belongs to. `ValueError` if the manifest has none."""
    fitting = [one for one in manifest() if within(clause, one.section)]
    if not fitting:
        raise ValueError(f"manifest.tsv has no part for clause {clause}")
    return max(fitting, key=lambda one: len(one.section))


def tables() -> list[str]:
    """The names of the tables, in the order of the manifest."""
    return list(dict.fromkeys(one.table for one in manifest() if one.table is not None))


def rows() -> list[Row]:
    """Every row of every table that exists."""
    present = [name for name in tables() if (FOLDER / f"{name}.tsv").exists()]
    return [Row(name, *cells) for name in present for cells in _lines(name)]


@cache
def functions(path: str) -> frozenset[str]:
    """The test functions of the file `path`, methods as `Class::test`."""
    file = ROOT / path
    if not file.exists():
        return frozenset()
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        before = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {before + one.name for one in inner if isinstance(one, ast.FunctionDef)}
    return frozenset(name for name in found if name.split("::")[-1].startswith("test_"))


def exists(test: str) -> bool:
    """Whether `test`, as `tests/virtio/test_x.py::test_y`, is there."""
    path, _, function = test.partition("::")
    return function in functions(path)


def counts() -> str:
    """The counts by part, as the table in docs/conformance.md."""
    lines = ["| part | table | statements | proved | no test |", "|---|---|---|---|---|"]
    total: Counter[str] = Counter()
    every = rows()
    for one in manifest():
        mine = [row for row in every if part(row.clause).section == one.section]
        proved = sum(row.reason is None for row in mine)
        kept = one.table or f"no: {one.reason}"
        lines.append(
            f"| {one.section} | {kept} | {one.statements} | {proved} | {one.statements - proved} |"
        )
        total += Counter({"all": one.statements, "proved": proved})
    lines.append(
        f"| all | | {total['all']} | {total['proved']} | {total['all'] - total['proved']} |"
    )
    why = Counter(row.reason for row in every if row.reason is not None)
    for one in manifest():
        if one.reason is not None:
            why[one.reason] += one.statements
    lines += ["", "| reason | statements | what it means |", "|---|---|---|"]
    return "\n".join(lines + [f"| {name} | {why[name]} | {REASONS[name]} |" for name in REASONS])


def written(page: str) -> str:
    """The page with the counts that hold now."""
    block = f"{BEGIN}\n{counts()}\n{END}"
    return re.sub(f"{BEGIN}.*{END}", lambda _: block, page, flags=re.S)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
