"""Follow a request through the tree of buses, hop by hop.

The idea: a `Request` is words and something to do. The widget does it while the root complex is
watched, and then steps through the crossings that were recorded. So what it shows has happened.

The rule that keeps it simple: choosing a request does it once. Stepping leaves the machine alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from virtlab.errors import DmaFault
from virtlab.pci.packets import Crossing
from virtlab.pci.root import RootComplex
from virtlab.show.frames import ACTIONS, PlayerState
from virtlab.show.nodes import nodes_of
from virtlab.show.shell import Shell, button, choice, drawing, row, said, sentence, shown
from virtlab.show.topology import explain_crossing, topology


class Request(NamedTuple):
    """`words` for the list, and what is done when it is chosen: an access, a transfer."""

    words: str
    act: Callable[[], object]


class RequestWalker(Shell):
    """Choose one of `requests`, and follow its packets over the buses below `root`."""

    def __init__(
        self, root: RootComplex, requests: Sequence[Request], title: str = "Follow a request"
    ) -> None:
        if not requests:
            raise ValueError("give at least one request to follow")
        self.root, self.requests, self._title = root, list(requests), title
        self.crossings: list[Crossing] = []
        self.outcome = ""
        self.state = PlayerState(0, 1)
        self._picture, self._says = drawing(), sentence()
        options = [(request.words, index) for index, request in enumerate(self.requests)]
        self._request = choice("Request", options, 0)
        steps = [button(words, partial(self._press, words)) for words in ACTIONS]
        buttons = row(*steps, button("Reset", self.reset))
        super().__init__(
            f"{title}: {len(self.requests)} requests",
            [self._picture, row(self._request), buttons, self._says],
        )
        self._request.observe(lambda _: self._make(), "value")
        self._make()

    def reset(self) -> None:
        """Choose the first request again."""
        if self._request.value == 0:
            self._make()
        else:
            self._request.value = 0

    def _make(self) -> None:
        """Do the request, and stand at its first hop."""
        self.outcome = ""
        with self.root.watching() as crossings:
            try:
                self.requests[self._request.value].act()
            except DmaFault as fault:
                self.outcome = f"The request was refused: {fault}."
        self.crossings = crossings
        self.state = PlayerState(0, max(1, len(crossings)))
        self._show()

    def _press(self, words: str) -> None:
        self.state = ACTIONS[words](self.state)
        self._show()

    def _show(self) -> None:
        index = self.state.index
        nodes = nodes_of(self.root.bus)
        self._picture.value = shown(topology(nodes, self.crossings, index, self._title))
        self._says.value = said(self._words(index))

    def _words(self, index: int) -> str:
        if not self.crossings:
            return self.outcome or "This request crossed no bus."
        words = (
            f"Hop {index + 1} of {len(self.crossings)}. {explain_crossing(self.crossings[index])}"
        )
        last = index == len(self.crossings) - 1
        return f"{words} {self.outcome}".strip() if last else words
