# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:B06"]
# # Does a real Linux believe us?
#
# After this lesson you can
#
# - **trace** a file that Linux writes, down to the bytes of our disk;
# - **read** the messages by which two processes come to share memory, and say what a back-end must refuse;
# - **explain** what happens when a device dies with requests in its hands.
#
# *45 minutes. Builds on lessons 07, 13 to 15 and 18. Topics B04, B06, S31, S32 and S36. The lecture's back-end driver, in a process of its own.*

# %% [markdown] tags=["topic:B06", "topic:S32"]
# ## The picture
#
# Until now both sides of every ring were ours: our driver, our device. A mistake that both make in the same way would not show. Now comes somebody who follows the same specification, and has never seen our code: the Linux kernel of Debian, with not a byte changed.
#
# It runs in QEMU. But the disk that it finds is our `VirtioBlk` of [lesson 14](14_data_exchange.ipynb), in this notebook's process. Not every machine has a QEMU and a kernel, so the lesson has three **tiers**:
#
# | tier | needs | who makes the requests |
# |---|---|---|
# | *live* | QEMU and a kernel | Linux, now |
# | *qtest* | QEMU | our driver, through QEMU: the requests that Linux made when we recorded it |
# | *recorded* | nothing | a recording of Linux |
#
# In each tier our device answers, and its disk is filled. On Windows and macOS, where no back-end of ours runs, rounds 1 and 5 show what one did once, and say so. This machine:

# %%
from virtlab import show
from virtlab.hosts import live

real = live.session()
show.Note(f"Tier `{real.tier.name}`: {real.tier.why}. How to get the best one: `docs/real-systems.md`.")

# %% tags=["topic:B04"]
from virtlab.show.real_world import world_picture

world_picture()

# %% [markdown] tags=["topic:B04", "topic:S31"]
# This is **vhost-user**. QEMU is the *front-end*: it has the registers, and the guest's memory, which is a *memfd*, a file that lies on no disk. Python is the *back-end*: it has the device. Lesson 12 called the four parts front-end driver, virtqueue, virtio-buffer and back-end driver. Here you see where each of them lives. (A trap: in vhost-user, "front-end" is QEMU, not the driver.)
#
# ## Round 1. A short conversation
#
# **Claim: all that the two processes say fits on a page. The rest is memory.** We listened at the socket while a Linux booted, read 16 KiB and powered off.

# %% jupyter={"source_hidden": true}
show.Predict(
    "The guest has 512 MiB of memory. How many bytes go over the socket, in both directions, until the back-end can use all of it?",
    answer="less than 2 KiB",
    options=["less than 2 KiB", "about 128 KiB: a page table", "512 MiB"],
    why="Memory is not sent. A descriptor of the file is: it travels beside one message of 52 bytes.",
)

# %% tags=["topic:B04"]
from virtlab.show.real_heard import handshake
from virtlab.show.real_messages import pieces

heard = handshake()
on_the_socket = sum(12 + len(one.payload) for one in heard)        # a header has 12 bytes
shared = sum(piece.size for one in heard if one.asks for piece in pieces(one.message))

print(f"{len(heard)} messages, {on_the_socket} bytes; memory that is shared: {shared >> 20} MiB")
assert (len(heard), on_the_socket, shared) == (66, 1530, 512 << 20)

# %% [markdown] tags=["topic:B04"]
# Step through it. Then jump to *place the ring*, and see one byte's four names: the guest's address, QEMU's, the place in the file, the place in our array. A buffer in a descriptor has the first name. A ring in a message has the second. Three of the four are equal here, for there is one region, and it begins at 0. A guest of 4 GiB has two regions, and the names differ.
#
# Now choose something under *Break it*. The messages are said once more to a real back-end, and the words after *Refused* are its own.

# %%
from virtlab.show.real_handshake import Handshake, handshake_picture

Handshake(heard)

# %% [markdown] tags=["topic:B04", "topic:S36"]
# ## Round 2. A driver that nobody told about us
#
# **Claim: Linux starts our disk by the steps of [lesson 13](13_virtqueue.ipynb).** QEMU collects them, and passes them on at DRIVER_OK: in the handshake above, jump to *Linux's own driver*. In the tier *live* this cell boots a kernel.

# %% tags=["topic:B06"]
work = real.work("driver")
print(work.text)
assert "[vda] 32768 512-byte logical blocks" in work.text

# %% [markdown] tags=["topic:B06"]
# 32,768 sectors of 512 bytes: our 16 MiB, read from our configuration space. And which features did it take? Two drivers have come, one after the other. The first is the firmware, SeaBIOS, which looks for something to boot.

# %% jupyter={"source_hidden": true}
show.Predict(
    "Our device offers RING_PACKED, and Linux knows it. QEMU stands between the two. Is the bit in what Linux took?",
    answer="no",
    options=["yes", "no"],
    why="Three have to agree, and QEMU shows this bit to the guest only with packed=on.",
)

# %% tags=["topic:B04", "topic:B06"]
from virtlab.show.real_chapters import drivers
from virtlab.show.real_messages import feature_words
from virtlab.virtio.features import Feature, from_bits

firmware, linux = drivers(heard)
print("firmware:", feature_words(firmware))
print("Linux:   ", feature_words(linux))

assert from_bits(firmware) < from_bits(linux)
assert {Feature.RING_INDIRECT_DESC, Feature.RING_EVENT_IDX} <= from_bits(linux) - from_bits(firmware)
assert Feature.RING_PACKED not in from_bits(linux)

# %% [markdown] tags=["topic:B06"]
# A firmware reads a sector and waits for it. It needs no thresholds, no tables, no flush. Linux takes all that it is shown. PROTOCOL_FEATURES is no feature of a disk, and no driver sees it. Virtio leaves bit 30 unused; here it means that a side knows the newer messages.
#
# ## Round 3. A file system
#
# **Claim: `mke2fs` and `mount` are some seventy chains.**

# %% jupyter={"source_hidden": true}
show.Predict(
    "mke2fs prepares a disk of 16 MiB. How many bytes do its requests carry?",
    answer="less than 1 MiB",
    options=["less than 1 MiB", "16 MiB: it writes each block once", "32 MiB: it also reads them back"],
    why="It writes the tables of a file system, and few files are there to fill them. A whole area of zeros is one WRITE_ZEROES request, whose data is 16 bytes.",
)

# %% tags=["topic:B06", "nbval-ignore-output"]
from virtlab.show.real_requests import request_table

mkfs, mount = real.work("mkfs"), real.work("mount")
assert mkfs.status == mount.status == 0
assert mkfs.bytes < 1 << 20
assert real.image()[0x438:0x43A] == b"\x53\xef"         # the magic number of ext4, in our bytearray
request_table(real.tape.chains, f"So far: {work.requests} requests to find the disk, {mkfs.requests} for mke2fs, {mount.requests} for mount")

# %% [markdown] tags=["topic:B06"]
# Most are reads, although `mke2fs` is there to write. It writes blocks of 1 KiB, and Linux keeps pages of 4 KiB: it reads a page before it changes a part of one. The last assert looks into our disk from below: no driver, only Python. What Linux put there is there.
#
# And the ring? This is Linux's ring, from its bytes, at the busiest moment of the recording. We gave it 8 entries, so that you see all of them. (QEMU gives a vhost-user disk 128, unless told otherwise.)

# %% tags=["topic:B06"]
from virtlab.show.real_ring import RealRing, busiest, frame_picture, frames

recorded, _ = frames(live.recorded().moments)
frame_picture(recorded, busiest(recorded))

# %% [markdown] tags=["topic:B06"]
# Each chain takes *one* descriptor: Linux puts its pieces into an indirect table, as in lesson 14. The device cannot know which of its descriptors a driver has free. So there are three owners here, not five.
#
# Below, the ring of this machine's session, frame by frame. In the tier *live*, press *Follow*: then it is drawn twice a second, as Linux drives it.

# %%
RealRing(real)

# %% [markdown] tags=["topic:B06"]
# ## Round 4. What was written is there
#
# **Claim: Linux forgets all that it knows, reads our disk, and finds its files.** Four files are written and synced. Then the *page cache* is dropped, Linux's copy in its own memory. So the sums below are made of what our device gave.

# %% jupyter={"source_hidden": true}
show.Predict(
    "Without dropping the page cache first: what would equal sums prove about our disk?",
    answer="nothing",
    options=["nothing", "that it has written", "that it has read"],
    why="Linux would read its own copy in RAM, and not ask the disk at all.",
)

# %% tags=["topic:B06"]
files, sums = real.work("files"), real.work("sums")
print(sums.text)
assert sums.text == live.sums()                           # SHA-256, computed here, of what was written
assert all(live.content(n) in real.image() for n in (1, 2, 3, 4))

# %% [markdown] tags=["topic:B06"]
# Now the file system is unmounted, and checked by somebody else: `e2fsck` of this machine reads the bytes of the bytearray. (Where there is none, it is what Linux's own `e2fsck` said.)

# %% tags=["topic:B06", "nbval-ignore-output"]
real.work("fsck")
found = real.fsck()
print(found.words)
assert found.clean

# %% [markdown] tags=["topic:B06"]
# Everything that happened on the ring was written down. On a network you would open Wireshark; here is one for virtqueues. Filter by kind `request` and the text `write`. Go to one, and press *This chain only*: its kick, pop, push and call are left, with the times between. Press it again for all rows. Under *Show* are the figures. *Read again* takes in what has happened since.
#
# The same opens what `virtlab serve blk disk.img --trace ring.jsonl ...` has written, for any virtual machine of yours: `TraceView.of_file("ring.jsonl")`.

# %%
from virtlab.show.real_trace import TraceView

TraceView(real, "What the ring did", start=40)

# %% [markdown] tags=["topic:B06"]
# A chain alone needs two notifications, a kick and a call. EVENT_IDX ([lesson 15](15_notifications.ipynb)) is there to save them.

# %% jupyter={"source_hidden": true}
show.Predict(
    "Of 100 notifications that 50 chains would need, how many were saved in the recording?",
    answer=18,
    within=8,
    why="50 of 282 were saved. A command such as mke2fs mostly waits for each request before it makes the next. With one chain in the ring there is nothing to save.",
)

# %% tags=["topic:B06"]
before = live.recorded().said
told = {said.name: said.counts.kicks + said.counts.calls for said in before}
needed = {said.name: 2 * said.counts.requests for said in before}
assert sum(told.values()) < sum(needed.values())
show.bars("Kicks and calls in the recording; the mark: two for each request", told, expected=needed)

# %% [markdown] tags=["topic:B06"]
# The first bar is longer than its mark. Each start of a ring brings a kick and a call more, in case one was missed. `files` saves the largest part: a sync sends many blocks at once. What lesson 15 saves needs load, and a command that waits makes none.
#
# ## Play
#
# The console of Linux. In the tier *live* it is yours: type `mount /dev/vda /mnt; ls -l /mnt`, then look at the ring again. Can you have more than five chains in the ring at once, as in the busiest moment above? (`dd` with `oflag=direct` in the background, several times.)

# %%
from virtlab.show.real_console import RealConsole

RealConsole(real)

# %% [markdown] tags=["topic:B04"]
# ## Round 5. A device dies
#
# **Claim: a back-end may be killed at any moment; the guest sees a pause, and no error.** A device inside of QEMU takes the virtual machine down with it. A process of its own can be started again, and QEMU connects to it. But which chains had the first one taken? The used index says how many were given back, not which: a device may answer in any order. And the driver writes new heads over old ones.
#
# So they are noted in a file, which QEMU keeps open (GET_INFLIGHT_FD). Here our own front-end makes eight writes. The back-end takes all eight, answers three, and dies. Another one comes to the same socket, and is given the file.

# %% jupyter={"source_hidden": true}
show.Predict(
    "How many of the eight writes does the second back-end do?",
    answer=5,
    why="The three that were given back are crossed out. It does the other five, in the order in which they were taken.",
)

# %% tags=["topic:B04"]
from virtlab.show.real_crash import crash

end = crash(requests=8, answers=3)
assert len(end.notes) == end.again == 5
assert end.statuses == (0,) * 8              # all eight answered, each once, none with an error
assert end.kept                              # the disk has all of it
assert end.lost == 1                         # one connection was lost
end.table

# %% [markdown] tags=["topic:B04"]
# What if it dies when the data is on the disk, and the chain not yet given back? Then the second one writes again: the same bytes to the same place. A disk may do a read or a write twice. A network card would send a frame twice, but networks double frames anyway. Our tests kill a back-end fifty times, with `kill -9`, under a working Linux. It sees no error, and all sums are right.
#
# ## Round 6. The other way round
#
# **Claim: our driver does not need our device either.** This is a virtio disk in C, QEMU's own. The driver is lesson 13's, over a `Cpu` whose every access is a line of QEMU's test protocol. In the tier *recorded* the answers are those that QEMU gave once. The driver runs all the same.

# %% tags=["topic:B06"]
from virtlab.show.real_qemu import find_disk, qemu_disk

with qemu_disk(real.tier.name) as cpu:
    disk = find_disk(cpu)                    # scan PCI, find the only virtio function
    disk.start()                             # reset, features, queue, DRIVER_OK
    disk.write(7, b"from a driver in Python".ljust(512, b"."))
    print(disk.capacity, "sectors,", disk.get_id(), "says:", disk.read(7)[:23])

assert disk.capacity == 2048

# %% [markdown] tags=["topic:B06"]
# So both halves have met a stranger. That is what a specification is for. Any driver of yours can meet QEMU's devices in the same way: `QtestMachine("pc")` is a `Cpu` like all others.
#
# ## Break it
#
# Seven lies that a front-end can tell, and what our back-end says to each. Below is the one that matters most. The front-end says 1 GiB, and the file has 512 MiB. Who believes it maps the file, and dies at the first touch behind its end. So a back-end compares first. Some lies end the connection, and others do not. Why?

# %% tags=["topic:B04"]
from virtlab.show.real_replay import MISTAKES, replay, spoilt

lies = {name: replay(spoilt(heard, name)) for name in MISTAKES}
for name, told in lies.items():
    print(f"{name:<34}{'the end: ' if told.over else 'goes on: '}{told.why}")

worst = lies["a region beyond its file"]
assert worst.why == "ADD_MEM_REG: bytes up to 0x40000000 of a file that has 0x20000000"
assert not worst.over                        # it said no, and the connection goes on
assert all(told.refused is not None for told in lies.values())
handshake_picture(spoilt(heard, "a region beyond its file"), worst.refused, worst)

# %% [markdown] tags=["topic:B04"]
# A message of the wrong form ends it, for the next one cannot be trusted. A wrong wish in good form is answered "no", where the front-end waits for an answer. With REPLY_ACK it can ask for one, and QEMU does so for memory. Features and ring sizes it sends without asking, so hanging up is the only way to say no. A ring whose places cannot be right breaks that ring alone. The front-end hears of it by the third eventfd, *err*. It is [lesson 18](18_hostile_guest.ipynb) once more: whatever comes from outside is a wish.

# %% [markdown] tags=["topic:B06"]
# ## Measure it
#
# One Linux with three virtio disks: QEMU's own, in C, and ours twice. One back-end waits for the bell, the other *polls*: after each request it goes on looking for 200 microseconds, and asks the driver not to ring.

# %% jupyter={"source_hidden": true}
show.Predict(
    "Reads of 4 KiB, one at a time. Waiting for the bell, our disk does 0.60 times as many as QEMU's own. And polling?",
    answer="about as many as QEMU's own",
    options=["no more than before", "about as many as QEMU's own", "ten times as many as QEMU's own"],
    why="What it loses is not work, but waiting: for each kick a process must be woken. Whoever looks needs no bell.",
)

# %% tags=["topic:B06"]
from virtlab.show.real_measured import figures, figures_table

waited_for = [each for each in figures() if each.depth == 1]
assert all(each.polling_ratio > each.event_ratio for each in waited_for)
figures_table()

# %% [markdown] tags=["topic:B06"]
# Measured once, on two cores, with an emulated processor, and with real-time priority for all that takes part: only the ratios say something. (At normal priority four busy threads share the two cores, and our process waits for one more often: then reads came to about half of QEMU's.) Each is the median of many short turns, so it need not be the quotient of two numbers.
#
# One at a time, the ratio grows by polling in each row, and most for small reads. With 32 in flight the bell is rare, and for reads polling gains nothing. There our back-end serves the requests as arrays ([lesson 17](17_vectorized_ring.ipynb)), 16 of them first, so that the driver goes on while the others are served. Reads stay at about 0.8 of QEMU's, which reads in several threads. Writes look best because QEMU's own are slower than its reads, in every pair of rows.

# %% [markdown] tags=["topic:B04", "topic:B06"]
# ## How real systems do it
#
# vhost-user was made for switches. DPDK and Open vSwitch poll the rings of many virtual machines, so that no driver has to ring. SPDK does the same for disks, and `virtiofsd` serves a folder of the host. `qemu-storage-daemon` is QEMU's own block layer as a back-end; our front-end drives it in the tests. *vhost* is the older brother, in Linux's kernel: QEMU says the same things to it by `ioctl`. With *vDPA* a card of silicon reads the rings, and QEMU speaks to it as to *vhost*. *vfio-user* moves a whole PCI device into a process, registers and all.
#
# Each of them must check what a front-end says. DPDK once added a size and an offset, missed the overflow, and mapped less than it used ([CVE-2020-10722](https://nvd.nist.gov/vuln/detail/CVE-2020-10722)). Under KVM a kick is an *ioeventfd* and a call an *irqfd* ([lesson 12](12_why_virtio.ipynb)): the host's kernel passes them on, and QEMU sleeps. Under TCG, as here, QEMU's own threads do it.
#
# Left out: back-ends behind an IOMMU, which ask QEMU where each address is. Live migration, for which a back-end logs the pages that it writes (ours can). Memory that is plugged in later.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "Linux writes 4 KiB to its file. What crosses the socket between QEMU and the back-end?",
        ("Nothing", "The data is in shared memory, and the bell is an eventfd. The socket is silent."),
        ("The 4 KiB", "They stay where they are: the back-end reads them from the memory that both have mapped."),
        ("A message with the head of the chain", "The head is in the available ring. That is memory, too."),
        ("A message VRING_KICK", "Such a message exists, for processes that have no eventfd. Here the bell is one."),
        place=1,
    ),
    show.question(
        "SET_VRING_ADDR has a user address, 0x7f.... Whose address is it?",
        ("QEMU's own", "The back-end finds the region where QEMU has it, and subtracts."),
        ("The guest application's", "That one is behind the guest's page tables. Nobody outside ever sees it."),
        ("The back-end's", "QEMU cannot know where the back-end maps a file. It may be somewhere else after each start."),
    ),
    show.question(
        "Why is the guest's memory a file?",
        ("So that another process can be given its descriptor", "Whoever has the descriptor of a file can map it."),
        ("So that it survives a restart of the guest", "It does not: a memfd ends with the last who has it."),
        ("Because Linux in the guest needs a swap file", "The guest does not know of it at all."),
        place=2,
    ),
    show.question(
        "A back-end has pushed a chain, and dies before it crosses out the note. What does the next one do?",
        ("It sees by the used index that the chain was given back, and crosses it out", "So the driver gets it once. That index is the judge."),
        ("It serves it again, and the driver gets it twice", "The driver would find a used element for a chain that it has not got any more. That must not be."),
        ("It cannot know, so it resets the device", "The notes have a list of what was given back last. With the used index it can know."),
        place=1,
    ),
    show.question(
        "In the recording mke2fs saved few notifications, 14 of 124, although EVENT_IDX was on. Why?",
        ("It mostly has one chain in the ring, and waits for it", "Each kick finds the device asleep, and each call is wanted."),
        ("Our back-end does not know EVENT_IDX", "It offers it, and Linux took it: you saw the bit."),
        ("QEMU under TCG rings for each descriptor, and not for each chain", "It rings when the driver does, once a kick."),
    ),
])

# %% [markdown]
# ## Looking back
#
# This is the last lesson. One write of one application has gone all the way, and each station was a lesson:
#
# | station | what you know of it | lessons |
# |---|---|---|
# | the application calls `write` | who may cut in: at the system call, the driver, the instruction | 06 |
# | the kernel finds a device | ports, memory, PCI, configuration space, BARs | 01, 02, 04, 05, 08 |
# | the driver prepares a request | DMA, a ring, descriptors, features | 03, 12, 13, 14, 16 |
# | the driver rings | an access that exits, or none; thresholds | 09, 15 |
# | the device looks at the ring | in the VMM, a service, a kernel, a card; what it must not believe | 07, 11, 17, 18 |
# | the device reaches memory | remapping in software, VT-d | 10, 19 |
# | the answer comes back | an interrupt: injected, remapped, posted | 15, 20 |
# | many VMs share it | dedicated, partitioned, shared, invented; SR-IOV | 11, 21 |
# | somebody else's code does all this | and it works with ours | 22 |
#
# In [lesson 00](00_tour.ipynb) a guest wrote one byte to one port, and the VMM printed it. Everything since is the answer to one question: how can that be shared, safely and quickly?

# %% [markdown]
# ## Take away
#
# A device can be a process of its own: some sixty messages, shared memory, and a bell each way. It can die and come back, if what it had taken is noted where it does not die with it. And a specification is true when strangers meet on it: Linux on our device, our driver on QEMU's.
#
# **New terms**: [back-end](../docs/glossary.md#back-end-vhost-user), [front-end](../docs/glossary.md#front-end-vhost-user), [INFLIGHT](../docs/glossary.md#inflight), [kick](../docs/glossary.md#kick-call-err), [memfd](../docs/glossary.md#memfd), [page cache](../docs/glossary.md#page-cache), [polling](../docs/glossary.md#polling), [qtest](../docs/glossary.md#qtest), [recording](../docs/glossary.md#recording), [tier](../docs/glossary.md#tier), [vfio-user](../docs/glossary.md#vfio-user), [vhost-user](../docs/glossary.md#vhost-user).
#
# **Read the code**, in this order: [virtlab/virtio/vhost_user/messages.py](../virtlab/virtio/vhost_user/messages.py) (what each request must look like), [virtlab/virtio/vhost_user/shared_memory.py](../virtlab/virtio/vhost_user/shared_memory.py) (one byte's names), [virtlab/virtio/vhost_user/back_end.py](../virtlab/virtio/vhost_user/back_end.py) (a turn of the ring).
#
# **Exercise**: problem set 7, [task 1, *messages out of a stream*](../exercises/ps07/ps07.ipynb#1.-Messages-out-of-a-stream), [task 2, *a byte with two addresses*](../exercises/ps07/ps07.ipynb#2.-A-byte-with-two-addresses), [task 3, *one turn of the ring*](../exercises/ps07/ps07.ipynb#3.-One-turn-of-the-ring), [task 4, *stop, crash, start again*](../exercises/ps07/ps07.ipynb#4.-Stop,-crash,-start-again) and [task 5, *a disk for a real Linux*](../exercises/ps07/ps07.ipynb#5.-A-disk-for-a-real-Linux). It is the capstone: your own `pop`, your own `push` and your own block device serve this Linux.
#
# **Next**: [the index](index.ipynb) shows what is left to do, and [how to read virtlab](../docs/reading.md) leads through the library.

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("22")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# Show it live. Two windows beside each other, console and ring: type `sync` on the left, and let the room watch the right. The demo that surprises is the order of things in round 4: ask for the sums *before* the cache is dropped, and let `real.statistics` show that no read came. Question for the room: which of the 66 messages could a malicious QEMU abuse, and what would it gain? (It owns the guest's memory already. What it must not get is the back-end's.) With `VIRTLAB_TIER=recorded` everything runs without a network and without QEMU. If time is short, leave out the second driver and *Break it*.
#
# </details>
