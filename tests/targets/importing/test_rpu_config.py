"""RPUConfigs as targets: what they say, what is refused, what is left out. `make.py` made the pickles."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import tilewright
from tests.narrowing import analog, present
from tilewright.targets.errors import InputError
from tilewright.targets.importing.rpu_fields import CLASS, Fields
from tilewright.targets.importing.rpu_mapping import mapped

PICKLES = Path(__file__).parent / "pickles"
PRESET = PICKLES / "standard_preset.pickle"


def test_the_standard_preset_is_pcm_512_8bit():
    """But for what AIHWKit has otherwise: zero weights are written, negative exponents are taken without their sign."""
    found = tilewright.read_rpu_config(PRESET).target
    assert found.tile == analog("pcm-512-8bit").tile
    as_theirs = {"device.inactive_device": "programmed", "device.drift.negative_exponent": "absolute"}
    assert found.device == analog("pcm-512-8bit", as_theirs).device
    assert found.drift_compensation == "global"


def test_numbers_say_where_they_come_from():
    found = tilewright.read_rpu_config(PRESET).target
    assert present(found.tile.adc).bits.source == "rpu_config of standard_preset.pickle: forward.out_res"
    assert found.chip == tilewright.load_target("pcm-512").chip


def test_lightning_says_nothing_of_devices():
    found = tilewright.read_rpu_config(PICKLES / "lightning.pickle", extends="pcm-512-low-noise", name="mine")
    target, base = found.target, analog("pcm-512-low-noise")
    assert (target.name, int(target.tile.rows), target.tile.weight_scale) == ("mine", 256, "per_column")
    dac, adc = present(target.tile.dac), present(target.tile.adc)
    assert (int(dac.bits), int(adc.bits), float(adc.bound)) == (8, 8, 12)
    assert float(target.tile.output_noise) == 0.02
    assert target.device == base.device
    assert any("says nothing of devices" in note for note in found.notes)
    assert any("out_noise acts in training alone" in note for note in found.notes)


def test_nothing_of_theirs_is_imported():
    code = (
        "import sys, tilewright; tilewright.read_rpu_config(sys.argv[1]); "
        "assert not [name for name in sys.modules if 'aihwkit' in name or name in ('dill', 'torch')]"
    )
    subprocess.run([sys.executable, "-c", code, str(PRESET)], check=True)


def test_its_file_is_the_target(tmp_path):
    found = tilewright.read_rpu_config(PRESET)
    (tmp_path / "a.yaml").write_text(found.text)
    assert tilewright.load_target(tmp_path / "a.yaml") == found.target


def test_the_folder_of_a_model(tmp_path):
    shutil.copy(PICKLES / "lightning.pickle", tmp_path / "rpu_config")
    assert tilewright.read_rpu_config(tmp_path).target.name == "rpu_config"


def settings(**changes):
    """Settings as those of the preset, with changes by dotted names."""
    fields: dict[str, Any] = {
        CLASS: "InferenceRPUConfig",
        "forward": {CLASS: "IOParameters", "inp_res": 254.0, "out_res": 254.0, "out_bound": 10.0,
                    "noise_management": "None", "bound_management": "None"},
        "mapping": {CLASS: "MappingParameter", "max_input_size": 512, "weight_scaling_omega": 1.0,
                    "weight_scaling_columnwise": True},
        "pre_post": {"input_range": {"enable": True}},
        "noise_model": {CLASS: "PCMLikeNoiseModel", "g_max": 25.0, "prog_coeff": [0.2, 1.0, -0.5]},
        "drift_compensation": {CLASS: "GlobalDriftCompensation"},
    }  # fmt: skip
    for path, value in changes.items():
        *parents, last = path.split("__")
        part = fields
        for key in parents:
            part = part[key]
        part[last] = value
    return Fields(fields, "rpu_config of a test")


def of(**changes):
    fields = settings(**changes)
    found, notes = mapped(fields, is_lightning=False)
    return found, fields, notes


REFUSED = [
    ("forward__inp_noise", 0.1), ("forward__inp_sto_round", True), ("forward__inp_asymmetry", 0.1),
    ("forward__inp_bound", 2.0), ("forward__inp_res", 100.0), ("forward__inp_res", float("nan")),
    ("forward__out_noise_std", 0.1), ("forward__out_sto_round", True), ("forward__out_scale", 2.0),
    ("forward__out_asymmetry", 0.1), ("forward__out_nonlinearity", 0.1), ("forward__slope_calibration", 0.1),
    ("forward__v_offset_std", 0.1), ("forward__r_series", 0.1), ("forward__w_read_asymmetry_dtod", 0.1),
    ("forward__mv_type", "PosNegSeparate"), ("forward__bound_management", "Iterative"),
    ("forward__noise_management", "AbsMax"), ("forward__ir_drop", 0.5), ("forward__out_bound", 0.0),
    ("modifier", {"enable_during_test": True}), ("mapping__digital_bias", False),
    ("mapping__weight_scaling_omega", 0.6), ("pre_post__input_range", {"enable": False}),
    ("pre_post__periph_quant", {"n_bits": 8}), ("noise_model", {CLASS: "ReRamWan2022NoiseModel"}),
    ("noise_model__drift_scale", 0.5), ("noise_model__g_converter", {CLASS: "DualPairConductanceConverter"}),
    ("noise_model__prog_coeff", [1.0]), ("device", {CLASS: "ConstantStepDevice"}),
    ("drift_compensation", {CLASS: "PerColumnDriftCompensation"}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), REFUSED)
def test_what_changes_results_is_refused_by_name(path, value):
    _, fields, _ = of(**{path: value})
    assert [name for name in fields.refused if name.startswith(path.replace("__", "."))] == list(fields.refused)
    assert len(fields.refused) == 1


def test_nothing_of_the_preset_is_refused():
    _, fields, _ = of()
    assert fields.refused == {}
    assert fields.strays == []


def test_fields_without_a_counterpart_are_strays():
    _, fields, _ = of(forward__unheard_of=3, strange={"inner": [1], CLASS: "Strange"})
    assert fields.strays == ["forward.unheard_of", "strange.inner"]


@pytest.mark.parametrize(("steps", "bits"), [(254.0, 8), (1 / 254, 8), (126, 7), (1 / 510, 9), (-1, None), (0, None)])
def test_steps_of_converters(steps, bits):
    found, fields, _ = of(forward__inp_res=steps)
    dac = found["tile"]["dac"]
    assert (dac and dac["bits"]["value"]) == bits
    assert fields.refused == {}


def test_a_range_for_each_vector():
    dynamic = {"pre_post__input_range": {"enable": False}, "forward__noise_management": "AbsMax"}
    found, fields, _ = of(**dynamic)
    assert found["tile"]["input_range"]["doublings"]["value"] == 0
    found, _, _ = of(**dynamic, forward__bound_management="Iterative", forward__max_bm_factor=1000)
    assert found["tile"]["input_range"]["doublings"]["value"] == 9
    assert fields.refused == {}
    found, _ = mapped(settings(pre_post__input_range={"enable": True, "dynamic": True}), is_lightning=True)
    assert found["tile"]["input_range"]["rule"] == "dynamic"


def test_scales_of_a_column_or_a_tile():
    assert of()[0]["tile"]["weight_scale"] == "per_column"
    assert of(mapping__weight_scaling_columnwise=False)[0]["tile"]["weight_scale"] == "per_tile"
    found = of(mapping__weight_scaling_columnwise=False, remap={"type": "ChannelwiseSymmetric"})[0]
    assert found["tile"]["weight_scale"] == "per_column"


def test_a_perfect_tile_and_another_conductance():
    found, fields, _ = of(forward={"is_perfect": True, "inp_noise": 3}, noise_model__g_max=50.0,
                          noise_model__prog_coeff_g_max_reference=25.0)  # fmt: skip
    assert found["tile"]["dac"] is None
    assert found["tile"]["adc"] is None
    assert found["device"]["programming"]["linear"]["value"] == 2.0
    assert fields.refused == {}


def preset_with(tmp_path, old, new):
    content = PRESET.read_bytes()
    assert content.count(old) == 1
    path = tmp_path / "changed.pickle"
    path.write_bytes(content.replace(old, new))
    return path


def test_what_is_refused_may_be_left_out(tmp_path):
    path = preset_with(tmp_path, b"GlobalDriftCompensation", b"GlobalDriftCompensatioN")
    with pytest.raises(InputError, match=r"'GlobalDriftCompensatioN'; to leave these out, ignore drift_compensation"):
        tilewright.read_rpu_config(path)
    found = tilewright.read_rpu_config(path, ignore=["drift_compensation"])
    assert "left out as asked: drift_compensation" in found.notes
    with pytest.raises(InputError, match=r"'forward\.out_res' is to be left out, but nothing of it is refused"):
        tilewright.read_rpu_config(path, ignore=["drift_compensation", "forward.out_res"])


@pytest.mark.parametrize("value", [{"a": 1}, [], "RPUConfig", None])
def test_what_is_no_rpu_config(tmp_path, value):
    (tmp_path / "a").write_bytes(pickle.dumps(value))
    with pytest.raises(InputError, match="not an RPUConfig"):
        tilewright.read_rpu_config(tmp_path / "a")


def test_a_strangers_words_stay_in_their_line(tmp_path):
    """A field's name may hold what a terminal or YAML obeys."""
    path = preset_with(tmp_path, b"\x8c\x07runtime", b"\x8c\x07r\x1b[2J\na")
    found = tilewright.read_rpu_config(path)
    assert "\x1b" not in found.text
    assert yaml.safe_load(found.text) == json.loads(json.dumps(found.content))


def test_a_library_target_that_is_no_crossbar():
    with pytest.raises(InputError, match="'digital-int8' is of the kind digital"):
        tilewright.read_rpu_config(PRESET, extends="digital-int8")
    with pytest.raises(InputError, match="has phase-change memory, which 'ftj-balanced' has not"):
        tilewright.read_rpu_config(PRESET, extends="ftj-balanced")
