"""Step through an enumeration that has happened.

The idea: the stages are `discovery`, a pure function of the log of configuration accesses. Here the
scan is run once, and the player steps through its stages. The bus numbers are jumps.
"""

from __future__ import annotations

from virtlab.cpu import Cpu
from virtlab.guest.pci import PortAccess, Scan
from virtlab.pci.root import RootComplex
from virtlab.pci.tlp import bdf_text
from virtlab.show.discovery import Watched, discovery
from virtlab.show.player import Player
from virtlab.show.svg import Picture
from virtlab.show.topology import topology


class DiscoveryPlayer(Player):
    """Scan the buses below `root` through `cpu`, then step through what happened.

    `found` is what the scan found, `accesses` its configuration accesses. It starts where the first
    bus gets its number.
    """

    def __init__(self, cpu: Cpu, root: RootComplex, title: str = "Enumeration") -> None:
        watched = Watched(PortAccess(cpu))
        self.found, self.accesses = Scan(watched).run(), watched.log
        names = {bdf_text(each.source_id): each.name for each in root.bus.walk()}
        self.stages = discovery(self.accesses, self.found, names)
        chapters = {each.chapter: at for at, each in enumerate(self.stages) if each.chapter}
        super().__init__(
            len(self.stages),
            lambda index: self._drawn(index, title),
            lambda index: self.stages[index].words,
            title,
            chapters,
            min(chapters.values(), default=0),
        )

    def _drawn(self, index: int, title: str) -> Picture:
        stage = self.stages[index]
        says = f"After {stage.asked} of {len(self.accesses)} configuration accesses"
        room = sum(1 for top in self.found for _ in top.walk())
        return topology(stage.nodes, title=title, says=says, marked=stage.place, room=room)
