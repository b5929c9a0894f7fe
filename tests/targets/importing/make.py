"""Pickles for the tests of this folder: `python -m tests.targets.importing.make`, where aihwkit, aihwkit-lightning and
dill are installed (`make test-peers` installs the first two). They are committed, so that the tests need none of these.
"""

from __future__ import annotations

from pathlib import Path

import dill  # type: ignore[import-untyped]
from aihwkit.simulator.presets import StandardHWATrainingPreset
from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig, WeightClipType, WeightNoiseInjectionType

PICKLES = Path(__file__).parent / "pickles"


def lightning() -> TorchInferenceRPUConfig:
    """Settings as the analog foundation models were trained with, with other numbers."""
    config = TorchInferenceRPUConfig()
    config.forward.inp_res, config.forward.out_res, config.forward.out_bound = 254, 254, 12.0
    config.forward.out_noise, config.forward.out_noise_per_channel = 0.02, True
    config.mapping.max_input_size = 256
    config.pre_post.input_range.enable = True
    config.clip.type, config.clip.sigma = WeightClipType.LAYER_GAUSSIAN_PER_CHANNEL, 2.5
    config.modifier.noise_type, config.modifier.std_dev = WeightNoiseInjectionType.ADD_NORMAL_PER_CHANNEL, 0.03
    return config


if __name__ == "__main__":
    made = {"lightning": lightning(), "standard_preset": StandardHWATrainingPreset()}
    for name, config in made.items():
        (PICKLES / f"{name}.pickle").write_bytes(dill.dumps(config))
