"""Run everything, part by part, and end with a table. Run as: python scripts/test.py [PART ...]

The last line is ``N passed, M failed``, counted in parts; the exit status is 1 if any failed.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
COVERED = 98  # per cent of lines and branches
PART_SECONDS = 3600  # no part may take longer

NBVAL = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
PYTEST = (*NBVAL, "-p", "no:nbval")  # which takes two seconds to load
SHARED = ("-n", "auto", "--dist", "worksteal")  # who is done first takes over some of the rest


class Part(NamedTuple):
    """One line of the table: a name, a command, and what must exist for it to make sense.

    A part that is not `asked` for by name runs with all others, or does not.
    """

    name: str
    command: tuple[str, ...]
    needs: str = ""
    asked: bool = False


# nbformat takes two seconds to load: this file is with the others that need it
DOCUMENTS = "tests/test_notebooks.py"
OTHERS = ("browser", "course", "exercises", "oracles")
UNIT = ("tests", *(f"--ignore=tests/{other}" for other in OTHERS), f"--ignore={DOCUMENTS}")


PARTS = (
    Part("lint", (sys.executable, "-m", "ruff", "check", ".")),
    Part(
        "format",
        (
            sys.executable,
            "-m",
            "ruff",
            "format",
            "--check",
            "virtlab",
            "tests",
            "scripts",
            "benchmarks",
        ),
    ),
    Part("types", (sys.executable, "-m", "mypy")),
    Part("unit", (*PYTEST, *SHARED, *UNIT)),
    Part("course", (*PYTEST, *SHARED, "tests/course")),
    Part("oracles", (*PYTEST, *SHARED, "tests/oracles")),
    # xdist may not split one notebook over two workers
    Part(
        "notebooks",
        (
            *NBVAL,
            "-n",
            "2",
            "--dist",
            "loadfile",
            "--nbval",
            "--nbval-sanitize-with",
            "tests/nbval.cfg",
            "--nbval-cell-timeout=120",
            "notebooks",
        ),
        "notebooks",
    ),
    # one run of nbgrader serves a file: so xdist may not split one over two workers
    Part(
        "exercises",
        (*PYTEST, "-n", "2", "--dist", "loadfile", "tests/exercises", DOCUMENTS),
        "tests/exercises",
    ),
    # two workers, each with a JupyterLab and a browser of its own
    Part(
        "browser",
        (*PYTEST, "-n", "2", "--dist", "worksteal", "tests/browser"),
        "tests/browser",
    ),
    # Watched line by line, Python is two or three times as slow: `make coverage`.
    Part(
        "coverage",
        (
            *PYTEST,
            *SHARED,
            *("-m", "not volume"),
            *UNIT[:1],
            *(each for each in UNIT[1:] if not each.endswith(("course", DOCUMENTS))),
            "--cov",
            "--cov-report=term:skip-covered",
            f"--cov-fail-under={COVERED}",
        ),
        asked=True,
    ),
)


def runs(part: Part) -> bool:
    """Whether a part runs where none is named."""
    return not part.asked and (ROOT / part.needs).exists()


class Result(NamedTuple):
    """How one part ended."""

    name: str
    passed: bool
    seconds: float
    why: str


def environment() -> dict[str, str]:
    """The environment of every part: the virtual environment's programs come first.

    Python keeps what it has compiled: parts start hundreds of processes that import the same files.
    """
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)])
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PATH": path, "PYTHONPATH": "", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


def run(part: Part) -> Result:
    """Run one part, its output going straight to ours."""
    print(f"\n== {part.name}", flush=True)
    begin = time.monotonic()
    process = subprocess.Popen(part.command, cwd=ROOT, env=environment(), start_new_session=True)
    why = ""
    try:
        status = process.wait(PART_SECONDS)
        why = f"exit status {status}" if status else ""
    except subprocess.TimeoutExpired:
        why = f"not done after {PART_SECONDS} s"
    finally:
        end_group(process)
    return Result(part.name, not why, time.monotonic() - begin, why)


def end_group(process: subprocess.Popen) -> None:
    """End what is left of a part; asked with an interrupt, pytest first tidies up after itself."""
    for number, seconds in ((signal.SIGINT, 20), (signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, number)
            process.wait(seconds)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def interrupt(number: int, frame: object) -> None:
    """Treat a request to end, and a closed terminal, as Ctrl-C."""
    raise KeyboardInterrupt


def table(results: list[Result]) -> str:
    """The closing table, and the count in its last line."""
    lines = [
        f"{result.name:<12}{'passed' if result.passed else 'FAILED':<8}"
        f"{result.seconds:7.1f} s  {result.why}".rstrip()
        for result in results
    ]
    passed = sum(result.passed for result in results)
    total = sum(result.seconds for result in results)
    return "\n".join(
        [
            "",
            "part        result     time",
            *lines,
            f"{'':<20}{total:7.1f} s",
            "",
            f"{passed} passed, {len(results) - passed} failed",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 all parts passed, 1 some failed, 2 no such part, 130 interrupted."""
    known = {part.name: part for part in PARTS}
    parser = argparse.ArgumentParser(
        description="Run the project's tests, part by part.",
        epilog="example: python scripts/test.py lint types",
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(known))
    names = parser.parse_args(argv).parts
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no part {unknown[0]!r}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    chosen = [part for part in PARTS if (part.name in names if names else runs(part))]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    # A shell without job control has a command in the background ignore Ctrl-C, and so would all
    # that the tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        results = [run(part) for part in chosen]
    except KeyboardInterrupt:
        return 130
    print(table(results), flush=True)
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
