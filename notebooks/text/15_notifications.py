# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:S40"]
# # Who wakes whom, and when?
#
# After this lesson you can
#
# - **count** the exits and interrupts that a queue costs, and suppress those that nobody needs;
# - **explain** why `enable_cb` gives an answer, and what happens to a driver that ignores it;
# - **compute** with two subtractions whether a threshold was passed, also where 65535 becomes 0.
#
# *40 minutes. Builds on lessons 07, 13 and 14. Topics S40 and B02. It stands for the lecture's slide on callbacks, `virtqueue_disable_cb` and `virtqueue_enable_cb`.*

# %% [markdown] tags=["topic:S40"]
# ## The picture
#
# A guest has a queue. There is no device behind it yet, only the queue's other end, in the VMM. One page is a *doorbell*: a store there means "look at the queue". The way back is IRQ 6. Here is one request.

# %%
from virtlab import machine, show
from virtlab.show.notify_run import Ends

board = machine.lesson_pc()
ends = Ends(machine.lesson_vm(board))        # a driver in the guest, a queue in the VMM
with board.trace.recording() as events:
    ends.add("one request")                  # add_buf, and kick: the bell
    ends.serve()                             # pop, push, and notify: the interrupt

show.exit_timeline([event for event in events if event.who != "ram"], title="One request: a bell, and an interrupt")

# %% tags=["topic:S40"]
assert ends.driver.get_buf() == ("one request", 1)
assert (ends.bells, ends.interrupts, ends.exits) == (1, 1, 3)

# %% [markdown]
# The ring itself is memory that both sides share. The guest wrote descriptors, an entry and an index, and none of that left the guest. Three exits remain. The bell is one. The guest sleeps until the answer comes, and HLT is one. The end of the interrupt at the virtual 8259A is the third.
#
# ## Round 1. Two bells
#
# **Claim: without suppression every request pays for both bells.** The data path of virtio is memory. What costs time is telling the other side.

# %% jupyter={"source_hidden": true}
show.Predict(
    "Ten requests go to the device before it looks. Then it gives all ten back. Each side tells the other each time. How many exits?",
    answer=30,
    why="10 bells of one exit, and 10 interrupts of two: 3n.",
)

# %%
before = ends.exits
rang = [ends.add(number) for number in range(10)]
interrupted = [ends.serve() for _ in range(10)]
tokens = [ends.driver.get_buf().token for _ in range(10)]
print(sum(rang), "bells,", sum(interrupted), "interrupts,", ends.exits - before, "exits")

assert tokens == list(range(10))
assert ends.exits - before == 3 * 10

# %% [markdown] tags=["topic:S40"]
# Nine of the ten bells said what the first had said: look at the queue. The device had not even come yet.
#
# ## Round 2. A flag that asks for silence
#
# **Claim: whoever is awake need not be called.** So each side has a flag in the ring that it writes. The device writes NO_NOTIFY in the used ring, and the driver's `kick` reads it. The driver writes NO_INTERRUPT in the available ring, and the device's `notify` reads it. The lecture's call for that is `virtqueue_disable_cb`.

# %%
ends.device.disable_notify()                 # the device is awake
ends.driver.disable_cb()                     # so is the driver
before = ends.exits
for number in range(5):
    ends.add(number), ends.serve(), ends.driver.get_buf()

flags = {"avail.flags": ends.rings.avail_field("flags"), "used.flags": ends.rings.used_field("flags")}
print({name: ends.guest.cpu.load(gpa, 2) for name, gpa in flags.items()}, ends.exits - before, "exits")

assert ends.exits == before
assert ends.device.enable_notify()
assert ends.driver.enable_cb()

# %% [markdown]
# Five requests, there and back, and no exit. But a flag in memory is a wish, and no more. The other side reads it when it reads it.

# %% jupyter={"source_hidden": true}
show.Predict(
    "The driver has called `disable_cb`. Can an interrupt still come?",
    answer="yes, one that the device had decided on before",
    options=["no, the flag forbids it", "yes, one that the device had decided on before", "only if the device is broken"],
    why="The device reads the flag, and then interrupts. In between the driver may write it.",
)

# %%
ends.add("one")
ends.device.push(ends.device.pop(), 1)
wanted = ends.device.should_notify()         # the device reads avail.flags: yes
ends.driver.disable_cb()                     # only now the driver changes its mind
before = ends.interrupts
if wanted:
    ends.device.interrupt()

print(ends.interrupts - before, "interrupt after disable_cb")
assert ends.interrupts - before == 1
assert ends.driver.get_buf().token == "one"
assert ends.driver.get_buf() is None         # so a handler must bear to find nothing

# %% [markdown] tags=["topic:S40"]
# The lecture says it of `virtqueue_disable_cb`: it is *not synchronous*, so it is *unreliable*, and so it is *an optimization only*. Synchronous would mean that nothing comes once the call has returned. No lock or protocol rests on it. The specification says it of both its methods: they are not reliable, *as they are not synchronized with the device* (virtio 1.3, 2.7.7). So *the driver MUST handle spurious notifications* (2.7.7.1).
#
# ## Round 3. The lost wake-up
#
# One notification too many costs time. One too few is worse. **Claim: between the last look and the wish to be woken there is a gap, and a buffer can fall into it.** The driver polls with callbacks off. It finds nothing, and decides to sleep.

# %% jupyter={"source_hidden": true}
show.Predict(
    "Just after the driver's last look the device gives a buffer back. Then the driver calls `enable_cb`. What does it answer?",
    answer="False",
    options=["True", "False"],
    why="It writes the wish, and then looks once more. A buffer is there, so it is no time to sleep.",
)

# %%
ends.add("late")
look = ends.driver.get_buf()                 # the last look: nothing
told = ends.serve()                          # just now: pushed, and nobody wants to hear of it
answer = ends.driver.enable_cb()             # the wish comes too late
print(look, told, answer)

# %% [markdown]
# We ignore the answer, as a careless driver would, and halt. The guest's HLT waits for at most one second of virtual time here.

# %%
before = board.clock.now
woken_by = ends.pics.next_irq()              # HLT
print("woken by", woken_by, "after", (board.clock.now - before) / 1e9, "s")

assert (look, told, answer) == (None, False, False)
assert woken_by is None                      # nobody called, and nobody would ever
assert ends.driver.get_buf().token == "late"

# %% [markdown] tags=["topic:S40"]
# That is why `enable_cb` gives a bool. *False* says: a buffer was used meanwhile, get it first. The specification warns of *missing notifications between emptying the ring and reenabling notifications* (2.7.14). Here is the same order of accesses, each made by the library's own driver and queue. The driver ignores its last load, row 11.

# %%
from virtlab.show.race_state import chosen, rows, start

gap = "the caller, after the sleeper's first look"
careless = chosen(start("careless", barriers="both"), order=gap)
careful = chosen(careless, race="interrupt")
assert rows(careless)[1].verdict() == "both asleep"
assert rows(careful)[1].verdict() == "awake"
show.race_picture(careless)

# %% [markdown]
# ## Round 4. A store that has not arrived
#
# So: first the wish, then one more look. Is that enough? **Claim: not on a PC, unless there is a barrier in between.** A processor does not wait for its stores. They stand in its *store buffer*, while its loads go ahead.

# %%
from virtlab.guest.store_buffer import StoreBuffer

cpu = StoreBuffer(ends.guest.cpu)
ends.guest.cpu.store(0x1000, 0, 2)
cpu.store(0x1000, 1, 2)
print("its own processor sees", cpu.load(0x1000, 2), "and all others see", ends.guest.cpu.load(0x1000, 2))

cpu.drain()                                  # what a barrier waits for
assert ends.guest.cpu.load(0x1000, 2) == 1

# %% [markdown]
# Now both sides have such a buffer, and nobody has a barrier. Both do everything in the right order.

# %%
naked = start("interrupt", barriers="none")
assert rows(naked)[1].verdict() == "both asleep"
show.race_picture(naked)

# %% [markdown]
# Read rows 5 and 6. The driver's wish waits in one buffer and the device's index in the other. Each side looks at memory, sees the past, and concludes that nothing is to be done. Both sleep. Nothing will ever move again on this queue.
#
# That was one order of many. The moves of both sides and of both buffers can follow each other in any order, and we can try them all.

# %% jupyter={"source_hidden": true}
show.Predict(
    "Whose barrier is needed, so that no order ends with both asleep?",
    answer="both are needed",
    options=["the driver's is enough", "the device's is enough", "either one is enough", "both are needed"],
    why="Each side stores and then loads. A side without a barrier can still have looked before its store arrives.",
)

# %%
from virtlab.show.race_run import orders
from virtlab.show.race_state import BARRIERS

ends_of = {words: orders("interrupt", fences=sides) for words, sides in BARRIERS.items()}
lost = {f"barriers: {words}": counts["both asleep"] for words, counts in ends_of.items()}
print({words: counts.total() for words, counts in ends_of.items()})
assert list(lost.values()) == [335, 140, 90, 0]
show.bars("Orders that end with both asleep", lost)

# %% [markdown]
# The specification's example has a barrier between the wish and the second look (2.7.14), and the device needs one before it reads the flag. The kick is the same race with the roles exchanged: *the driver MUST perform a suitable memory barrier before reading flags or avail_event* (2.7.13.4.1). Our driver and queue name each such point and call a `barrier` there.
#
# ## Play
#
# Press the four moves and find an order in which the driver's barrier alone is not enough. Then take both barriers, and try to put both sides to sleep. Then let the driver look only once.

# %%
show.RaceStepper()

# %% [markdown] tags=["topic:B02"]
# ## Round 5. A threshold in place of a flag
#
# A flag says how a side feels *now*. While the device is still asleep, its flag says "ring", and each of ten kicks rings. **Claim: what a side wants to hear of is one entry, not a state.** With EVENT_IDX the device writes `avail_event` behind the used ring: tell me when this entry is available. The driver writes `used_event` behind the available ring.

# %% jupyter={"source_hidden": true}
show.Predict(
    "EVENT_IDX is on. The device sleeps and has asked for entry 0. The driver adds ten buffers, each with a kick. How many bells?",
    answer=1,
    why="The first kick takes the index past entry 0. The other nine do not pass it again.",
)

# %% tags=["topic:B02"]
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import need_event

exact = Ends(machine.lesson_vm(board), frozenset({Feature.RING_EVENT_IDX}))
rang = [exact.add(number) for number in range(10)]
interrupted = [exact.serve() for _ in range(10)]
print(f"bells {rang}\ninterrupts {interrupted}\n{exact.exits} exits")

assert rang == interrupted == [True] + 9 * [False]
assert exact.exits == 3

# %% [markdown] tags=["topic:B02"]
# The device never came to switch anything off, and nothing had to be switched. A threshold can also lie in the middle of a batch. The driver gets its ten buffers, sends eight more, and asks to be woken when six of them are done.

# %% tags=["topic:B02"]
while exact.driver.get_buf():
    pass

for number in range(8):
    exact.add(number)

exact.guest.cpu.store(exact.rings.avail_field("used_event"), exact.driver.last_used + 5, 2)
print([exact.serve() for _ in range(8)])

assert exact.interrupts == 1 + 1
assert [need_event(event=15, new=new, old=new - 1) for new in range(11, 19)] == 5 * [False] + [True] + 2 * [False]

# %% [markdown] tags=["topic:B02"]
# The sixth push wakes the driver, and the last two come while it works. `need_event` decides, with two subtractions of 16 bits. How far is it from `event` to `new`, and is that less than from `old` to `new`? Here an index goes over the end of the circle.

# %% tags=["topic:B02"]
from virtlab.show.notify_state import Threshold

over_the_end = Threshold(old=65533, new=2, event=65535)
assert over_the_end.notify
show.threshold_picture(over_the_end)

# %% [markdown]
# ## Play
#
# Move the three numbers, with the boxes or the buttons. Press *Next batch* several times and watch when the threshold is passed again. *Ask for silence* names the entry just passed: it comes again last of all, after 65535 others. So even silence ends. Then choose the packed ring. It counts descriptors, and a wrap counter tells one lap from the next.

# %%
show.ThresholdExplorer()

# %% [markdown]
# ## Break it
#
# Somebody finds the formula odd, and writes what it means.

# %% jupyter={"source_hidden": true}
show.Predict(
    "`old <= event < new`, in batches of 4. The device has asked for the next entry. From how many of the 65,536 starts does the bell fail to ring?",
    answer=4,
    why="From 65532 to 65535: there `new` has wrapped to a small number, and nothing lies between.",
)

# %%
def plain(event, new, old):
    """What need_event seems to say."""
    return old <= event < new

silent = [old for old in range(65536) if not plain(old, (old + 4) & 0xFFFF, old)]
print(silent)

assert silent == [65532, 65533, 65534, 65535]
assert all(need_event(old, (old + 4) & 0xFFFF, old) for old in silent)

# %% [markdown]
# The tests pass, and so does the first hour. Then one kick in 65,536 is swallowed, the device sleeps, and the disk "hangs under load". With modulo arithmetic there is no such place on the circle.
#
# ## Measure it
#
# Three guests: nothing is suppressed, flags, thresholds. A batch of b requests goes to the device, one kick each, and comes back. The other side wakes up late: four requests pass before it has set its flag. Then the notifications of each kind for one request are
#
# | nothing | flags | thresholds |
# |---|---|---|
# | 1 | min(b, 4) / b | 1 / b |
#
# and a request has three times as many exits.

# %% tags=["topic:B02", "topic:S40"]
from virtlab.show.notify_run import WAYS, formula, measure

sizes = [1, 2, 4, 8, 16, 32, 64]
counts = {way: [measure(way, size) for size in sizes] for way in WAYS}
for way in WAYS:
    expected = [formula(way, size) for size in sizes]
    assert [count.bells / count.requests for count in counts[way]] == expected
    assert [count.interrupts / count.requests for count in counts[way]] == expected
    assert [count.each for count in counts[way]] == [3 * each for each in expected]

# %% [markdown]
# The marks are counts, the lines are the formulas. The three lines begin at 3 exits. That of *nothing* stays there, that of *flags* bends at 4, and that of *thresholds* falls from the start.

# %%
import matplotlib.pyplot as plt
from virtlab.show.palette import BLUE, GREEN, VERMILLION

figure, axes = plt.subplots(figsize=(8.5, 4.2), layout="constrained")
for way, colour, mark in zip(WAYS, (VERMILLION, BLUE, GREEN), "so^", strict=True):
    axes.plot(sizes, [3 * formula(way, size) for size in sizes], color=colour)
    axes.plot(sizes, [count.each for count in counts[way]], mark, color=colour, markersize=9, label=way)
axes.set(xscale="log", yscale="log", xlabel="requests in a batch", ylabel="exits a request", title="Exits for one request")
axes.set_xticks(sizes, map(str, sizes)), axes.set_yticks([3, 1, 0.3, 0.1], ["3", "1", "0.3", "0.1"])
axes.grid(alpha=0.3), axes.legend()
told = "; ".join(f"{way}: from {counts[way][0].each:.3g} to {counts[way][-1].each:.2g}" for way in WAYS)
show.plot(figure, f"Exits for one request against the batch, {sizes[0]} to {sizes[-1]}, both axes logarithmic. {told}.")

# %% [markdown]
# What are they worth? Take 230 ns for an exit, the published figure of [lesson 00](00_tour.ipynb). Only the exits are counted by us.

# %%
at = sizes.index(16)
cost = {way: counts[way][at].ns_each for way in WAYS}
assert cost == {"nothing": 690.0, "flags": 172.5, "thresholds": 43.125}
show.bars("Exits of one request, in batches of 16", cost, "ns", expected={way: 690 * formula(way, 16) for way in WAYS})

# %% [markdown]
# ## How real systems do it
#
# Linux has the lecture's calls to this day, and its comment on `virtqueue_disable_cb` still says that it is not necessarily synchronous. A network driver disables callbacks in its interrupt handler and polls. When it finds no more it enables them; if a buffer came meanwhile, it polls on. `virtqueue_enable_cb_delayed` asks for an interrupt after three quarters of what is outstanding, much as we did with six of eight. The barrier on a PC is one locked instruction. QEMU lets KVM turn the bell into an *eventfd*: the exit remains, but the vCPU goes on at once, while another thread wakes. That thread is our late device. vhost also polls for a while before it sleeps. On the way back, a message-signalled interrupt needs no end-of-interrupt exit with a modern virtual APIC, so our factor of 3 belongs to the 8259A. Our orders are those of a PC's memory: ARM and RISC-V may also exchange loads with loads, and stores with stores. There the other barriers of the queue cost something too. And even a specification slips: in the example loop of 2.7.14 both comparisons stand the wrong way round, `!=` for `==`.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "Why may a driver not free its data when `disable_cb` has returned, trusting that its handler will not run?",
        ("The device may have read the flag before, so an interrupt can still come", "The call is not synchronous. Only a reset of the queue or the device stops it for good."),
        ("Because the device may ignore the flag altogether", "It may not ignore it for ever, but this is not the point: even a perfect device can be too late."),
        ("Because the flag is not written until the next kick, and that may take a long time", "It is written at once. It is read late."),
    ),
    show.question(
        "`enable_cb` gives False. What must the driver do?",
        ("Get the used buffers first, and then ask again", "Whether an interrupt comes for them is not certain: they may have been pushed before the wish."),
        ("Sleep: the interrupt for what was pushed will still come", "Perhaps it will not. That is the lost wake-up."),
        ("Reset the queue: something is wrong", "Nothing is wrong. The device was quick."),
        place=1,
    ),
    show.question(
        "Both sides make their accesses in the right order, and both sleep for ever. How?",
        ("Each side's store was still in its store buffer when the other side looked", "Program order is not the order in which others see it. A barrier makes it so."),
        ("The interrupt was lost in the interrupt controller", "It was never sent."),
        ("Both sides wrote the same word, and one of the stores was lost", "Every word of the ring has one writer."),
        place=1,
    ),
    show.question(
        "Callbacks are off by EVENT_IDX. How does the driver say so?",
        ("It names an entry that comes last of all, 65535 entries later", "There is no value for 'never'. So silence is long, and not endless."),
        ("It sets NO_INTERRUPT as well", "With EVENT_IDX the flags must be 0 (2.7.7.1)."),
        ("It writes 0xFFFF, an index that a queue of 256 entries never reaches", "The index counts through all 16 bits, whatever the size of the queue. So its turn comes."),
        place=2,
    ),
    show.question(
        "The index goes from 65534 to 1, and `avail_event` is 65533. Does the driver ring?",
        ("No: entries 65534, 65535 and 0 were passed", "(1 - 65533 - 1) mod 65536 is 3, and 3 < 3 is false."),
        ("Yes: 65533 lies between 65534 and 1", "Only if one goes round the circle the wrong way."),
        ("Yes: after a wrap the driver always rings, to be on the safe side", "That would be safe, and is not what the formula does."),
        place=1,
    ),
])

# %% [markdown]
# ## Take away
#
# The ring costs no exits; the bells do, and whoever is awake needs none. A wish to be woken is a store, so it comes before the last look, with a barrier in between, on both sides. A threshold names one entry on a circle, and a batch of any size passes it once.
#
# **New terms**: [barrier](../docs/glossary.md#barrier-memory), [lost wake-up](../docs/glossary.md#lost-wake-up), [spurious notification](../docs/glossary.md#spurious-notification), [store buffer](../docs/glossary.md#store-buffer), [suppression](../docs/glossary.md#suppression), [used_event](../docs/glossary.md#used-event-avail-event).
#
# **Read the code**, in this order: [virtlab/virtio/ordering.py](../virtlab/virtio/ordering.py) (the eight points), [virtlab/guest/store_buffer.py](../virtlab/guest/store_buffer.py) (what a barrier waits for), [virtlab/show/race_sides.py](../virtlab/show/race_sides.py) (how a call is stopped before each of its accesses).
#
# **Exercise**: problem set 4, [task 6, *who wants to hear of it*](../exercises/ps04/ps04.ipynb#6.-Who-wants-to-hear-of-it).
#
# **Next**: [lesson 16, packed ring](16_packed_ring.ipynb). There is one ring in place of two, and a bit that says which lap it is.

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("15")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is the count of orders. Let the room vote first on whose barrier is needed; most take one side. Then ask for an order that breaks the driver's barrier alone: the last but one entry of the stepper's list has it. If time is short, leave out the threshold in the middle of a batch. Question for the room: the device could ring back after a second of silence. Would a timeout be a cure? (It hides the bug, and each lost wake-up becomes a second of delay.)
#
# </details>
