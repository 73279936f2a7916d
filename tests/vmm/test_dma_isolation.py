"""Isolation: no DMA of one VM touches a frame of another or of the host; unremapped, it does.

A million random targets are written through the batch form, at one byte each; a sample of them goes
through the cards themselves, and through the root complex. Every other byte of the host's RAM is
compared.
"""

import numpy as np
import pytest

from tests.vmm.remap_rig import POOL, POOL_FRAMES, Rig
from tests.vmm.test_mediated_ide import table_of
from virtlab import machine
from virtlab.errors import DmaFault
from virtlab.guest.edu import EduDriver
from virtlab.memory import PAGE
from virtlab.vmm.dma_remap import Domains, SoftwareRemapper, Untranslated
from virtlab.vmm.mediator import give_directly

MILLION = 1_000_000


def targets(count, seed):
    """Addresses that a guest may try, (count,) uint64: its own, the host's, borders, any."""
    rng = np.random.default_rng(seed)
    own = rng.integers(0, 0x140000, count, dtype=np.uint64)
    host = rng.integers(0, 0x1000000, count, dtype=np.uint64)
    edges = rng.integers(0, 0x1000, count, dtype=np.uint64) * np.uint64(PAGE)
    edges += rng.integers(-2, 3, count).astype(np.uint64)
    wild = rng.integers(0, (1 << 64) - 1, count, dtype=np.uint64, endpoint=True)
    return np.choose(rng.integers(0, 4, count), [own, host, edges, wild])


def own_bytes(rig):
    """Which bytes of the host's RAM are the guest's, (n,) bool."""
    mine = np.zeros(rig.board.ram.size, bool)
    for frame in rig.guest.vm.ram.frames.values():
        start = rig.board.ram.offset(frame, PAGE)
        mine[start : start + PAGE] = True
    return mine


def offsets(ram, hpas):
    """Where in the host's array each of many bytes lies: its RAM has one gap, below 1 MiB."""
    low = ram.regions[0].size
    return np.where(hpas < low, hpas, hpas - (ram.regions[1].start - low)).astype(np.int64)


def test_a_million_targets_touch_the_guests_own_frames_only():
    rig = Rig(mediated=False)
    ram, mine = rig.board.ram, own_bytes(rig)
    remapper = SoftwareRemapper(rig.guest.vm.ram)
    iovas = targets(MILLION, 1)
    hpas, ok = remapper.translate_many(iovas)
    before = ram.bytes.copy()
    ram.bytes[offsets(ram, hpas[ok])] ^= 0xFF
    changed = ram.bytes != before
    assert changed.any()
    assert not (changed & ~mine).any()
    inside = (iovas < 0xA0000) | ((iovas >= 0x100000) & (iovas < 0x140000))
    assert (ok == inside).all()
    assert 0.2 < ok.mean() < 0.8


def test_without_remapping_the_same_targets_hit_everybody():
    """So the test above can fail."""
    rig = Rig(mediated=False)
    ram, mine = rig.board.ram, own_bytes(rig)
    other = set(rig.other.vm.ram.frames.values())
    asked = targets(MILLION, 1)
    ok = (asked < 0xA0000) | ((asked >= 0x100000) & (asked < 0x1000000))
    touched = offsets(ram, asked[ok])
    assert (~mine[touched]).sum() > MILLION // 10
    assert other <= {int(hpa) for hpa in np.unique(asked[ok] & ~np.uint64(PAGE - 1))}


@pytest.mark.parametrize("seed", [2, 3])
def test_the_edu_card_stays_inside(seed):
    rig = Rig()
    guest, mine = rig.guest, own_bytes(rig)
    rig.card.buffer[:] = b"\xee" * len(rig.card.buffer)
    before = rig.board.ram.bytes.copy()
    base, rng = guest.edu.base, np.random.default_rng(seed)
    sample = targets(400, seed).tolist()
    for target, length in zip(sample, rng.integers(0, 4097, 400).tolist(), strict=True):
        for offset, value in ((0x80, 0x40000), (0x88, target), (0x90, length), (0x98, 3)):
            guest.cpu.store(base + offset, value, 8)
        rig.clock.advance(300_000_000)
    changed = rig.board.ram.bytes != before
    assert changed.any()
    assert not (changed & ~mine).any()


def test_the_disk_stays_inside():
    """Its own table of the VMM is the only other thing that changes."""
    rig = Rig()
    guest, mine = rig.guest, own_bytes(rig)
    start = rig.board.ram.offset(0xC0_0000)
    mine[start : start + 0x20000] = True
    rng = np.random.default_rng(4)
    before = rig.board.ram.bytes.copy()
    sample = (targets(480, 4) % (1 << 32)).reshape(120, 4).tolist()
    for bases in sample:
        counts = rng.integers(0, 0x10000, 4).tolist()
        pointer = int(rng.choice([0x8000, 0x8FFC, bases[0] & ~3]))
        if pointer < 0x10000:
            guest.vm.ram.write(pointer, table_of(list(zip(bases, counts, strict=True))))
        guest.cpu.out(guest.bus_master, 0)
        guest.cpu.out(guest.bus_master + 4, pointer, 4)
        guest.disk.reset()
        for offset, value in ((6, 0xE0), (2, 16), (3, 7), (4, 0), (5, 0), (7, 0xC8)):
            guest.cpu.out(0x1F0 + offset, value)
        guest.cpu.out(guest.bus_master, 9)
    changed = rig.board.ram.bytes != before
    assert changed.any()
    assert not (changed & ~mine).any()


def test_the_root_complex_asks_the_remapper():
    """The card is given away whole; what stands in its way is a Dma for its source id."""
    rig = Rig(mediated=False)
    board, guest, mine = rig.board, rig.guest, own_bytes(rig)
    domains = Domains(board.ram)
    domains.assign(board.cards.edu.source_id, SoftwareRemapper(guest.vm.ram))
    board.cards.root.memory = domains
    give_directly(guest.vm, guest.pc.cards.edu, board.cards.edu, "BAR0")
    card = EduDriver(guest.cpu, guest.slot.bar(0))
    guest.cpu.write(0x5FF0, b"by its own number")
    exits = guest.vm.vmm.exits["EptViolation"]
    card.to_device(0x5FF0, 17)
    assert guest.vm.vmm.exits["EptViolation"] == exits
    assert bytes(board.cards.edu.edu.buffer[:17]) == b"by its own number"
    before = board.ram.bytes.copy()
    refused = 0
    for target in targets(2000, 5).tolist():
        try:
            board.cards.root.write_for(board.cards.edu, target, b"\xee" * 8)
        except DmaFault:
            refused += 1
    changed = board.ram.bytes != before
    assert changed.any()
    assert not (changed & ~mine).any()
    assert 200 < refused < 1900


def test_the_lessons_corruption_is_reproduced():
    """An honest guest, a VMM that translates nothing: the other VM's page is gone."""
    rig = Rig(remapper=Untranslated())
    guest, owner = rig.guest, {f: gpa for gpa, f in rig.other.vm.ram.frames.items()}
    gpa = next(gpa for gpa in guest.vm.ram.frames if gpa in owner)
    rig.other.cpu.write(owner[gpa], b"precious")
    guest.asleep(guest.edu.from_device, gpa, 64)
    assert rig.other.cpu.read(owner[gpa], 8) == bytes(8)
    assert POOL <= gpa < POOL + POOL_FRAMES * PAGE
    assert machine.VM_RAM[1][0] == POOL
