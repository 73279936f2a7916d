"""A machine with a root port and, at the end of its link, physical functions with virtual ones."""

from __future__ import annotations

from tests.pci.rig import Card, Rig
from virtlab.guest.pci import open_ecam
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pci_sriov import SriovScan
from virtlab.pci.ari import link_ari
from virtlab.pci.capabilities import PowerManagement
from virtlab.pci.express import RootPort, make_express
from virtlab.pci.routing_ids import Spread
from virtlab.pci.sriov_functions import make_physical

ECAM = 0xB000_0000
PF_DEVICE, VF_DEVICE = 0x0100, 0x0101
MSIX_AT, POWER_AT, VECTORS = 0x40, 0x60, 2


def card(name, device, size=0x1000, bits=64):
    """A card with scratch registers behind BAR 0 and MSI-X behind BAR 2."""
    made = Card(name, device, size, bits=bits, ahead=bits == 64)
    made.table = made.msix_bar(2, VECTORS, MSIX_AT)
    made.config.add(PowerManagement(), POWER_AT)
    return made


class SriovRig(Rig):
    """`physical` functions, each with `total` VFs, behind one root port; a plain card beside it.

    `start` scans; then `sriov` drives the first one. `pfs` and `vfs` are the functions themselves.
    """

    def __init__(self, total=4, physical=1, size=0x1000, bits=64):
        super().__init__()
        self.port = self.bus.plug(RootPort("root port"), 3)
        self.other = self.bus.plug(RootPort("other port", slot=2), 4)
        spread = Spread(physical)
        self.pfs, self.vfs = [], []
        for number in range(physical):
            pf = card(f"pf {number}", PF_DEVICE)
            vfs = [card(f"vf {number}.{n}", VF_DEVICE, size, bits) for n in range(total)]
            lowest = self.pfs[0] if self.pfs else None
            make_physical(pf, vfs, spread=spread, lowest=lowest, dependency=number)
            self.pfs.append(self.port.below.plug(pf, 0, number))
            self.vfs.append(vfs)
        link_ari(self.pfs)
        self.pf, self.vf = self.pfs[0], self.vfs[0]
        self.neighbour = self.other.below.plug(make_express(Card("neighbour", 0x0102)))

    def start(self, ari=True):
        """Scan, give addresses, enable."""
        self.access = open_ecam(self.cpu, ECAM)
        scan = SriovScan(self.access, ari)
        self.functions = enumerate_pci(self.cpu, self.access, scan=scan)
        self.drivers = scan.physical
        self.sriov = self.drivers[0]
        return self

    def places(self):
        """Where every VF is that answers now, on all buses."""
        walked = [each for each in self.bus.walk() if each.share is not None]
        return [str(each).split()[0] for each in walked]
