"""The networks: what they are made of, where their weights come from, and that a cut changes nothing."""

import subprocess
import sys
from pathlib import Path

import pytest
import server_data
import torch

from gpu_server import libraries, networks, weights
from shared import preprocess
from shared.wire import Failure

NAMES = sorted(networks.ARCHITECTURES)
FROM_TORCHVISION = [name for name in NAMES if networks.ARCHITECTURES[name].files]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torchvision's cache, empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def torchvision_network(name: str) -> torch.nn.Module:
    """As torchvision makes it, with weights at random."""
    torch.manual_seed(4)
    network: torch.nn.Module = getattr(libraries.load_torchvision().models, name)(weights=None)
    return network.eval()


def test_lite0_computes_what_timms_does(images: torch.Tensor) -> None:
    libraries.load_torchvision()
    import timm

    classifier = weights.pretrained("efficientnet_lite0", None)
    reference = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    assert list(reference.state_dict()) == list(classifier.network.state_dict())
    reference.load_state_dict(classifier.network.state_dict())
    with torch.inference_mode():
        for size in (224, 97):  # where the uneven padding falls depends on the size
            part = images[:1, :, :size, :size]
            expected = reference(classifier.renormalise(part))
            torch.testing.assert_close(classifier(part), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", FROM_TORCHVISION)
def test_torchvisions_networks_compute_what_torchvision_does(name: str, cache: Path, images: torch.Tensor) -> None:
    reference = torchvision_network(name)
    torch.save(reference.state_dict(), cache / networks.ARCHITECTURES[name].files[-1])
    classifier = weights.pretrained(name, None)
    with torch.inference_mode():
        expected, found = reference(images[:1]), classifier(images[:1])
    if name == "squeezenet1_1":  # its own ends in ReLU and mean, here in mean and a linear layer
        features = reference.features(images[:1]).mean((2, 3))
        last = reference.classifier[1]
        expected = features @ last.weight.flatten(1).T + last.bias
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_changes_nothing_and_the_rest_can_be_tuned(name: str, images: torch.Tensor) -> None:
    known = networks.architecture(name)
    classifier = networks.frozen(networks.Classifier(known, 3))
    with torch.no_grad():
        whole = classifier(images[:1])
    assert [cut.stage for cut in known.cuts] == sorted((cut.stage for cut in known.cuts), reverse=True)
    for cut in known.cuts:
        maps = classifier.before(images[:1], cut.stage)
        torch.testing.assert_close(classifier.after(maps, cut.stage), whole)
        parameters = {id(each) for module in classifier.tuned(cut.stage) for each in module.parameters()}
        assert id(classifier.head.weight) in parameters
        assert 0 < len(parameters) < len(list(classifier.parameters()))


@pytest.mark.parametrize("name", NAMES)
def test_the_head_is_what_it_is_set_to(name: str, images: torch.Tensor) -> None:
    classifier = networks.frozen(networks.Classifier(networks.architecture(name), 1000))
    weight, bias = torch.randn(3, classifier.num_features), torch.randn(3)
    classifier.set_head(weight, bias)
    with torch.inference_mode():
        features = classifier.features(images[:1])
        torch.testing.assert_close(classifier(images[:1]), features @ weight.T + bias)
    again = networks.frozen(networks.Classifier(networks.architecture(name), 3))
    again.load_state_dict(classifier.state_dict())
    assert again.head.weight.equal(weight)


def test_weights_come_from_the_config_then_the_cache_the_best_first(cache: Path, tmp_path: Path) -> None:
    assert weights.find("mobilenet_v2", None) is None
    old, new = (cache / f"mobilenet_v2-{part}.pth" for part in ("b0353104", "7ebf99e0"))
    old.touch()
    assert weights.find("mobilenet_v2", None) == old
    new.touch()
    assert weights.find("mobilenet_v2", None) == new
    (tmp_path / "own.pth").touch()
    assert weights.find("mobilenet_v2", str(tmp_path / "own.pth")) == tmp_path / "own.pth"


def test_the_cache_is_where_torchvision_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    expected = tmp_path / "torch" / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    assert weights.expected_at(networks.architecture("resnet18")) == str(expected)


def test_without_weights_it_says_where_they_were_looked_for(cache: Path) -> None:
    with pytest.raises(Failure) as failure:
        weights.pretrained("resnet18", None)
    assert failure.value.code == "train.no_weights"
    assert failure.value.params == {"arch": "resnet18", "path": str(cache / "resnet18-f37072fd.pth")}


def test_older_files_lack_the_counters_of_batch_norms(cache: Path) -> None:
    state = torchvision_network("resnet18").state_dict()
    older = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    assert len(older) < len(state)
    torch.save(older, cache / "resnet18-f37072fd.pth")
    classifier = weights.pretrained("resnet18", None)
    assert classifier.network.state_dict()["layer4.1.conv2.weight"].equal(state["layer4.1.conv2.weight"])


def test_weights_of_another_network_are_refused(cache: Path) -> None:
    torch.save(torchvision_network("squeezenet1_1").state_dict(), cache / "resnet18-f37072fd.pth")
    with pytest.raises(Failure) as failure:
        weights.pretrained("resnet18", None)
    assert failure.value.code == "train.weights"


def test_a_training_of_lite0_needs_neither_timm_nor_torchvision() -> None:
    """Importing them took as long as a small training."""
    code = ("import sys; sys.path.insert(0, sys.argv[1]); from gpu_server import training, recipe_quick, weights; "
            "weights.pretrained('efficientnet_lite0', None); "
            "sys.exit(' '.join({'timm', 'torchvision', 'torch._dynamo'} & set(sys.modules)) or 0)")
    done = subprocess.run([sys.executable, "-c", code, str(server_data.REMOTE)], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stderr


def test_the_pretrained_network_knows_what_imagenet_taught_it() -> None:
    """Weights in the right order, the step between two normalisations, and the preparation: all or none of it works."""
    classifier = weights.pretrained("efficientnet_lite0", None)
    spec = preprocess.imagenet_input(224)
    # Classes of ImageNet: tabby, tiger cat, Egyptian cat; cup, espresso.
    for photograph, expected in (("chelsea.png", {281, 282, 285}), ("coffee.png", {968, 967})):
        with torch.inference_mode():
            prepared = torch.from_numpy(preprocess.prepare(server_data.photograph(photograph), spec))
            first = int(classifier(prepared).argmax())
        assert first in expected, (photograph, first)


def test_the_network_gets_the_normalisation_that_its_weights_want() -> None:
    grey_steps = torch.linspace(0, 1, 256).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    mean = torch.tensor(preprocess.IMAGENET_MEAN).reshape(1, 3, 1, 1)
    std = torch.tensor(preprocess.IMAGENET_STD).reshape(1, 3, 1, 1)
    renormalise = networks.Renormalise((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    torch.testing.assert_close(renormalise((grey_steps - mean) / std), 2 * grey_steps - 1, atol=1e-6, rtol=0)
