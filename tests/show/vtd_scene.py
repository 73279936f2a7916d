"""A unit of ours at work, for the pictures of VT-d: one device, one domain, a few pages."""

from tests.guest.vtd_units import attached
from tests.oracles.vtd_worlds import EDU, FRAMES, Ours
from virtlab.memory import PAGE
from virtlab.show.vtd_rows import look

IOVA = 0x4000_1000


class Scene(Ours):
    """`vtd` drives the unit; `domain` has one page at `IOVA`, which lies at `FRAMES`."""

    def __init__(self, capabilities=None, levels=None):
        super().__init__(capabilities)
        self.vtd, self.domain = attached(self, levels=levels)
        self.vtd.map(self.domain, IOVA, FRAMES, PAGE)

    @property
    def tables(self):
        """What a walk needs, but for the request."""
        return self.ram, self.vtd.root.gpa, self.unit.capabilities

    def look(self, iova=IOVA, write=False, source=EDU):
        """The rows of one request."""
        return look(*self.tables, source, iova, write)

    def turn(self, row, mask):
        """Turn bits of an entry in memory, and tell nobody."""
        whole = self.ram.load(row.entry_at, 8)
        self.ram.store(row.entry_at, 8, whole ^ mask)
