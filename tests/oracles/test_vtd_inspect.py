"""`virtlab inspect vtd` on tables in QEMU's memory, against what QEMU's own unit translated.

    our driver --> QEMU's intel-iommu --> its IOTLB fills, from its trace: source id, page, entry
         |
         +-- memory and registers, saved --> virtlab inspect vtd --json

The machine works first: a disk whose rings and buffers lie behind the unit, and two probers. Then
memory is saved as a stranger would save it: pages, and registers as the processor reads them.
"""

import json
import random
import re
from contextlib import contextmanager

import pytest

from tests.course.saved import Saved
from tests.needs import require
from tests.oracles.shared_ram import SharedRam, backend
from tests.oracles.vtd_worlds import (
    DISK,
    EDU,
    EDU2,
    FRAMES,
    IMAGE,
    IO_APIC_SOURCE,
    MIB,
    RAM,
    TABLES,
    Qemus,
)
from virtlab.course import cli
from virtlab.course.inspect_vtd import load, way
from virtlab.course.snapshots import load_snapshot
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BLK_FEATURES
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.hosts.remote import QtestMachine
from virtlab.interrupts import Interrupt
from virtlab.iommu.layouts import index_bits
from virtlab.iommu.registers import BASE
from virtlab.memory import PAGE
from virtlab.virtio.blk_layouts import SECTOR
from virtlab.virtio.features import Feature

pytestmark = pytest.mark.oracle

FILL = re.compile(
    r"vtd_iotlb_page_update .*sid (0x\w+) iova (0x\w+) slpte (0x\w+) domain (0x\w+|\d+)"
)
"""A line of QEMU's trace: what went into its IOTLB."""

LARGE, ROOM = 2 * MIB, 96
IOVA, HIGH = 0x40_0000_0000, (1 << 39) - PAGE
"""Where the disk has its room; and the last page of 39 bits."""

UNITS = {
    "39 bits": (",aw-bits=39", 3, "split"),
    "39 bits, caching mode": (",aw-bits=39,caching-mode=on", 3, "packed"),
    "48 bits": (",aw-bits=48", 4, "packed"),
    "48 bits, 3 levels": (",aw-bits=48,caching-mode=on", 3, "split"),
    "x2APIC ids": (",aw-bits=48,eim=on,x-buggy-eim=on", 4, "split"),
}
"""Options of QEMU's unit, the levels of the disk's tables, and its rings."""


class Snapshot:
    """A machine of QEMU's at work: its world, its driver, and the file of its trace."""

    def __init__(self, world, levels, layout, trace):
        self.world, self.trace = world, trace
        self.levels, self.layout = levels, layout
        self.vtd = world.driver()

    def work(self):
        """Four kinds of context, large pages, each right, a way that is cut; and all of it used."""
        vtd, world = self.vtd, self.world
        self.table = vtd.remap_interrupts(extended=world.eim)
        self.routes = [
            self.table.route(source, Interrupt(0x40 + number, number))
            for number, source in enumerate((EDU, DISK, EDU2, IO_APIC_SOURCE))
        ]
        probers, disk = vtd.new_domain(), vtd.new_domain(self.levels)
        vtd.attach(EDU, probers)
        vtd.attach(DISK, disk)
        vtd.pass_through(EDU2)
        vtd.map(probers, 0, FRAMES, PAGE)
        vtd.map(probers, 0x1000, FRAMES + PAGE, PAGE, write=False)
        vtd.map(probers, 0x2000, FRAMES + 2 * PAGE, PAGE, read=False)
        vtd.map(probers, 0x4000_0000, FRAMES, 2 * LARGE)
        vtd.map(probers, HIGH, FRAMES + 3 * PAGE, PAGE)
        frames = random.Random(3).sample(range(1024, 2048), ROOM)
        self.frames = [FRAMES + frame * PAGE for frame in frames]
        cpu = vtd.lend(disk, IOVA, [(frame, PAGE) for frame in self.frames])
        vtd.enable()
        understood = RING_FEATURES | BLK_FEATURES | {Feature.ACCESS_PLATFORM}
        if self.layout == "split":
            understood -= {Feature.RING_PACKED}
        driver = world.disk(cpu, Room(IOVA, ROOM * PAGE), understood=understood)
        assert (Feature.RING_PACKED in driver.virtio.features) == (self.layout == "packed")
        assert driver.read(0, 200) == IMAGE[: 200 * SECTOR]
        for iova in (0x10, 0x2010, 0x4000_0010, 0x4020_0FF0, HIGH):
            world.write(iova)
        world.write(FRAMES + 5 * PAGE, source=EDU2)
        assert vtd.faults.read() == []
        self._offer(driver.virtio)
        self.refused = [self.refusal(iova) for iova in (0x1000, 0x3000, 0x8000_0000, 1 << 38)]

    def _offer(self, virtio):
        """Three chains that the device is not told of: they wait."""
        (queue,) = virtio.queues.values()
        rings, at = queue.rings, queue.added
        self.offered = []
        for number in range(3):
            out, in_ = [(IOVA + 64 * number, 16), (IOVA + PAGE, 512)][number:], [(IOVA, 1)]
            queue.add_buf(out, in_, number)
            self.offered.append([(*piece, False) for piece in out] + [(IOVA, 1, True)])
        queue.ring_bell = lambda: None
        queue.kick()
        packed = self.layout == "packed"
        names = [f"VIRTIO_F_{each.name}" for each in Feature if each in virtio.features]
        self.queue = {
            "device": "virtio-blk",
            "source_id": DISK,
            "index": 0,
            "layout": self.layout,
            "size": queue.size,
            "desc": rings.desc,
            "avail": rings.parts[1][0],
            "used": rings.parts[2][0],
            "features": [name.replace("_F_RING_", "_RING_F_") for name in names],
            "last_avail_idx": at % queue.size if packed else at & 0xFFFF,
            "used_idx": at % queue.size if packed else at & 0xFFFF,
        }

    def refusal(self, iova):
        """What QEMU says of a write that it refuses."""
        self.world.write(iova)
        (fault,) = self.vtd.faults.read()
        return iova, int(fault.reason)

    def fills(self):
        """QEMU's IOTLB fills: source id, page, leaf entry, domain."""
        lines = FILL.findall(self.trace.read_text())
        return sorted({tuple(int(word, 0) for word in line) for line in lines})

    def save(self, folder):
        """A snapshot of it: the tables, the frames, the registers in halves, the disk's queue."""
        file, cpu = Saved(), self.world.cpu
        file.pages.clear()
        file.manifest["queues"] = [self.queue]
        for gpa in (*range(TABLES[0], sum(TABLES), PAGE), *self.frames):
            data = cpu.read(gpa, PAGE)
            if any(data):
                file.page(gpa)[:] = data
            else:
                file.zero_pages.append(gpa)
        registers = {f"{at:#05x}": cpu.load(BASE + at, 4) for at in range(0, 0x100, 4)}
        file.manifest["vtd"] = {"base": BASE, "registers": registers}
        return file.write(folder)


@contextmanager
def qemu(folder, unit, packed):
    """The machine of `vtd_worlds`, with a trace and a disk that may have packed rings."""
    require("QEMU")
    image, ram, trace = folder / "disk.img", folder / "ram", folder / "trace"
    image.write_bytes(IMAGE)
    words = [*backend(ram, RAM // MIB), "-D", str(trace), "-trace", "vtd_iotlb_page_update"]
    words += ["-device", f"intel-iommu,intremap=on{unit}"]
    words += ["-device", "edu,addr=5,dma_mask=0xffffffffffffffff"]
    words += ["-device", "edu,addr=7,dma_mask=0xffffffffffffffff"]
    words += ["-drive", f"file={image},format=raw,if=none,id=disk"]
    disk = "virtio-blk-pci,addr=6,drive=disk,disable-legacy=on,iommu_platform=on"
    words += ["-device", f"{disk},packed={'on' if packed else 'off'}"]
    with QtestMachine("q35,memory-backend=ram", words) as machine:
        world = Qemus(machine, SharedRam(machine, ram), image)
        world.eim = "eim=on" in unit
        yield world, trace


@pytest.fixture(scope="module", params=UNITS)
def saved(request, tmp_path_factory):
    """A machine at the end of its work, and its snapshot."""
    unit, levels, layout = UNITS[request.param]
    folder = tmp_path_factory.mktemp("vtd")
    with qemu(folder, unit, layout == "packed") as (world, trace):
        machine = Snapshot(world, levels, layout, trace)
        machine.work()
        machine.file = machine.save(folder)
        yield machine


def told(capsys, *words):
    assert cli.main(["inspect", "vtd", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_translation_is_qemus_own(saved):
    unit, fills = load(saved.file), saved.fills()
    assert len(fills) > 30
    assert {sid for sid, *_ in fills} >= {EDU, DISK}
    for sid, iova, entry, domain in fills:
        context, walk = way(unit, sid, iova, write=False)
        if walk.reason is not None:  # a page for writing alone
            context, walk = way(unit, sid, iova, write=True)
        assert walk.reason is None, hex(iova)
        assert (walk.read, walk.write) == (bool(entry & 1), bool(entry & 2))
        assert walk.gpa & -PAGE == (entry & -PAGE & ~(walk.size - 1)) | iova & walk.size - PAGE
        assert context.domain == domain


def test_every_refusal_is_qemus_own(saved, capsys):
    for iova, reason in saved.refused:
        words = "--source", "00:05.0", "--iova", hex(iova), "--write"
        assert told(capsys, saved.file, *words)["fault"]["code"] == reason


def test_the_listing_has_every_page_that_qemu_filled(saved, capsys):
    contexts = {each["source_id"]: each for each in told(capsys, saved.file)["contexts"]}
    assert sorted(contexts) == [EDU, DISK, EDU2]
    assert contexts[DISK]["levels"] == saved.levels
    assert contexts[EDU2]["type"] == "passed through"
    assert len(contexts[DISK]["mappings"]) == ROOM
    assert {page["size"] for page in contexts[EDU]["mappings"]} == {PAGE, LARGE}
    assert not any(each["wrong"] for each in contexts.values())
    for sid, iova, entry, _ in saved.fills():
        if sid in (EDU, DISK):
            spans = contexts[sid]["mappings"]
            (page,) = (each for each in spans if each["iova"] <= iova < each["iova"] + each["size"])
            assert (page["read"], page["write"]) == (bool(entry & 1), bool(entry & 2))


def test_the_interrupt_entries_are_those_of_the_driver(saved, capsys):
    everything = told(capsys, saved.file)
    assert everything["interrupt_remapping"]["enabled"]
    assert everything["interrupt_remapping"]["extended"] == saved.world.eim
    found = [(e["source_id"], e["vector"], e["destination"]) for e in everything["irtes"]]
    assert found == [(EDU, 0x40, 0), (DISK, 0x41, 1), (EDU2, 0x42, 2), (IO_APIC_SOURCE, 0x43, 3)]
    assert not any("fault" in entry for entry in everything["irtes"])


def test_what_waits_in_the_ring_is_found_behind_the_tables(saved, capsys):
    """Rings, tables and buffers are at iovas: `inspect ring` goes through the unit, too."""
    assert cli.main(["inspect", "ring", saved.file, "--json"]) == 0
    (queue,) = json.loads(capsys.readouterr().out)["queues"]
    waiting = [
        [(each["addr"], each["len"], each["write"]) for each in chain["buffers"]]
        for chain in queue["pending"]
    ]
    assert waiting == saved.offered
    assert (queue["in_flight"], queue["waiting"], queue["findings"]) == (0, queue["waiting"], [])


def test_the_snapshot_says_what_the_unit_can_do(saved):
    snapshot = load_snapshot(saved.file)
    can = load(saved.file).capabilities
    assert can == saved.vtd.capabilities or can._replace(host_width=46) == saved.vtd.capabilities
    assert snapshot.memory.size == TABLES[1] + ROOM * PAGE
    assert index_bits(can.levels[-1]).hi + 1 >= can.guest_width
