"""``virtlab record``: keep a run of an unmodified Linux on our disk, to be played anywhere.

    virtlab record run.jsonl.gz
    virtlab record packed.jsonl.gz --ring packed

Linux boots in QEMU, makes a file system on our device, writes, reads, and checks it. The file has
what its console printed, each request with its answer, and what the ring looked like meanwhile. The
recordings that come with the library were made by the two commands above.

Exit status: 0 it was recorded; 1 it was not, with one line that says why; 2 a wrong command line.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from virtlab.course.cli import CommandError
from virtlab.course.signals import interruptible
from virtlab.hosts import live
from virtlab.hosts.live_tape import RECORDINGS
from virtlab.hosts.tape import Tape

ENDS = (".jsonl", ".jsonl.gz")
"""How the name of a recording ends."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=Path, metavar="FILE", help=f"ends in {' or '.join(ENDS)}")
    layouts = tuple(RECORDINGS)
    parser.add_argument("--ring", choices=layouts, default=layouts[0], help="the ring's layout")


def run(options: argparse.Namespace) -> int:
    """Record, and say what the file has."""
    file: Path = options.file
    if not file.name.endswith(ENDS):
        raise CommandError(f"{file}: the name of a recording ends in {' or '.join(ENDS)}")
    if not file.parent.is_dir():
        raise CommandError(f"{file}: there is no folder {file.parent}")
    with interruptible():
        tape = record(options.ring)
        tape.write(file)
    about = tape.about
    size = f"{len(tape.chains)} requests, {len(tape.moments)} moments, {file.stat().st_size} bytes"
    print(f"{file}: {size}; Linux {about['kernel']}, QEMU {about['qemu']}")
    return 0


def record(ring: str) -> Tape:
    """Let a Linux do every work on a disk with that `ring`. `CommandError` if one fails."""
    with live.session("live", ring) as real:
        for name in real.works:
            work = real.work(name)
            print(f"{name}: {work.requests} requests", flush=True)
            if work.status:
                raise CommandError(f"{work.command!r} ended with status {work.status}: {work.text}")
        return real.tape
