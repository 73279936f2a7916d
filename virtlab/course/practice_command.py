"""``virtlab practice KIND``: a fresh problem, its worked answer, or a work sheet.

    virtlab practice                                  the kinds, and what their levels add
    virtlab practice vtd-walk --seed 7                a problem; without a seed a fresh one
    virtlab practice vtd-walk --seed 7 --check 0x12   is that the answer? Which step goes wrong?
    virtlab practice vtd-walk --seed 7 --answer       the steps, as on a board
    virtlab practice vtd-walk --count 5 --html --out sheet.html

The idea: kind, level and seed name a problem, so nothing is kept between two commands.

The rule that keeps it simple: the problem is on stdout, alone or with its answer. A wrong answer
gives exit status 1.
"""

from __future__ import annotations

import argparse
import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from virtlab.course.cli import CommandError

if TYPE_CHECKING:
    from virtlab.course.practice.problem import Problem

MOST = 100
"""Problems of one sheet."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("kind", nargs="?", metavar="KIND", help="what to practice; none: a list")
    parser.add_argument("--seed", type=int, metavar="N", help="the problem with this number")
    level = "1 to begin with, 3 has what goes wrong in it (1)"
    parser.add_argument("--level", type=int, choices=(1, 2, 3), default=1, help=level)
    parser.add_argument("--answer", action="store_true", help="with the worked answer")
    parser.add_argument(
        "--check", metavar="ANSWER", help="say whether ANSWER is right (needs --seed)"
    )
    several = f"a work sheet of N problems, seeds from --seed on (at most {MOST})"
    parser.add_argument("--count", type=int, default=1, metavar="N", help=several)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print data for a program to read")
    form.add_argument("--markdown", action="store_true", help="a work sheet in Markdown")
    form.add_argument("--html", action="store_true", help="a work sheet to print")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write there, not to stdout")


def run(options: argparse.Namespace) -> int:
    """Print what was asked for: 0, or 1 for an answer that is not right."""
    if options.kind is None:
        _put(_kinds_json() if options.json else _kinds_text(), options.out)
        return 0
    if options.check is not None:
        return _check(options)
    _put(_written(_problems(options), options), options.out)
    return 0


def _problems(options: argparse.Namespace) -> list[Problem]:
    """The problems asked for. One line for what there is not."""
    from virtlab.course.practice.kinds import MAX_SEED, problem

    if not 1 <= options.count <= MOST:
        raise CommandError(f"--count is 1 to {MOST}, not {options.count}")
    seed = options.seed
    if seed is None:
        seed = secrets.randbelow(10_000)
    if not 0 <= seed <= MAX_SEED - options.count:
        raise CommandError(f"--seed is 0 or more and below 2**64, not {seed}")
    try:
        return [problem(options.kind, seed + n, options.level) for n in range(options.count)]
    except ValueError as error:
        raise CommandError(str(error)) from None


def _check(options: argparse.Namespace) -> int:
    if options.seed is None:
        raise CommandError("--check needs --seed: which problem is it the answer of?")
    if options.count != 1:
        raise CommandError("--check is for one problem, without --count")
    (one,) = _problems(options)
    verdict = one.check(options.check)
    if options.json:
        record = {"right": verdict.right, "step": verdict.step, "said": verdict.said}
        _put(json.dumps(record, indent=2, ensure_ascii=False), options.out)
    else:
        _put(verdict.said, options.out)
    return int(not verdict.right)


def _written(problems: list[Problem], options: argparse.Namespace) -> str:
    """The problems in the form that was asked for."""
    from virtlab.course.practice import sheet

    if options.json:
        records = [one.as_data(options.answer) for one in problems]
        shown = records if options.count > 1 else records[0]
        return json.dumps(shown, indent=2, ensure_ascii=False)
    if options.markdown:
        return sheet.as_markdown(problems, options.answer)
    if options.html:
        return sheet.as_html(problems, options.answer)
    return sheet.as_text(problems, options.answer)


def _put(text: str, out: Path | None) -> None:
    if out is None:
        print(text)
    else:
        out.write_text(text + "\n", encoding="utf-8", newline="\n")


# -- the list


def _kinds_text() -> str:
    from virtlab.course.practice.kinds import KINDS

    lines = []
    for kind in KINDS:
        lines.append(f"{kind.name:<18}{kind.title}")
        lines += [f"{'':<18}  {n}  {words}" for n, words in enumerate(kind.levels, 1)]
    return "\n".join([*lines, "", f"example: virtlab practice {KINDS[0].name} --seed 7 --level 2"])


def _kinds_json() -> str:
    from virtlab.course.practice.kinds import KINDS

    records = [
        {"kind": k.name, "title": k.title, "topics": k.topics.split(), "levels": list(k.levels)}
        for k in KINDS
    ]
    return json.dumps(records, indent=2)
