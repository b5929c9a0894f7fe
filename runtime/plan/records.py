"""Records of a plan: what the compiler decided, as one validated document.

``PlanDocument`` is plan.json; docs/plan.schema.json is its JSON Schema. Its keys are in the order a reader wants them,
which is also the order in the file. Records know nothing of files, tensors or modules.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from tilewright.runtime.plan.adapter_records import AdapterRecord
from tilewright.runtime.plan.decisions import AssignmentRecord, Check, Decision, Verification, in_running_order
from tilewright.runtime.plan.file_records import FileRecord as FileRecord
from tilewright.runtime.plan.file_records import TensorRecord as TensorRecord
from tilewright.runtime.plan.types import (
    DType,
    Identifier,
    NamedShape,
    Natural,
    Path_,
    Positive,
    Range,
    Record,
    Sha256,
    Shape,
    SixDigits,
)
from tilewright.targets.spec import Chip, NumberFormat, Programming

SCHEMA_VERSION = 11


class ModelIdentity(Record):
    """Identity of the network: name, source, and hash of its weights."""

    name: str
    architecture: str
    source: str = Field(description="kind of source: huggingface, onnx or torch")
    sha256: Sha256 = Field(description="hash of the weights: names, types, shapes, and bytes where there are weights")
    parameters: Natural = Field(description="numbers in all parameters, tied ones counted once")
    classes: list[str] | None = Field(
        description="names of the classes that a classifier tells apart, in the order of its logits; null without names"
    )
    pooling: Literal["mean", "cls"] | None = Field(
        description="pooling by which a sentence encoder makes one vector of its tokens"
    )


BATCH = "batch"
"""Name of the size that counts samples."""


class ValueRecord(Record):
    """A tensor that goes into the network or comes out of it."""

    name: str
    dtype: DType
    shape: NamedShape = Field(description="sizes, or names of sizes that may vary")

    @property
    def sample_axis(self) -> int | None:
        """Dimension that counts samples; None if none does."""
        return self.shape.index(BATCH) if BATCH in self.shape else None


class OutputRecord(ValueRecord):
    """One output of the model, in the model's order and by the model's name."""


class InputRecord(ValueRecord):
    """One input of the graph, in the graph's order."""

    name: Identifier
    default: Literal["ones", "zeros"] | None = Field(description="value of the input where it is not given")
    source_name: str | None = Field(None, description="the model's own name, where it is not a plain word")


class DimensionRecord(Record):
    """Limits of a size that may vary."""

    minimum: Positive
    maximum: Positive | None


SizeCondition = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
"""A comparison of sizes that tracing took for true, by the names of dimensions: "sequence % 4 == 0"."""


class UnusedTensor(Record):
    """A tensor of the checkpoint that no part of the network is made of.

    name, shape: as the model's file has them.
    """

    name: str
    shape: Shape


class LayerPart(Record):
    """One matrix of the source model inside a layer, and the columns of the layer that are its outputs."""

    weight: str
    bias: str | None
    columns: tuple[Natural, Natural]
    stored: Literal["outputs first", "inputs first"] | None = Field(
        description="order in which the model has these numbers; null where more than the layer's factors was folded "
        "into them, so that no adapter of the model's matrix fits, and in plans of versions before 10"
    )


class SampleAxis(Record):
    """Place of samples in a layer's input: a dimension that counts them, alone or folded with other things."""

    dimension: Natural
    innermost: bool = Field(description="true if samples change fastest along the dimension, false if slowest")


class UseRecord(Record):
    """One place where a layer is called."""

    sample_axis: SampleAxis | None = Field(description="dimension of the input that counts samples, if any")
    share: SixDigits = Field(
        ge=0, le=1, description="share of the vectors that is read: less than 1 where a router sends some to an expert"
    )


class UseOption(Record):
    """Range of the inputs of one use of a layer on one target."""

    input_range: Range | None = Field(
        description="|input| that is the full scale of a DAC or digital unit; null: each input vector has its own"
    )
    largest_input: SixDigits | None = Field(
        description="largest |input| of the calibration set; null where it was not looked at"
    )
    simulated_error: SixDigits | None = Field(
        description="relative error of the outputs from converters alone at this range, or of rounding on a digital "
        "unit; null where no range was chosen by it"
    )


class LayerOption(Record):
    """Option of a layer on one of the chip's targets: all that was fixed for it there, and why."""

    target: str = Field(description="name of one of the chip's targets")
    programming: str | None = Field(description="name of one of the plan's programming methods; null on digital units")
    clip_deviations: float | None = Field(
        gt=0, allow_inf_nan=False, description="cut of the weights, in root mean squares of those that share a scale"
    )
    has_channel_scale: bool = Field(
        description="true if inputs are divided, and weights on tiles multiplied, by a number a channel"
    )
    has_calibration: bool = Field(description="true if inputs are kept, to which an affine compensation is fitted")
    uses: list[UseOption] = Field(description="options of the layer's uses, in their order")
    row_splits: list[Positive] = Field(description="rows of each row-block; none on digital units")
    column_splits: list[Positive] = Field(description="columns of each column-block; none on digital units")
    decisions: list[Decision] = Field(description="decisions for the layer on this target")

    @property
    def input_ranges(self) -> list[float | None]:
        """Input range of each use; None where each input vector has its own."""
        return [use.input_range for use in self.uses]

    @property
    def block_count(self) -> int:
        """Number of blocks that the layer is split into; zero on digital units."""
        return len(self.row_splits) * len(self.column_splits)


class LayerRecord(Record):
    """A weight matrix, and its options on targets.

    Its tensors are weight [outputs, inputs], bias [outputs], channel_scale [inputs], calibration_<target> [vectors,
    inputs], input_factor [inputs] and output_factor [outputs].

    name: dotted, as in the model. inputs, outputs: sizes of the matrix. has_bias: true if a bias is added. parts:
    matrices of the model in it. uses: places where it is called. reason: why it is on its target.
    """

    name: Path_
    inputs: Positive
    outputs: Positive
    has_bias: bool
    has_factors: bool = Field(
        description="true if its inputs are the model's divided by input_factor, its outputs the model's times "
        "output_factor"
    )
    parts: list[LayerPart]
    uses: list[UseRecord]
    target: str = Field(description="target that the layer runs on: that of one of its options")
    reason: str
    predicted_loss: SixDigits | None = Field(
        description="loss that an assignment expected of the layer there, by its criterion"
    )
    tiles: list[tuple[Natural, Positive]] = Field(
        description="runs (first, count) of the tiles that hold the blocks, row-block by row-block: tiles of one kind "
        "are numbered chip by chip, along even rows of their mesh to the right and along odd ones to the left"
    )
    options: list[LayerOption] = Field(
        min_length=1, description="options on the chip's targets that the layer may run on"
    )

    @property
    def option(self) -> LayerOption:
        """The option in force. Raises ``KeyError`` if the layer is on a target that is none of its options."""
        for option in self.options:
            if option.target == self.target:
                return option
        raise KeyError(self.target)

    @property
    def tile_count(self) -> int:
        """Number of tiles that the layer is on; zero on digital units."""
        return sum(count for _, count in self.tiles)


Role = Literal[
    "matrix", "column scale", "bias", "look-up", "normalisation", "addend", "factor", "attention table", "operand",
    "router", "unused",
]  # fmt: skip
"""Role of a parameter in the network."""


class WeightRecord(Record):
    """Place and role of one parameter of the model. Sizes of all records add up to the model's.

    name, shape: as in the model. place: on tiles, in digital memory, or in a look-up table. role: in the network.
    reason: why it is there.
    """

    name: str
    shape: Shape
    place: Literal["analog", "digital", "look-up"]
    role: Role
    is_table_too: bool = Field(description="true for a matrix whose rows are also read by number")
    copy_of: str | None = Field(description="name of the parameter whose numbers it repeats")
    reason: str
    layers: list[str] = Field(description="names of the layers whose matrix it is in")

    @property
    def parameters(self) -> int:
        """Number of elements of the parameter."""
        return math.prod(self.shape)


class MatmulRecord(Record):
    """A product of two activations on a digital attention unit.

    name: dotted. kind: scores or context of attention, or another product. operands: number format of both. reason: why
    so.
    """

    name: Path_
    kind: Literal["scores", "context", "product"]
    operands: NumberFormat
    left_ranges: list[Range] = Field(min_length=1, description="|left operand| at full scale: one, or one a head")
    right_ranges: list[Range] = Field(min_length=1, description="|right operand| at full scale: one, or one a head")
    left_signed: bool = Field(description="false where the left operand is never negative and has no sign")
    reason: str


class Placement(Record):
    """Placement of the tiles, in sum."""

    chips: Natural
    mesh: tuple[Natural, Natural]
    tiles: Natural
    utilisation: float = Field(ge=0, le=1, description="share of the cells of the tiles in use that hold weights")


class Calibration(Record):
    """Calibration set that ranges were fixed on."""

    source: str
    samples: Natural
    automatic: bool


class NodeRecord(Record):
    """Node of the graph. Arguments are JSON values, see runtime/plan/graph.py."""

    name: Identifier
    op: Literal["placeholder", "get_attr", "call_function", "call_module", "output"]
    target: str
    args: list[Any] = Field([])
    kwargs: dict[Identifier, Any] = Field({})


class LoopRecord(Record):
    """Loop of the graph: its body runs once a step along sequences, over the same devices each time.

    name: that the graph calls it by. states: how many the body hands on. graph: the body's nodes; its inputs are the
    states, one step of each sequence, and what stays the same; its outputs the new states and what is kept.
    """

    name: Identifier
    states: int = Field(ge=0, le=64)
    graph: list[NodeRecord]


class PlanDocument(Record):
    """Document of a plan, which plan.json is: layers and places, graph, decisions, hardware, names of tensors.

    schema_version, tilewright_version: of the file and its writer. draws: version of random numbers. model:
    identity of the network. placement: of the tiles, in sum. inputs, outputs: of the graph, in order. dimensions:
    limits of sizes that may vary, by name. layers, matmuls: what runs on tiles and units. weights_of_model: place
    of each parameter. calibration: inputs that ranges are of. verification: distance from the model after each
    pass. check: distance from the original, run by its own tools; null if not asked for. graph: its nodes, in
    running order. loops: parts of it that run once a step. tensors: in the weights file, by name. tokenizer: files of
    it, none if there is none. adapters: by the names that choose them.
    """

    schema_version: Literal[11]
    tilewright_version: str
    draws: int = Field(
        ge=1,
        le=2**16,
        description="version of the random numbers: a seed names the same chip in figures of one version",
    )
    model: ModelIdentity
    placement: Placement
    inputs: list[InputRecord]
    outputs: list[OutputRecord]
    dimensions: dict[str, DimensionRecord]
    size_conditions: list[SizeCondition] | None = Field(
        description="conditions on sizes beside their limits, since the graph was traced so; null where it is not "
        "known, in plans of versions before 6"
    )
    layers: list[LayerRecord]
    matmuls: list[MatmulRecord]
    weights_of_model: list[WeightRecord]
    unused_tensors: list[UnusedTensor] = Field(
        description="tensors that the model's files hold beside its weights; empty in plans of versions before 6"
    )
    assignment: AssignmentRecord | None = Field(
        description="joint choice of the layers' targets; null where they were not chosen by figures"
    )
    calibration: Calibration
    decisions: list[Decision] = Field(description="decisions that belong to no single option of a layer")
    verification: list[Verification]
    check: Check | None
    notes: list[str] = Field(description="changes that were made in the model on its way to the plan")
    chip: Chip = Field(description="chip that the plan was compiled for, with all that its files name written out")
    programming: list[Programming] = Field(description="methods by which layers are programmed")
    graph: list[NodeRecord]
    loops: list[LoopRecord] = Field(description="loops that the graph calls, such as those of recurrent layers")
    tensors: dict[Path_, TensorRecord]
    weights: FileRecord | None = Field(
        description="file of the weights; null in a plan of a model's config alone, which cannot be run"
    )
    tokenizer: list[FileRecord]
    adapters: list[AdapterRecord] = Field(
        description="adapters of the layers, one of which may be chosen for a run; each has a file of its own"
    )

    @property
    def decisions_in_force(self) -> list[Decision]:
        """All decisions, with those of each layer's option in force and of adapters, in the order they were made."""
        of_options = (decision for layer in self.layers for decision in layer.option.decisions)
        of_adapters = (decision for adapter in self.adapters for decision in adapter.decisions)
        return in_running_order([*of_options, *self.decisions, *of_adapters])
