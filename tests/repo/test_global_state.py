"""No public call changes the state of the libraries that a user's program shares with it."""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from mpmath import mp
from tests.rsae import saes

import remez
import rsae
from rsae.data import Activations
from rsae.errors import RsaeError
from rsae.language_model.matmul import fast_products
from rsae.sae.export import export_jumprelu
from rsae.train import TrainConfig
from rsae.upgrading import UpgradeConfig
from rsae_evals import compare, evaluation_set

X = saes.inputs(400)
QUICK = UpgradeConfig(train=TrainConfig(steps=2, batch_size=64), calibration_tokens=40)


def state():
    """What a library keeps for the whole process, or for a thread."""
    return {
        "errstate": np.geterr(),
        "numpy random": np.random.get_state()[1].tolist(),  # noqa: NPY002 - the global one
        "mpmath": (mp.prec, mp.dps, mp.pretty),
        "dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "random": torch.random.get_rng_state().tolist(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        # The older torch.get_float32_matmul_precision() refuses to answer where any test of the
        # same process has used the newer setting by backend.
        "matmul": torch.backends.mkldnn.matmul.fp32_precision,
        "environment": dict(os.environ),
        "folder": os.getcwd(),
    }


def interrupted():
    def stop(record):
        raise KeyboardInterrupt

    return lambda: rsae.upgrade(saes.teacher("relu"), X, QUICK, on_step=stop)


def products():
    with fast_products():
        raise ZeroDivisionError


CALLS = {
    "fit": lambda: remez.fit(np.exp, (2, 2)),
    "precise fit": lambda: remez.fit("exp(x)", (2, 2), precision=30),
    "fit of a pole": lambda: remez.fit(np.tan, (2, 2), domain=(0, 3)),
    "fit that raises": lambda: remez.fit(lambda x: 1 / 0, (2, 2)),
    "precise fit that raises": lambda: remez.fit(lambda x: {}[x], (2, 2), precision=40),
    "fit of an interrupt": lambda: remez.fit(raises(KeyboardInterrupt), (2, 2)),
    "certify": lambda: remez.certify(remez.fit(remez.targets.exp, (2, 2))),
    "code": lambda: remez.fit(np.exp, (2, 2)).to_code("c"),
    "upgrade": lambda: rsae.upgrade(saes.teacher("jumprelu"), X, QUICK),
    "upgrade of another width": lambda: rsae.upgrade(saes.teacher("relu", d_in=5), X, QUICK),
    "upgrade interrupted": interrupted(),
    "refine": lambda: rsae.refine(saes.teacher("relu")).encode(X[:3]),
    "refine by fixed steps": lambda: rsae.refine(saes.teacher("relu"), X, method="minimax"),
    "export": lambda: export_jumprelu(
        rsae.refine(saes.teacher("relu")), Activations.from_tensor(X)
    ),
    "compare": lambda: compare({"a": saes.teacher("relu")}, evaluation_set(X)),
    "products": products,
}


def raises(kind):
    def fn(x):
        raise kind

    return fn


@pytest.mark.parametrize("name", CALLS)
def test_a_call_leaves_the_process_as_it_was(name):
    np.seterr(under="ignore")
    before = state()
    ends = (remez.RemezError, RsaeError, ZeroDivisionError, KeyError, KeyboardInterrupt)
    with contextlib.suppress(*ends):
        CALLS[name]()
    after = state()
    assert {key for key in before if before[key] != after[key]} == set()


def test_calls_in_threads_do_not_disturb_each_other():
    """The same fits and comparisons in four threads as alone, and the state as before."""
    before = state()
    alone = remez.fit(np.exp, (3, 2)).error, refined()
    with ThreadPoolExecutor(4) as pool:
        fits = [pool.submit(lambda: remez.fit(np.exp, (3, 2)).error) for _ in range(4)]
        codes = [pool.submit(refined) for _ in range(4)]
        assert {fit.result() for fit in fits} == {alone[0]}
        assert all(torch.equal(code.result(), alone[1]) for code in codes)
    assert state() == before


def refined():
    with torch.no_grad():
        return rsae.refine(saes.teacher("relu")).encode(X[:50])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_can_go_on():
    """After a fit and an encoding here, a child of fork makes the same ones."""
    error, code = remez.fit(np.exp, (3, 2)).error, refined()
    child = os.fork()
    if child == 0:
        right = remez.fit(np.exp, (3, 2)).error == error and torch.equal(refined(), code)
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
