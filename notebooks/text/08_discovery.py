# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How does a guest find its devices?
#
# After this lesson you can
#
# - **say** which number a VMM must have ready at which port, so that a guest believes in a device;
# - **explain** why a table of bytes is not a bus;
# - **write** the driver of a device that never existed.
#
# *35 minutes. Builds on lessons 01, 04 and 07. Topics S15, S16 and S17. It stands for the lecture's slides on device discovery.*

# %% [markdown] tags=["topic:S15"]
# ## The picture
#
# A guest starts. Nobody has told it anything. It goes to seven places that every PC programmer knows by heart, and asks at each: is anybody here?

# %%
from virtlab import machine, show
from virtlab.guest.probe import probe

guest = machine.lesson_vm()
looks = probe(guest.cpu)
show.looks_picture(looks)

# %% [markdown]
# Each row is one look. The first column is the port, or the address of the text screen. The evidence is what the guest read there. A cross means: nothing answered as this device would.
#
# Nothing in these rows says *whose* devices they are. They are virtual, made by the VMM. The guest believed all of them, because the numbers were right.
#
# ## Round 1. Nobody is there
#
# **Claim: what is not there is found out by a single read.** An empty bus answers all ones. We take a virtual machine that has memory and nothing else.

# %%
from virtlab.vmm.virtual_machine import VirtualMachine

host = machine.lesson_pc()
empty = VirtualMachine(host, host.frames, ram=16 * 4096)

# %% jupyter={"source_hidden": true}
show.Predict(
    "The guest looks for the keyboard controller. Its first question is the status at port 0x64. How many accesses in all, if nobody is there?",
    answer=1,
    why="The status reads 0xff. A real controller never shows that: so the guest asks nothing else.",
)

# %%
with host.trace.recording() as events:
    [look] = probe(empty.cpu, ("keyboard controller",))
print(look.evidence)
show.trace_table(events)

# %%
assert look.accesses == empty.vmm.exits.total() == 1
assert not any(each.found for each in probe(empty.cpu))

# %% [markdown]
# The guest exited, the VMM had nothing at that port, and so the virtual bus answered `0xff`. That is already a service of the VMM: on a PC, an empty place must read as all ones.
#
# ## Round 2. Numbers that stand ready
#
# **Claim: the VMM presets the status, and the guest believes in a device.** These devices cannot be enumerated. The guest has hard-coded numbers: port 0x64 is the status, port 0x60 the data. So the VMM puts a number there that a working controller would show. `0x1c` means: tested, not locked, nothing to read.

# %%
from virtlab.vmm.preset import Preset

empty.ports.map(0x64, 1, Preset({0: 0x1C}), "preset status")
[look] = probe(empty.cpu, ("keyboard controller",))
look.evidence

# %% [markdown]
# Now the guest goes on. It sends the command for the self-test, and polls the status until the answer is there. It never comes. After 2,000 polls the guest gives up: *does not answer* is another finding than *nobody there*.
#
# One more number, then: the status says *full*, and the data port has `0x55`, the answer of a controller that passed its test.

# %%
pretender = VirtualMachine(host, host.frames, ram=16 * 4096)
pretender.ports.map(0x64, 1, Preset({0: 0x1D}), "preset status")
pretender.ports.map(0x60, 1, Preset({0: 0x55}), "preset data")
[look] = probe(pretender.cpu, ("keyboard controller",))
look.evidence

# %%
assert look.found
assert look.evidence.endswith("plugged in: nothing")

# %% [markdown]
# Two preset numbers, and the guest has found a controller. It has found no keyboard behind it. The next question, the test of the keyboard's plug, wants the answer `0x00`, and the number that stands there is `0x55`.
#
# **So this is the border.** As long as an answer does not depend on what was asked, a number does. Then the VMM needs a *model*: a device with a state. Try the four steps.

# %%
show.PresetLab()

# %% [markdown] tags=["topic:S16"]
# ## Round 3. A bus is a behaviour
#
# PCI devices are *enumerable*: there is a method to find them, and [lesson 04](04_pci.ipynb) walked it. The guest knows two ports, 0xCF8 and 0xCFC, and asks every place on every bus.
#
# So let the VMM preset these numbers as well. We take a photograph: the bytes of every function's configuration space, as firmware left them. **Claim: all functions are found, and nearly everything else is wrong.**

# %%
from virtlab.guest.pci import PortAccess, Scan
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.pci.access import CONFIG_PORTS, ConfigPorts
from virtlab.pci.dump import dumped
from virtlab.vmm.preset import Photograph

true = enumerate_pci(guest.cpu)
photograph = Photograph([dumped(function) for function in guest.cards.root.bus.walk()])

viewer = VirtualMachine(host, host.frames, ram=16 * 4096)
_ = viewer.ports.map(CONFIG_PORTS, 8, ConfigPorts(photograph), "photograph", width=4)

# %% jupyter={"source_hidden": true}
show.Predict(
    "The bytes are those of the real bus, all of them true. Of the 8 BARs, how many sizes will the guest find right?",
    answer=1,
    why="Sizing is a question: write all ones, read back. The photograph gives the old address instead. One BAR happens to lie at a multiple of its size and of no larger power of two.",
)

# %%
found = Scan(PortAccess(viewer.cpu)).run()
show.sizes_picture(found, true, "A photograph of the bus")

# %%
seen, there = ([each for top in functions for each in top.walk()] for functions in (found, true))
assert [each.device for each in seen] == [each.device for each in there]       # the functions are right
alignments = {bar.address & -bar.address for each in there for bar in each.bars}
assert {bar.size for each in seen for bar in each.bars} == alignments          # the sizes are something else

# %% [markdown]
# The wrong sizes are not random. Each is the alignment of the address at which the card happened to be: that is what the guest's arithmetic makes of an address where it expected a mask.
#
# Could the VMM keep what is written, as memory does? Choose it in the list: then everything is a tiny port. What is missing is a rule: *these bits can be written, those cannot*. The emulated bus has that rule for each register. It answers all ones where no function is. It lets a region move when its BAR is written. It passes a request over a bridge only when the bridge's numbers say so. To virtualize an enumerable device, the VMM emulates the device **and the behaviour of its bus**.

# %%
show.BusLab()

# %% [markdown] tags=["topic:S17"]
# ## Round 4. A device that never existed
#
# A VMM is free. It can offer a device that no factory ever made, because it is *better to virtualize*. Such a device can be found in both ways: at a port that one has to know, or by enumeration.
#
# The first one is old: the *debug console* of the emulator Bochs, which QEMU has too. It has one port, 0xE9. A write prints a character. A read gives `0xE9`, so that a guest can see that it is there. **Claim: an invented device can be cheaper than any that was built.**

# %%
from virtlab.devices.debugcon import DebugConsole
from virtlab.guest.invented import DebugConsoleDriver
from virtlab.guest.uart import UartDriver

guest.vm.ports.map(0xE9, 1, DebugConsole(guest.terminal), "debug console")
text = b"Hello, VMM!"

# %% jupyter={"source_hidden": true}
show.Predict(
    "The UART's driver asks before each character. For 11 characters it exits 22 times. How often does the driver of the debug console exit?",
    answer=11,
    why="There is no line that could be busy, so there is nothing to ask.",
)

# %%
counts = {}
for name, driver in (("UART", UartDriver.at_ports(guest.cpu)), ("debug console", DebugConsoleDriver.find(guest.cpu))):
    before = guest.exits
    for letter in text:
        driver.write(bytes([letter]))
    counts[name] = guest.exits - before

show.bars(f"Exits for {len(text)} characters", counts, "exits",
          expected={"UART": 2 * len(text), "debug console": len(text)})

# %%
assert counts == {"UART": 2 * len(text), "debug console": len(text)}

# %% [markdown]
# Half the exits, because the interface was made for a VMM. Remember this thought: [lesson 12](12_why_virtio.ipynb) takes it to its end, with one exit for all requests that are ready.
#
# The second one is younger, and enumerable: *pvpanic*. A kernel that crashes tells its VMM. No hardware would care, so none ever had such a register. It is a PCI function, `1b36:0011`. The VMM plugs it in.

# %%
from virtlab.devices.pvpanic import PvPanicFunction

heard = []
guest.cards.root.bus.plug(PvPanicFunction(on_event=heard.append), 0x06)
functions = enumerate_pci(guest.cpu)
[(str(each.place), f"{each.vendor:04x}:{each.device:04x}") for each in functions if each.place.device == 6]

# %% [markdown]
# The old kernel *finds* it: bus, place, a BAR of its own. It sees a function of class 0x0880, "other system peripheral", and has no driver for it. It is found, and useless. That is the price of a device that never existed: **the guest needs a new driver.** Here it is, and the VMM listens.

# %%
from virtlab.guest.invented import PvPanicDriver

driver = PvPanicDriver.on_pci(guest.cpu, functions)
driver.panic(), heard

# %%
assert heard == [1]                                       # bit 0: PANICKED

# %% [markdown]
# The same two drivers run on QEMU, against QEMU's own devices, unchanged. Our tests do so each time: QEMU prints the text, and stops as `guest-panicked`.
#
# ## Break it
#
# A guest that believes in preset numbers can be misled, and so can one that probes by writing. The look for the interrupt controller writes a mask, reads it back, and restores it. What if another device is at that port?

# %%
from virtlab.devices.text_screen import TextScreen

strange = VirtualMachine(host, host.frames, ram=16 * 4096)
strange.ports.map(0x20, 2, TextScreen(), "not a PIC")
[look] = probe(strange.cpu, ("interrupt controllers",))
look

# %% [markdown]
# The guest is sure, and wrong: anything that keeps a byte passes this test. On the PCs of 1990 a probe could stop a network card that used the same port. This is why buses with enumeration were invented, and why a VMM should leave no half-believable device at a known place.
#
# ## Measure it
#
# What does looking around cost? On our virtual machine each access exits, so it can be counted exactly.

# %%
fresh = machine.lesson_vm()
cost = {look.what: look.accesses for look in probe(fresh.cpu)}
before = fresh.exits
enumerate_pci(fresh.cpu)
cost["PCI enumeration"] = fresh.exits - before
show.bars("Exits to discover what there is", cost, "exits")

# %%
assert sum(cost.values()) == fresh.exits
assert cost["real-time clock"] == 2                        # one OUT for the index, one IN

# %% [markdown]
# At 230 ns an exit ([lesson 00](00_tour.ipynb)) all of it is under a millisecond. A VMM for tiny machines that must start in milliseconds leaves the buses out: Firecracker has no PCI by default, and tells the guest on the kernel's command line where its devices are.
#
# ## How real systems do it
#
# QEMU's `pc` machine has every device of this lesson's first picture, for guests that know them by heart. Linux's drivers make the same looks: the serial driver compares scratch registers, the 8259A driver writes a mask and reads it back. Today ACPI tables name most of what cannot be enumerated, and a VMM writes those tables; a guest that trusts them probes less. QEMU's `microvm` and Firecracker describe devices on the kernel's command line or in a device tree. Hyper-V invented a bus of its own, VMBus, and Xen has XenBus: non-existent devices on a non-existent bus, each with drivers that had to be written for Linux. Our model leaves out hot plug: real guests are told of devices that come and go.
#
# ## Quiz

# %% jupyter={"source_hidden": true}
show.Quiz([
    show.question(
        "A guest reads the status at port 0x64 and gets 0xff. What does it conclude?",
        ("There is no controller", "All ones is what an empty bus gives, and no working controller shows it."),
        ("The controller is busy", "Busy is bit 1 alone, with the others at their usual values."),
        ("The keyboard is locked, so all its bits are set", "A locked keyboard shows in bit 4 alone."),
    ),
    show.question(
        "A VMM copies a real machine's configuration space byte for byte. What fails first?",
        ("Sizing the BARs", "It needs registers that answer a write of all ones with a mask."),
        ("Finding the functions", "Their numbers are right, so they are all found."),
        ("Reading the class codes", "They are constant, so a copy is as good as the register."),
        place=1,
    ),
    show.question(
        "Why does a guest need a new driver for a non-existent device?",
        ("No driver claims its numbers yet", "The function is found like any other. But nobody could have written its driver before it was invented."),
        ("It cannot be found by enumeration", "It may well be: pvpanic is a PCI function."),
        ("It has no registers to be driven by", "It has one, and the driver must know what it means."),
        place=2,
    ),
    show.question(
        "Which of these can be virtualized by preset numbers alone?",
        ("A register that always reads as the same identification", "No answer depends on a question."),
        ("The self-test of the 8042, and then its keyboard", "The second answer must differ from the first."),
        ("A BAR", "What it reads depends on what was written."),
        place=0,
    ),
])

# %% [markdown]
# ## Take away
#
# What cannot be enumerated has a place that the guest knows by heart, and the VMM must have the right number ready there. What can be enumerated is found by a method, and the VMM emulates that method with its rules. What never existed is found by either way, and is useless until somebody writes its driver.
#
# **New terms**: [debug console](../docs/glossary.md#debug-console), [invented device](../docs/glossary.md#invented-device), [photograph](../docs/glossary.md#photograph-of-a-bus), [preset](../docs/glossary.md#preset), [probe](../docs/glossary.md#probe).
#
# **Read the code**, in this order: [virtlab/guest/probe.py](../virtlab/guest/probe.py) (seven looks), [virtlab/vmm/preset.py](../virtlab/vmm/preset.py) (how little it takes, and where it ends), [virtlab/devices/pvpanic.py](../virtlab/devices/pvpanic.py) (a device in one register).
#
# **Exercise**: problem set 3, [task 3, *a machine to be found*](../exercises/ps03/ps03.ipynb#3.-A-machine-to-be-found).
#
# **Next**: [lesson 09, interception](09_interception.ipynb). How does the VMM get to see an access at all?

# %% jupyter={"source_hidden": true} tags=["progress"]
from virtlab.course.progress import lesson_ends

lesson_ends("08")

# %% [markdown] tags=["instructor"]
# <details><summary>For the instructor</summary>
#
# The demo that surprises is the photograph: every byte is true, and seven sizes of eight are wrong. Let the room explain the 1 GiB before you show the text below it. If time is short, leave out "Measure it". Question for the room: which of the devices in the first picture would you leave out of a virtual machine for the cloud, and who would complain?
#
# </details>
