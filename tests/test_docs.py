"""What ruff's D rules do not see: openings that say something, doctests that run, clauses named.

That every public module, class and function *has* a docstring is ruff's job (D100 to D107). And of
the documents: the glossary says what the lessons say, the tour of the library runs.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import virtlab
from scripts import glossary, lessons
from virtlab.course.syllabus import LESSONS
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
    """To look for examples in a module that has none takes longer than most examples do."""
    loaded = load(module)
    if ">>> " in Path(loaded.__file__).read_text(encoding="utf-8"):
        found = doctest.testmod(loaded)
        assert found.attempted
        assert found.failed == 0


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


# -- the glossary

ROOT = LIBRARY.parent
TERMS = glossary.terms()


def places():
    """What each lesson, problem set and file that the glossary names tells its reader."""
    found = {}
    for lesson in LESSONS:
        text = (lessons.TEXTS / f"{lesson.stem}.py").read_text(encoding="utf-8")
        found[lesson.number] = lessons.words(text)
    for path in sorted((ROOT / "solutions" / "text").glob("ps*.py")):
        found[f"ps{path.stem[3]}"] = path.read_text(encoding="utf-8")
    for name in sorted({term.lesson for term in TERMS if "/" in term.lesson}):
        found[name] = (ROOT / name).read_text(encoding="utf-8")
    return found


def test_every_term_is_introduced_where_the_glossary_says_and_not_before():
    assert glossary.complaints(TERMS, places()) == []


def test_a_wrong_claim_of_the_glossary_is_seen():
    texts = {"00": "a chain", "01": "two chains, and a *bus*"}

    def wrong(*terms):
        return glossary.complaints([glossary.Term(*term) for term in terms], texts)

    assert wrong(("chain", "00", "", "", "", "x")) == []
    assert "is 'zero'" not in str(wrong(("chain", "01", "", "", "", "x")))
    assert wrong(("chain", "01", "", "", "00", "x")) == []
    assert "before 01 are '00'" in wrong(("chain", "01", "", "", "", "x"))[0]
    assert "before 00 are ''" in wrong(("chain", "00", "", "", "01", "x"))[0]
    assert "01 does not say ring" in wrong(("ring", "01", "", "", "", "x"))[0]
    assert wrong(("bus (PCI)", "01", "", "*bus*", "", "x")) == []
    assert "does not say" in wrong(("chain", "01", "", "*chain*", "00", "x"))[0]
    twice = wrong(("a chain", "00", "", "chain", "", "x"), ("a-chain", "00", "", "chain", "", "x"))
    assert sum("two terms have this anchor" in line for line in twice) == 2


def test_a_word_is_found_as_itself_and_in_the_plural():
    assert glossary.says("two `switches`", "switch")
    assert glossary.says("An **Exit**.", "exit")
    assert not glossary.says("existing", "exit")
    assert not glossary.says("the ept", "EPT")
    assert not glossary.says("a bus", "*bus*")


def test_every_link_of_the_glossary_leads_somewhere():
    page = glossary.PAGE.read_text(encoding="utf-8")
    anchors = re.findall(r'<a id="([^"]+)">', page)
    assert len(anchors) == len(set(anchors)) == len(TERMS) + 1
    links = re.findall(r"\]\((?!https:)([^)]+)\)", page)
    assert len(links) == len(TERMS) + 1
    for link in links:
        there, _, anchor = link.partition("#")
        assert (ROOT / "docs" / there).exists() if there else anchor in anchors
    assert {name for name in glossary.SPECIFICATIONS if f"[{name}](" not in page} == set()
    for path in lessons.TEXTS.glob("*.py"):
        asked = re.findall(r"glossary\.md#([\w-]+)", path.read_text(encoding="utf-8"))
        assert set(asked) <= set(anchors), path.name


def test_each_term_has_a_meaning_and_stands_in_its_place():
    assert [term.name.lower() for term in TERMS] == sorted(term.name.lower() for term in TERMS)
    assert all(term.meaning and not term.meaning.endswith(".") for term in TERMS)
    with pytest.raises(ValueError, match="no such specification: 'virtio 2'"):
        glossary.clause_link("virtio 2")


@pytest.mark.parametrize("line", ["a\tb", "", "1\t2\t3\t4\t5\t6\t7"])
def test_a_line_that_is_no_term_is_named(tmp_path, line):
    table = tmp_path / "glossary.tsv"
    table.write_text(f"{glossary.HEADER}\n{line}\n")
    with pytest.raises(ValueError, match=r"glossary\.tsv:2: not six columns"):
        glossary.terms(table)
    table.write_text("term\n")
    with pytest.raises(ValueError, match="the first line is not"):
        glossary.terms(table)


# -- how to read virtlab

READING = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")


def test_the_tour_has_five_sittings_each_with_questions_and_something_to_try():
    sittings = re.split(r"^## ", READING, flags=re.MULTILINE)[1:]
    assert [re.match(r"(Sitting \d|After that)", each)[1] for each in sittings] == [
        *(f"Sitting {number}" for number in range(1, 6)),
        "After that",
    ]
    for number, each in enumerate(sittings[:5], 1):
        assert f'<a id="sitting-{number}"></a>\n\n## {each[:9]}' in READING
        assert 4 <= len(re.findall(r"^\| \[virtlab/.*\?.* \|$", each, re.MULTILINE)) <= 5
        assert each.count("```python") == each.count("\nTry: ") == 1


def test_a_sitting_is_read_in_twenty_minutes():
    """At 60 lines a minute, of which a third is prose that one reads and a third declarations."""
    for each in re.split(r"^## ", READING, flags=re.MULTILINE)[1:6]:
        files = re.findall(r"^\| \[(virtlab/[\w/]+\.py)\]", each, re.MULTILINE)
        lines = sum(len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in files)
        assert lines <= 20 * 60


def test_what_the_tour_says_to_try_runs(capsys):
    names = {}
    for code in re.findall(r"```python\n(.*?)```", READING, re.DOTALL):
        exec(compile(code, "reading.md", "exec"), names)
    said = capsys.readouterr().out
    assert "LSR  TEMT=1 THRE=1" in said
    assert "\nNone\n2\n2 A hiB\n" in said  # nobody at 0x999; two exits; and then none
    assert "00:03.0 1234:11e8" in said
    assert "\n0x10000ed\n0xffffffff\n" in said
    assert "a chain that comes back to itself virtio 1.3 2.7.5.2" in said
    assert "b'allowed'\na write, and no permission to write" in said


def test_the_tour_and_the_table_of_contents_have_one_order():
    contents = re.findall(r"`([\w.]+)`", virtlab.__doc__)
    order = []
    for name in re.findall(r"^\| \[virtlab/([\w/]+)\.py\]", READING, re.MULTILINE):
        module = name.replace("/", ".")
        known = [c for c in contents if module == c or module.startswith(f"{c}.")]
        if known:
            order.append(contents.index(max(known, key=len)))
    assert len(order) >= 15
    assert order == sorted(order)
