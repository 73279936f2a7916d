# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:B01"]
# # Can one ring do the work of three?
#
# After this lesson you can
#
# - **tell** from two bits and a wrap counter whose a descriptor is;
# - **follow** buffers through a packed ring, also out of order;
# - **count** the cache lines that each layout costs, and say when packed wins.
#
# *40 minutes. Builds on lessons 14 and 15. Topic B01, and B02 once more. The lecture has the split ring only; virtio 1.1 added this one.*

# %% [markdown] tags=["topic:B01"]
# ## The picture
#
# A *packed* virtqueue is one ring of descriptors, and both sides write it. There is no available ring, no used ring, and no index in memory. Arrows show where each side is. Below are two small structures, by which each side says what it wants to hear of.

# %%
from virtlab import machine, show
from virtlab.show.ring_play import play
from virtlab.show.ring_stepper import frame_picture
from virtlab.show.ring_tape import STORY, Setting, State

frame_picture(Setting("packed", 5), play(Setting("packed", 5), STORY), 2)

# %% [markdown]
# A descriptor has 16 bytes, as in the split ring: address, length, *buffer id*, flags. The **id** is the driver's name for the whole list. `next` is gone: a list is a run of neighbours. The size need not be a power of two. Ours is 5.

# %%
from virtlab.guest.virtqueue_packed import PackedDriver
from virtlab.show.ring_look import MODERN, counts_of, look_packed
from virtlab.virtio.features import Feature
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import AVAIL, USED, PackedRings, is_avail, is_used, wrap_at

board = machine.lesson_pc()
rings = PackedRings.placed(0x8000, 5)

def fresh(features=MODERN):
    """Both sides of an empty queue at `rings`."""
    queue = PackedQueue(board.ram)
    driver = PackedDriver(board.cpu, rings, features)
    queue.enable(rings, features)
    return driver, queue

def look():
    """The ring's bytes now, and the four counts."""
    return look_packed(board.ram, rings, counts_of(driver, queue))

def rewritten(before):
    """The slots whose descriptors are others than in an earlier look."""
    return [slot for slot in range(5) if look().descriptors[slot] != before.descriptors[slot]]

driver, queue = fresh()

# %% [markdown] tags=["topic:B01"]
# ## Round 1. One buffer, one ring
#
# **Claim: the flags of one descriptor do what two indices did.** The same request as in [lesson 14](14_data_exchange.ipynb): 16 bytes out, 512 and 1 back.

# %%
READ = {"out": [(0x2_0000, 16)], "in_": [(0x2_1000, 512), (0x2_0010, 1)]}
board.ram.write(0x2_0000, b"read sector 3")
before = look()
driver.add_buf(**READ, token="sector 3")

assert queue.pop() is None
show.packed_ring_picture(look(), "1. add_buf: the first flags are held back", before, "add")

# %% jupyter={"source_hidden": true}
show.Predict(
    "Three descriptors are written. How many bytes of the ring does kick change?",
    answer=1,
    why="The low byte of the first descriptor's flags: AVAIL and NEXT. It opens the whole list.",
)

# %%
before, old = look(), board.ram.read(rings.desc, 5 * 16)
driver.kick()
new = board.ram.read(rings.desc, 5 * 16)
changed = [at for at, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]

assert changed == [14]                       # descriptor 0, its flags
show.packed_ring_picture(look(), "2. kick: the flags of descriptor 0", before, "kick", "bell")

# %% [markdown] tags=["topic:B01"]
# The device reads the ring in its order. So it does not come to descriptors 1 and 2 before descriptor 0 says yes. The driver writes that one last.
#
# Now the device gives the list back. There is no used ring to write to. So it writes over the descriptor that it has read: a *used descriptor* has the id, the length written, and flags.

# %% jupyter={"source_hidden": true}
show.Predict(
    "The list had three descriptors. How many does the device write to give it back?",
    answer=1,
    why="One for the list, at its first slot. Both sides then skip three slots.",
)

# %%
chain = queue.pop()
before = look()
queue.push(chain, chain.write(board.ram, b"3" * 512 + b"\0"))
queue.notify()

assert rewritten(before) == [0]
show.packed_ring_picture(look(), "4. push: written over descriptor 0", before, "push", "interrupt")

# %%
print(driver.get_buf())
assert driver.free == 5

# %% [markdown] tags=["topic:B01"]
# ## Round 2. Which lap is it?
#
# **Claim: two bits are enough, if each side knows its lap.** Look at the picture above. Descriptors 1 and 2 still say AVAIL 1, USED 0, and nobody will clear them. When the device comes round again, that must not look like a new request. So each side has a **wrap counter** of one bit. It is 1 at first, and turns at the end of the ring. Available means: AVAIL is the wrap counter, and USED is its opposite.

# %% jupyter={"source_hidden": true}
show.Predict(
    "In the second lap the wrap counter is 0. What is the USED bit of a descriptor that is available then?",
    answer=1,
    why="The opposite of the wrap counter. AVAIL is 0.",
)

# %%
driver, queue = fresh()
rows = []
for position in range(12):
    driver.add_buf(out=[(0x2_0000, 16)], in_=[], token=position)
    driver.kick()
    flags = look().descriptors[position % 5].flags
    given = f"{bool(flags & AVAIL):d} {bool(flags & USED):d}"
    queue.push(queue.pop())
    flags = look().descriptors[position % 5].flags
    rows.append((position, position % 5, wrap_at(position, 5), given, f"{bool(flags & AVAIL):d} {bool(flags & USED):d}"))
    driver.get_buf()

# %%
from virtlab.show.tables import Table

assert {row[3:] for row in rows if row[2]} == {("1 0", "1 1")}
assert {row[3:] for row in rows if not row[2]} == {("0 1", "0 0")}
Table("AVAIL and USED, lap by lap", ("position", "slot", "wrap", "available", "used"),
      tuple(tuple(map(str, row)) for row in rows))

# %% [markdown] tags=["topic:B01"]
# "Used" in one lap is the neighbour of "available" in the next: each side turns one bit. And the same bits mean something else one lap later. So the counter is part of every position, and our code counts positions that run free: `slot = position % size`, `wrap = 1 - position // size % 2`.
#
# A list may cross the end. Its last descriptors then have the bits of the next lap.

# %%
driver, queue = fresh()
for _ in range(3):
    driver.add_buf(out=[(0x2_0000, 16)], in_=[], token="one")
    driver.kick()
    queue.push(queue.pop())
    driver.get_buf()
driver.add_buf(**READ, token="across the end")
driver.kick()

flags = [look().descriptors[slot].flags for slot in (3, 4, 0)]
assert [is_avail(each, wrap) for each, wrap in zip(flags, (1, 1, 0), strict=True)] == [True] * 3
show.packed_ring_picture(look(), "A list in slots 3, 4 and 0", call="kick", signal="bell")

# %% [markdown] tags=["topic:B01"]
# ## Round 3. Out of order
#
# **Claim: the id says which, the place says nothing.** Two lists are with the device: a short one, then one of three. The device finishes the second one first.

# %%
driver, queue = fresh()
driver.add_buf(out=[(0x2_0000, 16)], in_=[], token="short")
driver.add_buf(**READ, token="long")
driver.kick()
short, long = queue.pop(), queue.pop()
before = look()

# %% jupyter={"source_hidden": true}
show.Predict(
    "The long list lies in slots 1 to 3, its id is 1. At which slot does the device write that it is used?",
    answer=0,
    why="At the oldest slot that it holds. Used descriptors stand in the ring in the order in which they are written.",
)

# %%
queue.push(long, 513)

assert look().descriptors[0].id == 1
assert is_used(look().descriptors[0].flags, 1)
show.packed_ring_picture(look(), "The long list is used, at slot 0", before, "push", "interrupt")

# %% [markdown] tags=["topic:B01"]
# Slot 0 had the short list, and that list is *still with the device*. Its descriptor is gone from memory. So a device must copy what it needs before it uses anything: our `pop` copies all. The driver reads id 1, and must remember that this list had three slots. It skips three, and the next used descriptor is expected at slot 3.

# %%
queue.push(short)
answers = [driver.get_buf(), driver.get_buf()]
print(answers)

assert [each.token for each in answers] == ["long", "short"]
assert is_used(look().descriptors[3].flags, 1)
assert look().descriptors[3].id == 0

# %% [markdown] tags=["topic:B01"]
# A device that promises order may save even more. With `IN_ORDER`, one used descriptor stands for a whole batch: the last id, at the slot of the first list.

# %%
driver, queue = fresh(MODERN | {Feature.IN_ORDER})
for name in "abcd":
    driver.add_buf(out=[(0x2_0000, 16)], in_=[], token=name)
driver.kick()
chains = [queue.pop() for _ in range(4)]
before = look()
queue.push(chains[-1], count=4)

assert rewritten(before) == [0]
assert "".join(driver.get_buf().token for _ in range(4)) == "abcd"

# %% [markdown] tags=["topic:B02"]
# ## Round 4. Who wants to hear of what
#
# **Claim: four bytes say exactly when to ring.** In a split ring each side has a flag, or an index, at the end of *its* ring. Here each side has an *event suppression structure*: two words, written in one access. `flags` says ENABLE, DISABLE or DESC. With DESC, which needs `RING_EVENT_IDX`, `desc` names one descriptor: a slot and a wrap counter.

# %% jupyter={"source_hidden": true}
show.Predict(
    "The driver asks for the event of slot 0 in lap 1. The device uses three lists, one by one, and asks each time whether to interrupt. How many interrupts?",
    answer=1,
    why="The first one passes slot 0. The driver has not asked for another one since.",
)

# %% tags=["topic:B02"]
driver, queue = fresh(MODERN | {Feature.RING_EVENT_IDX})
for name in "abc":
    driver.add_buf(out=[(0x2_0000, 16)], in_=[], token=name)
driver.kick()
driver.enable_cb()
interrupts = []
while chain := queue.pop():
    queue.push(chain)
    interrupts.append(queue.notify())
print(interrupts)

assert interrupts == [True, False, False]
show.packed_ring_picture(look(), "The driver waits for slot 0, the device for slot 3")

# %% [markdown] tags=["topic:B02"]
# Both structures are in the picture. The driver has said "slot 0, wrap 1". The device said "slot 3, wrap 1" when it took the third list: ring when there is something new. An *indirect table* works as in lesson 14, with one difference. The table's descriptors are used as they lie, from first to last, and NEXT in them means nothing (2.8.7).
#
# ## Play
#
# The stepper of lesson 14, on a packed ring of 5. It stands at the moment of round 3: the second list is done first. Step on, and see the ring cross its end. Then take over, or make a mistake.

# %%
show.RingStepper(Setting("packed", 5), State(STORY, 11))

# %% [markdown]
# ## Break it
#
# There is no index to follow, so there is no loop to fall into. What can be wrong is that a list does not end, or that it takes what is not free.

# %%
from virtlab.virtio.layouts import NEXT, WRITE
from virtlab.virtio.packed_layouts import PACKED_DESC, offset_of

def spoil(slot, field, value):
    """Write one field of a descriptor, as a guest can at any time."""
    size = PACKED_DESC.fields[field][0].itemsize
    board.ram.store(rings.desc_at(slot) + offset_of(PACKED_DESC, field), size, value)

driver, queue = fresh()
driver.add_buf(**READ, token="spoilt")
rang = driver.kick()

# %% tags=["raises-exception"]
spoil(2, "flags", AVAIL | WRITE | NEXT)      # the last of the list goes on
queue.pop()

# %%
from virtlab.errors import GuestError

spoil(2, "flags", AVAIL | WRITE)
assert queue.pop().slots == 3                # mended, and taken
for slot in (3, 4):
    spoil(slot, "addr", 0x2_0000), spoil(slot, "len", 16), spoil(slot, "flags", AVAIL)
try:
    queue.pop()                              # slot 3 has id 0, as the list that is in flight
except GuestError as error:
    print(error.why, "-", error.spec)
assert queue.in_flight == 1

# %% [markdown] tags=["topic:B01"]
# And one mistake that nobody refuses. A driver forgets to turn its wrap counter. Its descriptor then looks as if it had been available in the lap before. The device waits, and so does the driver. And these are the very bits of a leftover, so not even the ring doctor finds a rule that is broken.

# %%
from virtlab.virtio.doctor import examine, ring_of

driver, queue = fresh()
for _ in range(5):
    driver.add_buf(out=[(0x2_0000, 16)], in_=[], token="first lap")
    driver.kick(), queue.push(queue.pop()), driver.get_buf()
driver.add_buf(out=[(0x2_0000, 16)], in_=[], token="second lap")
driver.kick()
spoil(0, "flags", AVAIL)                     # the bits of lap 1, in lap 2

report = examine(board.ram, ring_of(queue))
print(queue.pop(), report.pending, report.findings)
assert queue.pop() is None
assert report.sound

# %% [markdown] tags=["topic:B01"]
# ## Measure it
#
# Why all this? The two sides run on two cores, and memory moves between cores in *cache lines* of 64 bytes. We watch both sides, and count the lines that each of them touches for one request of one piece. The queue has 256 entries and has run for a lap.

# %% jupyter={"source_hidden": true}
show.Predict(
    "A line holds four descriptors of 16 bytes. How many requests of one piece share a line of a packed ring?",
    answer=4,
    why="And nothing else is there to be touched, but the event suppression structures.",
)

# %%
from virtlab.show.ring_cost import IN_ORDER, cost, lines_table, moves_table

lines_table((1, 4, 16, 64))

# %%
for batch in (4, 16, 64):
    each = cost("packed", batch)
    formula = (batch / 4 + 1 + 1) / batch    # its lines, the next one asked in vain, an event word
    assert each.driver_lines == each.device_lines == formula
    assert each.driver_lines < cost("split", batch).driver_lines

# %% [markdown] tags=["topic:B01"]
# The packed ring touches about half of the lines while batches are small: 4.5 against 10, and 1.5 against 2.7. But a touch costs little if the line is in the core's own cache. What costs is a line that has to *move*: because the other core has written it, or because this one wants to write what the other has too. We count those as well.

# %%
moves_table((1, 4, 16, 64))

# %%
moves = {name: cost(*of).moves for name, of in {
    "split, one by one": ("split", 1), "packed, one by one": ("packed", 1),
    "split, 64 at once": ("split", 64), "packed, 64 at once": ("packed", 64),
    "packed, in order, 64": ("packed", 64, IN_ORDER)}.items()}

assert moves["packed, one by one"] == 4
assert moves["packed, 64 at once"] == 4 / 4
assert moves["split, one by one"] > 2 * moves["packed, one by one"]
assert moves["split, 64 at once"] < moves["packed, 64 at once"]
show.bars("Cache lines that move, for one request", {name: round(each, 2) for name, each in moves.items()})

# %% [markdown] tags=["topic:B01"]
# The closed form for packed: a line moves four times in its life. The driver takes it, the device fetches it, the device takes it to write "used", the driver fetches it again. One request alone pays all four; four requests that share a line pay one each. Compare that with the split ring, where one request touches a descriptor, an entry, an element and two indices.
#
# With 64 at once the two meet. There the split ring even wins a little: an entry has 2 bytes and an element 8, and the device never writes descriptors. That is what the count says, and it is not what one reads about packed rings. Its model is simple, though: endless caches, and two sides that take turns. Two cores that run at the same time fight for the indices of a split ring. And a core fetches one ring ahead more easily than three.
#
# ## How real systems do it
#
# Linux drivers and QEMU's devices know both layouts, and agree by the feature `RING_PACKED`. QEMU offers it only where `packed=on` is asked for. The layout was made with hardware in mind. A card that speaks virtio reads the ring over PCI Express, where each read is a packet and a long wait. One ring needs one read for a descriptor and its state, where the split ring needs an index, an entry and a descriptor. DPDK handles packed descriptors four at a time, because four are a cache line. Linux keeps for each id how many slots its list had, as our driver does. A descriptor that refers to a table stands alone; Linux uses one for any list of more than one piece. After migration both wrap counters must be right too, so they travel with the positions, in bit 15. Our model leaves out `NOTIFICATION_DATA`, where a bell says how far the driver is.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "A descriptor has AVAIL 1 and USED 0. Is it available?",
        ("It depends on the lap: yes where the wrap counter is 1, else it is a leftover", "The bits mean something only together with a wrap counter."),
        ("Yes: AVAIL is set and USED is not, and that is how a driver makes one available", "In the second lap an available descriptor has AVAIL 0 and USED 1."),
        ("No: a device must set USED first", "A device sets its bits only when it gives a descriptor back."),
        place=1,
    ),
    show.question(
        "A list of three is used. Which descriptors does the device write?",
        ("One, at the oldest slot that it holds", "Both sides then skip three slots. And the slot may have belonged to another list."),
        ("All three, so that each has USED set", "Only one. The other two keep the bits that the driver gave them."),
        ("The list's last one, as the id is there", "The driver puts the id there. The device writes where its own count points to."),
        place=2,
    ),
    show.question(
        "Why does the driver write the first flags of a batch last?",
        ("This one descriptor hides all that lie behind it", "The device reads in ring order. So these flags do what `avail.idx` does in a split ring."),
        ("The flags are the last field of a descriptor", "They are, but the other descriptors' flags are written at once."),
        ("So that the device is not rung for each descriptor", "The bell is apart from it. The driver rings it after all flags, if at all."),
        place=2,
    ),
    show.question(
        "Where does the packed ring save most, by our count?",
        ("Where requests come one by one", "4 lines move instead of 10. In batches of 64 both need about one."),
        ("In large batches", "There both layouts share each line among many requests."),
        ("Equally at any batch: one ring is always less than two", "The tables say otherwise: the larger the batch, the less it saves."),
        place=1,
    ),
])

# %% [markdown]
# ## Take away
#
# One ring of descriptors carries both directions, because two bits and a wrap counter say whose each one is. The device writes over what it has read, so an id must name the list and the driver must remember its length. What is gained is fewer cache lines for each request, and most where requests come one by one.
#
# **New terms**: [buffer id](../docs/glossary.md#buffer-id), [cache line](../docs/glossary.md#cache-line), [event suppression structure](../docs/glossary.md#event-suppression-structure), [packed virtqueue](../docs/glossary.md#packed-virtqueue), [position](../docs/glossary.md#position-in-a-ring), [run](../docs/glossary.md#run-of-a-ring), [used descriptor](../docs/glossary.md#used-descriptor), [wrap counter](../docs/glossary.md#wrap-counter).
#
# **Read the code**, in this order: [virtlab/virtio/packed_layouts.py](../virtlab/virtio/packed_layouts.py) (bits and positions), [virtlab/virtio/packed.py](../virtlab/virtio/packed.py) (the device), [virtlab/guest/virtqueue_packed.py](../virtlab/guest/virtqueue_packed.py) (the driver).
#
# **Exercise**: problem set 4, [task 7, *pop from a packed ring*](../exercises/ps04/ps04.ipynb#7.-Pop-from-a-packed-ring).
#
# **Next**: [lesson 17, vectorized ring](17_vectorized_ring.ipynb). What if one takes a whole batch from the ring with array operations?

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("16")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is round 3: the used descriptor lies on a list that is still in flight. Ask what a device would do that reads its descriptors again before it pushes. The last bar of the measurement starts a good discussion: why was this layout made, if a batch of 64 costs the same? Have the room name what the model leaves out. If time is short, leave out round 4.
#
# </details>
