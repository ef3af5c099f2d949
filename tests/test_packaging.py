"""What is built can be installed: sdist and wheel, each in an environment of its own, without dependencies"""
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import lewm_nb

root = Path(__file__).resolve().parent.parent
NOT_NEEDED = ".*", "runs", "data", "docs", "nbs", "__pycache__", "*.egg-info", "build", "dist"


ELSEWHERE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(*command, at):
    done = subprocess.run([*map(str, command)], cwd=at, env=ELSEWHERE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packaging")
    shutil.copytree(root, folder / "copy", ignore=shutil.ignore_patterns(*NOT_NEEDED))
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, at=folder / "copy")
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def test_they_hold_what_they_need(built):
    sdist, wheel = built
    with tarfile.open(sdist) as f: inside = {name.partition("/")[2] for name in f.getnames()}
    assert {"settings.ini", "LICENSE", "lewm_nb/book.mplstyle", "lewm_nb/workbench/results.py"} <= inside
    with zipfile.ZipFile(wheel) as f:
        assert {"lewm_nb/book.mplstyle", "lewm_nb/workbench/results.py"} <= set(f.namelist())
        facts = f.read(next(n for n in f.namelist() if n.endswith("METADATA"))).decode()
    assert "example.org" not in facts and "Classifier: Programming Language :: Python :: 3.10" in facts


@pytest.mark.parametrize("kind", (0, 1), ids=("sdist", "wheel"))
def test_they_install(built, kind, tmp_path):
    venv.create(tmp_path, with_pip=False)
    python = next(p for p in (tmp_path / "bin/python", tmp_path / "Scripts/python.exe") if p.exists())
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--no-build-isolation",
        "--ignore-installed", "--prefix", tmp_path, built[kind], at=tmp_path)
    assert run(python, "-c", "import lewm_nb; print(lewm_nb.__version__)", at=tmp_path) == lewm_nb.__version__
    assert (python.parent / "lewm_nb").exists() or (python.parent / "lewm_nb.exe").exists()
