"""The three folders under one name: nothing forgotten in the wheel, nobody imports what he may not."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("compiler", "runtime", "targets")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def packages_on_disk():
    found = {"tilewright"}
    for room in ROOMS:
        for path in (ROOT / room).rglob("__init__.py"):
            relative = path.parent.relative_to(ROOT)
            if relative != Path("compiler/facade"):
                found.add("tilewright." + ".".join(relative.parts))
    return found


def test_the_list_of_packages_is_the_folders_on_disk():
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages_on_disk()


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_rooms_import_only_those_they_may():
    forbidden = {"targets": ("runtime", "compiler"), "runtime": ("compiler",)}
    for room, others in forbidden.items():
        for path in (ROOT / room).rglob("*.py"):
            for name in imports_of(path):
                assert not name.startswith(tuple(f"tilewright.{other}" for other in others)), f"{path} imports {name}"
                assert name.split(".")[0] not in ("transformers", "onnx", "typer", "rich"), f"{path} imports {name}"


def test_files_stay_short():
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 400, f"{path} is long: one file, one idea"


def test_the_wheel_works_on_its_own(tmp_path):
    """Build it, unpack it elsewhere, and import every package and read every target from there."""
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", tmp_path, "."]
    source = tmp_path / "source"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for name in listed:
        if (ROOT / name).is_file() and not name.startswith(".namespace"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(build, cwd=source, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    place = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", place, wheel]
    subprocess.run(install, check=True)
    names = sorted(packages_on_disk())
    script = (
        f"import sys; sys.path.insert(0, {str(place)!r})\n"
        "import importlib, tilewright\n"
        f"assert tilewright.__file__.startswith({str(place)!r}), tilewright.__file__\n"
        f"for name in {names!r}:\n"
        "    module = importlib.import_module(name)\n"
        f"    assert module.__file__.startswith({str(place)!r}), module.__file__\n"
        "from importlib.resources import files\n"
        "from tilewright.targets import load_document, target_names\n"
        "assert set(target_names()) >= {'pcm-512', 'ideal'}\n"
        "for name in target_names():\n"
        "    load_document(name)\n"
        "assert files('tilewright.compiler.samples').joinpath('sentence_pairs.tsv').read_text()\n"
        "assert files('tilewright.targets').joinpath('py.typed').is_file()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
