"""Exit with 1 unless lewm_nb/ is what nbdev exports from nbs/: python tests/exported.py"""
import filecmp
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

root = Path(__file__).resolve().parent.parent


SKIP = ".git", ".venv", ".parity", ".worlds", ".metaworld", "runs", "data", "__pycache__"


def sources(package: Path) -> dict:
    return {p.relative_to(package).as_posix(): p for p in package.rglob("*.py")}


def main():
    export = shutil.which("nbdev_export") or Path(sys.executable).parent / "nbdev_export"
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(root, copy, ignore=lambda at, names: [n for n in names if n in SKIP])
        subprocess.run([export], cwd=copy, check=True)
        have, want = sources(root / "lewm_nb"), sources(copy / "lewm_nb")
        differ = [name for name in sorted(have.keys() | want.keys()) if name not in have or name not in want
                  or not filecmp.cmp(have[name], want[name], shallow=False)]
    if differ: sys.exit(f"lewm_nb/ is not the export of nbs/ in {', '.join(differ)}: run nbdev_export")
    print(f"lewm_nb/ is the export of nbs/ ({len(have)} files)")


if __name__ == "__main__": main()
