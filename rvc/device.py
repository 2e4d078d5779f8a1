"""The device that was asked for, or a clear error: never a quiet fall-back to the CPU.

PPU cards present themselves as `torch.cuda`, but only to the torch of a PPU base image; a wheel from the
package index imports there and sees no card.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rvc.contract import ACCELERATOR_OUT_OF_MEMORY, Device
from rvc.errors import AcceleratorError


def open_device(device: Device) -> torch.device:
    """The torch device to compute on; raises `AcceleratorError` when there is none such."""
    if device is Device.CPU:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise AcceleratorError(
            f"an accelerator was asked for, but torch {torch.__version__} of this image sees none; build the "
            "image on the base image of your cards (build arguments BASE_IMAGE and TORCH=base) and check "
            "that its driver version matches accelerator.driverVersion",
            reason="AcceleratorMissing",
        )
    return torch.device("cuda")


@contextmanager
def accelerator_errors() -> Iterator[None]:
    """Turn what torch raises when a card fails or is full into `AcceleratorError`."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise AcceleratorError(
            f"the accelerator's memory is full: {error}; use a smaller batchSize or a larger card",
            reason=ACCELERATOR_OUT_OF_MEMORY,
        ) from error
    except torch.AcceleratorError as error:
        raise AcceleratorError(f"the accelerator failed: {error}") from error
