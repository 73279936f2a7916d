"""What ruff's D rules do not see: openings that say something, doctests that run, clauses named.

That every public module, class and function *has* a docstring is ruff's job (D100 to D107).
"""

from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import virtlab
from virtlab.registers import Reg, RegisterFile

LIBRARY = Path(virtlab.__file__).parent
MODULES = sorted(
    ["virtlab", *(found.name for found in pkgutil.walk_packages(virtlab.__path__, "virtlab."))]
)
SHORT = 3
"""Lines that a module's docstring has at least; an `__init__` that opens a folder may have 1."""

INVENTED = ("virtlab.course", "virtlab.virtio.sriov_net")
"""The devices of exercises, and a control path of our own: no specification has them."""

OPTIONAL = {"unicorn": "pip install 'virtlab[x86]'", "nbgrader": "pip install 'virtlab[grading]'"}


def load(module):
    """The module; skipped by name where it needs an extra that is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name in OPTIONAL:
            pytest.skip(f"{error.name} is missing: {OPTIONAL[error.name]}")
        raise


def too_short(source, opens_folder=False):
    """Whether a module's docstring has fewer lines than it should."""
    text = ast.get_docstring(ast.parse(source)) or ""
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) < (1 if opens_folder else SHORT)


def registers_of(module):
    """`(where, Reg)` for each register declared in a module, in a class or by itself."""
    found = {}
    for name, value in vars(module).items():
        if isinstance(value, Reg):
            found[f"{module.__name__}.{name}"] = value
        elif isinstance(value, type) and value.__module__ == module.__name__:
            inside = {key: reg for key, reg in vars(value).items() if isinstance(reg, Reg)}
            found |= {f"{module.__name__}.{name}.{key}": reg for key, reg in inside.items()}
    return found


def without_clause(module):
    """The registers of a module that name no clause of a specification."""
    return [where for where, reg in registers_of(module).items() if not reg.spec.strip()]


def test_a_modules_opening_says_what_it_is_about():
    short = [
        path.relative_to(LIBRARY).as_posix()
        for path in LIBRARY.rglob("*.py")
        if too_short(path.read_text(encoding="utf-8"), path.name == "__init__.py")
    ]
    assert short == []


@pytest.mark.parametrize("module", MODULES)
def test_doctests_run(module):
    assert doctest.testmod(load(module)).failed == 0


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith(INVENTED)])
def test_every_register_names_its_clause(module):
    assert without_clause(load(module)) == []


def test_some_modules_have_doctests_and_registers():
    """Else the tests above would prove nothing."""
    finder = doctest.DocTestFinder()
    examples = [
        test
        for module in ("virtlab.bus", "virtlab.vmm.io_bitmap")
        for test in finder.find(importlib.import_module(module))
        if test.examples
    ]
    assert len(examples) >= 3
    assert len(registers_of(importlib.import_module("virtlab.devices.hpet.block"))) == 4


def test_what_is_missing_is_seen():
    """The inverse of each test here."""
    assert too_short('"""One line."""')
    assert too_short('"""One\n\nTwo."""')
    assert too_short("x = 1", opens_folder=True)
    assert not too_short('"""One\nTwo\nThree."""')

    class Vague(RegisterFile):
        """A device whose second register names nothing."""

        GOOD = Reg(0, 1, spec="a clause")
        BAD = Reg(1, 1)

    module = type(ast)("vague")
    module.Vague, Vague.__module__ = Vague, "vague"
    module.LONE = Reg(0, 1, spec=" ")
    assert sorted(without_clause(module)) == ["vague.LONE", "vague.Vague.BAD"]
