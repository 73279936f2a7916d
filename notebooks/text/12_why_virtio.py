# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:S28", "topic:S29"]
# # Where do the exits go?
#
# After this lesson you can
#
# - **follow** one request through every box between an application and a disk, with virtio and without;
# - **predict** the exits, copies and interrupts of both ways, by a sum of named terms;
# - **say** what virtio saves, and what it does not.
#
# *40 minutes. Builds on lessons 06, 07 and 11. Topics S28 to S35. It stands for the lecture's slides "Full virtualization and para-virtualization", "Virtio", "KVM without virtio" and "KVM with virtio".*

# %% [markdown] tags=["topic:S34", "topic:S35"]
# ## The picture
#
# These are the lecture's two figures. Boxes at the same height do the same job. Find the differences before you go on.

# %%
from virtlab import machine, show

show.path_picture(["pio", "virtio"], "KVM without virtio, and with it")

# %% [markdown] tags=["topic:S31"]
# On the right the driver in the guest is called a **front-end**, and the device in QEMU a **back-end**. The controller in front of it is another one. And beside the exits lies memory that both sides can reach, with a **virtqueue** and a **virtio-buffer** in it. Everything else is as it was.
#
# We use the machine of the last lesson, with one VM. It gets one card more. The card has two interfaces, an old and a new one, so it is called *transitional*. [Lesson 13](13_virtqueue.ipynb) opens both; here we use the new one.

# %%
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.pci import VirtioPci

board = machine.lesson_pc()
vm = machine.lesson_vm(board)
card = VirtioPci(VirtioBlk(vm.disk), "transitional", trace=board.trace)
vm.cards.root.bus.plug(card, 7)              # in front of the disk that the IDE controller has, too
functions = enumerate_pci(vm.cpu)

# %% [markdown] tags=["topic:S28", "topic:S29"]
# ## Round 1. Somebody must know
#
# **Claim: full virtualization asks nothing of the guest. Para-virtualization asks for a driver.** With *full* virtualization the VMM imitates a device that exists, and traps what the guest does to it. The guest cannot tell. With *para*-virtualization guest and VMM agree on an interface that is made for the two of them. No such chip was ever built.
#
# An unmodified guest is an old system with drivers for real hardware. It looks them up by the ids that each function tells.

# %% jupyter={"source_hidden": true}
show.Predict(
    "The old system has drivers for the display, for edu, for the e1000 and for IDE. What does it do with the virtio card?",
    answer="it sees a function on the bus, and leaves it alone",
    options=["it sees a function on the bus, and leaves it alone", "it sees nothing at all", "it drives it as a disk, since its class says disk"],
    why="Enumeration is PCI's, and every PCI guest can do it. To drive the function takes a driver.",
)

# %% tags=["topic:S28"]
from virtlab.pci.names import device_name

OLD = {(0x1234, 0x1111): "display", (0x1234, 0x11E8): "edu", (0x8086, 0x100E): "e1000", (0x8086, 0x7010): "IDE"}
for found in functions:
    if not found.is_bridge and found.class_code >> 16 != 6:          # bridges need no driver
        name = device_name(found.vendor, found.device)
        print(found.place, f"{found.vendor:04x}:{found.device:04x}  {name:32}", OLD.get((found.vendor, found.device), "no driver"))

# %% [markdown]
# Every virtio card has the vendor 1AF4, and its configuration says which type of device it is. Virtio is a *standard*: disks, network cards, consoles and more, all driven by the same few steps. The host's side of it is an ordinary program, QEMU. Only the guest's driver knows that it talks to one.
#
# Now the same guest gets that driver. Both drivers read the same sector of the same disk.

# %% tags=["topic:S29"]
from virtlab.guest.ata import AtaDriver
from virtlab.guest.pci import PortAccess
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BlkDriver
from virtlab.guest.virtio_pci import ModernPci

found = next(each for each in functions if each.vendor == 0x1AF4)
old = AtaDriver(vm.cpu)
old.mute()
front_end = BlkDriver(vm.cpu, ModernPci(vm.cpu, PortAccess(vm.cpu), found), Room(0x2_0000, 0x6_0000))
front_end.start()

assert old.read(5) == front_end.read(5)
assert front_end.capacity == old.identify().sectors == vm.disk.sectors

# %% [markdown] tags=["topic:S34"]
# ## Round 2. One request without virtio
#
# **Claim: without virtio the guest speaks to a controller, and each word of that is an exit.** An application calls `write` with 4096 bytes. The guest's kernel turns them into 8 sectors, and its ATA driver sleeps until the disk interrupts. First the driver moves the words itself.

# %% jupyter={"source_hidden": true}
show.Predict(
    "A command is 6 registers and 2 polls. Each sector is 256 words, a HLT, two OUTs that end the interrupt, and one look at STATUS. How many exits for 8 sectors?",
    answer=2088,
    why="8 + 8 × (256 + 1 + 2 + 1). The interrupt is that of the slave 8259A, so both chips must hear that it is over.",
)

# %% jupyter={"source_hidden": true}
show.Predict(
    "With DMA the device model fetches the 4096 bytes. A command takes 15 accesses, and there is one interrupt. How many exits?",
    answer=18,
    why="15, a HLT, and two OUTs. The size of the request does not matter any more.",
)

# %% tags=["topic:S34"]
from virtlab.show.path_trips import trip

pio, dma = trip("pio"), trip("dma")          # each on a fresh machine, told from its trace
assert pio.spent.exits == 8 + 8 * (256 + 1 + 2 + 1)
assert dma.spent.exits == 15 + 1 + 2
assert (pio.spent.copies, dma.spent.copies) == (1 + 8, 1 + 1)
show.path_picture([pio.column, dma.column], "4096 bytes on their way, without virtio")

# %% [markdown] tags=["topic:S34"]
# Read the left column from the top. The exit leads to KVM, which is in the host's kernel. KVM asks the process QEMU, whose I/O controller finds out who is at that port. The *device model* does what the register means. When it has a sector together, the host's own driver brings it to the hardware. On the way back an interrupt line rises, and KVM injects a vector.
#
# The *copies* are counted as in [lesson 06](06_where_to_virtualize.ipynb). One is the kernel's, from the application to its own buffer. The others are the device's: eight sectors by PIO, one block by DMA.
#
# In our model KVM and QEMU are one program; [lesson 07](07_device_model.ipynb) counted the switches between the two. The host's own driver does its work word by word, but that exits nowhere. In round 3 you can step through the figure; at its last box a sentence tells how many accesses that takes.
#
# ## Round 3. The same request with virtio
#
# **Claim: with virtio the request lies in memory, and one access says so.** That access is the **kick**. Two boxes are others now: the guest's driver, and the device. Application, kernel, VMM, host's driver and disk are the same objects as before.

# %% jupyter={"source_hidden": true}
show.Predict(
    "The front-end describes the request in memory, and kicks. It sleeps, reads why it was woken, and ends the interrupt at two chips. How many exits?",
    answer=5,
    why="The kick, HLT, the read of the interrupt status, two OUTs. Four of the five are the interrupt's.",
)

# %% tags=["topic:S35"]
virtio = trip("virtio")
print(virtio.spent)

assert virtio.spent.exits == 1 + 1 + 1 + 2
assert virtio.spent.interrupts == dma.spent.interrupts == 1
assert pio.stored == dma.stored == virtio.stored                     # the same bytes on the physical disk

# %% [markdown] tags=["topic:S30", "topic:S35"]
# `shared` are the driver's accesses to memory that the device reads or writes too, and `fetched` are the device's. Two copies again: the kernel's, and the device's.
#
# Step through both. *First*, then *Step*; *Jump to* has the beginning of the right one. Look at the shared memory. DMA has some too, but only for the data and for a table that says where they are. Virtio has the *request* there as well.

# %% tags=["topic:S35"]
show.PathPlayer(["dma", "virtio"])

# %% tags=["topic:S30"]
shared = {"DMA": dma.spent.shared + dma.spent.fetched, "virtio": virtio.spent.shared + virtio.spent.fetched}
registers = {"DMA": dma.spent.registers, "virtio": virtio.spent.registers}
print(f"accesses to shared memory: {shared}\naccesses to registers:     {registers}")

assert registers == {"DMA": 17, "virtio": 4}
assert shared["virtio"] > shared["DMA"]

# %% [markdown] tags=["topic:S30"]
# That is why it is fast. A register has to be written while somebody watches, so each access stops the guest. Memory is written now and read later, by whoever wants to know. Virtio makes *more* accesses in all, but to memory.
#
# ## Round 4. The four parts, taken apart
#
# **Claim: three of the four parts are memory and functions; only the kick leaves the guest.** We put in a back-end that does nothing when it is told. We do its work by hand.

# %% tags=["topic:S31", "topic:S32"]
from virtlab.guest.pic import Pics
from virtlab.guest.virtio_device import VirtioDriver
from virtlab.virtio.features import Feature

told = []

class ByHand(VirtioBlk):
    """A block device that only remembers that it was told."""
    def handle(self, index, queue):
        told.append(index)

vm = machine.lesson_vm(board, name="vm 2")
card = VirtioPci(ByHand(vm.disk), "transitional", trace=board.trace)
vm.cards.root.bus.plug(card, 7)
found = next(each for each in enumerate_pci(vm.cpu) if each.vendor == 0x1AF4)
transport = ModernPci(vm.cpu, PortAccess(vm.cpu), found)
driver = VirtioDriver(vm.cpu, transport, Room(0x2_0000, 0x1_0000))
driver.begin(), driver.negotiate(frozenset({Feature.VERSION_1}))     # who are you, what can we both do?
front_end = driver.add_queue(0, size=8)                              # lesson 13 is about this line
driver.ready(), told.clear()
pics = Pics(vm.cpu)
pics.remap(), pics.unmask(found.line)        # the guest hears this card, and nobody else
back_end = card.core.queues[0].queue         # the same queue, seen from the VMM

# %% [markdown] tags=["topic:S33"]
# First the **virtio-buffer**. It is a scatter-gather list: pieces of guest memory that belong together. A request to read sector 5 has three of them. The device reads 16 bytes that say what is wanted. It writes 512 bytes of data, and one byte that says how it went. `add_buf` puts the list into the **virtqueue**. How it lies there is the matter of the next two lessons.

# %% jupyter={"source_hidden": true}
show.Predict(
    "The front-end writes the 16 bytes and calls `add_buf`. How many exits?",
    answer=0,
    why="It is all RAM of the guest, mapped by the EPT. Nobody is told.",
)

# %% tags=["topic:S32", "topic:S33"]
from virtlab.virtio.blk_layouts import REQUEST, BlkType
from virtlab.virtio.layouts import packer

HEAD, DATA, STATUS = 0x3_0000, 0x3_1000, 0x3_0010
rings = front_end.rings

def queue_bytes():
    """The memory of the queue, as the VMM sees it."""
    return vm.vm.ram.read(rings.desc, rings.end - rings.desc)

before, start = queue_bytes(), vm.exits
vm.cpu.write(HEAD, packer(REQUEST).pack(BlkType.IN, 0, 5))
front_end.add_buf(out=[(HEAD, 16)], in_=[(DATA, 512), (STATUS, 1)], token="sector 5")
print(sum(a != b for a, b in zip(before, queue_bytes(), strict=True)), "bytes of the queue have changed,", vm.exits - start, "exits")

assert queue_bytes() != before
assert (vm.exits - start, told) == (0, [])

# %% [markdown] tags=["topic:S30"]
# The request is there, in memory that QEMU can read. But QEMU has no reason to look. The kick is that reason. It moves an index, so that the request counts, and then writes to one register: the *doorbell*.

# %% tags=["topic:S30"]
with board.trace.recording() as events:
    front_end.kick()

show.trace_table([event for event in events if event.kind in ("exit", "store", "entry") and event.who != "ram"])

# %%
assert vm.exits - start == 1
assert told == [0]                           # queue 0 has work
assert vm.cpu.read(DATA, 4) == bytes(4)      # and nothing has been done yet

# %% [markdown] tags=["topic:S32"]
# Now we are the **back-end**. It is a device in QEMU. It takes a list off the queue, performs the I/O on the physical device, and gives the list back with what it has written.

# %% tags=["topic:S32"]
chain = back_end.pop()
print(*chain.buffers, sep="\n")
kind, _, sector = packer(REQUEST).unpack(chain.read(vm.vm.ram, 0, 16))
written = chain.write(vm.vm.ram, vm.disk.read(sector) + b"\0")
back_end.push(chain, written)

assert (BlkType(kind), sector, written) == (BlkType.IN, 5, 512 + 1)
assert vm.exits - start == 1

# %% [markdown] tags=["topic:S31"]
# The data are in the guest's memory, and the guest could look: so far the request has cost one exit. Our guest sleeps, so the back-end must call it. This is the last part of the path, and it is an interrupt as any other.

# %% tags=["topic:S31"]
back_end.notify()                            # the interrupt line rises
irq = pics.next_irq()                        # HLT, and the vector comes
transport.interrupts(), pics.eoi(irq)        # why? and: that is over
used = front_end.get_buf()
print(used, vm.cpu.read(DATA, 17), vm.exits - start, "exits")

assert used == ("sector 5", 513)
assert vm.cpu.read(DATA, 512) == vm.disk.read(5)
assert vm.exits - start == 1 + 4

# %% [markdown] tags=["topic:S31"]
# These are the five exits of round 3. Front-end and back-end are two halves of one driver. The virtqueue is the channel between them, and the virtio-buffer is what goes through it.
#
# ## Round 5. What virtio does not save
#
# **Claim: the copies stay. The exits fall with the batch, if the device can take a batch.** Eight blocks of 4 KiB are written, by each of the ways. There is no application here, so all copies are the device's. Each run is a fresh machine, and its data is checked at both ends.

# %% jupyter={"source_hidden": true}
show.Predict(
    "Compared with DMA, how many bytes does virtio move between guest memory and disk?",
    answer="as many",
    options=["none, the memory is shared", "half as many", "as many"],
    why="Each byte is moved once, from the guest's buffer to the disk. What is shared is the request.",
)

# %% tags=["topic:S30", "topic:S34", "topic:S35"]
from virtlab.show.path_choice import Choice
from virtlab.show.path_forms import closed_form, terms
from virtlab.show.path_runs import run

WAYS = {
    "PIO": Choice("disk", "pio", 8 * 4096, task="out"),
    "DMA": Choice("disk", "dma", 8 * 4096, task="out"),
    "virtio, one by one": Choice("disk", "virtio", 8 * 4096, task="out"),
    "virtio, all together": Choice("disk", "virtio", 8 * 4096, task="out", batch=8),
}
counts = {name: run(choice).counts for name, choice in WAYS.items()}
forms = {name: closed_form(choice) for name, choice in WAYS.items()}
for name, count in counts.items():
    print(f"{name:22}{count.exits:6} exits {count.interrupts:3} interrupts {count.copies:3} copies of {count.bytes_copied} bytes")

assert counts == forms
assert {count.bytes_copied for count in counts.values()} == {8 * 4096}

# %% tags=["topic:S35"]
without_pio = list(WAYS)[1:]
for name in without_pio:
    print(f"{name:22}", ", ".join(f"{term.name} {term.count}" for term in terms(WAYS[name])))

show.bars(
    "Exits for each 4 KiB",
    {name: counts[name].exits / 8 for name in without_pio},
    expected={name: forms[name].exits / 8 for name in without_pio},
)

# %% [markdown]
# A prediction is a sum of terms, and each term was counted under its own name. Our ATA drive takes one command at a time, so eight commands cost eight times as much. A virtqueue takes all eight, and both signals are shared.
#
# And the network? The emulated card is an e1000. Its driver also describes packets in rings in memory, and writes one register when they are ready.

# %% jupyter={"source_hidden": true}
show.Predict(
    "A guest hands 32 packets to the emulated e1000 at once, and sleeps until they are sent. How many exits?",
    answer=5,
    why="One store to the transmit tail. HLT, the cause of the interrupt, and two OUTs. It is what virtio pays.",
)

# %% [markdown]
# To receive costs one thing more. Each buffer that came back must go to the card again, and that is a store to another tail. A driver may do that for each buffer, or once for all: `bundled`. The last way has two helpers. MSI-X brings the interrupt as a message ([lesson 05](05_pci_express.ipynb)). With *EVENT_IDX* each side says when it wants to be told ([lesson 15](15_notifications.ipynb)).

# %%
PACKETS = {
    "send: e1000": Choice("net", "e1000", 32, batch=32, task="out"),
    "send: virtio": Choice("net", "virtio", 32, batch=32, task="out"),
    "receive: e1000": Choice("net", "e1000", 32, batch=32, task="in"),
    "receive: e1000, bundled": Choice("net", "e1000", 32, batch=32, task="in", bundled=True),
    "receive: virtio": Choice("net", "virtio", 32, batch=32, task="in"),
    "receive: with EVENT_IDX, MSI-X": Choice("net", "virtio", 32, batch=32, task="in", event_idx=True, msix=True),
}
exits = {name: run(choice).counts.exits / 32 for name, choice in PACKETS.items()}
expected = {name: closed_form(choice).exits / 32 for name, choice in PACKETS.items()}
assert exits == expected
assert exits["send: e1000"] == exits["send: virtio"] == 5 / 32
assert exits["receive: e1000"] == (32 + 4) / 32
assert exits["receive: e1000, bundled"] == exits["receive: virtio"] == 5 / 32
assert exits["receive: with EVENT_IDX, MSI-X"] == 1 / 32
show.bars("Exits for each of 32 packets", exits, expected=expected)

# %% [markdown]
# So the e1000 is no slow device by nature: a good ring is a good ring. A driver that gives each receive buffer back by itself pays for it. One that bundles them pays what virtio pays. What virtio adds here is that each side can say when it wants to be told. And QEMU need not imitate a chip.
#
# ## Play
#
# Choose a device and a way. Each choice is run on a fresh machine. Find two settings that change nothing, and say why. Then find the one in which a guest receives 32 packets and does not exit at all.

# %%
show.PathLab()

# %% [markdown] tags=["topic:S28"]
# ## Break it
#
# First, a front-end that forgets the kick. We wait for an hour of virtual time.

# %%
told.clear(), vm.cpu.write(DATA, bytes(512))
front_end.add_buf(out=[(HEAD, 16)], in_=[(DATA, 512), (STATUS, 1)], token="for ever")
board.clock.advance(3600 * 10**9)
assert (told, front_end.get_buf()) == ([], None)

# %% [markdown]
# Second, a back-end that does everything, and does not interrupt. The guest sleeps for its whole second, and its data are there.

# %%
front_end.kick()
chain = back_end.pop()
back_end.push(chain, chain.write(vm.vm.ram, vm.disk.read(5) + b"\0"))
woken = vm.cpu.wait(10**9)                   # nobody has called `back_end.notify()`
print("woken by", woken)

assert woken is None
assert vm.cpu.read(DATA, 17) == b"This is sector 5."

# %% [markdown] tags=["topic:S28"]
# Third, drivers at the wrong card. An ATA driver at the ports of the virtio card writes a register and reads it back, as ATA drivers do. Nobody there is a drive. And a front-end at the e1000 looks for the structures that the standard asks for:

# %%
from virtlab.guest.ata_ports import IdeChannel

port = found.bar(0)
assert not AtaDriver(vm.cpu, IdeChannel(0, port, port + 12, 14)).detect()

# %% tags=["raises-exception"]
e1000 = next(each for each in functions if each.device == 0x100E)
ModernPci(vm.cpu, PortAccess(vm.cpu), e1000)

# %% [markdown]
# ## Measure it
#
# Exits for one block of 4 KiB, against how many are kicked together. The marks are counts, the lines are the formulas: 2,088 for PIO, 18 for DMA, and 5 divided by the batch for virtio.

# %%
batches = [1, 2, 4, 8, 16, 32]
measured = [run(WAYS["virtio, one by one"]._replace(amount=32 * 4096, batch=each)).counts.exits / 32 for each in batches]
assert measured == [5 / each for each in batches]

# %%
import matplotlib.pyplot as plt
from virtlab.show.palette import BLUE, GREEN, VERMILLION

figure, axes = plt.subplots(figsize=(8.5, 4.2), layout="constrained")
for name, colour, mark in (("PIO", VERMILLION, "s"), ("DMA", BLUE, "o")):
    axes.plot(batches, [forms[name].exits / 8] * len(batches), color=colour)
    axes.plot([1], [counts[name].exits / 8], mark, color=colour, markersize=9, label=name)
axes.plot(batches, [5 / each for each in batches], color=GREEN)
axes.plot(batches, measured, "^", color=GREEN, markersize=9, label="virtio")
axes.set(xscale="log", yscale="log", xlabel="requests in a batch", ylabel="exits for 4 KiB", title="Exits for 4 KiB")
axes.set_xticks(batches, map(str, batches)), axes.set_yticks([1000, 100, 10, 1, 0.1], ["1000", "100", "10", "1", "0.1"])
axes.grid(alpha=0.3), axes.legend()
show.plot(figure, "Exits for 4 KiB against the batch, 1 to 32, both axes logarithmic. PIO is a flat line at 2,088, DMA a flat line at 18. virtio falls in a straight line from 5 to 0.16.")

# %% [markdown]
# What is that worth? An exit takes about 230 ns, as in [lesson 00](00_tour.ipynb). A copy of 4 KiB takes about 1,046 ns with DDR3 memory (Seshadri and others, 2013). Both figures are published ones of real hardware; only the events are ours. Read the sums as orders of magnitude.

# %%
together = closed_form(WAYS["virtio, all together"]._replace(amount=32 * 4096, batch=32))
cost = {
    "DMA": forms["DMA"].ns / 8,
    "virtio, one by one": forms["virtio, one by one"].ns / 8,
    "virtio, 32 together": together.ns / 32,
    "the copy alone": 1046.0,
}
assert cost["DMA"] == 18 * 230 + 1046
assert cost["virtio, 32 together"] == 5 / 32 * 230 + 1046
show.bars("About, for 4 KiB", {name: round(ns) for name, ns in cost.items()}, "ns")

# %% [markdown]
# With 32 together the exits are almost gone, and the copy is what remains. Whoever wants to go on must take that away, or let somebody else do it at the same time.
#
# ## How real systems do it
#
# Rusty Russell published virtio in 2008, as one set of drivers for the many hypervisors of that time. Linux has the front-ends, and other systems have them from a driver disk. In QEMU the two figures are as drawn.
#
# Yet an exit need not go all that way. HLT and the interrupt controllers are KVM's own. A kick can be bound to an *ioeventfd*: KVM signals a file descriptor and the guest goes on at once, while another thread wakes. That thread may be in QEMU. It may also be in the host's kernel (*vhost*) or in another process (*vhost-user*), and then the kick never reaches QEMU. With *vDPA* a physical card reads the virtqueue itself. Its doorbell can be mapped into the guest, and the kick is no exit. On the way back, MSI-X and a virtual APIC leave only two of our five exits, the kick and HLT.
#
# What our model leaves out: QEMU reads guest memory in place, so our copy is the disk's transfer. Newer disk controllers take many commands too: an NVMe drive has queues in memory and a doorbell, much as virtio does. Linux's e1000 driver bundles 16 receive buffers, and masks the card in each interrupt, which costs exits of its own.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "Why does an unmodified guest get nothing from a virtio card?",
        ("It finds the function by enumeration, but has no driver for it", "That is the price of para-virtualization: somebody must write the front-end."),
        ("The card answers only to guests that have said that they know the hypervisor", "It answers everybody. It does not know who asks."),
        ("The VMM hides the card from it", "The VMM cannot know which drivers a guest has."),
        place=1,
    ),
    show.question(
        "4 KiB by virtio cost 5 exits in our guest. Which of them carries the request?",
        ("None: the request lies in memory, and one exit only says that it is there", "The other four belong to the interrupt."),
        ("The kick, which carries the addresses of the buffers", "It carries the number of a queue."),
        ("All five, a part each", "Not one of them has a byte of the request in it."),
    ),
    show.question(
        "What does virtio do to the number of copies, compared with a disk that does DMA?",
        ("Nothing", "The device moves each byte once, on both ways."),
        ("It halves them", "Only PIO has more, and those are words through a port."),
        ("It removes them, for the memory is shared", "Shared is what the front-end puts there. The disk is somewhere else."),
        place=2,
    ),
    show.question(
        "Why do 8 writes together cost an ATA disk eight times as much, and a virtio disk as much as one?",
        ("The ATA drive has registers for one command; a queue holds many, and one kick is for all", "What says *look* need not be said again while nobody has looked."),
        ("The ATA drive copies the data eight times", "Both copy eight blocks, once each."),
        ("The back-end serves eight requests at the same time, and the ATA drive one after the other", "That would save time, and no exit. What costs here is to ask."),
        place=1,
    ),
    show.question(
        "A front-end calls `add_buf`, and never `kick`. What happens?",
        ("Nothing, unless the back-end looks by itself", "A back-end that polls could look. Even then the index must say that the request counts."),
        ("The request is done at the next interrupt, when the queue is looked at", "Nobody has asked for anything, so nothing will interrupt."),
        ("The device reports an error", "It cannot: it does not know."),
    ),
])

# %% [markdown]
# ## Take away
#
# Without virtio a guest drives a controller that was made for wires, and each of its registers is an exit. With virtio the request lies in memory that both sides reach; a kick says that it is there, and an interrupt that it is done. The copies stay, and the signals are shared by all that go together.
#
# **New terms**: [add_buf](../docs/glossary.md#add-buf-get-buf), [back-end](../docs/glossary.md#back-end), [batch](../docs/glossary.md#batch), [EVENT_IDX](../docs/glossary.md#event-idx), [front-end](../docs/glossary.md#front-end), [full virtualization](../docs/glossary.md#full-virtualization), [ioeventfd](../docs/glossary.md#ioeventfd), [kick](../docs/glossary.md#kick), [para-virtualization](../docs/glossary.md#para-virtualization), [tail](../docs/glossary.md#tail), [transitional device](../docs/glossary.md#transitional-device), [vDPA](../docs/glossary.md#vdpa), [vhost](../docs/glossary.md#vhost), [virtio-buffer](../docs/glossary.md#virtio-buffer), [virtqueue](../docs/glossary.md#virtqueue).
#
# **Read the code**, in this order: [virtlab/guest/virtio_blk.py](../virtlab/guest/virtio_blk.py) (a front-end), [virtlab/virtio/blk.py](../virtlab/virtio/blk.py) (a back-end), [virtlab/show/path_forms.py](../virtlab/show/path_forms.py) (what each way must cost, term by term).
#
# **Exercise**: problem set 5, [task 1, *eight steps to a live device*](../exercises/ps05/ps05.ipynb#1.-Eight-steps-to-a-live-device), [task 2, *a front-end for the entropy device*](../exercises/ps05/ps05.ipynb#2.-A-front-end-for-the-entropy-device), [task 3, *a random source with two registers*](../exercises/ps05/ps05.ipynb#3.-A-random-source-with-two-registers) and [task 4, *the random source as a virtio device*](../exercises/ps05/ps05.ipynb#4.-The-random-source-as-a-virtio-device).
#
# **Next**: [lesson 13, virtqueue](13_virtqueue.ipynb). Our back-end knew where the queue is. Who told it?

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("12")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is round 5: ask who believes that virtio copies less, and who believes that the e1000 must lose. Then run both cells. In the player, stop at the first exit of each column and let the room name the next box. Question for the room: four of the five exits are the interrupt's; which of the lessons so far could remove each of them? (Polling; a message instead of a wire; a local APIC in hardware.) If time is short, leave out the network.
#
# </details>
