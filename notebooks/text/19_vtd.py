# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:S42"]
# # Who stands in the card's way?
#
# After this lesson you can
#
# - **walk** from a card's source id and address to a byte of memory, entry by entry, from real bytes;
# - **read** a fault record, and say which entry stopped the card;
# - **exploit** a stale translation, and close the hole with an invalidation.
#
# *40 minutes. Builds on lessons 05, 09 and 10. Topics S41 to S43. It stands for the lecture's slides on hardware assistance and VT-d.*

# %% [markdown] tags=["topic:S42"]
# ## The picture
#
# [Lesson 10](10_dma_remapping.ipynb) ended with an object in the root complex. It looked up each address at the moment of the access, so no exit was needed. That object was Python. In a real machine no software runs at that place, so hardware must do it: a *remapping unit*. Intel's is called **VT-d**.
#
# Our PC has no such unit. So for three lessons its place is taken by a server: cards of the kinds that you know, on PCI Express, and a unit above them. A card's request for memory goes up this tree. The unit stands at the top, between the root complex and memory. It knows who asks: the *source id*, which is bus, device and function in 16 bits.

# %%
from virtlab import server, show

host = server.lesson_server()
kernel = server.boot(host)                           # finds cards and unit; DMA is not remapped yet
a, b = server.lesson_guest(host, "A"), server.lesson_guest(host, "B")
show.topology(show.nodes_of(host.root.bus), title="Below the remapping unit")

# %% [markdown] tags=["topic:S41"]
# ## Round 1. Before and after
#
# **Claim: in software each request costs exits. With VT-d the moment of DMA costs none.** First the old way, on this server. VM A finds a virtual card. Behind it the mediator of lesson 10 translates, and pins what the card may touch.

# %%
from virtlab.devices.edu import EduFunction
from virtlab.guest.edu import EduDriver
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.vmm.mediated_edu import MediatedEdu
from virtlab.vmm.pinning import Pins

virtual, pins = a.root.bus.plug(EduFunction(host.clock), 3), Pins()
mediated = MediatedEdu(a.vm, virtual, host.edu, pins)
driver = EduDriver(a.cpu, enumerate_pci(a.cpu)[-1].bar(0))
host.edu.edu.dma_time = 100_000                      # our card is quick today: 0.1 ms

# %% jupyter={"source_hidden": true}
show.Predict(
    "The driver stores 4 registers, looks, sleeps 1 ms, looks again. How many exits?",
    answer=7,
    why="4 stores, 2 loads, 1 HLT: the page of registers is intercepted, so each access exits.",
)

# %% tags=["topic:S41"]
TARGET, PAGE = 0x18F00, 4096                         # where a program in A wants 512 bytes
host.edu.edu.buffer[:] = b"card" * 1024              # what the card will write

def exits_of(act):
    """How many exits VM A takes for `act`."""
    before = a.exits
    act()
    return a.exits - before

under_way = []
host.clock.after(50_000, lambda: under_way.append(len(pins)))
remapped = exits_of(lambda: driver.from_device(TARGET, 512))

assert a.cpu.read(TARGET, 512) == b"card" * 128
assert (remapped, under_way) == (7, [2])             # 7 exits, and 2 frames pinned meanwhile

# %% [markdown] tags=["topic:S42"]
# The lecture names **two answers in hardware**. One is a unit that remaps DMA: this lesson. The other is a standard for cards that show themselves several times, SR-IOV and MR-IOV: [lesson 21](21_sriov.ipynb).
#
# Why is the unit needed at all? Map the card's registers to A, and nothing exits. But then nobody translates. The unit is still off:

# %% tags=["topic:S42"]
from virtlab.vmm.mediator import give_directly

give_directly(a.vm, virtual, host.edu, "BAR0")       # EPT maps the registers
victim = b.vm.ram.hpa(0x7F00)                        # a host address: B's memory
b.cpu.write(0x7F00, b"B's own data")

assert exits_of(lambda: driver.from_device(victim, 512)) == 1        # HLT alone
assert b.cpu.read(0x7F00, 8) == b"cardcard"                          # and B is hit

# %% [markdown] tags=["topic:S43"]
# Now the unit gets its tables. They lie in host memory, and the host's kernel writes them:
#
# - a **domain**: page tables that say what one owner may reach. They are built like EPT's ([lesson 09](09_interception.ipynb)): four levels, 512 entries in each table. Here they map all of A's RAM, 256 pages, and A's own addresses are the card's;
# - a **context entry** for the card: which domain it is in, and where that domain's tables are;
# - a **root entry** for the card's bus: where the context entries are.

# %%
vtd = kernel.vtd
before = vtd.pages.room.taken                        # the root table is there already
domain = vtd.new_domain()
for gpa, hpa in a.vm.ram.frames.items():             # 256 pages, in scattered frames
    vtd.map(domain, gpa, hpa, PAGE)
vtd.attach(host.edu.source_id, domain)

# %% jupyter={"source_hidden": true}
show.Predict(
    "How many pages of tables did that take, besides the root table?",
    answer=5,
    why="One table for each of 4 levels: 256 pages need 256 of the 512 entries of one lowest table. And one table of contexts, for bus 3.",
)

# %% tags=["topic:S43"]
tables = (vtd.pages.room.taken - before) // PAGE
assert tables == 4 + 1
asked = host.ram, vtd.root.gpa, vtd.capabilities, host.edu.source_id
show.vtd_walk(*asked, TARGET, write=True)

# %% [markdown] tags=["topic:S43"]
# Read it downwards. The source id `03:00.0` chooses the first two entries: bus 3, then device 0 and function 0. Each level takes 9 bits of the address. The last 12 bits are the place in the page. This *address of the card* is called **iova**, for I/O virtual address.
#
# The manual calls the result *host-physical*. In the pictures it is `gpa`, because to the host's own kernel it is plain memory. Now switch it on. The guest's driver is the same, down to the last byte.

# %% tags=["topic:S43"]
vtd.enable()
a.cpu.write(TARGET, bytes(512)), b.cpu.write(0x7F00, b"B's own data")

direct = exits_of(lambda: driver.from_device(TARGET, 512))
assert a.cpu.read(TARGET, 512) == b"card" * 128      # two pages, two frames, all right
assert direct == 1                                   # the HLT: A chose to sleep

driver.from_device(victim, 512)                      # and the attack from above?
assert b.cpu.read(0x7F00, 12) == b"B's own data"
print(*vtd.faults.read(), sep="\n")

# %% [markdown] tags=["topic:S43"]
# The data bypassed the VMM: no exit, no copy. The attack found nothing, because in A's domain that number is not mapped.
#
# One thing became *worse*. The mediator pinned 2 frames for a moment. Now the card may write anywhere in A at any time. So all 256 frames stay where they are, as long as A has the card.
#
# ## Round 2. The walk
#
# **Claim: a walk reads two entries, and then one for each level down to the page.** Tables have 3, 4 or 5 levels: 39, 48 or 57 bits of address. An entry with PS set maps a page of 2 MiB or 1 GiB, and the walk ends there. We try them with the second card.

# %%
from virtlab.show.vtd_picture import vtd_picture
from virtlab.show.vtd_rows import look

second = host.edu2.source_id
KIB4, MIB2, GIB1 = 1 << 12, 1 << 21, 1 << 30

def walk_of(levels, size):
    """The second card's walk through tables of so many levels, to a page of so many bytes."""
    small = vtd.new_domain(levels)
    vtd.map(small, GIB1, GIB1, size)                 # iova 1 GiB leads to 1 GiB
    vtd.attach(second, small)
    seen = look(host.ram, vtd.root.gpa, vtd.capabilities, second, GIB1 + 0x123)
    vtd.detach(second)
    return seen

# %% jupyter={"source_hidden": true}
show.Predict(
    "Tables of 5 levels, and a page of 1 GiB. How many entries does the walk read?",
    answer=5,
    why="Root and context, then levels 5, 4 and 3. The entry of level 3 maps the page.",
)

# %%
shapes = [(3, KIB4), (4, KIB4), (5, KIB4), (4, MIB2), (5, GIB1)]
walks = {shape: walk_of(*shape) for shape in shapes}
skipped = {KIB4: 0, MIB2: 1, GIB1: 2}
assert all(len(walk.rows) == 2 + levels - skipped[size] for (levels, size), walk in walks.items())
vtd_picture(walks[4, MIB2], "Four levels, and a page of 2 MiB")

# %% [markdown]
# A context entry can also say *pass through* (TT = 2). Then there are no tables, and the card reaches all memory, as if there were no unit. A host uses it for its own cards that it trusts.

# %%
vtd.pass_through(second)
passed = look(host.ram, vtd.root.gpa, vtd.capabilities, second, 0x123)
vtd.detach(second)
assert (len(passed.rows), passed.gpa) == (2, 0x123)

# %% [markdown] tags=["topic:S43"]
# ## Round 3. Break an entry
#
# **Claim: a refusal leaves a record that says who, where and why.** A page of A is to be readable only. We take bit W from its entry, tell the unit to forget, and let the card write.

# %%
from virtlab.iommu.registers import VtdRegisters
from virtlab.show.vtd_record import record_table

rows = look(*asked, TARGET, write=True).rows
entry = rows[-1].entry_at
host.ram.store(entry, 8, host.ram.load(entry, 8) ^ 0b10)             # W
vtd.forget_all()
a.cpu.write(TARGET, bytes(512))
driver.from_device(TARGET, 512)

fsts = vtd.registers.get(VtdRegisters.FSTS)
first = VtdRegisters.FSTS.FRI.get(fsts)              # the records are used in a circle: this one is the first
record = vtd.registers.get(getattr(VtdRegisters, f"FRCD{first}"))

assert a.cpu.read(TARGET, 512) == bytes(512)         # memory is untouched
assert VtdRegisters.FSTS.PPF.get(fsts) == 1          # primary pending fault: a record is in use
assert [fault.code for fault in vtd.faults.read()] == [5]            # read, and freed
record_table(record)

# %% [markdown] tags=["topic:S43"]
# The guest's driver heard nothing. On PCI Express a write is posted, so a real card hears nothing either. Only a refused *read* is answered, with "unsupported request". The host's kernel has the record. Put the bit back, and break other entries, one at a time:

# %%
from virtlab.show.vtd_break import Break, break_all, break_table

host.ram.store(entry, 8, host.ram.load(entry, 8) ^ 0b10)
breaks = [
    Break("root entry", 1 << 0, "P cleared"),
    Break("context entry", 1 << 0, "P cleared"),
    Break("context entry", 3 << 2, "TT = 3"),
    Break("level 2", 1 << 40, "the table moved to where no memory is"),
    Break("level 1", 1 << 50, "an address bit that this host has not"),
    Break("level 1", 0b11, "R and W cleared"),
    Break("context entry", 0b11, "P cleared, and FPD set"),
]
found = break_all(host.ram, vtd, rows, breaks, lambda: driver.from_device(TARGET, 512))
assert [fault and fault.code for fault in found.values()] == [1, 2, 3, 7, 0xC, 5, None]
break_table(found)

# %% [markdown] tags=["topic:S43"]
# Two rows deserve a second look. A second-level entry has no present bit: without R and W it maps nothing, and a write then is "no permission to write". (Newer revisions of the manual say *second-stage* for second-level.) And FPD, *fault processing disable*, keeps a device's faults out of the records. The request was still refused.
#
# FPD helps because records are few. This unit has 8, and one source id gets only one of them: a card that goes mad cannot fill them all. But what if nine cards fail at once?

# %% jupyter={"source_hidden": true}
show.Predict(
    "Nine source ids of a bus that has no root entry ask. How many of them does the driver find in the records?",
    answer=8,
    why="The ninth finds no free record. It sets PFO, primary fault overflow: at least one fault was lost.",
)

# %%
from contextlib import suppress
from virtlab.errors import DmaFault

for number in range(9):
    with suppress(DmaFault):
        host.unit.dma_for(0x0700 + number).write(TARGET, b"?")       # 07:00.0 to 07:01.0

assert vtd.faults.overflowed
assert len(vtd.faults.read()) == 8
assert not vtd.faults.overflowed                     # read, freed, cleared: recording goes on

# %% [markdown] tags=["topic:S43"]
# ## Round 4. A stale entry
#
# **Claim: the unit believes what it remembers, until it is told to forget.** Six reads of memory for each request would be slow. So the unit keeps what it found: pages in the **IOTLB**, context entries, and tables on the way. Nobody tells these caches when the tables in memory change.
#
# Round 1 said that A's frames stay where they are. A careless host moves one nevertheless, because the card is idle. It moves the page, and changes EPT and the tables of the unit. All entries in memory are right. B gets the frame that is free now.

# %%
from virtlab.show.remap_scene import survey
from virtlab.show.vtd_kept import kept_table, reached
from virtlab.vmm.pinning import Mover

driver.from_device(TARGET, 512)                      # the unit learns
mover, page = Mover(host.frames), TARGET & -PAGE
new = mover.move(a.vm, TARGET)                       # A's page moves
mover.move(b.vm, 0x7000)                             # a page of B takes the frame that A's has left
domain.unmap(page, PAGE), domain.map(page, new, PAGE)                # the tables only
kept_table(host.unit)

# %% jupyter={"source_hidden": true}
show.Predict(
    "The card writes to A's address once more. Whose memory does it hit?",
    answer="B's: the unit remembers the old frame",
    options=["A's: the tables in memory are right", "B's: the unit remembers the old frame",
             "nobody's: the unit sees that its entry is old"],
    why="The IOTLB has the page, so no table is read. Tables in memory and caches are two things.",
)

# %%
b.cpu.write(0x7F00, b"precious")
driver.from_device(TARGET, 512)
landed = reached(host.unit, host.edu.source_id, TARGET, 512)
assert b.cpu.read(0x7F00, 8) == b"cardcard"
assert vtd.faults.read() == []                       # nobody noticed
scene = survey({"A": a.vm.ram, "B": b.vm.ram}, [TARGET, TARGET + PAGE], landed)
show.remap_picture(scene, "All tables are right, and B was hit")

# %% [markdown] tags=["topic:S43"]
# This is lesson 10's accident, with VT-d switched on. The cure is an **invalidation**. Software writes requests into a queue in memory, and then the unit's doorbell, IQT. The last request is a *wait descriptor*: when its number stands in memory, all before it is done. Only then may the frame be given away.

# %%
from virtlab.show.vtd_queue import queue_table

first = vtd.ring.tail
vtd.invalidation.pages(domain.number, page)          # and wait

b.cpu.write(0x7F00, b"precious")
host.edu.edu.buffer[:] = b"CARD" * 1024
driver.from_device(TARGET, 512)
assert b.cpu.read(0x7F00, 8) == b"precious"
assert a.cpu.read(TARGET, 8) == b"CARDCARD"          # in the new frame
queue_table(host.ram, vtd.ring.gpa, first, vtd.ring.tail)

# %% [markdown]
# Old units have no queue. There one register names the page, and another starts the work; its bit IVT is 1 until that is done. While the queue is on, a unit ignores these registers. So we switch the queue off for a moment, and take the next page away from the card:

# %%
from virtlab.guest.vtd_invalidate import ByRegisters
from virtlab.iommu.registers import BASE

domain.unmap(page + PAGE, PAGE)
driver.from_device(TARGET, 512)
assert vtd.faults.read() == []                       # stale: still reached
vtd.ring.disable()
with host.trace.recording() as events:
    ByRegisters(vtd.registers).pages(domain.number, page + PAGE)
vtd.ring.enable()

driver.from_device(TARGET, 512)
assert [fault.iova for fault in vtd.faults.read()] == [page + PAGE]
show.trace_table(events, registers={BASE: VtdRegisters.registers})

# %% [markdown] tags=["topic:S43"]
# Each invalidation makes the processor wait. So Linux may be **lazy** (`iommu.strict=0`): it unmaps now, and invalidates later, many pages at once. Let 64 pages come and go in both ways.

# %%
from virtlab.iommu.descriptors import DescriptorType
from virtlab.show.vtd_cost import entries_read
from virtlab.show.vtd_kept import kept

buffers = vtd.new_domain()
vtd.attach(second, buffers)
iovas = range(0x10_0000, 0x14_0000, PAGE)            # 64 pages

def unmapped(lazy):
    """IOTLB invalidations for 64 pages, and how many of them the card could reach too long."""
    for iova in iovas:
        vtd.map(buffers, iova, 0x50_0000 + iova, PAGE)
    entries_read(host.unit, second, iovas)           # the card uses them all
    before = host.unit.queue.done[DescriptorType.IOTLB]
    for iova in iovas:
        buffers.unmap(iova, PAGE) if lazy else vtd.unmap(buffers, iova, PAGE)
    stale = sum(each.stale for each in kept(host.unit))
    if lazy:
        vtd.invalidation.pages(buffers.number)       # once, for the whole domain
    return host.unit.queue.done[DescriptorType.IOTLB] - before, stale

at_once, later = unmapped(lazy=False), unmapped(lazy=True)
assert (at_once, later) == ((64, 0), (1, 64))
names = ("strict: invalidations", "strict: stale pages", "lazy: invalidations", "lazy: stale pages")
show.bars("64 pages unmapped", dict(zip(names, at_once + later, strict=True)))

# %% [markdown] tags=["topic:S43"]
# That is the trade: 64 times fewer invalidations, and a time in which a card reaches pages that are no longer its own. For a kernel's own cards many accept it. For memory that goes to another VM nobody should.
#
# ## Round 5. A Linux, frozen
#
# **Claim: with the tables you find any buffer of any device.** This is memory of a running Linux, stopped in the middle of its work. Its disk had six requests under way. Every address in its rings is an iova.

# %%
from importlib.resources import files
from virtlab.course import inspect_vtd
from virtlab.show.vtd_domains import vtd_domains

frozen = inspect_vtd.load(str(files("virtlab") / "data" / "vtd" / "vtd48_split.npz"))
vtd_domains(frozen.memory, frozen.root, frozen.capabilities, "Who may reach what in this Linux")

# %% [markdown]
# The disk `01:00.0` reaches 59 pages, and no others: Linux maps a buffer for one request, and unmaps it afterwards. In round 1 the card reached all of A, all the time. `00:1f.0` to `00:1f.3`, three functions of one chip, share domain 8: Linux takes them as one *group*, and lesson 21 returns to that. They reach the first 16 MiB, and each iova there is the address itself. Linux keeps that open for old floppy drivers, which do not ask for iovas.
#
# Where do the disk's buffers lie? Its ring is read as in [lesson 14](14_data_exchange.ipynb).

# %%
from virtlab.course.inspect_ring import report
from virtlab.show.vtd_buffers import buffers_table

disk = frozen.snapshot.queues[-1]
pending = report(frozen.snapshot, disk).pending
dma = frozen.snapshot.dma(disk)
headers = [chain.buffers[0].addr for chain in pending]
assert (disk.device, disk.source_id, len(pending)) == ("virtio-blk", 0x0100, 6)
assert len({iova // PAGE for iova in headers}) == 6                  # six pages of iovas
assert {dma.translate(iova) // PAGE for iova in headers} == {0x35D2}                 # one page of memory
buffers_table(pending[0].buffers, dma.translate, "The first request of the disk 01:00.0")

# %% [markdown]
# A header of 16 bytes to read, pages of data to write, a status of one byte. The six headers are neighbours in one page of memory. Linux maps that page anew for each request, so there are six iovas for it.
#
# Follow one of the data pages by its bytes. On your own machine the same is `virtlab inspect vtd FILE --source 01:00.0 --iova 0xffff9000`.

# %%
data = pending[0].buffers[1]
show.vtd_walk(frozen.memory, frozen.root, frozen.capabilities, disk.source_id, data.addr, write=True)

# %% [markdown]
# The disk's data were not saved with the rings. A page with frames that wait for the network card was. Its descriptor names an iova, and behind that lie the bytes.

# %%
transmit = frozen.snapshot.queues[2]                 # virtio-net 00:04.0, queue 1
packet = report(frozen.snapshot, transmit).pending[2].buffers[0]
frame = frozen.snapshot.dma(transmit).read(packet.addr, packet.length)[12:]      # less the virtio-net header
print("to", frame[:6].hex(":"), " from", frame[6:12].hex(":"), " type", frame[12:14].hex(), " ICMPv6", frame[54])

assert frame[6:14] == bytes.fromhex("525400123456 86dd")             # QEMU's usual address; IPv6
assert frame[54] == 135                              # neighbour solicitation: "has anybody my address?"

# %% [markdown]
# ## Play
#
# A small unit with five source ids. It starts with a stale entry: the tables refuse the write, and the unit lets it through. Invalidate the contexts first: does that help? Then flip bits of any entry, ask again, and find a way to each of the reasons 1, 2, 3, 5, 6, 7 and 0xC. What happens when a third source id fails?

# %%
show.VtdLab()

# %% [markdown] tags=["topic:S43"]
# ## Break it
#
# VM B wants the card, too. A source id chooses *one* context entry, and that names one domain. So the card can belong to A or to B:

# %% tags=["raises-exception"]
other = vtd.new_domain()
vtd.attach(host.edu.source_id, other)

# %% [markdown] tags=["topic:S43"]
# This is the price of **dedicated assignment**. Ten VMs need ten cards, and ten slots. The lecture says: VT-d limits scalability. A card with several source ids would help, and that is what SR-IOV makes.
#
# ## Measure it
#
# First, sharing in software against a card of one's own. A VM sends a frame and receives one. In the first way the VMM has the physical card, and each VM has a virtual one ([lesson 11](11_kinds_of_devices.ipynb)). In the second the card is A's, behind the unit.

# %% tags=["topic:S41", "topic:S43"]
from virtlab.backends import Link
from virtlab.devices.e1000 import E1000Function
from virtlab.guest.e1000 import E1000Driver
from virtlab.show.assign_run import experiment
from virtlab.show.assign_state import Given

shared, = experiment((Given("network card", "A", "shared"),))        # on a lesson PC
slot = a.root.bus.plug(E1000Function(host.clock, Link("unused").a), 4)
nic = E1000Driver(a.cpu, enumerate_pci(a.cpu)[-1].bar(0), memory=0x4_0000, descriptors=8)
give_directly(a.vm, slot, host.e1000, "BAR0")
vtd.attach(host.e1000.source_id, domain)             # a second card in A's domain
nic.start()

def exchange():
    """A frame out, and a frame in."""
    nic.send(bytes(6) + nic.address + bytes(48))
    host.e1000_cable.b.send(nic.address + bytes(54))
    assert nic.receive()

copies = host.trace.counts["copy"]
counts = {"shared: exits": shared.exits, "shared: copies": shared.copies,
          "VT-d: exits": exits_of(exchange), "VT-d: copies": host.trace.counts["copy"] - copies}
assert list(counts.values()) == [2, 4, 0, 0]
show.bars("One frame out, one frame in", counts)

# %% [markdown] tags=["topic:S41"]
# Each exit and each copy is work of a processor: this is the *heavy CPU cost* of sharing in software. No device reaches a VM's memory there. And the interrupts? Both drivers only looked into memory. [Lesson 20](20_interrupts.ipynb) lets them sleep.
#
# Second, the walk. The card reads n pages, four times around. Our IOTLB has 256 entries, and when it is full, the oldest one goes. The first page costs 6 reads. Each further page costs 1, because the tables on the way are remembered.

# %% jupyter={"source_hidden": true}
show.Predict(
    "256 pages, four rounds: the unit reads 6 + 255 = 261 entries. How many does it read with 257 pages?",
    answer=1033,
    why="The oldest entry is always the one that is needed next, so every page is a miss in every round. 6 + 256 + 3 × 257.",
)

# %%
from virtlab.show.vtd_cost import expected_reads

scattered = vtd.new_domain()
for number in range(512):                            # no two neighbours, so no large page
    vtd.map(scattered, GIB1 + number * PAGE, (number ^ 1) * PAGE, PAGE)
vtd.detach(second), vtd.attach(second, scattered)

def reads(n, rounds=4):
    """Entries that the unit reads in memory, from cold."""
    vtd.forget_all()
    return sum(entries_read(host.unit, second, [GIB1 + k * PAGE for k in range(n)] * rounds))

measured = {f"{n} pages": reads(n) for n in (64, 128, 256, 257, 512)}
formula = {f"{n} pages": expected_reads(n, 4, levels=4, room=256) for n in (64, 128, 256, 257, 512)}
assert measured == formula
show.bars("Entries read in memory, for four rounds", measured, expected=formula)

# %% [markdown]
# One page too many, and each request waits for memory again. Without any cache it would be 6 reads for each of them. With a large page, one entry of the IOTLB would do for 512 pages.
#
# **On real hardware** (not our model): at 200 Gb/s the same wall costs up to 20 % of the throughput, on Xeon and EPYC. Buffers in huge pages win all of it back ([Farshin and others, 2023](https://www.kth.se/blogs/nslab/2023/05/our-recent-iommu-peerj-cs-article/)). Linux's first lazy flush waited for 250 entries or 10 ms. It won back 15 to 20 % of the performance that the unit had cost a stream of small UDP packets. Its author adds that it weakens the protection a bit (Mark Gross, [the patch of 2008](https://git.kernel.org/torvalds/c/5e0d2a6fc094)).
#
# ## How real systems do it
#
# Linux's VFIO does by hand what we did: it builds a domain with all of the guest's memory, pins it, and gives the device to a process such as QEMU. Ours is `vmm/passthrough.py`, one call, and the next lessons use it. Firmware names the units in the ACPI table DMAR; our kernel found its unit there. For the host's own drivers, `dma-iommu` maps each buffer before a request and unmaps it after. `iommu.strict` chooses when it invalidates. Cards that can be plugged in from outside are always strict. QEMU has a unit of its own for guests, `intel-iommu`. Our driver drives that unit, too, with no change. The frozen Linux above was behind it. If such a guest passes a real card on, the host must notice each new entry. So the unit says *caching mode*: then a guest also invalidates what was not present before. AMD's unit and ARM's SMMU do the same work with other tables.
#
# Our model leaves out *scalable mode*, in which a request also carries a process's number (PASID). With it comes *nested* translation: the guest's tables first, then the host's. Our unit stops a request as a whole; hardware moves the packets before the one that is refused. And the caches of a real unit may drop an entry at any time.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "Two cards use the same iova, and it leads to different bytes. What chose?",
        ("The source id: it selects the context entry, and that the tables", "Root and context entries are found by bus, device and function."),
        ("The domain id in the request", "A request carries no domain id. The unit finds it in the context entry."),
        ("The guest's page tables: each VM has its own, and the unit knows where they are", "They are for the processor. The card's request never meets them."),
        place=1,
    ),
    show.question(
        "A write met the fault reason 5, and the page's entry is all zero. Why not 'not present'?",
        ("A second-level entry has no present bit", "R and W both 0 maps nothing: no right is all that can be missing. A read would meet reason 6."),
        ("The context entry was the one not present", "That is reason 2, and no second-level entry would have been read."),
        ("The record belongs to another card", "A record has the source id. One can always tell."),
        place=2,
    ),
    show.question(
        "The kernel clears an entry, and gives the frame to another VM. What is missing?",
        ("It must invalidate, and wait until that is done, before it gives the frame away", "Until then a card may use what the unit remembers."),
        ("Nothing: the unit reads the tables for each request", "Only if it remembers nothing of the page."),
        ("It must clear the context entry, too", "Cached pages stay, even without it. And all other buffers of the card would be gone."),
        place=2,
    ),
    show.question(
        "What does lazy invalidation (`iommu.strict=0`) trade?",
        ("Fewer invalidations, for a time in which a card reaches pages that were taken from it", "Here: 1 in place of 64, and up to 64 stale pages meanwhile."),
        ("Fewer table reads, for more memory: the unit keeps all entries that it has ever read in it", "The tables and the unit are the same. When the unit is told is the difference."),
        ("Faster walks, for more faults", "A stale entry gives no fault. That is the problem."),
        place=0,
    ),
    show.question(
        "Why must a VM's memory be pinned when it has a card behind VT-d?",
        ("The guest names any of its pages at any time, and the host does not hear of it", "There is no exit at which a missing page could be brought back."),
        ("Because the unit can only map pages of 2 MiB", "It maps 4 KiB, 2 MiB and 1 GiB."),
        ("Because the card was told the host's addresses of the pages, and nobody can take them back", "It knows iovas alone. That is what the unit is for."),
        place=1,
    ),
])

# %% [markdown]
# ## Take away
#
# A remapping unit stands between cards and memory: the source id chooses a domain, the iova a page in it, and what is not mapped is refused with a record. So a guest drives a real card with no exit, and hits nobody. The unit remembers what it has read: a frame may change hands only after an invalidation that is done.
#
# **New terms**: [caching mode](../docs/glossary.md#caching-mode), [context entry](../docs/glossary.md#context-entry), [device assignment](../docs/glossary.md#device-assignment), [DMAR](../docs/glossary.md#dmar), [domain](../docs/glossary.md#domain-vt-d), [domain id](../docs/glossary.md#domain-id), [fault record](../docs/glossary.md#fault-record), [invalidation](../docs/glossary.md#invalidation), [IOTLB](../docs/glossary.md#iotlb), [iova](../docs/glossary.md#iova), [lazy invalidation](../docs/glossary.md#lazy-invalidation), [pass-through](../docs/glossary.md#pass-through), [remapping unit](../docs/glossary.md#remapping-unit), [right of a page](../docs/glossary.md#right-of-a-page), [root table](../docs/glossary.md#root-table), [second-level table](../docs/glossary.md#second-level-table), [stale entry](../docs/glossary.md#stale-entry), [wait descriptor](../docs/glossary.md#wait-descriptor).
#
# **Read the code**, in this order: [virtlab/iommu/walk.py](../virtlab/iommu/walk.py) (the walk), [virtlab/iommu/caches.py](../virtlab/iommu/caches.py) (what goes stale), [virtlab/guest/vtd.py](../virtlab/guest/vtd.py) (the driver that does it right).
#
# **Exercise**: problem set 6, [task 1, *translate a device's address*](../exercises/ps06/ps06.ipynb#1.-Translate-a-device's-address), [task 2, *map and unmap while devices are at work*](../exercises/ps06/ps06.ipynb#2.-Map-and-unmap-while-devices-are-at-work) and [task 3, *find out what was refused*](../exercises/ps06/ps06.ipynb#3.-Find-out-what-was-refused).
#
# **Next**: [lesson 20, interrupts](20_interrupts.ipynb). A card's interrupt is a write, too. Who stands in *its* way?

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("19")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is the picture of round 4: every table is right, the unit is on, and B is hit. Ask before it who could have noticed. Let the room propose cures. "Clear the context entry" will come; the lab shows that it does not help. Question for the room: round 1 says that VT-d pins everything, and lesson 10 pinned two frames. When is that a bad trade? (Where memory is overcommitted: ballooning and swapping of that VM are gone.) If time is short, leave out the register way and the bars of lazy mode. Say that `gpa` in the pictures is the host's own address, because the tables are the host's. In round 5 the machine *was* a VM, so there both words are true.
#
# </details>
