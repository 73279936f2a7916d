"""In the child: objects in place of the machines, which are on the other side.

    StandIn "BudgetCpu", number 2      cpu.inp(0x3FD)     verb 2 "inp" (0x3FD)  -->
                                                          result 0x60           <--

The idea: the judge's side says what a class offers, once. Here a class of that name is made of it:
a method for each verb, a property for what is asked for each time, and plain attributes for the
rest. So an error reads as it does in a notebook: 'BudgetCpu' object has no attribute 'ram'.

The rule that keeps it simple: a stand-in knows its number and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from virtlab.course.grading.channel import Channel, Several
from virtlab.course.grading.kinds import FIXED, Record

Cross = Callable[..., Any]

PLAIN = frozenset({int, bytes, bool, str, type(None)})
"""What cannot change, and has nothing in it that can."""


class StandIn:
    """An object of the other side."""

    __slots__ = ("__dict__", "__weakref__", "_number")
    _number: int


class Makers:
    """Makes stand-ins; `cross` asks the other side."""

    def __init__(self, cross: Cross, channel: Channel) -> None:
        self.cross, self.channel = cross, channel
        self.classes: dict[int, tuple[type, list[str], Record]] = {}

    def stand_in(self, data: list[Any]) -> StandIn:
        """What the other side gives: number, class, the class's description, attributes."""
        _, number, key, description, fixed, fields = data
        if description:
            self.classes[key] = self.made(*description)
        kind, fixed_names, record = self.classes[key]
        thing: StandIn = kind()
        thing._number = number
        self.channel.book.take(thing, FIXED if not record.names else record, number)
        values = zip(fixed_names, fixed, strict=True), zip(record.names, fields, strict=True)
        for pairs in values:
            for name, value in pairs:
                thing.__dict__[name] = self.channel.codec.decode(value)
        self.channel.book.noted(number)
        return thing

    def made(
        self,
        name: str,
        verbs: list[str],
        fixed: list[str],
        live: list[str],
        fields: list[str],
        alone: bool,
    ) -> tuple[type, list[str], Record]:
        """A class for the objects of one class of the other side."""
        parts: dict[str, Any] = {"__module__": "virtlab", "__qualname__": name}
        parts |= {verb: self.verb(verb, alone) for verb in verbs}
        parts |= {attribute: property(self.getter(attribute)) for attribute in live}
        if fields:
            parts["__repr__"] = lambda self: _record_text(self, name, fields)
        return type(name, (StandIn,), parts), fixed, Record(fields)

    def verb(self, name: str, alone: bool) -> Callable[..., Any]:
        """A method that is a call of the other side."""
        cross = self.cross

        def call(self: StandIn, /, *arguments: Any, **options: Any) -> Any:
            named = ([*options], Several(options.values())) if options else ()
            wait = alone and not options and PLAIN.issuperset(map(type, arguments))
            return cross("verb", self._number, name, Several(arguments), *named, alone=wait)

        call.__name__ = name
        return call

    def getter(self, name: str) -> Callable[[StandIn], Any]:
        """Asks for an attribute."""
        cross = self.cross
        return lambda self: cross("get", self._number, name)


def _record_text(record: StandIn, name: str, fields: list[str]) -> str:
    inside = ", ".join(f"{field}={getattr(record, field)!r}" for field in fields)
    return f"{name}({inside})"
