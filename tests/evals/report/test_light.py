"""Reading and showing a report needs no torch, and a late import still registers the RSAE."""

import subprocess
import sys

from rsae_evals import report


def run(code: str, *args: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_report_is_rendered_without_torch(comparison, tmp_path):
    report.write(comparison, tmp_path)
    before = (tmp_path / "report.html").read_bytes()
    (tmp_path / "report.html").unlink()
    code = (
        "import sys, rsae_cli\n"
        "assert rsae_cli.main(['report', sys.argv[1]]) == 0\n"
        "heavy = {'torch', 'sae_lens', 'transformer_lens', 'transformers', 'scipy', 'sklearn'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))\n"
    )
    assert run(code, str(tmp_path)).splitlines()[-1] == "loaded: []"
    assert (tmp_path / "report.html").read_bytes() == before


def test_saelens_knows_the_rsae_whichever_is_imported_first():
    for first, second in (("rsae", "sae_lens"), ("sae_lens", "rsae")):
        code = (
            f"import {first}, {second}\n"
            "from sae_lens.registry import get_sae_class\n"
            "print(get_sae_class('rational')[0] is rsae.RSAE)\n"
        )
        assert run(code) == "True\n"


def test_every_public_name_can_be_imported():
    import rsae
    import rsae_evals

    for package in (rsae, rsae_evals):
        assert set(package.__all__) <= set(dir(package))
        for name in package.__all__:
            assert getattr(package, name) is not None
