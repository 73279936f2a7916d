"""A stand-in for QEMU with Linux in it: a program that speaks on the two serial lines."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from virtlab.hosts.linux_initrd import Image

IMAGE = Image(Path("vmlinuz"), b"an archive")

BEGIN = f"""#!{sys.executable} -IS
import base64, os, signal, socket, sys, time

def line(name):
    word = next(word for word in sys.argv if word.startswith(f"socket,id={{name}},"))
    return socket.socket(fileno=int(word.split("fd=")[1]))

console, report = line("console"), line("report")

def say(text):
    console.sendall(text.encode())

def tell(text):
    report.sendall(text.encode())

def commands():
    for encoded in report.makefile("r"):
        yield base64.b64decode(encoded).decode()

here = os.path.dirname(sys.argv[0])
with open(os.path.join(here, "words"), "w") as words:
    words.write("\\n".join(sys.argv[1:]))
with open(os.path.join(here, "pid"), "w") as pid:
    pid.write(str(os.getpid()))
"""

SHELL = r"""
say("linux# ")
tell("\x1eready\n")
for command in commands():
    if command.startswith("sync"):
        break
    tell(f"did {command}\x1estatus {len(command)}\n")
say("\r\nPower down\r\n")
"""
"""A guest with a shell. The status of a command is its length."""


def stand_in(folder, body):
    """The path of a program, one more in `folder`, that does `body`."""
    path = folder / f"qemu{sum(1 for _ in folder.glob('qemu*'))}"
    path.write_text(BEGIN + body)
    path.chmod(0o755)
    return str(path)


def words_of(folder):
    """The arguments with which it was started."""
    return (folder / "words").read_text().splitlines()


def gone(pid, seconds=5.0):
    """Whether there is no such process any more, not even as a zombie, within `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False
