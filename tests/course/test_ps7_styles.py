"""Right answers to tasks 1 to 3 of problem set 7 that are not the solution."""

import pytest

from tests.course.answers import right
from virtlab.course.checks import check

RECURSIVE_STREAM = """
def split_stream(data):
    '''The first message, then the rest of them.'''
    if len(data) < 12:
        return [], data
    request, flags, size = (int.from_bytes(data[n:n + 4], "little") for n in (0, 4, 8))
    if flags % 4 != 1 or size >= 269:
        return [], None
    if len(data) - 12 < size:
        return [], data
    others, rest = split_stream(data[12 + size:])
    return [(request, flags, bytes(data[12:12 + size])), *others], rest

def reply(message, acked, handle):
    number, flags, payload = message
    if flags >> 2 & 1:
        return None
    found = handle(number, payload)
    wants = bool(flags >> 3 & 1) and acked
    match found:
        case bytes():
            pass
        case None if wants:
            found = bytes(8)
        case None:
            return b""
        case _ if wants and number not in {1, 6, 11, 15, 17, 24, 31, 36, 40}:
            found = b"\\1" + bytes(7)
        case _:
            return None
    return b"".join(n.to_bytes(4, "little") for n in (number, 5, len(found))) + found
"""

CURSOR = """
from io import BytesIO
from struct import Struct
from virtlab.course.given.world import ANSWERED

HEADER = Struct("<3I")

def split_stream(data):
    '''A cursor in a file.'''
    file, found = BytesIO(data), []
    while True:
        at = file.tell()
        head = file.read(12)
        if len(head) == 12:
            request, flags, size = HEADER.unpack(head)
            if flags & 3 ^ 1 or size > 268:
                return found, None
            payload = file.read(size)
            if len(payload) == size:
                found.append((request, flags, payload))
                continue
        return found, data[at:]

def reply(message, acked, handle):
    request, flags, payload = message
    asked = acked and bool(flags & 8)
    if not flags & 4:
        answer = handle(request, payload)
        failed = type(answer) is str
        if type(answer) is not bytes:
            if not asked:
                return None if failed else b""
            if failed and request in ANSWERED:
                return None
            answer = bytes([failed]).ljust(8, bytes(1))
        return HEADER.pack(request, 5, len(answer)) + answer
"""

PAIRS = """
import struct
from itertools import combinations

def inside(start, size, first, length):
    return start <= first and first + length <= start + size

def read_table(payload, sizes):
    '''All pairs, and every mistake as an exception.'''
    try:
        (count,) = struct.unpack("<I4x", payload[:8])
        assert 0 < count < 9 and count == len(sizes)
        rows = [struct.unpack_from("<QQQQ", payload, 8 + 32 * n) for n in range(count)]
        for row, end in zip(rows, sizes):
            guest, size, user, offset = row
            assert size and inside(0, end, offset, size)
            assert all(inside(0, 1 << 62, start, size) for start in (guest, user, offset))
        for a, b in combinations(rows, 2):
            for n in (0, 2):
                assert a[n] + a[1] <= b[n] or b[n] + b[1] <= a[n]
    except (AssertionError, struct.error):
        return "refused"
    return rows

def gpa_of(regions, user, length):
    found = [g + user - u for g, n, u, _ in regions if inside(u, n, user, length)]
    return found[0] if found else None

def place(regions, gpa, length):
    '''By recursion: the first piece, then the others.'''
    if not length:
        return []
    for number, (guest, size, user, offset) in enumerate(regions):
        if inside(guest, size, gpa, 1):
            here = min(guest + size - gpa, length)
            others = place(regions, gpa + here, length - here)
            return None if others is None else [(number, gpa - guest + offset, here), *others]
"""

SWEEP = """
import numpy as np

def read_table(payload, sizes):
    '''With an array of the rows.'''
    count = int.from_bytes(payload[:4], "little")
    if not 1 <= count <= 8 or len(sizes) != count or len(payload) < 8 + 32 * count:
        return "refused"
    table = np.frombuffer(payload, "<u8", 4 * count, 8).reshape(count, 4).astype(object)
    for row, end in zip(table, sizes):
        if row[1] == 0 or row[3] + row[1] > end or max(row[[0, 2, 3]]) + row[1] > 2**62:
            return "refused"
    for column in (0, 2):
        order = sorted(table.tolist(), key=lambda row: row[column])
        for one, other in zip(order, order[1:]):
            if one[column] + one[1] > other[column]:
                return "refused"
    return [tuple(row) for row in table.tolist()]

def gpa_of(regions, user, length):
    for region in regions:
        offset = user - region[2]
        if offset >= 0 and region[1] - offset >= length:
            return region[0] + offset

def place(regions, gpa, length):
    '''One sweep in the order of the gpa.'''
    order = sorted(range(len(regions)), key=lambda n: regions[n][0])
    found, end = [], gpa + length
    for n in order:
        guest, size, _, offset = regions[n]
        low, high = max(gpa, guest), min(end, guest + size)
        if low < high:
            if low != gpa:
                return None
            found.append((n, offset + low - guest, high - low))
            gpa = high
    return found if gpa == end else None
"""

GENERATED = """
from virtlab.course.given import parts

def waiting(q):
    '''The chains of one turn; None where the device may sleep.'''
    for _ in range(q.size):
        chain = parts.pop(q)
        if chain is None:
            if q.event_idx:
                at = q.used + 4 + 8 * q.size
                q.memory.write(at, (q.last_avail & 0xFFFF).to_bytes(2, "little"))
                chain = parts.pop(q)
            if chain is None:
                yield None
                return
        yield chain

def turn(q, serve):
    before = q.pushed
    state = "more"
    for chain in waiting(q):
        if not isinstance(chain, tuple):
            state = chain or "sleep"
            break
        written = serve(chain[1])
        if written == "broken":
            state = written
            break
        parts.push(q, chain[0], written)
    call = bool(parts.should_interrupt(q, before))
    return call, state
"""

COUNTED = """
from virtlab.course.given.parts import pop as take, push as give, should_interrupt

def turn(q, serve):
    '''All are popped first, as a batch; then served; then pushed.'''
    start, chains, state = q.pushed, [], ""
    armed = not q.event_idx
    while not state:
        if len(chains) == q.size:
            state = "more"
            break
        chain = take(q)
        if chain is None and armed:
            state = "sleep"
        elif chain is None:
            q.memory.store(q.used + 4 + 8 * q.size, 2, q.last_avail)
            armed = True
        elif isinstance(chain, str):
            state = chain
        else:
            chains.append(chain)
            armed = not q.event_idx
    for head, buffers in chains:
        written = serve(buffers)
        if isinstance(written, str):
            state = written
            break
        give(q, head, written)
    return should_interrupt(q, start), state
"""

ANSWERS = [
    ("ps7.q1", RECURSIVE_STREAM),
    ("ps7.q1", CURSOR),
    ("ps7.q2", PAIRS),
    ("ps7.q2", SWEEP),
    ("ps7.q3", GENERATED),
    ("ps7.q3", COUNTED),
]


@pytest.mark.parametrize(("task", "source"), ANSWERS)
def test_an_answer_of_another_style_passes(task, source):
    names = right()
    exec(source, names)
    for seed in range(2):
        assert check(task, seed=seed, namespace=names).ok
