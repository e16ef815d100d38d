"""The first fit of an installation says that it compiles; later ones are quiet."""

import os
import pty
import subprocess
import sys

import numpy as np
import pytest

import remez
from remez import interface

PROGRAM = (
    "import logging; logging.basicConfig(level=logging.INFO, stream=__import__('sys').stdout)\n"
    "from numba import njit\n"
    "from remez.compilation import announce\n"
    "announce(); announce()\n"
    "def loop(x): return x + 1\n"
    "loop.__module__ = {module!r}\n"
    "njit(loop)(1); loop2 = lambda x: x * 2; loop2.__module__ = 'remez.kernels'; njit(loop2)(1)\n"
)


@pytest.mark.parametrize("module", ["remez.kernels", "other"])
def test_the_first_compilation_is_announced_once(module):
    leader, follower = pty.openpty()
    command = [sys.executable, "-c", PROGRAM.format(module=module)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=follower, text=True, check=True)
    os.close(follower)
    shown = os.read(leader, 10_000).decode()
    assert shown.count("compiling the inner loops, once") == 1
    assert done.stdout.count("INFO:remez:compiling the inner loops, once") == 1


def test_a_warm_process_is_quiet():
    fit = "import remez, numpy; remez.fit(numpy.exp, (3, 3))"
    subprocess.run([sys.executable, "-c", fit], check=True, capture_output=True)
    leader, follower = pty.openpty()
    subprocess.run([sys.executable, "-c", fit], check=True, stderr=follower)
    os.set_blocking(leader, False)
    os.close(follower)
    with pytest.raises((BlockingIOError, OSError)):
        os.read(leader, 1000)


@pytest.mark.parametrize("cause", [KeyboardInterrupt(), None])
def test_an_interrupt_inside_a_compiled_loop_is_one(monkeypatch, cause):
    """CPython reports it as a SystemError, "returned a result with an exception set"."""

    def interrupted(*args, **options):
        raise SystemError("returned a result with an exception set") from cause

    monkeypatch.setattr(interface, "solve", interrupted)
    monkeypatch.setattr(interface, "solve_samples", interrupted)
    x = np.linspace(-1, 1, 9)
    for call in (lambda: remez.fit(np.exp, (2, 2)), lambda: remez.fit_samples(x, x**2, (1, 1))):
        with pytest.raises(SystemError if cause is None else KeyboardInterrupt):
            call()
