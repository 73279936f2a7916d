"""Attacks with the ring's bytes: where a buffer is, and where a chain goes.

The idea: each begins with a request that any driver could make: a disk write or read of one sector.
Then one number is another one.

The rule that keeps it simple: what was stolen has to come back. A write to the disk takes it, and
an honest read of the same sector brings it to the guest.

Source: virtio 1.3 2.7, 2.7.4.2, 2.7.5 to 2.7.5.3.1, 2.7.6.
"""

from __future__ import annotations

from virtlab.show.attack_hand import DATA, HEADS, OUTSIDE, RINGS, STATUS, TABLE, Hand
from virtlab.show.attack_memory import KEY, RAM
from virtlab.virtio.blk_layouts import SECTOR, BlkType
from virtlab.virtio.chain import ADDRESSES
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE
from virtlab.wire import all_ones

CLAIMED = 1000
"""What `index` claims to be available, in a queue of eight."""


def _steal(hand: Hand, addr: int, length: int = SECTOR) -> None:
    """Let the disk write what is at `addr` into sector 1, and read that sector honestly."""
    hand.request(BlkType.OUT, 1, addr, length)
    hand.request(BlkType.IN, 1, DATA, SECTOR, first=3)
    hand.offer(0, 3)
    hand.ring()


def read_behind(hand: Hand) -> None:
    """Write to disk what lies behind the last byte of guest memory."""
    _steal(hand, OUTSIDE)


def write_behind(hand: Hand) -> None:
    """Read from disk over what lies there; then ring once more, and a handler is called."""
    hand.fill_disk(0x41)
    hand.request(BlkType.IN, 0, OUTSIDE, SECTOR)
    hand.offer(0)
    hand.ring()
    hand.ring()


def wrap(hand: Hand) -> None:
    """The sum of address and length is small again: 2^64 - 0x100 + 0x200 is 0x100."""
    _steal(hand, ADDRESSES - 0x100)


def huge(hand: Hand) -> None:
    """A device that first makes room, and then looks, makes room for 4 GiB."""
    hand.request(BlkType.OUT, 0, DATA, all_ones(4))
    hand.offer(0)
    hand.ring()


def own_ring(hand: Hand) -> None:
    """The device itself writes over the table and both indices, with bytes from the disk."""
    hand.fill_disk(0x41)
    hand.request(BlkType.IN, 0, RINGS.desc, SECTOR)
    hand.offer(0)
    hand.ring()


def order(hand: Hand) -> None:
    """The last piece, where a status belongs, is for reading only."""
    hand.put(DATA, b"for reading only", "16 bytes: for reading only")
    hand.head(BlkType.OUT, 0)
    hand.desc(0, HEADS, 16, NEXT, 1)
    hand.desc(1, STATUS, 1, WRITE | NEXT, 2)
    hand.desc(2, DATA, SECTOR)
    hand.offer(0)
    hand.ring()


def loop(hand: Hand) -> None:
    """Descriptor 2 leads back to descriptor 1."""
    hand.request(BlkType.OUT, 0, DATA, SECTOR)
    hand.desc(2, DATA, SECTOR, NEXT, 1)
    hand.offer(0)
    hand.ring()


def next_out(hand: Hand) -> None:
    """`next` counts in steps of 16 bytes: so many, and the key is the next descriptor."""
    index = (KEY.start - RAM.start - RINGS.desc) // DESC.itemsize
    hand.request(BlkType.OUT, 0, DATA, SECTOR)
    hand.desc(1, DATA, SECTOR, NEXT, index)
    hand.offer(0)
    hand.ring()


def head_out(hand: Hand) -> None:
    """The largest head that two bytes can name."""
    hand.request(BlkType.OUT, 0, DATA, SECTOR)
    hand.offer(all_ones(2))
    hand.ring()


def index(hand: Hand) -> None:
    """One chain is there, and the index claims a thousand."""
    hand.request(BlkType.OUT, 0, DATA, SECTOR)
    hand.offer(0, idx=CLAIMED)
    hand.ring()


def nested(hand: Hand) -> None:
    """Two tables of one entry each, and each refers to the other."""
    other = TABLE + 0x100
    hand.desc(0, TABLE, 16, INDIRECT)
    hand.desc(0, other, 16, INDIRECT, table=TABLE)
    hand.desc(0, TABLE, 16, INDIRECT, table=other)
    hand.offer(0)
    hand.ring()


def odd_table(hand: Hand) -> None:
    """A table of 40 bytes at the very end: the third descriptor is half the host's."""
    table = OUTSIDE - 40
    hand.head(BlkType.OUT, 0)
    hand.desc(0, table, 40, INDIRECT)
    hand.desc(0, HEADS, 16, NEXT, 1, table=table)
    hand.desc(1, DATA, SECTOR, NEXT, 2, table=table)
    hand.put(OUTSIDE - 8, STATUS.to_bytes(8, "little"), f"the first half of desc 2: {STATUS:#x}")
    hand.offer(0)
    hand.ring()


def huge_table(hand: Hand) -> None:
    """A table that claims 4 GiB, with a chain longer than the queue."""
    hand.head(BlkType.OUT, 0)
    hand.desc(0, TABLE, all_ones(4) & ~15, INDIRECT)
    hand.desc(0, HEADS, 16, NEXT, 1, table=TABLE)
    for i in range(1, RINGS.size + 1):
        hand.desc(i, DATA, SECTOR, NEXT, i + 1, table=TABLE)
    hand.offer(0)
    hand.ring()
