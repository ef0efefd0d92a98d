"""Muon: momentum whose matrices are made orthogonal before they are applied (Jordan et al. 2024).

torch has one that does its arithmetic in bf16, which most processors only emulate; this one
takes float32 and so trains at the same speed everywhere.
"""

from collections.abc import Iterable

import torch

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5
MOMENTUM = 0.95
MATCH_ADAMW = 0.2
"""Updates get the root mean square that AdamW's have, so that learning rates carry over."""


class Muon(torch.optim.Optimizer):
    """For matrices only; weight decay is decoupled, momentum is Nesterov's."""

    def __init__(
        self, matrices: Iterable[torch.nn.Parameter], *, lr: float, weight_decay: float
    ) -> None:
        """Take the matrices."""
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure is taken
        """Apply the gradients."""
        del closure
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                momentum = state.setdefault("momentum", torch.zeros_like(matrix))
                momentum.lerp_(matrix.grad, 1 - MOMENTUM)
                update = orthogonal(matrix.grad.lerp(momentum, MOMENTUM))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                scale = MATCH_ADAMW * max(matrix.shape) ** 0.5
                matrix.add_(update, alpha=-group["lr"] * scale)


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """A matrix near the closest one with orthonormal rows or columns, by Newton-Schulz steps."""
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / wide.norm().clamp(min=1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = wide @ wide.T
        wide = a * wide + (b * gram + c * (gram @ gram)) @ wide
    found: torch.Tensor = wide.T if matrix.shape[0] > matrix.shape[1] else wide
    return found
