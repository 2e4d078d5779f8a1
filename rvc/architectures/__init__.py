"""The synthesizers that there are, behind one interface.

Training and conversion reach a synthesizer only through `architecture(name)` and the protocols of
`interface`.
"""

from __future__ import annotations

from rvc.architectures.interface import (
    FRAMES_PER_ROW,
    FRAMES_PER_SECOND,
    ROWS_PER_SECOND,
    VALIDATION,
    Architecture,
    Conventions,
    Hyperparameters,
    Losses,
    Synthesizer,
    TrainingRun,
    TrainingSet,
    Window,
)
from rvc.contract import Architecture as ArchitectureName

__all__ = [
    "FRAMES_PER_ROW",
    "FRAMES_PER_SECOND",
    "ROWS_PER_SECOND",
    "VALIDATION",
    "Architecture",
    "Conventions",
    "Hyperparameters",
    "Losses",
    "Synthesizer",
    "TrainingRun",
    "TrainingSet",
    "Window",
    "architecture",
]


def architecture(name: ArchitectureName) -> Architecture:
    """The architecture of that name."""
    # Imported here, so that neither architecture is loaded (and its memory paid for) where only the other is
    # used.
    if name == ArchitectureName.LIGHT:
        from rvc.light import Light

        return Light()
    from rvc.rvc2 import RVC2

    return RVC2()
