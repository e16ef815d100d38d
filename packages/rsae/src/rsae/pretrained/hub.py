"""Teachers by name: SAELens' list of pretrained SAEs, or a folder of a Hugging Face repository."""

import difflib
from pathlib import Path

from rsae.errors import TeacherError
from rsae.pretrained import saelens
from rsae.pretrained.base import Teacher

_LONGEST = 500  # characters of a name on a hub


def fetch(name: str) -> Path | Teacher:
    """Download what a name stands for.

    SAELens knows how to read its releases and what to fold into them, so it is left to do it;
    but for those of sparsify, whose decoder its converter transposes (SAELens 6.54,
    `sparsify_disk_loader`), and for repositories that it does not list, the folder is downloaded
    and read by this package's adapters.

    Args:
        name: `RELEASE/SAE_ID` or `OWNER/REPOSITORY/FOLDER`.

    Raises:
        TeacherError: there is no such name, or the hub cannot be reached.
    """
    if len(name) > _LONGEST or not name.isprintable() or name[:1] in ("", "/", ".", "~"):
        raise TeacherError(
            f"{name} is no file, no folder and no release of SAELens; check the path"
        )
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    releases = get_pretrained_saes_directory()
    release, _, sae_id = name.partition("/")
    if release in releases:
        known = releases[release]
        if sae_id not in known.saes_map:
            near = difflib.get_close_matches(sae_id, known.saes_map, n=3, cutoff=0)
            names = " or ".join(f"{release}/{one}" for one in near)
            raise TeacherError(f"{release} has no SAE {sae_id!r}; try {names}")
        path = _download(name, known.repo_id, known.saes_map[sae_id])
        return path if known.conversion_func == "sparsify" else _by_saelens(name, release, sae_id)
    owner, _, rest = name.partition("/")
    repository, _, folder = rest.partition("/")
    if not owner or not repository:
        near = difflib.get_close_matches(release, releases, n=1)
        hint = f"did you mean {near[0]}/…?" if near else "check the path"
        raise TeacherError(f"{name} is no file, no folder and no release of SAELens; {hint}")
    return _download(name, f"{owner}/{repository}", folder)


def _download(name: str, repo_id: str, folder: str) -> Path:
    """The local copy of a repository's folder (or file), and of the `config.json` at its root."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = ["config.json", folder, f"{folder}/*"] if folder else None
    try:
        path = Path(snapshot_download(repo_id, allow_patterns=patterns)) / folder
    except LocalEntryNotFoundError as error:
        raise TeacherError(
            f"{name} is no file or folder here, and the Hugging Face hub cannot be reached to look "
            "for it; check the path or the connection"
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise TeacherError(
            f"{name} is no file or folder here, and the Hugging Face hub does not give it "
            f"({type(error).__name__}); check the name, and for a gated one your token"
        ) from error
    if not path.exists():
        raise TeacherError(f"the repository {repo_id} has no {folder}; check the name")
    return path


def _by_saelens(name: str, release: str, sae_id: str) -> Teacher:
    from sae_lens import SAE

    try:
        sae = SAE.from_pretrained(release, sae_id, device="cpu")
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        raise TeacherError(f"SAELens cannot load {name} ({error!r}); try another SAE") from error
    return saelens.from_sae(sae, name)
