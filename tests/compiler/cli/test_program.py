"""The program ends well where its streams are closed, full, or lack letters."""

import io
import json
import os
import subprocess
import sys

import pytest

from tilewright.compiler.cli import main, streams

PROGRAM = [sys.executable, "-c", "from tilewright.compiler.cli import main; main()"]


def shell(redirection, *arguments):
    """Run the program as a shell would. Returns (code, standard output, standard error)."""
    command = ["bash", "-c", f'"$@" {redirection}', "-", *PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_closed_streams_are_nowhere(tmp_path):
    written = tmp_path / "written"
    assert shell(f"<&- >&- 2>&- 3>{written}", "targets", "--kind", "cost") == (0, "", "")
    assert written.read_text() == "", "what is closed must not become a file that is open"


def test_a_full_disk_behind_a_small_output():
    code, _, said = shell(">/dev/full", "targets", "--kind", "cost", "--json")
    assert (code, said) == (2, "error: the output cannot be written or used: No space left on device\n")


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run the program in this process with streams of its own; returns (code, standard output as bytes)."""

    def run(encoding, *arguments):
        out, errors = io.BytesIO(), io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding=encoding))
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(errors, encoding=encoding))
        monkeypatch.setattr(sys, "argv", ["tilewright", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            main()
        assert b"Traceback" not in errors.getvalue()
        return leaving.value.code or 0, out.getvalue()

    monkeypatch.chdir(tmp_path)
    return run


def test_letters_that_an_encoding_lacks_are_escaped(run, small_plan_folder):
    for encoding in ("ascii", "latin-1", "utf-8"):
        code, out = run(encoding, "targets", "pcm-512", "--json")
        assert code == 0
        assert json.loads(out)["name"] == "pcm-512"
        assert run(encoding, "report", small_plan_folder)[0] == 0
    assert "plan\\udcff.html".encode("ascii", streams.ESCAPED) == b"plan\\udcff.html"
    assert "\udcff σ 😀".encode("ascii", streams.ESCAPED) == b"\\udcff \\u03c3 \\ud83d\\ude00"
    assert json.loads(f'"{"σ 😀".encode("ascii", streams.ESCAPED).decode()}"') == "σ 😀"


def test_names_that_are_not_utf_8(run, small_plan_folder, tmp_path):
    name = os.fsdecode(b"x\xff.html")
    assert run("utf-8", "report", small_plan_folder, "-o", name)[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert run("utf-8", "report", os.fsdecode(b"\xff"))[0] == 2


@pytest.mark.parametrize("columns", ["0", "1", "x", "-5"])
def test_odd_widths(run, small_plan_folder, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.delenv("HOME", raising=False)
    assert run("utf-8", "report", small_plan_folder)[0] == 0


def test_no_permission_and_no_memory_are_sentences(run, monkeypatch, small_plan_folder):
    from tilewright.compiler.report import formats

    for problem, code in ((PermissionError(13, "Permission denied", "x"), 2), (MemoryError(), 2)):

        def fail(*_, problem=problem):
            raise problem

        monkeypatch.setitem(formats.WRITERS, "json", fail)
        assert run("utf-8", "report", small_plan_folder, "--json")[0] == code
