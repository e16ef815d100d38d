"""Devices by name, and computations that create no tensor on the default device by accident."""

import pytest
import torch
from tests.rsae.saes import FAMILIES, sparse_world, world_teacher
from torch.overrides import TorchFunctionMode

from rsae import RSAE, UpgradeConfig, refine
from rsae.devices import resolve_device, resolve_dtype, widest_dtype
from rsae.errors import DeviceError
from rsae.metrics import match_l0, measure, spread
from rsae.train import TrainConfig, measure_units, train
from rsae.upgrading.calibrate import calibrate, with_trainable_thresholds
from rsae.upgrading.initial_rational import fit_rational
from rsae.upgrading.refining import as_rsae

FACTORIES = {
    torch.arange,
    torch.empty,
    torch.eye,
    torch.full,
    torch.linspace,
    torch.ones,
    torch.rand,
    torch.randn,
    torch.randperm,
    torch.tensor,
    torch.zeros,
}
X, _ = sparse_world()


class DeviceIsSaid(TorchFunctionMode):
    """Fails on a tensor that is made without naming its device: on a GPU it would be elsewhere."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in FACTORIES and kwargs.get("device") is None:
            raise AssertionError(f"torch.{func.__name__} without a device")
        return func(*args, **kwargs)


def test_the_mode_sees_a_tensor_without_a_device():
    with DeviceIsSaid():
        torch.zeros(2, device="cpu")
        with pytest.raises(AssertionError, match="zeros"):
            torch.zeros(2)


@pytest.mark.parametrize("family", FAMILIES)
def test_calibration_training_and_measurement_say_the_device_of_every_tensor(family):
    config = UpgradeConfig(train=TrainConfig(steps=3, batch_size=64), calibration_tokens=200)
    rational = fit_rational(config.rational)
    teacher = world_teacher(family)
    with DeviceIsSaid():
        x = spread(X, config.calibration_tokens)
        start = calibrate(teacher, rational, x)
        sae: RSAE = with_trainable_thresholds(start, teacher, x)
        target = measure(start, x).l0
        scales = measure_units(sae, x, "l0", config.train.window)
        train(sae, lambda step: iter(X.split(64)[step:]), "l0", scales, target, config.train)
        match_l0(sae, x, target)
        assert torch.isfinite(sae.decode(sae.encode(x))).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_evaluation_says_the_device_of_every_tensor(family):
    evals = pytest.importorskip("rsae_evals")
    teacher = world_teacher(family)
    sae, heldout = as_rsae(teacher), evals.evaluation_set(X[:600])
    with DeviceIsSaid():
        (found,) = evals.Reconstruction().measure([evals.as_coder(sae)], heldout)
        identity = evals.feature_identity(sae, teacher, heldout)
    assert found.totals()["n"] == 600
    assert identity is not None


@pytest.mark.parametrize(
    "settings", [{}, {"method": "exact"}, {"method": "minimax"}, {"pursuit": True}], ids=str
)
@pytest.mark.parametrize("family", ["relu", "topk"])
def test_refinement_says_the_device_of_every_tensor(family, settings):
    x, _ = sparse_world(4000)
    teacher = world_teacher(family)
    with DeviceIsSaid():
        sae = refine(teacher, x, **settings)
        assert torch.isfinite(sae.decode(sae.encode(x[:64]))).all()


def test_sums_are_in_float32_where_there_is_no_float64():
    assert widest_dtype(torch.device("mps")) is torch.float32
    assert widest_dtype(torch.device("cuda:0")) is widest_dtype(torch.device("cpu"))


@pytest.mark.parametrize("name", ["auto", "cpu", " CPU ", torch.device("cpu")])
def test_devices_that_every_machine_has(name):
    expected = {"cpu"} if str(name).strip().lower() == "cpu" else {"cpu", "cuda", "mps"}
    assert resolve_device(name).type in expected


@pytest.mark.parametrize("name", ["cuda:999", "gpu", "cuda:-1", "cuda:x", "", "cuda:" + "9" * 500])
def test_a_device_that_is_not_here_is_told_in_a_line(name):
    with pytest.raises(DeviceError) as refusal:
        resolve_device(name)
    assert "use" in str(refusal.value)
    assert len(str(refusal.value)) < 200


def test_floating_types_by_name():
    assert resolve_dtype("bfloat16") is resolve_dtype(torch.bfloat16) is torch.bfloat16
    with pytest.raises(DeviceError, match="float32"):
        resolve_dtype("float8")
