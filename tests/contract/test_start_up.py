"""What is left out at the start is there when it is asked for."""

import subprocess
import sys

import server_data

LOADED_WITHOUT = """if 1:
    import sys
    import torch
    from gpu_server import libraries, start_up
    with start_up.without_compiler():
        torchvision = libraries.load_torchvision()
    assert "torch._dynamo" not in sys.modules
    network = torchvision.models.squeezenet1_1(num_classes=3)
    steps = torch.optim.SGD(network.parameters(), lr=0.1)
    network(torch.zeros(2, 3, 64, 64)).sum().backward()
    steps.step()
    import torch._dynamo
    assert torch._dynamo.__file__ and callable(torch._dynamo.utils.is_compile_supported)
    with start_up.without_compiler():
        assert torch._dynamo.__file__
"""


def test_networks_load_without_the_compiler_and_it_comes_later() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", LOADED_WITHOUT], env={"PYTHONPATH": str(server_data.REMOTE)},
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
