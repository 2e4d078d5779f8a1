"""Steps down a gradient that several processes add up, with losses scaled where float16 needs it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from rvc.contract import Precision
from rvc.errors import InvalidConfiguration
from rvc.parallel import Parallel

_LEARNING_RATE = 1e-4
_LEARNING_RATE_DECAY = 0.999875
_BETAS = (0.8, 0.99)
_EPSILON = 1e-9
_WEIGHT_DECAY = 0.01


def learning_rate(epoch: int) -> float:
    """Of an epoch, counted from 0."""
    return _LEARNING_RATE * _LEARNING_RATE_DECAY**epoch


def computing_type(precision: Precision, device: torch.device) -> torch.dtype:
    """What networks compute in; losses and weights are float32 always.

    Raises InvalidConfiguration for FP16 on a CPU.
    """
    if precision == Precision.FP16 and device.type == "cpu":
        raise InvalidConfiguration("precision FP16 needs an accelerator; use Auto, BF16 or FP32 on a CPU")
    if precision == Precision.AUTO and device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return {Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}.get(precision, torch.float32)


class Descent:
    """AdamW for one network."""

    def __init__(self, network: nn.Module, scaler: torch.amp.GradScaler, parallel: Parallel) -> None:
        self._parameters = list(network.parameters())
        self._scaler, self._parallel = scaler, parallel
        self._optimizer = torch.optim.AdamW(
            self._parameters,
            _LEARNING_RATE,
            betas=_BETAS,
            eps=_EPSILON,
            weight_decay=_WEIGHT_DECAY,
            fused=True,
        )

    def add(self, loss: torch.Tensor) -> None:
        """Take in the gradient of a part of a batch, and free what it was computed from."""
        torch.autograd.backward(self._scaler.scale(loss))

    def step(self, rate: float) -> None:
        """One step at a learning rate down the sum of all that was added, in all processes."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        if self._parallel.ranks > 1:
            self._sum_gradients()
        self._scaler.step(self._optimizer)
        self._optimizer.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """Of the optimizer."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._optimizer.load_state_dict(state)

    def _sum_gradients(self) -> None:
        """By way of one long tensor: one message is faster than hundreds."""
        gradients = [
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for parameter in self._parameters
        ]
        joined = torch.cat([gradient.flatten() for gradient in gradients])
        self._parallel.sum([joined])
        parts = torch.split(joined, [gradient.numel() for gradient in gradients])
        for parameter, part in zip(self._parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)
