"""Draw the packaged probing texts from the source archive of vaderSentiment 3.3.2.

pip download --no-binary :all: --no-deps vaderSentiment==3.3.2
python benchmarks/evals/make_probing_excerpt.py vaderSentiment-3.3.2.tar.gz
"""

import csv
import sys
from pathlib import Path

import numpy as np

import rsae_evals.metrics.probing as probing

OUT = Path(probing.__file__).parent / "data" / "vader.csv"
PER_DOMAIN = {"positive": 240, "negative": 240, None: 120}
LENGTH = range(40, 160)  # characters


def main(archive: str) -> None:
    corpus = probing.read(archive)
    rng = np.random.default_rng(0)
    columns = zip(corpus.texts, corpus.labels["domain"], corpus.labels["sentiment"], strict=True)
    first = {row[0]: row for row in reversed(list(columns))}  # a text stands once
    usable = [r for r in reversed(first.values()) if len(r[0]) in LENGTH and r[0].isprintable()]
    rows = []
    for domain in sorted({row[1] for row in usable}):
        for sentiment, n in PER_DOMAIN.items():
            pool = [row for row in usable if row[1:] == (domain, sentiment)]
            rows += [pool[i] for i in sorted(rng.permutation(len(pool))[:n])]
    OUT.parent.mkdir(exist_ok=True)
    with OUT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("text", "domain", "sentiment"))
        writer.writerows((text, domain, sentiment or "") for text, domain, sentiment in rows)
    print(f"{len(rows)} texts, {OUT.stat().st_size} bytes: {OUT.name}")


if __name__ == "__main__":
    main(sys.argv[1])
