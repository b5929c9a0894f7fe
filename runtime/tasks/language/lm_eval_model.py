"""Plans as models of lm-evaluation-harness; loaded only where the package ``lm_eval`` is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window, simple_parse_args_string

from tilewright.runtime.execution.session import Session
from tilewright.runtime.plan.plan import load
from tilewright.runtime.tasks.language.causal_text import CausalTextEncoder, Pair
from tilewright.runtime.tasks.language.continuations import Answer, Continuations
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.limits import check_flags, check_seed, check_whole

ARGUMENTS = ("plan", "time", "seed", "repeat", "ideal", "drift_compensation", "batch_size", "max_length", "adapter")
NOT_USED = ("device", "max_batch_size")
"""Arguments that lm-eval gives to every model."""
NO_GENERATION = "a plan cannot generate text yet (it has no KV cache): choose tasks of log-likelihoods, as {} is not"


class PlanLM(TemplateLM):  # type: ignore[misc]
    """Language model of lm-eval: its requests become pairs of a context and a continuation, which are scored together.

    Texts are split, cut and windowed as lm-eval's own ``HFLM`` does.
    """

    def __init__(self, encoder: CausalTextEncoder, score: Callable[[list[Pair]], list[Answer]]) -> None:
        """Take the plan's encoder, and a function from pairs to their answers."""
        super().__init__()
        self.encoder, self.score = encoder, score

    @property
    def eot_token_id(self) -> int:
        """Id of the token that ends a text."""
        return self.encoder.end_token

    @property
    def prefix_token_id(self) -> int:
        """Id of the token that is the context of texts without one."""
        return self.encoder.first_token

    @property
    def max_length(self) -> int:
        """Tokens that are read at once."""
        return self.encoder.longest

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Ids of the tokens of a text."""
        return self.encoder.tokens(string, special=add_special_tokens)

    def _loglikelihood_tokens(self, requests: Sequence[tuple[Any, list[int], list[int]]], **_: Any) -> list[Answer]:
        return self.score([(context, found) for _, context, found in requests])

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood of each text as a whole [nats], in windows that lose as little context as can be."""
        windows = [self._windows(*request.args) for request in requests]
        answers = self.score([window for several in windows for window in several])
        ends = accumulate(map(len, windows), initial=0)
        return [sum(likelihood for likelihood, _ in answers[start:end]) for start, end in pairwise(ends)]

    def _windows(self, text: str) -> list[Pair]:
        windows = get_rolling_token_windows(
            token_list=self.tok_encode(text),
            prefix_token=self.prefix_token_id,
            max_seq_len=self.max_length,
            context_len=1,
        )
        return [make_disjoint_window(window) for window in windows]

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Refusal, as ``InputError``: plans do not generate text yet."""
        raise InputError(NO_GENERATION.format(repr(requests[0].task_name) if requests else "generate_until"))


class TilewrightLM(PlanLM):
    """A plan on one programmed chip at one time, as lm-eval's model ``tilewright``."""

    def __init__(
        self,
        plan: str,
        time: str | float = "1s",
        seed: int = 0,
        *,
        repeat: int = 0,
        ideal: bool = False,
        drift_compensation: bool = True,
        batch_size: int | str = 1,
        max_length: int | None = None,
        adapter: str | None = None,
        **others: Any,
    ) -> None:
        """Load a plan and program the chip.

        plan: its folder. time: since programming, in seconds or as text ("1mo"). seed, repeat: which chip. ideal: run
        the digital reference instead. drift_compensation: False leaves the drift as it is. batch_size: samples at
        once, which change no result. max_length: tokens that are read at once; the plan's own limit if None, or its
        tokenizer's, or 2048. adapter: one of the plan's. Raises ``InputError`` for what cannot be used.
        """
        for name in others:
            if name not in NOT_USED:
                raise InputError(f"there is no model argument {name!r}; {nearest(name, ARGUMENTS)}")
        batch_size = int(batch_size) if isinstance(batch_size, str) and batch_size.isdecimal() else batch_size
        check_whole("batch_size", batch_size)
        check_seed(seed)
        check_whole("repeat", repeat, least=0)
        check_flags(ideal=ideal, drift_compensation=drift_compensation)
        loaded = load(str(plan)).adapted(adapter)
        super().__init__(CausalTextEncoder(loaded, max_length), self._scored)
        self.batch_size = int(batch_size)
        session = Session(loaded, seed, repeat=repeat, ideal=ideal, drift_compensation=drift_compensation)
        self.session = session.advance_to(time)
        self._info = {"plan_sha256": loaded.sha256, "seconds": session.seconds}

    @classmethod
    def create_from_arg_obj(cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None) -> Any:
        """The model of ``--model_args``, which go before options of lm-eval's command line of the same name."""
        options = {name: value for name, value in (additional_config or {}).items() if value is not None}
        return cls(**{**options, **arg_dict})

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: dict[str, Any] | None = None) -> Any:
        """The model of ``--model_args`` as text."""
        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    def _scored(self, pairs: list[Pair]) -> list[Answer]:
        """Answers of pairs; their samples are counted from 0, so that results do not depend on what ran before."""
        found: list[Answer] = Continuations(self.encoder, pairs).predict(self.session, self.batch_size) if pairs else []
        return found

    @property
    def tokenizer_name(self) -> str:
        """Name under which lm-eval keeps requests: that of the plan's model."""
        return str(self.session.plan.document.model.name).replace("/", "__")

    def get_model_info(self) -> dict[str, Any]:
        """Facts for lm-eval's results: the plan's SHA-256, and the seconds after programming."""
        return self._info
