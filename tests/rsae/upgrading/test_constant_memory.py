"""A stream of several times what memory would hold takes no more memory than a short one."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

CODE = """
import json, resource, sys
import torch, rsae
from rsae.data import harvesting
from tests.rsae.saes import teacher
from tests.rsae.fake_host import HOOKS, FakeHost
from rsae import UpgradeConfig
from rsae.data import Activations, ActivationStream
from rsae.data.document import Document
from rsae.memory import memory_budget
from rsae.train import TrainConfig
from rsae.upgrading import Sample

torch.set_num_threads(1)
harvesting._SHARD_TOKENS = 2048  # what goes through the model together
D, STEPS, BATCH = 512, int(sys.argv[1]), 1024

def text(begin):
    for i in range(begin, 10**9):
        yield Document(str(i), " ".join("x" * (1 + (i + j) % 83) for j in range(124)))

host = FakeHost(d_model=D)
stream = ActivationStream(host, text, HOOKS[0], context_size=128, shuffle_rows=8192)
few = torch.cat(list(stream.batches(1000, stop=2)))
sample = Sample(stream, *(Activations.from_tensor(few[i::2].clone()) for i in (0, 1)))
def run(steps, on_step=None):
    config = UpgradeConfig(
        keep="nothing", only="rsae", train=TrainConfig(steps=steps, batch_size=BATCH)
    )
    with memory_budget(2**26):
        return rsae.upgrade(origin, sample, config, on_step=on_step)

peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
origin = teacher("jumprelu", d_in=D, d_sae=64)
run(2)  # what is imported and compiled on the way
before, marks = peak(), {}
result = run(STEPS, lambda record: marks.setdefault(record["step"], peak()))
print(json.dumps({
    "grown": peak() - before, "late": marks[STEPS] - marks[STEPS // 2],
    "bytes": result.stream.n_tokens * D * 2,
}))
"""


def test_memory_does_not_grow_with_the_tokens_that_are_trained_on():
    """All that the upgrade takes is less than a fifth of its activations in 16 bits."""
    command = [sys.executable, "-c", CODE, "480"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["bytes"] >= 5 * found["grown"]
    assert found["late"] <= 0.1 * found["bytes"] / 2  # the second half adds next to nothing
