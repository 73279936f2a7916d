"""The layers of the library: who may import whom, read from the import lines.

`virtlab.show.layers` has the list, lowest group first. A module imports from groups below its own,
from its own package, and, among the single modules of one group, from those that stand before it.
Packages of one group do not import each other, devices do not import devices, and the core needs
nothing that is compiled beyond NumPy.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from virtlab.show import layers

ROOT = Path(__file__).parent.parent
LIBRARY = ROOT / "virtlab"

LAYERS = [list(layer.members) for layer in layers.LAYERS]
"""Groups from the ground up. A name that ends in a slash is a package, the others are modules."""

ONE_BY_ONE = {"devices"}
"""Packages whose modules do not import each other: each device is a package or a module."""

ANYWHERE = {"virtlab", "virtlab.data"}
"""The package itself, which holds no code, and its data files."""

HEAVY = {"numba", "unicorn", "capstone", "cffi", "Cython"}
"""Compiled things that only the hosts for real code may ask for, and only when they are used."""

SLOW = {"nbformat", "matplotlib", "ipywidgets", "jupyter", "jupyter_core", "IPython", "traitlets"}


def place(module: str) -> tuple[int, int, str] | None:
    """Group, position in it, and package (or module) of `virtlab.x.y`; None if it has no layer."""
    parts = module.split(".")
    if len(parts) < 2:
        return None
    for group, members in enumerate(LAYERS):
        for position, member in enumerate(members):
            if member.rstrip("/") == parts[1]:
                return group, position, parts[1]
    return None


def complaint(module: str, imported: str) -> str:
    """Why `module` may not import `imported`; empty if it may."""
    if imported in ANYWHERE:
        return ""
    mine, theirs = place(module), place(imported)
    if mine is None:
        return f"{module} stands in no layer: add it to LAYERS"
    if theirs is None:
        return f"{module} imports {imported}, which stands in no layer"
    if mine[2] == theirs[2]:
        return one_by_one(module, imported)
    if mine[0] < theirs[0]:
        return f"{module} imports {imported}, which stands above it"
    if mine[0] == theirs[0]:
        packages = {name.rstrip("/") for name in LAYERS[mine[0]] if name.endswith("/")}
        if {mine[2], theirs[2]} & packages:
            return f"{module} imports {imported}, a package of its own group"
        if mine[1] < theirs[1]:
            return f"{module} imports {imported}, which stands after it in its group"
    return ""


def one_by_one(module: str, imported: str) -> str:
    """Inside one package: a device may import itself and what its package has, no other device."""
    here, there = module.split("."), imported.split(".")
    if here[1] not in ONE_BY_ONE or len(there) < 3 or len(here) < 3 or here[2] == there[2]:
        return ""
    return f"{module} imports {imported}: one device another"


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_of(path: Path, root: Path) -> str:
    """`virtlab.devices.uart` for its file."""
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(tree: ast.AST, modules: set[str]) -> list[str]:
    """Every module that a file imports, at its top or inside a function."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                found.append("a relative import")
                continue
            for name in node.names:
                inside = f"{node.module}.{name.name}"
                whole = node.module == "virtlab" and not name.name.startswith("_")
                found.append(inside if inside in modules or whole else str(node.module))
    return found


def violations(root: Path) -> list[str]:
    """Every import under `root`, a folder named virtlab, that the layers forbid."""
    files = sorted(root.rglob("*.py"))
    modules = {module_of(path, root) for path in files}
    found = []
    for path in files:
        module = module_of(path, root)
        core = not module.startswith(("virtlab.hosts", "virtlab.show", "virtlab.course"))
        for name in imports(tree_of(path), modules):
            if name == "a relative import":
                found.append(f"{module} has a relative import")
            elif name.split(".")[0] == "virtlab":
                if module != "virtlab":
                    found.append(complaint(module, name))
            elif core and name.split(".")[0] in HEAVY | SLOW:
                found.append(f"{module} imports {name}: the core does without")
    return [text for text in found if text]


def test_every_import_points_down():
    assert violations(LIBRARY) == []


def test_every_module_has_its_layer():
    modules = [module_of(path, LIBRARY) for path in LIBRARY.rglob("*.py")]
    homeless = [name for name in modules if name not in ANYWHERE and place(name) is None]
    assert homeless == []


@pytest.mark.parametrize(
    ("file", "line", "says"),
    [
        ("wire.py", "from virtlab.trace import Trace", "stands after it in its group"),
        ("wire.py", "from virtlab import bus", "stands above it"),
        ("memory.py", "import virtlab.interrupts", "stands after it in its group"),
        ("bus.py", "from virtlab.vmm.ept import Ept", "stands above it"),
        ("vmm/ept.py", "from virtlab.hosts.python import BareCpu", "stands above it"),
        ("pci/bus.py", "from virtlab.acpi import tables", "a package of its own group"),
        ("devices/uart/device.py", "from virtlab.devices.pic import PicPair", "one device another"),
        ("devices/pic.py", "from virtlab.devices import hpet", "one device another"),
        (
            "devices/pic.py",
            "from virtlab.virtio.split import SplitQueue",
            "package of its own group",
        ),
        ("show/svg.py", "from virtlab.course import checks", "stands above it"),
        ("machine.py", "import virtlab.show", "stands above it"),
        (
            "guest/uart.py",
            "def later():\n    from virtlab.machine import lesson_pc",
            "stands above it",
        ),
        ("novelty.py", "from virtlab.wire import Bits", "stands in no layer"),
        ("bus.py", "from virtlab.novelty import x", "which stands in no layer"),
        ("bus.py", "from . import memory", "has a relative import"),
        ("bus.py", "import numba", "the core does without"),
        ("vmm/ept.py", "from unicorn import Uc", "the core does without"),
        ("machine.py", "import matplotlib.pyplot as plt", "the core does without"),
    ],
)
def test_a_module_that_breaks_a_rule_is_caught(tmp_path, file, line, says):
    """The inverse: without the line nothing is wrong, with it exactly one thing is."""
    root = tmp_path / "virtlab"
    for name in ("vmm/ept.py", "hosts/python.py", "devices/hpet/__init__.py", "course/checks.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text('"""Empty."""\n')
    assert violations(root) == []
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(line + "\n")
    found = violations(root)
    assert len(found) == 1, found
    assert says in found[0]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("trace.py", "from virtlab.clock import Clock"),
        ("vmm/vcpu.py", "from virtlab.vmm.exits import Exit"),
        ("devices/uart/device.py", "from virtlab.devices.uart.registers import IER"),
        ("course/cli.py", "from virtlab.show.svg import picture"),
        ("hosts/x86.py", "from unicorn import Uc"),
    ],
)
def test_what_is_allowed_is_not_caught(tmp_path, file, line):
    path = tmp_path / "virtlab" / file
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    assert violations(tmp_path / "virtlab") == []


MEASURE = """
import sys, time
start = time.perf_counter()
import {}
print(time.perf_counter() - start, *sorted({{name.split(".")[0] for name in sys.modules}}))
"""


def fresh_import(module):
    """Seconds that the import took in a new process, and the top-level names it brought."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURE.format(module)],
        cwd=ROOT,
        check=True,
        text=True,
        capture_output=True,
    )
    seconds, *names = run.stdout.split()
    return float(seconds), set(names)


def test_import_virtlab_is_quick():
    """Best of three, in a fresh process each: under 0.25 s."""
    assert min(fresh_import("virtlab")[0] for _ in range(3)) < 0.25


@pytest.mark.parametrize("module", ["virtlab", "virtlab.machine", "virtlab.hosts.remote"])
def test_the_core_brings_no_notebook_and_no_plot(module):
    assert not (SLOW | HEAVY) & fresh_import(module)[1]


def test_what_it_brings_would_be_seen():
    assert "traitlets" in fresh_import("traitlets")[1]
