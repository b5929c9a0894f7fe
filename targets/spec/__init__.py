"""Specification of hardware, typed and validated: devices, programming methods, tiles, units, chips."""

from tilewright.targets.spec.chip import AnalogTarget, AttentionUnit, Chip, DigitalTarget, Tiles
from tilewright.targets.spec.cost import COMPONENTS, Component, Cost, MacCost, TileCost
from tilewright.targets.spec.description import SCHEMA_VERSION, NumberFormat, bits_of
from tilewright.targets.spec.device import (
    ClippedLogarithm,
    FtjDevice,
    GaussianDevice,
    IdealDevice,
    PcmDevice,
    Pulse,
    StuckDevices,
)
from tilewright.targets.spec.programming import BinaryAnalog, ClosedLoop, MostLeast, Pairs, Programming
from tilewright.targets.spec.tile import Converter, DynamicRange, Tile

__all__ = [
    "COMPONENTS",
    "SCHEMA_VERSION",
    "AnalogTarget",
    "AttentionUnit",
    "BinaryAnalog",
    "Chip",
    "ClippedLogarithm",
    "ClosedLoop",
    "Component",
    "Converter",
    "Cost",
    "DigitalTarget",
    "DynamicRange",
    "FtjDevice",
    "GaussianDevice",
    "IdealDevice",
    "MacCost",
    "MostLeast",
    "NumberFormat",
    "Pairs",
    "PcmDevice",
    "Programming",
    "Pulse",
    "StuckDevices",
    "Tile",
    "TileCost",
    "Tiles",
    "bits_of",
]
