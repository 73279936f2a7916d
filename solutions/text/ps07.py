# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Problem set 7: a disk for a real Linux
#
# The last set. An unmodified Linux runs in QEMU, and the disk that it sees is your code, in a process of its own. Five tasks
# lead there. You take the messages of QEMU, find the memory that both share, and serve the ring in it. Then you see to it that a
# crash loses nothing. At last a back-end puts all of it together. The check of task 5 asks your disk for everything that a real Linux once asked of
# ours. With QEMU and a kernel on your machine you can boot that Linux yourself. The set goes with lesson 22. Plan about three
# and a half hours. Tasks 1 to 4 stand alone; task 5 uses tasks 2, 3 and 4.
#
# | | task | about | minutes | difficulty | points |
# |---|---|---|---|---|---|
# | 1 | messages out of a stream | 26 lines | 30 | ★★★ | 6 |
# | 2 | a byte with two addresses | 38 lines | 35 | ★★★ | 6 |
# | 3 | one turn of the ring | 20 lines | 40 | ★★★★ | 7 |
# | 4 | stop, crash, start again | 40 lines | 45 | ★★★★★ | 8 |
# | 5 | a disk for a real Linux | 75 lines | 60 | ★★★★★ | 11 |
#
# You have written `pop`, `push` and `should_interrupt` in problem set 4, and `answer` in problem set 5. Bring them: put your own
# into the cells below, in place of `parts.pop` and the others. What you do not bring is in `parts`. It works in the same way,
# and asks the library's queue and disk. It makes no difference for your points.
#
# Each task has a cell for your answer and a check below it. `hint("ps7.q1")` gives a first hint; call it again for
# the next. Change only the answer cells, and add cells of your own where you like. In grading, each task is asked
# some more, with other numbers; part of the cases gives part of the points.
#
# All numbers are little-endian. A *gpa* is an address in the guest's memory. The *front-end* is QEMU, the *back-end* is you.

# %% nbgrader={"grade": false, "grade_id": "ps7-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
from virtlab.course.checks import check, hint

# %% [markdown] tags=["topic:B04"]
# ## 1. Messages out of a stream
# *about 26 lines · 30 min · ★★★ · B04*
#
# QEMU speaks to you over a UNIX socket. A socket carries bytes, and it knows no messages: one read may give half of one, or three
# and a half. Each message says how long it is.
#
# | bytes | | |
# |---|---|---|
# | 0 to 3 | request | what is asked: 1 is GET_FEATURES, 2 SET_FEATURES, and so on |
# | 4 to 7 | flags | bits 1:0 the version, 1; bit 2 REPLY: this is an answer; bit 3 NEED_REPLY: the sender wants to hear how it went |
# | 8 to 11 | size | bytes of the payload, at most 268 |
# | 12 on | payload | |
#
# Write `split_stream(data)`. `data` are all bytes that have come and that were not taken yet. It returns a tuple
# `(messages, rest)`:
#
# - `messages`, a list of tuples `(request, flags, payload)`: every message that is complete, in order.
# - `rest`, the bytes behind them, of a message that is not complete. `None` if a header has another version or too large a size:
#   nobody can know where the next message begins. Such a header is refused as soon as its 12 bytes are there. The messages
#   before it are given all the same.
#
# Write also `reply(message, acked, handle)`, which deals with one message and returns the bytes that go back. It calls
# `handle(request, payload)` once. What that gives, says how it went:
#
# | `handle` gives | asked for | else |
# |---|---|---|
# | `bytes` | they go back, as a payload | the same |
# | `None`: it is done | the number 0 goes back, 8 bytes | nothing goes back: `b""` |
# | `"refused"` | the number 1 goes back, 8 bytes; but `None` for a request in `ANSWERED` | `None` |
#
# *Asked for* means: the message has NEED_REPLY, and `acked` is True (both ends know REPLY_ACK). `None` means *hang up*: who would
# be told of a failure, and is not listening, cannot go on. The requests in `ANSWERED` ask for a number of their own, so 1
# would be taken for that. A message with REPLY is no request: hang up, and do not call `handle`.
#
# What goes back is a message too: the request's number, version 1 and REPLY and no other flag, size, payload.
#
# - **Given** `data`, bytes; `message`, a tuple as above; `acked`, a bool; `handle`, a function.
# - **Returns** `split_stream` a tuple of a list and bytes or `None`; `reply` bytes or `None`.
#
# An example: `03000000 01000000 00000000 02` holds the message `(3, 1, b"")`, and the rest is `b"\x02"`. With NEED_REPLY, that is
# with flags 9, and `acked`, `handle` says `None`: then `03000000 05000000 08000000 00000000 00000000` goes back.

# %% nbgrader={"grade": false, "grade_id": "ps7-q1-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
import struct

from virtlab.course.given.world import ANSWERED


def split_stream(data):
    """The whole messages in `data`, and the rest: bytes, or None where the stream is broken."""
    ### BEGIN SOLUTION
    messages = []
    while len(data) >= 12:
        request, flags, size = struct.unpack_from("<III", data)
        if flags & 3 != 1 or size > 268:
            return messages, None
        if len(data) < 12 + size:
            break
        messages.append((request, flags, data[12 : 12 + size]))
        data = data[12 + size :]
    return messages, data
    ### END SOLUTION


def reply(message, acked, handle):
    """Deal with one message: the bytes that go back, or None to hang up."""
    ### BEGIN SOLUTION
    request, flags, payload = message
    if flags & 4:
        return None
    result = handle(request, payload)
    if not isinstance(result, bytes):
        asked = flags & 8 and acked
        if result is None and not asked:
            return b""
        if result is not None and (not asked or request in ANSWERED):
            return None
        result = struct.pack("<Q", result is not None)
    return struct.pack("<III", request, 1 | 4, len(result)) + result
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps7-q1", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps7.q1")

# %% [markdown] tags=["solution"]
# **Explained.** The loop has two exits, and they are not the same. *Too little is there* is normal, and waits. *This cannot be a
# header* is the end: the size says where the next message begins, so with a wrong size all that follows is noise.
#
# The size is judged before the payload is waited for. A reader that first waits for 4 GiB has given its memory to whoever sent
# twelve bytes. That is the same order as in `answer`, which asks for lengths before it moves data.
#
# In `reply` an empty payload is a payload. `if result:` would take it for *done*, and QEMU would wait for an answer for ever.
# GET_CONFIG answers with no bytes if there is nothing to read.
#
# Descriptors travel beside the bytes (SCM_RIGHTS), and arrive with the first byte that was sent with them. The library's
# `Channel` therefore never reads beyond the end of one message: so it cannot mix up the descriptors of two.

# %% [markdown] tags=["topic:B04", "topic:B07"]
# ## 2. A byte with two addresses
# *about 38 lines · 35 min · ★★★ · B04 B07*
#
# The guest's memory is a file, or several. QEMU sends a descriptor of each, and you map them. A message says which part of which
# file is memory, and at which address. There are two of these. The guest has the byte at its gpa, and writes that into
# descriptors of the ring. QEMU has the same byte at a *user address*, and writes that into messages about where a ring is.
#
# The payload of SET_MEM_TABLE is a `count` of 4 bytes, 4 bytes that mean nothing, and `count` rows of four 8-byte numbers:
#
# | number | |
# |---|---|
# | guest | the gpa of the region's first byte |
# | size | bytes |
# | user | where QEMU has the first byte |
# | offset | where in the file it is |
#
# Write three functions.
#
# 1. `read_table(payload, sizes)`. `sizes` are the bytes of each file that came with the message, in the order of the rows. It returns
#    a list with a tuple `(guest, size, user, offset)` for each row, in order, or `"refused"`. It is refused if
#    - the payload has not all its rows, there are none or more than 8, or not as many files as rows;
#    - a region has no byte, or ends behind the end of its file (who touches what is not there, is killed);
#    - guest, user or offset, plus size, is more than 2⁶²;
#    - two regions share a gpa, or share a user address. They may share bytes of a file.
#
#    Bytes behind the rows do not matter.
# 2. `gpa_of(regions, user, length)`: the gpa of `length` bytes at a user address. All of them must be in **one** region;
#    if not, `None`. (`length` is 1 or more.)
# 3. `place(regions, gpa, length)`: where the bytes of a buffer are, as a list of tuples `(number, offset, bytes)`: the number of
#    the region, from 0, where in its file, and how many bytes. A buffer may go on from one region to the next, if the one ends
#    at the gpa where the other begins: then there are several tuples, in the order of the buffer. `None` if a byte is in no region. No
#    bytes are `[]`. The guest chooses `length`, up to 2³² and more: do not count to it.
#
# - **Given** `payload`, bytes; `sizes`, a list of ints; `regions`, a list as `read_table` gives it, in any order.
# - **Returns** as above.
#
# With `regions = [(0x4000, 0x1000, 0x7f0000, 0), (0x5000, 0x2000, 0x900000, 0x3000)]`: `gpa_of(regions, 0x900010, 16)` is
# `0x5010`, and `place(regions, 0x4ff0, 0x20)` is `[(0, 0xff0, 0x10), (1, 0x3000, 0x10)]`.

# %% nbgrader={"grade": false, "grade_id": "ps7-q2-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
import struct


def read_table(payload, sizes):
    """The regions of a memory table, or "refused"."""
    ### BEGIN SOLUTION
    if len(payload) < 8:
        return "refused"
    count = struct.unpack_from("<I", payload)[0]
    rows = payload[8 : 8 + 32 * count]
    if not 1 <= count <= 8 or count != len(sizes) or len(rows) < 32 * count:
        return "refused"
    regions = list(struct.iter_unpack("<4Q", rows))
    for (guest, size, user, offset), end in zip(regions, sizes, strict=True):
        if size == 0 or offset + size > end:
            return "refused"
        if max(guest, user, offset) + size > 1 << 62:
            return "refused"
    for field in 0, 2:
        end = 0
        for start, size in sorted((region[field], region[1]) for region in regions):
            if start < end:
                return "refused"
            end = start + size
    return regions
    ### END SOLUTION


def gpa_of(regions, user, length):
    """The gpa of what QEMU has at the address `user`; None if it is not all in one region."""
    ### BEGIN SOLUTION
    for guest, size, start, _ in regions:
        if start <= user and user + length <= start + size:
            return guest + user - start
    return None
    ### END SOLUTION


def place(regions, gpa, length):
    """Where the bytes of a buffer are: `(number, offset, bytes)`; None if one is nowhere."""
    ### BEGIN SOLUTION
    pieces = []
    while length > 0:
        for number, (guest, size, _, offset) in enumerate(regions):
            inside = gpa - guest
            if 0 <= inside < size:
                piece = min(length, size - inside)
                pieces.append((number, offset + inside, piece))
                gpa, length = gpa + piece, length - piece
                break
        else:
            return None
    return pieces
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps7-q2", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps7.q2")

# %% [markdown] tags=["solution"]
# **Explained.** *Who may lie* decides what is checked. The table comes from QEMU, a process that one trusts as much as its user.
# Its mistakes must not kill you, so files and overlaps are looked at. A buffer comes from the guest, which one does not trust
# at all: `place` looks at every byte of it, each time.
#
# The sorted spans make the overlap a comparison of neighbours. Comparing all pairs is right as well, as there are at most eight.
# What is wrong is to compare in the order of the table only: QEMU sends memory in any order.
#
# `gpa_of` wants one region, `place` takes several. A ring is read with one array in most back-ends, and QEMU never lays one
# across a border. For buffers it happens: memory that is plugged in later is a file of its own, next to the last. Two
# regions that are neighbours in user addresses need not be neighbours for the guest, so `gpa_of` must not go on.
#
# `while length > 0` runs once a region and not once a page. With 2⁴⁰ bytes it ends at the first hole.
#
# The library maps all files into one reservation of addresses (`mapping`, `shared_memory`), so that a place is one number and
# NumPy can work on whole batches.

# %% [markdown] tags=["topic:B04", "topic:S39", "topic:S40", "topic:B02"]
# ## 3. One turn of the ring
# *about 20 lines · 40 min · ★★★★ · B04 S39 S40 B02*
#
# The driver has put chains into the ring, and rung: your eventfd counts one kick. One kick may stand for many chains. Write
# `turn(q, serve)`, all that you do before you sleep again.
#
# 1. Take chains with `pop(q)`, one by one. Give the buffers of each to `serve(buffers)`, and what that returns, the number of bytes
#    written, to `push(q, head, written)`. Then take the next.
# 2. When `pop` gives `None`, the doorbell must be on before you sleep. With EVENT_IDX (`q.event_idx` is True) it is not, as the driver
#    rings only for the entry that you name: store `q.last_avail` as 2 bytes at `q.used + 4 + 8 * q.size` (`avail_event`). The
#    driver may have added a chain before that, and it did not ring. So look once more, and go on if there is one. While
#    chains wait no doorbell is wanted: do not store it earlier. Without EVENT_IDX the driver always rings.
# 3. A guest may add chains for ever, and you have other devices to serve. After `q.size` chains the turn ends, even if none waits.
#    The doorbell stays off then: you come back by yourself.
# 4. If `pop` gives a word, or `serve` does, the ring is broken: stop at once, and push nothing more.
# 5. At the end, and in each case, ask `should_interrupt(q, old)` once, where `old` is what `q.pushed` was when the turn began.
#
# It returns a tuple `(call, state)`. `call` is what `should_interrupt` says. `state` is `"sleep"` (nothing waits and the doorbell is
# on), `"more"` (after `q.size` chains), or the word of `pop` or `serve`.
#
# - **Given** `q`, a device's end of a ring as in problem set 4, with `q.memory.store(gpa, size, value)`; `serve`, a function that
#   returns a number or the word `"broken"`.
# - **Returns** a tuple of a bool and a word.
#
# `pop`, `push` and `should_interrupt` are those of problem set 4. Put your own into the cell, or write `parts.pop(q)`.
#
# An example: chains 3 and 5 wait, `last_avail` is 0, `size` 8, and the driver wants to hear of entry 1 (`used_event`). Both are served
# and pushed, 2 is stored at `q.used + 68`, nothing new is there, and the answer is `(True, "sleep")`: one call for two chains.

# %% nbgrader={"grade": false, "grade_id": "ps7-q3-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
from virtlab.course.given import parts


def turn(q, serve):
    """Serve what waits in the ring: whether to call the driver, and how the ring is left."""
    ### BEGIN SOLUTION
    old = q.pushed
    state = "more"
    for _ in range(q.size):
        chain = parts.pop(q)
        if chain is None and q.event_idx:
            q.memory.store(q.used + 4 + 8 * q.size, 2, q.last_avail)
            chain = parts.pop(q)
        if chain is None:
            state = "sleep"
            break
        if isinstance(chain, str):
            state = chain
            break
        head, buffers = chain
        written = serve(buffers)
        if isinstance(written, str):
            state = written
            break
        parts.push(q, head, written)
    return parts.should_interrupt(q, old), state
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps7-q3", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps7.q3")

# %% [markdown] tags=["solution"]
# **Explained.** The price of a virtqueue is its notifications, and this function is where they are saved. On the way in, one kick
# stands for all chains that it finds. While it works, the threshold lies behind the driver, so nothing more rings. On the way out,
# one question stands for the whole batch.
#
# The second `pop` is the mirror image of `enable_cb` in problem set 4. First the wish, then one more look: in the other order a chain
# that comes between the two is seen by nobody. On a processor there is a barrier between them. A guest that loses one wake-up
# hangs with a disk that never answers, perhaps once in a day, under load.
#
# `"more"` is a promise to come back, so no doorbell is needed. Without the bound a single guest could hold the process for itself.
# Our `BackEnd` has it, and QEMU's own devices have something like it.
#
# What was pushed before the trouble is told of as always: those requests are done, and the driver waits for them.

# %% [markdown] tags=["topic:B04", "topic:S37"]
# ## 4. Stop, crash, start again
# *about 40 lines · 45 min · ★★★★★ · B04 S37*
#
# A back-end is a process, and it may be stopped in good order, or be killed at any moment. Another one goes on with the same ring, and
# the guest must not notice: no request lost, none done that was given back. What survives is the memory: the ring, and a
# file of notes that QEMU keeps for you (INFLIGHT).
#
# Stopped in good order, you say where you stand. Write `stop(q)`, which returns the *base*: `q.pushed` in 16 bits. Chains
# in flight are behind it, and are taken again.
#
# The notes have a header of 16 bytes, and 16 bytes for each chain: the state of head `h` is at `16 + 16 * h`.
#
# | header | bytes | | | state | bytes | |
# |---|---|---|---|---|---|---|
# | version | 8, 9 | 1; 0: nobody has used them yet | | inflight | 0 | 1: taken, and not given back |
# | desc_num | 10, 11 | how many states | | next | 6, 7 | the chain that was given back before this one |
# | last_batch_head | 12, 13 | the chain that was given back last | | counter | 8 to 15 | rises from chain to chain |
# | used_idx | 14, 15 | the used ring's `idx`, when all was settled | | | | |
#
# Read and write them with `q.notes.load(offset, size)` and `q.notes.store(offset, size, value)`.
#
# - `taken(q, head)`: a chain was popped, and will be served. Store `q.clock` as its counter, **then** 1 as its inflight. Then
#   `q.clock` is one more.
# - `give_back(q, head, written)`: the chain is done. Store `last_batch_head` as its `next`, and `head` as `last_batch_head`. Then
#   `push(q, head, written)`. Then inflight becomes 0, and at last `used_idx` the new `q.pushed`, in 16 bits.
# - `start(q, base)`: a new process; all counts of `q` are 0. Set `q.pushed`, `q.last_avail`, `q.in_flight`, and return the list of heads
#   that must be served again, the oldest first.
#
# Without notes (`q.notes` is `None`) both counts go on from `base`, nothing is in flight, and the list is empty. With notes the
# base says nothing: who was killed has told nobody. Then `pushed` is the used ring's `idx`, and the notes say what is in flight:
#
# | the notes | |
# |---|---|
# | version above 1 | `"broken"` |
# | version 0; or the ring's `idx` is more than `q.size` ahead of `used_idx`, in 16 bits | they say nothing about this ring: no chain is in flight. Clear every inflight; store version 1, and `q.size` as desc_num |
# | it is ahead by `n` up to `q.size` | the last `n` chains of the list were given back and not crossed out: their inflight becomes 0. The list begins at `last_batch_head` and goes on by `next`. A head that is not below `q.size` is `"broken"` |
#
# Then store the ring's `idx` as `used_idx`. What has inflight 1 now, is in flight: it was taken, so `last_avail` is that far ahead
# of `pushed`. `q.clock` becomes larger than all their counters. (After `"broken"` nothing else matters.)
#
# The check kills your process before each store of `taken`, of `give_back`, and of `start` with notes. So the order of stores counts.
#
# - **Given** `q`, a device's end of a ring, with `q.memory.load(gpa, size)`; `idx` of the used ring is at `q.used + 2`. `base` from
#   0 to 65535.
# - **Returns** `stop` an int, `start` a list of ints or `"broken"`, the others nothing.
#
# An example: `size` 8, the used ring's `idx` is 5. The notes have `used_idx` 4, `last_batch_head` 3, and inflight 1 for head 3 with counter 9,
# head 6 with 12, head 1 with 10. Chain 3 is in the used ring already. `start` returns `[1, 6]`, `pushed` is 5, `last_avail` 7, `clock` 13.

# %% nbgrader={"grade": false, "grade_id": "ps7-q4-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
from virtlab.course.given import parts


def stop(q):
    """The base at which the next back-end goes on."""
    ### BEGIN SOLUTION
    return q.pushed & 0xFFFF
    ### END SOLUTION


def taken(q, head):
    """Note that a chain is in flight."""
    ### BEGIN SOLUTION
    state = 16 + 16 * head
    q.notes.store(state + 8, 8, q.clock)
    q.notes.store(state, 1, 1)
    q.clock += 1
    ### END SOLUTION


def give_back(q, head, written):
    """Give a chain back to the driver, so that a crash at any moment neither loses nor repeats it."""
    ### BEGIN SOLUTION
    state = 16 + 16 * head
    q.notes.store(state + 6, 2, q.notes.load(12, 2))
    q.notes.store(12, 2, head)
    parts.push(q, head, written)
    q.notes.store(state, 1, 0)
    q.notes.store(14, 2, q.pushed & 0xFFFF)
    ### END SOLUTION


def start(q, base):
    """Go on with a ring: the heads that are to be served again, oldest first; or "broken"."""
    ### BEGIN SOLUTION
    found = []
    q.pushed = base
    if q.notes is not None:
        load, store = q.notes.load, q.notes.store
        q.pushed = q.memory.load(q.used + 2, 2)
        version, behind = load(8, 2), (q.pushed - load(14, 2)) & 0xFFFF
        if version > 1:
            return "broken"
        if version == 0 or behind > q.size:
            for head in range(q.size):
                store(16 + 16 * head, 1, 0)
            store(8, 2, 1)
            store(10, 2, q.size)
        else:
            head = load(12, 2)
            for _ in range(behind):
                if head >= q.size:
                    return "broken"
                store(16 + 16 * head, 1, 0)
                head = load(16 + 16 * head + 6, 2)
        store(14, 2, q.pushed)
        for head in range(q.size):
            if load(16 + 16 * head, 1):
                found.append((load(16 + 16 * head + 8, 8), head))
        q.clock = max(found)[0] + 1 if found else 0
    q.last_avail = q.pushed + len(found)
    q.in_flight = len(found)
    return [head for _, head in sorted(found)]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps7-q4", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps7.q4")

# %% [markdown] tags=["solution"]
# **Explained.** Write the stores of `give_back` on a line and cut it anywhere:
#
# | killed | the ring's idx | inflight | used_idx | the next one |
# |---|---|---|---|---|
# | before the push | as before | 1 | the same | serves it again; the driver has not seen it |
# | behind idx | one ahead | 1 | one behind | finds it at the head of the list, and crosses it out |
# | behind inflight 0 | one ahead | 0 | one behind | crosses it out once more |
# | at the end | | 0 | the same | has nothing to do |
#
# `idx` is the one store by which the chain changes hands. Everything before it only prepares, and everything behind it only tidies up.
# Now let `used_idx` move before inflight is 0. A cut between them leaves a chain that is given back and marked, and no difference
# says so: it is served twice. For a write that is harmless, for a request that was already reused it is not.
#
# In `taken` the counter comes first. In the other order, a cut leaves the counter of an earlier life, and the chain is served at
# the wrong place in the order. That matters as a flush must not overtake a write.
#
# Why not the available ring? What was taken and not given back may have been overwritten: with chains that return out of order the driver
# reuses entries that are older than one still in flight.
#
# Without notes the base is `pushed` and not `last_avail`. Our device gives chains back in the order of the ring. So all that are in
# flight are the next entries from `pushed` on, and are taken again. `last_avail` as the base would lose them.

# %% [markdown] tags=["topic:B04", "topic:B06", "topic:B07", "topic:S32", "topic:S35"]
# ## 5. A disk for a real Linux
# *about 75 lines · 60 min · ★★★★★ · B04 B06 B07 S32 S35*
#
# Now all of it: write the class `BackEnd`. It is a whole vhost-user block device with one ring, number 0. Around it there are only system
# calls: a socket, a mapping, a counter of events. They are given.
#
# - `BackEnd(disk, name)`: the disk and the name are those of `answer` in problem set 5.
# - `handle(request, payload, files)` does what a message asks for. It returns bytes, `None` or `"refused"`, as in task 1. `files` is a
#   list with the files that came along, empty for all requests but SET_MEM_TABLE; `len(file)` is the size of one.
# - `kicked()` is called when the driver has rung, when the ring was enabled, and again behind `"more"`. It returns `(call, state)`
#   as in task 3.
# - `acked`, an attribute: True once REPLY_ACK was agreed on; False at first.
#
# | | request | payload | what to do |
# |---|---|---|---|
# | 1 | GET_FEATURES | | answer `FEATURES`, 8 bytes |
# | 2 | SET_FEATURES | features, 8 bytes | keep them; refuse bits that `FEATURES` has not. Bit 29 is EVENT_IDX |
# | 3 | SET_OWNER | | nothing |
# | 5 | SET_MEM_TABLE | of task 2 | it is the memory from now on, also for a ring that runs |
# | 8 | SET_VRING_NUM | ring, size: 4 bytes each | 1 to `QUEUE_SIZE`, a power of two; else refuse |
# | 9 | SET_VRING_ADDR | ring 4, flags 4, descriptors 8, **used ring 8**, available ring 8, log 8 | user addresses of the three parts; keep them |
# | 10 | SET_VRING_BASE | ring, base: 4 bytes each | keep it |
# | 11 | GET_VRING_BASE | ring 4, 4 bytes more | the ring stops. Answer ring and base, 4 bytes each: where it stands, or, if it did not run, the last base |
# | 12, 13, 14 | SET_VRING_KICK, CALL, ERR | | nothing: the descriptors are kept for you |
# | 15 | GET_PROTOCOL_FEATURES | | answer `PROTOCOL`, 8 bytes |
# | 16 | SET_PROTOCOL_FEATURES | 8 bytes | refuse bits that `PROTOCOL` has not. Bit 3 is REPLY_ACK |
# | 18 | SET_VRING_ENABLE | ring, 1 or 0: 4 bytes each | whether the ring is served |
# | 24 | GET_CONFIG | offset, size, flags: 4 bytes each, and `size` bytes | answer the same 12 bytes, and `size` bytes of `disk_config(disk)` from `offset` on, zeros behind its end. Refuse a size above 256 |
# | other | | | refuse |
#
# A request in 8 to 11, or 18, for another ring than 0 is refused. What is refused changes nothing. A payload always has its
# bytes. The requests 8 to 10 are for the next start: a ring that runs, or is broken, goes on as it is.
#
# What `kicked()` does:
#
# 1. A ring that is not enabled is not looked at: `(False, "sleep")`.
# 2. A ring that does not run, starts. Its parts have `16 * size`, `6 + 2 * size` and `6 + 8 * size` bytes (descriptors, available,
#    used). `gpa_of` says where they are; if one is nowhere, or if size or addresses are not known, the state is `"broken"`.
#    `ring_at(memory, size, desc, avail, used, event_idx)` gives the record `q`, and `start(q, base)` sets its counts. There are
#    no notes here. `memory` is a `Mapped(regions, files, place)`: it reads and writes the files, and asks your `place` where.
#    A new table goes into the same object, as `memory.regions` and `memory.files`.
# 3. Then `turn`, with your `answer(buffers, memory, disk, name)` for each chain.
# 4. Where the state is any word but `"sleep"` and `"more"`, the ring is broken. It is not touched any more; each `kicked()` gives
#    `(False, word)`, until GET_VRING_BASE has stopped it. Then it can start anew.
#
# - **Given** as above.
# - **Returns** as above.
#
# An example: `handle(11, bytes(8), [])` of a ring that has pushed 65,537 chains is `b"\0\0\0\0\1\0\0\0"`.
#
# The last cases make the requests of a real Linux, work by work: it finds the disk, makes a file system, mounts it, writes files,
# reads them again with empty caches, unmounts, and checks the file system. Every answer is compared with what Linux was told.

# %% nbgrader={"grade": false, "grade_id": "ps7-q5-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
import struct

from virtlab.course.given import parts
from virtlab.course.given.world import FEATURES, PROTOCOL, QUEUE_SIZE, Mapped, disk_config, ring_at


class BackEnd:
    """A block device behind vhost-user, with one ring."""

    def __init__(self, disk, name):
        ### BEGIN SOLUTION
        self.disk, self.name = disk, name
        self.acked = self.enabled = False
        self.accepted = self.size = self.base = 0
        self.addresses = None
        self.memory = Mapped([], [], place)
        self.q, self.word = None, ""
        ### END SOLUTION

    def handle(self, request, payload, files):
        """Do what a message asks for: bytes that go back, None, or "refused"."""
        ### BEGIN SOLUTION
        number = int.from_bytes(payload[:8], "little")
        ring, value = number & 0xFFFF_FFFF, number >> 32
        if request in (8, 9, 10, 11, 18) and ring != 0:
            return "refused"
        match request:
            case 1:
                return struct.pack("<Q", FEATURES)
            case 2:
                if number & ~FEATURES:
                    return "refused"
                self.accepted = number
            case 5:
                regions = read_table(payload, [len(file) for file in files])
                if regions == "refused":
                    return "refused"
                self.memory.regions, self.memory.files = regions, files
            case 8:
                if not 1 <= value <= QUEUE_SIZE or value & (value - 1):
                    return "refused"
                self.size = value
            case 9:
                desc, used, avail = struct.unpack_from("<3Q", payload, 8)
                self.addresses = desc, avail, used
            case 10:
                self.base = value
            case 11:
                if self.q is not None:
                    self.base = stop(self.q)
                self.q, self.word = None, ""
                return struct.pack("<II", 0, self.base)
            case 15:
                return struct.pack("<Q", PROTOCOL)
            case 16:
                if number & ~PROTOCOL:
                    return "refused"
                self.acked = bool(number & 1 << 3)
            case 18:
                self.enabled = bool(value)
            case 24:
                offset, size, flags = struct.unpack_from("<III", payload)
                if size > 256:
                    return "refused"
                data = disk_config(self.disk)[offset : offset + size]
                return struct.pack("<III", offset, size, flags) + data.ljust(size, b"\0")
            case 3 | 12 | 13 | 14:
                pass
            case _:
                return "refused"
        return None
        ### END SOLUTION

    def kicked(self):
        """Serve the ring: whether to call the driver, and how the ring is left."""
        ### BEGIN SOLUTION
        if self.word:
            return False, self.word
        if not self.enabled:
            return False, "sleep"
        if self.q is None:
            gpas = [None]
            if self.addresses is not None and self.size:
                lengths = 16 * self.size, 6 + 2 * self.size, 6 + 8 * self.size
                regions = self.memory.regions
                gpas = [gpa_of(regions, *part) for part in zip(self.addresses, lengths, strict=True)]
            if None in gpas:
                self.word = "broken"
                return False, self.word
            event_idx = bool(self.accepted & 1 << 29)
            self.q = ring_at(self.memory, self.size, *gpas, event_idx)
            start(self.q, self.base)

        def serve(buffers):
            return parts.answer(buffers, self.memory, self.disk, self.name)

        call, state = turn(self.q, serve)
        if state not in ("sleep", "more"):
            self.word = state
        return call, state
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ps7-q5", "locked": true, "points": 11, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
from virtlab.course.grading.hidden import check
### END HIDDEN TESTS
check("ps7.q5")

# %% [markdown]
# ### Boot it
#
# With QEMU and a kernel on this machine (`virtlab doctor` says what is missing), take away the `#` and run the cell. In about ten
# seconds an unmodified Linux boots. Its `virtio_blk` driver finds your disk, and `e2fsck` has the last word. `serve_linux` adds
# system calls to your `split_stream`, `reply` and `BackEnd`, and nothing else. An error in your code is shown as always. If your
# code hangs up, or breaks the ring, you are told at once, and you can stop the cell at any time.
#
# `disk` of what it returns is the disk afterwards: `Path("disk.img").write_bytes(done.disk.array())` makes a file of it, for the `e2fsck` of
# this machine.

# %%
# from virtlab.course.ps7.real import serve_linux
# done = serve_linux(BackEnd, split_stream, reply)

# %% [markdown] tags=["solution"]
# **Explained.** `handle` keeps numbers and looks into nothing; `kicked` makes a ring of them. That is how the protocol is meant: the
# front-end says size, addresses and base in any order, and only the kick means that all of it is there. Who maps the ring at
# SET_VRING_ADDR fails when the memory table comes later, or comes again.
#
# A ring is found when it starts, so its gpas stay what they were. Its *memory* must not stay: a table that comes while the ring runs
# brings other files for the same gpas. The record `q` holds the `Mapped`, so a new table goes into that object. Who makes a new
# one, leaves the ring with the old.
#
# `word` is the state of a broken ring. Without it the next kick would look into the ring again, where `pop` has refused it. It
# would serve what a hostile driver has put there meanwhile. QEMU would go on as if nothing were wrong.
#
# SET_VRING_ADDR has the used ring before the available one. Half of all first back-ends have the two swapped. The check is quick to
# say so, as a real Linux would not: it waits for its first sector, without a word.
#
# What the library's back-end does besides: packed rings, several of them, notes on chains in flight, batches, a log of written pages
# for a migration, requests of its own to the front-end. Look into `virtlab/virtio/vhost_user/`; you know all its parts now.
