# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:S20"]
# # Where does the device's write land?
#
# After this lesson you can
#
# - **show** why a guest's address, given to a physical card, destroys somebody else's memory;
# - **translate** a request for DMA at interception, piece by piece, and count what it costs;
# - **say** which requests need no interception, what they need instead, and who must translate for a card that acts by itself.
#
# *40 minutes. Builds on lessons 03 and 09. Topics S20 and S27. It stands for the lecture's slides "DMA remapping" and "Direct DMA".*

# %% [markdown] tags=["topic:S20"]
# ## The picture
#
# [Lesson 09](09_interception.ipynb) caught every access of the guest. DMA is no access of the guest: the *card* makes it, and no page table stands in its way. Here are two virtual machines on one host. Each has 224 pages of RAM, in whatever frames the host had. The picture shows two pages of A.

# %%
from virtlab import machine, show
from virtlab.show.remap_scene import survey, touched
from virtlab.vmm.frames import Frames

board = machine.lesson_pc()
board.frames = Frames(board.ram, 0x10_0000, 512)     # this host keeps its VMs in low memory
a, b = machine.lesson_vm(board), machine.lesson_vm(board)
vms = {"A": a.vm.ram, "B": b.vm.ram}

TARGET = 0x118F00                                    # where a program in A wants 512 bytes
show.remap_picture(survey(vms, [0x118000, 0x119000]), "Two pages of VM A")

# %% [markdown]
# Two numbers belong to one byte. The *guest-physical address* (gpa) is what A's driver knows. The *host-physical address* (hpa) is what a card on the board needs. The VMM's table has both, and A cannot see it.

# %% [markdown] tags=["topic:S20"]
# ## Round 1. The number alone
#
# **Claim: the right number in the wrong memory is a wrong write.** We give A the board's own teaching card. A finds a virtual card on its virtual bus. Behind that card's registers stands a *mediator*: it traps what the guest writes, and passes it to the physical card. For now it passes addresses on as they are. This is the mistake.

# %%
from virtlab.guest.edu import EduDriver
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pic import Pics
from virtlab.vmm.dma_remap import Untranslated
from virtlab.vmm.mediated_edu import MediatedEdu

enumerate_pci(board.cpu)                             # the host sets its cards up
edu = MediatedEdu(a.vm, a.cards.edu, board.cards.edu, remapper=Untranslated())
cards = enumerate_pci(a.cpu)                         # the guest sets up what it finds
slot, pics = find(cards, 0x1234, 0x11E8), Pics(a.cpu)
pics.remap()
pics.unmask(slot.line)
driver = EduDriver(a.cpu, slot.bar(0))

# %%
b.cpu.write(0x17F00, b"B's own data, and nobody else's")
board.cards.edu.edu.buffer[:] = b"card" * 1024       # what the card will write

# %% jupyter={"source_hidden": true}
show.Predict(
    "A's driver says: write 512 bytes to 0x118f00. The mediator passes the number on. Where do the bytes go?",
    answer="to host-physical 0x118f00, whoever has that frame",
    options=["to A's page 0x118000", "nowhere: the card is told that A has no such address", "to host-physical 0x118f00, whoever has that frame"],
    why="The card knows one address space, the host's. It has no idea who programmed it.",
)

# %%
with board.trace.recording() as events:
    driver.from_device(TARGET, 512, interrupt=True)
pics.eoi(slot.line)

show.remap_picture(survey(vms, [0x118000, 0x119000], touched(events, "edu")), "A asked, and B was hit")

# %%
assert b.cpu.read(0x17F00, 8) == b"cardcard"         # B's data are gone
assert a.cpu.read(TARGET, 8) == bytes(8)             # and A has nothing
assert board.trace.counts["fault"] == 0              # nobody noticed

# %% [markdown]
# A is an honest guest. Its driver did what the card's manual says. B did nothing at all, and lost its data. A guest that is not honest would choose the number, and could have any byte of this host.

# %% [markdown] tags=["topic:S20"]
# ## Round 2. Translate at interception
#
# **Claim: the VMM is there at the right moment.** The driver stores four registers: source, destination, count, command. Each store exits. So before the card hears anything, the VMM has seen the guest's number. It looks it up, and gives the card another.

# %%
from virtlab.vmm.dma_remap import SoftwareRemapper

edu.remapper = SoftwareRemapper(a.vm.ram)            # the one line that was missing
pieces = edu.remapper.pieces(TARGET, 512)
[(hex(hpa), length) for hpa, length in pieces]

# %% [markdown]
# The 512 bytes cross a page. In A the two pages are neighbours. In the host they are not, so there are two pieces. The card has one address register, so the VMM lets it do two transfers. It hears the end of the first by the card's interrupt, and starts the second. The guest is told once.

# %% jupyter={"source_hidden": true}
show.Predict(
    "The driver stores 4 registers and sleeps. Then it reads why it was woken, and acknowledges. How many exits, with two pieces?",
    answer=7,
    why="4 stores, 1 HLT, 1 load, 1 store. The second piece is between the VMM and the card: the guest sleeps, and cannot exit.",
)

# %%
def exits_of(act):
    """How many exits VM A takes for `act`."""
    before = a.exits
    act()
    return a.exits - before

with board.trace.recording() as events:
    remapped = exits_of(lambda: driver.from_device(TARGET, 512, interrupt=True))
pics.eoi(slot.line)

show.remap_picture(survey(vms, [0x118000, 0x119000], touched(events, "edu")), "Remapped by the VMM")

# %%
assert a.cpu.read(TARGET, 512) == b"card" * 128
assert list(touched(events, "edu")) == pieces
assert remapped == 4 + 1 + 2

# %%
turns = [event for event in events if event.kind in ("exit", "entry", "dma write", "inject")]
show.exit_timeline(turns, limit=20, title="Seven exits, two transfers, one interrupt for the guest")

# %% [markdown]
# Both writes of the card fall into one exit, the `HLT`. The VMM had four exits before to see the guest's numbers, and it used the fourth: the command.
#
# What does the guest see in the card's register now? Not what the card has.

# %%
seen = a.cpu.load(slot.bar(0) + 0x88, 8)             # DMA_DESTINATION
real = board.cards.edu.edu.values[0x88]
assert seen == TARGET
assert real == pieces[1].hpa
hex(seen), hex(real)

# %% [markdown] tags=["topic:S20"]
# ## Round 3. Translate a table
#
# **Claim: a table of a thousand addresses costs as many exits as one address.** A disk controller reads its addresses from memory ([lesson 03](03_dma.ipynb)). Storing that table does not exit. But the driver must write two registers of the bus master: where the table is, and START. At START the VMM reads the guest's table, once, and writes another in its own memory. The card gets that one. The disk's other ports name no memory, so A has them directly.

# %%
from virtlab.guest.ata import AtaDriver
from virtlab.vmm.mediated_ide import MediatedIde
from virtlab.vmm.pinning import Mover, Pins

pins = Pins()                                        # round 4 says what these are
MediatedIde(a.vm, a.cards.ide, board.cards.ide, table=0xC0_0000, hole=0xA_0000, pins=pins)
disk = AtaDriver(a.cpu, bus_master=find(cards, 0x8086, 0x7010).bar(4), table=0x9000)
disk.mute()                                          # poll: one look is enough here

# %% jupyter={"source_hidden": true}
show.Predict(
    "One region of 16 KiB from 0x110000: one entry in the guest's table. No two of its frames are neighbours. How many entries does the VMM write?",
    answer=4,
    why="16 KiB are four pages, and each lies in a frame of its own. Neighbouring frames would share an entry.",
)

# %%
with board.trace.recording() as events:
    polled = exits_of(lambda: disk.read_dma(7, [(0x11_0000, 16384)]))

show.descriptor_table([(0x11_0000, 16384)], touched(events, "IDE"))

# %%
assert a.cpu.read(0x11_0000, 16384) == board.disk.read(7, 32)
assert len(touched(events, "IDE")) == 16384 // 4096
assert polled == 6

# %% [markdown]
# Six: the table's address, the direction, the status cleared, START, one look at the status, stop. What if the guest changes its table after START? The card never reads it, so it is too late. Had the VMM only *checked* the guest's table and given that to the card, A could have swapped an entry between the check and the read.

# %% [markdown] tags=["topic:S20"]
# ## Round 4. Pinning
#
# **Claim: a translation must stay true until the card is done.** A VMM moves pages: to free memory, to swap, to balance. The guest does not notice, because its table is changed with the move. The card does not look at tables. It has the old number. Here the VMM moves a page of A while the card works, and the frame goes to B.

# %%
mover = Mover(board.frames)                          # no pins: it moves whatever it is told to
b.cpu.write(0x7F00, b"precious")

def move():
    mover.move(a.vm, TARGET)
    mover.move(b.vm, 0x7000)                         # B's page takes the frame that A's has left

board.clock.after(20_000, move)                      # the card needs 100 ms
with board.trace.recording() as events:
    driver.from_device(TARGET, 512, interrupt=True)
pics.eoi(slot.line)

show.remap_picture(survey(vms, [0x118000, 0x119000], touched(events, "edu")), "The page moved, the card did not know")

# %%
assert b.cpu.read(0x7F00, 8) == b"cardcard"

# %% [markdown]
# So the VMM *pins* each frame before a card gets its number, and unpins it when the card is done. A pinned page does not move.

# %% jupyter={"source_hidden": true}
show.Predict(
    "512 bytes across a page are under way. How many frames are pinned?",
    answer=2,
    why="Every frame that a piece touches. Both stay until the last piece is done.",
)

# %%
edu.pins = mover.pins = pins
under_way = []
board.clock.after(20_000, lambda: under_way.extend([len(pins), mover.move(a.vm, TARGET)]))
driver.from_device(TARGET, 512, interrupt=True)
pics.eoi(slot.line)

assert under_way == [2, None]                        # two frames, and the move was refused
assert len(pins) == 0
assert mover.move(a.vm, TARGET)
assert a.cpu.read(TARGET, 512) == b"card" * 128

# %% [markdown] tags=["topic:S27"]
# ## Round 5. Without the VMM
#
# Seven exits for one request is a price. EPT can map a card's registers to the guest, and then none of the accesses exits (lesson 09). But then nobody translates either. **Claim: for synchronous DMA the guest can do it, if it is told.** In synchronous DMA the driver decides when, and names the address. So let it ask the VMM once, by a hypercall, where a page really is. It stores the host's number from then on. We give A the board's second teaching card in this way.

# %%
from virtlab.vmm.host_addresses import HOST_ADDRESS, HostAddresses
from virtlab.vmm.mediator import give_directly
from virtlab.vmm.vcpu import Vmcall

HostAddresses(a.vm, pins)
give_directly(a.vm, a.cards.edu2, board.cards.edu2, "BAR0")
second = [f for top in cards for f in top.walk() if f.device == 0x11E8][1]
pics.unmask(second.line)
direct = EduDriver(a.cpu, second.bar(0))
hpa = a.cpu.finish(Vmcall(HOST_ADDRESS, (0x5000,)))  # once for a page

# %% jupyter={"source_hidden": true}
show.Predict(
    "The same request by the same driver: 4 stores, sleep, read, acknowledge. The registers are mapped. How many exits?",
    answer=1,
    why="Only HLT. The six accesses reach the card directly, and the guest translated by itself.",
)

# %%
a.cpu.write(0x5000, b"A's own")
told = exits_of(lambda: direct.to_device(hpa, 7, interrupt=True))
pics.eoi(second.line)
assert told == 1
assert bytes(board.cards.edu2.edu.buffer[:7]) == b"A's own"

# %% [markdown]
# It has two costs. The VMM cannot know when A forgets the number, so this page is pinned for good. And nobody checks what A stores: it may name any frame. Do this only with a guest that you trust with the whole host.

# %%
assert mover.move(a.vm, 0x5000) is None              # pinned, though nothing is under way
victim = b.vm.ram.hpa(0x17F00)
direct.from_device(victim, 4, interrupt=True)        # A names a frame of B
pics.eoi(second.line)
b.cpu.read(0x17F00, 8)

# %% [markdown]
# Now **asynchronous DMA**. A network card stores frames when they arrive, into buffers that the driver posted long ago. The addresses lie in a ring in A's memory, and A can change them with a plain store. The VMM can translate early, when the doorbell is written: then it must give the card a ring of its own, pin every buffer that waits, and carry each status back to the guest's ring. At the moment of the access it is too late.
#
# Or somebody stands in the card's way *at the moment of the access*. The root complex knows who asks, by the requester's source id. Here we give it one memory for each: A's remapper for the network card, the host's RAM for all others. In our model this is a Python object. In a real machine no software runs at that place. It is hardware, VT-d, and [lesson 19](19_vtd.ipynb) puts it exactly here.

# %%
from virtlab.guest.e1000 import E1000Driver
from virtlab.vmm.dma_remap import Domains

domains = Domains(board.ram)
domains.assign(board.cards.e1000.source_id, SoftwareRemapper(a.vm.ram))
board.cards.root.memory = domains
give_directly(a.vm, a.cards.e1000, board.cards.e1000, "BAR0")
nic = E1000Driver(a.cpu, find(cards, 0x8086, 0x100E).bar(0), memory=0x12_0000, descriptors=8)
nic.start()                                          # the ring, in guest-physical addresses

# %% jupyter={"source_hidden": true}
show.Predict(
    "A frame arrives while A computes something else. How many exits are there, from its arrival until it is in memory?",
    answer=0,
    why="The card reads the ring and writes the frame. A does nothing that could exit, so no VMM runs that could translate.",
)

# %%
frame = nic.address + bytes.fromhex("020000000001 88b5") + b"whenever I like".ljust(46)
arrival = exits_of(lambda: board.cable.b.send(frame))    # somebody at the other end
assert nic.receive().frame == frame
assert arrival == 0

# %% [markdown]
# The card used A's own numbers, and each landed in the right frame, with no exit. Now A tries to abuse it. A plain store puts the address of B's frame into the next descriptor.

# %%
ring = 0x12_0000 + 8 * 16                            # the receive ring, 16 bytes a descriptor
assert exits_of(lambda: a.cpu.store(ring + 16, victim, 8)) == 0
safe = b.cpu.read(0x17F00, 64)
board.cable.b.send(frame)
assert b.cpu.read(0x17F00, 64) == safe
assert a.cpu.read(victim, len(frame)) == frame       # the same number, in A's own memory
hex(victim)

# %% [markdown]
# To the host this number is B's frame. To the remapper it is A's own page of that name. A has no number for anything of B.
#
# ## Play
#
# A transfer into VM A, on a fresh board for each change. Step back and forth through it. Find two ways to hit B's memory, and one to hit the host's. Then find a target at which the VMM refuses, and one at which the card gets as far as it may.

# %%
show.RemapLab()

# %% [markdown] tags=["topic:S20"]
# ## Break it
#
# A names memory that it has not: the second region begins where its RAM ends. The VMM cannot give the card an address for that. It writes a *hole* into its own table, a host address where no memory answers. So the card itself meets an error there, as a real one would.

# %% tags=["raises-exception"]
with board.trace.recording() as events:
    disk.read_dma(7, [(0x13_FE00, 512), (0x14_0000, 512)])

# %%
print([(hex(event.address), event.note.split(":")[0]) for event in events if event.kind == "fault"])
assert a.cpu.read(0x13_FE00, 512) == board.disk.read(7, 1)

# %% [markdown]
# The driver was told by the bus master's bit ERROR. The first region is right: a real controller moves what it can, and stops. Nothing else was touched. One example proves little, so try a hundred thousand random targets.

# %%
import numpy as np

targets = np.random.default_rng(1).integers(0, board.ram.size, 100_000, dtype=np.uint64)
hpas, ok = SoftwareRemapper(a.vm.ram).translate_many(targets)
frames = np.unique(hpas[ok] & ~np.uint64(4095)).tolist()
assert set(frames) <= set(a.vm.ram.frames.values())
f"{ok.sum()} allowed, {(~ok).sum()} refused, {len(frames)} frames, none of them another's"

# %% [markdown] tags=["topic:S27"]
# ## Measure it
#
# One request in each way, in exits. The thick marks are the formulas. For the card with one register: 4 stores, a halt, a load and a store. For the disk, polled: 6, for one page or for sixteen. Told its host addresses: the halt. With somebody in the card's path: nothing.

# %%
measured = {
    "card, remapped at interception": remapped,
    "disk, 1 page": exits_of(lambda: disk.read_dma(7, [(0x11_0000, 4096)])),
    "disk, 16 pages": exits_of(lambda: disk.read_dma(7, [(0x11_0000, 65536)])),
    "card, guest told host addresses": told,
    "network, remapper in its path": arrival,
}
formula = dict(zip(measured, [4 + 1 + 2, 6, 6, 1, 0], strict=True))
show.bars("Exits for one request", measured, expected=formula)

# %%
assert measured == formula

# %% [markdown]
# The exits do not grow with the data. What grows is the VMM's own work: a look-up and a pin for each page, and an unpin afterwards.
#
# ## How real systems do it
#
# A mediator that passes most registers on, and rewrites addresses, is a product in Linux: VFIO's mediated devices, on which Intel's GVT-g shared a graphics card. Xen told its para-virtual guests their machine addresses. The one guest that had the drivers used them for DMA; nobody checked its cards, so it had to be trusted. QEMU takes a third way for most devices. It emulates them, and its device model reads and writes guest memory itself. So the translation is a look-up in the host's own memory map, and nothing is mediated. A whole card is given to a guest only behind an IOMMU: VFIO refuses to do it without one, unless somebody accepts the risk in so many words, and pins *all* of the guest's memory when it is set up. Our model leaves out bounce buffers, for cards that cannot make the address of a high frame. It has no caches and no delay between a table's change and its use. Its mediated teaching card takes its full time once for each piece.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "Why did A's write hit B, although EPT keeps A out of B's frames?",
        ("EPT translates A's instructions, and the write was the card's", "The card has the host's addresses, and no table of A's in its way."),
        ("The entry in A's EPT was wrong: it named a frame of B's as A's own", "It was right all the time. The card never looked at it."),
        ("A had the rights for that frame", "It had none. Nobody asked for any."),
        place=2,
    ),
    show.question(
        "The guest's disk table has 3 entries of 8 KiB, each at a page border; no frames are neighbours. What does the VMM write, and at how many exits more than for one entry?",
        ("6 entries, no exit more", "8 KiB are two pages each time. The table is read at one exit, START."),
        ("3 entries, no exit more", "An entry is one run of host memory, and each 8 KiB has two."),
        ("6 entries, 2 exits more", "Storing a table in RAM does not exit."),
        place=0,
    ),
    show.question(
        "Why does the VMM copy the table, and not check it in place?",
        ("Because the guest could change it after the check", "The card reads later than the VMM. It must read what was checked."),
        ("Because the card cannot reach the guest's RAM, where the table is", "It can reach all of the host's RAM. That is the problem."),
        ("Because a table must be in one frame", "A table may be longer than a frame; that is not the reason."),
        place=1,
    ),
    show.question(
        "A guest was told the host address of a page. When may the VMM move that page?",
        ("Never, while the guest runs", "Nobody tells the VMM when the guest uses the number for the last time."),
        ("When no transfer is under way", "The guest keeps the number, and may start one at any time with no exit."),
        ("At any time: EPT is changed with it", "EPT is for the processor. The card gets the old number."),
        place=0,
    ),
    show.question(
        "Why is asynchronous DMA the hard case?",
        ("At the moment of the access the guest does nothing that could exit", "So what translates must stand between the card and memory."),
        ("Because it moves more bytes", "It may move few. The moment matters."),
        ("Because the network card chooses where the data goes", "It takes a buffer that the driver gave it long before. What is missing is a moment to look."),
        place=2,
    ),
])

# %% [markdown]
# ## Take away
#
# A card believes every address, so somebody who knows both address spaces must translate. A VMM does it when the guest programs the card: it copies the descriptors, cuts them where frames part, and pins the frames until the card is done. Where no instruction of the guest exits, only something in the card's own path can do it.
#
# **New terms**: [DMA remapping](../docs/glossary.md#dma-remapping), [gpa](../docs/glossary.md#gpa-guest-physical-address), [hpa](../docs/glossary.md#hpa-host-physical-address), [mediator](../docs/glossary.md#mediator), [pinning](../docs/glossary.md#pinning), [shadow table](../docs/glossary.md#shadow-table-of-a-bus-master), [source id](../docs/glossary.md#source-id).
#
# **Read the code**, in this order: [virtlab/vmm/dma_remap.py](../virtlab/vmm/dma_remap.py) (one look-up, and a batch of them), [virtlab/vmm/mediated_ide.py](../virtlab/vmm/mediated_ide.py) (a table becomes another table), [virtlab/vmm/pinning.py](../virtlab/vmm/pinning.py) (who may move what).
#
# **Exercise**: problem set 3, [task 7, *move the DMA to the right frames*](../exercises/ps03/ps03.ipynb#7.-Move-the-DMA-to-the-right-frames).
#
# **Next**: [lesson 11, kinds of devices](11_kinds_of_devices.ipynb). Who owns a card, and how do several VMs share one?

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("10")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is round 1: an honest guest, a correct driver, and another machine's data are gone. Ask first who will notice. The answer to write down is "nobody". In round 4 ask for a fix before you say "pin": most will propose to translate again after the move, and then see that the card has no such register. If you have ten minutes less, leave out the hypercall in round 5 and go straight to the network card. Question for the room: round 5 puts the remapper into the card's path, and then needs neither interception nor pinning. Is the second half of that true? It is not: a page that moves must still change the remapper at the same moment, or a write on its way is lost. Lesson 19 returns to that.
#
# </details>
