# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["topic:S11"]
# # Who sees the guest's IN?
#
# After this lesson you can
#
# - **set** the I/O bitmap bit by bit, and say what a 1 means there;
# - **read** why an access to memory came to the VMM: a shadow fault, an EPT violation, a misconfiguration;
# - **finish** an instruction for a guest, from its bytes to its flags.
#
# *45 minutes. Builds on lessons 01, 02 and 07. Topics S11, S18, S19, S26. It stands for the lecture's slides "Access interception" and "I/O operation level".*

# %% [markdown] tags=["topic:S11"]
# ## The picture
#
# A guest has two doors to a device: a port, and an address in memory. Behind each stands a doorkeeper in the processor. `IN` and `OUT` are *privileged* in guest mode: a bit in a table decides. A load or a store is not privileged, but it must be translated: an entry in a page table decides. Both can send the guest to the VMM.

# %%
from virtlab import machine, show
from virtlab.guest.uart import UartDriver

board = machine.lesson_pc()
guest = machine.lesson_vm(board)

with board.trace.recording() as events:
    guest.cpu.inp(0x3FD)                     # the status of the UART at the ports
    guest.cpu.load(0xFE034014, 4)            # the status of the UART in memory

show.exit_timeline(events, title="Two doors, and the VMM behind both")

# %% tags=["topic:S11"]
assert guest.vm.vmm.exits == {"IoExit": 1, "EptViolation": 1}

# %% [markdown] tags=["topic:S18"]
# ## Round 1. One bit a port
#
# **Claim: for each port there is one bit, and the bit alone decides.** There are 65,536 ports, so the bits fill two pages of memory: bitmap A and bitmap B. Here are five of their bytes, from the pages themselves. The lowest port is on the right.

# %%
from virtlab.show.bitmap_editor import WATCHED

show.bitmap_picture(guest.vm.io_bitmap, WATCHED, title="At first everything is shut")

# %% [markdown]
# A driver that prints needs two ports: it asks 0x3FD, and writes to 0x3F8. We open these two and no other.

# %% jupyter={"source_hidden": true}
show.Predict(
    "The byte of ports 0x3F8 to 0x3FF is 0xFF now. Which value opens 0x3F8 and 0x3FD alone?",
    answer=0xDE,
    why="0x3F8 is bit 0 and 0x3FD is bit 5. With both of them 0 the byte is 1101 1110, which is 0xDE.",
)

# %%
guest.vm.io_bitmap.a[0x3F8 // 8] = 0xDE      # the page that the processor reads
driver = UartDriver.at_ports(guest.cpu)
before = guest.exits
for byte in b"hello":
    driver.put(byte)

guest.exits - before, board.terminal.text

# %%
assert guest.exits == before
assert board.terminal.text == "hello"        # the physical one: nobody stood in between
guest.cpu.inp(0x3FF)                         # the scratch register was not opened
assert guest.exits == before + 1

# %% [markdown]
# An access can be wider than a port. Then the bits of all its bytes count: one of them is enough to exit (SDM 3C 26.1.3).

# %%
guest.vm.io_bitmap.open(0xCF8, 4)
guest.vm.io_bitmap.trap(0xCFA)               # three open, one shut
before = guest.exits
guest.cpu.out(0xCF8, 1 << 31, size=4)
assert guest.exits == before + 1

# %% [markdown] tags=["topic:S18"]
# ## Round 2. On or off
#
# Many lectures say it so: for a device that the VM shall have for itself, *the bitmap is ON*. For every other device it is OFF, and accesses are intercepted. A colleague follows that to the letter. The VM gets the UART, so its byte is ON. All the rest is OFF, to guard the host's keyboard and disk.

# %%
from virtlab.show.bitmap_run import exits_of, run
from virtlab.vmm.io_bitmap import IoBitmap

by_the_slide = IoBitmap()
by_the_slide.a[:], by_the_slide.b[:] = bytes(4096), bytes(4096)     # OFF
by_the_slide.a[0x3F8 // 8] = 0xFF                                   # ON for the UART

# %% jupyter={"source_hidden": true}
show.Predict(
    "At the host somebody types S, in the VM's window V. The guest reads port 0x60. What does it get?",
    answer="S, typed at the host",
    options=["V, from its virtual keyboard", "S, typed at the host", "0xff, the access is refused"],
    why="In VT-x a bit of 1 means exit. The colleague intercepted the UART and opened the other 65,528 ports.",
)

# %%
caught = run(by_the_slide)
show.run_picture(caught, "By the slide: the guest has the host's keyboard and disk")

# %%
assert caught.key == "S"                     # what somebody typed at the host
assert caught.exits == 4                     # only the UART was guarded

# %% [markdown]
# Nothing complained. The guest runs, and even prints. Both sentences describe the same machine: the slide's ON means *open*, and VT-x's 1 means *exit*. Write down which one you mean.
#
# | the port is | lecture | VT-x | what `IN` does |
# |---|---|---|---|
# | directly assigned | bitmap ON | bit 0 | reaches hardware, no exit |
# | intercepted | bitmap OFF | bit 1 | exits; the VMM forwards it |
#
# So the library has no `set`. It has `open` and `trap`.

# %%
meant = IoBitmap()                           # all ones
meant.open(0x3F8, 8)
seen = run(meant)
show.run_picture(seen, "As it was meant: the UART alone is open")

# %%
assert (seen.key, seen.physical) == ("V", "hi")
assert seen.exits == exits_of(range(0x3F8, 0x400)) == 5      # all accesses but the four of the UART

# %% [markdown] tags=["topic:S19"]
# ## Round 3. An entry a page
#
# Memory has no bitmap. It has translation. **Claim: where the entry is invalid the access comes to the VMM, and where it is present it goes to the device.** Before EPT the VMM owned the one table that the processor walks, the *shadow page table*. Here is the walk to the second UART, in a VM that nobody gave it to.

# %%
from virtlab.memory import PAGE

shadowed = machine.lesson_vm(board, paging="shadow")
show.page_walk(shadowed.vm.tables, machine.UART2)

# %% jupyter={"source_hidden": true}
show.Predict(
    "The driver prints `hello` through this UART, and asks before each character. How many exits?",
    answer=10,
    why="A load and a store for each of 5 characters, and each is a page fault: 2n, as with ports.",
)

# %%
driver = UartDriver.in_memory(shadowed.cpu, machine.UART2, machine.UART2_SHIFT)
with board.trace.recording() as events:
    for byte in b"hello":
        driver.put(byte)

show.trace_table(events, limit=6)

# %%
assert shadowed.vm.vmm.exits == {"ShadowFault": 10}
assert shadowed.terminal2.text == "hello"    # the virtual UART's

# %% [markdown]
# Reason 0 is "an exception", and the qualification is the address that faulted. The VMM looks the address up in its map of virtual devices. Now we give the device away: one entry, present.

# %%
shadowed.vm.assign_memory(machine.UART2, machine.UART2, PAGE)
before = shadowed.exits
driver.put(ord("!"))
assert shadowed.exits == before
assert board.terminal2.text == "!"           # the physical one
show.page_walk(shadowed.vm.tables, machine.UART2, write=True)

# %% [markdown]
# An entry stands for 4096 bytes. Whatever else has registers on that page is given away with it. Ports can be given one by one; memory only by the page.
#
# ## Round 4. The same with EPT
#
# With EPT the guest's own paging is left alone. A second table, which only the VMM writes, leads from guest-physical to host-physical. **Claim: an EPT violation says more than a page fault: what was tried, and what was allowed.** The exit qualification has a bit for each.

# %% jupyter={"source_hidden": true}
show.Predict(
    "A store to a page with no entry: bit 1 (it was a write), bit 7 (the linear address is known), bit 8 (the access itself failed). The qualification?",
    answer=0x182,
    why="0x002 + 0x080 + 0x100 = 0x182. Bits 5:3, what the entries allow, are 0: there is no entry.",
)

# %% tags=["topic:S26"]
nested = machine.lesson_vm(board)
driver = UartDriver.in_memory(nested.cpu, machine.UART2, machine.UART2_SHIFT)
with board.trace.recording() as events:
    driver.put(ord("?"))

show.trace_table(events)

# %%
violation = nested.vm.tables.translate(machine.UART2, 4, write=True, value=0x3F)
assert (violation.REASON, violation.qualification) == (48, 0x182)

# %% [markdown] tags=["topic:S26"]
# The way to a direct device is one entry again. **Claim: with EPT, I/O addresses of the host appear in the guest at no cost in software.** The processor translates, and the VMM sleeps.

# %% tags=["topic:S26"]
nested.vm.assign_memory(machine.UART2, machine.UART2, PAGE)
before = nested.exits
for byte in b"direct":
    driver.put(byte)

assert nested.exits == before
board.terminal2.text

# %% [markdown]
# ## Round 5. What the exit does not say
#
# A port exit names port, size and direction. A violation names an address and a direction. How many bytes? From which register? **Claim: the answer is in the guest's code, so the VMM must decode it.** Here are five bytes at the guest's EIP. EDI holds the UART's address.

# %%
from virtlab.vmm import emulate

guest.cpu.write(0x1000, bytes.fromhex("80 4f 10 02 f4"))
registers = emulate.Registers(general=(0, 0, 0, 0, 0, 0, 0, machine.UART2), eip=0x1000)
instruction = emulate.decode(guest.vm.ram.read(registers.eip, 5))
print(instruction, "·", instruction.length, "bytes")

# %% jupyter={"source_hidden": true}
show.Predict(
    "`or byte ptr [edi + 0x10], 2`. How many accesses must the VMM make on the virtual device?",
    answer=2,
    why="OR needs the old value: a load, then a store at the same address. The flags follow the result.",
)

# %% [markdown]
# Now do by hand what a VMM does: load, complete, store.

# %%
load, store = emulate.accesses(instruction, registers)
loaded = guest.vm.memory.read(load.linear, load.size)
registers, value = emulate.complete(instruction, registers, loaded)
guest.vm.memory.write(store.linear, store.size, value)
print(load, store, hex(value), hex(registers.eip), sep="\n")

# %%
assert guest.uart2.peek()["MCR"] == 2        # RTS, the bit that the guest set
assert registers.eip == 0x1004               # past the instruction

# %% [markdown]
# The guest's next instruction is at 0x1004, and the guest will never know. With `REP` the VMM does one repetition and leaves EIP where it is: a string of n bytes is n exits.
#
# ## The same code on a real processor
#
# So far our guests were written in Python. Here is one of machine code. It reads sector 1 of the disk by `REP INSW`, and prints its first words through the UART.

# %%
from virtlab.guest.small import ATA_PIO

show.listing(ATA_PIO.parts[0])

# %% [markdown]
# Three hosts can run it. *python* is an interpreter of ours. *unicorn* is QEMU's translator as a library. *kvm* is the processor in your machine, in guest mode: the VM's scattered frames become its memory, and an access that has none of them comes back to us. **Claim: the VMM cannot tell which one it was.** We run the guest wherever your machine can, and compare all events: each exit with its qualification, each access, each answer, each moment of virtual time.

# %%
from virtlab.hosts.real_code import HOSTS, hosts_here, watch

machines = {name: machine.lesson_vm() for name in hosts_here()}
seen = {name: watch(name, vm.vm, ATA_PIO) for name, vm in machines.items()}
assert all(events == seen["python"] for events in seen.values())
show.Note("This machine has: " + "; ".join(f"`{name}`, {HOSTS[name].what}" for name in seen))

# %%
exits = [event for event in seen["python"] if event.kind == "exit"]
assert sum("0x1f00039" in event.note for event in exits) == 256       # REP INSW from DATA, one exit a word
machines["python"].terminal.text, len(exits)

# %% [markdown]
# Bits of the qualification `0x1f00039`: the port 0x1F0, REP, a string, IN, two bytes. A driver in C, compiled for a PC, makes these exits.
#
# ## Play
#
# Turn bits. The guest runs anew under each bitmap: it reads a key, prints `hi`, asks PCI and the disk. First make it read the host's key. Then open the smallest set of ports under which nothing exits. Then open only half of the PCI ports, and find out why 0xCFC answers all ones.

# %%
show.BitmapEditor()

# %% [markdown]
# And turn bits of an EPT. Find an entry in which one bit makes a violation, and another a misconfiguration.

# %%
show.WalkLab(nested.vm.tables, [("the UART's page", machine.UART2), ("RAM", 0x1234), ("nothing", 0xF000_0000)])

# %% [markdown]
# ## Break it
#
# An entry that may be written and not read makes no sense. No guest can cause it; it is the VMM's mistake.

# %%
from virtlab.vmm.exits import WRITE

broken = machine.lesson_vm(board)
broken.vm.tables.map(machine.UART2, machine.UART2, PAGE, rights=WRITE)
with board.trace.recording() as events:
    broken.cpu.load(machine.UART2, 4)

show.page_walk(broken.vm.tables, machine.UART2)

# %%
assert broken.vm.vmm.exits == {"EptMisconfiguration": 1}
print(events[0].note, "·", broken.vm.tables.translate(machine.UART2, 4, write=False).why)

# %% [markdown]
# Reason 49, and no qualification. Our VMM emulates the access all the same, and that is less odd than it looks: KVM makes such entries on purpose.
#
# An access can lie across two pages. We take one page of RAM away, and load four bytes of which two are on it.

# %% jupyter={"source_hidden": true}
show.Predict(
    "Page 0x5000 has no entry, page 0x4000 has one. A load of 4 bytes at 0x4FFE: how many exits?",
    answer=1,
    why="The two halves are translated by themselves. The first goes through, the second exits.",
)

# %%
broken.cpu.store(0x4FFE, 0x44332211)
broken.vm.withdraw_memory(0x5000, PAGE)
before = broken.exits
assert broken.cpu.load(0x4FFE) == 0x44332211
assert broken.exits == before + 1

# %% [markdown]
# And there are instructions that no emulator of a VMM knows. It must say so. Ours does; a real one stops the VM with "emulation failure".

# %%
emulate.decode(bytes.fromhex("0f 7f 07"))    # movq [edi], mm0

# %% [markdown]
# ## Measure it
#
# Ten characters, polled. Intercepted: an exit for each access, 2n. Direct: none. The way of interception does not matter; the door does not matter either.

# %%
from virtlab.show.interception import WAYS, paging_exits, text_exits

n = 10
measured = {way: text_exits(way, b"x" * n) for way in WAYS}
formula = {way: 0 if way.endswith(("bit 0", "present")) else 2 * n for way in WAYS}
show.bars(f"Exits for {n} characters", measured, "exits", expected=formula)

# %%
assert measured == formula

# %% [markdown] tags=["topic:S19", "topic:S26"]
# So what is EPT for? So far our guests had their paging off. A real guest has page tables of its own. A shadow must be kept in step with them, and that costs exits which have nothing to do with devices: one for `MOV CR3`, one for each page used first, one for each write into a table.

# %%
pages = 8
shadow, ept = paging_exits("shadow", pages), paging_exits("ept", pages)
expected = dict(zip(shadow, [1, pages, 0, 1 + 1, 2 * 5], strict=True))
show.bars(f"A guest with its own tables, under a shadow: {sum(shadow.values())} exits", shadow, "exits", expected=expected)

# %%
assert shadow == expected
assert list(ept.values()) == [0, 0, 0, 0, 2 * 5]

# %% [markdown]
# Under EPT the same guest exits for its device alone. The price moved into the walk: each of the guest's four entries is itself found through EPT. That is 24 reads of memory in place of 4, until the *TLB*, the processor's memory of translations, has the page.

# %%
from virtlab.vmm.nested_paging import references

assert references(guest_levels=4) == (4 + 1) * (4 + 1) - 1 == 24

# %% [markdown]
# ## How real systems do it
#
# Linux KVM has no port bitmap to speak of: all ports exit. Until 2017 it opened one, 0x80, which PCs use for short delays. A guest that flooded it could bring some hosts down (CVE-2017-1000407), and it was shut. AMD's SVM has a bitmap of the same polarity in three pages, so does the task state segment since the 80386: 1 refuses. For MMIO KVM writes entries that are misconfigured on purpose, as that exit is sorted faster than a violation, and decodes the instruction in `arch/x86/kvm/emulate.c`, a file of thousands of lines. QEMU's TCG needs no exit at all: it translates the guest's code, and calls the device from there. Our model has no TLB, so a changed entry counts at once; real VMMs must invalidate (`INVEPT`, `INVLPG`). On a real processor an `OR` is one exit, in which the VMM makes both accesses; a guest in Python exits once for each.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "In VT-x the bit of port 0x60 is 1. The guest executes `IN AL, 0x60`. What happens?",
        ("It exits to the VMM", "The VMM decides what the guest reads. 1 means exit. A lecture that says \"bitmap ON\" for open ports would call this OFF."),
        ("It reads the host's keyboard", "That would be a bit of 0."),
        ("It gets an exception, #GP", "That is the task's bitmap in the TSS, inside the guest. The VMM's bitmap makes an exit."),
        place=1,
    ),
    show.question(
        "A VM shall have one device with 32 bytes of registers in memory. What does the VMM give away?",
        ("A whole page of 4096 bytes", "Translation knows no smaller piece. Other devices must not be on it."),
        ("Exactly 32 bytes", "Ports can be given one by one, memory cannot."),
        ("The guest's own page table", "The guest keeps that. What decides is the VMM's table below it."),
    ),
    show.question(
        "Why must the VMM decode the guest's instruction after an EPT violation?",
        ("The exit does not say how many bytes, nor which register", "For a port the qualification has the size. For memory only the code tells."),
        ("To find out which address was meant", "The exit has the guest-physical address."),
        ("To find out whether it was a write", "Bits 0 to 2 of the qualification say that."),
        place=2,
    ),
    show.question(
        "A guest with its own page tables writes into one of them. How many exits under EPT?",
        ("None", "The guest's tables are ordinary RAM to the VMM. Under a shadow it would be one."),
        ("One, the table is write-protected", "That is what shadow paging must do, to notice the change."),
        ("24", "That is how many reads a walk of both takes. None of them is an exit."),
    ),
])

# %% [markdown]
# ## Take away
#
# A bit for each port and an entry for each page decide who sees an access: the VMM or the device. In VT-x a 1 in the bitmap exits, whatever a slide calls it. Direct access costs no exit, intercepted access costs one for each access, and keeping a shadow in step costs exits of its own, which EPT does away with.
#
# **New terms**: [direct assignment](../docs/glossary.md#direct-assignment-assigned-device), [EPT](../docs/glossary.md#ept), [EPT misconfiguration](../docs/glossary.md#ept-misconfiguration), [EPT violation](../docs/glossary.md#ept-violation), [exit qualification](../docs/glossary.md#exit-qualification), [instruction emulation](../docs/glossary.md#instruction-emulation), [nested walk](../docs/glossary.md#nested-walk), [shadow page table](../docs/glossary.md#shadow-page-table), [TLB](../docs/glossary.md#tlb), [write protection](../docs/glossary.md#write-protection-of-a-table).
#
# **Read the code**, in this order: [virtlab/vmm/io_bitmap.py](../virtlab/vmm/io_bitmap.py) (two pages and a loop), [virtlab/vmm/ept.py](../virtlab/vmm/ept.py) (what an entry allows), [virtlab/vmm/emulate.py](../virtlab/vmm/emulate.py) (an instruction finished in one function).
#
# **Exercise**: problem set 3, [task 4, *which ports exit*](../exercises/ps03/ps03.ipynb#4.-Which-ports-exit), [task 5, *an extended page table*](../exercises/ps03/ps03.ipynb#5.-An-extended-page-table) and [task 6, *do what the instruction would*](../exercises/ps03/ps03.ipynb#6.-Do-what-the-instruction-would).
#
# **Next**: [lesson 10, DMA remapping](10_dma_remapping.ipynb). The guest has a device now, and the device makes accesses of its own. Who sees those?

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("09")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is round 2. Let the room vote before you run it, and do not hint: most say V. Then ask who could have noticed, and what a test of the bitmap would have to assert. If you have ten minutes less, leave out round 5 or the second half of "Break it". Question for the room: why did VT-x choose 1 for exit? (We know no document that says so. But a page of ones is a safe start, and a page of zeros gives everything away.) When the walk lab is on the screen, ask for a bit in an entry that changes nothing.
#
# </details>
