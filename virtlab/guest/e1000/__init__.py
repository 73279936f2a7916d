"""A driver for the 82540EM: read who it is, give it two rings, send and receive.

    driver = E1000Driver(cpu, base, memory=0x20_0000)
    driver.start()                              # reset, address, link, both rings
    driver.send(frame, another)                 # returns when the card has them
    got = driver.receive(timeout=MILLISECOND)   # or None

What to read, in this order: `rings` (how a driver and a card share a ring; sending is ten lines),
`card` (what is done once: reset, EEPROM, PHY, link), `driver` (both together). `offload` asks the
card for checksums, and to cut one long packet into many.

It runs unchanged on our card and on QEMU's.
"""

from virtlab.guest.e1000.card import Card
from virtlab.guest.e1000.driver import E1000Driver, memory_needed
from virtlab.guest.e1000.offload import Offload, checksums, segmentation
from virtlab.guest.e1000.rings import BUFFER, Received, ReceiveQueue, TransmitQueue

__all__ = [
    "BUFFER",
    "Card",
    "E1000Driver",
    "Offload",
    "ReceiveQueue",
    "Received",
    "TransmitQueue",
    "checksums",
    "memory_needed",
    "segmentation",
]
