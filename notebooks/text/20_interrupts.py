# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Who may interrupt whom, and what does it cost?
#
# After this lesson you can
#
# - **decode** an interrupt message, an entry of the remapping table and a fault record, field by field;
# - **forge** an interrupt from inside a guest, and stop it with one field of one entry;
# - **count** the exits of an interrupt on three ways to a guest, and say why one way has none.
#
# *40 minutes. Builds on lessons 05, 07 and 19. Topics B05 (MSI-X, interrupt remapping, posted interrupts) and S48 (the place of the interrupt controller). It stands for the lecture's slide "ARMvisor", and goes beyond it.*

# %% [markdown] tags=["topic:B05"]
# ## The picture
#
# A card belongs to a guest, and the guest runs. The card interrupts. Follow the heavy arrows: the way is long, and at its end stands **0 exits**. In this lesson you build that way piece by piece, on the server of [lesson 19](19_vtd.ipynb). First comes the interrupt itself, then the *entry* that it has to name, then the *descriptor*.

# %% tags=["topic:B05"]
from virtlab import server, show
from virtlab.show.irq_picture import irq_picture
from virtlab.show.irq_run import run
from virtlab.show.irq_scene import Plan

host = server.lesson_server()
kernel = server.boot(host)
kernel.vtd.interrupts.disable()              # for now, interrupts are not remapped
irq_picture(run(Plan("posted", "running")))

# %% [markdown] tags=["topic:B05"]
# ## Round 1. An interrupt is a write
#
# **Claim: whoever stores four bytes at 0xFEEx_xxxx has interrupted a processor.** The teaching card has a pin, INTA#. It ends at an input of the I/O APIC. That chip does not call the processor by a wire. It writes a *message* to the processor's **local APIC**: the address says which processor, the data say which vector.

# %%
from virtlab.guest.apic import IoApicDriver, LocalApic
from virtlab.guest.edu import EduDriver
from virtlab.server_board import input_of
from virtlab.show.irq_fields import message_picture

card = kernel.find(host.edu)
edu, local, inputs = EduDriver(host.cpu, card.bar(0)), LocalApic(host.cpu), IoApicDriver(host.cpu)
pin = input_of(1, card.pin)                  # INTA# below root port 1
inputs.route(pin, vector=0x41, level=True)
message_picture(host.ioapic.message_of(pin), "What the I/O APIC writes", lit=["DESTINATION", "VECTOR"])

# %% [markdown]
# With MSI ([lesson 05](05_pci_express.ipynb)) the card writes such a message itself. Software gives it address and data. Here are both, one after the other.

# %%
from virtlab.devices.edu import EduRegisters
from virtlab.guest.msi import MsiDriver
from virtlab.interrupts import Interrupt

msi = MsiDriver(kernel.access, card.place)
with host.trace.recording() as events:
    edu.raise_interrupt()                    # by its pin
    first = host.cpu.wait()                  # the processor takes the vector
    edu.put(EduRegisters.ACKNOWLEDGE, 1)
    msi.enable(*Interrupt(0x62).message())
    edu.raise_interrupt()                    # by a message of its own

show.trace_table([event for event in events if event.kind in ("Msg", "msi", "apic", "interrupt")])

# %% [markdown]
# The pin became messages of PCI Express (`Msg`), a pair when it rose and a pair when it fell. In between the I/O APIC wrote. The MSI is one memory write by the card (`msi`). Both ended in the same place: `apic`. The processor finds the registers of its local APIC at 0xFEE0_0000, too. The two do not meet: a processor's stores reach its own APIC, and a device's writes become messages.
#
# The local APIC keeps three sets of 256 bits. **IRR** has the vectors that are requested. When the processor takes one, it moves to **ISR**, in service, until the handler writes **EOI**, *end of interrupt*. **TMR** remembers which came from a level. The upper digit of a vector is its *priority class*. A handler is interrupted by a higher class only.

# %% jupyter={"source_hidden": true}
show.Predict(
    "0x41 is in service. 0x62 is requested, and now also 0x47. What does the processor take before the next EOI?",
    answer="only 0x62",
    options=["nothing", "only 0x62", "0x62 and 0x47"],
    why="Class 6 is above the class in service, class 4 is not. So 0x47 waits.",
)

# %%
from virtlab.show.irq_vectors import apic_picture

local.send(0x47, local.identity())           # the processor interrupts itself
second = host.cpu.wait()
assert (first, second) == (0x41, 0x62)
assert not host.lapic.pending                # 0x47 is requested, and may not interrupt
apic_picture(host.lapic.peek(), "The host's local APIC, with two handlers nested")

# %%
edu.put(EduRegisters.ACKNOWLEDGE, 1)
local.eoi()                                  # ends 0x62, the highest in service
assert not host.lapic.pending                # 0x47 still waits: class 4 is in service
local.eoi()
assert host.cpu.wait() == 0x47
local.eoi()

# %% [markdown] tags=["topic:B05"]
# ## Round 2. Whoever can write can interrupt
#
# Now the card is given to a guest. Its registers are mapped by EPT. Its DMA is remapped: its domain has *one page*, which is the guest's. So its DMA is locked in. **Claim: with DMA remapping alone, a guest can send the host any interrupt.**

# %%
guest = server.lesson_guest(host, "guest")
guest.vm.assign_memory(card.bar(0), card.bar(0), 1 << 20)
domain = kernel.vtd.new_domain()
kernel.vtd.map(domain, 0x1000, guest.vm.ram.hpa(0x1000), 4096)
kernel.vtd.attach(host.edu.source_id, domain)
kernel.vtd.enable()

MASK = 0xFFFF_FFFF                           # QEMU: -device edu,dma_mask=0xffffffff
host.edu.edu.dma_mask = MASK
driver = EduDriver(guest.cpu, card.bar(0), dma_mask=MASK)

def forge(message):
    """What the guest does: its card fetches four bytes, and stores them somewhere else."""
    guest.cpu.store(0x1000, message.data)
    driver.to_device(0x1000, 4)
    driver.from_device(message.address, 4)

# %% jupyter={"source_hidden": true}
show.Predict(
    "The guest lets its card store 0xec at 0xFEE0_0000. Its domain has one page, and that is elsewhere. What happens?",
    answer="the host's processor gets vector 0xec",
    options=["the unit refuses it: no such page", "the host's processor gets vector 0xec", "the card may not make such an address"],
    why="Writes to 0xFEEx_xxxx are interrupts. They are never translated, so the domain's tables are not asked (VT-d 3.0, 3.14).",
)

# %%
with host.trace.recording() as events:
    forge(Interrupt(0xEC).message())

assert host.cpu.wait(1) == 0xEC              # for years Linux's vector for the timer, on x86
local.eoi()
assert kernel.vtd.faults.read() == []

driver.from_device(0x2000, 4)                # and the page next to its own?
[fault] = kernel.vtd.faults.read()
print(fault)
assert (fault.code, fault.iova) == (5, 0x2000)
show.trace_table([event for event in events if event.kind in ("msi", "apic")])

# %% [markdown]
# The page next to its own is refused. The interrupt is not. A Linux host would now run its timer's handler, because a guest wanted it. And a message has more than a vector. Its *delivery mode* can be one that no priority holds back.

# %%
from virtlab.interrupts import Delivery

taken = []
host.lapic.signal = lambda mode, vector: taken.append(Delivery(mode).name)
for mode in (Delivery.NMI, Delivery.SMI, Delivery.INIT):
    forge(Interrupt(0, mode=mode).message())

print(taken, "| the host's local APIC is on:", host.lapic.enabled)
assert taken == ["NMI", "SMI", "INIT"]
assert not host.lapic.enabled
local.enable()                               # a kind host starts again

# %% [markdown]
# NMI reaches even a host that has masked its interrupts, SMI calls the firmware, and INIT resets the processor. In 2011 Wojtczuk and Rutkowska went further. On machines without interrupt remapping they ran code of their own in Xen, from a guest with an assigned card (CVE-2011-1898, [Qubes Security Bulletin 1](https://github.com/QubesOS/qubes-secpack/blob/22c5fe0db045053f67dd227bd1a58ee73001018d/QSBs/qsb-001-2011.txt)).

# %% [markdown] tags=["topic:B05"]
# ## Round 3. An entry with an owner
#
# **Claim: remapped, a message names an entry of a table, and the entry names its owner.** The host switches interrupt remapping on. The guest tries again.

# %%
from virtlab.iommu.layouts import FAULT_RECORD
from virtlab.show.irq_fields import entry_picture, record_picture

def records():
    """The fault records that are in use, as they stand in the unit's registers."""
    return [each for each in host.unit.faults.records if FAULT_RECORD.F.get(each)]

table = kernel.vtd.interrupts
table.enable()
forge(Interrupt(0xEC).message())
assert not host.lapic.pending
record_picture(records()[0], "Fault 0x25")

# %% [markdown]
# The old format is called *compatibility format*, and it is blocked: fault 0x25. The record names the sender, 03:00.0. Now the card gets an **IRTE**, an interrupt-remapping table entry. So does the network card at 05:00.0.

# %%
table.take(4)                                # entries 0 to 3 are for others
mine = table.route(host.edu.source_id, Interrupt(0x45))
other = table.route(host.e1000.source_id, Interrupt(0x51))
message_picture(mine, "What the card shall write now", lit=["FORMAT", "HANDLE"])

# %% [markdown]
# No vector, and no processor. The message says *format 1, handle 4*, and its data is not even looked at. All the rest stands in entry 4, which only the host can write. The unit caches such entries, so a change needs an invalidation here, too (lesson 19). Here it is, read from memory.

# %%
def entry(index):
    """An entry of the table, all 128 bits."""
    return host.ram.load(table.gpa + 16 * index, 16)

entry_picture(4, entry(4), lit=["V", "DST", "SID", "SVT"])

# %%
kernel.vtd.faults.read()                     # read, and freed
msi.enable(*mine)
edu.raise_interrupt()
assert host.cpu.wait(1) == 0x45              # the honest message arrives
edu.put(EduRegisters.ACKNOWLEDGE, 1)
local.eoi()

# %% jupyter={"source_hidden": true}
show.Predict(
    "The guest forges the network card's message: handle 5. By which bits of the message does the unit see that it is forged?",
    answer="by none of them",
    options=["by the address", "by the data", "by none of them"],
    why="The message is the right one. But each packet carries the requester ID of its sender, which the card's hardware puts there.",
)

# %%
forge(other)
assert not host.lapic.pending
record_picture(records()[0], "Fault 0x26")

# %% [markdown]
# That is **source-id validation**. SVT = 1 says: compare the sender with SID. Fault 0x26 names the sender *and* the entry that it tried, so the host knows whom to throw out. A message that passes can still only do what the entry says: one vector, to one processor, in a mode that the host chose.

# %% [markdown] tags=["topic:S48"]
# ## Round 4. Three ways, three states
#
# The host's interrupt has come. It must become the guest's. [Lesson 07](07_device_model.ipynb) asked where the interrupt *controller* lives, as ARMvisor's authors did, and its guest had an 8259A. Now the guest has a local APIC of its own. **Claim: there are three ways, and what they cost depends on what the guest does at that moment.**
#
# - *User space*: the APIC is emulated in another process. Each visit is a trip of two world switches.
# - *Kernel*: it is emulated where exits arrive. KVM calls this the **in-kernel irqchip**.
# - *Posted*: the processor itself answers for the APIC's page, EOI included.

# %% tags=["topic:S48"]
from virtlab.vmm.interrupt_prices import measured, predicted
from virtlab.vmm.interrupt_ways import STATES, WAYS
from virtlab.vmm.irqchip import total
from virtlab.vmm.virtual_machine import VirtualMachine

vm = VirtualMachine(host, host.frames, name="priced")
prices = {(way, state): measured(vm, way, state, 10) for way in WAYS for state in STATES}

# %% jupyter={"source_hidden": true}
show.Predict(
    "The guest runs, and its APIC is in the kernel. How many exits does one interrupt take, its EOI included?",
    answer=2,
    why="The physical interrupt is an exit. The write of EOI to the emulated APIC is another.",
)

# %% tags=["topic:S48"]
def words(way, state):
    steps, handled = prices[way, state]
    assert (steps, handled) == predicted(way, state, 10, 230)
    cost = total(steps)
    return f"{cost.exits} exits, {cost.switches} switches, {handled} handled"

show.Table(
    "Ten interrupts: exits, world switches, and how often the host's handler ran",
    ("way", *(f"guest {state}" for state in STATES)),
    tuple((way, *(words(way, state) for state in STATES)) for way in WAYS),
)

# %% [markdown] tags=["topic:S48"]
# Each cell was counted on a VM, and the closed form agrees. Read the first column downwards. From user space to the kernel, the trips are gone. From the kernel to *posted*, the exits are gone too. The sleeping guest costs one exit on every way, its HLT. While the guest is preempted, the first two ways still bother the host, ten times. Posted does not.

# %% [markdown] tags=["topic:B05"]
# ## Round 5. An interrupt is a bit
#
# **Claim: a posted interrupt is a bit in memory, and a notification only where somebody should look.** The entry then has another form. It names a vector *of the guest*, and the address of a **posted-interrupt descriptor**: 64 bytes, one for each virtual processor.

# %%
from virtlab.iommu.posted import PostedDescriptor
from virtlab.show.irq_vectors import descriptor_picture

descriptor = PostedDescriptor(host.ram, kernel.room.take(64, 64))
descriptor.start(0xF2, processor=0)          # notify processor 0, by vector 0xf2
posts = [table.post(host.edu.source_id, 0x60 + n, descriptor.gpa) for n in range(10)]
entry_picture(6, entry(6), lit=["IM", "VV", "PDAL", "PDAH"])

# %% jupyter={"source_hidden": true}
show.Predict(
    "The card sends ten different interrupts before anybody has looked. How many notifications does the host's local APIC get?",
    answer=1,
    why="The first sets ON, 'a notification is on its way'. As long as it stands, another would say nothing new.",
)

# %%
def notified(messages):
    """Let the card send them; the vectors that reach a local APIC."""
    with host.trace.recording() as events:
        for message in messages:
            host.edu.send(message)
    return [event.value for event in events if event.kind == "apic"]

told = notified(posts)
assert told == [0xF2]
descriptor_picture(descriptor.value, "Ten interrupts were posted, and nobody has looked")

# %% [markdown]
# Ten bits of **PIR**, and one notification. If the processor is in the guest and knows 0xf2 as its own, it does not exit. It clears ON, takes PIR into the guest's IRR, and delivers the highest vector. ON is cleared *first*, so a bit that comes after that brings a notification of its own.
#
# When the guest loses its processor, the VMM sets **SN**. Posts then wait in silence. The VMM takes them before it lets the guest run again. When the guest sleeps, it is the other way round: the VMM wants to hear of a post, by another vector, **NV**, that means "wake it".

# %%
assert host.cpu.wait(1) == 0xF2              # this processor is in no guest, so it takes the notification
local.eoi()
assert descriptor.sync() == sum(1 << 0x60 + n for n in range(10))

descriptor.suppress(True)                    # preempted
assert notified(posts) == []
descriptor.suppress(False)
descriptor.sync()
descriptor.move(0xF1, processor=0)           # asleep: wake it by 0xf1
assert notified(posts[:3]) == [0xF1]
assert host.cpu.wait(1) == 0xF1
local.eoi()

# %% [markdown]
# ## Round 6. A level wants to hear of its end
#
# A message is sent once. A *line* stays up until somebody serves the device. **Claim: so the EOI of a level-triggered interrupt must find its way back to the I/O APIC.** The host lets the card use its pin again. What the I/O APIC writes goes through an entry now, too.

# %%
from virtlab.devices.ioapic import ENTRY
from virtlab.server_board import IOAPIC_SOURCE

index = table.take()
table.route(IOAPIC_SOURCE, Interrupt(0x43, level=True), index)
inputs.route_remapped(pin, index, vector=0x43, level=True)
msi.disable()                                # back to the pin

# %% jupyter={"source_hidden": true}
show.Predict(
    "The handler writes EOI, and forgets to acknowledge the card. The line stays up. What comes?",
    answer="the same vector, again",
    options=["nothing: one message was sent", "the same vector, again", "the spurious vector"],
    why="At the EOI the I/O APIC clears remote IRR, sees that the input is still up, and sends the message again.",
)

# %%
def look():
    """What the processor takes next, and remote IRR at that moment."""
    vector = host.cpu.wait(1)
    return f"{vector:#x}" if vector else "nothing", ENTRY["REMOTE_IRR"].get(inputs.entry(pin))

edu.raise_interrupt()
seen = [look()]
local.eoi()                                  # too early
seen.append(look())
edu.put(EduRegisters.ACKNOWLEDGE, 1)         # now the line falls
local.eoi()
seen.append(look())

print(seen)
assert seen == [("0x43", 1), ("0x43", 1), ("nothing", 0)]

# %% [markdown]
# **Remote IRR** is the I/O APIC's note that a message is out and no EOI has come. Two chips keep one truth together, and TMR tells the local APIC when to report. This is why a VMM cannot let a level's EOI pass without an exit.
#
# Last, an interrupt may be gone when the processor asks for it. Then the local APIC gives the **spurious vector**. Nothing is in service, so its handler writes no EOI.

# %%
host.edu.send(mine)                          # 0x45 is requested
local.hold(15)                               # and the host lets no class through
spurious = host.lapic.acknowledge()          # but the processor had begun to ask
print(f"{spurious:#x}, in service: {local.serving()}")

assert spurious == 0xFF
assert local.serving() == []
local.hold(0)
assert host.cpu.wait(1) == 0x45              # 0x45 was not lost
local.eoi()

# %% [markdown]
# ## Play
#
# Choose how interrupts are remapped, what the guest does, who sends, and which message. Find every way in which a guest can get an interrupt that its card never sent. Then find the set-up in which the host's handler runs although the guest's interrupt is posted.

# %%
show.InterruptLab()

# %% [markdown]
# ## Break it
#
# Somebody writes entries and leaves SVT at 0: *no verification*. Everything works. Every test of an honest device passes.

# %% jupyter={"source_hidden": true}
show.Predict(
    "Entry 5, the network card's, has SVT = 0 now. The guest forges its message. What happens?",
    answer="the host gets vector 0x51, and there is no record",
    options=["fault 0x26, as before", "the host gets vector 0x51, and there is no record", "the host gets vector 0x51, and a record"],
    why="Nobody compares anything, so there is nothing to record.",
)

# %%
from virtlab.iommu.layouts import IRTE

kernel.vtd.faults.read()
table.put(5, IRTE.SVT.put(entry(5), 0))
forge(other)
assert host.cpu.wait(1) == 0x51
assert records() == []
local.eoi()
table.put(5, IRTE.SVT.put(entry(5), 1))      # and mended

# %% [markdown]
# A remapped machine with SVT = 0 is round 2 again, with fewer vectors. It does happen. In September 2026 somebody reported to Asterinas, a kernel in Rust, that its entries are enabled with no validation ([issue 3920](https://github.com/asterinas/asterinas/issues/3920)).

# %% [markdown] tags=["topic:S48"]
# ## Measure it
#
# The closed forms. They count an interrupt and its EOI:
#
# | exits, world switches | running | asleep | preempted |
# |---|---|---|---|
# | user space | 2, 8 | 2, 8 | 1, 6 |
# | kernel | 2, 4 | 2, 4 | 1, 2 |
# | posted | 0, 0 | 1, 2 | 0, 0 |
#
# They were counted on a model of the three ways. Now the server itself. The second teaching card is given to a new guest, once remapped and once posted. The guest boots, finds the card, chooses a vector, and serves ten interrupts.

# %% tags=["topic:B05"]
from virtlab.show.irq_server import exits_of
from virtlab.vmm.passthrough import Passthrough

passthrough, second_card = Passthrough(host, kernel), kernel.find(host.edu2)
exits = {
    posted: exits_of(passthrough, second_card, server.lesson_guest(host, "owner"), posted, 10)
    for posted in (False, True)
}
print("remapped:", exits[False], "exits, posted:", exits[True], "exits")
assert exits == {False: 20, True: 0}

# %% [markdown] tags=["topic:S48"]
# A busy network card interrupts 100,000 times a second. An exit takes 230 ns here, a switch of process 3,800 ns; both are published figures of real machines. How much of each second does the processor spend on switching?

# %% tags=["topic:S48"]
spent = {way: total(prices[way, "running"][0]).ns / 10 * 100_000 / 1e9 for way in WAYS}
formula = {"user space": (2 * 230 + 4 * 3800) / 1e4, "kernel": 2 * 230 / 1e4, "posted": 0.0}
assert {way: round(share, 6) for way, share in spent.items()} == {way: round(share, 6) for way, share in formula.items()}
show.bars("100,000 interrupts: seconds of switching in one second", {way: round(share, 3) for way, share in spent.items()}, "s", expected=formula)

# %% [markdown] tags=["topic:S48"]
# The first bar is longer than a second: with a controller in another process such a card cannot be served at all. The second bar looks small. On real machines an exit also costs what it pushes out of the caches. Gordon and others measured that in 2012, before there was posting. They let the assigned card's interrupts go straight into the guest, in software. Throughput and latency became **1.3 to 1.6 times better**, and the guest reached 97 to 100 % of bare metal ([ELI, ASPLOS 2012](https://research.ibm.com/publications/eli-bare-metal-performance-for-io-virtualization)). Those are figures of hardware. Ours are counts.
#
# ON helps without any guest, too. Since 2024 Linux can post interrupts to *itself*, if told so at boot. Many then become one notification. Between 10 % and 130 % more throughput have been measured, depending on device and load ([Linux 6.10](https://www.phoronix.com/news/Linux-6.10-Posted-Interrupts)).
#
# ## How real systems do it
#
# Linux calls this code `intel_irq_remapping`. Into each entry it writes the sender's requester ID, or a range of buses where a bridge hides who sends. A card could lie about its ID, so ports check that too (ACS source validation). VFIO gives no device away where interrupts are not remapped, unless an administrator sets `allow_unsafe_interrupts`.
#
# QEMU has our first two ways as `kernel-irqchip=off` and `on`. Between them is `split`: the local APIC in the kernel, the I/O APIC and the 8259A outside. That leaves less of the kernel to be attacked, and interrupts that are no messages cost more; round 6 says why. The third way is APICv on Intel, AVIC on AMD. A small module, `irqbypass`, brings VFIO's interrupt and KVM's route together, and KVM rewrites the entry into the posted form. It sets SN when a vCPU is preempted, and NV to a wake-up vector, 0xf1, when it blocks.
#
# What we left out: hardware reads and locks the descriptor in one step. In x2APIC mode ids have 32 bits, and registers are MSRs. One virtual processor can post to another, too. An interrupt for several processors cannot be posted; KVM then goes back to the remapped form.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "DMA remapping is on, interrupt remapping is off. What can a guest with an assigned card do to the host?",
        ("Send any vector, and NMI or INIT, to any processor", "Interrupt messages are not translated, so the tables of DMA do not stop them."),
        ("Nothing: each of its writes goes through its domain's tables", "Writes to 0xFEEx_xxxx do not."),
        ("Read the host's interrupt table", "It cannot read there. It can write a message."),
        place=1,
    ),
    show.question(
        "How does the unit know who has sent an interrupt message?",
        ("By the requester ID in the packet", "The function's own hardware puts it there. The guest does not write it."),
        ("By the handle: each sender has one of its own", "Anybody can write any handle. That is why the entry has a SID."),
        ("By the data", "Without a subhandle the data is ignored altogether."),
        place=2,
    ),
    show.question(
        "Ten interrupts are posted while ON is set and SN is clear. What reaches a processor?",
        ("No new notification; all ten bits are in PIR", "One is already on its way. Whoever takes PIR takes all."),
        ("Ten notifications", "Each would say the same: look at PIR."),
        ("Nothing, and the ten are lost", "They are bits in memory. Two posts of the *same* vector become one, as in IRR."),
    ),
    show.question(
        "Why does the VMM set SN when it takes the processor away from a guest?",
        ("A notification would interrupt whoever runs there now, for nothing", "The VMM looks at PIR anyway before it lets the guest run again."),
        ("So that the device keeps its interrupts until the guest runs", "The device knows nothing of it. It goes on, and its interrupts are kept in PIR."),
        ("So that the interrupts go to another guest", "They stay in this guest's descriptor."),
        place=1,
    ),
    show.question(
        "A guest's APIC is posted. Its card uses INTx, through an emulated I/O APIC. Why is there still an exit at EOI?",
        ("The I/O APIC must hear of it: it may have to send again", "A level is not over when its message was taken. The VMM marks such vectors, and their EOI exits."),
        ("Because INTx is slower", "It is an exit because of what has to be done."),
        ("Because the vector of an INTx interrupt is low, and low ones are not posted", "Vectors have a priority. Whether one is posted does not depend on it."),
        place=2,
    ),
])

# %% [markdown]
# ## Take away
#
# An interrupt is a write, so whoever can write can interrupt, and no page table stops it. Remapped, a message names an entry, and the entry names its owner. Posted, an interrupt is a bit in memory, and a running guest takes it with no exit.
#
# **New terms**: [compatibility format](../docs/glossary.md#compatibility-format), [delivery mode](../docs/glossary.md#delivery-mode), [IRR](../docs/glossary.md#irr-isr-tmr), [IRTE](../docs/glossary.md#irte), [local APIC](../docs/glossary.md#local-apic), [notification](../docs/glossary.md#notification-posted-interrupts), [PIR](../docs/glossary.md#pir-on-sn-nv), [posted interrupt](../docs/glossary.md#posted-interrupt), [posted-interrupt descriptor](../docs/glossary.md#posted-interrupt-descriptor), [remote IRR](../docs/glossary.md#remote-irr), [source-id validation](../docs/glossary.md#source-id-validation), [spurious vector](../docs/glossary.md#spurious-vector), [x2APIC](../docs/glossary.md#x2apic).
#
# **Read the code**, in this order: [virtlab/interrupts.py](../virtlab/interrupts.py) (the message), [virtlab/iommu/interrupt_remapping.py](../virtlab/iommu/interrupt_remapping.py) (the checks in their order), [virtlab/iommu/posted.py](../virtlab/iommu/posted.py) (ON first, then PIR).
#
# **Exercise**: problem set 6, [task 4, *from a message to an interrupt*](../exercises/ps06/ps06.ipynb#4.-From-a-message-to-an-interrupt).
#
# **Next**: [lesson 21, SR-IOV](21_sriov.ipynb). One card, many functions: each with a requester ID, and so with entries of its own.

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("20")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is the forged INIT. Before you run it, let the room agree that the guest is locked in: one page, shown by the fault at 0x2000. Then let it switch off the host's processor. Question for the room: would it help to let the VMM check what the guest writes into the card's registers? (It could, for this card. But then each register write exits, and the VMM must know every card's DMA engine.) A second one: why is SID not enough for a card behind a PCI Express to PCI bridge? If time is short, leave out round 6. If there is more, read `InterruptRemapper.decide` aloud, against the order of the fault reasons 0x20 to 0x26.
#
# </details>
