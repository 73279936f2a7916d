"""A work sheet: problems on paper, and the answers on a sheet of their own.

    text       one after another, as in a terminal
    markdown   headings and tables; answers behind a rule
    html       one page without scripts, black on white; the answers begin on a new page

The idea: a sheet is a list of problems. Each names the command that shows it again, so a reader can
check an answer, and a teacher can print the same sheet once more.

The rule that keeps it simple: a sheet is text, the same for the same problems on any machine.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtlab.course.practice.problem import Problem, Worked
from virtlab.show.svg import escape
from virtlab.show.tables import Table

_STYLE = """
@page { size: A4; margin: 18mm 16mm; }
body { font: 11pt/1.45 Georgia, "Times New Roman", serif; color: #000; background: #fff;
  max-width: 178mm; margin: 10mm auto; padding: 0 4mm; }
h1 { font-size: 17pt; margin: 0 0 2mm; }
h2 { font-size: 12.5pt; margin: 0 0 2mm; }
.name { display: flex; gap: 8mm; margin: 4mm 0 7mm; }
.name span { flex: 1; border-bottom: 0.3mm solid #000; }
section { break-inside: avoid; margin: 0 0 9mm; }
table { border-collapse: collapse; margin: 3mm 0; font-size: 9.5pt; break-inside: avoid; }
caption { text-align: left; font-style: italic; padding: 0 0 1mm; }
th, td { border: 0.2mm solid #555; padding: 0.7mm 2.2mm; text-align: left; vertical-align: top; }
td { font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 8.5pt; }
code { font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 88%;
  overflow-wrap: anywhere; }
p { margin: 0 0 2mm; }
.work { border: 0.2mm dotted #777; height: 38mm; margin: 3mm 0; }
.again { color: #333; font-size: 8.5pt; }
.answers { break-before: page; }
ol { margin: 1mm 0 2mm; padding-left: 7mm; }
"""


def as_text(problems: Sequence[Problem], answers: bool) -> str:
    """Problems one after another; with `answers`, each is followed by its own."""
    parts = []
    for number, problem in enumerate(problems, 1):
        head = f"{number}. " if len(problems) > 1 else ""
        parts.append(head + problem.text + (f"\n\n{problem.answer.text}" if answers else ""))
    return "\n\n\n".join(parts)


# -- markdown


def as_markdown(problems: Sequence[Problem], answers: bool) -> str:
    """A work sheet in Markdown; with `answers`, these stand behind a rule at its end."""
    parts = [f"# {heading(problems)}"]
    for number, problem in enumerate(problems, 1):
        tables = [_markdown_table(table) for table in problem.tables]
        question = f"**{problem.question}** Write {problem.key.form}."
        again = f"`{problem.command}`"
        parts += [f"## {number}. {problem.title}", *problem.given, *tables, question, again]
    if answers:
        parts += ["---", "# Answers"]
        for number, problem in enumerate(problems, 1):
            parts += [f"## {number}. {problem.title}", _markdown_steps(problem.answer)]
    return "\n\n".join(parts)


def _markdown_table(table: Table) -> str:
    lines = [_row(table.headers), _row(["---"] * len(table.headers))]
    lines += [_row(row) for row in table.rows]
    return f"*{table.caption}*\n\n" + "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _markdown_steps(worked: Worked) -> str:
    lines = []
    for number, step in enumerate(worked.steps, 1):
        work = "\\\n   ".join(step.work.replace("*", "\\*").splitlines())
        result = f"\\\n   = `{step.result}`" if step.result else ""
        lines.append(f"{number}. **{step.name}.** {work}{result}")
    return "\n".join([*lines, "", f"**Answer:** `{worked.answer}`"])


# -- paper


def as_html(problems: Sequence[Problem], answers: bool) -> str:
    """A work sheet to print, with room to work; with `answers`, these begin on a new page."""
    title = escape(heading(problems))
    parts = [
        f"<h1>{title}</h1>\n"
        '<div class="name"><div>Name</div><span></span><div>Date</div><span></span></div>'
    ]
    for number, problem in enumerate(problems, 1):
        parts.append(
            f"<section>\n<h2>{number}. {escape(problem.title)}</h2>\n{problem.html}\n"
            '<div class="work" role="img" aria-label="room for your work"></div>\n'
            f'<p class="again"><code>{escape(problem.command)}</code></p>\n</section>'
        )
    if answers:
        parts.append(f'<h1 class="answers">Answers: {title}</h1>')
        for number, problem in enumerate(problems, 1):
            body = problem.answer.html
            name = escape(problem.title)
            parts.append(f"<section>\n<h2>{number}. {name}</h2>\n{body}\n</section>")
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>"
    )


def heading(problems: Sequence[Problem]) -> str:
    """What the sheet is: the kinds in it, and the level."""
    kinds = ", ".join(dict.fromkeys(problem.kind for problem in problems))
    levels = sorted({problem.level for problem in problems})
    return f"Practice: {kinds}, level {' and '.join(map(str, levels))}"
