"""Each kind of problem worked with pencil and paper: plain arithmetic on what is given.

The idea: the library judges the problems, so nothing of the library is used here. Each function
takes a problem's `data`, which has the numbers that the reader sees, and gives the answer's tokens.
That the two agree says that what is given is enough, and that there is one answer.
"""

from __future__ import annotations

from typing import Any

Given = dict[str, Any]


def bdf(rid: int) -> str:
    return f"{rid >> 8 & 0xFF:02x}:{rid >> 3 & 31:02x}.{rid & 7}"


def rid(text: str) -> int:
    bus, rest = text.split(":")
    device, function = rest.split(".")
    return int(bus, 16) << 8 | int(device, 16) << 3 | int(function)


def port_decode(d: Given, level: int) -> tuple[object, ...]:
    ports = range(d["port"], d["port"] + d["size"])
    for name, base, length in d["devices"]:
        if all(base <= port < base + length for port in ports):
            return (name, d["port"] - base)
    return ("nobody",)


def uart_line(d: Given, level: int) -> tuple[object, ...]:
    if level == 1:
        divisor = 115200 // d["baud"]
        parity = {"none": 0, "odd": 0b01000, "even": 0b11000}[d["parity"]]
        return (divisor % 256, divisor // 256, d["data"] - 5 + 4 * (d["stop"] - 1) + parity)
    latch, lcr = [12, 0], 0
    for offset, value in d["writes"]:
        if offset == 3:
            lcr = value
        elif lcr >= 0x80 and offset < 2:
            latch[offset] = value
    bits = 1 + 5 + lcr % 4 + (lcr >> 3 & 1) + 1 + (lcr >> 2 & 1)
    return (115200 // (latch[0] + 256 * latch[1]), bits)


def prd_table(d: Given, level: int) -> tuple[object, ...]:
    left = d["byte"]
    for base, count, flags in d["rows"]:
        size = count or 65536
        if left < size:
            return (base + left,)
        left -= size
        if flags & 0x8000:
            break
    return ("nowhere",)


def config_address(d: Given, level: int) -> tuple[object, ...]:
    if level == 1:
        return (0x8000_0000 + rid(d["function"]) * 0x100 + d["register"],)
    if level == 2:
        return (d["base"] + rid(d["function"]) * 0x1000 + d["register"],)
    if d["ports"]:
        return (bdf(d["word"] >> 8 & 0xFFFF), d["word"] % 256 + d["byte"])
    return (bdf(d["word"] >> 12), d["word"] % 4096)


def bar_size(d: Given, level: int) -> tuple[object, ...]:
    low, before = d["after"][0], d["before"][0]
    if low & 1:
        return ("io", 2**32 - (low - 1), before - 1)
    if low & 6 == 4:
        mask, at = (
            d["after"][1] * 2**32 + low // 16 * 16,
            d["before"][1] * 2**32 + before // 16 * 16,
        )
        return ("mem64", 2**64 - mask, at)
    return ("mem32", 2**32 - low // 16 * 16, before // 16 * 16)


def bridge_window(d: Given, level: int) -> tuple[object, ...]:
    port = d["space"] == "port"
    for name, command, base, limit in d["bridges"]:
        bottom, top = int(base, 16) // 16, int(limit, 16) // 16
        unit = 4096 if port else 1 << 20
        inside = bottom * unit <= d["address"] and d["address"] + d["size"] <= (top + 1) * unit
        if int(command, 16) & (1 if port else 2) and inside:
            return (name,)
    return ("none",)


def bus_number(d: Given, level: int) -> tuple[object, ...]:
    way, here = [], 0
    while True:
        for name, primary, secondary, subordinate in d["bridges"]:
            first, last = int(secondary, 16), int(subordinate, 16)
            if int(primary, 16) == here and first <= d["bus"] <= last:
                way.append(name)
                here = first
                break
        else:
            return tuple(way) or ("none",)


def io_bitmap(d: Given, level: int) -> tuple[object, ...]:
    both, port = bytes.fromhex(d["a"]) + bytes.fromhex(d["b"]), d["port"]
    bits = [both[at // 8] >> at % 8 & 1 for at in range(port, port + d["size"])]
    page, inside = divmod(port, 0x8000)
    return ("ab"[page], inside // 8, port % 8, "exit" if any(bits) else "open")


def ept_walk(d: Given, level: int) -> tuple[object, ...]:
    entries, table, allowed = dict(d["entries"]), d["root"], 7
    for shift in (39, 30, 21, 12):
        entry = entries.get(table + 8 * (d["gpa"] >> shift & 511), 0)
        rights = entry & 7
        if not rights:
            return ("violation",)
        if rights & 3 == 2 or rights == 4 or entry >> 46 & 63:
            return ("misconfiguration",)
        allowed &= rights
        table = entry & 0x000F_FFFF_FFFF_F000
        if shift == 12 or entry & 0x80:
            break
    if not allowed & (2 if d["write"] else 1):
        return ("violation",)
    return (table >> shift << shift | d["gpa"] & (1 << shift) - 1,)


def scatter(d: Given, level: int) -> tuple[object, ...]:
    frames, pieces = dict(d["pages"]), []
    for at in range(d["gpa"], d["gpa"] + d["length"]):
        if at & ~4095 not in frames:
            return ("refused",)
        hpa = frames[at & ~4095] + at % 4096
        if pieces and pieces[-1][0] + pieces[-1][1] == hpa:
            pieces[-1][1] += 1
        else:
            pieces.append([hpa, 1])
    return tuple(number for piece in pieces for number in piece)


def vring_layout(d: Given, level: int) -> tuple[object, ...]:
    size, align = d["size"], d["align"]
    avail = d["base"] + 16 * size
    used = (avail + 6 + 2 * size + align - 1) // align * align
    if level < 3:
        return (avail, used, used + 6 + 8 * size)
    slot = d["position"] % size
    return (avail + 4 + 2 * slot, used + 4 + 8 * slot, used + 4 + 8 * size)


def ring_state(d: Given, level: int) -> tuple[object, ...]:
    waiting = (d["avail"] - d["last_avail"]) % 65536
    flying = (d["last_avail"] - d["used"]) % 65536
    free = d["size"] - waiting - flying
    return ("broken",) if free < 0 else (waiting, flying, free)


def chain_walk(d: Given, level: int) -> tuple[object, ...]:
    buffers = _follow(d["table"], d["head"])
    if buffers is not None and buffers and buffers[-1][2] & 4:
        inner = _follow(d["inside"], 0)
        buffers = buffers[:-1] + inner if inner is not None else None
    if buffers is None or any(length == 0 for _, length, _, _ in buffers):
        return ("refused",)
    kinds = [bool(flags & 2) for _, _, flags, _ in buffers]
    if kinds != sorted(kinds):
        return ("refused",)
    read = sum(b[1] for b in buffers if not b[2] & 2)
    return (len(buffers), read, sum(b[1] for b in buffers) - read)


def _follow(table: list[list[int]], at: int) -> list[list[int]] | None:
    seen: list[int] = []
    while True:
        if at >= len(table) or at in seen:
            return None
        seen.append(at)
        if not table[at][2] & 1:
            return [table[n] for n in seen]
        at = table[at][3]


def event_idx(d: Given, level: int) -> tuple[object, ...]:
    steps = (d["new"] - d["old"]) % 65536
    passed = [(d["old"] + n) % 65536 for n in range(steps)]
    behind = (d["new"] - d["event"] - 1) % 65536
    return (behind, steps, "yes" if d["event"] in passed else "no")


def packed_wrap(d: Given, level: int) -> tuple[object, ...]:
    flags, slot, wrap = d["flags"], d["slot"], d["wrap"]
    lists = taken = 0
    while (flags[slot] >> 7 & 1, flags[slot] >> 15) == (wrap, 1 - wrap) and taken < len(flags):
        taken += 1
        lists += not flags[slot] & 1
        slot += 1
        if slot == len(flags):
            slot, wrap = 0, 1 - wrap
    return (lists, taken, slot, wrap)


def vhost_memory(d: Given, level: int) -> tuple[object, ...]:
    for guest, size, user, offset in d["regions"]:
        inside = d["user"] - user
        if 0 <= inside and inside + d["length"] <= size:
            return (guest + inside, offset + inside)
    return ("refused",)


def vtd_walk(d: Given, level: int) -> tuple[object, ...]:
    entries = {at: value for at, _, value in d["entries"]}
    root = entries.get(d["root"] + 16 * (d["source"] >> 8), 0)
    if not root & 1:
        return ("fault", 1)
    context = entries.get((root & ~0xFFF) + 16 * (d["source"] & 0xFF), 0)
    if not context & 1:
        return ("fault", 2)
    levels, table = (context >> 64 & 7) + 2, context & 0xFFFF_FFFF_FFFF_F000
    for step in range(levels, 0, -1):
        shift = 12 + 9 * (step - 1)
        entry = entries.get(table + 8 * (d["iova"] >> shift & 511), 0)
        if not entry & (2 if d["write"] else 1):
            return ("fault", 5 if d["write"] else 6)
        page = step == 1 or entry & 0x80
        if not page and entry & 0x800:
            return ("fault", 0xC)
        table = entry & 0x000F_FFFF_FFFF_F000
        if page:
            return (table | d["iova"] & (1 << shift) - 1,)
    raise AssertionError("a walk ends at a page")


def irq_remap(d: Given, level: int) -> tuple[object, ...]:
    address = d["address"]
    if not address & 16:
        return ("fault", 0x25)
    index = address >> 5 & 0x7FFF
    index += d["data"] if address & 8 else 0
    high, low = next((int(h, 16), int(w, 16)) for n, h, w in d["table"] if n == index)
    if not low & 1:
        return ("fault", 0x22)
    if low >> 5 & 7 == 3:
        return ("fault", 0x24)
    if high & 0xFFFF != d["source"]:
        return ("fault", 0x26)
    return (low >> 16 & 0xFF, low >> 40 & 0xFF)


def posted_interrupt(d: Given, level: int) -> tuple[object, ...]:
    pending, on, sn, sent = set(), False, False, 0
    for what, vector in d["events"]:
        if what in ("post", "urgent"):
            pending.add(vector)
            if not on and (what == "urgent" or not sn):
                on, sent = True, sent + 1
        elif what == "take":
            pending, on = set(), False
        else:
            sn = what == "suppress"
    return (d["vector"] // 8, d["vector"] % 8, sent, len(pending))


def vf_routing_id(d: Given, level: int) -> tuple[object, ...]:
    first = rid(d["physical"]) + d["offset"]
    this = bdf(first + (d["number"] - 1) * d["stride"])
    last = first + (d["count"] - 1) * d["stride"]
    return (this, last >> 8) if level == 3 else (this,)


def ari(d: Given, level: int) -> tuple[object, ...]:
    turns, physical = d["functions"], d["bus"] * 256 + d["owner"]
    fits = turns * (1 + d["count"]) <= (256 if d["ari"] else 8)
    offset = turns if fits else 256
    return (offset, turns, bdf(physical + offset + (d["number"] - 1) * turns))


WORK = {
    name.replace("_", "-"): work
    for name, work in list(globals().items())
    if callable(work) and name not in ("bdf", "rid", "Any", "Given") and not name.startswith("_")
}
"""By kind, who works it."""
