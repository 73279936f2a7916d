"""The command line of ``virtlab serve``: the words of each device, and what they mean.

    blk disk.img --socket a.sock --queues 2 + net --socket n.sock
    `-------------- words of one ---------'   `---- of the next -'

The idea: each device has a parser of its own, so that its options stand beside it.

The rule that keeps it simple: what can be seen to be wrong in the words alone is wrong here, with
status 2. Nothing is opened yet.
"""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Sequence

from virtlab.backends.network import is_group
from virtlab.course.cli import Parser
from virtlab.virtio.blk_layouts import ID_BYTES
from virtlab.virtio.net import DEFAULT_MAC

CARDS = ("edu", "e1000", "blk")
"""The cards that can be served whole."""

BETWEEN = "+"
"""Stands between two devices."""

JSON, TEXT = ".jsonl", (".txt", ".log")
"""The ends of a trace file's name: for objects, for text."""

HERE = "-"
"""Stands for standard output."""

MAX_QUEUES, MAX_POLL = 64, 1_000_000
"""Request queues of a disk; microseconds of looking."""


def parts_of(words: Sequence[str]) -> list[list[str]]:
    """The words of each device.

    >>> parts_of(["blk", "a", "+", "net"])
    [['blk', 'a'], ['net']]
    """
    parts: list[list[str]] = [[]]
    for word in words:
        if word == BETWEEN:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def part_of(words: Sequence[str]) -> argparse.Namespace:
    """The options of one device."""
    kind = words[0] if words else ""
    if kind not in ("blk", "net", "pci"):
        said = f"no device {kind!r}" if words else "no device given"
        Parser(prog="virtlab serve").error(f"{said}; the devices are: blk, net, pci")
    if kind == "pci":
        return pci_part(words[1:])
    return (blk_parser() if kind == "blk" else net_parser()).parse_args(words[1:])


def sockets_of(part: argparse.Namespace) -> list[str]:
    """The sockets that a device is reached at."""
    return [part.socket] if isinstance(part.socket, str) else part.socket


def blk_parser() -> Parser:
    """The options of a disk."""
    parser = Parser(prog="virtlab serve blk", description="Serve a disk image.")
    add = parser.add_argument
    add("image", metavar="IMAGE", help="a raw disk image: whole sectors of 512 bytes")
    add("--socket", required=True, metavar="PATH", help="where the virtual machine finds it")
    add("--queues", type=queues, default=1, metavar="N", help="request queues (1)")
    add("--read-only", action="store_true", help="refuse each write")
    add("--serial", type=serial, default="virtlab", metavar="TEXT", help="its serial number")
    return common(parser, "blk")


def net_parser() -> Parser:
    """The options of network cards."""
    parser = Parser(prog="virtlab serve net", description="Serve network cards on one switch.")
    add = parser.add_argument
    text = "where a virtual machine finds a card; once more for each further card"
    add("--socket", required=True, action="append", metavar="PATH", help=text)
    text = "the socket of a program that takes and gives frames as QEMU's -netdev stream does"
    add("--peer", default="none", metavar="PATH", help=f"{text}, or none (none)")
    text = f"the first card's address ({DEFAULT_MAC.hex(':')}); the others follow it"
    add("--mac", type=mac, default=DEFAULT_MAC, metavar="MAC", help=text)
    return common(parser, "net")


def pci_parser() -> Parser:
    """The options of a whole PCI card."""
    parser = Parser(prog="virtlab serve pci", description="Serve a whole PCI card by vfio-user.")
    add = parser.add_argument
    add("card", choices=CARDS, help="which one")
    add("image", nargs="?", metavar="IMAGE", help="blk: a raw disk image")
    add("--socket", required=True, metavar="PATH", help="where the virtual machine finds it")
    text = "e1000: the socket of a program that takes and gives frames, or none (none)"
    add("--peer", default="none", metavar="PATH", help=text)
    text = f"e1000: its address ({DEFAULT_MAC.hex(':')})"
    add("--mac", type=mac, default=DEFAULT_MAC, metavar="MAC", help=text)
    parser.set_defaults(kind="pci", poll=0, statistics=0.0, trace=None)
    return parser


def pci_part(words: Sequence[str]) -> argparse.Namespace:
    """The same, read: a disk has an image, and nothing else has."""
    parser = pci_parser()
    part = parser.parse_args(words)
    if (part.card == "blk") != (part.image is not None):
        parser.error("blk needs an IMAGE" if part.card == "blk" else f"{part.card} has no image")
    return part


def common(parser: Parser, kind: str) -> Parser:
    """The options that all devices have. Poll and statistics are those of the process."""
    add = parser.add_argument
    add("--packed", action="store_true", help="offer packed rings too")
    text = "look for so many microseconds after each request before sleeping (0)"
    add("--poll", type=microseconds, default=0, metavar="US", help=text)
    text = "write each event of each ring, here or to a file (.jsonl: objects; .txt, .log: text)"
    add("--trace", type=trace, nargs="?", const=HERE, metavar="FILE", help=text)
    text = "say what was counted each S seconds"
    add("--statistics", type=seconds, default=0.0, metavar="S", help=text)
    parser.set_defaults(kind=kind)
    return parser


def number(text: str, least: int, most: int) -> int:
    """A number from `least` to `most`."""
    if text.isascii() and text.isdecimal() and len(text) < 9 and least <= int(text) <= most:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} to {most}")


def queues(text: str) -> int:
    """How many queues."""
    return number(text, 1, MAX_QUEUES)


def microseconds(text: str) -> int:
    """For how long to look."""
    return number(text, 0, MAX_POLL)


def seconds(text: str) -> float:
    """How often to say what was counted."""
    with contextlib.suppress(ValueError):
        if 0.01 <= float(text) <= 1e6:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0.01 on")


def serial(text: str) -> str:
    """A serial number (virtio 1.3 5.2.6.1)."""
    if not text.isascii() or not text.isprintable() or len(text) > ID_BYTES:
        raise argparse.ArgumentTypeError(f"{text!r} is not up to {ID_BYTES} letters of ASCII")
    return text


def mac(text: str) -> bytes:
    """The address of a station."""
    if re.fullmatch("[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", text):
        address = bytes.fromhex(text.replace(":", ""))
        if not is_group(address):
            return address
    raise argparse.ArgumentTypeError(
        f"{text!r} is no address of one station, like 52:54:00:00:00:01"
    )


def trace(text: str) -> str:
    """The file for a trace: its name says so, lest a disk image is taken for one."""
    if text != HERE and not text.endswith((JSON, *TEXT)):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in {JSON}, {' or '.join(TEXT)}")
    return text
