"""Parts of a target from the fields of an RPUConfig: converters, noise, splitting of rows, device, compensation."""

from __future__ import annotations

import math
from typing import Any

from tilewright.targets.importing.rpu_fields import Fields
from tilewright.targets.quantity import is_finite

OF_TRAINING = (
    "backward", "update", "modifier", "clip", "remap", "runtime", "tile_class", "tile_array_class",
    "mapping.learn_out_scaling", "mapping.out_scaling_columnwise", "mapping.weight_scaling_lr_compensation",
    "pre_post.input_range", "forward.max_bm_res", "forward.bm_test_negative_bound", "forward.v_offset_w_min",
)  # fmt: skip
"""Fields that say how a network was trained, or how what is off would work."""
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "forward.inp_noise": (0,), "forward.inp_sto_round": (False,), "forward.inp_asymmetry": (0,),
    "forward.inp_bound": (1, -1), "forward.out_noise_std": (0,), "forward.out_sto_round": (False,),
    "forward.out_scale": (1,), "forward.out_asymmetry": (0,), "forward.out_nonlinearity": (0,),
    "forward.out_nonlinearity_std": (0,), "forward.slope_calibration": (0,), "forward.v_offset_std": (0,),
    "forward.r_series": (0,), "forward.w_read_asymmetry_dtod": (0,), "forward.mv_type": ("OnePass",),
    "modifier.enable_during_test": (False,), "modifier.quantization_type": ("None",),
    "pre_post.periph_quant.n_bits": (0,), "mapping.digital_bias": (True,),
}  # fmt: skip
"""Fields that change results unless they have one of these values."""
OF_DEVICES = ("short_term_read_noise", "read_noise_law", "ir_drop")
"""Keys of a tile that settings without devices say nothing of."""
MOST_ROWS = 65536
"""Rows of a tile that holds a whole column of any layer."""


def mapped(fields: Fields, *, is_lightning: bool) -> tuple[dict[str, Any], list[str]]:
    """Keys of a target's document that the settings speak of, and notes. ``fields`` refuses what changes results."""
    notes: list[str] = []
    fields.leave(*OF_TRAINING, "pre_post.periph_quant")
    for path, allowed in NEUTRAL.items():
        fields.must_be(path, *allowed)
    tile = {
        **_rows(fields, notes),
        "weight_scale": _weight_scale(fields, is_lightning),
        "weight_clipping": None,
        "input_range": _input_range(fields, notes),
    }
    if fields.get("forward.is_perfect", False) is True:
        zero = fields.sourced("forward.is_perfect", 0, "1")
        fields.leave("forward")
        fields.refused = {path: value for path, value in fields.refused.items() if not path.startswith("forward.")}
        tile |= {"dac": None, "adc": None, "output_noise": zero, "short_term_read_noise": zero, "ir_drop": None}
    else:
        tile |= {
            "dac": _converter(fields, "inp", fields.sourced("forward.inp_bound", 1, "1")),
            "adc": _adc(fields),
            "output_noise": fields.sourced("forward.out_noise", fields.number("forward.out_noise"), "1"),
            **_read_noise(fields),
            "ir_drop": _ir_drop(fields),
        }
        if is_lightning and fields.number("forward.out_noise"):
            notes.append(
                "forward.out_noise acts in training alone there, over all slices; here in every read of a tile"
            )
    if is_lightning:
        notes.append("it says nothing of devices, reads and drift: these are those of the target that is extended")
        return {"tile": {key: value for key, value in tile.items() if key not in OF_DEVICES}}, notes
    return {"device": _device(fields), "tile": tile, "drift_compensation": _compensation(fields)}, notes


def _bits(fields: Fields, path: str) -> int | None:
    """Bits of a converter of so many steps, or of one over so many; None for none."""
    given = fields.number(path, -1)
    if given <= 0:
        return None
    steps = given if given > 1 else 1 / given
    bits = round(math.log2(steps + 2))
    if not 2 <= bits <= 16 or abs(2**bits - 2 - steps) > 1e-3 * steps:
        fields.refuse(path, given)
        return None
    return bits


def _converter(fields: Fields, side: str, bound: dict[str, Any]) -> dict[str, Any] | None:
    path = f"forward.{side}_res"
    bits = _bits(fields, path)
    if bits is None:
        return None
    return {"bits": fields.sourced(path, bits, "bit"), "bound": bound, "offset": None, "nonlinearity": None}


def _adc(fields: Fields) -> dict[str, Any] | None:
    bound = fields.get("forward.out_bound", 0)
    found = _converter(fields, "out", fields.sourced("forward.out_bound", bound, "1"))
    bounded = isinstance(bound, int | float) and 0 < bound < math.inf
    if bounded == (found is None) and "forward.out_res" not in fields.refused:
        fields.refuse("forward.out_bound", bound)  # it clips without rounding, or rounds without an end
        return None
    return found


def _read_noise(fields: Fields) -> dict[str, Any]:
    """Noise of each read of a weight, of either law."""
    path, kind = "forward.w_noise", fields.get("forward.w_noise_type", "None")
    size = fields.number(path)
    laws = {"PCMRead": "conductance", "AdditiveConstant": "constant"}
    if kind == "None" or not size:
        return {"short_term_read_noise": fields.sourced(path, 0, "1")}
    if kind not in laws:
        fields.refuse("forward.w_noise_type", kind)
        return {"short_term_read_noise": fields.sourced(path, 0, "1")}
    return {"short_term_read_noise": fields.sourced(path, size, "1"), "read_noise_law": laws[kind]}


def _ir_drop(fields: Fields) -> dict[str, Any] | None:
    """Loss along wires: there as a ratio of the conductances of a wire's segment and of a device."""
    path, size = "forward.ir_drop", fields.number("forward.ir_drop")
    ratio = fields.number("forward.ir_drop_g_ratio", 1 / 0.35 / 5e-6)
    if not size:
        return None
    if size != 1 or ratio <= 0:
        fields.refuse(path, size)
        return None
    ohm = 1 / (ratio * fields.number("noise_model.g_max", 25.0) * 1e-6)
    return {"enabled": True, "wire_resistance": fields.sourced("forward.ir_drop_g_ratio", float(f"{ohm:.6g}"), "ohm")}


def _rows(fields: Fields, notes: list[str]) -> dict[str, Any]:
    rows = int(fields.number("mapping.max_input_size", -1))
    columns = int(fields.number("mapping.max_output_size", 0))
    found = {"rows": fields.sourced("mapping.max_input_size", rows if rows > 0 else MOST_ROWS, "row")}
    if columns > 0:
        found["columns"] = fields.sourced("mapping.max_output_size", columns, "column")
    else:
        notes.append("it does not limit the columns of a tile: these are those of the target that is extended")
    return {**found, "row_splitting": "even"}


def _weight_scale(fields: Fields, is_lightning: bool) -> str:
    """Rule of what shares a scale. Lightning has none: what its noise and its ADC are relative to tells."""
    if is_lightning:
        kinds = [fields.get(path) for path in ("clip.type", "modifier.noise_type", "modifier.type")]
        of_columns = fields.get("forward.out_noise_per_channel", False) is True
        return "per_column" if of_columns or any(str(kind).endswith("PerChannel") for kind in kinds) else "per_tile"
    remap, omega = fields.get("remap.type", "None"), fields.number("mapping.weight_scaling_omega")
    columnwise = fields.get("mapping.weight_scaling_columnwise", False) is True
    if omega not in (0, 1) or (omega == 0 and remap == "None"):
        fields.refuse("mapping.weight_scaling_omega", omega)
    return "per_column" if remap == "ChannelwiseSymmetric" or (omega and columnwise) else "per_tile"


def _input_range(fields: Fields, notes: list[str]) -> dict[str, Any]:
    managed, bounded = fields.get("forward.noise_management", "None"), fields.get("forward.bound_management", "None")
    has_range = fields.get("pre_post.input_range.enable", False) is True
    if fields.get("pre_post.input_range.dynamic", False) is True:
        return {"rule": "dynamic", "doublings": fields.sourced("pre_post.input_range.dynamic", 0, "reading")}
    if managed == "Constant" and fields.number("forward.nm_thres", 1.0) == 1:
        managed = "None"
    fields.leave("forward.nm_thres", "forward.max_bm_factor")
    if managed == "AbsMax" and not has_range and bounded in ("None", "Iterative"):
        largest = max(1.0, fields.number("forward.max_bm_factor", 1000)) if bounded == "Iterative" else 1.0
        doublings = min(16, int(math.log2(largest)))
        return {"rule": "dynamic", "doublings": fields.sourced("forward.max_bm_factor", doublings, "reading")}
    if managed != "None":
        fields.refuse("forward.noise_management", managed)
    if bounded != "None":
        fields.refuse("forward.bound_management", bounded)
    if not has_range:
        fields.refuse("pre_post.input_range.enable", False)  # inputs as they are, at a range of 1
    else:
        notes.append("ranges of inputs are those of a checkpoint, or calibrated")
    return {"rule": "least_error"}


def _device(fields: Fields) -> dict[str, Any]:
    """The device of a model of noise."""
    kind = fields.kind("noise_model")
    if fields.kind("device") not in (None, "IdealDevice"):
        fields.refuse("device", fields.get("device"))
    fields.leave("device")
    if kind != "PCMLikeNoiseModel":
        fields.refuse("noise_model", kind)
        fields.leave("noise_model")
        return {}
    if fields.kind("noise_model.g_converter") not in (None, "SinglePairConductanceConverter"):
        fields.refuse("noise_model.g_converter", fields.get("noise_model.g_converter"))
    fields.must_be("noise_model.g_converter.g_min", 0, None)
    fields.must_be("noise_model.drift_scale", 1)
    fields.leave("noise_model.g_converter.g_max", "noise_model.g_converter.scale_ratio")
    largest = fields.number("noise_model.g_max", 25.0)
    reference = fields.number("noise_model.prog_coeff_g_max_reference", largest)
    coefficients = fields.get("noise_model.prog_coeff", [])
    programming = {"scale": _as_given(fields, "noise_model.prog_noise_scale", 1, "1")}
    if isinstance(coefficients, list) and len(coefficients) == 3 and all(map(is_finite, coefficients)):
        share = largest / reference if reference > 0 else 1.0
        for name, value in zip(("constant", "linear", "quadratic"), coefficients, strict=True):
            programming[name] = fields.sourced("noise_model.prog_coeff", value * share, "uS")
    else:
        fields.refuse("noise_model.prog_coeff", coefficients)
    return {
        "conductance_max": fields.sourced("noise_model.g_max", largest, "uS"),
        "inactive_device": "programmed",  # AIHWKit writes it as every other
        "programming": programming,
        "drift": {
            "reference_time": _as_given(fields, "noise_model.t_0", 20.0, "s"),
            "negative_exponent": "absolute",  # as AIHWKit has it
        },
        "accumulated_noise": {
            "scale": _as_given(fields, "noise_model.read_noise_scale", 1, "1"),
            "read_time": _as_given(fields, "noise_model.t_read", 2.5e-7, "s"),
        },
    }


def _as_given(fields: Fields, path: str, default: float, unit: str) -> dict[str, Any]:
    return fields.sourced(path, fields.number(path, default), unit)


def _compensation(fields: Fields) -> str:
    kind = fields.kind("drift_compensation")
    if kind not in (None, "GlobalDriftCompensation"):
        fields.refuse("drift_compensation", kind)
    fields.leave("drift_compensation")
    return "none" if kind is None else "global"
