"""The lesson PC with its cards enumerated, for the tests of PCI pictures."""

from __future__ import annotations

from virtlab import machine
from virtlab.guest.pci import Found, PortAccess
from virtlab.guest.pci_resources import enumerate_pci

EDU = 0x1234, 0x11E8


class Board:
    """A lesson PC: its root complex, what was found, a way to configuration space."""

    def __init__(self, pci="conventional"):
        self.pc = machine.lesson_pc(pci=pci)
        self.cpu, self.cards, self.root = self.pc.cpu, self.pc.cards, self.pc.cards.root
        self.found = enumerate_pci(self.cpu)
        self.config = PortAccess(self.cpu)

    @property
    def edus(self) -> list[Found]:
        """The two teaching devices, as the scan met them."""
        every = [each for top in self.found for each in top.walk()]
        return [each for each in every if (each.vendor, each.device) == EDU]

    def recorded(self, act):
        """The packets that `act` sends over the buses."""
        with self.root.watching() as crossings:
            act()
        return crossings
