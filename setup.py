"Packaging reads settings.ini, so that the notebooks and the package share one set of facts."
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

root = Path(__file__).parent
parser = ConfigParser(delimiters=["="])
parser.read(root / "settings.ini", encoding="utf-8")
facts = parser["DEFAULT"]

setup(
    name=facts["lib_name"],
    version=facts["version"],
    description=facts["description"],
    author=facts["author"],
    license="Apache-2.0",
    keywords=facts["keywords"].split(),
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 15)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    packages=find_packages(include=[facts["lib_path"], facts["lib_path"] + ".*"]),
    package_data={facts["lib_path"]: ["*.mplstyle"]},
    python_requires=">=" + facts["min_python"],
    install_requires=facts["requirements"].split(),
    extras_require={"dev": facts["dev_requirements"].split(), "hdf5": facts["hdf5_requirements"].split()},
    entry_points={
        "console_scripts": [f"{facts['lib_name']}={facts['lib_name']}.__main__:main"],
        "nbdev": [f"{facts['lib_name']}={facts['lib_name']}._modidx:d"],
    },
    long_description=(root / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    zip_safe=False,
)
