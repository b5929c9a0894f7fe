"""Conductance statistics as pure functions of tensors, one module a kind of device."""

from __future__ import annotations

from tilewright.targets.devices.ftj import FtjStatistics
from tilewright.targets.devices.gaussian import GaussianStatistics
from tilewright.targets.devices.pcm import PcmStatistics
from tilewright.targets.devices.statistics import DeviceStatistics, IdealStatistics
from tilewright.targets.spec.device import FtjDevice, GaussianDevice, IdealDevice, PcmDevice


def statistics_of(device: PcmDevice | FtjDevice | GaussianDevice | IdealDevice) -> DeviceStatistics:
    """The statistics that a target's device names."""
    if isinstance(device, PcmDevice):
        return PcmStatistics(device)
    if isinstance(device, FtjDevice):
        return FtjStatistics(device)
    return GaussianStatistics(device) if isinstance(device, GaussianDevice) else IdealStatistics()


__all__ = ["DeviceStatistics", "statistics_of"]
