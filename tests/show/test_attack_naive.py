"""The naive device: right for an honest guest, and without any idea of a dishonest one."""

import pytest

from virtlab.show.attack_hand import DATA, RINGS, STATUS, Hand
from virtlab.show.attack_memory import (
    DISK,
    HANDLER,
    HANDLERS,
    KEY,
    RAM,
    SECRETS,
    SETTINGS,
    Crash,
    Process,
)
from virtlab.show.attack_naive import NaiveBlk
from virtlab.show.attack_run import CHECKED, Naive, both, meet
from virtlab.virtio.blk_layouts import SECTOR, BlkType
from virtlab.virtio.layouts import INDIRECT, NEXT, WRITE


def rig(**options):
    hand = Hand(Process())
    hand.side = device = Naive(hand.process, hand, **options)
    return hand, device.blk


def honest_write(hand):
    hand.put(DATA, bytes(range(256)) * 2, "512 bytes")
    hand.request(BlkType.OUT, 2, DATA, SECTOR)
    hand.offer(0)
    hand.ring()


def honest_read(hand):
    hand.fill_disk(0x5A)
    hand.request(BlkType.IN, 0, DATA, SECTOR)
    hand.offer(0)
    hand.ring()


def two_sectors_in_two_pieces(hand):
    hand.fill_disk(0x41)
    hand.fill_disk(0x42, 2)
    hand.head(BlkType.IN, 0)
    hand.desc(0, 0x2000, 16, NEXT, 1)
    hand.desc(1, DATA, SECTOR, NEXT | WRITE, 2)
    hand.desc(2, DATA + 0x400, SECTOR, NEXT | WRITE, 3)
    hand.desc(3, STATUS, 1, WRITE)
    hand.offer(0)
    hand.ring()


def by_a_table(hand):
    honest_write(hand)
    for index in range(3):
        hand.ram.write(0x4000 + 16 * index, hand.ram.read(RINGS.desc_at(index), 16))
    hand.desc(7, 0x4000, 48, INDIRECT)
    hand.offer(7)
    hand.ring()


@pytest.mark.parametrize("make", [honest_write, honest_read, two_sectors_in_two_pieces, by_a_table])
def test_for_an_honest_guest_it_is_as_good_as_ours(make):
    naive, ours = both(make)
    assert naive.after == ours.after
    assert (naive.used, naive.statuses, naive.interrupts) == (
        ours.used,
        ours.statuses,
        ours.interrupts,
    )
    assert naive.safe
    assert ours.safe
    assert ours.device == CHECKED


def test_it_counts_what_it_wrote():
    hand, blk = rig()
    honest_read(hand)
    assert hand.ram.load(RINGS.used_at(0), 4) == 0
    assert hand.ram.load(RINGS.used_at(0) + 4, 4) == SECTOR + 1
    assert hand.used_idx() == 1
    assert (blk.last_avail, blk.used) == (1, 1)
    assert hand.ram.read(DATA, 4) == b"ZZZZ"


def test_with_a_check_it_refuses_what_it_sees():
    hand, blk = rig(looks_first=True)
    hand.request(BlkType.OUT, 1, RAM.size, SECTOR)
    hand.offer(0)
    hand.ring()
    assert blk.refused == 1
    assert hand.used_idx() == 0
    assert not hand.process.touched


def test_with_a_check_it_serves_what_is_right():
    hand, blk = rig(looks_first=True)
    honest_write(hand)
    assert (blk.refused, hand.used_idx()) == (0, 1)


def test_its_configuration_is_followed_by_the_key():
    _, blk = rig()
    assert blk.config(0, 8) == 8
    got = blk.config(SETTINGS.size, 4).to_bytes(4, "little")
    assert got == SECRETS[KEY][:4]


def test_a_doorbell_jumps_wherever_the_table_says():
    process = Process()
    blk = NaiveBlk(process, RINGS)
    assert process.read(HANDLERS.start, 8, own=True) == HANDLER.to_bytes(8, "little")
    blk.notify(3)
    with pytest.raises(Crash, match="it jumps to 0x0, "):
        blk.notify(4)
    process.write(HANDLERS.start, b"B" * 8)
    with pytest.raises(Crash, match="it jumps to 0x4242424242424242"):
        blk.notify(0)


def test_a_reset_forgets_at_once():
    hand, blk = rig()
    honest_write(hand)
    hand.side.reset()
    assert (blk.last_avail, blk.used, hand.side.status()) == (0, 0, 0)


def test_no_device_is_called_so():
    with pytest.raises(ValueError, match="no device is called 'ours'"):
        meet(both(honest_write)[0].attack, "ours")


def test_the_disk_is_written_in_place():
    hand, _ = rig()
    honest_write(hand)
    at = DISK.start + 2 * SECTOR
    assert hand.process.bytes[at : at + 4].tolist() == [0, 1, 2, 3]
