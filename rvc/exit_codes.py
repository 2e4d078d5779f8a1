"""The one table from what went wrong to what a caller does about it: the exit codes of `rvc` and of trainers.

A corrupt or foreign artefact is final: the next attempt would meet it again; a person must say what it is.
"""

from __future__ import annotations

from rvc import errors
from rvc.contract import ExitCode

EXIT_CODES: tuple[tuple[type[errors.RvcError], ExitCode], ...] = (
    (errors.InvalidDataset, ExitCode.DATASET_INVALID),
    (errors.InvalidAudio, ExitCode.DATASET_INVALID),
    (errors.ObjectNotFound, ExitCode.DATASET_INVALID),
    (errors.InvalidConfiguration, ExitCode.CONFIGURATION_INVALID),
    (errors.TrainingFailed, ExitCode.CONFIGURATION_INVALID),
    (errors.ArtifactCorrupt, ExitCode.CONFIGURATION_INVALID),
    (errors.ObjectExists, ExitCode.CONFIGURATION_INVALID),
    (errors.PermissionDenied, ExitCode.PERMISSION_DENIED),
    (errors.StoreUnavailable, ExitCode.STORE_UNAVAILABLE),
    (errors.AcceleratorError, ExitCode.ACCELERATOR_ERROR),
    (errors.Terminated, ExitCode.TERMINATED),
)


def exit_code(error: BaseException) -> ExitCode:
    """Exit code for an end by `error`, its kind or a kind of that; anything else is a defect of ours."""
    for kind, code in EXIT_CODES:
        if isinstance(error, kind):
            return code
    return ExitCode.INTERNAL_ERROR
