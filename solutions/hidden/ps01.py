"""Hidden cases of problem set 1: the judges of `virtlab.course.ps1`, asked other things.

A visible case has fixed inputs, or random ones from a small range. Each case here leaves that
range: addresses of 32 bits, a slower line, a byte of zero, a count above 255. The builders belong
to the judges' own modules, which is why their names begin with an underscore.

`HIDDEN[task]` are asked behind the task's own cases. A name says what a case is about, and not what
it asks. `virtlab.course.grading.hidden` reads this file; nothing else does.
"""

from itertools import product

from virtlab.course.ps1.boards import COM1
from virtlab.course.ps1.console import _console, _accesses
from virtlab.course.ps1.decode import _decode
from virtlab.course.ps1.device import _r, _Twins, _w
from virtlab.course.ps1.line import _LineSet
from virtlab.course.ps1.printing import _print
from virtlab.course.ps1.screen import _show
from virtlab.course.ps1.write_rule import ALL, _written
from virtlab.course.tasks import Case, first
from virtlab.devices.uart import LCR, THR

# -- 1. who answers

MEMORY = [
    (0xFEE0_0000, 0x10_0000, "lapic"),
    (0xE000_0000, 0x1000_0000, "ecam"),
    (0x000B_8000, 0x8000, "screen"),
    (0xFEC0_0000, 0x1000, "ioapic"),
    (0xFFFF_0000, 0x1_0000, "rom"),
]


def memory(answer, rng):
    """Devices of megabytes, asked at their edges: a page is far from the largest that there is."""
    edges = [edge for base, length, _ in MEMORY for edge in (base, base + length - 1)]
    asked = [(edge, 1) for edge in edges] + [(0xFFFF_FFFC, 4), (0xEFFF_FFFE, 4), (0x1_0000, 2)]
    return _decode(answer, MEMORY, asked)


def other_map(answer, rng):
    """The same questions of two machines in turn: what was answered before does not count."""
    base = rng.randrange(0x100, 0x200)
    maps = [(base, 8, "a"), (base + 8, 8, "b")], [(base, 8, "b"), (base + 6 + 2, 16, "c")]
    asked = [(base + 7, 1), (base + 8, 4), (base + 7, 2), (base + 16, 1)]
    return first(_decode(answer, each, asked) for each in (*maps, *maps))


# -- 2. print, 3. set the line


def ascii_text(answer, rng):
    """Characters of ASCII in some order, a zero among them: not only those that can be seen."""
    text = "".join(map(chr, [0x7F, *rng.sample(range(0x80), 20), 0, 0x41]))
    return _print(answer, text, divisor=1, busy="ab")


def open_latch(answer, rng):
    """Whoever used the UART before left DLAB at 1, or a break on the line."""
    for lcr in (0x83, 0xC7, 0x43):
        line = 115200 // rng.randrange(2, 1152), rng.randrange(5, 9), rng.choice("NOE"), 2
        done = _LineSet(answer, line, lcr)
        found = done.check_divisor() or done.check_closed() or done.check_frame()
        if found := found or done.check_rest():
            return found
    return None


def lowest_speeds(answer, rng):
    """Divisors above those of 100 baud."""
    done = (_LineSet(answer, (baud, 8, "N", 1)) for baud in (50, 75, 110))
    return first(one.check_divisor() for one in done)


def every_frame(answer, rng):
    """All twenty-four formats, one after the other."""
    frames = product(range(5, 9), "NOE", (1, 2))
    return first(_LineSet(answer, (9600, *frame)).check_frame() for frame in frames)


# -- 4. a recorded boot


def any_byte(answer, rng):
    """A program that sends bytes, not text."""
    return _console(answer, _accesses(*(("w", 0, byte) for byte in rng.sample(range(256), 256))))


def many_divisors(answer, rng):
    """A long record in which the latch opens and closes again and again."""
    verbs = [
        ("w", rng.choice((THR.offset, THR.offset, 1, LCR.offset)), rng.randrange(256))
        for _ in range(1000)
    ]
    return _console(answer, _accesses(*verbs), f"1,000 writes to the ports from {COM1:#x}")


# -- 5. the screen


def no_colour(answer, rng):
    """Black on black is an attribute too."""
    return _show(answer, rng.randrange(25), rng.randrange(70), "unseen", 0)


def whole_rows(answer, rng):
    """More than a row, from its first column; every character of ASCII among them."""
    text = "".join(map(chr, range(0x80)))
    return _show(answer, 0, 0, text, 0xF0) or _show(answer, 23, 0, text[60:], 0x70)


# -- 6. the write rule


def no_such_bits(answer, rng):
    """Registers in which nothing can be written, and in which all can be cleared."""
    old, new = rng.getrandbits(32), rng.getrandbits(32)
    masks = (0, 0), (0, ALL), (ALL, 0)
    parts = (0, 4), (0, 1), (3, 1), (2, 2), (1, 2)
    return _written(answer, [(old, new, *part, *mask) for mask in masks for part in parts])


def one_bit(answer, rng):
    """One bit of a register, in each of its places."""
    bits = [1 << bit for bit in range(32)]
    writes = [(ALL, 0, 0, 4, bit, 0) for bit in bits] + [(ALL, ALL, 0, 4, 0, bit) for bit in bits]
    return _written(answer, writes)


# -- 7. a device


def many_writes(answer, rng):
    """A count that does not fit a byte."""
    twins = _Twins(answer)
    for _ in range(300):
        twins.step(*_w(4 + rng.randrange(4), rng.randrange(256), 1))
    return twins.step(*_r(8)) or twins.step(*_r(9, 1)) or twins.step(*_r(4))


def side_by_side(answer, rng):
    """Two devices in use at once: each has registers of its own."""
    one, other = _Twins(answer, "two devices, used in turn; "), _Twins(answer, "the other; ")
    for step in (_w(4, rng.getrandbits(32)), _w(0, 1), _w(5, 7, 1)):
        one.step(*step)
        other.step(*_w(4, rng.getrandbits(32)))
    return first(twins.step(*_r(at)) for at in (4, 8, 12) for twins in (one, other))


HIDDEN = {
    "ps1.q1": (
        Case("a map of memory", memory),
        Case("the same question, another map", other_map),
    ),
    "ps1.q2": (
        Case("a still slower line", lambda answer, rng: _print(answer, "low", divisor=24)),
        Case("characters that cannot be seen", ascii_text),
    ),
    "ps1.q3": (
        Case("the lowest speeds", lowest_speeds),
        Case("a line left open", open_latch),
        Case("every frame", every_frame),
    ),
    "ps1.q4": (
        Case("bytes that are no text", any_byte),
        Case("many divisors", many_divisors),
    ),
    "ps1.q5": (
        Case("no colour", no_colour),
        Case("whole rows", whole_rows),
    ),
    "ps1.q6": (
        Case("nothing to write, all to clear", no_such_bits),
        Case("one bit at a time", one_bit),
    ),
    "ps1.q7": (
        Case("many writes", many_writes),
        Case("two devices side by side", side_by_side),
    ),
}
