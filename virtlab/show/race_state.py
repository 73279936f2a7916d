"""A race on the page: which one, with which barriers, in which order, and how far it is shown.

    letter    who         what happens
    D, V      the driver, the device        makes its next access
    d, v      the driver's, the device's    oldest store reaches memory

The idea: a `Contest` is a race and a string of moves, of which the first `at` are shown. Each
action makes another one of it. What the moves *do* is found out by running them (`rows`).

The rule that keeps it simple: a string has only moves that were possible. Another one is refused in
words, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from virtlab.guest.store_buffer import Store
from virtlab.show.race_run import DEVICE, DRIVER, RACES, RINGS, Bench
from virtlab.show.race_sides import FENCE, LOAD, STORE, Access

BARRIERS = {
    "none": frozenset[str](),
    "the driver's only": frozenset({DRIVER}),
    "the device's only": frozenset({DEVICE}),
    "both": frozenset({DRIVER, DEVICE}),
}
"""The sides whose barriers count, by the words in the list."""

_ENOUGH = 6  # a side makes fewer moves of a kind than that
_ARRIVE = "sc" * _ENOUGH
OWN = "your own"
ORDERS = {
    "in turn, and stores arrive late": "SC" * _ENOUGH,
    "in turn, and stores arrive at once": "SsCc" * _ENOUGH,
    "the sleeper first": "Ss" * _ENOUGH + "Cc" * _ENOUGH,
    "the caller first": "Cc" * _ENOUGH + "Ss" * _ENOUGH,
    "the caller, after the sleeper's first look": "Ss" + "Cc" * _ENOUGH + "Ss" * _ENOUGH,
    "the same, and the caller's stores arrive last": "S" + "C" * _ENOUGH + "Ss" * _ENOUGH,
    OWN: "",
}
"""Moves by their roles, sleeper and caller; those that are not possible are left out."""

MOVES = {"D": (DRIVER, True), "d": (DRIVER, False), "V": (DEVICE, True), "v": (DEVICE, False)}
"""A letter's side, and whether it makes an access (else a store of it arrives)."""

LETTERS = {move: letter for letter, move in MOVES.items()}


class Row(NamedTuple):
    """A move that was made: whose, what happened, and what that is for."""

    side: str
    kind: str  # LOAD, STORE, FENCE or ARRIVES
    words: str
    meaning: str


ARRIVES = "arrives"

_MEANS = {
    (DRIVER, LOAD, "used.idx"): "is a buffer used?",
    (DRIVER, LOAD, "used.ring[0]"): "which one?",
    (DRIVER, STORE, "avail.flags"): "wish: interrupt me",
    (DRIVER, STORE, "avail.used_event"): "wish: interrupt me",
    (DEVICE, STORE, "used.ring[0]"): "the used element",
    (DEVICE, STORE, "used.idx"): "now it is used",
    (DEVICE, LOAD, "avail.flags"): "shall I interrupt?",
    (DEVICE, LOAD, "avail.used_event"): "shall I interrupt?",
    (DRIVER, STORE, "avail.idx"): "now it is available",
    (DRIVER, LOAD, "used.flags"): "shall I ring?",
    (DRIVER, LOAD, "used.avail_event"): "shall I ring?",
    (DEVICE, LOAD, "avail.idx"): "is a buffer available?",
    (DEVICE, STORE, "used.flags"): "wish: ring for me",
    (DEVICE, STORE, "used.avail_event"): "wish: ring for me",
}

FIELDS = {
    **{RINGS.avail_field(name): f"avail.{name}" for name in ("flags", "idx", "used_event")},
    **{RINGS.used_field(name): f"used.{name}" for name in ("flags", "idx", "avail_event")},
    RINGS.used_at(0): "used.ring[0]",
}
"""What lies where, by the names of the layouts."""


@dataclass(frozen=True, slots=True)
class Contest:
    """A race, whether thresholds are in use, the barriers, an order, its moves, how many shown."""

    race: str = "interrupt"
    events: bool = False
    barriers: str = "none"
    order: str = "in turn, and stores arrive late"
    moves: str = ""
    at: int = 0
    said: str = ""

    @property
    def fences(self) -> frozenset[str]:
        """The sides whose barriers count."""
        return BARRIERS[self.barriers]


def bench_of(contest: Contest) -> Bench:
    """The race at its start."""
    return Bench(contest.race, contest.events, contest.fences)


# -- actions


def chosen(contest: Contest, **changed: str | bool) -> Contest:
    """Another race, suppression, barriers or order: its moves are found, and all are shown."""
    fresh = replace(contest, moves="", at=0, said="", **changed)  # type: ignore[arg-type]
    sleeper = RACES[fresh.race].sleeper
    roles = {"S": sleeper, "C": RACES[fresh.race].caller}
    pattern = ORDERS[fresh.order] + (_ARRIVE if fresh.order != OWN else "")
    wanted = [LETTERS[roles[role.upper()], role.isupper()] for role in pattern]
    moves = _possible(bench_of(fresh), wanted)
    return replace(fresh, moves=moves, at=len(moves))


def start(race: str = "interrupt", events: bool = False, barriers: str = "none") -> Contest:
    """A race in the order of the list that comes first, all its moves shown."""
    return chosen(Contest(race, events, barriers))


def _possible(bench: Bench, wanted: Iterable[str]) -> str:
    return "".join(letter for letter in wanted if _make(bench, letter) is not None)


def act(contest: Contest, letter: str) -> Contest:
    """The reader's own next move, in place of those that would have come."""
    bench = bench_of(contest)
    _possible(bench, contest.moves[: contest.at])
    if _make(bench, letter) is None:
        side, access = MOVES[letter]
        why = "has made all its accesses" if access else "has no store that waits"
        return replace(contest, said=f"The {side} {why}.")
    moves = contest.moves[: contest.at] + letter
    return replace(contest, order=OWN, moves=moves, at=len(moves), said="")


def go(contest: Contest, at: int) -> Contest:
    """Show the first `at` moves, or as many as there are."""
    return replace(contest, at=min(max(at, 0), len(contest.moves)), said="")


# -- what the moves do


@lru_cache(256)
def rows(contest: Contest) -> tuple[tuple[Row, ...], Bench]:
    """The moves that are shown, and the race after them."""
    bench = bench_of(contest)
    made = (_make(bench, letter) for letter in contest.moves[: contest.at])
    return tuple(row for row in made if row is not None), bench


def _make(bench: Bench, letter: str) -> Row | None:
    """Make a move, and say what happened; None if it is not possible."""
    side, access = MOVES[letter]
    waiting = len(bench.buffers[side].waiting)
    if not access:
        store = bench.leave(side)
        return store and Row(side, ARRIVES, f"{stored(store)} arrives", "memory has it")
    made = bench.step(side)
    if made is None:
        return None
    what, answer = made
    if what.kind == FENCE:
        many = f"{waiting} store{'s' * (waiting != 1)} arrive{'s' * (waiting == 1)}"
        return Row(side, FENCE, "barrier", many)
    return Row(side, what.kind, *in_words(side, what, answer))


def in_words(side: str, access: Access, answer: bytes = b"") -> tuple[str, str]:
    """An access in words, with what a load saw, and what it is for."""
    field = FIELDS.get(access.gpa, hex(access.gpa))
    means = _MEANS.get((side, access.kind, field), "")
    if access.kind == FENCE:
        return "barrier", "its stores arrive first"
    if access.kind == STORE:
        return f"store {stored(Store(access.gpa, access.data))}", means
    seen = f" -> {value(answer)}" if answer else ""
    return f"load {field}{seen}", means


def stored(store: Store) -> str:
    """A store as `field = value`."""
    return f"{FIELDS.get(store.gpa, hex(store.gpa))} = {value(store.data)}"


def value(data: bytes) -> str:
    """A word as a number; a used element as its two fields."""
    if len(data) == 8:
        number, written = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")
        return f"({number}, {written})"
    return f"{int.from_bytes(data, 'little')}"
