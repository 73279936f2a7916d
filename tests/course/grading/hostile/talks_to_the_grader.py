# ruff: noqa
"""Takes the child's own end of the pipe, and asks for what it was not given."""

# %% ps1-q2-answer
import gc

MESSAGES = (
    ("verb", 2, "__class__", []),
    ("verb", 2, "__getattribute__", [["t", "clock"]]),
    ("get", 2, "__dict__"),
    ("get", 2, "accesses"),
    ("verb", 4, "inp", [0x3FD]),
    ("cell", 1, "print('in the grader')"),
    ("call", True, "print", []),
)


def put(cpu, text):
    for thing in gc.get_objects():
        if type(thing).__name__ == "Channel":
            number = max(thing.book.entries, default=2)
            for kind, *rest in MESSAGES:
                thing.send(kind, *[number if each == 2 else each for each in rest])
                answer = thing.receive()
                if answer[0] == "result":
                    print("LEAKED", answer)
