"""Techniques: ways of spreading tasks over workers. ``table`` lists them, ``base`` is their contract."""

from imgproc.backends.table import (
    AUTO,
    BASELINE,
    TECHNIQUES,
    Technique,
    cannot_run,
    default_techniques,
    technique,
)

__all__ = ["AUTO", "BASELINE", "TECHNIQUES", "Technique", "cannot_run", "default_techniques", "technique"]
