"""The head: multinomial logistic regression with an L2 penalty, fitted by L-BFGS on all training features at once."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import torch
from torch.nn.functional import cross_entropy

# The penalty is strength / 2 * |weight|^2 beside the mean cross-entropy, on standardised features; strongest first.
STRENGTHS = (1.0, 0.1, 0.03, 0.01, 0.003, 0.001)
STRENGTH_WITHOUT_VALIDATION = 0.01
EPOCHS = 30
_TIE = 0.01  # validation losses closer than this count as equal: a stronger penalty is less sure of what it never saw
_CONVERGED = 1e-6  # largest component of the gradient


class Split(NamedTuple):
    """Features (n, d) and classes int64 (n,)."""

    features: torch.Tensor
    labels: torch.Tensor


class Epoch(NamedTuple):
    """One outer iteration of L-BFGS and how the head does after it; `val_*` are None without validation images."""

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: Optional[float]
    val_accuracy: Optional[float]
    lr: float
    images_per_s: float


class Head(NamedTuple):
    """A final layer on plain (not standardised) features: weight (classes, d), bias (classes,), both float32."""

    weight: torch.Tensor
    bias: torch.Tensor


class Fit(NamedTuple):
    """`head` and `best` are of the epoch that did best on validation (lowest loss; without validation the last)."""

    head: Head
    best: Epoch
    history: List[Epoch]
    strength: float
    optimizer: Dict[str, Any]


class _Standard:
    """Zero mean and unit variance for each feature, as measured on the training images."""

    def __init__(self, features: torch.Tensor) -> None:
        self.mean = features.mean(0)
        deviation = features.std(0, unbiased=False)
        # A feature that hardly moves on the training images would be blown up wherever it does move.
        self.std = deviation.clamp_min(max(0.1 * float(deviation.mean()), 1e-12))

    def apply(self, split: Split) -> Split:
        return Split((split.features.double() - self.mean) / self.std, split.labels)

    def fold(self, weight: torch.Tensor, bias: torch.Tensor) -> Head:
        folded = weight / self.std
        return Head(folded.float(), (bias - folded @ self.mean).float())


def choose_strength(
    train: Split, val: Split, classes: int, epochs: int, progress: Callable[[int, int], None]
) -> float:
    """The strength with the lowest validation loss, the stronger one of equals."""
    if not len(val.labels):
        return STRENGTH_WITHOUT_VALIDATION
    best_strength, best_loss = STRENGTHS[0], float("inf")
    for number, strength in enumerate(STRENGTHS):
        progress(number, len(STRENGTHS))
        loss = fit(train, val, classes, strength, epochs).best.val_loss
        if loss is not None and loss < best_loss - _TIE:
            best_strength, best_loss = strength, loss
    progress(len(STRENGTHS), len(STRENGTHS))
    return best_strength


def fit(
    train: Split,
    val: Split,
    classes: int,
    strength: float,
    epochs: int,
    on_epoch: Optional[Callable[[Epoch], None]] = None,
) -> Fit:
    """Fits in double precision from zero weights: the problem is convex, so neither seed nor order matters.

    An epoch is one outer iteration of L-BFGS over all training images, so `lr` is the length of the step that the line
    search took. Ends early when the gradient has vanished.
    """
    standard = _Standard(train.features.double())
    train, val = standard.apply(train), standard.apply(val)
    weight = torch.zeros((classes, train.features.shape[1]), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=1, history_size=10, line_search_fn="strong_wolfe")
    passes = 0

    def closure() -> Any:  # torch wants the tensor and declares a float
        nonlocal passes
        passes += 1
        optimizer.zero_grad()
        loss = _loss(train, weight, bias) + 0.5 * strength * weight.square().sum()
        loss.backward()
        return loss

    history: List[Epoch] = []
    best: Optional[Tuple[Epoch, Head]] = None
    for number in range(1, epochs + 1):
        start, passes = time.monotonic(), 0
        optimizer.step(closure)
        seconds = max(time.monotonic() - start, 1e-9)
        step = float(optimizer.state[optimizer.param_groups[0]["params"][0]]["t"])
        epoch = _measure(number, train, val, weight, bias, step, passes * len(train.labels) / seconds)
        history.append(epoch)
        if on_epoch is not None:
            on_epoch(epoch)
        if best is None or epoch.val_loss is None or epoch.val_loss < _val_loss(best[0]):
            best = epoch, standard.fold(weight.detach(), bias.detach())
        if _gradient(weight, bias) < _CONVERGED:
            break
    if best is None:
        raise ValueError(f"no epochs to fit: {epochs}")
    described = {"name": "L-BFGS", "l2": strength, "history_size": 10, "line_search": "strong_wolfe"}
    return Fit(best[1], best[0], history, strength, described)


def _loss(split: Split, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return cross_entropy(split.features @ weight.T + bias, split.labels)


def _gradient(weight: torch.Tensor, bias: torch.Tensor) -> float:
    return max(float(tensor.grad.abs().max()) for tensor in (weight, bias) if tensor.grad is not None)


def _val_loss(epoch: Epoch) -> float:
    return float("inf") if epoch.val_loss is None else epoch.val_loss


def _measure(
    number: int, train: Split, val: Split, weight: torch.Tensor, bias: torch.Tensor, step: float, images_per_s: float
) -> Epoch:
    train_loss, train_accuracy = _loss_and_accuracy(train, weight, bias)
    val_loss, val_accuracy = _loss_and_accuracy(val, weight, bias) if len(val.labels) else (None, None)
    return Epoch(number, train_loss, train_accuracy, val_loss, val_accuracy, step, round(images_per_s, 1))


def _loss_and_accuracy(split: Split, weight: torch.Tensor, bias: torch.Tensor) -> Tuple[float, float]:
    with torch.no_grad():
        logits = split.features @ weight.T + bias
        right = (logits.argmax(1) == split.labels).double().mean()
        return float(cross_entropy(logits, split.labels)), float(right)
