"""The program starts without what only its work needs, and a shell can complete its words."""

import os
import subprocess
import sys

import pytest

import tilewright
from tilewright.targets.loading import target_names

LARGE = ("torch", "scipy", "transformers", "onnx", "jinja2", "matplotlib")
COMMANDS = (
    "compile", "report", "explain", "diff", "operations", "sensitivity", "assign", "cost", "run", "generate",
    "evaluate", "train", "results", "study", "pareto", "ablate", "sweep", "characterize", "export", "targets", "doctor",
    "adapter",
)  # fmt: skip
SCRIPT = """
import sys
sys.argv = ["tilewright", *sys.argv[1:]]
from tilewright.compiler.cli import main
try:
    main()
except SystemExit as leaving:
    loaded = sorted({name.partition(".")[0] for name in sys.modules} & set(LARGE) | set(MODULES) & set(sys.modules))
    print("loaded", loaded, file=sys.stderr)
    raise
"""


def program(*arguments, large=LARGE, modules=(), **environment):
    """Run the program in a process of its own. Returns (standard output, what it loaded of what is large)."""
    script = f"LARGE, MODULES = {large!r}, {modules!r}\n{SCRIPT}"
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True, text=True, check=False, env=os.environ | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr.rpartition("loaded ")[2].strip()


def completed(*words):
    """Words that bash would offer for the last of these."""
    line = " ".join(["tilewright", *map(str, words)])
    out, loaded = program(_TILEWRIGHT_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words)))
    assert loaded == "[]"
    return out.split()


def test_the_program_is_a_module_too():
    done = subprocess.run([sys.executable, "-m", "tilewright", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == tilewright.__version__


def test_importing_the_command_line_loads_nothing_large():
    script = (
        "import sys, tilewright.compiler.cli, tilewright.compiler.cli.app\n"
        f"assert not set({LARGE}) & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["targets"], ["targets", "--json"], ["targets", "pcm-512"],
     ["targets", "pcm-512-mixed", "--set", "attention.unit.operands=bf16", "--json"], ["--show-completion", "bash"]],
    ids=" ".join,
)  # fmt: skip
def test_what_needs_no_torch_loads_none(arguments):
    out, loaded = program(*arguments, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert out
    assert loaded == "[]"


def test_help_of_every_command_loads_nothing_large():
    """One process for all of them: what is loaded stays loaded."""
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from tilewright.compiler.cli.app import app\n"
        "run = CliRunner().invoke\n"
        f"for command in {COMMANDS}:\n"
        "    done = run(app, [command, '--help'])\n"
        "    assert done.exit_code == 0 and command in done.output, done.output\n"
        "known = [command.name for command in [*app.registered_commands, *app.registered_groups]]\n"
        "assert sorted(known) == sorted(COMMANDS)\n"
        f"assert not set({LARGE}) & set(sys.modules), set({LARGE}) & set(sys.modules)\n"
    ).replace("COMMANDS)", f"{COMMANDS})")
    subprocess.run([sys.executable, "-c", script], check=True)


def test_reports_and_costs_load_no_compiler_of_torch(small_plan_folder):
    """They run the graph on shapes, and torch's kernels for shapes would load it."""
    modules = ("torch._dynamo", "torch._inductor")
    for command in ("report", "cost", "operations"):
        out, loaded = program(command, small_plan_folder, large=("transformers", "onnx", "jinja2"), modules=modules)
        assert out
        assert loaded == "[]"


def test_bash_completes_commands_options_and_names(small_plan_folder):
    assert completed("comp") == ["compile"]
    assert set(completed("compile", "--")) >= {"--target", "--calibration", "--check", "--force"}
    assert completed("compile", "m", "--target", "pcm-512-mi") == ["pcm-512-mixed"]
    assert completed("targets", "") == target_names()
    assert completed("targets", "--kind", "a") == ["analog", "attention"]
    assert completed("characterize", "pcm-512", "digital") == [
        name for name in target_names("analog", "digital") if name.startswith("digital")
    ]
    assert completed("compile", "m", "--programming", "pairs-2") == ["pairs-2"]
    assert completed("cost", small_plan_folder, "--preset", "proj") == ["projected-14nm"]
    assert completed("report", "plan", "--format", "csv") == ["csv", "csv-summary"]
    assert completed("sensitivity", "plan", "--criterion", "g") == ["gradient"]
    assert completed("assign", "plan", "--method", "") == ["exact", "macs", "rank"]
    plan = tilewright.load(small_plan_folder)
    names = [layer.name for layer in plan.document.layers] + [matmul.name for matmul in plan.document.matmuls]
    assert completed("explain", small_plan_folder, "") == names
    assert completed("explain", "nowhere", "") == []


def test_completion_is_installed_and_shown(tmp_path):
    shell = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "HOME": str(tmp_path)}
    out, _ = program("--install-completion", "bash", **shell)
    assert "bash completion installed" in out
    (written,) = (tmp_path / ".bash_completions").iterdir()
    assert "complete" in written.read_text()
    assert str(written) in (tmp_path / ".bashrc").read_text()
    assert "_TILEWRIGHT_COMPLETE" in program("--show-completion", "bash", **shell)[0]
    assert "#compdef tilewright" in program("--show-completion", "zsh")[0], "not that of the shell around it"
