"""Every specification is cited in one edition, wherever it is cited.

    SDM            December 2022: the chapters of volume 3 that `glossary.SDM_CHAPTERS` names
    VT-d           3.0, or a section alone
    virtio         1.3; 1.0 and 1.1 only where the text tells what they brought
    PCI Express    3.0, and 6.3 for what is newer

The idea: a clause with a number of another edition sends the reader to a wrong page. So the tree's
text is searched for what looks like a citation, and each must be of the edition in
`docs/glossary.md`, "Specifications".

The rule that keeps it simple: a pattern finds `name number`; what it means is not looked at.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import glossary

ROOT = Path(__file__).resolve().parents[1]
PLACES = ("virtlab", "notebooks/text", "docs", "solutions", "exercises", "tests")
KINDS = (".py", ".md", ".tsv")

SDM = re.compile(r"(?<!8254x )SDM[, ]+(?:3([A-D])?|vol\w*\.? 3\w?),? (?:chapter )?(\d+)\b")
EDITIONS = {
    r"\bVT-d (\d\.0)\b": {"3.0"},
    r"\bvirtio (1\.\d)\b": {"1.0", "1.1", "1.3"},
    r"\bPCI(?: Express|e) ([1-6]\.\d),? \d": {"1.1", "3.0", "6.3"},
    r"\bACPI (\d\.\d),? \d": {"6.4"},
    r"\bPCI Firmware (\d\.\d)": {"3.0"},
    r"(?<!to )\bPCI(?:-to-PCI)? [Bb]ridge (\d\.\d)": {"1.2"},
    r"\bSR-IOV (\d\.\d),? \d": {"1.1"},
}
"""A citation, and the editions that may stand in it. PCI Express 1.1 has one register more."""

SHORT = {3: "3A"}
"""Chapters of volume 3 whose number is the same in every edition."""

CHAPTERS = {number: volume for number, (volume, _) in glossary.SDM_CHAPTERS.items()} | SHORT


def texts():
    """`(path, text)` of what people write in the tree; this file tells of wrong ones itself."""
    for place in PLACES:
        for path in sorted((ROOT / place).rglob("*")):
            if path.suffix in KINDS and path != Path(__file__).resolve():
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def of_another_edition(text):
    """The citations in a text that are not of the editions that the project uses."""
    wrong = [
        found[0]
        for found in SDM.finditer(text)
        if not found[1] or CHAPTERS.get(int(found[2])) != "3" + found[1]
    ]
    for pattern, editions in EDITIONS.items():
        wrong += [found[0] for found in re.finditer(pattern, text) if found[1] not in editions]
    return wrong


def test_the_whole_tree_cites_one_edition():
    found = {path: wrong for path, text in texts() if (wrong := of_another_edition(text))}
    assert found == {}


@pytest.mark.parametrize(
    "citation",
    [
        "SDM 3A 8.2.2",
        "SDM 3C 24.6.4",
        "SDM 3C, 11.8.4",
        "SDM volume 3, 9.2.2",
        "VT-d 4.0, 9.3",
        "virtio 1.2, 2.7",
        "PCI Express 5.0, 7.9",
        "PCIe 4.0, 2.1.1",
        "PCI bridge 1.1, 3.2",
        "ACPI 6.5, 5.2",
    ],
)
def test_another_edition_is_found(citation):
    assert of_another_edition(f"As told ({citation}).")


@pytest.mark.parametrize(
    "citation",
    [
        "SDM 3A 11.8.4",
        "SDM 3C, 26.1.3",
        "SDM 2A 2.1",
        "8254x SDM 3.3",
        "VT-d 9.10",
        "VT-d 3.0, 9.10",
        "virtio 1.3 2.7.13",
        "PCI Express 6.3, 7.9.23",
    ],
)
def test_the_projects_own_editions_pass(citation):
    assert of_another_edition(f"As told ({citation}).") == []


def test_the_sources_tell_which_editions_they_are():
    page = glossary.PAGE.read_text(encoding="utf-8")
    assert all(
        f"]({glossary.SPECIFICATIONS[name]}): {told}" in page
        for name, told in glossary.EDITIONS.items()
    )
    assert all(
        f"| {number} | {title} |" in page for number, (_, title) in glossary.SDM_CHAPTERS.items()
    )
