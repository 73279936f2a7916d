"""``virtlab serve``: be the disk, or a card, of a virtual machine in another process.

    virtlab serve blk disk.img --socket /tmp/disk.sock
    virtlab serve net --socket /tmp/net.sock --peer /tmp/gateway.sock
    virtlab serve blk a.img --socket a.sock + blk b.img --socket b.sock + net --socket n.sock
    virtlab serve pci edu --socket /tmp/edu.sock

A ``+`` stands between two devices. Several ``--socket`` of one ``net`` are cards on one switch. A
peer that has gone is tried again each second.
QEMU takes a socket as a vhost-user device (``virtlab linux --blk SOCKET`` does that for you); that
of ``pci`` as a vfio-user one, since QEMU 10.1.

SIGTERM, SIGINT and SIGHUP end it: what was taken is finished, the image is on the medium, the
sockets are removed, and a last line for each device says what it counted.

Exit status: 0 it was ended; 1 it could not serve, with one line that says why; 2 a wrong command
line. What it says goes to standard error, and a trace to standard output.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from contextlib import ExitStack, closing
from io import FileIO

from virtlab.course.serve_devices import WatchOf, Workshop, check_apart
from virtlab.course.serve_options import HERE, JSON, part_of, parts_of, sockets_of
from virtlab.course.serve_pci import serve_pci
from virtlab.course.serve_trace import Trace
from virtlab.course.signals import ENDS, on_signals, waking
from virtlab.virtio.vhost_user.back_end import BackEnd
from virtlab.virtio.vhost_user.channel import HungUp
from virtlab.virtio.vhost_user.loop import Loop
from virtlab.virtio.vhost_user.messages import ProtocolError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare that the words describe devices; each has a parser of its own."""
    parser.usage = (
        "virtlab serve blk IMAGE --socket PATH [OPTION ...] [+ DEVICE ...]\n"
        "       virtlab serve net --socket PATH [--socket PATH ...] [OPTION ...] [+ DEVICE ...]"
    )
    text = "blk or net, and its options (virtlab serve blk --help); + before the next device"
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="DEVICE", help=text)


def run(options: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    parts = [part_of(words) for words in parts_of(options.words)]
    check_apart(path for part in parts for path in sockets_of(part))
    loop = Loop(max(part.poll for part in parts))
    # The loop is closed first: then every answer is given, and the image is flushed.
    with on_signals(loop.stop, ENDS, once=True), ExitStack() as stack, closing(loop):
        workshop = Workshop(loop, stack, say)
        loop.ended = lambda back_end, error: ended(workshop, back_end, error)
        traces = Traces(stack)
        for part in parts:
            if part.kind == "pci":
                workshop.served.append(serve_pci(workshop, part))
                continue
            make = workshop.blk if part.kind == "blk" else workshop.net
            make(part, traces.watch_of(part.trace))
        serve(workshop, min((part.statistics for part in parts if part.statistics), default=0))
    for served in workshop.served:
        say(served.line())
    return 0


def serve(workshop: Workshop, seconds: float) -> None:
    """Run the loop, and say each `seconds` what was counted; 0: not before the end."""

    def report() -> None:
        for served in workshop.served:
            say(served.line(seconds))
        workshop.loop.after(seconds, report)

    for line in workshop.lines:
        say(line)
    if seconds:
        workshop.loop.after(seconds, report)
    say("ready; Ctrl-C or SIGTERM ends it")
    with waking(workshop.loop.wake_fd):
        workshop.loop.run()


def ended(workshop: Workshop, back_end: BackEnd, error: ProtocolError) -> None:
    """A session is over: worth a line if it is the front-end's mistake."""
    if not isinstance(error, HungUp):
        say(f"{workshop.name_of(back_end.device)}: the front-end was hung up on: {error}")


def say(text: str) -> None:
    """A line on standard error; nobody needs to read it."""
    with contextlib.suppress(OSError):
        print(f"virtlab serve: {text}", file=sys.stderr, flush=True)


# -- traces


class Traces:
    """The files of traces, each open once; they are closed with `stack`."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._traces: dict[str, Trace] = {}

    def watch_of(self, path: str | None) -> WatchOf:
        """Who watches, for a trace in `path`; "-" is standard output, and None no trace."""
        if path is None:
            return lambda name: None
        if path not in self._traces:
            self._traces[path] = Trace(self._open(path), path.endswith(JSON), say)
        return self._traces[path].watch

    def _open(self, path: str) -> FileIO:
        # Without a buffer: what cannot be written now is not tried again at the end.
        if path == HERE:
            return FileIO(sys.stdout.fileno(), "w", closefd=False)
        return self._stack.enter_context(FileIO(path, "w"))
