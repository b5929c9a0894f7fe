"""lm-evaluation-harness with plans: ``import tilewright.lm_eval`` registers its model ``tilewright``.

    python -m tilewright.lm_eval run --model tilewright --model_args plan=PLAN,time=1mo,seed=3 --tasks piqa

is lm-eval's own command line, ``lm_eval``, with this model.
"""

import sys

from tilewright.targets.errors import InputError

try:
    from lm_eval.api.registry import register_model
except ImportError as error:
    raise ImportError(
        f"tilewright.lm_eval needs lm-evaluation-harness ({error}); install it: pip install 'tilewright[lm-eval]'"
    ) from error

import lm_eval.models  # noqa: F401 - its own models must be there first: it registers them where it finds none

from tilewright.runtime.tasks.language.lm_eval_model import TilewrightLM

__all__ = ["TilewrightLM"]

register_model("tilewright")(TilewrightLM)


def main() -> None:
    """Run the command line of lm-eval; wrong input of tilewright is one sentence and exit code 2."""
    from lm_eval.__main__ import cli_evaluate

    try:
        cli_evaluate()
    except InputError as error:
        sys.exit(_refused(error))


def _refused(error: InputError) -> int:
    print(error, file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
