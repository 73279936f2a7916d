"""Binder's files agree with each other and with the project."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BINDER = ROOT / "binder"


def test_the_requirements_install_the_project_with_its_pins():
    lines = (BINDER / "requirements.txt").read_text().split("\n")
    # pip takes -c from the requirements file's folder, and -e from where it runs: the checkout
    assert lines == ["-c ../constraints.txt", "-e .", ""]
    assert (BINDER / "../constraints.txt").resolve() == ROOT / "constraints.txt"
    assert (ROOT / "constraints.txt").is_file()
    assert (ROOT / "pyproject.toml").is_file()


def test_the_python_is_one_that_the_project_supports():
    major, minor = re.fullmatch(
        r"python-(\d+)\.(\d+)\n", (BINDER / "runtime.txt").read_text()
    ).groups()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = re.fullmatch(r">=(\d+)\.(\d+)", project["requires-python"]).groups()
    assert (int(major), int(minor)) >= tuple(map(int, oldest))


def test_the_packages_are_names():
    names = (BINDER / "apt.txt").read_text().split()
    assert "qemu-system-x86" in names
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name) for name in names)


@pytest.mark.parametrize("script", ["binder/postBuild", ".ci/run"])
def test_scripts_are_executable_and_parse(script):
    assert os.access(ROOT / script, os.X_OK)
    assert (ROOT / script).read_text().startswith("#!/bin/bash\n")
    subprocess.run(["bash", "-n", script], cwd=ROOT, check=True, timeout=20)


def test_the_first_page_is_a_lesson_that_exists():
    text = (BINDER / "postBuild").read_text()
    (page,) = re.findall(r'"default_url": "/lab/tree/([^"]+)"', text)
    assert (ROOT / page).is_file()
    assert Path(page).name.startswith("00_")
    readme = (ROOT / "README.md").read_text()
    for linked in re.findall(r"urlpath=lab/tree/([\w./-]+)", readme.replace("%2F", "/")):
        assert linked == page
