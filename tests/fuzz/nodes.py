"""Nodes of a plan's graph drawn at random: any allowed operator, its arguments by its schema or not."""

from tests.fuzz import hostile
from tilewright.runtime.plan.operators import allowed_functions

WORDS = (
    "none",
    "mean",
    "sum",
    "tanh",
    "reflect",
    "constant",
    "floor",
    "trunc",
    "valid",
    "same",
    "ij",
    "bij,bjk->bik",
    "",
)


def splice(document, choose):
    """Put a few nodes into the graph; half of the time something behind them takes the last one's result."""
    graph = document["graph"]
    position = choose.randrange(len(graph)) if graph else 0
    earlier = [node["name"] for node in graph[:position] if node.get("op") != "output"]
    made = []
    for count in range(choose.choice((1, 1, 2, 3, 5))):
        name = f"fuzz_{len(graph)}_{count}"
        node = made_tensor(name, choose) if choose.random() < 0.2 else drawn(name, earlier, choose)
        made.append(node)
        earlier.append(node["name"])
    graph[position:position] = made
    behind = list(references(graph[position + len(made) :]))
    if behind and choose.random() < 0.5:
        choose.choice(behind)["node"] = made[-1]["name"]


def rewire(document, choose):
    """Let one reference point to another node."""
    found = list(references(document["graph"]))
    if found:
        choose.choice(found)["node"] = choose.choice([node["name"] for node in document["graph"]])


def change_argument(document, choose):
    """Give a node another operator or argument."""
    calls = [node for node in document["graph"] if node.get("op") == "call_function"]
    if not calls:
        return
    node = choose.choice(calls)
    if choose.random() < 0.3 or not node["args"]:
        node["target"] = choose.choice(sorted(allowed_functions()))
    else:
        names = [other["name"] for other in document["graph"]]
        node["args"][choose.randrange(len(node["args"]))] = any_argument(names, choose)


def references(tree):
    """The {"node": name} in it."""
    if isinstance(tree, dict):
        if set(tree) == {"node"}:
            yield tree
        for item in tree.values():
            yield from references(item)
    elif isinstance(tree, list):
        for item in tree:
            yield from references(item)


def made_tensor(name, choose):
    """A tensor of any sizes, types and numbers, for others to take."""
    shape = [choose.choice((0, 1, 1, 2, 3, 4, 8, 2**10, 2**20)) for _ in range(choose.choice((0, 1, 1, 2, 3, 4)))]
    dtype = choose.choice(("float32", "float32", "float16", "int64", "int32", "uint8", "bool"))
    value = choose.choice((0, 1, -1, 0.5, 63, 2**40, -(2**63), {"number": "nan"}))
    kwargs = {"dtype": {"dtype": dtype}}
    return {
        "name": name,
        "op": "call_function",
        "target": "aten.full.default",
        "args": [shape, value],
        "kwargs": kwargs,
    }


def drawn(name, earlier, choose):
    """One call of an allowed operator."""
    functions = allowed_functions()
    target = choose.choice(sorted(functions))
    schema = getattr(functions[target], "_schema", None)
    fits = choose.random() < 0.6
    args, kwargs = [], {}
    if schema is None:
        args = [any_argument(earlier, choose) for _ in range(choose.choice((1, 2, 2)))]
    else:
        for argument in schema.arguments:
            if argument.has_default_value() and choose.random() < 0.5:
                if argument.kwarg_only:
                    continue
                break
            fitting = fits or choose.random() < 0.6
            value = of_type(str(argument.real_type), earlier, choose) if fitting else any_argument(earlier, choose)
            if argument.kwarg_only:
                kwargs[argument.name] = value
            else:
                args.append(value)
    if not fits and choose.random() < 0.15:
        kwargs[choose.choice(("class", "dim", "dtype", "x", "self", "out"))] = any_argument(earlier, choose)
    return {"name": name, "op": "call_function", "target": target, "args": args, "kwargs": kwargs}


def of_type(kind, earlier, choose):
    """A value of a type as torch's schemas write it."""
    if kind.startswith("Optional["):
        if choose.random() < 0.4:
            return None
        kind = kind.removeprefix("Optional[").rstrip("]")
    if kind.startswith("List["):
        return [of_type(kind[5:].rstrip("]"), earlier, choose) for _ in range(choose.choice((0, 1, 1, 2, 2, 2, 3, 4)))]
    if kind == "Tensor":
        return {"node": choose.choice(earlier)} if earlier else 1
    return PLAIN[kind](choose) if kind in PLAIN else any_argument(earlier, choose)


def _size(choose):
    return choose.choice(hostile.SIZES) if choose.random() < 0.85 else hostile.number(choose)


def _number(choose):
    return choose.choice((0.0, 0.5, 1.0, -1.0, 1e-5, 3, {"number": "-inf"}, {"number": "nan"}, hostile.number(choose)))


DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int8", "bool", "complex64")
PLAIN = {
    "int": _size,
    "float": _number,
    "number": _number,
    "bool": lambda choose: choose.random() < 0.5,
    "str": lambda choose: choose.choice(WORDS),
    "ScalarType": lambda choose: {"dtype": choose.choice(DTYPES)},
    "Layout": lambda _: {"layout": "strided"},
    "Device": lambda _: {"device": "cpu"},
    "MemoryFormat": lambda choose: {"memory_format": choose.choice(("contiguous_format", "preserve_format"))},
}
"""A value of each type that names no node."""


def any_argument(earlier, choose):
    """A value of any type that a plan's argument may have, or none may."""
    kind = choose.choice(("Tensor", "int", "number", "bool", "str", "ScalarType", "List[int]", "List[Tensor]", ""))
    return of_type(kind, earlier, choose) if kind else hostile.anything(choose)
