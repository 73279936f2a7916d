"""Look at packets one after the other, header by header.

The idea: the picture is `tlp_picture`. What is shown was recorded by a root complex that was
watched, so each packet has crossed a bus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from virtlab.pci.packets import Crossing
from virtlab.show.frames import ACTIONS, PlayerState, jump
from virtlab.show.packets import tlp_picture
from virtlab.show.shell import Shell, button, choice, drawing, row, said, sentence, shown
from virtlab.show.topology import explain_crossing


class PacketViewer(Shell):
    """The headers of `crossings`, one after the other."""

    def __init__(
        self, crossings: Sequence[Crossing], title: str = "Packets", start: int = 0
    ) -> None:
        if not crossings:
            raise ValueError("there is no packet to view")
        self.crossings, self._start = list(crossings), start
        self.state = PlayerState(start, len(self.crossings))
        self._picture, self._says = drawing(), sentence()
        names = [(_option(number, each), number) for number, each in enumerate(self.crossings)]
        self._packet = choice("Packet", names, start)
        steps = [button(words, partial(self._press, words)) for words in ACTIONS]
        buttons = row(*steps, button("Reset", self.reset))
        name = f"{title}: {len(self.crossings)} packets"
        super().__init__(name, [row(self._packet), buttons, self._picture, self._says])
        self._packet.observe(self._chosen, "value")
        self._show()

    def reset(self) -> None:
        """The packet that was shown first."""
        self._packet.value = self._start

    def _press(self, words: str) -> None:
        self._packet.value = ACTIONS[words](self.state).index

    def _chosen(self, change: Mapping[str, Any]) -> None:
        self.state = jump(self.state, change["new"])
        self._show()

    def _show(self) -> None:
        crossing = self.crossings[self.state.index]
        self._picture.value = shown(tlp_picture(crossing.tlp))
        self._says.value = said(explain_crossing(crossing))


def _option(number: int, crossing: Crossing) -> str:
    return f"{number + 1}: {crossing.tlp.kind} on bus {crossing.bus:02x}"
