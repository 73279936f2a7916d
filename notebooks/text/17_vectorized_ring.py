# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:B03"]
# # What does a batch buy?
#
# After this lesson you can
#
# - **read** a batch of chains as six arrays, and say what became of each chain;
# - **predict** from which size on a batch is quicker, and what one more chain adds;
# - **explain** why the layout of data decides, and where C still wins.
#
# *40 minutes. Builds on lessons 14 and 16. Topic B03. The lecture takes one buffer at a time; busy devices do not.*

# %% [markdown] tags=["topic:B03"]
# ## The picture
#
# Five chains wait in a ring. Above you see them as `pop` gives them, one object each. Below are the same chains as `pop_many` gives them: six arrays. Two devices looked at the same bytes, and neither knew of the other.

# %%
import numpy as np
from virtlab import machine, show
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.show.ring_look import MODERN
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.split import SplitQueue

board = machine.lesson_pc()
rings = SplitRings.placed(0x8000, 16)
driver = SplitDriver(board.cpu, rings, MODERN)
singular, plural = SplitQueue(board.ram), SplitQueue(board.ram)
singular.enable(rings, MODERN), plural.enable(rings, MODERN)

driver.add_bufs(
    0x2_0000 + 0x1000 * np.arange(9),
    [512, 16, 512, 1, 256, 16, 512, 1, 64],
    "ABCDE",
    write=[False, False, True, True, False, False, True, True, True],
    starts=[0, 1, 4, 5, 8, 9],
)
driver.kick()
chains = list(iter(singular.pop, None))
batch = plural.pop_many().copy()
show.batch_picture(batch, chains, "Five chains, and one batch")

# %% [markdown] tags=["topic:B03"]
# This is a **structure of arrays**. Chain 1 is no object any more. It is the number 1: `heads[1]` is its head, and its buffers are the columns from `starts[1]` up to `starts[2]`. `offset` says where a buffer begins in the host's own array, so the translation is done already.
#
# ## Round 1. Plural is singular, repeated
#
# **Claim: `pop_many` gives what so many `pop` would.** The library has no slow mode and no fast mode. It has two calls, and they must agree in everything: chains, refusals, counts.

# %% jupyter={"source_hidden": true}
show.Predict(
    "Chain 3 has three buffers, and all before it have five. What is starts[4]?",
    answer=8,
    why="Chain 4 begins behind the eight buffers of the chains 0 to 3.",
)

# %%
from virtlab.virtio.batch import Batch

same = Batch.of(chains, board.ram)
for name in ("heads", "slots", "starts", "offset", "length", "write"):
    assert np.array_equal(getattr(batch, name), getattr(same, name))
assert plural.last_avail == singular.last_avail == 5

# %%
def used_ring():
    """The bytes of the used ring."""
    return board.ram.read(*rings.parts[2])

plural.push_many(batch, batch.writable())
together = used_ring()
board.ram.write(rings.used, bytes(len(together)))
for chain in chains:
    singular.push(chain, chain.writable)

assert used_ring() == together
driver.get_bufs()

# %% [markdown]
# Both ways wrote the same bytes. Note `batch.writable()`: a sum for each chain, with no loop. A device that works on arrays never asks "and the next chain?".
#
# ## Round 2. From which size on?
#
# **Claim: a batch has a fixed price, and then a chain costs almost nothing.** Now we measure, on your machine. The driver offers `n` chains of one descriptor, always with other addresses. The clock runs only while the device takes them. Of 15 runs the quickest counts: other programs make a run longer, never shorter.

# %% jupyter={"source_hidden": true}
show.Predict(
    "One pop takes about 10 µs in Python. One batch of 1024 takes how many µs?",
    answer=5,
    why="3 µs for the batch and 0.0013 µs for each chain, on the machine where this was written. Yours has other numbers of that kind.",
    within=20,
)

# %% tags=["topic:B03"]
from virtlab.show.batch_clock import crossover, line

sizes = [1, 2, 4, 8, 16, 64, 256, 1024, 4096]
measured = {kind: crossover(kind, sizes) for kind in ("single", "mixed")}
by_size = dict(zip(sizes, measured["single"], strict=True))
assert by_size[1024].ratio > 10

# %% tags=["measured"]
import matplotlib.pyplot as plt
from virtlab.show.palette import BLUE, GREEN, VERMILLION

large = sizes[3:]
fixed, each = line(large, [n * by_size[n].batch for n in large])
assert fixed > 20 * each

figure, axes = plt.subplots(figsize=(8.5, 4.4), layout="constrained")
axes.plot(sizes, [t.scalar for t in measured["single"]], "s-", color=VERMILLION, label="pop, one descriptor a chain")
axes.plot(sizes, [t.batch for t in measured["single"]], "o", color=BLUE, markersize=9, label="pop_many, one descriptor a chain")
axes.plot(large, [fixed / n + each for n in large], color=BLUE, label=f"{fixed / 1000:.1f} µs / n + {each:.1f} ns")
axes.plot(sizes, [t.batch for t in measured["mixed"]], "^:", color=GREEN, markersize=9, label="pop_many, chains of 1 to 3 in any order")
axes.set(xscale="log", yscale="log", xlabel="chains in a batch", ylabel="ns a chain", title="What one chain costs")
axes.set_xticks(sizes, map(str, sizes)), axes.grid(alpha=0.3), axes.legend()
told = f"Here pop takes {by_size[4096].scalar:,.0f} ns a chain, pop_many {by_size[8].batch:,.0f} ns in a batch of 8 and {by_size[4096].batch:,.0f} ns in one of 4,096."
show.plot(figure, "Time for one chain against the batch, 1 to 4,096 chains, both axes logarithmic. pop is flat. pop_many begins level with it, and from five chains on falls along a curve that becomes flat. Its chains in any order lie above that curve.", told)

# %% [markdown] tags=["topic:B03"]
# The line of squares is flat: the hundredth `pop` costs what the first one did. The round points fall along the curve `fixed / n + each`. On the left they are level with the squares, because `pop_many` takes fewer than five chains by `pop`. It chooses by itself, so a device need not.
#
# The triangles lie higher. Chains that lie anywhere must be followed, and that costs many more *passes*, calls of NumPy over a whole array, as round 5 shows. A batch of eight gains little there.
#
# Where does the fixed price come from? We can count instead of measuring. A *spy* is an array that notes each NumPy call over itself.

# %%
from virtlab.show.batch_run import Choice, run

few, many = run(Choice("mixed", 8)), run(Choice("mixed", 4096))
assert few.passes == many.passes
assert few.calls == many.calls
assert many.scalar_calls == 512 * few.scalar_calls

# %% [markdown]
# As many passes for 4096 chains as for 8. A NumPy call costs about 0.35 µs before it touches the first element. Then an element takes a third of a nanosecond. That is the whole secret, and the whole price.
#
# ## Round 3. The layout decides
#
# **Claim: what lies side by side is quick.** The same 4096 lengths, added up in four ways. First objects in a list, then records that one takes out one by one. Then one field of an array of records, and last an array of their own.

# %% tags=["topic:B03"]
from virtlab.show.batch_clock import race
from virtlab.show.batch_run import digits
from virtlab.virtio.chain import Buffer
from virtlab.virtio.layouts import DESC

def compared(title, ways):
    """Measure, plot how many times the quickest each takes, and give the times."""
    times = race(ways)
    ratios = [time / min(times.values()) for time in times.values()]
    figure, axes = plt.subplots(figsize=(8.5, 0.5 * len(ways) + 0.8), layout="constrained")
    axes.plot(ratios, list(times), "o", color=BLUE, markersize=10), axes.margins(y=0.2), axes.invert_yaxis()
    for name, ratio in zip(times, ratios, strict=True):
        axes.text(ratio * max(ratios) ** 0.025, name, f"{digits(ratio)} times", va="center")
    axes.set(xscale="log", title=title, xlim=(max(ratios) ** -0.05, max(ratios) ** 1.2))
    axes.tick_params(axis="x", which="both", labelbottom=False), axes.grid(axis="y", alpha=0.3)
    told = "; ".join(f"{name}: {digits(ratio)} times the quickest" for name, ratio in zip(times, ratios, strict=True))
    display(show.plot(figure, f"{title}: how many times the quickest way each way takes. The ways: {', '.join(times)}.", f"Here {told}."))
    return times

# %% tags=["measured"]
table = np.zeros(4096, DESC)
table["len"] = np.arange(4096) % 1500
objects, own = [Buffer(0, int(length), False) for length in table["len"]], table["len"].astype(np.int64)
times = compared("The sum of 4096 lengths", {
    "a list of objects": lambda: sum(buffer.length for buffer in objects),
    "records, one by one": lambda: sum(int(record["len"]) for record in table),
    "one field of all records": lambda: table["len"].sum(),
    "an array of its own": lambda: own.sum(),
})
assert times["a list of objects"] > 5 * times["an array of its own"]
assert times["records, one by one"] > 5 * times["a list of objects"]

# %% [markdown]
# Taking one record out of an array of records is the dearest of all: NumPy makes an object each time. A structured dtype is a good way to *declare* a layout, and one field of all takes about twice as long as an array of its own. But never take it apart in a loop.
#
# The same holds for order. A descriptor is 16 bytes, and moves as one element. We move 65,536 of them, out of a million.

# %% jupyter={"source_hidden": true}
show.Predict(
    "Which is quickest: a slice, a gather by index of neighbours, or a gather of descriptors that lie anywhere?",
    answer="a slice",
    options=["a slice", "neighbours by index", "anywhere, by index", "all the same"],
    why="A slice needs no index, and the processor sees what comes next. A gather reads an index for each; if they lie anywhere, it waits for memory too.",
)

# %% tags=["topic:B03", "measured"]
many_descriptors, moved = np.zeros(1 << 20, np.complex128), np.empty(1 << 16, np.complex128)
near = np.arange(5000, 5000 + len(moved))
anywhere = np.random.default_rng(0).permutation(len(many_descriptors))[: len(moved)]
times = compared("Moving 65,536 descriptors", {
    "a slice": lambda: np.copyto(moved, many_descriptors[5000 : 5000 + len(moved)]),
    "neighbours by index": lambda: many_descriptors.take(near, 0, moved, "clip"),
    "anywhere, by index": lambda: many_descriptors.take(anywhere, 0, moved, "clip"),
})
assert times["a slice"] < times["anywhere, by index"]

# %% [markdown]
# So the library compares the available entries with a ramp 0, 1, 2 and so on. If they match, it slices. Only if they do not, it gathers. `VIRTIO_F_IN_ORDER` lets the driver promise that ramp.
#
# ## Round 4. The same chains again
#
# **Claim: one compare of bytes can stand for all checks.** Most drivers use their buffers again and again. So the device keeps a private copy of the descriptors that it checked, and the arrays that came of them. That is its *shadow*. Next lap it compares the guest's bytes with the copy. If they are equal, every check would come out as before.

# %% tags=["topic:B03"]
first, other, same = (run(Choice("single", 1024, lap)) for lap in ("first", "other", "same"))
assert (same.passes, same.compares) == (0, 2)        # the entries, and the descriptors
assert first.passes > 3 * other.passes > 0           # other: only the addresses are others

# %% jupyter={"source_hidden": true}
show.Predict(
    "The ring has 64 chains that the device knows. The guest changes one byte of one descriptor. How many chains come out otherwise?",
    answer=1,
    why="The compare fails, so the device looks at all 64 anew. One of them is another than before.",
)

# %%
from virtlab.show.batch_rings import BatchRing

def known_ring():
    """64 chains that the device has seen before, made available again."""
    ring = BatchRing("single", 64)
    ring.warm("same")
    return ring

def spoil(ring, **fields):
    """Change fields of descriptor 17, as a guest can at any time."""
    view = ring.ram.view(ring.rings.desc_at(17), 16).view(DESC)
    for name, value in fields.items():
        view[name] = value

before, after = known_ring().queue.pop_many(), known_ring()
spoil(after, addr=before.offset[17] + 1)             # one byte: the lowest of the address
found = after.queue.pop_many()
assert np.flatnonzero(found.offset != before.offset).tolist() == [17]

# %% [markdown]
# Between the two lies the usual case: the same chains with other addresses. Then the lengths and flags are compared, and only the addresses are checked.
#
# And what if the guest writes *while* the device looks? The guest's bytes are compared, and never used. What is used was made from the private copy. So each byte is read once, and a guest that hurries gets either the old chains or a new look.
#
# ## Round 5. Chains of many lengths
#
# **Claim: chains go in lockstep, and take as many steps as the longest one.** Where a chain goes on depends on the descriptor just read, but never on another chain. So all take one step, and those that end fall out.

# %%
mixed = BatchRing("mixed", 8)
mixed.offer()
batch = mixed.queue.pop_many().copy()
show.levels_picture(batch, "Eight chains of one to three descriptors")

# %% tags=["topic:B03"]
from virtlab.show.batch_levels import levels

assert [len(level) for level in levels(batch)] == [8, 6, 2]
assert len(batch.offset) == 8 + 6 + 2
assert run(Choice("mixed", 8)).passes == run(Choice("mixed", 4096)).passes

# %% [markdown]
# Each row is one gather, over fewer chains than the row above. Then the steps are sorted chain by chain. The layout with `starts` is called **CSR**, *compressed sparse row*: people who store sparse matrices use the same.
#
# ## Round 6. The payload
#
# **Claim: a block is one element, too.** A disk shall read 256 blocks, from anywhere, into buffers side by side. NumPy has a type `V4096`: 4096 bytes about which it knows nothing. It can move them, and that is all we want.

# %% tags=["topic:B03", "measured"]
def copies(size):
    """Two ways to move 256 blocks of `size` bytes."""
    disk, ram = np.ones(1024 * size, np.uint8), np.zeros(256 * size, np.uint8)
    blocks = np.random.default_rng(0).integers(0, 1024, 256)
    numbers, there = blocks.tolist(), ram.view(f"V{size}")
    def slices():
        for place, block in enumerate(numbers):
            ram[place * size : (place + 1) * size] = disk[block * size : (block + 1) * size]
    return slices, lambda: disk.view(f"V{size}").take(blocks, 0, there, "clip")

(small_loop, small_take), (page_loop, page_take) = copies(64), copies(4096)
times = compared("256 blocks", {
    "64 bytes: a loop of slices": small_loop,
    "64 bytes: one take": small_take,
    "4096 bytes: a loop of slices": page_loop,
    "4096 bytes: one take": page_take,
})
assert times["64 bytes: a loop of slices"] > 5 * times["64 bytes: one take"]
assert times["4096 bytes: a loop of slices"] > times["4096 bytes: one take"]

# %% [markdown]
# The larger the block, the less the loop matters: in the end both wait for the memory itself.
#
# ## Play
#
# The explorer lets the library take one batch, and counts. Each bar is an array, and beside it stands how many passes went over it. Choose another kind. Which one has the most passes? Then change the size with *Twice as many*: what changes, and what does not? Under *Seen* you choose what the device knows of the batch. Which kinds gain most by that, and which one gains nothing? The times are floors, from counts, so a choice has the same picture in each run.

# %%
show.BatchExplorer()

# %% [markdown]
# ## Break it
#
# A batch is only as good as its checks. We spoil descriptor 17 of a ring that the device knows. The 17 chains before it are right, so they come out. The next call meets the bad one.

# %% tags=["raises-exception"]
broken = known_ring()
spoil(broken, len=0)
assert len(broken.queue.pop_many()) == 17
broken.queue.pop_many()

# %%
from virtlab.errors import GuestError

def refusal(call, ring):
    """What is said when all right chains are taken, and how many those were."""
    try:
        while call():
            pass
    except GuestError as error:
        return ring.queue.last_avail, error.why, error.spec

mistakes = {
    "no bytes": {"len": 0},
    "not memory": {"addr": 0xF_FF00},
    "a loop": {"flags": 1, "next": 17},
    "outside of the table": {"flags": 1, "next": 64},
    "the ring itself": {"flags": 2, "addr": 0x1000},
}
for name, fields in mistakes.items():
    one, other = known_ring(), known_ring()
    spoil(one, **fields), spoil(other, **fields)
    said = refusal(one.queue.pop, one)
    assert said == refusal(other.queue.pop_many, other)
    print(f"{name:21} {said[1]}  ({said[2]})")

# %% [markdown]
# The same words, the same clause, and the same counts. There is one place that words a refusal, and that is `pop`. The vector path only finds out where it can no longer be sure, and hands over.
#
# ## Measure it: many queues
#
# A network card has many queues, often one for each processor, and few chains in each. Then no batch is large. But where the queues lie at equal steps, `FusedSplit` takes one batch out of all of them.

# %% jupyter={"source_hidden": true}
show.Predict(
    "64 queues have 4 chains each. How large is the fused batch?",
    answer=256,
    why="64 times 4. Each queue alone would be below five, and be served one by one.",
)

# %% tags=["topic:B03"]
from virtlab.show.batch_run import calls
from virtlab.virtio.fused import FusedSplit

def queues(n, count=64, size=16):
    """So many queues side by side with `n` chains in each."""
    ram = board.ram
    found = []
    for number in range(count):
        rings, queue = SplitRings.placed(0x10_0000 + 0x400 * number, size), SplitQueue(ram)
        queue.enable(rings, MODERN)
        table = ram.view(rings.desc, 16 * size).view(DESC)
        table["addr"], table["len"] = 0x20_0000 + 64 * np.arange(size), 64
        ram.view(rings.avail_field("ring"), 2 * size).view(np.uint16)[:] = np.arange(size)
        ram.store(rings.avail_field("idx"), 2, n)
        found.append(queue)
    return found

# %%
fused, alone = FusedSplit(queues(4)), queues(4)
popped = fused.pop_many()
assert len(popped.batch) == 256
assert sum(len(queue.pop_many()) for queue in alone) == 256

fused, alone = FusedSplit(queues(4)), queues(4)
together = calls(fused.pop_many).total()
apart = calls(lambda: [queue.pop_many() for queue in alone]).total()
assert apart > 10 * together

# %% [markdown]
# Fused, the calls are those of one batch. With many chains in each queue it is the other way round. There each queue has a shadow of its own, and the fused batch has none.
#
# ## Where C still wins
#
# The project has a twin of the ring path in C. It makes the same checks, translates the same addresses and gives the same arrays. `make bench` runs both in turn. These are the ratios of one such run, with each row for the rings and for moving blocks. It ran in November 2026 on two cores of an x86-64 machine.

# %%
from virtlab.show.batch_ratios import measured as bench

ratios = bench()
show.ratio_picture(ratios, "pop_many and push_many: time in units of C")

# %%
def ratio(row, batch):
    return next(each.ratio for each in ratios if (each.row, each.batch) == (row, batch))

assert ratio("split, in order", 4096) < 1 < ratio("split, in order", 256)
assert ratio("split, mixed lengths", 4096) < 1 < ratio("split, chains of three, random heads", 4096)
assert all(each.ratio <= each.goal for each in ratios if each.gate)

# %% [markdown] tags=["topic:B03"]
# Three things can be read there. C wins at small batches, because it has no fixed price: at 256 chains the twin takes about a microsecond. C wins wherever chains must be followed: several descriptors and heads in any order, or ids in any order. Compare *mixed lengths*, which lie side by side and are known from the lap before. And it loses where the shadow or a plain slice does the work. A compare of bytes does less than a loop that checks each descriptor.
#
# Is that fair? Not quite. A twin with a shadow of its own would be quicker still. What the chart shows is that the *layout* won, and not the language.
#
# ## How real systems do it
#
# QEMU's `virtqueue_pop` takes one element at a time, and allocates it. Fast paths look otherwise. DPDK's virtio driver handles the four descriptors of a packed ring that share a cache line at once, with one wide compare of their flags. Its interfaces take bursts, of 32 packets in most examples. FD.io's VPP carries *vectors* of up to 256 packets from one step of processing to the next. So each step's code stays in the cache: that is our fixed price in another form. Linux's vhost-net gathers the used elements of many packets before it tells the guest. NAPI lets a network driver take up to 64 packets a turn. `VIRTIO_F_IN_ORDER` came into virtio 1.1, and makes such paths simpler. What our model leaves out: wide registers used by hand, prefetching, and the other processor that writes the ring at the same time. A batch also has a price that no ratio shows. The first chain waits for the last one, so latency grows.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "A device finds 3 chains. What does `pop_many` do?",
        ("It takes them one by one, and gives a batch of 3", "Below five chains the fixed price of a batch is more than three single calls."),
        ("It waits for more", "It never waits: whoever waits for a batch makes the first chain late."),
        ("It runs the array path, as for any number of chains", "It could, and the result would be the same. It would only be dearer."),
        place=2,
    ),
    show.question(
        "`starts` is [0, 2, 3, 6]. How many buffers has chain 2?",
        ("3", "From `starts[2]`, which is 3, up to `starts[3]`, which is 6."),
        ("6", "That is where its buffers end, and how many all chains have together."),
        ("1", "That is chain 1: from 2 up to 3."),
    ),
    show.question(
        "Why may the device trust its shadow, though the guest can write the ring at any time?",
        ("What it uses was made from a private copy; the guest's bytes are only compared", "So no byte is read twice, and none is used that was not checked."),
        ("Because the guest promised not to change descriptors", "A hostile guest promises anything."),
        ("Because one compare of all bytes is quicker than a guest can change any of them", "Being quick is no protection. Between any two reads a guest can write."),
        place=1,
    ),
    show.question(
        "1000 chains have one descriptor each, and one has twenty. How many steps in lockstep?",
        ("20", "As many as the longest chain. Nineteen of them are for a single chain, and each pays the fixed price."),
        ("1001", "That would be one chain after the other."),
        ("2", "A chain's next descriptor is known only when the one before was read."),
    ),
    show.question(
        "Where is the vector path far behind C, by the table?",
        ("Small batches, and chains that must be followed", "There the fixed price of many NumPy calls is not spread over enough elements."),
        ("Large batches in order, where the most bytes are touched", "There it is ahead: a compare of bytes does the work."),
        ("Everywhere: Python is slow", "The interpreter runs a few dozen steps a batch. With 4096 chains nobody notices."),
        place=1,
    ),
])

# %% [markdown]
# ## Take away
#
# A batch pays a fixed price once, and then almost nothing for each chain. What makes that possible is the layout: arrays side by side, slices before gathers, and a copy that says "as before". It must give the same chains and the same refusals as one call at a time, or it is worth nothing.
#
# **New terms**: [CSR](../docs/glossary.md#csr-compressed-sparse-row), [fused queues](../docs/glossary.md#fused-queues), [lockstep](../docs/glossary.md#lockstep), [pass](../docs/glossary.md#pass), [shadow](../docs/glossary.md#shadow-of-a-ring), [structure of arrays](../docs/glossary.md#structure-of-arrays).
#
# **Read the code**, in this order: [virtlab/virtio/batch.py](../virtlab/virtio/batch.py) (the arrays), [virtlab/virtio/split_many.py](../virtlab/virtio/split_many.py) (which way is tried first), [virtlab/virtio/split_steps.py](../virtlab/virtio/split_steps.py) (lockstep).
#
# **Exercise**: problem set 4, [task 8, *walk 4096 chains at once*](../exercises/ps04/ps04.ipynb#8.-Walk-4096-chains-at-once).
#
# **Next**: [lesson 18, hostile guest](18_hostile_guest.ipynb). There the guest lies on purpose.

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("17")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is the explorer: choose mixed chains, go down to eight, and the batch gains little or nothing. Ask why, before anybody says "Python". Then choose one descriptor with the same buffers: no pass at all. Question for the room: what would a C programmer take over from this lesson? (The arrays, the shadow and the ramp; each of them helps C as well.) The plot of round 2 differs on each laptop: compare the fixed prices in the room. If time is short, leave out round 6 and the fused queues.
#
# </details>
