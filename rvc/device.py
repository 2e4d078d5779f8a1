"""The device that was asked for, or a clear error: never a quiet fall-back to the CPU.

PPU cards present themselves as `torch.cuda`, but only to the torch of a PPU base image; a wheel from the
package index imports there and sees no card.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rvc.contract import ACCELERATOR_OUT_OF_MEMORY, Device, Precision
from rvc.errors import AcceleratorError, InvalidConfiguration

PRECISION_VARIABLE = "RVC_CONVERSION_PRECISION"
"""Auto, BF16 or FP32: what networks compute in when they convert on a CPU."""


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


def conversion_type(device: torch.device) -> torch.dtype:
    """What conversion computes in where rounding is not heard; all else is float32 always.

    On a CPU that has instructions for bfloat16 (AMX, AVX-512 BF16) it is that, and float32 on the others;
    the environment may ask for either. Raises InvalidConfiguration for anything else that it asks for.
    """
    asked = os.environ.get(PRECISION_VARIABLE) or Precision.AUTO
    if asked not in (Precision.AUTO, Precision.BF16, Precision.FP32):
        raise InvalidConfiguration(
            f"{PRECISION_VARIABLE} is {asked!r}; use {Precision.AUTO}, {Precision.BF16} or {Precision.FP32}"
        )
    if device.type != "cpu" or asked == Precision.FP32:
        return torch.float32
    return torch.bfloat16 if asked == Precision.BF16 or _multiplies_bfloat16() else torch.float32


def _multiplies_bfloat16() -> bool:
    # Not in the torch of every base image.
    able: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(able.get("amx_bf16") or able.get("avx512_bf16"))


@contextmanager
def accelerator_errors() -> Iterator[None]:
    """Turn what torch raises when a card fails or is full into `AcceleratorError`."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise AcceleratorError(
            f"the accelerator's memory is full: {error}; use a smaller batchSize, "
            "gradientCheckpointing or a larger card",
            reason=ACCELERATOR_OUT_OF_MEMORY,
        ) from error
    except torch.AcceleratorError as error:
        raise AcceleratorError(f"the accelerator failed: {error}") from error
