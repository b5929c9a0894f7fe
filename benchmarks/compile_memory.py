"""Peak memory and time of compiling a model, beside what importing torch alone takes. Linux.

python benchmarks/compile_memory.py MODEL_FOLDER
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def measure(*arguments: str) -> tuple[float, float]:
    """(peak resident MB, seconds) of a Python process with these arguments. Run first what takes least."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, time.perf_counter() - started


def main() -> None:
    """Measure and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    options = parser.parse_args()
    size = sum(path.stat().st_size for path in Path(options.model).glob("*.safetensors")) / 2**20
    torch_peak, _ = measure("-c", "import torch")
    tracing = "import torch._dynamo, torch.export, transformers.exporters.exporter_dynamo; transformers.BertModel"
    tracing_peak, _ = measure("-c", f"import transformers; {tracing}")
    with tempfile.TemporaryDirectory() as folder:
        program = "from tilewright.compiler.cli import main; main()"
        peak, seconds = measure("-c", program, "compile", options.model, "-o", f"{folder}/plan")
    result = {
        "model_MB": round(size),
        "peak_MB": round(peak),
        "importing_torch_MB": round(torch_peak),
        "importing_torch_and_the_exporters_MB": round(tracing_peak),
        "above_importing_torch_in_model_sizes": round((peak - torch_peak) / size, 2),
        "above_importing_the_exporters_in_model_sizes": round((peak - tracing_peak) / size, 2),
        "seconds": round(seconds, 1),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
