"""The glossary: a table of terms that people write, and the page and the links made from it.

    docs/glossary.tsv     a line a term: what it is called, where it is introduced, what it means
    docs/glossary.md      the page: an anchor a term, links to the lesson and the specification
    a lesson's ending     the line "New terms": what this lesson introduces, each a link to the page

The columns of the table:

    lesson            `14`, `ps5`, or a file of the library where neither says it
    specification     which one, and the clause; see `SPECIFICATIONS`
    said as           how the lesson says it, if not as the term: `forms; divided so`. One with
                      stars, `*bus*`, counts only where it is set apart like this
    named before in   earlier lessons that use the word already, in passing or for something else

The rule that keeps it simple: the table claims, and `complaints` looks. A term has to be said where
the table has it, and nowhere before but in the lessons that the table names.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "glossary.tsv"
PAGE = ROOT / "docs" / "glossary.md"
HEADER = "term\tlesson\tspecification\tsaid as\tnamed before in\tmeaning"

SPECIFICATIONS = {
    "virtio 1.3": "https://docs.oasis-open.org/virtio/virtio/v1.3/virtio-v1.3.html",
    "vhost-user": "https://www.qemu.org/docs/master/interop/vhost-user.html",
    "vfio-user": "https://www.qemu.org/docs/master/interop/vfio-user.html",
    "VT-d 3.0": "https://www.intel.com/content/www/us/en/content-details/774206/intel-virtualization-technology-for-directed-i-o-architecture-specification.html",
    "SDM": "https://www.intel.com/content/www/us/en/developer/articles/technical/intel-sdm.html",
    "PCI 3.0": "https://pcisig.com/specifications",
    "PCI-to-PCI Bridge 1.2": "https://pcisig.com/specifications",
    "PCI Express 3.0": "https://pcisig.com/specifications",
    "SR-IOV 1.1": "https://pcisig.com/specifications",
    "MR-IOV 1.0": "https://pcisig.com/specifications",
    "Bus Master IDE 1.0": "https://www.scribd.com/doc/281985541/Programming-Interface-IDE-Bus-master",
    "ATA-6": "https://www.t13.org",
    "ACPI 6.4": "https://uefi.org/htmlspecs/ACPI_Spec_6_4_html/",
    "16550D": "https://www.ti.com/product/PC16550D",
    "8259A data sheet": "https://pdos.csail.mit.edu/6.828/2018/readings/hardware/8259A.pdf",
    "82093AA": "https://pdos.csail.mit.edu/6.828/2018/readings/ia32/ioapic.pdf",
    "POSIX": "https://pubs.opengroup.org/onlinepubs/9799919799/functions/write.html",
}
"""The specifications that terms are taken from, by the name that a clause begins with."""

EDITIONS = {
    "virtio 1.3": "Committee Specification Draft 01",
    "VT-d 3.0": "June 2018. Since revision 4.0 the chapter of the registers is 11, here it is 10",
    "SDM": "the manual of Intel's processors, December 2022 (325462-078); see below",
    "PCI 3.0": "also for MSI and MSI-X (6.8)",
    "PCI Express 3.0": "and *PCI Express 6.3* by that name, for what is newer than 3.0",
    "ACPI 6.4": "and *PCI Firmware 3.0* for the table that says where ECAM is",
}
"""Which edition the whole project cites; `tests/test_editions.py` keeps to it."""

SDM_CHAPTERS = {
    4: ("3A", "Paging"),
    6: ("3A", "Interrupt and Exception Handling"),
    9: ("3A", "Multiple-Processor Management"),
    10: ("3A", "Processor Management and Initialization"),
    11: ("3A", "Advanced Programmable Interrupt Controller (APIC)"),
    12: ("3A", "Memory Cache Control"),
    25: ("3C", "Virtual Machine Control Structures"),
    26: ("3C", "VMX Non-Root Operation"),
    27: ("3C", "VM Entries"),
    28: ("3C", "VM Exits"),
    29: ("3C", "VMX Support for Address Translation"),
    30: ("3C", "APIC Virtualization and Virtual Interrupts"),
    33: ("3C", "Virtualization of System Resources"),
}
"""Volume and title of the SDM's chapters whose numbers differ from edition to edition."""

OTHER_EDITIONS = """\
Two chapters were put into the SDM, so its numbers move. Until 2022 those from 8 on are one less.
Newer editions count those from 4 on one more. A section keeps its place within the chapter. With
another edition, go by the chapter's title:
"""

OPENING = """\
# Glossary

The terms of the course, in the spelling of the specifications. Each one is named with the lesson,
the problem set or the file that introduces it, and with the clause that defines it. Where no clause
stands, the word is the field's, or ours. The specifications themselves are [at the end](#sources).

<!-- Made from docs/glossary.tsv by scripts/index.py: change it there. -->

| term | what it means | introduced in | specification |
|---|---|---|---|
"""


class Term(NamedTuple):
    """One line of the table."""

    name: str
    lesson: str
    specification: str
    said: str
    before: str
    meaning: str

    @property
    def anchor(self) -> str:
        """The part of the page's address behind the #."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def short(self) -> str:
        """The name without what tells it from another, for a list: `BAR`, `back-end`."""
        return re.sub(r" \(.*?\)", "", self.name).split(", ")[0]

    @property
    def forms(self) -> list[str]:
        """The words by which a text may say it."""
        plain = re.sub(r" \(.*?\)", "", self.name)
        return self.said.split("; ") if self.said else plain.split(", ")


def terms(table: Path = TABLE) -> list[Term]:
    """The table, in its order. `ValueError` names a line that is none."""
    header, *lines = table.read_text(encoding="utf-8").splitlines()
    if header != HEADER:
        raise ValueError(f"{table.name}: the first line is not {HEADER!r}")
    for number, line in enumerate(lines, 2):
        if line.count("\t") != HEADER.count("\t"):
            raise ValueError(f"{table.name}:{number}: not six columns: {line[:60]!r}")
    return [Term(*line.split("\t")) for line in lines]


# -- the page


def page(found: list[Term]) -> str:
    """The glossary as a page of Markdown."""
    rows = [
        f'| <a id="{term.anchor}"></a>{term.name} | {term.meaning} | {place_link(term.lesson)} '
        f"| {clause_link(term.specification)} |"
        for term in found
    ]
    sources = [
        f"- [{name}]({address})" + (f": {EDITIONS[name]}" if name in EDITIONS else "")
        for name, address in SPECIFICATIONS.items()
    ]
    chapters = [
        f"| {volume} | {chapter} | {title} |" for chapter, (volume, title) in SDM_CHAPTERS.items()
    ]
    return (
        "\n".join(
            [
                OPENING + "\n".join(rows),
                "",
                '<a id="sources"></a>',
                "## Specifications",
                "",
                *sources,
                "",
                OTHER_EDITIONS,
                "| SDM, volume | chapter here | title |",
                "|---|---|---|",
                *chapters,
            ]
        )
        + "\n"
    )


def place_link(lesson: str) -> str:
    """Where a term is introduced, as a link from the page."""
    if re.fullmatch(r"\d\d", lesson):
        return f"[{lesson}](../notebooks/{notebook_of(lesson)})"
    if re.fullmatch(r"ps\d", lesson):
        return f"[problem set {lesson[2]}](../exercises/ps0{lesson[2]}/ps0{lesson[2]}.ipynb)"
    return f"[{lesson}](../{lesson})"


def notebook_of(number: str) -> str:
    """The file of a lesson."""
    return next((ROOT / "notebooks").glob(f"{number}_*.ipynb")).name


def clause_link(specification: str) -> str:
    """A clause, as a link to its specification; nothing for nothing."""
    if not specification:
        return ""
    return f"[{specification}]({SPECIFICATIONS[source_of(specification)]})"


def source_of(specification: str) -> str:
    """The key of `SPECIFICATIONS` that a clause begins with. `ValueError` if there is none."""
    found = [
        name for name in SPECIFICATIONS if re.match(rf"{re.escape(name)}(?![\w.])", specification)
    ]
    if not found:
        raise ValueError(f"no such specification: {specification!r}")
    return max(found, key=len)


def new_terms(found: list[Term], lesson: str) -> str:
    """The line of a lesson's ending: its terms, each a link. Empty if it introduces none."""
    links = [
        f"[{term.short}](../docs/glossary.md#{term.anchor})"
        for term in found
        if term.lesson == lesson
    ]
    return f"**New terms**: {', '.join(links)}." if links else ""


# -- what the table claims, looked up


def says(text: str, form: str) -> bool:
    """Whether a text uses a form of a term, in singular or plural, in any case."""
    if "*" not in form:
        text = text.replace("*", "").replace("`", "")
        form = form.replace("`", "")
    pattern = re.escape(form)
    if form[-1].isalnum():
        pattern += r"(?:e?s)?(?!\w)"
    if form[0].isalnum():
        pattern = r"(?<!\w)" + pattern
    return re.search(pattern, text, 0 if form.isupper() else re.IGNORECASE) is not None


def complaints(found: list[Term], texts: dict[str, str]) -> list[str]:
    """Where the table is wrong; `texts` are the lessons' words by number, in order.

    Also `ps5` for a problem set, and the path of a file of the library.
    """
    wrong = [
        f"{term.name}: two terms have this anchor"
        for term in found
        if sum(other.anchor == term.anchor for other in found) > 1
    ]
    for term in found:
        said = [place for place, text in texts.items() if any(says(text, f) for f in term.forms)]
        if term.lesson not in said:
            wrong.append(f"{term.name}: {term.lesson} does not say {' or '.join(term.forms)}")
        if re.fullmatch(r"\d\d", term.lesson):
            before = " ".join(p for p in said if re.fullmatch(r"\d\d", p) and p < term.lesson)
            if before != term.before:
                wrong.append(
                    f"{term.name}: lessons that say it before {term.lesson} are {before!r}, "
                    f"the table has {term.before!r}"
                )
    return wrong
