"""Whose memory a card's write lands in, in numbers.

The idea: whose a frame is decides whether a write is right, and no address says whose it is. So
`survey` asks the VMs, and makes a `Scene` of plain numbers: pages, frames with their owners, and
the pieces that the card was given. The picture (`remap_picture`) and the words are pure functions
of that.

The rule that keeps it simple: a byte is right if it lies in a page that was asked for. A write into
another page of the same VM is as wrong as one into somebody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from virtlab.memory import PAGE
from virtlab.trace import Event
from virtlab.vmm.dma_remap import Piece

HOST = "host"
"""The owner of a frame that is no VM's."""


class HasFrames(Protocol):
    """A VM's RAM, or a copy of where it lay: `frames` is gpa to hpa, page by page."""

    @property
    def frames(self) -> Mapping[int, int]:
        """The frame of each page."""


class GuestPage(NamedTuple):
    """Page `gpa` of `vm` is the frame at `hpa`."""

    vm: str
    gpa: int
    hpa: int


class HostFrame(NamedTuple):
    """The frame at `hpa` belongs to `owner`, a VM or `HOST`; there it is page `gpa`."""

    hpa: int
    owner: str
    gpa: int = 0

    @property
    def words(self) -> str:
        """Whose it is."""
        return "the host's own" if self.owner == HOST else f"{self.owner}'s {self.gpa:#x}"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a picture shows. `vm` asked for the pages `asked`; `given` is what the card was told,
    `landed` whether it has written.
    """

    vm: str
    asked: tuple[int, ...]
    pages: tuple[GuestPage, ...]
    frames: tuple[HostFrame, ...]
    given: tuple[Piece, ...] = ()
    landed: bool = True


def touched(events: Iterable[Event], card: str, kind: str = "dma write") -> tuple[Piece, ...]:
    """The host-physical pieces that `card` moved, in order; those that go on as one."""
    found: list[Piece] = []
    for event in events:
        if event.kind == kind and event.who == card:
            if found and sum(found[-1]) == event.address:
                found[-1] = Piece(found[-1].hpa, found[-1].length + event.size)
            else:
                found.append(Piece(event.address, event.size))
    return tuple(found)


def survey(
    vms: Mapping[str, HasFrames],
    gpas: Iterable[int],
    given: Sequence[Piece] = (),
    vm: str = "A",
    landed: bool = True,
) -> Scene:
    """Look at the VMs, `"A"` and `"B"`: the pages of `gpas` in `vm`, and what the card writes to.

    Another page is shown if its frame is. `landed` is false before the card has written.
    """
    owners = {frame: (name, gpa) for name, ram in vms.items() for gpa, frame in ram.frames.items()}
    wanted, own = {gpa & -PAGE for gpa in gpas}, vms[vm].frames
    pages = {GuestPage(vm, gpa, own[gpa]) for gpa in wanted if gpa in own}
    shown = {page.hpa for page in pages}
    shown |= {at for hpa, n in given for at in range(hpa & -PAGE, hpa + n, PAGE)}
    frames = tuple(HostFrame(hpa, *owners.get(hpa, (HOST, 0))) for hpa in sorted(shown))
    pages |= {GuestPage(each.owner, each.gpa, each.hpa) for each in frames if each.owner != HOST}
    order = sorted(pages, key=lambda page: (page.vm != vm, page))
    return Scene(vm, tuple(sorted(wanted)), tuple(order), frames, tuple(given), landed)


def parts(scene: Scene) -> list[tuple[HostFrame, int]]:
    """How many bytes of the card's pieces fall into each frame, in the card's order."""
    owner = {frame.hpa: frame for frame in scene.frames}
    found: list[tuple[HostFrame, int]] = []
    for hpa, length in scene.given:
        at = hpa
        while at < hpa + length:
            n = min(hpa + length, (at & -PAGE) + PAGE) - at
            found.append((owner[at & -PAGE], n))
            at += n
    return found


def is_right(scene: Scene) -> bool:
    """Whether every byte goes to a page that was asked for."""
    return all(is_asked(scene, frame) for frame, _ in parts(scene))


def is_asked(scene: Scene, frame: HostFrame) -> bool:
    """Whether a frame is that of a page that was asked for."""
    return frame.owner == scene.vm and frame.gpa in scene.asked


def explain(scene: Scene) -> str:
    """The picture in words: how many bytes in whose memory."""
    if not scene.given:
        return "The card has written nothing."
    verb = "landed" if scene.landed else "will land"
    words = [f"{n} bytes {verb} in {frame.words}" for frame, n in parts(scene)]
    more = f", and {len(words) - 3} more" if len(words) > 3 else ""
    verdict = "right" if is_right(scene) else "wrong"
    return f"{', '.join(words[:3])}{more}: {verdict}."
