"""Every target file loads, and every number in it has a unit and a source."""

import copy

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.targets import InputError, Target, load_target, parse_target, target_names
from tilewright.targets.loading import LIBRARY


def document(name="pcm-512"):
    return yaml.safe_load((LIBRARY / f"{name}.yaml").read_text())


def leaves(node, path=()):
    for key, value in node.items():
        if isinstance(value, dict) and "value" not in value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


@pytest.mark.parametrize("name", target_names())
def test_every_number_has_unit_and_source(name):
    for path, value in leaves(document(name)):
        if path == ("schema_version",):
            continue
        assert not isinstance(value, int | float) or isinstance(value, bool), f"{path} is a bare number"
        if isinstance(value, dict):
            assert value["unit"] and value["source"]


@pytest.mark.parametrize("name", target_names())
def test_targets_survive_writing_and_reading(name):
    target = load_target(name)
    assert target.name == name
    again = parse_target(target.model_dump(mode="json"), "again")
    assert again.model_dump(mode="json") == target.model_dump(mode="json")
    assert copy.deepcopy(target).model_dump(mode="json") == target.model_dump(mode="json")


def test_pcm_512_is_the_tile_of_the_papers():
    target = load_target("pcm-512")
    assert (target.tile.rows, target.tile.columns) == (512, 512)
    assert target.tile.adc.step == pytest.approx(20 / 1022)
    assert target.tile.output_noise_deviation == pytest.approx(0.00978, abs=5e-6)
    assert target.tile.dac.levels == 127
    assert target.device.conductance_max == 25 and target.device.conductance_max.unit == "uS"


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
        (("tile", "rows", "value"), 0, ["tile.rows", "1 to 65536"]),
        (("tile", "rows", "value"), 1.5, ["tile.rows", "whole number"]),
        (("tile", "rows", "unit"), "uS", ["tile.rows", "row", "'uS'"]),
        (("tile", "rows"), 512, ["tile.rows", "value, unit (row) and source"]),
        (("tile", "dac", "bits", "value"), 40, ["bits", "2 to 16"]),
        (("tile", "adc", "bound", "source"), "", ["source"]),
        (("device", "drift", "reference_time", "value"), float("nan"), ["finite"]),
        (("device", "drift", "negative_exponent"), "maybe", ["negative_exponent", "'zero' or 'absolute'"]),
        (("device", "statistics"), "magic", ["device", "'pcm'"]),
        (("schema_version",), 2, ["schema_version"]),
        (("name",), "../escape", ["name"]),
    ],
)
def test_a_wrong_file_is_refused_with_the_key_and_what_is_allowed(path, value, words):
    with pytest.raises(InputError) as error:
        parse_target(change(path, value), "mine.yaml")
    message = str(error.value)
    assert "\n" not in message and message.startswith("target mine.yaml:")
    for word in words:
        assert word in message


def test_a_missing_key_is_named():
    content = document()
    del content["tile"]["adc"]
    with pytest.raises(InputError, match=r"tile\.adc is missing"):
        parse_target(content, "mine")


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "!!python/object/apply:os.system ['true']", "a: &x [*x]", ""])
def test_what_is_not_a_target_is_one_sentence(tmp_path, text):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        load_target(path)
    assert "\n" not in str(error.value)


def test_an_unknown_target_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'pcm-512'"):
        load_target("pcm512")


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
