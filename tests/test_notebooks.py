"""Text, notebook and outputs of every lesson agree; the checker notices if they do not."""

import shutil
from pathlib import Path

import nbformat
import pytest

from scripts import notebooks

FOLDER = Path(__file__).parents[1] / "notebooks"
LESSONS = sorted(FOLDER.glob("*.ipynb"))
SAMPLE = """\
# %% [markdown]
# # A title

# %% tags=["topic:S01"]
import warnings
print("one")

# %%
import ipywidgets
ipywidgets.HTML("<b>two</b>")

# %%
object()

# %% tags=["raises-exception"]
from virtlab.course.cli import parser_for
parser_for(None)

# %%
warnings.warn("careful")
"""


def test_there_are_lessons():
    assert LESSONS


def test_every_notebook_has_a_text_and_every_text_a_notebook():
    assert notebooks.unpaired(FOLDER) == []


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_text_notebook_and_outputs_agree(path):
    assert notebooks.disagreements(path) == []


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_the_file_is_written_as_nbformat_writes_it(path):
    text = path.read_text(encoding="utf-8")
    assert notebooks.written(nbformat.reads(text, as_version=4)) == text


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A small lesson, built twice."""
    folder = tmp_path_factory.mktemp("lessons")
    (folder / "text").mkdir()
    text = folder / "text" / "00_sample.py"
    text.write_text(SAMPLE)
    built = [notebooks.build(text) for _ in range(2)]
    (folder / "00_sample.ipynb").write_text(built[0])
    return folder, built


def test_building_twice_changes_no_byte(sample):
    _, (first, second) = sample
    assert first == second


def test_a_built_lesson_agrees_with_its_text(sample):
    folder, _ = sample
    assert notebooks.disagreements(folder / "00_sample.ipynb") == []
    assert notebooks.unpaired(folder) == []


def test_what_belongs_to_one_run_is_not_stored(sample):
    _, (built, _) = sample
    stored = nbformat.reads(built, as_version=4)
    assert set(stored.metadata) == {"kernelspec", "language_info"}
    assert "version" not in stored.metadata.language_info
    assert notebooks.WIDGET_VIEW not in built
    assert "<object at 0x00000000>" in built
    assert "HTML(value='<b>two</b>')" in built
    assert "<cell>: UserWarning: careful" in built
    trace = "".join(stored.cells[4].outputs[0].traceback)
    assert "virtlab/course/cli.py" in trace
    assert str(notebooks.ROOT) not in built


@pytest.mark.parametrize("tags", [["measured"], []])
def test_a_measured_plot_is_kept_and_any_other_is_not(tags):
    def lesson(plot, text):
        data = {"image/png": plot, "text/plain": text}
        output = nbformat.v4.new_output("display_data", data)
        cell = nbformat.v4.new_code_cell(
            "plot()", outputs=[output], metadata={"tags": tags}, id="a"
        )
        return nbformat.writes(nbformat.v4.new_notebook(cells=[cell]))

    made = notebooks.with_stored_plots(lesson("new", "seen"), lesson("old", "before"))
    data = nbformat.reads(made, as_version=4).cells[0].outputs[0].data
    assert data == {"image/png": "old" if tags else "new", "text/plain": "seen"}


def source(nb):
    nb.cells[1].source += "\nprint('more')"


def tag(nb):
    nb.cells[1].metadata["tags"] = ["topic:S02"]


def kind(nb):
    nb.cells[0] = nbformat.v4.new_raw_cell(nb.cells[0].source, id=nb.cells[0].id)


def identity(nb):
    nb.cells[1].id = "other"


def fewer(nb):
    del nb.cells[-1]


def count(nb):
    nb.cells[2].execution_count = 9


def output_count(nb):
    nb.cells[2].outputs[0].execution_count = 9


def never_run(nb):
    nb.cells[1].execution_count = None


def error(nb):
    nb.cells[1].outputs.append(nbformat.v4.new_output("error", ename="E", evalue="", traceback=[]))


def no_error(nb):
    nb.cells[4].outputs = []


def widget_view(nb):
    nb.cells[2].outputs[0].data[notebooks.WIDGET_VIEW] = {"model_id": "0"}


def widget_state(nb):
    nb.metadata["widgets"] = {}


def version(nb):
    nb.metadata.language_info["version"] = "3.11.2"


def kernel_path(nb):
    nb.metadata.kernelspec["path"] = "somewhere"


def timing(nb):
    nb.cells[1].metadata["execution"] = {"iopub.status.busy": "2026-01-01T00:00:00Z"}


def absolute_path(nb):
    nb.cells[1].outputs[0].text = "/home/someone/virtlab/bus.py\n"


TAMPERED = [
    source,
    tag,
    kind,
    identity,
    fewer,
    count,
    output_count,
    never_run,
    error,
    no_error,
    widget_view,
    widget_state,
    version,
    kernel_path,
    timing,
    absolute_path,
]


@pytest.mark.parametrize("change", TAMPERED, ids=lambda change: change.__name__)
def test_the_checker_sees_a_change(sample, tmp_path, change):
    folder, _ = sample
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "00_sample.ipynb"
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    path.write_text(nbformat.writes(notebook))
    assert notebooks.disagreements(path)


def test_the_checker_sees_a_missing_half(sample, tmp_path):
    folder, _ = sample
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "text" / "01_new.py").write_text("# %%\n1\n")
    (tmp_path / "text" / "00_sample.py").unlink()
    assert len(notebooks.unpaired(tmp_path)) == 2
    assert notebooks.disagreements(tmp_path / "00_sample.ipynb")


def test_an_inserted_cell_leaves_the_ids_of_the_others_alone(tmp_path):
    path = tmp_path / "00_sample.py"
    path.write_text(SAMPLE)
    before = [cell.id for cell in notebooks.read_text(path).cells]
    path.write_text("# %%\nnew = 1\n" + SAMPLE)
    assert [cell.id for cell in notebooks.read_text(path).cells][1:] == before


def test_equal_cells_have_different_ids(tmp_path):
    path = tmp_path / "00_sample.py"
    path.write_text("# %%\n1\n\n# %%\n1\n")
    ids = [cell.id for cell in notebooks.read_text(path).cells]
    assert len(set(ids)) == 2


def test_a_cell_that_fails_stops_the_lesson(tmp_path):
    (tmp_path / "text").mkdir()
    text = tmp_path / "text" / "00_bad.py"
    text.write_text("# %%\nraise ValueError('no')\n")
    built, wrong = notebooks.attempt(text)
    assert built == ""
    assert "ValueError" in wrong


def test_pieces_of_one_stream_are_put_together():
    def stream(name, text):
        return nbformat.v4.new_output("stream", name=name, text=text)

    picture = nbformat.v4.new_output("display_data", data={"text/plain": "x"})
    parts = [
        stream("stdout", "a"),
        stream("stderr", "!"),
        stream("stdout", "b"),
        picture,
        stream("stdout", "c"),
    ]
    assert [out.get("text") for out in notebooks.joined(parts)] == ["ab", "!", None, "c"]


def test_nbval_forgives_the_same_things_as_we_drop():
    config = (Path(__file__).parent / "nbval.cfg").read_text()
    for pattern, instead in notebooks.SANITIZE:
        assert f"regex: {pattern.pattern}\nreplace: {instead}\n" in config


def test_the_command_names_a_text_that_is_not_there(capsys):
    assert notebooks.main(["99_nowhere"]) == 2
    assert "99_nowhere.py" in capsys.readouterr().err


def test_a_notebook_and_its_text_are_one_document_for_jupytext(tmp_path):
    from jupytext.cli import jupytext

    shutil.copy(FOLDER.parent / "jupytext.toml", tmp_path)
    shutil.copytree(FOLDER, tmp_path / "notebooks")
    for lesson in LESSONS:
        copy = tmp_path / "notebooks" / lesson.name
        text = notebooks.text_of(copy)
        before = text.read_text("utf-8")
        copy.touch()  # as if it had been edited last
        jupytext(["--quiet", "--sync", str(copy)])
        assert text.read_text("utf-8") == before
