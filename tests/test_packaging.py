"""What is installed, and with which versions, is written down once and names no registry."""

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PINS = (ROOT / "constraints.txt").read_text().splitlines()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ELSEWHERE = re.compile(r"://|file:|--(extra-)?index|--find-links|^-|@")


def name_of(requirement):
    """The normalised name at the start of a requirement."""
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-").replace(".", "-")


def test_every_line_of_the_constraints_is_a_pin():
    assert [
        line
        for line in PINS
        if not re.fullmatch(r"[\w.-]+==[\w.]+( ; .+)?", line) or ELSEWHERE.search(line)
    ] == []


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://index.invalid/simple",
        "--find-links /wheels",
        "a @ file:///wheels/a.whl",
        "-e .",
        "--extra-index-url x",
    ],
)
def test_the_guard_sees_a_registry(line):
    assert ELSEWHERE.search(line)


def test_every_direct_dependency_is_pinned_at_or_above_its_floor():
    pins = {}
    for line in PINS:
        name, version = re.match(r"([\w.-]+)==([\w.]+)", line).groups()
        pins.setdefault(name_of(name), []).append(tuple(map(int, version.split("."))))
    wanted = PROJECT["dependencies"] + [
        requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra
    ]
    for requirement in wanted:
        floor = tuple(map(int, re.search(r">=([\d.]+)", requirement)[1].split(".")))
        assert all(pin >= floor for pin in pins[name_of(requirement)]), requirement


def test_jupyterlab_asks_for_no_news():
    path = ROOT / "etc/jupyter/labconfig/default_setting_overrides.json"
    settings = json.loads(path.read_text())["@jupyterlab/apputils-extension:notification"]
    assert settings == {"fetchNews": "false", "checkForUpdates": False}


def test_no_setting_of_this_project_names_a_registry_or_a_machine():
    for name in (
        "pyproject.toml",
        "Makefile",
        ".ci/run",
        "binder/requirements.txt",
        "binder/postBuild",
        "binder/apt.txt",
    ):
        text = (ROOT / name).read_text()
        assert not re.search(r"https?://|file:/|/home/|/root/", text), name
