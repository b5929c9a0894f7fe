"""Every target file loads, and every number in it has a unit and a source."""

import copy
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.narrowing import analog, instance, present
from tests.variants import leaves
from tilewright.runtime.chip.kernels.native import check_forced
from tilewright.targets import spec
from tilewright.targets.errors import InputError
from tilewright.targets.loading import (
    load_chip,
    load_document,
    load_programming,
    load_target,
    parse_target,
    target_names,
)
from tilewright.targets.quantity import COUNTED, with_unit
from tilewright.targets.spec import Target
from tilewright.targets.spec.device import FtjDevice, PcmDevice, ProgrammingNoise
from tilewright.targets.spec.tile import PercentileRange

MOST_LEAST = load_programming("most-least").model_dump(mode="json")["coding"]


def document(name="pcm-512"):
    """A file of the library with all that it names and extends written out."""
    return load_document(name).model_dump(mode="json")


@pytest.mark.parametrize("name", target_names())
def test_every_number_has_unit_and_source(name):
    for path, value in leaves(document(name)):
        if path[-1] == "schema_version":
            continue
        assert not isinstance(value, int | float) or isinstance(value, bool), f"{path} is a bare number"
        if isinstance(value, dict):
            assert value["unit"]
            assert value["source"]


@pytest.mark.parametrize("name", target_names())
def test_documents_survive_writing_and_reading(name):
    loaded = load_document(name)
    assert loaded.name == name
    again = type(loaded).model_validate(loaded.model_dump(mode="json"))
    assert again.model_dump(mode="json") == loaded.model_dump(mode="json")
    assert copy.deepcopy(loaded).model_dump(mode="json") == loaded.model_dump(mode="json")


def device(target, kind):
    """The device of a target, of that class."""
    return instance(analog(target).device, kind)


def test_the_library_holds_what_it_should():
    assert set(target_names("analog")) == {
        "pcm-512", "pcm-512-8bit", "pcm-512-low-noise", "pcm-512-dynamic", "hermes-256", "ftj-extreme", "ftj-balanced",
        "ftj-constrained", "rram-512", "ideal",
    }  # fmt: skip
    assert set(target_names("digital")) == {f"digital-{kind}" for kind in ("int4", "int8", "fp16", "bf16")}
    assert set(target_names("attention")) == {
        f"attention-{kind}" for kind in ("int4", "int6", "int8", "int10", "bf16", "fp32")
    }
    quiet, pcm = device("pcm-512-low-noise", PcmDevice), device("pcm-512", PcmDevice)
    assert instance(quiet.programming, ProgrammingNoise).scale == 0.5
    assert quiet.drift == pcm.drift
    assert analog("pcm-512-8bit").tile.output_noise_deviation == 0.04
    assert device("ftj-balanced", FtjDevice).pulse.step == 0.1
    assert device("ftj-constrained", FtjDevice).pulse.step == 0.002


@pytest.mark.parametrize("name", target_names("analog", "digital", "chip"))
def test_every_target_is_or_has_a_chip(name):
    chip = load_chip(name)
    assert chip.targets
    assert chip.attention.unit.operands
    assert (chip.mesh[0] > 0) == bool(chip.tiles)
    assert load_chip(chip) is chip


def test_pcm_512_is_the_tile_of_the_papers():
    target = analog("pcm-512")
    assert (target.tile.rows, target.tile.columns) == (512, 512)
    assert present(target.tile.adc).step == pytest.approx(20 / 1022)
    assert target.tile.output_noise_deviation == pytest.approx(0.00978, abs=5e-6)
    assert present(target.tile.dac).levels == 127
    largest = instance(target.device, PcmDevice).conductance_max
    assert largest == 25.0
    assert largest.unit == "uS"


def test_a_users_own_file_loads_by_path(tmp_path):
    content = document()
    content["name"] = "mine"
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    assert load_target(path).name == "mine"
    assert load_target(str(path)).name == "mine"


def change(path, value):
    content = document()
    node = content
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("tile", "rowz"), 1, ["rowz", "did you mean 'rows'"]),
        (("nam",), "x", ["nam is not a known key", "did you mean 'name'"]),
        (("tile", "rows", "value"), 0, ["tile.rows is 0 rows: allowed is 1 to 65536 rows"]),
        (("tile", "dac", "bound", "value"), -1, ["tile.dac.bound is -1: ", "allowed is "]),
        (("tile", "rows", "value"), 1.5, ["tile.rows", "whole number"]),
        (("tile", "rows", "unit"), "uS", ["tile.rows", "row", "'uS'"]),
        (("tile", "rows"), 512, ["tile.rows", "value, unit (row) and source"]),
        (("tile", "dac", "bits", "value"), 40, ["bits", "2 to 16"]),
        (("tile", "adc", "bound", "source"), "", ["source"]),
        (("device", "drift", "reference_time", "value"), float("nan"), ["finite"]),
        (("device", "drift", "negative_exponent"), "maybe", ["negative_exponent", "allowed: absolute, zero"]),
        (("device", "statistics"), "magic", ["device", "allowed: ftj, gaussian, ideal, pcm"]),
        (("kind",), "analogue", ["kind", "did you mean 'analog'"]),
        (("programming", "coding", "significances", 0, "value"), 0, ["significances.0", "0.001 to 1000"]),
        (("programming", "stuck_devices"), "forgotten", ["stuck_devices", "allowed: avoided, "]),
        (("tile", "input_range", "rule"), "guess", ["input_range", "dynamic"]),
        (("tile", "input_range", "percentile"), 99, ["percentile is not a known key"]),
        (("drift_compensation",), "magic", ["drift_compensation", "affine"]),
        (("chip", "attention", "unit", "operands"), "int99", ["operands"]),
        (("schema_version",), 3, ["schema_version"]),
        (("name",), "../escape", ["name"]),
    ],
)
def test_a_wrong_file_is_refused_with_the_key_and_what_is_allowed(path, value, words):
    with pytest.raises(InputError) as error:
        parse_target(change(path, value), "mine.yaml")
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("target mine.yaml:")
    for word in words:
        assert word in message


def test_a_missing_key_is_named():
    content = document()
    del content["tile"]["adc"]
    with pytest.raises(InputError, match=r"tile\.adc is missing"):
        parse_target(content, "mine")


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2]",
        "a: [",
        "!!python/object/apply:os.system ['true']",
        "a: &x [*x]",
        "",
        "[1]: 2",
        "? {a: 1}\n: 2",
        "1: 2",
        "a: &a {x: 1}\nb:\n  <<: *a",
        "\x00",
        "a: 2020-13-45",
    ],
)
def test_what_is_not_a_target_is_one_sentence(tmp_path, text):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        load_target(path)
    assert "\n" not in str(error.value)


def test_an_unknown_target_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'pcm-512'"):
        load_target("pcm512")
    with pytest.raises(InputError, match="did you mean 'pcm-512'"):
        load_target("PCM-512")
    with pytest.raises(InputError, match="did you mean 'avx2'"):
        check_forced("AVX2")


@pytest.mark.parametrize(
    ("number", "unit", "words"),
    [("-1", "1", "-1"), ("1", "row", "1 row"), ("0", "row", "0 rows"), ("16", "bit", "16 bits"), ("25", "uS", "25 uS")],
)
def test_a_number_with_its_unit_reads_as_people_write_it(number, unit, words):
    assert with_unit(number, unit) == words


def test_units_that_are_things_are_units_of_the_library():
    text = " ".join(path.read_text() for path in Path(spec.__file__).parent.glob("*.py"))
    assert all(f'Rule("{unit}"' in text for unit in COUNTED)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(path=st.sampled_from([path for path, _ in leaves(document())]), value=json_values)
def test_any_change_gives_a_target_or_a_sentence(path, value):
    try:
        assert isinstance(parse_target(change(path, value), "x"), Target)
    except InputError as error:
        assert str(error).startswith("target x: ")


def write(folder, name, content):
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_file_may_extend_another(tmp_path):
    noise = {"value": 0.03, "source": "ours"}
    base = {"kind": "analog", "extends": "pcm-512", "name": "base", "tile": {"short_term_read_noise": noise}}
    write(tmp_path, "base", base)
    ours = {"rule": "percentile", "percentile": {"value": 99.9, "unit": "%", "source": "ours"}}
    own = {"kind": "analog", "extends": "base.yaml", "name": "mine", "programming": "pairs-2", "summary": "Mine.",
           "tile": {"input_range": ours}}  # fmt: skip
    mine, pcm = analog(write(tmp_path, "mine", own)), analog("pcm-512")
    assert mine.tile.short_term_read_noise == 0.03
    assert (mine.tile.short_term_read_noise.unit, mine.tile.short_term_read_noise.source) == ("1", "ours")
    assert mine.programming == load_programming("pairs-2")
    assert instance(mine.tile.input_range, PercentileRange).percentile == 99.9
    assert mine.device == pcm.device
    assert mine.tile.adc == pcm.tile.adc


def test_exponents_without_a_point_are_numbers(tmp_path):
    path = tmp_path / "mine.yaml"
    text = "kind: analog\nextends: pcm-512\nname: mine\ndevice:\n  accumulated_noise:\n    read_time: "
    path.write_text(text + "{value: 1e-6, source: ours}\n")  # YAML 1.1 reads 1e-6 as a word
    assert present(device(path, PcmDevice).accumulated_noise).read_time == 1e-6
    path.write_text(text + "{value: 1e-6 s, source: ours}\n")
    with pytest.raises(InputError, match="read_time"):
        load_target(path)


def test_a_key_that_is_there_twice_is_named(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("kind: analog\nextends: pcm-512\nname: mine\nname: other\n")
    with pytest.raises(InputError, match="'name' is there twice") as error:
        load_target(path)
    assert "line 4" in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_printed_can_be_read_again(tmp_path):
    for name in ("pcm-512", "ftj-extreme", "digital-int8"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(json.dumps(load_target(name).model_dump(mode="json"), indent=1))
        assert load_target(path) == load_target(name)


def test_a_chip_may_extend_another_and_name_files_beside_it(tmp_path):
    write(tmp_path, "tile", {"kind": "analog", "extends": "pcm-512", "name": "my-tile", "programming": "pairs-2"})
    count = {"value": 4, "unit": "tile", "source": "ours"}
    tiles = [{"target": "tile.yaml", "mesh_rows": count, "mesh_columns": count}]
    chip = {"kind": "chip", "extends": "pcm-512-mixed", "name": "my-chip", "tiles": tiles}
    loaded = load_chip(write(tmp_path, "chip", chip))
    assert [target.name for target in loaded.targets] == ["my-tile", "digital-int8", "digital-fp16"]
    assert loaded.mesh == (4, 4)
    assert loaded.tiles[0].target.programming.pairs == 2


def test_another_kind_of_device_replaces_the_old_one_whole(tmp_path):
    own = {"kind": "analog", "extends": "pcm-512", "name": "mine", "device": {"statistics": "ideal"}}
    assert analog(write(tmp_path, "mine", own)).device.statistics == "ideal"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"extends": "pcm-51"}, ["did you mean 'pcm-512'", "beside"]),
        ({"extends": "../other.yaml"}, ["there is no target '../other.yaml'"]),
        ({"extends": "/etc/hostname"}, ["there is no target '/etc/hostname'"]),
        ({"extends": "mine.yaml"}, ["circle"]),
        ({"extends": 3}, ["extends is 3"]),
        ({"extends": "pcm-512", "programming": "by-hand"}, ["no programming method 'by-hand'", "direct"]),
        ({"extends": "pcm-512", "tile": {"adc": {"bits": {"value": 9}}}}, ["tile.adc.bits", "source"]),
        ({"extends": "pcm-512", "tile": {"adc": {"bitz": {"value": 9}}}}, ["bitz", "did you mean 'bits'"]),
        ({"extends": "direct"}, ["device is missing"]),
        ({"extends": "pcm-512", "kind": "programming"}, ["kind is 'programming'"]),
        ({"extends": "pcm-512", "programming": {"extends": "direct", "codin": 1}}, ["programming", "mean 'coding'"]),
        (
            {"extends": "pcm-512", "programming": {"extends": "closed-loop-random", "coding": MOST_LEAST}},
            ["programming", "closed_loop needs coding.kind pairs"],
        ),
    ],
)  # fmt: skip
def test_what_a_file_extends_or_names_is_looked_up_safely(tmp_path, content, words):
    path = write(tmp_path, "mine", {"kind": "analog", "name": "mine", **content})
    with pytest.raises(InputError) as error:
        load_target(path)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_single_changes():
    changed = analog("pcm-512", {"tile.adc.bits": 8, "drift_compensation": "affine", "tile.dac": None})
    bits = present(changed.tile.adc).bits
    assert bits == 8
    assert bits.source == "changed by the user"
    assert changed.drift_compensation == "affine"
    assert changed.tile.dac is None
    assert analog("pcm-512", {"programming": "pairs-4"}).programming.pairs == 4
    offset = {"value": 2, "unit": "LSB", "source": "ours"}
    assert present(present(analog("pcm-512", {"tile.adc.offset": offset}).tile.adc).offset) == 2.0
    for changes, word in (
        ({"tile.adc.bitz": 8}, "did you mean 'bits'"),
        ({"tile.adc.bits": 99}, "2 to 16"),
        ({"tile.adc.bits": "many"}, "finite number"),
        ({"tile.adc.bits.value.x": 1}, "no key"),
        ({"tile.adc.bits.x": 1}, "holds no keys"),
        ({"tyle.adc.bits": 1}, "did you mean 'tile'"),
        ({"tile.adc.offset": 1}, "value, unit .LSB. and source"),
    ):
        with pytest.raises(InputError, match=word):
            load_target("pcm-512", changes)


def test_what_is_at_hand_can_be_changed_too():
    pcm, chip = load_target("pcm-512"), load_chip("pcm-512-mixed")
    assert load_target(pcm, {"tile.adc.bits": 8}) == load_target("pcm-512", {"tile.adc.bits": 8})
    assert present(load_chip(pcm, {"tile.adc.bits": 8}).tiles[0].target.tile.adc).bits == 8
    assert load_chip(chip, {"attention.unit": "attention-int6"}).attention.unit.operands == "int6"
    assert load_target(pcm) is pcm
    assert load_chip(chip) is chip
    with pytest.raises(InputError, match="did you mean 'bits'"):
        load_target(pcm, {"tile.adc.bitz": 8})


def test_names_of_another_kind_are_told_apart():
    with pytest.raises(InputError, match="'direct' is of the kind programming, not a target"):
        load_target("direct")
    with pytest.raises(InputError, match="'pcm-512' is of the kind analog, not a programming method"):
        load_programming("pcm-512")


def test_a_file_of_version_1_is_read():
    old, new = analog(Path(__file__).parent / "pcm-512-version-1.yaml"), analog("pcm-512")
    assert instance(old.device, PcmDevice).drift == instance(new.device, PcmDevice).drift
    assert (old.tile, old.programming) == (new.tile, new.programming)
    assert old.chip.attention.unit.operands == "int8"
    assert old.chip.mesh_rows == 24
