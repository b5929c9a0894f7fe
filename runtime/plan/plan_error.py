"""The error of a plan that does not agree with itself."""

from __future__ import annotations


class PlanError(ValueError):
    """A plan that does not agree with itself: a file that was changed, or a bug of the compiler that made it.

    Only who asked can tell the two apart: loading makes an ``InputError`` of it, the compiler a ``PassError``.
    """
