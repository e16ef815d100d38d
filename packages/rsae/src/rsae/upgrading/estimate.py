"""Time and memory of an upgrade, estimated before it begins, and the peak memory afterwards.

Every stage is counted in operations of matrix products, in bytes written to memory, and in single
operations; the rates of these three are measured on the device. What stages take in units of them
was found by profiles of upgrades of 64 → 512 to 2304 → 16,384 on a CPU.

Shapes: n tokens, d_in, d_sae features.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsae.data.order import block_rows
from rsae.language_model.host import SINK_POSITIONS
from rsae.language_model.shape import ModelShape
from rsae.memory import rows_at_once
from rsae.pretrained import Teacher
from rsae.upgrading.config import UpgradeConfig
from rsae.upgrading.finetune import trainings
from rsae.upgrading.plan import Plan, plan
from rsae.upgrading.pursuit import LEAST_TOKENS
from rsae.upgrading.rates import Rates

__all__ = ["COPIES", "Work", "estimate", "peak_memory_gib"]

COPIES = 7
"""What training holds of the weights: themselves, gradients, two moments, a snapshot of three."""

_GIB = 2**30
_FLOAT = 4  # bytes
_L0 = 64  # active features of an SAE that does not say
_CHUNK = 2048  # tokens whose dense pre-activations are held at once
_BLOCKS = 6  # of these alive at once in the worst stage

_START = 10.0  # seconds: importing PyTorch, transformers, TransformerLens and SAELens
_LOOPS = 2.0  # seconds: loading the compiled loops of a training
_REPORT = 6.0  # seconds: statistics, figures and the page
_DISK = 5e8  # bytes per second at which weights are read, hashed or written
_TEXT = 1e6  # bytes of text per second that are tokenized
_BASE_GIB = 0.8  # interpreter, libraries, compiled loops
_GPU_GIB = 2.0  # what a GPU's own libraries take of the host's memory

_SEQUENCES = 8  # per forward pass
_SPLICED = 24  # sequences that a report splices each variant into
_MATCHING = 6  # encodings by which L0 is matched
_TRIALS = 14  # measurements of a pursuit, on _SAMPLE tokens
_SAMPLE = 4096
_REFINING = 24  # readings of the active decoder rows in one refinement
_GRAM = 2048  # features up to which a Gram matrix saves most of them
_TOPK = 25  # passes that the choice of the k largest costs


@dataclass(frozen=True)
class Work:
    """What an upgrade reads.

    Attributes:
        hook_name: Where in the language model; of a transcoder's hooks the last.
        n_tokens: Tokens in the store to train on; of a stream those of one pass, which is repeated
            as often as the steps ask for.
        context_size: Tokens per sequence.
        streamed: Whether the language model runs while the SAEs are trained.
        cached: Whether the activations are on disk already.
        text_bytes: Size of the text that is tokenized.
        n_calibration, n_heldout: Tokens of these splits.
    """

    hook_name: str
    n_tokens: int
    context_size: int = 128
    streamed: bool = False
    cached: bool = False
    text_bytes: int = 0
    n_calibration: int = 10_923
    n_heldout: int = 5_461


def estimate(
    teacher: Teacher,
    config: UpgradeConfig,
    work: Work,
    model: ModelShape | None,
    rates: Rates,
    *,
    bytes_per_weight: int = _FLOAT,
    on_gpu: bool = False,
) -> dict[str, Any]:
    """Seconds of each stage, peak memory and disk to expect, to within a factor of two.

    Nothing is loaded beside the SAE. Where the language model is not known its stages are None,
    and no sum is given.

    Args:
        teacher: The SAE.
        config: The settings.
        work: What is read.
        model: The language model; None where its settings cannot be had.
        rates: Those of the device.
        bytes_per_weight: Of the language model.
        on_gpu: Whether the device has a memory of its own.

    References:
        The accuracy was measured by `python -m benchmarks.rsae.size`, on a CPU.
    """
    planned = plan(teacher, config)
    sae = _Costs(teacher, config, planned, rates)
    tokens = config.train.steps * config.train.batch_size if planned.trained else 0
    seconds: dict[str, float | None] = {
        "start": _START,
        "model": None,
        "text": work.text_bytes / _TEXT,
        "harvest": None,
        "calibrate": sae.calibration(work),
        "train": sae.training(work),
        "refine": sae.refinement(work),
        "measure": sae.measurement(work),
        "report": None,
    }
    if model is not None:
        passes = _Passes(model, work, rates)
        stored = work.n_calibration + work.n_heldout + (0 if work.streamed else work.n_tokens)
        seconds["model"] = 2 * model.parameters * _FLOAT / _DISK
        seconds["harvest"] = 0.0 if work.cached else passes.to_hook(stored)
        if work.streamed:
            seconds["train"] = sae.training(work) + passes.to_hook(tokens)
        seconds["report"] = sae.report(work) + passes.spliced(sae.n_variants)
    known = [one for one in seconds.values() if one is not None]
    host, device = _memory(sae, work, model, bytes_per_weight, on_gpu)
    kept = 0 if work.cached else work.n_calibration + work.n_heldout
    kept += 0 if work.cached or work.streamed else work.n_tokens
    disk = 2 * kept * teacher.row_width + (2 + len(planned.trained)) * sae.weights
    return {
        "teacher": teacher.source,
        "family": teacher.family,
        "d_in": teacher.d_in,
        "d_sae": teacher.d_sae,
        "keep": planned.keep,
        "plan": planned.sentence,
        "trained": list(planned.trained),
        "steps_per_variant": config.train.steps,
        "tokens_per_variant": tokens,
        "model": model and model.name,
        "model_parameters": model and model.parameters,
        "seconds": {name: one and round(one, 1) for name, one in seconds.items()},
        "total_seconds": round(sum(known), 1) if len(known) == len(seconds) else None,
        "peak_memory_gib": host and round(host / _GIB, 1),
        "device_memory_gib": device and round(device / _GIB, 1),
        "download_gib": model and round(model.download_bytes / _GIB, 2),
        "disk_gib": round(disk / _GIB, 2),
        "rates": f"{rates.products / 1e9:.3g} GFLOP/s, {rates.memory / 1e9:.3g} GB/s, measured",
    }


class _Costs:
    """Seconds and bytes of what is done with an SAE."""

    def __init__(
        self, teacher: Teacher, config: UpgradeConfig, planned: Plan, rates: Rates
    ) -> None:
        self.row_width, self.d_out, self.d_sae = teacher.row_width, teacher.d_out, teacher.d_sae
        self.l0 = float(teacher.k or _stated_l0(teacher))
        self.config, self.plan, self.rates = config, planned, rates
        self.parameters = (teacher.d_in + teacher.d_out) * teacher.d_sae
        self.parameters += 0 if teacher.W_skip is None else teacher.W_skip.numel()
        self.weights = _FLOAT * self.parameters
        self.encoding = 4 + (_TOPK if teacher.family == "topk" else 0)  # passes
        # Each base has a refined copy, the teacher a pursued one too; one of them is the result.
        copies = 0 if planned.transcodes else 2 + len(planned.trained)
        self.n_variants = 1 + len(planned.trained) + copies
        self.n_variants += config.rational.form != "magnitude"

    def dense(self, n: float, products: float, passes: float) -> float:
        """Products with encoder or decoder, and passes over (n, d_sae) blocks."""
        operations = products * self.parameters / self.rates.products
        return n * (operations + passes * _FLOAT * self.d_sae / self.rates.memory)

    def sparse(self, n: float, readings: float) -> float:
        """Readings of the active decoder rows of n tokens."""
        return n * readings * self.l0 * self.d_out * _FLOAT / (4 * self.rates.memory)

    def refining(self, n: float) -> float:
        """One refinement of the activations of n tokens."""
        return self.sparse(n, _REFINING / (4 if self.d_sae <= _GRAM else 1)) + self.dense(n, 0, 8)

    def calibration(self, work: Work) -> float:
        """The initial scales, and L0 and error on the calibration tokens."""
        return self.dense(self.calibrated(work), 3, 10 + 2 * self.encoding)

    def calibrated(self, work: Work) -> int:
        """Tokens that are calibrated on."""
        return min(self.config.calibration_tokens, work.n_calibration)

    def training(self, work: Work) -> float:
        """All steps of all variants, and what surrounds them."""
        train = self.config.train
        step = (
            self.dense(train.batch_size, 1, 2)
            + self.sparse(train.batch_size, 12)
            + 8 * self.weights / self.rates.memory
            + 400 * self.rates.call
        )
        n = self.calibrated(work)
        around = self.dense(n, 5, 10) + _MATCHING * self.dense(n, 1, self.encoding)
        count = sum(map(trainings, self.plan.trained))
        return count * (train.steps * step + around) + (_LOOPS if count else 0)

    def refinement(self, work: Work) -> float:
        """A pursuit of the teacher and of what is pursued with it; L0 matched where refined."""
        if self.plan.transcodes:
            return 0.0
        n = max(self.calibrated(work), LEAST_TOKENS)
        few = min(n, _SAMPLE)
        first = self.dense(n, 1, 10 + self.encoding) + self.refining(n)
        thresholds = 4 * self.dense(n, 1, 24)
        trials = _TRIALS * (self.dense(few, 3.5, 30) + self.refining(few))
        pursuit = first + thresholds + trials
        matched = _MATCHING * (self.dense(n, 1, self.encoding) + self.refining(n))
        copies = pursuit if self.plan.copy_step == "pursued" else matched
        return pursuit + len(self.plan.trained) * copies

    def measurement(self, work: Work) -> float:
        """Every variant on the held-out tokens, and a checksum of its weights."""
        n = work.n_heldout
        one = self.dense(n, 2.5, 10 + self.encoding) + self.refining(n) + self.weights / _DISK
        return self.n_variants * one

    def report(self, work: Work) -> float:
        """Reconstruction and identity of the features of every variant, and the page."""
        n = work.n_heldout
        one = self.dense(n, 6, 40 + 2 * self.encoding) + 2 * self.refining(n)
        return _REPORT + self.n_variants * one

    def held(self, streamed: bool) -> float:
        """Bytes of all copies of the weights in the worst stage."""
        counts = [trainings(name) for name in self.plan.trained]
        at_end = 3 + self.n_variants + len(counts)  # teacher, checksum, gradients that are left
        together = sum(counts) if streamed else 1
        training = 2 + COPIES * together + 2 * len(counts) if counts else 0
        return self.weights * max(at_end, training)

    def blocks(self) -> float:
        """Bytes of the dense blocks of tokens."""
        largest = max(_CHUNK, self.config.train.batch_size if self.plan.trained else 0)
        return _BLOCKS * _FLOAT * self.d_sae * rows_at_once(self.d_sae, largest)


def _stated_l0(teacher: Teacher) -> float:
    """L0 by the metadata of an SAE, which may hold anything."""
    stated = teacher.metadata.get("l0")
    if isinstance(stated, int | float) and not isinstance(stated, bool):
        return float(stated) if 0 < stated <= teacher.d_sae else _L0
    return _L0


class _Passes:
    """Seconds of the language model."""

    def __init__(self, model: ModelShape, work: Work, rates: Rates) -> None:
        self.model, self.work, self.rates = model, work, rates

    def to_hook(self, n: int) -> float:
        """A pass over n tokens that ends at the hook; special positions go through it too."""
        context = self.work.context_size
        positions = n * context / max(1, context - SINK_POSITIONS)
        return self._seconds(positions, self.model.flops_to(self.work.hook_name, context))

    def spliced(self, n_variants: int) -> float:
        """Whole passes without SAE, with zeros, and with each variant; losses from the logits."""
        positions = float(_SPLICED * self.work.context_size)
        once = self._seconds(positions, self.model.flops(self.work.context_size))
        logits = 12 * positions * self.model.d_vocab * _FLOAT / self.rates.memory
        return (2 + n_variants) * (once + logits)

    def _seconds(self, positions: float, flops: float) -> float:
        calls = 80 * self.model.n_layers * positions / (_SEQUENCES * self.work.context_size)
        return positions * flops / self.rates.model_products + calls * self.rates.call


def _memory(
    sae: _Costs, work: Work, model: ModelShape | None, bytes_per_weight: int, on_gpu: bool
) -> tuple[float | None, float | None]:
    """Bytes of the host's memory and of the device's, None where there is none or not known."""
    rows = min(work.n_tokens, 2 * block_rows(sae.config.train.batch_size))
    activations = 2.0 * rows * sae.row_width
    base = _GIB * (_BASE_GIB + (_GPU_GIB if on_gpu else 0))
    if model is None:
        return None, None
    positions = _SEQUENCES * work.context_size
    logits = 5 * _FLOAT * positions * model.d_vocab
    attention = 3 * _FLOAT * positions * model.n_heads * work.context_size
    layer = 20 * _FLOAT * positions * model.d_model
    computed = (
        model.parameters * bytes_per_weight
        + sae.held(work.streamed)
        + max(sae.blocks(), logits + attention, layer + attention)
    )
    loaded = model.parameters * (_FLOAT + (bytes_per_weight if bytes_per_weight != _FLOAT else 0))
    if on_gpu:
        return base + activations + max(loaded, 2 * sae.weights), computed
    return base + activations + max(computed, loaded), None


def peak_memory_gib() -> float:
    """Largest resident set of this process so far."""
    if sys.platform == "win32":  # psutil knows the peak on Windows only, `resource` elsewhere only
        import psutil

        return round(psutil.Process().memory_info().peak_wset / _GIB, 2)
    status = Path("/proc/self/status")
    if status.is_file():  # Linux counts the memory of whoever started the process in `resource`
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text(errors="replace"))
        if found:
            return round(1024 * int(found[1]) / _GIB, 2)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / _GIB, 2)
