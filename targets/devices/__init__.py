"""Conductance statistics as pure functions of tensors, one module a kind of device."""

from __future__ import annotations

from tilewright.targets.devices import ideal, pcm
from tilewright.targets.devices.statistics import DeviceStatistics
from tilewright.targets.spec import IdealDevice, PcmDevice


def statistics_of(device: PcmDevice | IdealDevice) -> DeviceStatistics:
    """The statistics that a target's device names."""
    if isinstance(device, PcmDevice):
        return pcm.PcmStatistics(device)
    return ideal.IdealStatistics()


__all__ = ["DeviceStatistics", "statistics_of"]
