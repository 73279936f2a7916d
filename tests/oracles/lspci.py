"""What `lspci` says, read from its text: facts to compare a decoder with.

`blocks(run(path, "-n", "-vvv"))` gives a `Said` for each function, and `said_by_us` makes the same
of what `virtlab inspect pci --json` prints. `differences` compares the two.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field, replace
from typing import NamedTuple

NO_DRIVERS = "lspci: Unable to load libkmod resources"
"""A complaint about the machine, not about the dump."""

OFF = ("<unassigned>", "<ignored>", "<broken-64-bit-slot>")
"""What stands for an address that is not there."""


@dataclass
class Said:
    """One function: numbers, and the capabilities by the words that `lspci` begins them with."""

    identity: tuple[int, int, int, int] = (0, 0, 0, 0)
    subsystem: tuple[int, int] | None = None
    regions: dict[int, tuple] = field(default_factory=dict)
    rom: tuple[int, bool] | None = None
    capabilities: list[tuple[int, str]] = field(default_factory=list)
    extended: list[tuple[int, int, str]] = field(default_factory=list)
    buses: tuple[int, int, int] | None = None
    windows: list[tuple] = field(default_factory=list)
    vfs: dict[str, int] | None = None
    vf_regions: dict[int, tuple] = field(default_factory=dict)


def run(path, *options: str) -> str:
    """The output of `lspci -F path`. It must have nothing to complain about."""
    done = subprocess.run(
        ["lspci", "-F", str(path), *options], capture_output=True, text=True, timeout=60
    )
    complaints = [line for line in done.stderr.splitlines() if not line.startswith(NO_DRIVERS)]
    assert (done.returncode, complaints) == (0, [])
    return done.stdout


def blocks(text: str) -> dict[str, Said]:
    """The functions of `lspci -vvv`, by where they are."""
    said: dict[str, Said] = {}
    for line in text.splitlines():
        if match := re.match(r"(\S+\.[0-7]) ", line):
            said[match[1]] = current = Said()
        elif line.strip():
            _fact(current, line)
    numbers = identities(text)
    return {
        place: replace(_settled(each), identity=numbers.get(place, (0, 0, 0, 0)))
        for place, each in said.items()
    }


def identities(text: str) -> dict[str, tuple[int, int, int, int]]:
    """Vendor, device, class and revision, from the titles that `lspci` with -n or -nn prints."""
    title = r"(\S+\.[0-7]) (?:.*\[)?(\w{4})\]?: (?:.*\[)?(\w{4}):(\w{4})\]?(?: \(rev (..)\))?"
    found = {}
    for match in filter(None, (re.match(title, line) for line in text.splitlines())):
        kind, vendor, device, revision = (_hex(part or "0") for part in match.groups()[1:])
        found[match[1]] = (vendor, device, kind, revision)
    return found


def _settled(said: Said) -> Said:
    """Without the upper halves of 64-bit BARs, each of which `lspci -F` prints as a region."""
    for index, region in list(said.regions.items()):
        if said.regions.get(index - 1, ("", 0, False, 0, False))[3] == 64:
            assert region[1] == 0
            del said.regions[index]
    return said


def _hex(digits: str) -> int:
    return 0 if digits in OFF else int(digits, 16)


def _fact(said: Said, line: str) -> None:
    on = "[disabled" not in line
    if match := re.match(r"\tRegion (\d): Memory at (\S+) \(([^,]+), (non-)?prefe", line):
        width = 64 if match[3] == "64-bit" else 32
        said.regions[int(match[1])] = ("memory", _hex(match[2]), not match[4], width, on)
    elif match := re.match(r"\tRegion (\d): I/O ports at (\S+)", line):
        said.regions[int(match[1])] = ("io", _hex(match[2]), False, 32, on)
    elif match := re.match(r"\tExpansion ROM at (\S+)", line):
        said.rom = (_hex(match[1]), on)
    elif match := re.match(r"\tSubsystem: (....):(....)", line):
        said.subsystem = (_hex(match[1]), _hex(match[2]))
    elif match := re.match(r"\tBus: primary=(..), secondary=(..), subordinate=(..)", line):
        said.buses = (_hex(match[1]), _hex(match[2]), _hex(match[3]))
    elif match := re.match(r"\t(.*)(?: behind bridge| window \d): (\w+)-(\w+)", line):
        base, limit = _hex(match[2]), _hex(match[3])
        said.windows.append((match[1], base, limit))
    elif match := re.match(r"\tCapabilities: \[(\w\w)\] (.*)", line):
        said.capabilities.append((_hex(match[1]), match[2]))
    elif match := re.match(r"\tCapabilities: \[(\w{3}) v(\d+)\] (.*)", line):
        said.extended.append((_hex(match[1]), int(match[2]), match[3]))
    else:
        _virtual(said, line)


def _virtual(said: Said, line: str) -> None:
    """The lines below an SR-IOV capability."""
    if match := re.match(r"\t\tIOVCtl:\tEnable(.)", line):
        said.vfs = {"vf_enable": match[1] == "+"}
    elif match := re.match(r"\t\tInitial VFs: (\d+), Total VFs: (\d+), Number of VFs: (\d+)", line):
        names = ("initial_vfs", "total_vfs", "num_vfs")
        said.vfs |= dict(zip(names, map(int, match.groups()), strict=True))
    elif match := re.match(r"\t\tVF offset: (\d+), stride: (\d+), Device ID: (\w+)", line):
        said.vfs |= {"first_vf_offset": int(match[1]), "vf_stride": int(match[2])}
        said.vfs["vf_device"] = _hex(match[3])
    elif match := re.match(r"\t\tRegion (\d): Memory at (\w+) \((\d+)-bit, (non-)?pre", line):
        said.vf_regions[int(match[1])] = (_hex(match[2]), not match[4], int(match[3]))


# -- the same of what we say

WINDOWS = {
    1: {"io": "I/O", "memory": "Memory", "prefetchable": "Prefetchable memory"},
    2: {"io": "I/O", "memory": "Memory"},
}
"""What `lspci` calls the windows of a bridge, by header type."""


def said_by_us(data: dict) -> Said:
    """A function of `virtlab inspect pci --json` in the same words."""
    said = Said((data["vendor"], data["device"], data["class"], data["revision"]))
    if data["subsystem"]:
        said.subsystem = (data["subsystem"]["vendor"], data["subsystem"]["device"])
    for bar in data["bars"]:
        facts = (bar["kind"], bar["address"], bar["prefetchable"], bar["width"], bar["enabled"])
        said.regions[bar["index"]] = facts
    if data["rom"]:
        said.rom = (data["rom"]["address"], data["rom"]["enabled"])
    said.capabilities = [(each["offset"], each["name"]) for each in data["capabilities"]]
    said.extended = [
        (each["offset"], each["version"], each["name"]) for each in data["extended_capabilities"]
    ]
    if bridge := data["bridge"]:
        said.buses = (bridge["primary"], bridge["secondary"], bridge["subordinate"])
        words = WINDOWS[data["header_type"]]
        said.windows = [
            (words[each["kind"]], each["base"], each["limit"]) for each in bridge["windows"]
        ]
    if sriov := data["sriov"]:
        said.vfs = {name: value for name, value in sriov.items() if name != "bars"}
        said.vf_regions = {
            bar["index"]: (bar["address"], bar["prefetchable"], bar["width"])
            for bar in sriov["bars"]
        }
    return said


def differences(theirs: Said, ours: Said) -> dict[str, tuple]:
    """The facts in which the two differ."""
    found = {}
    for name in vars(theirs):
        one, two = getattr(theirs, name), getattr(ours, name)
        same = one == two
        if name in ("capabilities", "extended"):
            same = [each[:-1] for each in one] == [each[:-1] for each in two] and all(
                named(word[-1], text[-1]) for text, word in zip(one, two, strict=True)
            )
        if not same:
            found[name] = (one, two)
    return found


def named(name: str, text: str) -> bool:
    """Whether a capability's text begins with this name, or `lspci` has no name for it.

    An id that only newer versions know is `Extended Capability ID 0x2a` in older ones.
    """
    if re.match(r"(Extended )?Capability ID 0x", text):
        return True
    return re.match(re.escape(name) + r"(?![\w-])", text) is not None


# -- the tree


class Seen(NamedTuple):
    """A line of `tree_text`: a function, the buses behind it, the functions on those."""

    place: str
    ids: str
    behind: str | None
    below: list


def seen(text: str) -> list[tuple[str, list[Seen]]]:
    """The roots of a `tree_text`: a bus, and what is on it."""
    roots: list = []
    path: list[list[Seen]] = []
    for line in text.splitlines():
        if match := re.fullmatch(r"bus (?:(\w+):)?(\w\w)", line):
            roots.append((f"{match[1] or '0000'}:{match[2]}", []))
            path = [roots[-1][1]]
            continue
        match = re.fullmatch(r"((?:   |\|  )*)(?:\+-|`-) (\S+) .*?\[(....:....)\](.*)", line)
        behind = re.search(r", to (?:bus|buses) (\S+)$|, to (no bus yet)$", match[4])
        bus = None if behind is None else behind[1] or "00"
        del path[len(match[1]) // 3 + 1 :]
        path[-1].append(Seen(match[2], match[3], bus, []))
        path.append(path[-1][-1].below)
    return roots


def drawn(roots: list[tuple[str, list[Seen]]]) -> str:
    """The same as `lspci -t -v -n` draws it, `unforked`."""
    lines = [
        line
        for bus, functions in roots
        for line in _hung(f"-[{bus}]-", _fork([_branch(each) for each in functions]))
    ]
    return "".join(f"{line}\n" for line in lines)


def unforked(text: str) -> str:
    """A drawing of `lspci -t` without the line that joins several roots in older versions."""
    lines, joined = [], False
    for line in text.splitlines():
        joined = line.startswith("-+-[") or (joined and line.startswith(" "))
        root = re.match(r".[+\\]-\[", line)
        lines.append(("-" if root else line[0]) + line[3:] if joined else line)
    return "".join(f"{line}\n" for line in lines)


def _branch(function: Seen) -> list[str]:
    *domain, _, place = function.place.split(":")
    if function.behind is None:
        return [f"{place}  {function.ids}"]
    buses: dict[str, list[list[str]]] = {}
    for each in function.below:
        buses.setdefault(each.place.split(":")[-2], []).append(_branch(each))
    first = function.behind[:2]
    if set(buses) <= {first}:
        return _hung(f"{place}-[{function.behind}]--", _fork(buses.get(first, [])))
    label = domain[0] if domain else "0000"
    every = {first: [], **buses}
    forks = [_hung(f"[{label}:{bus}]-", _fork(every[bus])) for bus in sorted(every, reverse=True)]
    return _hung(f"{place}-[{function.behind}]--", _fork(forks))


def _hung(head: str, body: list[str]) -> list[str]:
    """`body` behind `head`."""
    return [head + body[0], *(" " * len(head) + line for line in body[1:])]


def _fork(blocks: list[list[str]]) -> list[str]:
    """One block under the other, with a line that joins them."""
    if len(blocks) < 2:
        return _hung("--", blocks[0]) if blocks else [""]
    lines = []
    for block in blocks:
        last = block is blocks[-1]
        lines += [("\\-" if last else "+-") + block[0]]
        lines += [("  " if last else "| ") + line for line in block[1:]]
    return lines
