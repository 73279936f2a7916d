"""Enumeration, watched: the bus numbers appear in the order in which software gives them.

The idea: `Watched` stands between the scan and its way to configuration space, and keeps every
access. `discovery` turns that log into stages. A stage is what is known by then: the functions that
have answered, the numbers that bridges have been given. So the stages are what the scan did, and
nothing is told twice.

The rule that keeps it simple: devices that do not answer make one stage a run, not one each.

Source: PCI Local Bus 3.0, 6.1; PCI-to-PCI Bridge 1.2, 3.2.5.3 and 3.2.5.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from virtlab.guest.pci import ABSENT, Access, Found, FoundBar, Place
from virtlab.pci.config import Header, Type1
from virtlab.show.bar_sizing import amount
from virtlab.show.nodes import NO_NUMBER, Node


class Asked(NamedTuple):
    """One configuration access: what was read, or written."""

    place: Place
    offset: int
    size: int
    value: int
    write: bool

    def __str__(self) -> str:
        verb = "write" if self.write else "read"
        return f"{verb} {self.place} register {self.offset:#04x}: {self.value:#x}"


class Watched:
    """A way to configuration space that keeps in `log` what goes through it."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.log: list[Asked] = []

    def read(self, place: Place, offset: int, size: int) -> int:
        """Read, and keep the answer."""
        value = self.access.read(place, offset, size)
        self.log.append(Asked(place, offset, size, value, False))
        return value

    def write(self, place: Place, offset: int, size: int, value: int) -> None:
        """Write, and keep what was written."""
        self.access.write(place, offset, size, value)
        self.log.append(Asked(place, offset, size, value, True))


class Stage(NamedTuple):
    """What is known after `asked` accesses: the tree so far, who it is about, and in words.

    A stage in which a bus gets its number is a `chapter`.
    """

    nodes: tuple[Node, ...]
    place: str
    words: str
    asked: int
    chapter: str = ""


@dataclass
class _Known:
    """A function that answered: what the picture says of it so far."""

    name: str
    behind: str = ""
    bus: int | None = None


class _Story:
    """Follows a log. `found` is what the scan learned, `names` are words for the functions."""

    def __init__(self, found: Iterable[Found], names: Mapping[str, str]) -> None:
        self.found = {each.place: each for top in found for each in top.walk()}
        self.names = names
        self.known: dict[Place, _Known] = {}
        self.absent: list[Place] = []
        self.stages: list[Stage] = []

    def follow(self, log: Sequence[Asked]) -> list[Stage]:
        self._stage("", "Nothing is known. The scan begins at bus 00, device 00.", 0)
        sized: dict[Place, int] = {}
        for count, each in enumerate(log, 1):
            if each.offset == Header.VENDOR_ID.offset and each.value == ABSENT:
                self._missed(each.place, count - 1)
                continue
            self._flush(count - 1)
            if each.write and each.offset == Header.COMMAND.offset:
                sized[each.place] = sized.get(each.place, 0) + 1
                if sized[each.place] == 2:
                    self._answered(each.place, count)
            elif each.write and each.offset == Type1.SUBORDINATE_BUS.offset:
                self._numbered(each, count)
        self._flush(len(log))
        return self.stages

    def _stage(self, place: str, words: str, count: int, chapter: str = "") -> None:
        self.stages.append(Stage(self._nodes(0), place, words, count, chapter))

    def _nodes(self, bus: int) -> tuple[Node, ...]:
        return tuple(
            Node(str(place), each.name, each.behind, self._nodes(each.bus) if each.bus else ())
            for place, each in sorted(self.known.items())
            if place.bus == bus
        )

    def _missed(self, place: Place, count: int) -> None:
        """Nobody there. Devices are one run; so are the functions of one device."""
        if self.absent:
            last = self.absent[-1]
            whole = not last.number and not place.number
            if not whole and (last.device, bool(last.number)) != (place.device, True):
                self._flush(count)
        self.absent.append(place)

    def _answered(self, place: Place, count: int) -> None:
        found = self.found[place]
        self.known[place] = _Known(self.names.get(str(place), f"class {found.class_code:06x}"))
        words = f"{place} answers: vendor `{found.vendor:04x}`, device `{found.device:04x}`. "
        if found.is_bridge:
            self.known[place].behind = NO_NUMBER
            words += "Its header is of type 1, so it is a bridge."
        else:
            words += "Its header is of type 0, so it is a device. "
            words += asks_for(found.bars)
        self._stage(str(place), words, count)

    def _numbered(self, each: Asked, count: int) -> None:
        """Subordinate Bus is written twice: before the bus below is searched, and after."""
        bridge, found = self.known[each.place], self.found[each.place]
        assert found.buses is not None
        (first, last), chapter = found.buses, ""
        if bridge.bus is None:
            bridge.bus, chapter = first, f"bus {first:02x} gets its number"
            words = (
                f"The bus behind {each.place} gets the next number, {first:02x}. While it is "
                f"searched, every number from {first:02x} to {each.value:02x} leads there."
            )
        else:
            words = (
                f"The search comes back to {each.place}. The highest number that was used is "
                f"{last:02x}, so the bridge now leads to {first:02x}"
                + (f" to {last:02x}." if last > first else " alone.")
            )
        bridge.behind = f"bus {first:02x}" + (f" to {each.value:02x}" if each.value > first else "")
        self._stage(str(each.place), words, count, chapter)

    def _flush(self, count: int) -> None:
        """The run of those that did not answer, as one stage."""
        if self.absent:
            self._stage("", nobody(self.absent), count)
            self.absent = []


def asks_for(bars: Sequence[FoundBar]) -> str:
    """What a function asks for, in words."""
    if not bars:
        return "It asks for no addresses."
    each = [f"{amount(bar.size, bar.space)} by BAR {bar.index}" for bar in bars]
    return f"It asks for {', '.join(each)}."


def nobody(places: Sequence[Place]) -> str:
    """A run of places where nobody answered, in words."""
    first, last = places[0], places[-1]
    reads = f"{len(places)} read{'s' * (len(places) != 1)}"
    if first.number:
        where = f"functions {first.number} to {last.number} of device {first.device:02x}"
    elif first == last:
        where = f"device {first.device:02x}"
    else:
        where = f"devices {first.device:02x} to {last.device:02x}"
    gives = "gives" if len(places) == 1 else "give"
    return f"On bus {first.bus:02x} nobody answers at {where}: {reads} {gives} `ffff`."


def discovery(
    log: Sequence[Asked], found: Iterable[Found], names: Mapping[str, str] | None = None
) -> list[Stage]:
    """The stages of a scan: its `log`, what it `found`, and `names` of the functions by place."""
    return _Story(found, names or {}).follow(log)
