"""The deep checks of the server: what metadata promises is imported and run, each in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Dict

from gpu_server.installed import VENV
from shared.deep import check
from shared.doctor import Asked
from shared.findings import Check

TORCH = """
import torch
print(torch.__version__)
"""
# Not only whether CUDA says that it is there: kernels may be missing for a GPU that is too old or too new.
CUDA = """
import torch
if not torch.cuda.is_available():
    print("CPU")
else:
    total = (torch.ones(256, 256, device="cuda") @ torch.ones(256, 256, device="cuda")).sum().item()
    assert total == 256.0 ** 3, total
    print(torch.cuda.get_device_name(0))
"""
TRAINING = """
import torch
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
                            torch.nn.Linear(8, 2)).to(device)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
images, labels = torch.rand(8, 3, 64, 64, device=device), torch.tensor([0, 1] * 4, device=device)
before = [each.detach().clone() for each in model.parameters()]
loss = torch.nn.functional.cross_entropy(model(images), labels)
loss.backward()
optimizer.step()
assert torch.isfinite(loss) and any((a != b).any() for a, b in zip(before, model.parameters()))
print(device.type)
"""
LIBRARIES = """
import cv2, numpy, onnx, onnxruntime
assert cv2.imdecode(cv2.imencode(".jpg", numpy.zeros((16, 16, 3), "uint8"))[1], 1).shape == (16, 16, 3)
print("onnxruntime", onnxruntime.__version__)
"""


def checks(root: Path, asked: Asked) -> Dict[str, Check]:
    texts = {"deep_torch": TORCH, "deep_cuda": CUDA, "deep_training": TRAINING, "deep_onnxruntime": LIBRARIES}
    return {name: check(name, text, python=sys.executable, venv=VENV) for name, text in texts.items()}
