"""``virtlab linux``: boot an unmodified Linux, with the devices that you name, on this terminal.

    --disk IMAGE     QEMU's own virtio-blk, on a file of this machine
    --blk SOCKET     virtio-blk of ``virtlab serve blk --socket SOCKET``
    --net SOCKET     virtio-net of ``virtlab serve net --socket SOCKET``

Options of QEMU's device may follow: ``--blk SOCKET,packed=on,num-queues=2``.

At a terminal there is a shell: what you type goes to it, Ctrl-] ends the machine, the end of the
shell powers it off. With ``--run SCRIPT``, or a script as standard input, the script runs and the
machine powers off. The console is standard output either way.

Exit status: 0 the script succeeded, or the shell ended; 1 anything else, with one line that says
why; 2 a wrong command line.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from virtlab.course.cli import CommandError
from virtlab.course.signals import interruptible
from virtlab.errors import FileError
from virtlab.hosts import linux_devices
from virtlab.hosts.linux import TURN, LinuxGuest
from virtlab.hosts.linux_find import find_linux, version_of
from virtlab.hosts.linux_initrd import Image, linux_image

ESCAPE = b"\x1d"
"""Ctrl-]: ends the machine at once."""

KEYS = 64
"""Bytes that are read from a terminal at once."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--kernel", type=Path, metavar="FILE", help="the kernel (an installed one)")
    add("--initrd", type=Path, metavar="FILE", help="an initrd of your own, which has a console")
    add("--root", type=Path, metavar="DIR", help="a folder with unpacked packages to look in")
    add("--disk", action="append", default=[], metavar="IMAGE", help="a disk: a raw image")
    add("--blk", action="append", default=[], metavar="SOCKET", help="a disk of virtlab serve blk")
    add("--net", action="append", default=[], metavar="SOCKET", help="a card of virtlab serve net")
    add("--run", type=Path, metavar="SCRIPT", help="run this shell script, then power off")
    add("--timeout", type=seconds, default=600.0, metavar="S", help="the longest for --run (600)")
    add("--module", action="append", default=[], metavar="NAME", help="one more kernel module")
    add("--program", action="append", default=[], metavar="NAME", help="one more program of here")
    add("--memory", type=mebibytes, default=512, metavar="MIB", help="the machine's RAM (512)")
    add("qemu", nargs="*", metavar="-- ARGUMENT", help="after --, more arguments for QEMU")


def seconds(text: str) -> float:
    """A positive number of seconds from the command line."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) <= 1e6:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")


def mebibytes(text: str) -> int:
    """A size of RAM from the command line, from what Linux can start in to a TiB."""
    if text.isdecimal() and 128 <= int(text[:9]) <= 1 << 20:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no size in MiB: a number from 128")


def run(options: argparse.Namespace) -> int:
    """Boot; let the script run, or be the terminal of the shell."""
    image, devices = image_of(options), devices_of(options)
    script = script_of(options)
    with (
        interruptible(),
        LinuxGuest(devices, script, image=image, memory_mib=options.memory) as guest,
    ):
        if script is None:
            return terminal(guest, image)
        return watch(guest, options.timeout)


def script_of(options: argparse.Namespace) -> str | None:
    """The script to run; None if the console is for a person, or for an initrd of another make."""
    if options.run is not None:
        if options.initrd:
            raise CommandError("--run needs the initrd that is made here: leave out --initrd")
        return text_of(options.run.read_bytes(), options.run)
    if options.initrd or sys.stdin.isatty():
        return None
    return text_of(sys.stdin.buffer.read(), "standard input")


def text_of(data: bytes, path: str | os.PathLike[str]) -> str:
    """A script as text. `FileError` where it is none."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FileError(path, error.start, "a script is text in UTF-8, and this is not") from None


def image_of(options: argparse.Namespace) -> Image:
    """What to boot, as the options say."""
    if not options.initrd:
        linux = find_linux(options.root, options.kernel)
        return linux_image(linux, options.module, options.program)
    kernel = options.kernel or find_linux(options.root).kernel
    version_of(kernel)
    return Image(kernel, options.initrd.read_bytes(), ours=False)


def devices_of(options: argparse.Namespace) -> list[str]:
    """QEMU's arguments for the devices that the options name."""
    words: list[str] = []
    for kind in ("disk", "blk", "net"):
        for number, text in enumerate(getattr(options, kind)):
            path, comma, more = (text, "", "") if os.path.exists(text) else text.partition(",")
            os.stat(path)
            words += getattr(linux_devices, kind)(path, f"{kind}{number}", comma + more)
    return [*words, *options.qemu]


def watch(guest: LinuxGuest, timeout: float) -> int:
    """Show the console until the script has ended."""
    end = time.monotonic() + timeout
    while not guest.over and time.monotonic() < end:
        guest.listen(TURN)
        show(guest)
    if not guest.over:
        raise CommandError(f"the script has not ended in {timeout:g} s (--timeout)")
    status = guest.wait()
    if status:
        raise CommandError(f"the script ended with status {status}")
    return 0


def terminal(guest: LinuxGuest, image: Image) -> int:
    """Be the console's terminal until the guest ends, or Ctrl-] is pressed."""
    keyboard = sys.stdin.fileno() if sys.stdin.isatty() else None
    if keyboard is not None:
        print(f"Linux {version_of(image.kernel)} boots; Ctrl-] ends it.", flush=True)
    if image.ours:
        guest.boot()  # before that nobody takes what is typed
    with raw(keyboard):
        while not guest.over:
            typed = guest.listen(TURN, keyboard)
            show(guest)
            if typed and keyboard is not None and not press(guest, os.read(keyboard, KEYS)):
                break
    return 0


def press(guest: LinuxGuest, keys: bytes) -> bool:
    """Hand on what was typed. False if the terminal has gone, or asks for the end."""
    if not keys or ESCAPE in keys:
        return False
    with contextlib.suppress(ConnectionError):  # it has ended meanwhile: the next turn sees that
        guest.press(keys)
    return True


def show(guest: LinuxGuest) -> None:
    """Write on standard output what the console printed since: as it came, for a terminal."""
    news = guest.news()
    sys.stdout.buffer.write(news if sys.stdout.isatty() else news.replace(b"\r", b""))
    sys.stdout.buffer.flush()


@contextlib.contextmanager
def raw(keyboard: int | None) -> Iterator[None]:
    """Let a terminal hand on every key as it is, Ctrl-C among them; afterwards as before."""
    if keyboard is None:
        yield
        return
    import termios  # not everywhere
    import tty

    before = termios.tcgetattr(keyboard)
    try:
        tty.setraw(keyboard)
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
