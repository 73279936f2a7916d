"""What the SDM says of page tables, written down a second time, with nothing of the library.

A table's content is a dict `(frame, index) -> entry`. Frames past `FRAMES` have no memory, and read
as all ones. An end is `("address", n)`, or what the processor raises instead.
"""

FRAMES = 6


def look_up(content, frame, index, bits=64):
    return content.get((frame, index), 0) if frame < FRAMES else (1 << bits) - 1


def bit(word, n):
    return word >> n & 1


def field(word, high, low):
    return (word >> low) % (1 << (high - low + 1))


def bits(*numbers):
    return sum(1 << n for n in numbers)


# -- EPT: SDM 3C 29.3.2 and 29.3.3

EPT_ZERO = {
    (4, False): bits(*range(3, 8)),
    (3, False): bits(*range(3, 7)),
    (3, True): bits(*range(12, 30)),
    (2, False): bits(*range(3, 7)),
    (2, True): bits(*range(12, 21)),
    (1, True): 0,
}


def ept(content, gpa, write, width=46, execute_only=False):
    """`("address", hpa)`, `("violation", rights)` or `("misconfiguration", why)`."""
    if gpa >= 2**48:
        return "violation", 0
    frame, allowed, beyond = 0, [1, 1, 1], bits(*range(width, 52))
    for level in (4, 3, 2, 1):
        low = 12 + 9 * (level - 1)
        entry = look_up(content, frame, field(gpa, low + 8, low))
        read, write_, execute = bit(entry, 0), bit(entry, 1), bit(entry, 2)
        if not read and not write_ and not execute:
            return "violation", 0
        maps = level == 1 or (level in (2, 3) and bit(entry, 7) == 1)
        if write_ and not read:
            return "misconfiguration", "can be written but not read"
        if execute and not read and not write_ and not execute_only:
            return "misconfiguration", "can only be executed"
        if entry & (EPT_ZERO[level, maps] | beyond):
            return "misconfiguration", "a reserved bit is set"
        if maps and field(entry, 5, 3) not in (0, 1, 4, 5, 6):
            return "misconfiguration", "a reserved memory type"
        allowed = [a and b for a, b in zip(allowed, (read, write_, execute), strict=True)]
        if maps:
            if not allowed[1 if write else 0]:
                return "violation", allowed[0] + 2 * allowed[1] + 4 * allowed[2]
            return "address", field(entry, 51, low) << low | field(gpa, low - 1, 0)
        frame = field(entry, 51, 12)
    raise AssertionError("level 1 always maps a page")


# -- ordinary paging: SDM 3A 4.3, 4.5 to 4.8

FOUR_LEVELS = {4: (47, 39), 3: (38, 30), 2: (29, 21), 1: (20, 12)}
TWO_LEVELS = {2: (31, 22), 1: (21, 12)}


class Processor:
    """The bits of a processor that paging asks for."""

    def __init__(self, levels=4, user=False, wp=True, nxe=True, width=46, gigabyte=True, pse=True):
        self.levels, self.user, self.wp, self.nxe = levels, user, wp, nxe and levels == 4
        self.width, self.gigabyte, self.pse = width, gigabyte, pse
        pairs = [(level, maps) for level in range(1, levels + 1) for maps in (False, True)]
        self.zero = {pair: bits(*self.zeros(*pair)) for pair in pairs}

    def maps_a_page(self, entry, level):
        if self.levels == 2:
            return level == 1 or (self.pse and bit(entry, 7) == 1)
        return level == 1 or (level in (2, 3) and bit(entry, 7) == 1)

    def zeros(self, level, maps):
        """The numbers of the bits that must be 0."""
        if self.levels == 2:
            return range(13, 22) if level == 2 and maps else ()
        must = [*range(self.width, 52)]
        must += [] if self.nxe else [63]
        must += [7] if level == 4 or (level == 3 and maps and not self.gigabyte) else []
        return must + (list(range(13, {2: 21, 3: 30}[level])) if maps and level in (2, 3) else [])

    def access(self, content, cr3, address, write, fetch=False):
        """`("address", n)`, `("page fault", error code)` or `("general protection", 0)`.

        With it the places of the entries used, and which of them gets D: `[((frame, index), D)]`.
        """
        code = 2 * write + 4 * self.user + 16 * (fetch and self.nxe)
        if self.levels == 4 and field(address, 63, 47) not in (0, 2**17 - 1):
            return ("general protection", 0), []
        indices = FOUR_LEVELS if self.levels == 4 else TWO_LEVELS
        frame, used, entries = cr3, [], []
        for level, (high, low) in indices.items():
            index = field(address, high, low)
            entry = look_up(content, frame, index, 64 if self.levels == 4 else 32)
            if not bit(entry, 0):
                return ("page fault", code), []
            maps = self.maps_a_page(entry, level)
            if entry & self.zero[level, maps]:
                return ("page fault", code | 9), []
            entries.append(entry)
            used.append(((frame, index), maps and write))
            if maps:
                if not self.may(entries, write, fetch):
                    return ("page fault", code | 1), []
                top = 51 if self.levels == 4 else 31
                result = field(entry, top, low) << low | field(address, low - 1, 0)
                return ("address", result), used
            frame = field(entry, 51 if self.levels == 4 else 31, 12)
        raise AssertionError("level 1 always maps a page")

    def may(self, entries, write, fetch):
        """SDM 3A 4.6.1, for the two kinds of access."""
        for_users = all(bit(entry, 2) for entry in entries)
        writable = all(bit(entry, 1) for entry in entries)
        no_code = self.nxe and any(bit(entry, 63) for entry in entries)
        if fetch and no_code:
            return False
        if self.user:
            return for_users and (writable or not write)
        return writable or not write or not self.wp


def marked(content, used):
    """The content with A and D set where an access used entries."""
    after = dict(content)
    for (frame, index), dirty in used:
        if frame < FRAMES:
            after[frame, index] = after.get((frame, index), 0) | 0x20 | (0x40 if dirty else 0)
    return after
