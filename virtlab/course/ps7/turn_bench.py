"""Task 3 of problem set 7: one turn of a student's, and all that it must have done.

    bench.offer(3, 5)       chains wait
    bench.turn()            the student's turn: what was served, pushed, told and wished

The idea: what is right follows from the ring, from who was refused, and from what the driver wants
to hear. Where the guest works meanwhile, a turn may take what comes or leave it to the next. Only
it may not sleep while something waits for which nobody rang.

Source: virtio 1.3 2.7.7, 2.7.10, 2.7.13.4, 2.7.14.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps7.turn_guest import NO_REQUEST, Guest
from virtlab.course.tasks import Difference, same, shown
from virtlab.memory import Bytes
from virtlab.virtio.layouts import USED_ELEM, need_event, packer

LOOK_TURN = "the tuple (call, state): a bool, and a word"
LOOK_STATE = "sleep when nothing waits and the doorbell is on; more behind `size` chains; or a word"
LOOK_ALL = "one doorbell, and all chains that wait are served, each once (virtio 1.3 2.7.13.4)"
LOOK_PUSH = "each chain goes back with the bytes that serve gave (virtio 1.3 2.7.8)"
LOOK_CALL = "asked once, at the end, over all that was pushed in this turn (virtio 1.3 2.7.7.2)"
LOOK_TOLD = "what was pushed before the trouble is told of as always"
LOOK_ARM = "avail_event, behind the used elements, names the next entry (virtio 1.3 2.7.10)"
LOOK_OFF = "while chains wait no doorbell is wanted: the threshold is for an empty ring"
LOOK_RACE = "first the wish, then one more look: a chain may come in between (virtio 1.3 2.7.10)"
LOOK_NO_EVENT = "without EVENT_IDX there is no threshold: flags 0 says enough (virtio 1.3 2.7.10)"
LOOK_BOUND = "a guest may add for ever: a turn ends behind `size` chains"
LOOK_REFUSED = "what pop refuses ends the turn, and so does a chain that is no request"
LOOK_STRAY = "a device writes the used ring, and here nothing else"

WELL = ("sleep", "more")
"""The states of a turn in which nothing was wrong."""

_element = packer(USED_ELEM)


class Bench(Guest):
    """A guest, and the student's turn of its device."""

    def __init__(
        self,
        answer: Answer,
        size: int = 8,
        start: int = 0,
        event_idx: bool = True,
        in_flight: int = 0,
    ) -> None:
        super().__init__(size, start, event_idx, in_flight)
        self.answer = answer

    def turn(self, told: str = "") -> Difference | None:
        """The student's turn; then what it must have done, in the order of the work."""
        self._tell(told)
        before, old = self.ram.bytes.copy(), self.q.pushed
        at_least, alone = self.waiting, not (self.when or self.endless)
        self.kicks = self.early = self.count = self.wishes = 0
        yours = self.answer.call("turn", self.q, self.serve)
        if not (type(yours) is tuple and [type(one) for one in yours] == [bool, str]):
            said = shown(yours) + (": is there a return?" if yours is None else "")
            return Difference("(a bool, a word)", said, LOOK_TURN)
        state, heads = self._right(max(at_least, len(self.served)))
        self.answer.note_cost("wishes", self.wishes, int(state == "sleep" and self.event_idx))
        self.answer.note_cost("calls", int(yours[0]), int(self._wanted(old)))
        found = (
            self._work(heads, state, old)
            or self._state(yours[1], state)
            or self._lost(state)
            or self._call(yours[0], old, state)
            or self._doorbell(state, alone)
            or self._left(before)
        )
        self.done, self.served = self.done + len(self.served), []
        return found

    def _tell(self, told: str) -> None:
        wish = f"used_event {self.load('used_event')}"
        if not self.event_idx:
            wish = f"flags {self.load('flags')}"
        texts = [f"; walk({head}) gives {word!r}" for head, word in self.bad.items()]
        texts += [f"; serve gives {NO_REQUEST!r} for chain {head}" for head in self.broken]
        self.answer.given = (
            f"turn(q, serve), size {self.size}, {'with' if self.event_idx else 'without'} "
            f"EVENT_IDX, q.last_avail {self.q.last_avail}, q.pushed {self.q.pushed}, "
            f"{_list(self.heads[self.done :])} wait; {wish}{''.join(texts)}{told}"
        )

    def _right(self, count: int) -> tuple[str, list[int]]:
        """The state in which it must end, and what it must have served, of so many chains."""
        heads: list[int] = []
        for head in self.heads[self.done : self.done + min(count, self.size)]:
            word = "head" if head >= self.size else self.bad.get(head)
            if word:
                return word, heads
            heads.append(head)
            if head in self.broken:
                return NO_REQUEST, heads
        return ("more" if len(heads) == self.size else "sleep"), heads

    def _work(self, heads: list[int], state: str, old: int) -> Difference | None:
        if self.served != heads:
            look = LOOK_BOUND if len(self.served) > self.size else LOOK_ALL
            look = look if state in WELL else LOOK_REFUSED
            return Difference(f"served: {_list(heads)}", f"served: {_list(self.served)}", look)
        good = [head for head in heads if head not in self.broken]
        for number, head in enumerate(good):
            raw = self.ram.read(self.rings.used_at(old + number), _element.size)
            if raw != _element.pack(head, 100 + head):
                said = "id {}, len {}".format(*_element.unpack(raw))
                return Difference(f"id {head}, len {100 + head}", said, LOOK_PUSH)
        pushed = old + len(good)
        idx = self.ram.load(self.rings.used_field("idx"), 2)
        if same((pushed, pushed & 0xFFFF), (self.q.pushed, idx)):
            return None
        said = f"q.pushed {self.q.pushed}, idx {idx}"
        right = f"q.pushed {pushed}, idx {pushed & 0xFFFF}"
        return Difference(right, said, LOOK_PUSH if state in WELL else LOOK_REFUSED)

    def _state(self, yours: str, state: str) -> Difference | None:
        if yours == state:
            return None
        look = LOOK_STATE if state in WELL else LOOK_REFUSED
        return Difference(f"state {state!r}", f"state {shown(yours)}", look)

    def _lost(self, state: str) -> Difference | None:
        """Whether it sleeps though something waits, and nobody rang."""
        if state != "sleep" or not self.waiting or self.kicks:
            return None
        said = f"it sleeps, {self.waiting} wait, and the driver did not ring for them"
        return Difference("no chain waits unnoticed", said, LOOK_RACE)

    def _call(self, yours: bool, old: int, state: str) -> Difference | None:
        right = self._wanted(old)
        if yours is right:
            return None
        look = LOOK_CALL if state in WELL else LOOK_TOLD
        return Difference(f"call {right}", f"call {yours}", look)

    def _wanted(self, old: int) -> bool:
        """Whether the driver wants to hear of what was pushed since `old`."""
        new, wanted = self.q.pushed, not self.load("flags") & 1
        if self.event_idx:
            wanted = need_event(self.load("used_event"), new & 0xFFFF, old & 0xFFFF)
        return new != old and wanted

    def _doorbell(self, state: str, alone: bool) -> Difference | None:
        """What it wants to hear of when it sleeps; and, with nobody else at work, not before."""
        event = self.ram.load(self.rings.used_field("avail_event"), 2)
        if not self.event_idx:
            stale = (self.start - 1) & 0xFFFF
            if self.ram.load(self.rings.used, 2) or event != stale:
                return Difference("no wish is written", "one is", LOOK_NO_EVENT)
            return None
        if self.early and alone:
            said = f"avail_event is written while {self.early} wait"
            return Difference("no wish while chains wait", said, LOOK_OFF)
        position = self.start + self.done + len(self.served) & 0xFFFF
        if state == "sleep" and event != position:
            return Difference(f"avail_event {position}", f"avail_event {event}", LOOK_ARM)
        return None

    def _left(self, before: Bytes) -> Difference | None:
        """Whether anything is written beside the two rings; of those, the driver writes one."""
        now = self.ram.bytes.copy()
        for each in now, before:
            each[self.rings.avail : self.rings.end] = 0
        wrong = (now != before).nonzero()[0]
        if len(wrong):
            return Difference("nothing else written", f"a byte at {int(wrong[0]):#x}", LOOK_STRAY)
        return None


def _list(heads: list[int]) -> str:
    texts = [str(head) for head in heads[:12]]
    return "chains " + (", ".join(texts) + " ..." * (len(heads) > 12) if texts else "none")


def any_bench(answer: Answer, rng: Random) -> Bench:
    """A queue in any position, with some chains, and some that are none."""
    size = 1 << rng.randrange(1, 6)
    start = rng.choice((0, 65535, 65530, rng.randrange(1 << 18)))
    in_flight = min(start, rng.choice((0, 0, rng.randrange(size))))
    bench = Bench(answer, size, start, rng.random() < 0.7, in_flight)
    heads = [rng.randrange(size) for _ in range(rng.randrange(size - in_flight + 1))]
    for head in range(size):
        chance = rng.random()
        if chance < 0.06:
            bench.bad[head] = rng.choice(("loop", "order"))
        elif chance < 0.12:
            bench.broken.add(head)
    if heads and rng.random() < 0.15:
        heads[rng.randrange(len(heads))] = size + rng.randrange(3)
    bench.offer(*heads)
    wish = start - in_flight + rng.randrange(-2, size + 2)
    bench.listens(rng.getrandbits(1), wish & 0xFFFF)
    return bench
