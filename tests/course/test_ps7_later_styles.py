"""Right answers to tasks 4 and 5 of problem set 7 that are not the solution."""

import pytest

from tests.course.answers import notebook, right, sources
from virtlab.course.checks import check

RAW_NOTES = """
import struct
from virtlab.course.given import parts

def state(q, head):
    at = 16 + 16 * head
    return (q.notes.load(at, 1), q.notes.load(at + 6, 2), q.notes.load(at + 8, 8))

def stop(q):
    return q.pushed % 65536

def taken(q, head):
    q.notes.write(24 + 16 * head, struct.pack("<Q", q.clock))
    q.notes.write(16 + 16 * head, bytes([1]))
    q.clock = q.clock + 1

def give_back(q, head, written):
    '''The header first: next is not asked for before idx has moved.'''
    last = q.notes.read(12, 2)
    q.notes.write(12, struct.pack("<H", head))
    q.notes.write(16 + 16 * head + 6, last)
    parts.push(q, head, written)
    q.notes.write(16 + 16 * head, bytes(1))
    q.notes.write(14, struct.pack("<H", q.pushed % 65536))

def start(q, base):
    '''Judged on copies, then written.'''
    if q.notes is None:
        q.last_avail = q.pushed = base
        return []
    version, _, last, old = struct.unpack("<4H", q.notes.read(8, 8))
    used = q.memory.load(q.used + 2, 2)
    if version not in (0, 1):
        return "broken"
    behind = (used - old) % 65536
    states = [state(q, head) for head in range(q.size)]
    marked = {head for head, each in enumerate(states) if each[0]}
    if version == 0 or behind > q.size:
        gone = set(range(q.size))
        q.notes.store(8, 4, 1 | q.size << 16)
    else:
        gone, head = set(), last
        for _ in range(behind):
            if not head < q.size:
                return "broken"
            gone.add(head)
            head = states[head][1]
    for head in gone:
        q.notes.store(16 + 16 * head, 1, 0)
    q.notes.store(14, 2, used)
    left = sorted(marked - gone, key=lambda head: states[head][2])
    q.pushed, q.in_flight = used, len(left)
    q.last_avail = used + len(left)
    q.clock = 1 + max((states[head][2] for head in left), default=41)
    return left
"""

BY_METHODS = """
import struct
from virtlab.course.given import parts, world

class BackEnd:
    '''A method for each request, found by its name.'''

    acked = False

    def __init__(self, disk, name):
        self.about = disk, name
        self.told = {"num": 0, "base": 0, "enable": 0}
        self.features = 0
        self.parts = None
        self.memory = world.Mapped([], [], place)
        self.ring = self.broken = None

    def handle(self, request, payload, files):
        method = getattr(self, "on_" + world.REQUESTS[request].lower(), None)
        if method is None:
            return "refused"
        return method(payload, files)

    def on_get_features(self, payload, files):
        return world.FEATURES.to_bytes(8, "little")

    def on_get_protocol_features(self, payload, files):
        return world.PROTOCOL.to_bytes(8, "little")

    def on_set_owner(self, payload, files):
        return None

    on_set_vring_kick = on_set_vring_call = on_set_vring_err = on_set_owner

    def on_set_features(self, payload, files):
        bits = int.from_bytes(payload, "little")
        if bits | world.FEATURES != world.FEATURES:
            return "refused"
        self.features = bits

    def on_set_protocol_features(self, payload, files):
        bits = int.from_bytes(payload, "little")
        if bits | world.PROTOCOL != world.PROTOCOL:
            return "refused"
        self.acked = bits >> 3 & 1 == 1

    def on_set_mem_table(self, payload, files):
        table = read_table(payload, list(map(len, files)))
        if isinstance(table, str):
            return table
        self.memory.__init__(table, files, place)

    def keep(self, payload, what, allowed=lambda number: True):
        ring, number = struct.unpack("<II", payload)
        if ring or not allowed(number):
            return "refused"
        self.told[what] = number

    def on_set_vring_num(self, payload, files):
        return self.keep(payload, "num", [1 << n for n in range(8)].__contains__)

    def on_set_vring_base(self, payload, files):
        return self.keep(payload, "base")

    def on_set_vring_enable(self, payload, files):
        return self.keep(payload, "enable")

    def on_set_vring_addr(self, payload, files):
        ring, _, *parts = struct.unpack("<IIQQQQ", payload)
        if ring:
            return "refused"
        self.parts = parts[:3]

    def on_get_vring_base(self, payload, files):
        if payload[:4] != bytes(4):
            return "refused"
        if self.ring:
            self.told["base"] = stop(self.ring)
        self.ring = self.broken = None
        return bytes(4) + self.told["base"].to_bytes(4, "little")

    def on_get_config(self, payload, files):
        offset, size = struct.unpack_from("<II", payload)
        if size > 256:
            return "refused"
        data = (world.disk_config(self.about[0]) + bytes(1000))[offset:][:size]
        return payload[:12] + data

    def kicked(self):
        if self.broken is None and self.told["enable"]:
            if not self.ring:
                self.ring = self.started()
            if self.ring:
                call, state = turn(self.ring, lambda chain: parts.answer(
                    chain, self.memory, *self.about))
                if state in {"sleep", "more"}:
                    return call, state
                self.broken = state
                return call, state
            self.broken = "broken"
        return False, self.broken or "sleep"

    def started(self):
        size = self.told["num"]
        if not size or not self.parts:
            return None
        desc, used, avail = (
            gpa_of(self.memory.regions, at, 6 * bool(n) + each * size)
            for n, (at, each) in enumerate(zip(self.parts, (16, 8, 2)))
        )
        if desc is None or avail is None or used is None:
            return None
        event_idx = self.features >> 29 & 1 == 1
        ring = world.ring_at(self.memory, size, desc, avail, used, event_idx)
        start(ring, self.told["base"])
        return ring
"""


@pytest.mark.parametrize(("task", "source"), [("ps7.q4", RAW_NOTES), ("ps7.q5", BY_METHODS)])
def test_an_answer_of_another_style_passes(task, source):
    names = right()
    exec(source, names)
    for seed in range(2):
        assert check(task, seed=seed, namespace=names).ok


OWN = """
class parts:
    pop, push, should_interrupt, answer = pop, push, should_interrupt, answer
"""


@pytest.mark.parametrize("number", [3, 4, 5])
def test_the_answers_of_earlier_sets_take_the_place_of_the_librarys(number):
    """The solutions of problem sets 4 and 5, in place of `parts`."""
    names = right()
    exec(OWN, names)
    for each in (2, 3, 4, 5):
        source = sources(notebook("solutions", "ps07"))[f"ps7.q{each}"]
        exec(source.replace("from virtlab.course.given import parts\n", ""), names)
    assert check(f"ps7.q{number}", seed=1, namespace=names).ok
