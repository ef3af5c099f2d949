"""Exit with 1 unless lewm_nb/ is what nbdev exports from nbs/: python tests/exported.py"""
import filecmp
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

root = Path(__file__).resolve().parent.parent


def sources(package: Path) -> dict:
    return {p.relative_to(package).as_posix(): p for p in package.rglob("*.py")}


def main():
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(root, copy, ignore=lambda at, names: [n for n in names if n in (".git", ".venv", ".parity", "runs", "data", "__pycache__")])
        subprocess.run([shutil.which("nbdev_export") or str(Path(sys.executable).parent / "nbdev_export")], cwd=copy, check=True)
        have, want = sources(root / "lewm_nb"), sources(copy / "lewm_nb")
        differ = [n for n in sorted(have.keys() | want.keys()) if n not in have or n not in want or not filecmp.cmp(have[n], want[n], shallow=False)]
    if differ: sys.exit(f"lewm_nb/ is not the export of nbs/ in {', '.join(differ)}: run nbdev_export and commit")
    print(f"lewm_nb/ is the export of nbs/ ({len(have)} files)")


if __name__ == "__main__": main()
