"""A network card: Intel's 82540EM, which everybody calls e1000.

The idea: two rings of descriptors in the host's memory, one for what goes out and one for what
comes in. The driver moves a tail, the card moves a head. Between them they never need a lock.

    driver writes descriptors, then TDT ->  card reads them up to TDT, sends, writes DD back
    driver gives buffers, then RDT      ->  card fills them as packets come, writes DD, interrupts

What to read, in this order: `rings` (what lies in memory), `transmit` and `receive` (what the card
does with it), `device` (what a write does). `filters`, `checksum`, `segmentation` and `delays` are
the work that the card takes off the processor; `eeprom` and `phy` are the two chips beside it;
`function` is the card in its PCI slot.

Enough of it is here for the driver of an unmodified Linux. Source: Intel PCI/PCI-X Family of
Gigabit Ethernet Controllers Software Developer's Manual 4.0 ("8254x SDM"); behaviour where it is
silent as QEMU 7.2 has it. What differs on purpose is listed in `docs/deviations.md`.
"""

from virtlab.devices.e1000.device import DEFAULT_MAC, E1000
from virtlab.devices.e1000.function import E1000Function

__all__ = ["DEFAULT_MAC", "E1000", "E1000Function"]
