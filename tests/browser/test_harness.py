"""The browser test would notice: each kind of broken lesson is reported, and a good one is not."""

import json
import re
from urllib.request import Request, urlopen

import nbformat
import pytest

from tests.browser import harness

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(200)]

GOOD = """
import ipywidgets as w
shown = w.HTML("<b>start</b>")
controls = [
    w.Button(description="step"), w.ToggleButton(description="hold"), w.Checkbox(description="on"),
    w.IntSlider(description="slot"), w.IntRangeSlider(description="range"),
    w.SelectionSlider(options=["a", "b"], description="pick"), w.Text(description="name"),
    w.Dropdown(options=["x", "y"], description="kind"), w.IntText(description="count"),
    w.RadioButtons(options=["p", "q"], description="way"), w.Play(description="play"),
    w.ToggleButtons(options=["m", "n"], description="mode"), w.Textarea(description="note"),
    w.Tab(children=[w.HTML("1"), w.HTML("2")], titles=["first", "second"]),
    w.Accordion(children=[w.HTML("1")], titles=["more"])]
back = w.Button(description="back", disabled=True)
seen = {}
def note(name):
    seen[name] = seen.get(name, 0) + 1
    back.disabled = False
    shown.value = f"<b>{sorted(seen)}</b>"
for control in controls:
    if isinstance(control, w.Button):
        control.on_click(lambda _: note("step"))
    else:
        control.observe(lambda change: note(change["owner"].description
                                            if "description" in change["owner"].trait_names()
                                            else type(change["owner"]).__name__))
back.on_click(lambda _: note("back"))
w.VBox([shown, back, *controls])
"""
BUTTON = "import ipywidgets as w\nb = w.Button(description='go')\nb.on_click(lambda _: {})\n"
PICTURE = (
    "from virtlab.show.shell import Shell, button, drawing, sentence\n"
    "d, s = drawing(), sentence()\n"
    'd.value = \'<svg {} width="9" height="9"><path d="M0 0h9v9" fill="red"/></svg>\'\n'
    "s.value = {!r}\n"
    "def repaint(d=d):\n    d.value = d.value.replace('red', 'blue')\n"
    "Shell('x', [d, button('{}', repaint), s])"
)
# What axe finds in ipywidgets' sliders, tabs and Play. No widget of the course shows one.
NOT_OURS = re.compile(r"noUi-handle|lm-TabBar|<i class=\"fa fa-")
NAMED = 'role="img" aria-label="a corner"'
# One cell each; an error ends a run, so it comes last.
BROKEN = {
    "an error that does not come": (
        "# tags=raises-exception\n1",
        "should raise an exception, and did not",
    ),
    "a warning": ("import warnings; warnings.warn('careful')", "on stderr"),
    "a broken button": (
        "import time\n"
        + BUTTON.format("time.sleep(0.3) or 1 / 0")
        + "w.HBox([b, w.Button(description='the next')])",
        "button 'go': ZeroDivisionError",
    ),
    "a broken slider": (
        "import ipywidgets as w\ns = w.IntSlider(description='n')\n"
        "s.observe(lambda c: 1 / 0, 'value')\ns",
        "slider 'n': ZeroDivisionError",
    ),
    "a widget that shows nothing": ("import ipywidgets as w\nw.HTML('')", "a blank widget"),
    "an empty picture": (
        'import ipywidgets as w\nw.HTML(\'text <svg width="50" height="50"></svg>\')',
        "a blank widget",
    ),
    "a picture without words": (
        PICTURE.format("", "a corner", "leave"),
        "a picture without an alternative",
    ),
    "a picture that nothing explains": (
        PICTURE.format(NAMED, "", "leave it"),
        "a widget that does not say what its picture shows",
    ),
    "a picture that changes in colour only": (
        PICTURE.format(NAMED, "a corner", "paint"),
        "button 'paint': a picture changes in colour only",
    ),
    "an image without an alternative": (
        "from IPython.display import SVG\n"
        'SVG(\'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>\')',
        "image-alt (critical)",
    ),
    "text that is too pale": (
        "import ipywidgets as w\nw.HTML('<p style=\"color: #aaa; background: #fff\">pale</p>')",
        "color-contrast (serious)",
    ),
    "a control without a name": (
        "import ipywidgets as w\nw.IntSlider()",
        "slider '': a control without a name",
    ),
    "a control that is never enabled": (
        "import ipywidgets as w\nw.Button(description='go', disabled=True)",
        "button 'go': never enabled",
    ),
    "an error on the console": (
        "from IPython.display import Javascript\nJavascript('console.error(\"oh\")')",
        "error on the console: oh",
    ),
    "an exception in the page": (
        "from IPython.display import Javascript\n"
        "Javascript('setTimeout(() => { throw new Error(\"aah\") })')",
        "exception in the page: aah",
    ),
    "an answer that nobody waits for any more": (
        "from IPython.display import Javascript\n"
        "Javascript('Promise.reject(new Error(\"Canceled future for execute_request message\"))')",
        "exception in the page: Canceled future for execute_request",
    ),
    "a picture from another machine": (
        "import ipywidgets as w\nw.HTML('x <img src=\"http://localhost:9/x.png\">')",
        "request to another machine: http://localhost:9/x.png",
    ),
    "a widget that becomes blank": (
        BUTTON.format("h.set_trait('value', '') or b.close()") + "h = w.HTML('x')\nw.VBox([h, b])",
        "a blank widget",
    ),
    "an error in a cell": ("1 / 0", "ZeroDivisionError: division by zero"),
    "a cell that is not reached": ("2", "was not run"),
}
OF_THE_PAGE = ("error on the console", "exception in the page", "request to another")


def write(lab, name, *sources):
    """A notebook of these cells, in the folder that JupyterLab shows."""
    cells = []
    for source in sources:
        cell = nbformat.v4.new_code_cell(source)
        if source.startswith("# tags="):
            cell.metadata["tags"] = [source.partition("\n")[0].removeprefix("# tags=")]
        cells.append(cell)
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    (lab.folder / "trial").mkdir(exist_ok=True)
    nbformat.write(notebook, lab.folder / "trial" / f"{name}.ipynb")
    return f"trial/{name}.ipynb"


def test_a_good_lesson_has_no_problems_and_every_control_is_pressed(page, lab, tmp_path):
    path = write(
        lab, "good", GOOD, "# tags=raises-exception\n1 / 0", "print('end')", "assert seen == {}"
    )
    problems, pressed = harness.take(page, path, tmp_path)
    assert [line for line in problems if not NOT_OURS.search(line)] == []
    assert pressed == 23  # of 22 controls: what starts Play then pauses it
    # what axe finds in ipywidgets' own controls counts as a problem: so there are pictures
    assert (tmp_path / "good-after.png").stat().st_size > 10_000
    shown = page.locator(".widget-html-content b").first.inner_text()
    names = [
        "Accordion",
        "Tab",
        "back",
        "count",
        "hold",
        "kind",
        "mode",
        "name",
        "note",
        "on",
        "pick",
        "play",
        "range",
        "slot",
        "step",
        "way",
    ]
    assert shown == str(names)


@pytest.fixture(scope="module")
def report(lab, desk):
    """What is said of a lesson in which everything is broken."""
    path = write(lab, "broken", *(source for source, _ in BROKEN.values()))
    problems, _ = harness.take(desk.page(), path)
    desk.clear()
    return problems


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_reported(what, report):
    expected = BROKEN[what][1]
    cell = f"cell {list(BROKEN).index(what) + 1}: "
    if what == "a widget that becomes blank":
        cell = f"after pressing: {cell}"
    start = "" if expected.startswith(OF_THE_PAGE) else cell
    assert [line for line in report if line.startswith(start) and expected in line], report


def test_a_good_cell_beside_broken_ones_is_not_reported(report):
    harmless = list(BROKEN).index("an error on the console") + 1
    assert not [line for line in report if f"cell {harmless}:" in line]


def kernels(lab):
    """The kernels that JupyterLab has running."""
    request = Request(f"{lab.address}/api/kernels", headers={"Authorization": f"token {lab.token}"})
    with urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_a_control_under_something_else_is_not_pressed(page, lab):
    source = BUTTON.format("0") + (
        "w.VBox([b, w.HTML('<div style=\"position: fixed; inset: 0; z-index: 9999\">x</div>')])"
    )
    problems, pressed = harness.take(page, write(lab, "covered", source))
    assert [line for line in problems if "cannot be pressed: it is covered by <div" in line]
    assert pressed == 0


def test_a_callback_that_never_ends_is_reported_and_ends_with_its_kernel(
    page, desk, lab, monkeypatch
):
    monkeypatch.setattr(harness, "STEP_SECONDS", 8)
    path = write(lab, "endless", "import time\n" + BUTTON.format("time.sleep(1000)") + "b")
    problems, _ = harness.take(page, path)
    assert [line for line in problems if "cell 1: button 'go': cannot be pressed" in line]
    assert len(problems) < 4
    assert len(kernels(lab)) == 1
    desk.clear()
    assert kernels(lab) == []
