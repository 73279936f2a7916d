"""Data survives: after a crash at any point, what was said to be stable is there (5.2.6.2).

A guest writes and flushes through the whole stack, and notes what it was told. Then the disk is cut
off behind any entry of its log, and what is left is compared with what the guest may rely on.
"""

import random
from bisect import bisect_right
from typing import NamedTuple

import pytest

from tests.virtio.rig import ROOM, WORLDS, Rig
from virtlab.backends.crash import CrashDisk
from virtlab.backends.disk import Disk
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BLK_FEATURES, BlkDriver
from virtlab.guest.virtio_blk_queue import Request
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import SECTOR, BlkFeature, BlkStatus, BlkType, config_field
from virtlab.virtio.features import Feature

SECTORS = 32
WRITEBACK = config_field("writeback")[0]
WCE, FLUSH = BlkFeature.CONFIG_WCE, BlkFeature.FLUSH

MODES = {
    "flush": ({WCE}, None),
    "wce back": (set(), 1),
    "wce through": (set(), 0),
    "neither": ({WCE, FLUSH}, None),
    "wce alone": ({FLUSH}, None),
}
"""What the driver does without, and what it writes into `writeback`."""

THROUGH = {"wce through", "neither", "wce alone"}
"""Modes in which a completed write is stable."""


class Told(NamedTuple):
    """What the guest knows when the log has `entries`: the values a sector may have after a crash.

    `may` has for each sector the tags of what was written since it was last stable, and of that.
    """

    entries: int
    may: tuple[frozenset, ...]


class Writer:
    """A guest that writes sectors of its own numbers, flushes now and then, and keeps books."""

    def __init__(self, mode, transport="mmio", layout="split", seed=1):
        self.mode, self.rng = mode, random.Random(seed)
        self.disk = CrashDisk(Disk(SECTORS * SECTOR))
        rig = Rig(VirtioBlk(self.disk), transport)
        without, writeback = MODES[mode]
        understood = (RING_FEATURES | BLK_FEATURES) - without
        if layout == "split":
            understood -= {Feature.RING_PACKED}
        room = Room(ROOM, 1 << 20)
        self.driver = BlkDriver(rig.cpu, rig.transport, room, understood=understood)
        self.driver.start()
        if writeback is not None:
            rig.transport.config_write(WRITEBACK, 1, writeback)
        self.may = [{0} for _ in range(SECTORS)]
        self.told = []
        self._note()

    def _note(self):
        may = tuple(frozenset(tags) for tags in self.may)
        self.told.append(Told(len(self.disk.log), may))

    def run(self, steps):
        for step in range(1, steps + 1):
            if self.rng.random() < 0.2:
                self._flush()
            else:
                self._write(step)
        return self

    def _write(self, tag):
        """Some requests in flight at once. From the first on, any of it may be on the medium."""
        sectors = self.rng.sample(range(SECTORS), self.rng.randrange(1, 9))
        for sector in sectors:
            self.may[sector].add(tag)
        self.told[-1] = Told(self.told[-1].entries, tuple(frozenset(may) for may in self.may))
        data = tag.to_bytes(4, "little") * (SECTOR // 4)
        answers = self.driver.run([Request(BlkType.OUT, sector, data) for sector in sectors])
        assert {answer.status for answer in answers} == {BlkStatus.OK}
        if self.mode in THROUGH:
            for sector in sectors:
                self.may[sector] = {tag}
        self._note()

    def _flush(self):
        self.driver.flush()
        if FLUSH in self.driver.virtio.features:
            # A tag is larger the later it was written, and nothing else was in flight.
            self.may = [{max(tags)} for tags in self.may]
        self._note()


def check(writer, cuts, seed):
    """Crash so many times, anywhere: each sector is whole, and one that the guest may find."""
    rng = random.Random(seed)
    log = writer.disk.log
    kinds = set()
    for _ in range(cuts):
        cut = rng.randint(0, len(log))
        told = writer.told[bisect_right(writer.told, cut, key=lambda told: told.entries) - 1]
        medium = writer.disk.after(cut, rng)
        for sector, may in enumerate(told.may):
            data = medium[sector * SECTOR : (sector + 1) * SECTOR]
            tag = int.from_bytes(data[:4], "little")
            assert data == data[:4] * (SECTOR // 4), "half a sector"
            assert tag in may, f"cut {cut}, sector {sector}: {tag}, and not one of {sorted(may)}"
            kinds.add(tag == max(may))
    return kinds


@pytest.mark.parametrize("mode", MODES)
def test_what_is_stable_survives_a_crash_at_any_point(mode):
    """2,000 cuts of each mode: 10,000 in all. Some writes are lost, and none that was stable."""
    assert check(Writer(mode).run(60), 2000, seed=2) == {True, False}


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_it_does_so_over_every_transport(transport, layout):
    check(Writer("wce back", transport, layout, seed=3).run(30), 100, seed=4)


def test_a_file_holds_what_was_flushed(tmp_path):
    """The same disk, in a file: after a flush the file has every write, without a close."""
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(SECTORS * SECTOR))
    rig = Rig(VirtioBlk(Disk.open(path)))
    driver = BlkDriver(rig.cpu, rig.transport, Room(ROOM, 1 << 20))
    driver.start()
    data = random.Random(1).randbytes(SECTORS * SECTOR)
    driver.write(0, data)
    driver.flush()
    assert path.read_bytes() == data


@pytest.mark.parametrize("mode", ["flush", "wce back"])
def test_a_device_that_forgets_to_flush_is_found(mode, monkeypatch):
    """The test itself: if a flush is answered and not done, a crash shows it."""
    monkeypatch.setattr(VirtioBlk, "_flush", lambda self: BlkStatus.OK)
    with pytest.raises(AssertionError, match="and not one of"):
        check(Writer(mode).run(60), 200, seed=2)


@pytest.mark.parametrize("mode", sorted(THROUGH))
def test_a_device_that_forgets_to_write_through_is_found(mode, monkeypatch):
    monkeypatch.setattr(VirtioBlk, "_volatile", lambda self, features: True)
    with pytest.raises(AssertionError, match="and not one of"):
        check(Writer(mode).run(60), 200, seed=2)
