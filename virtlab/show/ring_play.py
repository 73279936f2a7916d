"""Play a tape of calls on a queue, with the course's own driver and device: a frame a call.

    frames = play(Setting("split", 8), FIVE_CALLS)          six frames: before, and after each call
    look(Setting("split", 8), frames[2])                    the ring's bytes after `kick`, decoded

The idea: each frame keeps the page of guest memory as it was, byte for byte, and the four counts
that no memory has. Pictures are drawn from those; the driver and the device are gone by then.

The rule that keeps it simple: what a side refuses is part of the tape. `GuestError` is the device's
refusal, `DeviceBroken` and `QueueFull` are the driver's. So no call on a tape raises.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.errors import GuestError
from virtlab.guest.virtqueue import DeviceBroken, QueueFull, Tables
from virtlab.guest.virtqueue_packed import PackedDriver
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.hosts.python import BareCpu
from virtlab.memory import GuestMemory
from virtlab.show.ring_chain import described
from virtlab.show.ring_look import (
    Counts,
    PackedLook,
    SplitLook,
    counts_of,
    look_packed,
    look_split,
    run_of,
)
from virtlab.show.ring_tape import BASE, BUFFERS, BYTES, SHAPES, TABLES, Call, Setting, Tape
from virtlab.virtio.chain import Chain
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import DESC, SplitRings, offset_of
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import PACKED_DESC, PackedRings
from virtlab.virtio.split import SplitQueue

Signal = Literal["", "bell", "interrupt"]

REQUESTS, REQUEST_BYTES = 16, 64
"""Requests that have buffers of their own, and the bytes of each; then the first is used again."""

PIECES = max(len(out) + len(in_) for out, in_ in SHAPES.values())
"""Of the longest request."""

TABLE_ENTRIES = 4
"""Descriptors that an indirect table of a tape may have."""


class Frame(NamedTuple):
    """What can be seen after `call`, None before the first.

    `words` say what happened, `signal` who was told. With `refused` a side refused, and `words` are
    why. `memory` is the page at `BASE`. `counts` are what the two sides keep for themselves, and
    `held` the heads that the device has.
    """

    call: Call | None
    words: str
    signal: Signal
    refused: bool
    memory: bytes
    counts: Counts
    held: tuple[int, ...]


def look(setting: Setting, frame: Frame) -> SplitLook | PackedLook:
    """The ring in a frame, decoded from its bytes."""
    page = np.frombuffer(bytearray(frame.memory), np.uint8)
    memory, rings = GuestMemory([(BASE, BYTES)], page), setting.rings
    if isinstance(rings, PackedRings):
        return look_packed(memory, rings, frame.counts, setting.features)
    return look_split(memory, rings, frame.counts, setting.features, frame.held)


def play(setting: Setting, tape: Tape) -> list[Frame]:
    """The frame before the first call, and one after each.

    `ValueError` for a queue of fewer than 3: a request to read has three pieces.
    """
    if setting.size < PIECES:
        raise ValueError(f"a tape needs a queue of {PIECES} or more, not of {setting.size}")
    world = World(setting)
    frames = [world.frame(None, "The queue is empty: every descriptor is free.", False)]
    for call in tape:
        world.signal = ""
        try:
            words, refused = world.make(call), False
        except (GuestError, DeviceBroken, QueueFull) as error:
            words, refused = refusal(error), True
        frames.append(world.frame(call, words, refused))
    return frames


def refusal(error: GuestError | DeviceBroken | QueueFull) -> str:
    """Who refuses, and why: the device names the clause."""
    if isinstance(error, GuestError):
        return f"The device refuses: {error.why} ({error.spec})."
    if isinstance(error, QueueFull):
        return f"`add_buf` refuses: {error}."
    return f"The driver refuses: {error}."


class World:
    """Both sides of one queue, in a page of guest memory, and the chains that the device has."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.signal: Signal = ""
        self.requests = 0
        self.taken: list[Chain] = []
        self.memory = GuestMemory([(BASE, BYTES)])
        space = AddressSpace("memory", 32)
        space.map_ram(self.memory)
        cpu = BareCpu(AddressSpace("port", 16), space, Clock())
        rings, features = setting.rings, setting.features
        tables = Tables(TABLES, TABLE_ENTRIES)
        self.driver: SplitDriver | PackedDriver
        self.queue: SplitQueue | PackedQueue
        if isinstance(rings, PackedRings):
            self.driver = PackedDriver(cpu, rings, features, self._bell, tables)
            self.queue = packed = PackedQueue(self.memory, self._interrupt)
            packed.enable(rings, features)
        else:
            self.driver = SplitDriver(cpu, rings, features, self._bell, tables)
            self.queue = split = SplitQueue(self.memory, self._interrupt)
            split.enable(rings, features)

    def frame(self, call: Call | None, words: str, refused: bool) -> Frame:
        """What can be seen now."""
        counts = counts_of(self.driver, self.queue)
        memory = self.memory.read(BASE, BYTES)
        held = tuple(chain.head for chain in self.taken)
        return Frame(call, words, self.signal, refused, memory, counts, held)

    def make(self, call: Call) -> str:
        """Make one call, and say what happened."""
        match call.verb:
            case "add":
                return self._add(call.which)
            case "kick":
                return self._kick()
            case "pop":
                return self._pop()
            case "push":
                return self._push(call.which)
            case "get":
                return self._get()
        return self._edit(call)

    # -- the driver

    def _add(self, shape: str) -> str:
        number = self.requests
        gpa = BUFFERS + number % REQUESTS * REQUEST_BYTES
        out, in_ = SHAPES[shape]
        self.memory.write(gpa, bytes(REQUEST_BYTES))
        self.memory.write(gpa, f"{shape} {number}".encode() if out else b"")
        pieces = []
        for length in out + in_:
            pieces.append((gpa, length))
            gpa += length
        before = self.driver.added
        self.driver.add_buf(pieces[: len(out)], pieces[len(out) :], number)
        self.requests += 1
        return f"`add_buf` writes {self._added(before)} The device cannot see it yet."

    def _added(self, before: int) -> str:
        """Where the driver has put it, read from memory."""
        seen = look(self.setting, self.frame(None, "", False))
        size = self.setting.size
        if isinstance(seen, SplitLook):
            head = seen.heads[before % size]
            entry = f"`avail.ring[{before % size}]`"
            run = _descriptors(run_of(seen.descriptors, head))
            return f"{run} and puts head {head} into {entry}. `avail.idx` stays."
        slots = [at % size for at in range(before, self.driver.added)]
        ident = seen.descriptors[slots[-1]].id
        return f"{_descriptors(slots)}, buffer id {ident}. It holds the first flags back."

    def _kick(self) -> str:
        driver, before = self.driver, self.driver.exposed
        rang = driver.kick()
        if driver.exposed == before:
            return "`kick` has nothing to expose: nothing was added."
        bell = "The bell rings: one exit." if rang else "The device asked for no bell."
        if isinstance(driver, SplitDriver):
            return f"`kick` moves `avail.idx` from {before} to {driver.exposed}. {bell}"
        return f"`kick` writes the flags of descriptor {before % self.setting.size}. {bell}"

    def _get(self) -> str:
        used = self.driver.get_buf()
        if used is None:
            return "`get_buf` finds nothing that is used."
        what = f"request {used.token} is back, with {used.written} bytes written"
        return f"`get_buf` reads that {what}. Its descriptors are free again; no byte has changed."

    # -- the device

    def _pop(self) -> str:
        chain = self.queue.pop()
        if chain is None:
            return "`pop` finds nothing that is available."
        self.taken.append(chain)
        name = "head" if isinstance(self.queue, SplitQueue) else "buffer id"
        buffers = ", ".join(map(described, chain.buffers))
        return f"`pop` takes {name} {chain.head}: {buffers}. No byte has changed."

    def _push(self, which: str) -> str:
        if not self.taken:
            return "`push` has nothing to give back: the device has no chain."
        done = self._done(which)
        before, chain = self.queue.used, done[-1]
        written = [each.write(self.memory, answer(each, self.memory)) for each in done][-1]
        self.queue.push(chain, written, len(done))
        told = "It interrupts." if self.queue.notify() else "The driver asked for no interrupt."
        many = f" for all {len(done)}" if len(done) > 1 else ""
        where = f"id {chain.head}, len {written}{many} to"
        place = before % self.setting.size
        if isinstance(self.queue, SplitQueue):
            moved = f"then moves `used.idx` to {self.queue.used & 0xFFFF}"
            return f"`push` writes {where} `used.ring[{place}]`, {moved}. {told}"
        return f"`push` writes {where} descriptor {place}, and last its flags. {told}"

    def _done(self, which: str) -> list[Chain]:
        """The chains that the device gives back. In order, the newest stands for all before it."""
        if which == "oldest":
            return [self.taken.pop(0)]
        if Feature.IN_ORDER not in self.setting.features:
            return [self.taken.pop()]
        done, self.taken = self.taken, []
        return done

    # -- a hand

    def _edit(self, call: Call) -> str:
        """Put values into descriptors, past both sides."""
        rings = self.setting.rings
        layout = DESC if isinstance(rings, SplitRings) else PACKED_DESC
        said = []
        for slot, field, value in call.edits:
            at = rings.desc_at(slot) + offset_of(layout, field)
            self.memory.store(at, self.setting.fields[field], value)
            said.append(f"`desc[{slot}].{field}` = {value:#x}")
        return f"By hand: {', '.join(said)}. What will `pop` say?"

    def _bell(self) -> None:
        self.signal = "bell"

    def _interrupt(self) -> None:
        self.signal = "interrupt"


def answer(chain: Chain, memory: GuestMemory) -> bytes:
    """What the device writes: all its writable bytes, the last of them a status of 0."""
    asked = chain.read(memory, 0, 16).rstrip(b"\0")
    data = asked.replace(b"read", b"data") or b"hello"
    room = chain.writable
    return (data.ljust(room, b".")[: room - 1] + b"\0") if room else b""


def _descriptors(slots: list[int]) -> str:
    return f"descriptor{'s' if len(slots) > 1 else ''} {', '.join(map(str, slots))}"
