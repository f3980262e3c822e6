"""L-BFGS for several independent problems at once, each row of a [G, P] tensor one problem.

A problem stops moving when its own gradient is small, so its result does not depend on its neighbours.
Nocedal and Wright, "Numerical Optimization", algorithm 7.4; backtracking line search with the Armijo condition.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

__all__ = ["minimize"]

_HISTORY = 10
_HALVINGS = 20
_ARMIJO = 1e-4

Loss = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""[G, P] → values [G] and gradients [G, P]."""


def minimize(loss: Loss, start: torch.Tensor, *, max_steps: int, gradient_tolerance: float) -> torch.Tensor:
    """The minimum of every problem, until its largest gradient component is at most the tolerance."""
    point = start.clone()
    value, gradient = loss(point)
    steps: list[torch.Tensor] = []
    changes: list[torch.Tensor] = []
    active = _largest(gradient) > gradient_tolerance
    for _ in range(max_steps):
        if not bool(active.any()):
            break
        direction = -_two_loops(gradient, steps, changes)
        slope = _dot(direction, gradient)
        uphill = slope >= 0  # curvature lost to rounding: start again from the steepest descent
        direction = torch.where(uphill[:, None], -gradient, direction)
        slope = torch.where(uphill, -_dot(gradient, gradient), slope)
        first = 1.0 / gradient.abs().sum(1).clamp_min(1.0) if not steps else torch.ones_like(value)
        moved, new_value, new_gradient = _search(loss, point, value, gradient, direction, slope, first, active)
        steps = [*steps, moved - point][-_HISTORY:]
        changes = [*changes, new_gradient - gradient][-_HISTORY:]
        stuck = (moved == point).all(1)
        point, value, gradient = moved, new_value, new_gradient
        active = active & ~stuck & (_largest(gradient) > gradient_tolerance)
    return point


def _search(
    loss: Loss,
    point: torch.Tensor,
    value: torch.Tensor,
    gradient: torch.Tensor,
    direction: torch.Tensor,
    slope: torch.Tensor,
    first: torch.Tensor,
    active: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Each problem's point after its own longest step that lowers its value enough; its old point when none does."""
    length = torch.where(active, first, torch.zeros_like(first))
    pending = active
    best, best_value, best_gradient = point, value, gradient
    for _ in range(_HALVINGS):
        tried = point + length[:, None] * direction
        tried_value, tried_gradient = loss(tried)
        good = pending & (tried_value <= value + _ARMIJO * length * slope)
        best = torch.where(good[:, None], tried, best)
        best_value = torch.where(good, tried_value, best_value)
        best_gradient = torch.where(good[:, None], tried_gradient, best_gradient)
        pending = pending & ~good
        if not bool(pending.any()):
            break
        length = torch.where(pending, length * 0.5, length)
    return best, best_value, best_gradient


def _two_loops(gradient: torch.Tensor, steps: list[torch.Tensor], changes: list[torch.Tensor]) -> torch.Tensor:
    """The inverse Hessian's estimate times the gradient; pairs without positive curvature count as not there."""
    q = gradient
    saved: list[tuple[torch.Tensor, torch.Tensor]] = []
    scale = torch.ones_like(gradient[:, 0])
    for step, change in zip(reversed(steps), reversed(changes), strict=True):
        curvature = _dot(step, change)
        useful = curvature > 1e-300
        rho = torch.where(useful, 1.0 / torch.where(useful, curvature, torch.ones_like(curvature)), 0.0)
        if not saved:
            squared = _dot(change, change)
            scale = torch.where(useful, curvature / torch.where(useful, squared, torch.ones_like(squared)), scale)
        alpha = rho * _dot(step, q)
        q = q - alpha[:, None] * change
        saved.append((rho, alpha))
    r = scale[:, None] * q
    for (rho, alpha), step, change in zip(reversed(saved), steps, changes, strict=True):
        beta = rho * _dot(change, r)
        r = r + (alpha - beta)[:, None] * step
    return r


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).sum(1)


def _largest(gradient: torch.Tensor) -> torch.Tensor:
    return gradient.abs().amax(1)
