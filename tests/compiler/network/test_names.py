"""Names that are not taken."""

from tilewright.compiler.network.names import layer_name, numbered


def test_the_wanted_name_is_kept_while_it_is_free():
    taken = {"a", "a_2"}
    assert numbered("b", lambda name: name not in taken) == "b"
    assert numbered("a", lambda name: name not in taken) == "a_3"
    assert numbered("a", lambda name: name not in taken, "x") == "x_2"


def test_no_layer_is_inside_another():
    assert layer_name("encoder.0", []) == "encoder.0"
    assert layer_name("encoder.0", ["encoder.0"]) == "encoder.0_2"
    assert layer_name("encoder.0.query", ["encoder.0"]) == "encoder.0_query"
    assert layer_name("encoder", ["encoder.0"]) == "encoder_2"
    assert layer_name("a b.c/d", []) == "a_b.c_d"
    assert layer_name("..", []) == "layer"
