"""A machine that runs a seccomp filter, so that a test can ask it about any call on any processor.

It knows the instructions that `seccomp` uses, and refuses all others. It works on the packed bytes
of `struct seccomp_data`, as the kernel's does.
"""

from __future__ import annotations

import struct


def run(program, number, *arguments, arch):
    """The verdict of a filter about one system call."""
    words = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=iIQ6Q", number, arch, 0, *words)
    at = a = 0
    while True:
        code, true, false, k = program[at]
        at += 1
        if code == 0x20:
            (a,) = struct.unpack_from("=I", data, k)
        elif code == 0x54:
            a &= k
        elif code == 0x15:
            at += true if a == k else false
        elif code == 0x25:
            at += true if a > k else false
        elif code == 0x45:
            at += true if a & k else false
        elif code == 0x06:
            return k
        else:
            raise AssertionError(f"an instruction that nobody wrote: {code:#x}")
