"""Code of the pages that is no doctest: it runs, with small SAEs, models and texts in its place.

The notebooks run the same calls on the packaged language model. Commands are parsed; each command
runs in tests of its own.
"""

import re
import shlex
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from sae_lens.registry import get_sae_class
from sae_lens.saes.sae import SAEMetadata
from tests.rsae import saes
from tests.rsae.fake_host import FakeHost

import rsae
from remez.cli.program import _parser as remez_parser
from rsae_cli import build_parser as rsae_parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    page
    for pattern in ("*.md", "packages/*/*.md", "docs/**/*.md")
    for page in sorted(ROOT.glob(pattern))
]
HOOK = "blocks.12.hook_resid_post"
COMMAND = r"^(?:\$ )?((?:rsae|remez|python|make) .*)"
QUICK = rsae.UpgradeConfig(train=rsae.TrainConfig(steps=10, batch_size=64))
SMALLER = {
    "48_000": "4_000",
    "batches(4096": "batches(64",
    "store, out=": "store, QUICK, out=",
    "sample, out=": "sample, QUICK, out=",
}


def blocks(page: Path, *languages: str) -> list[str]:
    found = re.findall(rf"```(?:{'|'.join(languages)})\n(.*?)```", page.read_text(), re.S)
    return [block for block in found if ">>>" not in block]


SNIPPETS = [
    pytest.param(str(page.relative_to(ROOT)), block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, block in enumerate(blocks(page, "python"))
]
COMMANDS = [
    pytest.param(line, id=f"{page.relative_to(ROOT)}: {line[:50]}")
    for page in PAGES
    for block in blocks(page, "console", "sh")
    for line in re.findall(COMMAND, block.replace("\\\n", ""), re.M)
]


class Host(FakeHost):
    """A language model of six channels, whose layers are all one."""

    def check_hook(self, hook_name):
        return 0

    def logits(self, ids, hook_name=None, replace=None, input_hook=None):
        y = self.residual(ids, hook_name)
        if replace is not None:
            y = replace(y) if input_hook is None else replace(y, y)
        return y @ torch.eye(self.d_model, 200)


def small(name="demo:jumprelu") -> rsae.Teacher:
    family = name.removeprefix("demo:")
    return saes.teacher(family, d_in=6, d_sae=24, metadata={"hook_name": HOOK})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with what the pages take for granted, and small stand-ins for what is large."""
    import pyarrow
    import pyarrow.parquet

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rsae, "load_host", lambda name="smollm2": Host())
    monkeypatch.setattr(rsae, "load_teacher", small)
    for name in ("topk", "jumprelu"):
        sae = rsae.upgrading.refining.as_rsae(small())
        sae.cfg.metadata = SAEMetadata(**small().metadata)
        sae.save_model(tmp_path / "runs" / name)
    cls, config = get_sae_class("skip_transcoder")
    metadata = SAEMetadata(hook_name=HOOK, hook_name_out="blocks.12.hook_mlp_out")
    widths = {"d_in": 6, "d_out": 6, "d_sae": 24}
    transcoder = cls(config(**widths, apply_b_dec_to_input=False, metadata=metadata))
    rsae.Transcoder(transcoder).save(tmp_path / "runs" / "transcoder")
    words = [" ".join("x" * (1 + (i + j) % 83) for j in range(400)) for i in range(40)]
    pyarrow.parquet.write_table(pyarrow.table({"text": words}), tmp_path / "corpus.parquet")
    return tmp_path


@pytest.mark.parametrize(("page", "snippet"), SNIPPETS)
def test_a_snippet_runs(folder, capsys, page: str, snippet: str) -> None:
    g = torch.Generator().manual_seed(0)
    activations = torch.randn(5000, 6, generator=g)
    for size, other in SMALLER.items():
        snippet = snippet.replace(size, other)
    given = {"activations": activations, "x": activations[:9], "QUICK": QUICK}
    exec(compile(snippet, page, "exec"), given)


def test_the_snippet_of_the_evaluations_readme_prints_what_it_shows(capsys) -> None:
    page = (ROOT / "packages/evals/README.md").read_text()
    code, shown = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", page, re.S).groups()
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_one(line: str) -> None:
    program, *words = shlex.split(line, comments=True)
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert words[0] in targets
    elif program == "python":
        path = words[1].replace(".", "/") if words[0] == "-m" else words[0]
        known = [ROOT / path, ROOT / f"{path}.py", ROOT / path / "__main__.py"]
        assert any(one.is_file() for one in known)
    else:
        parsed = {"rsae": rsae_parser, "remez": remez_parser}[program]().parse_args(words)
        assert isinstance(parsed, Namespace)
