"""How `scripts/clauses.py` and `spec_text` read a specification: an invented one of a few lines."""

import subprocess

import pytest

from scripts import clauses, conformance, spec_text
from scripts.conformance import COLUMNS

INVENTED = {
    "introduction.tex": r"\chapter{Words} A word MUST be a word. % MUST is a comment here",
    "content.tex": r"""
\chapter{Facts}\label{sec:MUST}
\section{Rings}
A ring is round. \input{rings}
\drivernormative{\subsection}{Rings \field{round}}{Facts / Rings}
The driver MUST turn \field{it} (see \ref{sec:MUST}), i.e.
never stop.  The driver SHOULD smile. The driver MUST NOT\footnote{x} stop:
\begin{itemize}
\item at night,
\item by day:
  \begin{itemize}
  \item at noon
  \end{itemize}
\end{itemize}
If it is late:
\begin{itemize}
\item the driver MUST sleep;
\item the driver MAY dream.
\item the driver MUST:
  \begin{enumerate}
  \item rest
  \end{enumerate}
\end{itemize}
\devicenormative{\subsection}{Rings}{Facts / Rings}
The driver MUST turn it, i.e. never stop.
\section{Legacy} Transitional devices and drivers MUST agree. Values MUST be set by the device.
""",
    "rings.tex": "\\begin{lstlisting}\nit MUST /* not be seen */\n\\end{lstlisting}\n",
    "conformance.tex": r"\conformance{\chapter}{Claims} Nobody MUST claim.",
}


def invented(tmp_path):
    for name, text in INVENTED.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return clauses.rules(tmp_path)


def test_every_sentence_with_a_must_is_found(tmp_path):
    found = [(rule.clause, rule.who, rule.must, rule.sentence) for rule in invented(tmp_path)]
    assert found == [
        ("1", "both", "MUST", "A word MUST be a word."),
        ("2.1.1", "driver", "MUST", "The driver MUST turn it (see), i.e. never stop."),
        ("2.1.1", "driver", "MUST NOT", "The driver MUST NOT stop: at night, by day: at noon"),
        ("2.1.1", "driver", "MUST", "If it is late: the driver MUST sleep;"),
        ("2.1.1", "driver", "MUST", "If it is late: the driver MUST: rest"),
        ("2.1.2", "device", "MUST", "The driver MUST turn it, i.e. never stop."),
        ("2.2", "both", "MUST", "Transitional devices and drivers MUST agree."),
        ("2.2", "device", "MUST", "Values MUST be set by the device."),
        ("3", "both", "MUST", "Nobody MUST claim."),
    ]


def test_an_id_depends_on_the_words_alone(tmp_path):
    before = {rule.sentence: rule.id for rule in invented(tmp_path)}
    text = INVENTED["content.tex"].replace("turn \\field{it}", "turn\n  it")
    (tmp_path / "content.tex").write_text(text + "\nA wheel MUST be round.", encoding="utf-8")
    after = {rule.sentence: rule.id for rule in clauses.rules(tmp_path)}
    assert after.items() >= before.items()
    assert len(after) == len(before) + 1


def test_the_same_sentence_twice_has_two_ids(tmp_path):
    invented(tmp_path)
    (tmp_path / "conformance.tex").write_text("\\chapter{X} A word MUST be a word.", "utf-8")
    ids = [rule.id for rule in clauses.rules(tmp_path)]
    assert len(set(ids)) == len(ids)


def test_a_heading_without_an_end_is_no_specification():
    with pytest.raises(ValueError, match="no closing brace"):
        list(spec_text.sections("\\chapter{never {closed}"))


MANIFEST = """section\ttable\tstatements
1\tno: documents\t1
2\tfacts\t{}
2.2\tfacts\t2
3\tno: documents\t1
"""


def store(folder, statements, rows):
    """A manifest and the table `facts`."""
    (folder / "manifest.tsv").write_text(MANIFEST.format(statements), encoding="utf-8")
    table = "\n".join("\t".join(row) for row in [COLUMNS, *rows])
    (folder / "facts.tsv").write_text(table + "\n", encoding="utf-8")


def test_the_check_is_content_with_a_row_for_each_statement(tmp_path, monkeypatch, capsys):
    rows = [[*rule[:4], "ours", "no: documents"] for rule in invented(tmp_path)[1:-1]]
    monkeypatch.setattr(conformance, "FOLDER", tmp_path)
    store(tmp_path, 5, rows)
    assert clauses.main([str(tmp_path), "--check"]) == 0
    assert capsys.readouterr().out == "every statement has its row\n"


def test_the_check_names_what_is_wrong(tmp_path, monkeypatch, capsys):
    """A row where none belongs, a wrong clause, one that is missing, one unknown, a wrong count."""
    rules = invented(tmp_path)
    rows = [[*rule[:4], "ours", "no: documents"] for rule in rules[:-1]]
    monkeypatch.setattr(conformance, "FOLDER", tmp_path)
    rows[1][1] = "2.9"
    rows[-1][0] = "00000000"
    store(tmp_path, 6, rows)
    assert clauses.main([str(tmp_path), "--check"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{rules[0].id}  1  is left out as a whole, and has a row",
        f"{rules[1].id}  should be: facts 2.1.1 MUST",
        f"{rules[-2].id}  2.2  missing in facts: Values MUST be set by the device.",
        "00000000  unknown, in facts",
        "manifest: 2 has 5 statements",
    ]


def test_the_table_of_one_section_is_printed(tmp_path, capsys):
    rules = invented(tmp_path)
    assert clauses.main([str(tmp_path), "--section", "2.2", "--text"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert tuple(header.split("\t")) == COLUMNS
    assert [line.split("\t")[4] for line in lines] == [rule.sentence for rule in rules[6:8]]


def test_where_git_has_the_commit_it_is_read_from_there(tmp_path, monkeypatch):
    """From a bare directory too: nothing has to be checked out."""
    asked = []

    def run(command, **how):
        asked.append(command[3:])
        name = command[-1].removeprefix(f"{spec_text.COMMIT}:")
        return subprocess.CompletedProcess(command, 0, INVENTED.get(name, ""), "")

    monkeypatch.setattr(subprocess, "run", run)
    assert len(clauses.rules(tmp_path)) == 9
    assert asked[0] == ["cat-file", "-e", spec_text.COMMIT]
    assert asked[1] == ["show", f"{spec_text.COMMIT}:introduction.tex"]


def test_what_is_no_specification_is_said_plainly(tmp_path, capsys):
    assert clauses.main([str(tmp_path), "--check"]) == 2
    assert "is no copy of the specification" in capsys.readouterr().err
