"""A unit of ours with one device in one domain, and what memory says of it."""

from tests.oracles.vtd_worlds import EDU
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.walk import translate

ALL = Capabilities()
"""All that a unit of ours can do."""

LARGE, HUGE = 2 << 20, 1 << 30


def attached(world, queued=True, levels=None):
    """A driver at work, and a domain that the prober is in."""
    vtd = world.driver(queued)
    domain = vtd.new_domain(levels)
    vtd.attach(EDU, domain)
    vtd.enable()
    return vtd, domain


def walked(world, vtd, iova, write=False):
    """What memory says, whatever is cached."""
    return translate(world.ram, vtd.root.gpa, vtd.capabilities, EDU, iova, write)
