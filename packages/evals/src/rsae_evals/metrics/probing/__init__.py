"""k-sparse probing: how much of a labelled concept do k features hold?"""

from rsae_evals.metrics.probing.metric import Probing, probe
from rsae_evals.metrics.probing.texts import LabelledTexts, packaged, read

__all__ = ["LabelledTexts", "Probing", "packaged", "probe", "read"]
