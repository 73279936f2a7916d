# ruff: noqa
"""Numbers that run code when they are looked at, as arguments of a machine."""


# %% ps1-q2-answer
class Value(int):
    def __index__(self):
        raise SystemExit("looked at")

    __int__ = __and__ = __rand__ = __lt__ = __le__ = __eq__ = __hash__ = __index__


def put(cpu, text):
    for character in text:
        cpu.out(Value(0x3F8), Value(ord(character)))
