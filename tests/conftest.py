"""Fixtures and settings shared by every test."""

import os
import shutil
import tempfile

# Two workers share two cores: one BLAS thread each. Set before numpy or torch is imported.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
# No test may depend on a model hub; code that reaches for one must fail fast and clearly.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
from hypothesis import HealthCheck, settings

# The default run is the same every time, so that main stays green for everyone;
# HYPOTHESIS_PROFILE=fresh searches new examples.
settings.register_profile(
    "default",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("fresh", parent=settings.get_profile("default"), derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session", autouse=True)
def temporary_folder():
    """A folder for the temporary files of all processes, which goes with them.

    wandb, which sae_lens imports, makes two when it is imported; workers of torchrun and of Ray,
    which end by a signal, leave theirs behind. The path is short, since sockets are made in it.
    """
    before = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="tests-", ignore_cleanup_errors=True) as folder:
        os.environ["TMPDIR"] = folder
        yield
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; where there is none the test is skipped, but never in CI."""
    path = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("CI must run the browser tests: install Debian's package chromium")
        pytest.skip(
            "no chromium on this machine: `apt-get install chromium` runs the browser tests"
        )
    return path


@pytest.fixture(scope="session")
def host():
    """The embedded language model, loaded once per test process."""
    from rsae.language_model.host import load_host

    return load_host()
