"""Short trainings of a small model, and one that stops on the way."""

import pytest

from tilewright.compiler.training.train import train


def trained(base, data, output, **changes):
    """Six steps on SST-2's sentences, measured on no chip."""
    settings = {"steps": 6, "batch_size": 4, "repeats": 0, "learning_rate": 1e-3} | changes
    return train(base, "glue/sst2", data, output, **settings)


def stopped(base, data, output, **changes):
    """Training as of ``trained``, stopped after its fifth step; the last checkpoint is of the fourth."""

    class Stop(Exception):
        pass

    def stop(done, _count, _what):
        if done == 5:
            raise Stop

    with pytest.raises(Stop):
        trained(base, data, output, save_every=2, on_step=stop, **changes)
    assert not output.exists()
