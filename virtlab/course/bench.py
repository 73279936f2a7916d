"""``virtlab bench``: the ratios of the vectorized rings to a C twin, measured on this machine.

The benchmarks lie in the project's folder, beside the library: they need a C compiler and are not
part of the package. `make bench` runs the same.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from virtlab.course.cli import CommandError

PROJECT = Path(__file__).resolve().parents[2]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--quick", action="store_true", help="fewer rounds a row")
    parser.add_argument("--rows", metavar="TEXT", help="only the rows that have TEXT")
    parser.add_argument("--native", action="store_true", help="C as fast as this processor can")
    parser.add_argument("--no-gate", action="store_true", help="a missed goal is no failure")
    parser.add_argument("--json", action="store_true", help="a JSON object a row")


def run(options: argparse.Namespace) -> int:
    """Run the benchmarks. Gives 0, or 1 where a goal that must be met was missed."""
    if not (PROJECT / "benchmarks" / "__main__.py").is_file():
        raise CommandError("the benchmarks are in the project's folder: there, run make bench")
    done = subprocess.run(command(options), cwd=PROJECT, check=False, stderr=subprocess.PIPE)
    if done.returncode not in (0, 1):
        raise CommandError(done.stderr.decode(errors="replace").strip() or "the benchmarks failed")
    return done.returncode


def command(options: argparse.Namespace) -> list[str]:
    """The words that run the benchmarks as `options` say."""
    words = [sys.executable, "-m", "benchmarks"]
    words += [f"--{name}" for name in ("quick", "native", "json") if getattr(options, name)]
    words += ["--no-gate"] if options.no_gate else []
    return words + ([] if options.rows is None else [f"--rows={options.rows}"])
