"""The floor of coverage is one of lines and one of branches, not of both together."""

import json
import sys

import pytest

from tests.coverage_floor import main


def summary(lines, branches):
    return {"covered_lines": lines, "num_statements": 100, "covered_branches": branches, "num_branches": 100}


@pytest.mark.parametrize(("lines", "branches", "code"), [(92, 85, 0), (100, 84, 1), (91, 100, 1)])
def test_both_have_a_floor(lines, branches, code, tmp_path, monkeypatch, capsys):
    files = {"a.py": {"summary": summary(91, 90)}, "b.py": {"summary": summary(95, 90)}}
    files["c.py"] = {"summary": {"covered_lines": 0, "num_statements": 0, "covered_branches": 0, "num_branches": 0}}
    path = tmp_path / "coverage.json"
    path.write_text(json.dumps({"totals": summary(lines, branches), "files": files}))
    monkeypatch.setattr(sys, "argv", ["coverage_floor", str(path)])
    assert main() == code
    printed = capsys.readouterr().out
    assert "1 of 3 files" in printed
    assert "a.py" in printed
    assert "b.py" not in printed
