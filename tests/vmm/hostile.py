"""Tables full of whatever a hostile or careless hand could write, for the walks to be tried on."""

from hypothesis import strategies as st

from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.frames import Frames

FRAMES = 6
"""Frames of host memory: a few, so that tables point at each other and at themselves."""

INDICES = (0, 1, 511)

frame_numbers = st.integers(0, FRAMES + 1)
"""Also two frames where the host has no memory."""

odd_bits = st.sampled_from(
    [
        0,
        0,
        0,
        0,
        1 << 7,
        1 << 3,
        1 << 6,
        1 << 12,
        1 << 20,
        1 << 29,
        1 << 45,
        1 << 46,
        1 << 51,
        1 << 52,
        1 << 63,
        3 << 3,
        1 << 11,
    ]
)
entries = st.one_of(
    st.builds(
        lambda frame, low, odd: frame << 12 | low | odd,
        frame_numbers,
        st.sampled_from([7, 7, 0x37, 0x30, 3, 1, 0]),
        odd_bits,
    ),
    st.builds(
        lambda frame, low, odd: frame << 12 | low | odd,
        frame_numbers,
        st.integers(0, 0xFFF),
        odd_bits,
    ),
    st.integers(0, (1 << 64) - 1),
)

indices = st.sampled_from(INDICES)
addresses = st.one_of(
    st.builds(
        lambda a, b, c, d, offset: a << 39 | b << 30 | c << 21 | d << 12 | offset,
        indices,
        indices,
        indices,
        indices,
        st.integers(0, PAGE - 1),
    ),
    st.integers(0, (1 << 52) - 1),
)

contents = st.dictionaries(st.tuples(st.integers(0, FRAMES - 1), indices), entries, max_size=18)
"""What stands in which table: `(frame, index) -> entry`. Everything else is zero."""


def build(kind, content, **options):
    """A `kind` of tables over a host memory with this content; its root is frame 0."""
    memory = GuestMemory(FRAMES * PAGE)
    tables = kind(Frames(memory, 0, FRAMES), **options)
    for (frame, index), entry in content.items():
        memory.store(frame * PAGE + 8 * index, 8, entry)
    return tables


def entry_of(content, table, index):
    """The model's memory: an entry by the number of its frame, all ones past the end."""
    return content.get((table, index), 0) if table < FRAMES else (1 << 64) - 1


def one_bit_wrong(leaf_low):
    """Every single bit of every entry of a good walk turned over, for each size of page.

    Gives `(content, gpa)`; a page's entry has the low bits `leaf_low`. The first three have
    nothing wrong.
    """
    for leaf in (1, 2, 3):
        good = {(4 - level, 0): (5 - level) << 12 | 7 for level in range(4, leaf, -1)}
        good[4 - leaf, 0] = (1 << 30 if leaf > 1 else 5 << 12) | leaf_low | (leaf > 1) << 7
        gpa = 0x1234_4678 % (1 << (3 + 9 * leaf))
        yield good, gpa
        yield good, gpa | 1 << 48
        for place, entry in good.items():
            for bit in range(64):
                yield good | {place: entry ^ (1 << bit)}, gpa
