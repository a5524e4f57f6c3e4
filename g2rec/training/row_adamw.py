"""AdamW for models with a large embedding table."""

from collections.abc import Callable
from typing import Any

import torch


class RowAdamW(torch.optim.AdamW):
    """AdamW (Loshchilov and Hutter 2019), lazy for sparse gradients.

    Where a gradient is sparse, as that of ``nn.Embedding(sparse=True)``, only the rows it touches are moved
    and decayed, and only their moments are updated (the rule of `torch.optim.SparseAdam`): a step over a
    table of a million rows then costs what the batch's rows cost. Dense gradients take AdamW unchanged.
    """

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; returns what the closure does."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        sparse = []
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    sparse.append((parameter, parameter.grad.coalesce(), group))
                    parameter.grad = None
        super().step()
        for parameter, gradient, group in sparse:
            self._move_rows(parameter, gradient, group)
        return loss

    @torch.no_grad()
    def _move_rows(self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        step, (beta1, beta2) = float(state["step"]), group["betas"]
        rows, g = gradient.indices()[0], gradient.values()
        first = state["exp_avg"][rows].lerp_(g, 1 - beta1)
        second = state["exp_avg_sq"][rows].mul_(beta2).addcmul_(g, g, value=1 - beta2)
        state["exp_avg"].index_copy_(0, rows, first)
        state["exp_avg_sq"].index_copy_(0, rows, second)
        scale = second.sqrt_().div_((1 - beta2**step) ** 0.5).add_(group["eps"])
        rate = float(group["lr"])
        moved = parameter[rows].mul_(1 - rate * group["weight_decay"])
        parameter.index_copy_(0, rows, moved.addcdiv_(first, scale, value=-rate / (1 - beta1**step)))
