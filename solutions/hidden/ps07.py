"""Hidden cases of problem set 7: longer streams, files of terabytes, larger rings, more regions.

See `ps01.py` for the rules of such a file.
"""

from virtlab.course.given.world import REQUESTS
from virtlab.course.ps7.front import USER as FRONT
from virtlab.course.ps7.front import FrontEnd
from virtlab.course.ps7.lives import begins, noted, works
from virtlab.course.ps7.requests import ask_for, write
from virtlab.course.ps7.sessions import GET_ID, IN, data, talk
from virtlab.course.ps7.stream_asks import EIGHT, _fed, _reply, _split, header, packed
from virtlab.course.ps7.table_asks import LAST, MIB, USER, _gpa, _place, _table
from virtlab.course.ps7.turn_bench import Bench
from virtlab.course.tasks import Case, first

# -- 1. the stream


def long_stream(answer, rng):
    """A thousand messages at once, and then a few bytes."""
    stream = b"".join(
        packed(rng.randrange(1, 40), rng.randbytes(rng.randrange(3))) for _ in range(1000)
    )
    return _split(answer, stream + packed(2, EIGHT)[:15])


def any_request(answer, rng):
    """Numbers of requests that nobody knows: what they are is not the stream's business."""
    numbers = (0, 0x100, 0x1_0001, 0x8000_0002, 0xFFFF_FFFF, rng.getrandbits(32))
    stream = b"".join(packed(number, EIGHT) for number in numbers)
    return _split(answer, stream) or _fed(answer, stream + header(1, 3, 0), [19] * 7)


def every_request(answer, rng):
    """Each request with each result, asked for or not."""
    for request in REQUESTS:
        for handled in (None, "refused", b"", rng.randbytes(rng.randrange(1, 200))):
            message = request, rng.choice((1, 9, 0xF9, 0xF1)), rng.randbytes(8)
            if found := _reply(answer, message, rng.random() < 0.5, handled):
                return found
    return None


# -- 2. memory


def far_up(answer, rng):
    """Files of terabytes, and memory at the end of all addresses."""
    rows = [
        (1 << 40, 1 << 41, USER, 5 << 40),
        (3 << 40, 1 << 33, USER + (1 << 42), 1 << 35),
        (LAST - 0x1000, 0x1000, 0x1000, 0x7_0000_0000),
    ]
    if found := _table(answer, rows, [9 << 40, 1 << 36, 1 << 40]):
        return found
    asked = ((1 << 41, 1 << 34), ((3 << 40) - 5, 10), (LAST - 1, 1), (LAST - 1, 2), (0x1000, 1))
    found = first(_place(answer, rng.sample(rows, 3), *one) for one in asked)
    return found or first(
        _gpa(answer, rows, user, 8) for user in (USER, USER + (3 << 40), USER + (1 << 42), 0x1FF8)
    )


def single_bytes(answer, rng):
    """Eight regions of one byte each, side by side, in no order."""
    rows = [(0x100 + n, 1, USER + 2 * n, 7 * n) for n in range(8)]
    rng.shuffle(rows)
    found = _table(answer, rows, [row[3] + 1 for row in rows]) or _place(answer, rows, 0x100, 8)
    return found or _place(answer, rows, 0x102, 5) or _place(answer, rows, 0x100, 9)


# -- 3. a turn


def large_ring(answer, rng):
    """A ring of 128, half full and full."""
    for event, count in ((0, 40), (127, 128)):
        bench = Bench(answer, 128, 65_500)
        bench.listens(0, (65_500 + event) & 0xFFFF)
        bench.offer(*rng.sample(range(128), count))
        if found := bench.turn():
            return found
    return None


def many_turns(answer, rng):
    """Twelve turns of one ring, some of them with nothing to do."""
    bench = Bench(answer, 8, rng.getrandbits(18))
    for _ in range(12):
        bench.offer(*rng.sample(range(8), rng.randrange(8)))
        bench.listens(0, bench.q.pushed + rng.randrange(-1, 4) & 0xFFFF)
        if found := bench.turn():
            return found
    return None


# -- 4. crashes


def long_list(answer, rng):
    """A hundred chains that were given back and not crossed out."""
    heads = rng.sample(range(256), 120)
    flight = [(head, rng.getrandbits(40)) for head in heads]
    return begins(rng.getrandbits(16), flight, heads[:100], size=256)(answer, rng)


def second_life(answer, rng):
    """One process after another on a ring of 64, each of which finds what the last one left."""
    life = noted(answer, rng.getrandbits(16), size=64)
    for _ in range(3):
        if found := life.begin(0):
            return found
        for _ in range(7):
            free = [head for head in range(64) if head not in life.flight]
            found = life.take(rng.choice(free))
            if not found and len(life.flight) > 5:
                found = life.give(rng.choice(life.flight), rng.getrandbits(32))
            if found:
                return found
    return works(63, 0, -1, -64, size=64)(answer, rng)


# -- 5. the back-end


def many_regions(front):
    """Six regions, in files of their own; the buffers lie in each of them in turn."""
    asked = ask_for(IN, 3, 512)
    found = front.start() or front.ask([asked])
    for number in range(1, 5):
        front.rows.append((0x80_0000 * number, 0x1_0000, FRONT + 0x2000_0000 * number, 0))
        front.files.append(bytearray(0x1_0000))
        found = found or front.table() or front.plugged(asked)
    return found or front.ask([asked, write(5, data(512))])


def long_life(answer, rng):
    """A small ring, round and round past its 65,535th chain; stopped and started in between."""
    front = FrontEnd(answer)
    found = front.start(size=4, base=65_533)
    for number in range(12):
        asked = [write(number, rng.randbytes(512)), ask_for(IN, number, 512)]
        found = found or front.ask(asked, front.base + rng.randrange(3))
        if number == 6:
            found = found or front.stop() or front.place(front.rings, front.base) or front.enable()
    return found or front.ask([ask_for(GET_ID, 0, 20)]) or front.disks() or front.stop()


HIDDEN = {
    "ps7.q1": (
        Case("a long stream", long_stream),
        Case("requests of any number", any_request),
        Case("each request", every_request),
    ),
    "ps7.q2": (
        Case("far up", far_up),
        Case("regions of one byte", single_bytes),
    ),
    "ps7.q3": (
        Case("a large ring", large_ring),
        Case("many turns", many_turns),
    ),
    "ps7.q4": (
        Case("a long list", long_list),
        Case("one life after another", second_life),
    ),
    "ps7.q5": (
        Case("many regions", talk(many_regions)),
        Case("a long life", long_life),
    ),
}
