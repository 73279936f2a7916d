"""The kinds of problem, in the order of the lessons, and `problem`, which makes one.

The idea: a row says what a kind is called, which function writes it, which topics of the syllabus
it trains, and what each of its three levels adds. The module is imported when a problem of it is
asked for.

The rule that keeps it simple: the random numbers of a problem are seeded with its three words as
text. Python's `Random` gives the same numbers for a text on every machine.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from virtlab.course.practice.board import Board
from virtlab.course.practice.problem import Problem

LEVELS = (1, 2, 3)
"""1 is where to begin; 3 has what goes wrong in it."""

MAX_SEED = 1 << 64
"""Seeds are below."""


class Kind(NamedTuple):
    """A row: `make` is `module.function` in this package; `levels` say what each adds."""

    name: str
    title: str
    make: str
    topics: str
    levels: tuple[str, str, str]

    def writer(self) -> Callable[[Board], None]:
        """The function that fills a board."""
        module, function = self.make.split(".")
        found = importlib.import_module(f"virtlab.course.practice.{module}")
        writer: Callable[[Board], None] = getattr(found, function)
        return writer


KINDS = (
    Kind(
        "port-decode",
        "Who answers at a port?",
        "ports.port_decode",
        "S02",
        (
            "ranges of ports",
            "decoders: mask and value; wide accesses",
            "accesses that run over a device's end",
        ),
    ),
    Kind(
        "uart-line",
        "What is the line set to?",
        "uart.uart_line",
        "S02",
        (
            "from a setting to three bytes",
            "from a driver's writes to the setting",
            "characters and IER among the writes",
        ),
    ),
    Kind(
        "prd-table",
        "Where does a byte of the disk land?",
        "disk.prd_table",
        "S04",
        ("entries as numbers", "entries as bytes; a count of 0", "the table may end too early"),
    ),
    Kind(
        "config-address",
        "How is a configuration register named?",
        "pci.config_place",
        "S05",
        ("CONFIG_ADDRESS", "an address in ECAM", "the way back, to one byte"),
    ),
    Kind(
        "bar-size",
        "What does a BAR take?",
        "pci.bar_size",
        "S05",
        ("memory, 32 bits", "ports, prefetchable memory", "64 bits as well"),
    ),
    Kind(
        "bridge-window",
        "Which bridge passes it down?",
        "bridges.bridge_window",
        "S06",
        ("memory windows", "port windows; wide accesses", "windows that are closed or not enabled"),
    ),
    Kind(
        "bus-number",
        "Which bridges does a configuration request pass?",
        "bridges.bus_number",
        "S06",
        ("few bridges", "a tree of three levels", "buses that there are not"),
    ),
    Kind(
        "io-bitmap",
        "Does a port access exit?",
        "ports.io_bitmap",
        "S18",
        ("one byte, bitmap A", "both bitmaps", "accesses of 2 and 4 bytes"),
    ),
    Kind(
        "ept-walk",
        "Where is a guest's byte in the host?",
        "paging.ept_walk",
        "S19 S26",
        ("pages of 4 KiB", "pages of 2 MiB and 1 GiB", "violations and misconfigurations"),
    ),
    Kind(
        "scatter",
        "Which pieces does a device get?",
        "paging.scatter",
        "S20",
        ("two pages", "more pages, some of them neighbours", "buffers that leave the VM's memory"),
    ),
    Kind(
        "vring-layout",
        "Where do the parts of a virtqueue lie?",
        "rings.vring_layout",
        "S36",
        (
            "a modern queue",
            "a legacy queue, aligned to pages",
            "one entry by its free-running position",
        ),
    ),
    Kind(
        "ring-state",
        "What waits in a ring?",
        "rings.ring_state",
        "S37",
        ("small counts", "counts that wrap at 65536", "an index that cannot be right"),
    ),
    Kind(
        "chain-walk",
        "What is in a chain?",
        "chains.chain_walk",
        "S37 S38",
        ("descriptors as numbers", "as bytes; indirect tables", "chains that break a rule"),
    ),
    Kind(
        "event-idx",
        "Is there a notification?",
        "events.event_idx",
        "S40",
        ("small counts", "events beside the step's ends", "indices that wrap at 65536"),
    ),
    Kind(
        "packed-wrap",
        "What is available in a packed ring?",
        "events.packed_wrap",
        "S37",
        ("one lap", "the end of the ring is passed", "lists of several descriptors"),
    ),
    Kind(
        "vhost-memory",
        "Where is a back-end's ring?",
        "vhost.memory_table",
        "S32",
        ("one region", "three regions, offsets in their files", "rings that are in no region"),
    ),
    Kind(
        "vtd-walk",
        "Where does a device's request go?",
        "vtd.vtd_walk",
        "S42 S43",
        ("three levels", "three or four levels, large pages", "faults, with their reason"),
    ),
    Kind(
        "irq-remap",
        "Which interrupt is it?",
        "irtes.irq_remap",
        "S48",
        ("the handle alone", "subhandles", "refused messages, with their reason"),
    ),
    Kind(
        "posted-interrupt",
        "Who is told of a posted interrupt?",
        "posted.posted_interrupt",
        "S48",
        ("posts alone", "vectors that are taken in between", "SN, and urgent entries"),
    ),
    Kind(
        "vf-routing-id",
        "Where is a virtual function?",
        "functions.routing_id",
        "S45",
        ("on the same bus", "a carry into the device", "a carry into the bus; the last bus"),
    ),
    Kind(
        "ari",
        "How are virtual functions spread?",
        "functions.ari",
        "S45",
        ("one physical function, with ARI", "several, without ARI", "with and without ARI"),
    ),
)
"""All kinds, in the order of the lessons."""


def find(name: str) -> Kind:
    """The kind of that name. `ValueError` with all names for another."""
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise ValueError(f"no kind {name!r}; there are: {', '.join(kind.name for kind in KINDS)}")


def problem(kind: str, seed: int | None = None, level: int = 1) -> Problem:
    """A problem of `kind`: always the same for a seed, a fresh one without.

    `level` is 1, 2 or 3. `ValueError` for a kind, a seed or a level that there is not.
    """
    row = find(kind)
    if level not in LEVELS:
        raise ValueError(f"a level is 1, 2 or 3, not {level}")
    if seed is None:
        import secrets

        seed = secrets.randbelow(10_000)
    if not 0 <= seed < MAX_SEED:
        raise ValueError(f"a seed is 0 or more and below 2**64, not {seed}")
    board = Board(Random(f"virtlab practice {kind} {level} {seed}"), level)
    row.writer()(board)
    return board.finish(kind, row.title, seed)
