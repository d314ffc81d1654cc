"""The packages that are installed: of this tree, and of the same tree at its next version."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from tests.system.root import BUILD

HERE = Path(__file__).parents[2]
PYTHON = "311"  # of the root's Debian
VERSION = re.compile(r'^version = "(\d+\.\d+\.)(\d+)"$', re.MULTILINE)
Alter: TypeAlias = Callable[[Path], None]
SHARED = ("build/wheels", "build/deb/tools")  # downloads, and what builds


def package_of(tree: Path) -> Path:
    """As `make deb` makes it. Raises CalledProcessError."""
    done = subprocess.run(
        [sys.executable, tree / "deploy/deb/build.py", "--python", PYTHON],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return tree / done.stdout.partition(":")[0]


def next_tree() -> Path:
    """A copy of this tree that says it is the next version; downloads are shared."""
    tree = BUILD / "next"
    shutil.rmtree(tree, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=HERE,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    for name in listed.stdout.split("\0"):
        if (HERE / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(HERE / name, tree / name)
    for name in SHARED:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).symlink_to(HERE / name)
    project = tree / "pyproject.toml"
    project.write_text(VERSION.sub(lambda one: f'version = "{one[1]}{int(one[2]) + 1}"', project.read_text()))
    return tree


def altered(package: Path, folder: Path, alter: Alter) -> Path:
    """The same package after something was done to its files, which lie in the folder that `alter` gets."""
    tree, deb = folder / "altered", folder / "altered.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    alter(tree)
    subprocess.run(["dpkg-deb", "-Znone", "--build", tree, deb], stdout=subprocess.DEVNULL, check=True)
    shutil.rmtree(tree)
    return deb


def version_of(package: Path) -> str:
    """Of the program in it: `0.1.0` of plumbline_0.1.0+py311_amd64.deb."""
    return package.name.split("_")[1].partition("+")[0]
