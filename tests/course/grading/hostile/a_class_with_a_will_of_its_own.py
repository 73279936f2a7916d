# ruff: noqa
"""An object of a class whose name, iteration, hash, length and pickle all do harm."""


# %% ps1-q1-answer
class Meta(type):
    __name__ = property(lambda cls: 1 / 0)
    __module__ = "builtins"
    __instancecheck__ = __subclasscheck__ = lambda *arguments: True


class Will(metaclass=Meta):
    def __iter__(self):
        while True:
            yield self

    def __getattr__(self, name):
        raise SystemExit(name)

    def __reduce__(self):
        return print, ("LEAKED: unpickled",)

    __len__ = lambda self: 1 << 62
    __hash__ = None
    __repr__ = lambda self: 1 / 0


def who_answers(mappings, address, size):
    return Will()
