"""The commands as a user types them, on a small dictionary and activations without a host."""

import json

import pytest
import torch

from remez.cli.parsing import Parser
from rsae.errors import RsaeError
from rsae_cli import main
from rsae_evals.commands import evaluation as cli
from rsae_evals.data import materials
from rsae_evals.data.evaluation_set import evaluation_set
from rsae_evals.report import read, write
from rsae_evals_cli import register

D_IN, D_SAE = 8, 16


def save_teacher(folder, scale=1.0, bias=0.0):
    """A ReLU dictionary in SAELens' own layout, written by SAELens."""
    from sae_lens import StandardSAE, StandardSAEConfig

    sae = StandardSAE(StandardSAEConfig(d_in=D_IN, d_sae=D_SAE, apply_b_dec_to_input=False))
    eye = torch.eye(D_IN)
    with torch.no_grad():
        sae.W_enc.copy_(torch.cat([eye, -eye], dim=1))
        sae.W_dec.copy_(scale * torch.cat([eye, -eye]))
        sae.b_enc.fill_(bias)
        sae.b_dec.zero_()
    sae.save_model(folder)
    return folder


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return save_teacher(tmp_path_factory.mktemp("teacher"), 0.7)


@pytest.fixture(scope="module")
def better(tmp_path_factory):
    return save_teacher(tmp_path_factory.mktemp("better"), 0.9)


@pytest.fixture
def rsae(monkeypatch, tmp_path):
    """`rsae …` with activations in the place of a language model's."""
    x = torch.randn(512, D_IN, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(cli, "prepare", lambda *_, **__: evaluation_set(x))
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        parser = Parser(prog="rsae")
        register(parser.add_subparsers(required=True))
        args = parser.parse_args([str(argument) for argument in arguments])
        return args.run(args)

    return run


def test_eval_describes_one_dictionary(rsae, teacher, tmp_path, capsys):
    assert rsae("eval", teacher, "--cache", tmp_path) == 0
    said = capsys.readouterr().out
    assert "explains" in said
    assert "strict L0" in said
    assert not (tmp_path / "report.html").exists()


def test_compare_writes_a_report_and_names_the_better(rsae, teacher, better, tmp_path, capsys):
    code = rsae("compare", f"old={teacher}", f"new={better}", "--out", "here", "--cache", tmp_path)
    assert code == 0
    assert "new is better than old" in " ".join(capsys.readouterr().out.split())
    assert {p.name for p in (tmp_path / "here").iterdir()} == {
        "report.html", "report.json", "report.md",
    }  # fmt: skip


def test_json_on_stdout_is_the_comparison_and_nothing_else(rsae, teacher, better, tmp_path, capsys):
    rsae("compare", f"old={teacher}", f"new={better}", "--json", "--out", "o", "--cache", tmp_path)
    printed = json.loads(capsys.readouterr().out)
    assert printed == read(tmp_path / "o").to_dict()


def test_seeds_of_one_variant_are_given_with_commas(rsae, teacher, better, tmp_path, capsys):
    variants = (f"a={teacher},{teacher}", f"b={better},{better}")
    rsae("compare", *variants, "--json", "--cache", tmp_path)
    printed = json.loads(capsys.readouterr().out)
    assert [len(variant["per_seed"]["mse"]) for variant in printed["variants"]] == [2, 2]


def test_several_l0s_of_a_variant_make_a_curve(rsae, teacher, better, tmp_path, capsys):
    given = []
    for name, scale in (("old", 0.7), ("new", 0.9)):
        paths = [
            save_teacher(tmp_path / f"{name}{n}", scale, -0.3 * n) for n in range(4)
        ]  # fmt: skip
        given += ["--pareto", f"{name}={','.join(map(str, paths))}"]
    variants = (f"old={teacher}", f"new={better}")
    rsae("compare", *variants, *given, "--json", "--cache", tmp_path)
    printed = json.loads(capsys.readouterr().out)
    assert {curve["variant"] for curve in printed["pareto"]} == {"old", "new"}
    assert all(sorted(curve["l0"]) == curve["l0"] for curve in printed["pareto"])
    assert printed["areas"][0]["mean_difference"] < 0
    assert "against sparsity" in (tmp_path / "rsae-report" / "report.html").read_text()


def test_two_variants_of_one_name_are_refused(rsae, teacher):
    with pytest.raises(RsaeError, match="two variants are called"):
        rsae("compare", teacher, teacher)


@pytest.mark.parametrize("command", ["eval", "compare", "report"])
def test_a_path_that_is_not_there_is_one_line(rsae, command):
    with pytest.raises(RsaeError) as caught:
        rsae(command, "nowhere/at-all")
    assert "nowhere" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_rsae_is_one_line(rsae, tmp_path):
    (tmp_path / "cfg.json").write_text(json.dumps({"architecture": "rational", "d_in": D_IN}))
    with pytest.raises(RsaeError) as caught:
        rsae("eval", tmp_path)
    assert "\n" not in str(caught.value)


@pytest.fixture
def small_rsae(tmp_path):
    """An RSAE as `rsae upgrade` leaves it."""
    from rsae import RSAE, RationalActivation
    from rsae.pretrained import Teacher

    eye, zero = torch.eye(D_IN), torch.zeros(D_IN)
    sae = RSAE.from_teacher(
        Teacher("relu", eye, zero, eye, zero), RationalActivation.constant((3, 2))
    )
    sae.save_model(tmp_path / "rsae")
    return tmp_path / "rsae"


def truncate(folder):
    file = folder / "sae_weights.safetensors"
    file.write_bytes(file.read_bytes()[:200])


def poison(folder):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "sae_weights.safetensors")
    tensors["W_enc"][0, 0] = float("nan")
    save_file(tensors, folder / "sae_weights.safetensors")


def edit_config(**changes):
    def edit(folder):
        file = folder / "cfg.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return edit


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (truncate, "damaged"),
        (poison, "NaN"),
        (edit_config(form="cubic"), "cubic"),
        (edit_config(d_sae=5), "5"),
        (edit_config(rational={}), "numerator"),
        (edit_config(rational=3), "do not fit"),
        (lambda folder: (folder / "sae_weights.safetensors").unlink(), "no file"),
    ],
)
def test_what_is_wrong_with_an_rsae_is_one_line(rsae, small_rsae, damage, cause):
    assert rsae("eval", small_rsae) == 0
    damage(small_rsae)
    with pytest.raises(RsaeError, match=cause) as caught:
        rsae("eval", small_rsae)
    assert "\n" not in str(caught.value)
    assert str(small_rsae) in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("level", [0, 1, 1.5, -0.1, "nan"])
def test_a_level_that_is_none_is_refused(rsae, teacher, better, level):
    with pytest.raises(RsaeError, match="level"):
        rsae("compare", teacher, better, "--level", level)


@pytest.mark.parametrize("variant", ["a=", "a=,", "=", "a={},"])
def test_a_variant_without_a_path_is_refused(rsae, teacher, variant):
    with pytest.raises(RsaeError, match="NAME=PATH"):
        rsae("compare", variant.format(teacher))


def test_a_folder_that_cannot_be_is_refused_before_anything_is_measured(
    rsae, teacher, better, tmp_path, monkeypatch
):
    monkeypatch.setattr(cli, "compare", lambda *_, **__: pytest.fail("measured for nothing"))
    (tmp_path / "file").write_text("")
    with pytest.raises(RsaeError, match="in the way"):
        rsae("compare", teacher, better, "--out", tmp_path / "file")


def test_a_report_without_variants_is_refused(rsae, comparison_folder):
    content = json.loads((comparison_folder / "report.json").read_text())
    (comparison_folder / "report.json").write_text(json.dumps(content | {"variants": []}))
    with pytest.raises(RsaeError, match="no report"):
        rsae("report", comparison_folder)


def test_report_makes_the_files_again(rsae, comparison_folder, tmp_path, capsys):
    before = (comparison_folder / "report.html").read_text()
    (comparison_folder / "report.html").unlink()
    assert rsae("report", comparison_folder) == 0
    assert (comparison_folder / "report.html").read_text() == before
    assert rsae("report", comparison_folder / "report.json", "--out", tmp_path / "copy") == 0
    assert (tmp_path / "copy" / "report.html").read_text() == before
    assert "Report:" in capsys.readouterr().out


@pytest.fixture
def comparison_folder(rsae, teacher, better, tmp_path, capsys):
    rsae("compare", f"a={teacher}", f"b={better}", "--json", "--cache", tmp_path)
    capsys.readouterr()
    return write(read(tmp_path / "rsae-report"), tmp_path / "kept")


@pytest.mark.parametrize(
    ("said", "asked", "message"),
    [
        ([{}], {}, "--hook"),
        ([{"hook_name": "blocks.1.hook_resid_post"}, {"hook_name": "blocks.2.hook_resid_post"}],
         {}, "different places"),
    ],
)  # fmt: skip
def test_where_a_dictionary_lives_must_be_known(said, asked, message, tmp_path):
    eye = torch.eye(2)
    sources = [
        type("Dictionary", (), {
            "d_in": 2, "d_sae": 2, "metadata": metadata, "W_enc": eye,
            "encode": lambda self, x: x, "decode": lambda self, z: z,
        })()
        for metadata in said
    ]  # fmt: skip
    with pytest.raises(RsaeError, match=message):
        materials.prepare(materials.Setting(**asked), sources, tmp_path)


@pytest.mark.parametrize("wrong", [{"n_tokens": 0}, {"context_size": 1}, {"context_size": 4}])
def test_a_setting_without_tokens_is_refused(wrong):
    with pytest.raises(RsaeError, match="too few"):
        materials.Setting(**wrong)


def test_probe_needs_a_host(rsae, teacher, tmp_path):
    with pytest.raises(RsaeError, match="probing needs a language model"):
        rsae("probe", teacher, "--cache", tmp_path)


def test_labels_that_are_not_there_are_one_line(rsae, teacher, tmp_path):
    with pytest.raises(RsaeError, match="no file"):
        rsae("eval", teacher, "--cache", tmp_path, "--labels", "nowhere.csv")


def test_a_user_s_error_is_one_line_on_stderr_and_code_two(capsys):
    assert main(["report", "nowhere"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("rsae: error: ")
    assert printed.err.count("\n") == 1


def test_debug_shows_where_an_error_comes_from():
    with pytest.raises(RsaeError):
        main(["report", "nowhere", "--debug"])


@pytest.mark.model
def test_eval_needs_nothing_but_the_path(tmp_path, capsys, host, monkeypatch):
    """Host and hook from the dictionary's metadata; the second time from the cache, the same."""
    from sae_lens import StandardSAE, StandardSAEConfig
    from sae_lens.saes.sae import SAEMetadata

    lives = SAEMetadata(model_name="smollm2", hook_name="blocks.2.hook_resid_post")
    sae = StandardSAE(StandardSAEConfig(d_in=576, d_sae=64, metadata=lives))
    torch.nn.init.orthogonal_(sae.W_dec, generator=torch.Generator().manual_seed(0))
    sae.W_enc.data.copy_(sae.W_dec.T)
    sae.save_model(tmp_path / "sae")
    asked = []

    def loaded(name, **_):
        asked.append(name)
        return host  # which loading would make again

    monkeypatch.setattr("rsae_evals.data.materials.load_host", loaded)
    figures = []
    for _ in range(2):
        line = ["eval", str(tmp_path / "sae"), "--cache", str(tmp_path), "--tokens", "512"]
        assert main([*line, "--json"]) == 0
        figures.append(json.loads(capsys.readouterr().out))
    assert asked == ["smollm2", "smollm2"]
    assert figures[0]["variants"] == figures[1]["variants"]
    assert figures[0]["provenance"]["host"] == "smollm2"
    metrics = figures[0]["variants"][0]["metrics"]
    assert metrics["ce_loss_with_sae"] > metrics["ce_loss_without_sae"]
    assert metrics["explained_variance"] < 1
    assert 0 < metrics["l0"] < 64
