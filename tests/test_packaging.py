"""One package root: names that editors follow, rooms that import whom they may, wheel and sdist complete."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import jedi
import pytest

import tilewright
from tilewright.runtime.chip.kernels import native

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src/tilewright"
KERNELS = "runtime/chip/kernels"
SOURCES = f"{KERNELS}/source/"


def modules():
    """Every file of the package, by its path below src/: the three folders are links."""
    return sorted(
        path for room in (PACKAGE, *(p for p in PACKAGE.iterdir() if p.is_dir())) for path in room.rglob("*.py")
    )


@pytest.mark.parametrize(
    ("name", "where", "line"),
    [
        ("compile", "compiler/driver.py", "def compile("),
        ("Session", "runtime/execution/session.py", "class Session"),
        ("load", "runtime/plan/plan.py", "def load("),
        ("InputError", "targets/errors.py", "class InputError"),
    ],
)
def test_editors_follow_public_names(name, where, line):
    (found,) = jedi.Script(f"import tilewright\ntilewright.{name}\n").goto(2, len("tilewright.x"), follow_imports=True)
    assert found.module_path == PACKAGE / where
    assert found.module_path.read_text().splitlines()[found.line - 1].startswith(line)


def test_nothing_hooks_into_imports():
    """An editable install is a path: what is imported lies where the names say."""
    assert Path(tilewright.__file__) == PACKAGE / "__init__.py"
    assert not any("editable" in type(finder).__module__ or "editable" in str(finder) for finder in sys.meta_path)


def test_rooms_import_whom_they_may():
    """The table is in pyproject.toml."""
    script = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", script, "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_files_stay_short():
    for path in modules():
        assert len(path.read_text().splitlines()) <= 400, f"{path} is long: one file, one idea"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source distribution of what git knows, unpacked; and the wheel that is made from it."""
    place = tmp_path_factory.mktemp("built")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for name in listed:
        path, copy = ROOT / name, place / "source" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            copy.symlink_to(path.readlink())
        elif path.is_file():
            copy.write_bytes(path.read_bytes())
    script = f"from setuptools import build_meta; build_meta.build_sdist({str(place)!r})"
    subprocess.run([sys.executable, "-c", script], cwd=place / "source", check=True, capture_output=True)
    (archive,) = place.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(place, filter="data")
    sdist = place / archive.name.removesuffix(".tar.gz")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", place, sdist]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    return sdist, wheel, listed


def test_the_source_distribution_is_complete(built):
    """Everything that git knows, but for what the repository alone needs; the three folders below src/."""
    sdist, _, listed = built
    alone = (".ci/", ".git", "src/tilewright/compiler", "src/tilewright/runtime", "src/tilewright/targets")
    for name in listed:
        if name.startswith(alone) or not (ROOT / name).is_file():
            continue
        path = f"src/tilewright/{name}" if name.startswith(("compiler/", "runtime/", "targets/")) else name
        assert (sdist / path).is_file(), f"the source distribution lacks {path}"


def test_tests_of_the_source_distribution_run(built):
    sdist, _, _ = built
    which = ["tests/targets/test_pcm.py", "tests/test_docs.py", "tests/test_schemas.py"]
    script = "import os, sys, pytest; sys.path.insert(0, os.path.abspath('src')); sys.exit(pytest.main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", script, "-q", "-p", "no:cacheprovider", *which],
        cwd=sdist, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    collected = subprocess.run(
        [sys.executable, "-c", script, "-q", "--collect-only", "-p", "no:cacheprovider", "tests"],
        cwd=sdist, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert collected.returncode == 0, collected.stdout


def test_the_wheel_works_on_its_own(built, tmp_path):
    """The wheel holds every file of the package, and all of it is imported from where it is installed."""
    _, wheel, listed = built
    listed = [name for name in listed if not name.startswith(SOURCES)]
    data = {Path(name).suffix for name in listed if name.startswith(("compiler/", "runtime/", "targets/"))}
    assert data == {".py", ".css", ".j2", ".js", ".tsv", ".txt", ".yaml"}  # a new kind goes into package-data
    with zipfile.ZipFile(wheel) as file:
        held = {name for name in file.namelist() if name.startswith("tilewright/")}
    library = {name for name in held if name.startswith(f"tilewright/{KERNELS}/_native")}
    assert len(library) == (native.kernels().library is not None)  # built here just where it was built before
    held -= library
    wanted = {f"tilewright/{name}" for name in listed if name.startswith(("compiler/", "runtime/", "targets/"))}
    assert held == {name for name in wanted if (ROOT / name.removeprefix("tilewright/")).is_file()} | {
        "tilewright/__init__.py",
        "tilewright/__init__.pyi",
        "tilewright/__main__.py",
        "tilewright/lm_eval.py",
        "tilewright/py.typed",
    }
    place = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", place, wheel]
    subprocess.run(install, check=True)
    names = sorted({".".join(path.parent.relative_to(ROOT / "src").parts) for path in modules()})
    script = (
        f"import sys; sys.path.insert(0, {str(place)!r})\n"
        "import importlib, tilewright\n"
        f"for name in {names!r}:\n"
        "    module = importlib.import_module(name)\n"
        f"    assert module.__file__.startswith({str(place)!r}), module.__file__\n"
        "for name in tilewright.__all__:\n"
        "    getattr(tilewright, name)\n"
        "from importlib.resources import files\n"
        "from tilewright.targets.loading import load_document, target_names\n"
        "assert set(target_names()) >= {'pcm-512', 'ideal'}\n"
        "for name in target_names():\n"
        "    load_document(name)\n"
        "assert files('tilewright.compiler.samples').joinpath('sentence_pairs.tsv').read_text()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
