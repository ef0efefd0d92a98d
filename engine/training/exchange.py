"""Averages gradients between trainer processes over shared memory, once a step.

Several single-threaded processes beat one with several threads on a machine that others use too:
they wait for each other once a step instead of once an operation.
"""

import multiprocessing as mp
from multiprocessing.synchronize import Barrier
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

STEP_PATIENCE_S = 600.0


class Exchange:
    """What `workers` processes share; every process holds the same one and its own rank.

    `gradients` has shape (workers, parameters), `counts` (workers, 2: tokens, examples) and `spent`
    holds the share of the budget that process 0 announced for this step.
    """

    def __init__(self, workers: int, parameters: int) -> None:
        """Make the shared memory for a model of this many parameters."""
        import torch

        self.workers = workers
        self.gradients = torch.zeros(workers, parameters).share_memory_()  # type: ignore[no-untyped-call]  # torch
        self.counts = torch.zeros(workers, 2, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]  # torch
        self.spent = torch.zeros(1, dtype=torch.float64).share_memory_()  # type: ignore[no-untyped-call]  # torch
        self._barrier: Barrier = mp.get_context("spawn").Barrier(workers)

    def agree(self, rank: int, spent: float) -> float:
        """Start a step together; every process gets process 0's share of the budget.

        Raises:
            threading.BrokenBarrierError: another process is gone.
        """
        if rank == 0:
            self.spent[0] = spent
        self._barrier.wait(STEP_PATIENCE_S)
        return float(self.spent[0])

    def average(self, rank: int, parameters: "list[torch.nn.Parameter]") -> None:
        """Replace every parameter's gradient by its mean over the processes.

        Raises:
            threading.BrokenBarrierError: another process is gone.
        """
        import torch

        self.gradients[rank] = torch.cat([_gradient(p).flatten() for p in parameters])
        self._barrier.wait(STEP_PATIENCE_S)
        mean = self.gradients.mean(0)
        for parameter, part in zip(
            parameters, mean.split([p.numel() for p in parameters]), strict=True
        ):
            parameter.grad = part.view_as(parameter)

    def abort(self) -> None:
        """Let every other process end with an error instead of waiting."""
        self._barrier.abort()

    def count(self, rank: int, tokens: int, examples: int) -> None:
        """Add what this process read in a step."""
        self.counts[rank, 0] += tokens
        self.counts[rank, 1] += examples


def _gradient(parameter: "torch.nn.Parameter") -> "torch.Tensor":
    """A parameter's gradient, zeros where it has none."""
    import torch

    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
