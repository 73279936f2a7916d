"""python -m benchmarks [--quick] [--json] [--rows TEXT] [--no-gate]: measure, and print a table.

Exit status: 0 where all gates are met, 1 where one is missed (unless --no-gate), 2 where something
is missing that the rows need, or no row has TEXT.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks import compiler, split_rows
from benchmarks.harness import Result, Row, measure, pin

MODULES = (
    "split_rows",
    "packed_rows",
    "fused_rows",
    "driver_rows",
    "disk_rows",
    "blk_rows",
    "net_rows",
    "iommu_rows",
)
"""Where the rows are: each module has `rows(flags) -> list[Row]`, for a twin compiled with `flags`,
and `NOTES`, sentences about what its rows mean."""

ON_DEMAND = {"linux": "linux_rows", "dpdk": "dpdk_rows"}
"""Modules whose rows take minutes, and more than a compiler: measured where TEXT has the word."""

HEAD = f"{'':<44}{'batch':>6}{'library':>12}{'other side':>12}{'ratio':>8}{'goal':>9}"


LAST = """ratio: the median of the ratios of neighbouring slices. * a gate: its goal must be met.
The other side is C, timed inside C, where nothing else is said.
"""


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three rounds a row instead of nine")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    parser.add_argument("--rows", default="", metavar="TEXT", help="only rows that have TEXT")
    parser.add_argument("--no-gate", action="store_true", help="exit status 0 for a missed gate")
    parser.add_argument("--native", action="store_true", help="a twin by -O3 -march=native")
    return parser.parse_args(arguments)


def chosen(text: str, flags: tuple[str, ...]) -> Iterator[tuple[list[Row], Sequence[str]]]:
    """The rows whose name and batch have `text`, module by module, with the module's notes."""
    for name in (*MODULES, *(name for word, name in ON_DEMAND.items() if word in text)):
        module = importlib.import_module(f"benchmarks.{name}")
        rows = [row for row in module.rows(flags) if text in f"{row.name} {row.batch}"]
        if rows:
            yield rows, module.NOTES


def line(result: Result) -> str:
    """A row of the table. A goal with a star is a gate."""
    row = result.row
    goal = "" if row.goal is None else f"{'>=' if row.least else '<='} {row.goal:g}"
    star = "*" if row.gate else " "
    name = row.name if row.against == "C" else f"{row.name}, against {row.against}"
    missed = "" if result.met else "  missed"
    times = f"{_time(result.python):>12}{_time(result.twin):>12}"
    return f"{name:<44}{row.batch:>6}{times}{result.ratio:>8.2f}{goal:>8}{star}{missed}"


def _time(nanoseconds: float) -> str:
    return f"{nanoseconds / 1000:.2f} us"


def as_json(result: Result) -> str:
    """A row for a program to read; times in nanoseconds a batch."""
    row = result.row
    return json.dumps(
        {
            "row": row.name,
            "batch": row.batch,
            "against": row.against,
            "ratio": round(result.ratio, 4),
            "ratios": [round(ratio, 4) for ratio in result.ratios],
            "library_ns": round(result.python, 1),
            "other_ns": round(result.twin, 1),
            "goal": row.goal,
            "gate": row.gate,
            "met": result.met,
        }
    )


def heading(flags: tuple[str, ...]) -> str:
    """On what this is measured."""
    return (
        f"CPython {platform.python_version()}, NumPy {np.__version__}, "
        f"{compiler.version()} {' '.join(flags)}, {platform.machine()}"
    )


def main(arguments: Sequence[str]) -> int:
    """Measure what the command line asks for. Gives the exit status."""
    asked = options(arguments)
    flags = compiler.FAST_FLAGS if asked.native else compiler.FLAGS
    try:
        compiler.compiler()
    except compiler.NoCompiler as missing:
        print(missing, file=sys.stderr)
        return 2
    parts = list(chosen(asked.rows, flags))
    if not parts:
        print(f"no row has {asked.rows!r} in its name and batch", file=sys.stderr)
        return 2
    pin()
    if not asked.json:
        print(heading(flags), HEAD, sep="\n")
    missed = 0
    for rows, notes in parts:
        for row in rows:
            try:
                result = measure(row, rounds=3 if asked.quick else 9)
            except FileNotFoundError as missing:
                print(missing, file=sys.stderr)
                return 2
            print(as_json(result) if asked.json else line(result), flush=True)
            missed += row.gate and not result.met
        if not asked.json:
            print(*(f"    {note}" for note in notes), sep="\n")
    if not asked.json:
        print(LAST + split_rows.native_note())
    return 1 if missed and not asked.no_gate else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
