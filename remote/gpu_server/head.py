"""The head: multinomial logistic regression with an L2 penalty, fitted by L-BFGS on all training features at once."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import torch
from torch.nn.functional import cross_entropy, log_softmax, one_hot

# The penalty is strength / 2 * |weight|^2 beside the mean cross-entropy, on standardised features; strongest first.
STRENGTHS = (1.0, 0.1, 0.03, 0.01, 0.003, 0.001)
STRENGTH_WITHOUT_VALIDATION = 0.01
EPOCHS = 30
_TIE = 0.01  # validation losses closer than this count as equal: a stronger penalty is less sure of what it never saw
_CONVERGED = 1e-6  # largest component of the gradient
_REMEMBERED = 10  # iterations, for the curvature
_ENOUGH = 1e-4  # of the slope times the step has to come true
_SHORTEST = 1e-10


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


def choose_strength(train: Split, val: Split, classes: int, epochs: int, progress: Callable[[int, int], None]) -> float:
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

    An epoch is one iteration of L-BFGS over all training images, so `lr` is the length of the step that the line search took.
    Ends early when the gradient has vanished.
    """
    standard = _Standard(train.features.double())
    train, val = standard.apply(train), standard.apply(val)
    problem = _Problem(train, classes, strength)
    history: List[Epoch] = []
    best: Optional[Tuple[Epoch, Head]] = None
    start = time.monotonic()
    for step in minimise(problem, torch.zeros(problem.size, dtype=torch.float64), epochs):
        seconds = max(time.monotonic() - start, 1e-9)
        weight, bias = problem.parts(step.point)
        speed = step.evaluations * len(train.labels) / seconds
        epoch = _measure(len(history) + 1, train, val, weight, bias, step.length, speed)
        history.append(epoch)
        if on_epoch is not None:
            on_epoch(epoch)
        if best is None or epoch.val_loss is None or epoch.val_loss < _val_loss(best[0]):
            best = epoch, standard.fold(weight, bias)
        start = time.monotonic()
    if best is None:
        raise ValueError(f"no epochs to fit: {epochs}")
    described = {"name": "L-BFGS", "l2": strength, "history_size": _REMEMBERED}
    return Fit(best[1], best[0], history, strength, described)


class _Problem:
    """The penalised cross-entropy and its gradient, by the formula, of weight and bias in one vector."""

    def __init__(self, train: Split, classes: int, strength: float) -> None:
        self._features, self._strength = train.features, strength
        self._wanted = one_hot(train.labels, classes).double()
        self._shape = (classes, train.features.shape[1])
        self.size = classes * train.features.shape[1] + classes

    def parts(self, point: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        """weight (classes, d) and bias (classes,)."""
        weight, bias = point.split([self.size - self._shape[0], self._shape[0]])
        return weight.reshape(self._shape), bias

    def __call__(self, point: torch.Tensor) -> Tuple[float, torch.Tensor]:
        weight, bias = self.parts(point)
        shares = log_softmax(self._features @ weight.T + bias, 1)
        count = len(self._wanted)
        loss = -(shares * self._wanted).sum() / count + 0.5 * self._strength * weight.square().sum()
        error = (shares.exp() - self._wanted) / count
        slope = error.T @ self._features + self._strength * weight
        return float(loss), torch.cat([slope.reshape(-1), error.sum(0)])


class Step(NamedTuple):
    """Where an iteration of `minimise` has come to, how long its step was and how often the function was computed."""

    point: torch.Tensor
    length: float
    evaluations: int


def minimise(
    function: Callable[[torch.Tensor], Tuple[float, torch.Tensor]], start: torch.Tensor, iterations: int
) -> Iterator[Step]:
    """L-BFGS for a smooth convex function (Nocedal and Wright, Numerical Optimization, algorithms 7.4, 7.5 and 3.1).

    Not torch.optim's: making any optimizer of torch 2.13 imports its compiler, 1.6 s.
    """
    point = start
    value, slope = function(point)
    moves: List[Tuple[torch.Tensor, torch.Tensor, float]] = []  # step, change of slope, 1 / their product
    evaluations = 1
    for _ in range(iterations):
        direction = _towards(slope, moves)
        length = 1.0 if moves else min(1.0, 1.0 / float(slope.abs().sum()))
        descent = float(slope @ direction)
        while True:
            moved = point + length * direction
            new_value, new_slope = function(moved)
            evaluations += 1
            if new_value <= value + _ENOUGH * length * descent or length < _SHORTEST:
                break
            # The minimum of the parabola through what is known, but not too far from here.
            parabola = -descent * length * length / (2 * (new_value - value - descent * length))
            length = min(max(parabola, 0.1 * length), 0.5 * length)
        step, change = moved - point, new_slope - slope
        product = float(step @ change)
        if product > 1e-12 * float(change @ change):
            moves = [*moves[1 - _REMEMBERED :], (step, change, 1 / product)]
        point, value, slope = moved, new_value, new_slope
        yield Step(point, length, evaluations)
        evaluations = 0
        if float(slope.abs().max()) < _CONVERGED:
            return


def _towards(slope: torch.Tensor, moves: List[Tuple[torch.Tensor, torch.Tensor, float]]) -> torch.Tensor:
    direction = -slope
    shares = []
    for step, change, inverse in reversed(moves):
        share = inverse * float(step @ direction)
        shares.append(share)
        direction = direction - share * change
    if moves:
        step, change, inverse = moves[-1]
        direction = direction / (inverse * float(change @ change))
    for (step, change, inverse), share in zip(moves, reversed(shares)):
        direction = direction + (share - inverse * float(change @ direction)) * step
    return direction


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
