"""Attacks with time, and with what a request asks for. The ring itself is right in each of them.

The idea: a guest has more than one processor. While one rings the doorbell, another one waits for
the moment in which the device has looked, and has not yet acted.

The rule that keeps it simple: `Hand.strike` says after which read that moment is. So a race that
takes a real attacker a million tries succeeds at once, each time in the same way.

Source: virtio 1.3 2.4 (reset), 2.5 (configuration), 2.9 (notifications), 5.2.6 (requests).
"""

from __future__ import annotations

from virtlab.show.attack_hand import DATA, OUTSIDE, RINGS, Hand
from virtlab.show.attack_memory import DISK, HANDLERS, SECTORS, SETTINGS
from virtlab.virtio.blk_layouts import SECTOR, BlkType
from virtlab.virtio.layouts import DESC, NEXT, packer

UNKNOWN = 0xDEAD
"""A type that no specification has."""

OWNER = b"a new owner here"
"""What the next owner of a buffer writes, over all of it and 16 bytes more."""

WORDS = 8
"""How many words of 4 bytes are read behind the configuration."""


# -- when a device looks


def twice(hand: Hand) -> None:
    """Descriptor 1 is right when it is checked. Then another processor changes its address."""
    at = RINGS.desc_at(1)
    bad = packer(DESC).pack(OUTSIDE, SECTOR, NEXT, 2)
    words = f"makes desc 1 {OUTSIDE:#x} once it is read"
    hand.request(BlkType.OUT, 1, DATA, SECTOR)
    hand.request(BlkType.IN, 1, DATA, SECTOR, first=3)
    hand.offer(0, 3)
    hand.strike(at, lambda: hand.ram.write(at, bad), words)
    hand.ring()


def never(hand: Hand) -> None:
    """Whenever the device looks at the index, it is one further."""
    idx = RINGS.avail_field("idx")
    hand.request(BlkType.IN, 0, DATA, SECTOR)
    hand.offer(0)

    def more() -> None:
        hand.ram.store(idx, 2, hand.ram.load(idx, 2) + 1)

    hand.strike(idx, more, "adds one whenever idx is read")
    hand.ring()


def reset(hand: Hand) -> None:
    """While the device works, the guest resets it, and gives the buffer to somebody else."""

    def take_back() -> None:
        hand.strike_once()
        hand.side.reset()
        # A driver knows that it is one when the status reads 0.
        if hand.side.status() == 0:
            hand.ram.write(DATA, OWNER * (SECTOR // len(OWNER) + 1))

    hand.fill_disk(0x41)
    hand.request(BlkType.IN, 0, DATA, SECTOR)
    hand.offer(0)
    hand.strike(RINGS.desc_at(2), take_back, "resets, and reuses 0x3000")
    hand.ring()


# -- what a request asks for


def sector(hand: Hand) -> None:
    """The first sector behind the last one of this guest's disk."""
    hand.request(BlkType.IN, SECTORS, DATA, SECTOR)
    hand.offer(0)
    hand.ring()


def small(hand: Hand) -> None:
    """100 bytes of room, at the very end of memory, for a sector of 512."""
    hand.fill_disk(0x41)
    hand.request(BlkType.IN, 0, OUTSIDE - 100, 100)
    hand.offer(0)
    hand.ring()


def kind(hand: Hand) -> None:
    """A type that nobody has defined."""
    hand.put(DATA, b"from nowhere    ", "16 bytes: from nowhere")
    hand.request(UNKNOWN | 1, 0, DATA, SECTOR)
    hand.offer(0)
    hand.ring()


def config(hand: Hand) -> None:
    """Words behind the configuration, kept in guest memory."""
    for word in range(WORDS):
        value = hand.side.config(SETTINGS.size + 4 * word, 4)
        hand.ram.store(DATA + 4 * word, 4, value)
    words = f"{WORDS} words of configuration from {SETTINGS.size:#x} on"
    hand.put(DATA, hand.ram.read(DATA, 4 * WORDS), words)


def bell(hand: Hand) -> None:
    """A number that leads from the table of handlers to the guest's own disk."""
    hand.fill_disk(0x41)
    hand.ring((DISK.start - HANDLERS.start) // 8)
