"""The ``virtlab`` command: a table of subcommands, and one place where errors become one line.

Each subcommand lives in a module of its own, imported only when it is asked for, so that
``virtlab --help`` is quick. Such a module has two functions: ``arguments(parser)`` declares its
options, ``run(options)`` does the work and returns the exit status.

Exit status: 0 done, 1 it could not be done (one line on stderr says why), 2 a wrong command line.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from virtlab.errors import FileError

UNIX = frozenset({"fcntl", "grp", "pwd", "resource", "termios"})
"""Modules of Python that Windows has not. A command that imports one of them needs Linux."""


class CommandError(Exception):
    """A command cannot do its work: one line, with what to do about it."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line and end with status 2."""
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help)\n")


class Command(NamedTuple):
    """One line of the table: the name typed, the module behind it, and what ``--help`` says."""

    name: str
    module: str
    help: str
    example: str


COMMANDS = (
    Command(
        "lab", "virtlab.course.lab", "open the course in JupyterLab", "virtlab lab --lesson 01"
    ),
    Command(
        "slides", "virtlab.course.slides_command", "make slides of the lessons", "virtlab slides 14"
    ),
    Command(
        "doctor", "virtlab.course.doctor", "say what this machine can do", "virtlab doctor --json"
    ),
    Command(
        "check",
        "virtlab.course.selfcheck",
        "check a problem set's notebook",
        "virtlab check ps01.ipynb",
    ),
    Command(
        "grade",
        "virtlab.course.grade_command",
        "grade a class's notebooks, each in a sandbox",
        "virtlab grade submitted/ --out grades.csv --feedback feedback/",
    ),
    Command(
        "practice",
        "virtlab.course.practice_command",
        "give a fresh problem, and check its answer",
        "virtlab practice vtd-walk --seed 7 --answer",
    ),
    Command(
        "inspect",
        "virtlab.course.inspect",
        "decode a file of this or another machine",
        "virtlab inspect pci dump.txt",
    ),
    Command(
        "serve",
        "virtlab.course.serve_command",
        "serve a disk or a network card to a virtual machine",
        "virtlab serve blk disk.img --socket /tmp/disk.sock",
    ),
    Command(
        "linux",
        "virtlab.course.linux_command",
        "boot an unmodified Linux, with our devices",
        "virtlab linux --disk disk.img --run check.sh",
    ),
    Command(
        "record",
        "virtlab.course.record_command",
        "record an unmodified Linux on our disk",
        "virtlab record run.jsonl.gz",
    ),
    Command(
        "bench",
        "virtlab.course.bench",
        "measure the vectorized rings against C",
        "virtlab bench --quick",
    ),
)


def parser_for(command: Command) -> argparse.ArgumentParser:
    """The argument parser of one subcommand; imports its module."""
    parser = Parser(
        prog=f"virtlab {command.name}",
        description=f"{command.help[0].upper()}{command.help[1:]}.",
        epilog=f"example: {command.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    importlib.import_module(command.module).arguments(parser)
    return parser


def usage() -> str:
    """What ``virtlab --help`` prints."""
    lines = ["usage: virtlab COMMAND [OPTIONS]", "", "I/O virtualization, a course that runs.", ""]
    lines += [f"  {command.name:<10}{command.help}" for command in COMMANDS]
    return "\n".join(
        [
            *lines,
            "",
            "virtlab COMMAND --help says more about one.",
            f"example: {COMMANDS[0].example}",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in ("-h", "--help"):
        print(usage())
        return 0
    if words and words[0] == "--version":
        from importlib.metadata import version

        print(f"virtlab {version('virtlab')}")
        return 0
    command = next((command for command in COMMANDS if words and command.name == words[0]), None)
    if command is None:
        known = ", ".join(command.name for command in COMMANDS)
        said = f"no command {words[0]!r}" if words else "no command given"
        print(f"virtlab: {said}; the commands are: {known} (virtlab --help)", file=sys.stderr)
        return 2
    return run(command, words[1:])


def run(command: Command, words: Sequence[str]) -> int:
    """Run one command on its words; what is expected to go wrong becomes one line on stderr."""
    try:
        parser = parser_for(command)
        options = parser.parse_args(words)
        status: int = importlib.import_module(command.module).run(options)
        sys.stdout.flush()
        return status
    except SystemExit as stop:  # argparse: 0 after --help, 2 after a wrong command line
        return stop.code if isinstance(stop.code, int) else 2
    except ModuleNotFoundError as error:
        if error.name not in UNIX:
            raise
        why = f"this needs Linux: Python on {sys.platform} has no module {error.name}"
        print(f"virtlab {command.name}: {why}", file=sys.stderr)
        return 1
    except (CommandError, FileError) as error:
        print(f"virtlab {command.name}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has gone, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        print(f"virtlab {command.name}: {name}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 1


if __name__ == "__main__":  # the module of that name, whose errors the commands raise
    sys.exit(importlib.import_module("virtlab.course.cli").main())
