"""``virtlab inspect``: the lessons' decoders, on a file of the reader's own.

A table of subjects, as ``virtlab`` itself is a table of commands. A subject has a name, what
``--help`` says, an example, a function that declares its options, and one that does the work.

Exit status: 0 done; 2 the file cannot be read or is malformed, or the command line is wrong. One
line on stderr says what, and for a malformed file, where.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import NamedTuple

from virtlab.errors import FileError

STDIN = "-"
"""The name of a file that means standard input."""


class Subject(NamedTuple):
    """One line of the table."""

    name: str
    help: str
    example: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], str]


# -- pci


def pci_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``virtlab inspect pci``."""
    parser.add_argument(
        "file",
        metavar="FILE",
        help="what `sudo lspci -xxxx` printed, plain or compressed with gzip; - reads it here",
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="every register and field, with its clause"
    )
    parser.add_argument("--json", action="store_true", help="as data, for a program")


def pci(options: argparse.Namespace) -> str:
    """The functions of a dump: a tree, every field, or data."""
    from virtlab.pci.decode import decode
    from virtlab.pci.dump import load_dump, parse_dump, unpack
    from virtlab.pci.report import as_data, verbose_text
    from virtlab.pci.tree import tree_text

    if options.file == STDIN:
        with open(0, "rb", closefd=False) as stdin:
            dump = parse_dump(unpack(stdin, "standard input"), "standard input")
    else:
        dump = load_dump(options.file)
    functions = [decode(each) for each in dump]
    if options.json:
        data = {"functions": [as_data(each, options.verbose) for each in functions]}
        return json.dumps(data, indent=2)
    if options.verbose:
        return "\n\n".join(verbose_text(each) for each in functions)
    notes = [f"{each.bdf}: {note}" for each in functions if each.present for note in each.notes]
    return "\n".join([tree_text(functions), *notes])


# -- ring


def ring_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``virtlab inspect ring``."""
    from virtlab.course.inspect_ring import arguments

    arguments(parser)


def ring(options: argparse.Namespace) -> str:
    """The virtqueues of a memory snapshot: what is pending, and what is wrong."""
    from virtlab.course.inspect_ring import run

    return run(options)


# -- vtd


def vtd_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``virtlab inspect vtd``."""
    from virtlab.course.inspect_vtd import arguments

    arguments(parser)


def vtd(options: argparse.Namespace) -> str:
    """The VT-d tables of a memory snapshot: who reaches which memory."""
    from virtlab.course.inspect_vtd import run

    return run(options)


SUBJECTS = (
    Subject(
        "pci",
        "say what a dump of PCI configuration space means",
        "virtlab inspect pci dump.txt",
        pci_arguments,
        pci,
    ),
    Subject(
        "ring",
        "say what is pending in the virtqueues of a memory snapshot, and what is wrong with them",
        "virtlab inspect ring snapshot.npz",
        ring_arguments,
        ring,
    ),
    Subject(
        "vtd",
        "say which memory a device reaches, by the VT-d tables of a memory snapshot",
        "virtlab inspect vtd snapshot.npz --source 00:03.0 --iova 0xfffe0000",
        vtd_arguments,
        vtd,
    ),
)


# -- the command


def arguments(parser: argparse.ArgumentParser) -> None:
    """A parser for each subject."""
    parsers = parser.add_subparsers(dest="subject", metavar="SUBJECT", required=True)
    for subject in SUBJECTS:
        each = parsers.add_parser(
            subject.name,
            help=subject.help,
            description=f"{subject.help[0].upper()}{subject.help[1:]}.",
            epilog=f"example: {subject.example}",
        )
        each.set_defaults(run=subject.run)
        subject.arguments(each)


def run(options: argparse.Namespace) -> int:
    """Print what the subject says; a file that is not what it should be is one line, status 2."""
    try:
        print(options.run(options))
    except FileError as error:
        return _failed(options, str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        return _failed(options, f"{options.file}: {error.strerror or error}")
    return 0


def _failed(options: argparse.Namespace, why: str) -> int:
    print(f"virtlab inspect {options.subject}: {why}", file=sys.stderr)
    return 2
