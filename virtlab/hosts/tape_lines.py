"""A moment as a line of text, and back: JSON, an object a line.

    {"kind": "about", "kernel": "6.1.0-56-cloud-amd64", ...}
    {"ns": 12, "kind": "console", "text": "linux# "}
    {"ns": 40, "device": "disk", "kind": "kick", "ring": 0, "heads": [], "lengths": [], "note": ""}
    {"ns": 41, "device": "disk", "kind": "ring", "ring": 0, "layout": "split", "parts": [...], ...}
    {"ns": 52, "device": "disk", "kind": "chain", "ring": 0, "head": 3, "pieces": [...], ...}
    {"ns": 90, "kind": "said", "name": "mkfs", "command": "mke2fs ...", "status": 0, ...}

The idea: an event is written as ``virtlab serve --trace`` writes it, under its own kind. So both
files are read by the same reader, and `jq` or five lines of any language read them too.

The rule that keeps it simple: a line is taken whole or refused, with the name of the field. Bytes
are base64, features a number, an address a number.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any, cast

from virtlab.hosts.tape_moments import (
    CHAIN,
    CONSOLE,
    EVENT,
    RING,
    SAID,
    ChainNote,
    Counts,
    Moment,
    Said,
    What,
)
from virtlab.hosts.tape_shot import Rings, RingShot
from virtlab.virtio.features import from_bits, to_bits
from virtlab.virtio.layouts import MAX_SIZE, SplitRings
from virtlab.virtio.packed_layouts import PackedRings
from virtlab.virtio.vhost_user.statistics import Event

ABOUT = "about"
"""The kind of the line that says of what the recording is. It is no moment."""

EVENTS = ("kick", "pop", "push", "call", "quiet", "start", "stop", "error", "refused")
"""The kinds of an `Event`."""

LIMIT = 1 << 64
"""Numbers in a tape are below this, and not negative."""

Fields = dict[str, Any]


# -- lines


def line_of(what: Moment | Fields) -> str:
    """A moment, or an object, as a line without its end."""
    if isinstance(what, Moment):
        what = _with_device(what) | _WRITERS[what.kind](what.what)
    return json.dumps(what)


def object_of(line: bytes) -> Fields:
    """The object in a line. `ValueError` if it is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("a line of a tape is an object")
    return found


def moment_of(fields: Fields) -> Moment:
    """What an object says. `ValueError` names the field that is wrong."""
    kind = _text(fields, "kind")
    read = _READERS.get(kind) or (_read_event if kind in EVENTS else None)
    if read is None:
        raise ValueError(f"a moment of no known kind: {kind!r}")
    device = _text(fields, "device") if "device" in fields else ""
    return Moment(_number(fields, "ns"), kind if kind in _READERS else EVENT, device, read(fields))


def _with_device(moment: Moment) -> Fields:
    device = {"device": moment.device} if moment.device else {}
    return {"ns": moment.ns, **device, "kind": moment.kind}


# -- from what it is to fields


def _write_console(data: bytes) -> Fields:
    # What is no UTF-8 becomes a lone surrogate, which JSON has as an escape.
    return {"text": data.decode("utf-8", "surrogateescape")}


def _write_event(event: Event) -> Fields:
    kind, ring, heads, lengths, note = event
    fields = {"kind": kind, "ring": ring, "heads": list(heads), "lengths": list(lengths)}
    return fields | {"note": note}


def _write_shot(shot: RingShot) -> Fields:
    return {
        "ring": shot.ring,
        "layout": "packed" if shot.packed else "split",
        "size": shot.rings.size,
        "parts": list(shot.rings[1:]),
        "features": to_bits(shot.features),
        "last_avail": shot.last_avail,
        "used": shot.used,
        "pieces": [[gpa, _base64(data)] for gpa, data in shot.pieces],
        "regions": [list(region) for region in shot.regions],
    }


def _write_chain(chain: ChainNote) -> Fields:
    pieces = [[length, int(write)] for length, write in chain.pieces]
    return chain._asdict() | {"pieces": pieces, "data": _base64(chain.data)}


def _write_said(said: Said) -> Fields:
    return said._asdict() | {"counts": said.counts._asdict()}


_WRITERS: Mapping[str, Callable[[Any], Fields]] = {
    CONSOLE: _write_console,
    EVENT: _write_event,
    RING: _write_shot,
    CHAIN: _write_chain,
    SAID: _write_said,
}


# -- from fields to what it is


def _read_console(fields: Fields) -> What:
    return _text(fields, "text").encode("utf-8", "surrogateescape")


def _read_event(fields: Fields) -> What:
    heads, lengths = (_numbers(fields, name) for name in ("heads", "lengths"))
    if len(heads) != len(lengths):
        raise ValueError(f"lengths: {len(lengths)} of them, for {len(heads)} heads")
    ring, note = _number(fields, "ring"), _text(fields, "note")
    return Event(fields["kind"], ring, tuple(heads), tuple(lengths), note)


def _read_shot(fields: Fields) -> What:
    shot = RingShot(
        _number(fields, "ring"),
        _rings(fields),
        from_bits(_number(fields, "features")),
        _number(fields, "last_avail"),
        _number(fields, "used"),
        tuple((gpa, _bytes(data, "pieces")) for gpa, data in _pairs(fields, "pieces", str)),
        tuple((start, size) for start, size in _pairs(fields, "regions", int)),
    )
    if not shot.whole:
        raise ValueError("pieces: a part of the ring is missing")
    return shot


def _rings(fields: Fields) -> Rings:
    kinds: dict[str, type[SplitRings] | type[PackedRings]]
    kinds = {"split": SplitRings, "packed": PackedRings}
    layout, size = _text(fields, "layout"), _number(fields, "size")
    parts = _numbers(fields, "parts")
    if layout not in kinds or not 0 < size <= MAX_SIZE or len(parts) != 3:
        raise ValueError(f"layout, size, parts: no queue is {layout!r}, {size}, {parts}")
    return kinds[layout](size, *parts)


def _read_chain(fields: Fields) -> What:
    pairs = _pairs(fields, "pieces", int)
    chain = ChainNote(
        _number(fields, "ring"),
        _number(fields, "head"),
        tuple((length, bool(write)) for length, write in pairs),
        _bytes(_text(fields, "data"), "data"),
        _number(fields, "written"),
        _number(fields, "status"),
        _number(fields, "answer"),
    )
    if not chain.whole:
        raise ValueError(
            f"pieces: they do not fit {len(chain.data)} bytes of data, or are too long"
        )
    return chain


def _read_said(fields: Fields) -> What:
    counts = _get(fields, "counts", dict)
    return Said(
        _text(fields, "name"),
        _text(fields, "command"),
        _number(fields, "status"),
        _text(fields, "text"),
        _number(fields, "began"),
        Counts(*(_number(counts, name) for name in Counts._fields)),
    )


_READERS: Mapping[str, Callable[[Fields], What]] = {
    CONSOLE: _read_console,
    RING: _read_shot,
    CHAIN: _read_chain,
    SAID: _read_said,
}


# -- fields


def _get(fields: Fields, name: str, kind: type) -> Any:
    value = fields.get(name)
    # Python counts True as a number; JSON does not.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name}: {str(value)[:40]!r} where there must be a {kind.__name__}")
    return value


def _text(fields: Fields, name: str) -> str:
    return cast(str, _get(fields, name, str))


def _number(fields: Fields, name: str) -> int:
    return _small(_get(fields, name, int), name)


def _small(value: int, name: str) -> int:
    if not 0 <= value < LIMIT:
        raise ValueError(f"{name}: {value} is no number of 64 bits")
    return value


def _numbers(fields: Fields, name: str) -> list[int]:
    values = _get(fields, name, list)
    return [_small(_get({name: value}, name, int), name) for value in values]


def _pairs(fields: Fields, name: str, second: type) -> list[tuple[int, Any]]:
    """A list of pairs: a number, and one of type `second`."""
    found = []
    for pair in _get(fields, name, list):
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError(f"{name}: {str(pair)[:40]!r} is no pair")
        one, two = pair
        value = _get({name: two}, name, second)
        if second is int:
            _small(value, name)
        found.append((_small(_get({name: one}, name, int), name), value))
    return found


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{name}: no base64") from None
