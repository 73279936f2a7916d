"""Find every MUST of the virtio specification, and compare it with docs/conformance/.

    python scripts/clauses.py SPEC                    the table that the specification makes, as TSV
    python scripts/clauses.py SPEC --section 5.2      only one chapter of it
    python scripts/clauses.py SPEC --text             with the sentences, to read beside it
    python scripts/clauses.py SPEC --check            which ids are missing or unknown here

SPEC is a checkout of github.com/oasis-tcs/virtio-spec, or its bare git directory. Nothing is
fetched, and nothing of it is copied: an id is the first 8 hex digits of a SHA-256 of the sentence.

The idea: a statement is known by its words. Where they stand and what we say of it may change; when
they change, the table has to be looked at again.

The rule that keeps it simple: `spec_text` finds sentences, `conformance` reads our tables, and here
is only the comparison.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts import conformance, spec_text  # found whether run as a file or as a module

PARTY = re.compile(
    r"\b(?:devices? and (?:transitional )?drivers?|(?:driver|device)s?(?![- ](?:specific|conf)))\b",
    re.IGNORECASE,
)


class Rule(NamedTuple):
    """One requirement: its `id`, its `clause` (`2.7.5.2`), `who` must, `must` and the sentence."""

    id: str
    clause: str
    who: str
    must: str
    sentence: str


# -- the rules


def subject(sentence: str, whose: str) -> str:
    """Who must: whose requirements the clause has; elsewhere whom the sentence names.

    >>> subject("When a driver is there, transitional devices MUST wait.", "")
    'device'
    """
    if whose:
        return whose
    before, _, after = sentence.partition("MUST")
    named = PARTY.findall(before)[-1:] or PARTY.findall(after)[:1]
    if not named or " " in named[0]:
        return "both"
    return str(named[0]).lower().rstrip("s")


def rules(spec: Path) -> list[Rule]:
    """Every requirement of the specification in `spec`, in its order."""
    read = spec_text.reader(spec)
    text = "\n\n".join(spec_text.whole(read, name) for name in spec_text.FILES)
    seen: Counter[str] = Counter()
    found = []
    for clause, whose, tex in spec_text.sections(text):
        for sentence in spec_text.sentences(tex):
            seen[sentence] += 1
            again = f" #{seen[sentence]}" if seen[sentence] > 1 else ""
            digest = hashlib.sha256((sentence + again).encode()).hexdigest()[:8]
            musts = {" ".join(word[0].split()) for word in spec_text.MUST.finditer(sentence)}
            who = subject(sentence, whose)
            found.append(Rule(digest, clause, who, ", ".join(sorted(musts)), sentence))
    return found


# -- the command


def report(spec: Path) -> list[str]:
    """What is wrong with the tables, line by line; empty if they are complete."""
    wrong = []
    rows = {row.id: row for row in conformance.rows()}
    counted: Counter[str] = Counter()
    for rule in rules(spec):
        part = conformance.part(rule.clause)
        counted[part.section] += 1
        row = rows.pop(rule.id, None)
        if part.table is None:
            if row is not None:
                wrong.append(f"{rule.id}  {rule.clause}  is left out as a whole, and has a row")
        elif row is None:
            wrong.append(f"{rule.id}  {rule.clause}  missing in {part.table}: {rule.sentence}")
        elif (row.table, row.clause, row.must) != (part.table, rule.clause, rule.must):
            wrong.append(f"{rule.id}  should be: {part.table} {rule.clause} {rule.must}")
    wrong += [f"{id_}  unknown, in {row.table}" for id_, row in rows.items()]
    for part in conformance.manifest():
        if counted[part.section] != part.statements:
            wrong.append(f"manifest: {part.section} has {counted[part.section]} statements")
    return wrong


def main(arguments: list[str]) -> int:
    """The command line."""
    first, *_, usage = (__doc__ or "").split("\n\n", 2)[:2]
    parser = argparse.ArgumentParser(
        description=first, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("spec", type=Path, help="a checkout of the specification, or its .git")
    parser.add_argument("--section", default="", help="only this section")
    parser.add_argument("--text", action="store_true", help="with the sentences as `what`")
    parser.add_argument("--check", action="store_true", help="compare with docs/conformance/")
    options = parser.parse_args(arguments)
    try:
        return answer(options)
    except OSError as error:
        print(f"{options.spec} is no copy of the specification: {error}", file=sys.stderr)
        return 2


def answer(options: argparse.Namespace) -> int:
    """What was asked for, printed; the exit status."""
    if options.check:
        wrong = report(options.spec)
        print("\n".join(wrong) or "every statement has its row")
        return int(bool(wrong))
    print("\t".join(conformance.COLUMNS))
    for rule in rules(options.spec):
        if not options.section or conformance.within(rule.clause, options.section):
            print(*rule[:4], rule.sentence if options.text else "", "", sep="\t")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
