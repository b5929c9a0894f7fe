"""A child's work: mutants one after the other under limits of memory and time, a line to its parent for each."""

import contextlib
import faulthandler
import gc
import io
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.kinds import KINDS
from tests.fuzz.verdict import Fell, Verdict, of_exception
from tilewright.targets.errors import InputError

MIB = 2**20
ADDRESS_SPACE = 3 * 2**30
"""Bytes of address space that a child may take beyond what its parent had: more and an allocation fails."""
LARGEST_FILE = 2**31
"""Bytes that may be written into a file."""


def run_range(kind, seeds, report, last_words, folder):
    """Run mutants in a forked child.

    report, last_words: open files; a crash is told by what is missing in the first.
    """
    limit(last_words)
    tempfile.tempdir = str(folder.parent)  # what a killed child leaves goes with it
    for seed in seeds:
        report.write(f"begun {seed}\n")
        report.flush()
        last_words.seek(0)
        last_words.truncate()
        verdict = run_one(kind, seed, folder)
        report.write(verdict.to_json() + "\n")
        report.flush()


def run_one(kind, seed, folder):
    """Make and try one mutant in this process; ``folder`` is its own and is empty."""
    verdict = Verdict(kind, seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    before = _reset_peak()
    started = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, KINDS[kind].seconds)
    try:
        with caught_output():
            verdict.ended = KINDS[kind].run(seed, folder)
    except InputError as error:
        verdict.ended = "refused"
        if "\n" in str(error):
            verdict.fell, verdict.message = "refusal of many lines", str(error)[:300]
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 (a finding, whatever it is)
        verdict.fell, verdict.place, verdict.message = of_exception(error)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    verdict.seconds = round(time.process_time() - started, 3)
    verdict.mib = round(max(0, _peak() - before) / MIB, 1)
    if not verdict.fell and verdict.mib > KINDS[kind].growth:
        verdict.fell, verdict.message = "memory", f"{verdict.mib:.0f} MiB"
    if verdict.mib > 256:
        gc.collect()
    return verdict


@contextlib.contextmanager
def caught_output():
    """Catch what is printed meanwhile, as strictly encoded as a terminal's."""
    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    try:
        yield sys.stdout, sys.stderr
    finally:
        sys.stdout, sys.stderr = kept


def limit(last_words):
    """Limit what this process may take. A crash, and SIGPROF when its time is up, are told in the file last_words."""
    faulthandler.enable(last_words, all_threads=False)
    faulthandler.register(signal.SIGPROF, last_words, all_threads=False, chain=True)  # and the default of it is to die
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + ADDRESS_SPACE, most))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _reset_peak():
    """Begin to look for the largest memory anew. Returns what is taken now."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak():
    return _status("VmHWM")


def _status(key):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise Fell("fuzzer", f"/proc/self/status has no {key}")
