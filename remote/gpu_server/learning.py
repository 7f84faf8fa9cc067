"""A step of gradient descent, as the recipes that change a network take it."""

from __future__ import annotations

import contextlib
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, ContextManager, Iterable, Optional, Tuple

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gpu_server.training import Training, require_sense
from shared.wire import Failure

# On a CPU one call into PyTorch with more images would take longer than a cancel may wait.
_AT_ONCE_ON_CPU = 32
_AT_ONCE_IN_A_THREAD = 8
_WARM_UP = 0.25  # of all steps
_FIRST_RATE, _LAST_RATE = 0.1, 0.01  # times the highest


def one_cycle(step: int, steps: int, highest: float) -> float:
    """The learning rate of a step: up in the first quarter, then down, each along half a cosine."""
    up = max(1, round(steps * _WARM_UP))
    if step < up:
        low, share = _FIRST_RATE, 1 - step / up
    else:
        low, share = _LAST_RATE, (step - up) / max(1, steps - up)
    return highest * (low + (1 - low) * (1 + math.cos(math.pi * share)) / 2)


def keep_norms(network: nn.Module) -> None:
    """Training with few images would spoil what the batch norms have measured on ImageNet.

    The kernels of depthwise convolutions stay as well: they are 2 % of the weights and took a quarter of a step's time.
    """
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval().requires_grad_(False)
        elif isinstance(module, nn.Conv2d) and module.groups > 1:
            module.requires_grad_(False)


def precision(device: torch.device) -> Optional[torch.dtype]:
    """For mixed precision: float16 on a GPU, bfloat16 on a CPU that computes in it, else none."""
    if device.type == "cuda":
        return torch.float16
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return torch.bfloat16 if "avx512_bf16" in flags or "amx_bf16" in flags else None


_Part = Tuple[float, int, Tuple[torch.Tensor, ...]]  # share of the mean loss, how many right, gradients


class Learner:
    """Takes steps, counts how they went, and gives way when the memory of a GPU is full. To be closed at the end.

    `forward` gives logits of a batch on the device. `mixed` is a dtype of `precision`, or None for plain float32. With
    `threads` parts of a batch are computed side by side, a thread for each: threads inside a layer wait for one another,
    which was many times slower where others compute too. Only for a network that remembers nothing of a batch (no batch
    norm or dropout at work). The sum is taken in order, so that their number changes nothing.
    """

    def __init__(
        self,
        training: Training,
        forward: Callable[[torch.Tensor], torch.Tensor],
        optimizer: torch.optim.Optimizer,
        smoothing: float,
        mixed: Optional[torch.dtype] = None,
        threads: int = 0,
    ) -> None:
        self.optimizer = optimizer
        self._training, self._forward, self._smoothing, self._mixed = training, forward, smoothing, mixed
        scaler: Any = getattr(torch.amp, "GradScaler", None) or torch.cuda.amp.GradScaler  # the first since torch 2.3
        self.scaler = scaler(enabled=mixed is torch.float16)
        self._parameters = [each for group in optimizer.param_groups for each in group["params"]]
        self._pool: Optional[ThreadPoolExecutor] = None
        self._at_once = 2**31
        if training.device.type == "cpu":
            self._at_once = _AT_ONCE_IN_A_THREAD if threads else _AT_ONCE_ON_CPU
            if threads:
                self._pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        self.begin_epoch()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def begin_epoch(self) -> None:
        self._loss, self._right, self._seen, self._start = 0.0, 0, 0, time.monotonic()

    @property
    def loss(self) -> float:
        """Mean over the images of this epoch."""
        return self._loss / max(self._seen, 1)

    @property
    def accuracy(self) -> float:
        return self._right / max(self._seen, 1)

    @property
    def images_per_s(self) -> float:
        return self._seen / max(time.monotonic() - self._start, 1e-9)

    def step(self, images: torch.Tensor, labels: torch.Tensor, rate: float) -> None:
        """One step on a batch; `images` and `labels` on the CPU or the device.

        Failures: `train.diverged` {lr}; `train.gpu_memory` {device} where not even one image fits.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        while True:
            try:
                loss, right = self._gradients(images, labels)
                break
            except torch.cuda.OutOfMemoryError as error:
                self._halve(len(labels), error)
        require_sense(loss, rate)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._loss += loss * len(labels)
        self._right += right
        self._seen += len(labels)

    def _gradients(self, images: torch.Tensor, labels: torch.Tensor) -> Tuple[float, int]:
        """Adds up over parts of the batch as large as fit; (mean loss, how many right)."""
        self.optimizer.zero_grad(set_to_none=True)
        parts = list(zip(images.split(self._at_once), labels.split(self._at_once)))
        count = len(labels)
        if self._pool is not None:
            computed: Iterable[_Part] = self._pool.map(lambda part: self._part(part[0], part[1], count), parts)
        else:
            computed = (self._part(part[0], part[1], count) for part in parts)
        total, right = 0.0, 0
        for loss, correct, gradients in computed:
            total += loss
            right += correct
            for parameter, gradient in zip(self._parameters, gradients):
                parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
        return total, right

    def _part(self, images: torch.Tensor, labels: torch.Tensor, count: int) -> _Part:
        """What these images add to the mean over `count`."""
        device = self._training.device
        wanted = labels.to(device)
        with self._casting():
            logits = self._forward(images.to(device))
            loss = cross_entropy(logits.float(), wanted, label_smoothing=self._smoothing) * (len(wanted) / count)
        gradients = torch.autograd.grad(self.scaler.scale(loss), self._parameters)
        return float(loss.detach()), int((logits.detach().argmax(1) == wanted).sum()), gradients

    def _casting(self) -> ContextManager[Any]:
        if self._mixed is None:
            return contextlib.nullcontext()
        return torch.autocast(self._training.device.type, dtype=self._mixed)

    def _halve(self, batch: int, error: Exception) -> None:
        now = min(self._at_once, batch)
        if now == 1:
            name = torch.cuda.get_device_name(self._training.device) if torch.cuda.is_available() else "GPU"
            raise Failure("train.gpu_memory", device=name) from error
        self._at_once = now // 2
        self.optimizer.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        self._training.run.log("train.batch_halved", level="warning", batch=self._at_once)

    def logits_of(self, batches: Iterable[torch.Tensor], classes: int) -> torch.Tensor:
        """float32 (n, classes) on the CPU, in plain precision."""
        computed = self._pool.map(self._answer, batches) if self._pool is not None else map(self._answer, batches)
        return torch.cat([torch.empty((0, classes)), *computed])

    def _answer(self, batch: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self._forward(batch.to(self._training.device)).float().cpu()
