"""The judge's end of a line to whoever forges frames: the child is ended, and nothing else."""

import contextlib
import json
import random
import struct

import pytest

from tests.course.grading.line import liar, line
from virtlab.course.answers import Stopped, Trouble
from virtlab.course.grading import judge, offers
from virtlab.course.grading.channel import Channel
from virtlab.course.grading.judge import BROKEN


def frame(text, raw=b""):
    data = text if isinstance(text, bytes) else json.dumps(text).encode()
    return struct.pack("<II", len(data), len(raw)) + data + raw


GOOD = frame(["returned", [], [], 1, ""])

FORGED = {
    "an unknown kind": frame(["forged", [], [], 1, ""]),
    "no value": frame(["returned", [], []]),
    "a kind that is a list": frame([["returned"], [], [], 1, ""]),
    "a kind that is an object": frame([{}, [], [], 1, ""]),
    "a verb of nothing": frame(["verb", [], [], 98, "read", []]),
    "a verb of an odd number": frame(["verb", [], [], 3, "read", []]),
    "a verb of a bool": frame(["verb", [], [], True, "read", []]),
    "a verb of minus one": frame(["verb", [], [], -2, "read", []]),
    "a verb of a text": frame(["verb", [], [], "2", "read", []]),
    "a verb with too little": frame(["verb", [], [], 2]),
    "a verb with too much": frame(["verb", [], [], 2, "read", [], [], [], []]),
    "an attribute of nothing": frame(["get", [], [], 98, "size"]),
    "an attribute without a name": frame(["get", [], [], 2]),
    "a value of an unknown kind": frame(["returned", [], [], ["zz"], ""]),
    "a value of a child's own offer": frame(["returned", [], [], ["h", 1, 0, 0, [], []], ""]),
    "an object that was not given": frame(["returned", [], [], ["m", 98], ""]),
    "a foreign object with a judge's number": frame(["returned", [], [], ["x", 2, "A", 0, 0], ""]),
    "a foreign object with no name": frame(["returned", [], [], ["x", 1, None, 0, 0], ""]),
    "bytes that are not there": frame(["returned", [], [], ["b", 1 << 40], ""]),
    "trouble without words": frame(["trouble", [], []]),
    "trouble with a number for words": frame(["trouble", [], [], 7, True, None, ""]),
    "stopped with a list for words": frame(["stopped", [], [], [1], ""]),
    "a change of nothing": frame(["returned", [[98, []]], [], 1, ""]),
    "an answer of a cell": frame(["ran", [], [], ""]),
    "nested without end": frame(b'["returned",[],[],' + b"[" * 900 + b"]" * 900 + b',""]'),
    "bytes behind it": GOOD + b"\0",
    "two at once": GOOD + GOOD,
    "no JSON": frame(b"\0" * 50),
    "nothing": b"",
}


@pytest.mark.parametrize("data", FORGED.values(), ids=FORGED)
def test_a_forged_frame_ends_the_child_and_nothing_else(data):
    with liar(data) as answer:
        with pytest.raises(Stopped) as stopped:
            answer.call("walk", 1)
        assert str(stopped.value) in (BROKEN, "killed", "")
        with pytest.raises(Stopped):
            answer.call("walk", 1)


def test_an_honest_frame_of_a_liar_is_a_value_and_no_more():
    with liar(GOOD) as answer:
        assert answer.call("walk", 1) == 1


def test_words_and_prints_of_a_liar_are_cut():
    with liar(
        frame(["trouble", [], [], "x" * 100_000, 1, ["a" * 9999, "b"], "y" * 9999])
    ) as answer:
        with pytest.raises(Trouble) as trouble:
            answer.call("walk")
        assert len(str(trouble.value)) == judge.MAX_TEXT
        assert trouble.value.unwritten is False
        assert len(trouble.value.__cause__.why) == len(answer.printed) == 400


class Machine:
    """Something that a case gives."""

    secret = "what is right"
    size = 5

    def __init__(self):
        self.looked = []

    def __getattribute__(self, name):
        if name not in ("looked", "__class__"):  # `isinstance` asks for the class
            self.looked.append(name)
        return object.__getattribute__(self, name)

    def read(self, n):
        return n


@pytest.mark.parametrize(
    "name", ["secret", "__class__", "__dict__", "__init__", "", 7, None, ["read"]]
)
@pytest.mark.parametrize("kind", ["verb", "get"])
def test_a_name_that_is_not_offered_is_never_looked_up(monkeypatch, name, kind):
    full = f"{Machine.__module__}.{Machine.__qualname__}"
    monkeypatch.setitem(offers.OFFERS, full, offers.Offer(("read",), live=("size",)))
    body = [2, name, []] if kind == "verb" else [2, name]
    machine = Machine()
    with liar(frame([kind, [], [], *body])) as answer, pytest.raises(Stopped, match=BROKEN):
        answer.call("walk", machine)
    assert machine.looked == []


def test_a_name_that_is_offered_is_looked_up(monkeypatch):
    full = f"{Machine.__module__}.{Machine.__qualname__}"
    monkeypatch.setitem(offers.OFFERS, full, offers.Offer(("read",), live=("size",)))
    machine = Machine()
    for said in (["get", [], [], 2, "size"], ["verb", [], [], 2, "read", [7]]):
        with liar(frame(said)) as answer, pytest.raises(Stopped):
            answer.call("walk", machine)
    assert machine.looked == ["size", "read"]


def test_a_reply_that_nobody_asked_for_is_the_end():
    with liar(GOOD, frame(["returned", [], [], 2, ""])) as answer, pytest.raises(Stopped):
        _ = [answer.call("walk") for _ in range(3)]


def recorded():
    """What an honest child says in a short case."""
    said = []

    class Spy(Channel):
        def write(self, data):
            said.append(bytes(data))
            super().write(data)

    source = (
        "def walk(memory, q, data):\n"
        "    q.append(memory.read(1, 2)); data[1:3] = b'xyz'\n"
        "    return [1, (2, b'ab'), {3: 4.5}, object(), 1 << 70], q, {5}\n"
    )
    with line(source) as (answer, child):
        child.channel.__class__ = Spy
        from virtlab.course.ps3.machines import Memory
        from virtlab.memory import GuestMemory

        answer.call("walk", Memory(GuestMemory(64)), [1], bytearray(b"abcd"))
    return said


@pytest.mark.parametrize("seed", range(60))
def test_no_mutated_frame_raises_out_of_the_judge(seed, monkeypatch):
    from virtlab.course.ps3.machines import Memory
    from virtlab.memory import GuestMemory

    rng = random.Random(seed)
    frames = RECORDED or RECORDED.extend(recorded()) or RECORDED
    mutated = [mutate(rng, one) if rng.random() < 0.8 else one for one in frames]
    with liar(*mutated) as answer, contextlib.suppress(Stopped, Trouble):
        answer.call("walk", Memory(GuestMemory(64)), [1], bytearray(b"abcd"))
        answer.call("walk", 1)


RECORDED = []
JUNK = [None, True, -1, 0, 1, 2, 1 << 40, "", "m", "read", [], ["m", 2], ["m", 4], ["b", 9], {}]


def mutate(rng, data):
    """The same frame with one thing in it changed: a byte, or a part of its JSON."""
    if rng.random() < 0.3:
        at = rng.randrange(len(data))
        return data[:at] + bytes([rng.randrange(256)]) + data[at + rng.randrange(3) :]
    length, _ = struct.unpack_from("<II", data)
    said, raw = json.loads(data[8 : 8 + length]), data[8 + length :]
    place = said
    while True:
        at = rng.randrange(len(place))
        if type(place[at]) is list and place[at] and rng.random() < 0.7:
            place = place[at]
            continue
        place[at] = rng.choice((*JUNK, rng.choice(said)))
        return frame(said, raw)


@pytest.mark.parametrize("seed", range(40))
def test_no_noise_raises_out_of_the_judge(seed):
    noise = random.Random(seed)
    data = noise.randbytes(noise.randrange(1, 60))
    if seed % 2:
        data = frame(data)
    with liar(data) as answer, pytest.raises(Stopped):
        answer.call("walk", 1)
