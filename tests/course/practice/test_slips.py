"""Mistakes that learners make, worked out here by hand: each leads to the word for its step."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.course.practice.paper import WORK, bdf, rid
from virtlab.course.practice import Problem, problem

Given = dict[str, Any]
Mistake = Callable[[Given], tuple[object, ...]]


def swapped(number: int, size: int) -> int:
    return int.from_bytes(number.to_bytes(size, "little"), "big")


def chain_big_endian(d: Given) -> tuple[object, ...]:
    table = [[a, swapped(n, 4), f, x] for a, n, f, x in d["table"]]
    inside = [[a, swapped(n, 4), f, x] for a, n, f, x in d["inside"]]
    return WORK["chain-walk"](d | {"table": table, "inside": inside}, 1)


def old_irq_shift(d: Given) -> tuple[object, ...]:
    return WORK["irq-remap"](d | {"address": d["address"] & ~8}, 3)


MISTAKES: list[tuple[str, int, str, str, Mistake]] = [
    ("port-decode", 1, "offset", "no base taken away", lambda d: (who(d), d["port"])),
    ("port-decode", 1, "offset", "off by one", lambda d: (who(d), 1 + d["port"] - base(d))),
    ("uart-line", 1, "divisor", "clock not divided by 16",
     lambda d: (1843200 // d["baud"] % 256, 1843200 // d["baud"] // 256, uart(d)[2])),
    ("uart-line", 1, "low byte", "bytes in the wrong order",
     lambda d: (uart(d)[1], uart(d)[0], uart(d)[2])),
    ("uart-line", 1, "line control", "DLAB left set",
     lambda d: (uart(d)[0], uart(d)[1], uart(d)[2] | 128)),
    ("uart-line", 2, "speed", "clock not divided by 16",
     lambda d: (WORK["uart-line"](d, 2)[0] * 16, WORK["uart-line"](d, 2)[1])),
    ("prd-table", 1, "address", "earlier regions not taken away",
     lambda d: (entry(d)[0] + d["byte"],)),
    ("prd-table", 3, "regions", "EOT not seen",
     lambda d: WORK["prd-table"](d | {"rows": [[b, n, 0] for b, n, _ in d["rows"]]}, 3)),
    ("prd-table", 2, "regions", "a count of 0 taken for none",
     lambda d: WORK["prd-table"](d | {"rows": [r for r in d["rows"] if r[1]]}, 2)),
    ("config-address", 1, "enable", "bit 31 forgotten", lambda d: (word(d) & 0x7FFFFFFF,)),
    ("config-address", 1, "register", "register shifted by two",
     lambda d: (word(d) - d["register"] | d["register"] << 2,)),
    ("config-address", 1, "device", "device from bit 12",
     lambda d: (1 << 31 | rid(d["function"]) >> 8 << 16 | (rid(d["function"]) >> 3 & 31) << 12
                | (rid(d["function"]) & 7) << 8 | d["register"],)),
    ("config-address", 2, "bus", "the shifts of CONFIG_ADDRESS",
     lambda d: (d["base"] + (rid(d["function"]) << 8) + (d["register"] & 0xFC),)),
    ("config-address", 2, "base", "an offset, no address",
     lambda d: (WORK["config-address"](d, 2)[0] - d["base"],)),
    ("bar-size", 1, "size", "inverted, one not added",
     lambda d: ("mem32", ~(d["after"][0] & ~15) & 0xFFFFFFFF, d["before"][0] & ~15)),
    ("io-bitmap", 1, "bit", "bit 0 on the left", lambda d: bitmap(d, bit=7 - d["port"] % 8)),
    ("io-bitmap", 1, "verdict", "1 taken for open", lambda d: bitmap(d, turn=True)),
    ("io-bitmap", 2, "byte", "B does not begin anew", lambda d: bitmap(d, byte=d["port"] // 8)),
    ("ept-walk", 1, "end", "offset forgotten", lambda d: (ept(d) & ~4095,)),
    ("ept-walk", 1, "end", "rights left in the address",
     lambda d: (next(e for _, e in d["entries"] if e >> 12 == ept(d) >> 12) | d["gpa"] % 4096,)),
    ("ept-walk", 2, "end", "a large page's offset cut at 12 bits",
     lambda d: (large_cut(d),)),
    ("scatter", 1, "pages", "one piece for all",
     lambda d: (WORK["scatter"](d, 1)[0], d["length"])),
    ("scatter", 1, "frames", "the guest's own address", lambda d: (d["gpa"], d["length"])),
    ("vring-layout", 1, "available ring", "used_event forgotten", lambda d: short_ring(d)),
    ("vring-layout", 2, "alignment", "used ring not aligned", lambda d: unaligned(d)),
    ("vring-layout", 3, "slot", "position not reduced", lambda d: unreduced(d)),
    ("ring-state", 2, "available", "no wrap at 65536",
     lambda d: (d["avail"] - d["last_avail"], d["last_avail"] - d["used"],
                d["size"] - d["avail"] + d["used"])),
    ("ring-state", 1, "free", "in flight taken for free",
     lambda d: (d["avail"] - d["last_avail"], d["last_avail"] - d["used"],
                d["size"] - d["avail"] + d["last_avail"])),
    ("chain-walk", 1, "buffers", "read and written exchanged",
     lambda d: (chain(d)[0], chain(d)[2], chain(d)[1])),
    ("chain-walk", 2, "buffers", "big-endian", chain_big_endian),
    ("event-idx", 1, "behind the event", "off by one",
     lambda d: ((d["new"] - d["event"]) % 65536, d["new"] - d["old"], event(d)[2])),
    ("event-idx", 3, "behind the event", "no wrap at 65536",
     lambda d: (d["new"] - d["event"] - 1, d["new"] - d["old"], event(d)[2])),
    ("event-idx", 1, "decision", "the other way round",
     lambda d: (*event(d)[:2], "no" if event(d)[2] == "yes" else "yes")),
    ("packed-wrap", 2, "wrap counter", "the counter is not flipped",
     lambda d: (*packed(d)[:3], 1 - packed(d)[3])),
    ("packed-wrap", 3, "lists", "every descriptor a list",
     lambda d: (packed(d)[1], *packed(d)[1:])),
    ("vtd-walk", 1, "end", "offset forgotten", lambda d: (vtd(d)[0] & ~4095,)),
    ("vtd-walk", 1, "level 1 entry", "the neighbour of the entry",
     lambda d: (neighbour(d) & 0x000F_FFFF_FFFF_F000 | d["iova"] & 4095,)),
    ("irq-remap", 2, "index", "subhandle not added", old_irq_shift),
    ("posted-interrupt", 1, "notifications", "one for each post",
     lambda d: (*posted(d)[:2], len(d["events"]), posted(d)[3])),
    ("vf-routing-id", 1, "this VF", "counted from 0",
     lambda d: (bdf(rid(d["physical"]) + d["offset"] + d["number"] * d["stride"]),)),
    ("vf-routing-id", 2, "first VF", "the offset is forgotten",
     lambda d: (bdf(rid(d["physical"]) + (d["number"] - 1) * d["stride"]),)),
    ("vf-routing-id", 3, "bus, device, function", "no carry into the bus",
     lambda d: (no_carry(d), WORK["vf-routing-id"](d, 3)[1])),
    ("ari", 1, "routing id", "counted from 0",
     lambda d: (d["functions"], d["functions"],
                bdf(d["bus"] * 256 + d["functions"] + d["number"] * d["functions"]))),
]  # fmt: skip

if sys.platform == "linux":
    MISTAKES += [
        ("vhost-memory", 2, "file", "mmap offset forgotten",
         lambda d: (vhost(d)[0], vhost(d)[0] - region(d)[0])),
        ("vhost-memory", 1, "inside", "user address not taken away",
         lambda d: (region(d)[0] + d["user"], region(d)[3] + d["user"])),
    ]  # fmt: skip


def who(d: Given) -> object:
    if WORK["port-decode"](d, 1)[0] == "nobody":
        raise ValueError("nobody has an offset")
    return WORK["port-decode"](d, 1)[0]


def base(d: Given) -> int:
    return next(b for name, b, _ in d["devices"] if name == who(d))


def uart(d: Given) -> tuple[Any, ...]:
    return WORK["uart-line"](d, 1)


def entry(d: Given) -> list[int]:
    left = d["byte"]
    for row in d["rows"]:
        if left < row[1]:
            return list(row)
        left -= row[1]
    raise AssertionError("a byte of the table")


def word(d: Given) -> int:
    return int(WORK["config-address"](d, 1)[0])


def bitmap(d: Given, byte: int = -1, bit: int = -1, turn: bool = False) -> tuple[object, ...]:
    page, right_byte, right_bit, end = WORK["io-bitmap"](d, 1)
    other = {"exit": "open", "open": "exit"}[end]
    return (
        page,
        right_byte if byte < 0 else byte,
        right_bit if bit < 0 else bit,
        other if turn else end,
    )


def ept(d: Given) -> int:
    return int(WORK["ept-walk"](d, 1)[0])


def large_cut(d: Given) -> int:
    leaf = next(e for _, e in d["entries"] if e & 0x80 and ept(d) >> 21 == e >> 21)
    return leaf & ~0xFFF | d["gpa"] % 4096


def short_ring(d: Given) -> tuple[object, ...]:
    avail, used, end = WORK["vring-layout"](d, 1)
    other = (avail + 4 + 2 * d["size"] + d["align"] - 1) // d["align"] * d["align"]
    return (avail, other, other + end - used)


def unaligned(d: Given) -> tuple[object, ...]:
    avail, used, end = WORK["vring-layout"](d, 1)
    behind = avail + 6 + 2 * d["size"]
    return (avail, behind, behind + end - used)


def unreduced(d: Given) -> tuple[object, ...]:
    entry, element, event = WORK["vring-layout"](d, 3)
    slot = d["position"] % d["size"]
    return (entry + 2 * (d["position"] - slot), element + 8 * (d["position"] - slot), event)


def chain(d: Given) -> tuple[Any, ...]:
    return WORK["chain-walk"](d, 1)


def event(d: Given) -> tuple[Any, ...]:
    return WORK["event-idx"](d, 1)


def packed(d: Given) -> tuple[Any, ...]:
    return WORK["packed-wrap"](d, 1)


def vtd(d: Given) -> tuple[Any, ...]:
    return WORK["vtd-walk"](d, 1)


def neighbour(d: Given) -> int:
    leaf = vtd(d)[0] >> 12 << 12 | 3
    at = next(at for at, _, value in d["entries"] if value == leaf)
    return int(next(value for other, _, value in d["entries"] if other == at ^ 8))


def posted(d: Given) -> tuple[Any, ...]:
    return WORK["posted-interrupt"](d, 1)


def no_carry(d: Given) -> str:
    found = rid(WORK["vf-routing-id"](d, 2)[0])
    return bdf(rid(d["physical"]) & 0xFF00 | found & 0xFF)


def vhost(d: Given) -> tuple[Any, ...]:
    return WORK["vhost-memory"](d, 1)


def region(d: Given) -> list[int]:
    return next(list(r) for r in d["regions"] if r[2] <= d["user"] < r[2] + r[1])


@pytest.mark.parametrize(
    ("name", "level", "step", "mistake"),
    [pytest.param(n, v, s, m, id=f"{n}: {words}") for n, v, s, words, m in MISTAKES],
)
def test_a_mistake_is_told_by_its_step(name: str, level: int, step: str, mistake: Mistake) -> None:
    told = []
    for one in (problem(name, seed, level) for seed in range(40)):
        wrong = _made(one, mistake)
        if wrong is not None and wrong != one.key.answer:
            told.append(one.check(wrong).step)
    assert told, "no problem in which this mistake matters"
    assert told.count(step) >= 0.8 * len(told), told


def _made(one: Problem, mistake: Mistake) -> tuple[object, ...] | None:
    """The wrong answer; None where the problem is not one in which the mistake can be made."""
    try:
        return mistake(one.data)
    except (LookupError, StopIteration, TypeError, AssertionError, ValueError):
        return None
