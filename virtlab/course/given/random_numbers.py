"""The numbers of tasks 3 and 4 of problem set 5: a generator in three shifts.

    state   x ^= x << 13    x ^= x >> 17    x ^= x << 5        32 bits; 2**32 - 1 states in a circle

The idea: a device that gives random numbers is only interesting for how they reach the guest. So
the numbers themselves are given, and each follows from the one before.

The rule that keeps it simple: 0 is not in the circle, and never leads into it.

Source: G. Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8 (14), 2003.
"""

from __future__ import annotations

MASK = 0xFFFF_FFFF


def xorshift(state: int) -> int:
    """The state after `state`, a number of 32 bits.

    >>> hex(xorshift(1)), xorshift(0)
    ('0x42021', 0)
    """
    state ^= state << 13 & MASK
    state ^= state >> 17
    return state ^ state << 5 & MASK


def stream(seed: int, length: int) -> bytes:
    """`length` bytes from `seed` on: each number is four, little-endian. 0 counts as 1.

    >>> stream(1, 6).hex(" ")
    '21 20 04 00 01 06'
    """
    return b"".join(n.to_bytes(4, "little") for n in numbers(seed, -(-length // 4)))[:length]


def numbers(seed: int, count: int) -> list[int]:
    """The `count` numbers that follow `seed`."""
    found, state = [], seed or 1
    for _ in range(count):
        state = xorshift(state)
        found.append(state)
    return found
