"""Cache activations: text through a language model, its activations at hooks to disk."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.progress import Progress
from torch import Tensor

from rsae.data.store import ActivationStore, Manifest, Shard
from rsae.data.text import Tokens
from rsae.errors import StoreError, TextError
from rsae.files import RunLock, make_folder, save_safetensors, sha256
from rsae.language_model.host import SINK_POSITIONS, Host, check_loaded, hook_width
from rsae.progress import to_show
from rsae.settings import check_kind

__all__ = ["activations_at", "harvest", "sequences_per_shard", "storable"]

_SHARD_TOKENS = 16_384  # 19 MB at d_in 576; what a killed run loses at most
_FLOAT16_MAX = torch.finfo(torch.float16).max


def harvest(
    host: Host,
    tokens_by_split: Mapping[str, Tokens],
    hook_name: str | Sequence[str],
    out: Path | str,
    *,
    batch_size: int = 8,
    progress: Progress | bool | None = None,
    wait: bool = False,
) -> ActivationStore:
    """Write the activations of every token that is not special to a folder.

    A run that was stopped, however it was, is taken up by calling again with the same arguments:
    finished shards are kept if their checksum holds, and what results is what one run makes. All
    hooks are read in one pass, which ends at the last of them.

    Args:
        host: The language model.
        tokens_by_split: Token sequences, all of one length, such as
            ``{"train": …, "calibration": …, "heldout": …}``.
        hook_name: One or several hooks of one width.
        out: The folder; created if need be.
        batch_size: Sequences per forward pass.
        progress: Where to show how far it is; True shows a bar on a terminal or in a notebook,
            and lines in a log.
        wait: Wait for another run that works in the folder, and then read what it left.

    Returns:
        The store in that folder.

    Raises:
        ConfigError: the model or the tokens are something else.
        HookError: The language model has no such hook.
        TextError: no token of a split counts.
        StoreError: the folder holds other activations, the hooks are of several widths, or the
            language model gives NaN.
        LockedError: another run is working in the folder, and `wait` was not asked for.
        OutputError: the disk is full, or the folder cannot be written.
    """
    check_loaded(host)
    check_kind(tokens_by_split, Mapping, "the tokens", "make them with rsae.token_splits")
    hooks = (hook_name,) if isinstance(hook_name, str) else tuple(hook_name)
    for hook in hooks:
        host.check_hook(hook)
    manifest = _plan(host, tokens_by_split, hooks)
    with RunLock(out, wait=wait), to_show(progress) as bars:
        store = _take_up(Path(out), manifest)
        for folder in ("tokens", *hooks):
            make_folder(store.folder / folder)
        for split, tokens in tokens_by_split.items():
            if not store.holds(split, tokens):
                store.save_tokens(split, tokens)
        store.save_manifest()
        total = sum(manifest.n_tokens.values())
        task = bars.add_task("harvest", total=total) if bars else None
        for split, tokens in tokens_by_split.items():
            for number, begin in enumerate(range(0, len(tokens.ids), manifest.sequences_per_shard)):
                chosen = slice(begin, begin + manifest.sequences_per_shard)
                ids, ordinary = tokens.ids[chosen], ~tokens.special[chosen]
                store = _fill(host, store, split, number, ids, ordinary, batch_size)
                if bars and task is not None:
                    bars.advance(task, int(ordinary.sum()))
    return store


def _plan(host: Host, tokens_by_split: Mapping[str, Tokens], hooks: tuple[str, ...]) -> Manifest:
    sizes = {tokens.context_size for tokens in tokens_by_split.values()}
    if len(sizes) != 1:
        raise StoreError(f"the splits have contexts of {sorted(sizes)}; tokenize all by one")
    context_size = sizes.pop()
    if empty := [name for name, tokens in tokens_by_split.items() if not tokens.n_tokens]:
        raise TextError(
            f"the text of split {empty[0]!r} has none but special tokens and the first ones of "
            "short documents, which do not count; give longer documents"
        )
    widths = {hook: hook_width(host, hook) for hook in hooks}
    if len(set(widths.values())) != 1:
        said = ", ".join(f"{hook} {width}" for hook, width in widths.items())
        raise StoreError(f"the hooks are of several widths ({said}); harvest them one by one")
    return Manifest(
        model=host.name,
        model_sha256=host.fingerprint,
        d_in=widths[hooks[0]],
        hook_names=hooks,
        context_size=context_size,
        n_sequences={name: len(tokens.ids) for name, tokens in tokens_by_split.items()},
        n_tokens={name: tokens.n_tokens for name, tokens in tokens_by_split.items()},
        tokens_sha256={name: tokens.sha256 for name, tokens in tokens_by_split.items()},
        excluded_token_ids=host.special_token_ids,
        excluded_positions=SINK_POSITIONS,
        n_excluded={name: int(t.special.sum()) for name, t in tokens_by_split.items()},
        sequences_per_shard=sequences_per_shard(context_size),
    )


def _take_up(folder: Path, manifest: Manifest) -> ActivationStore:
    """A store with the shards of an earlier run that are whole."""
    if not (folder / "manifest.json").exists():
        return ActivationStore(folder, manifest)
    earlier = ActivationStore.open(folder)
    if differences := manifest.differences(earlier.manifest):
        raise StoreError(
            f"{folder} holds other activations (they differ in {', '.join(differences)}); "
            "choose another folder or remove this one"
        )
    whole = tuple(shard for shard in earlier.manifest.shards if earlier.is_whole(shard))
    return ActivationStore(folder, replace(manifest, shards=whole))


def _fill(
    host: Host,
    store: ActivationStore,
    split: str,
    number: int,
    ids: Tensor,
    ordinary: Tensor,
    batch_size: int,
) -> ActivationStore:
    """The store with one more shard per hook, unless they are there."""
    manifest = store.manifest
    files = {hook: manifest.files(hook, split)[number] for hook in manifest.hook_names}
    finished = {shard.file for shard in manifest.shards}
    if finished.issuperset(files.values()):
        return store
    rows = activations_at(host, ids, ordinary, manifest.hook_names, batch_size)
    shards = tuple(_save(store.folder, files[hook], rows[hook], hook) for hook in rows)
    kept = tuple(shard for shard in manifest.shards if shard.file not in files.values())
    ordered = tuple(sorted(kept + shards, key=lambda shard: shard.file))
    store = replace(store, manifest=replace(manifest, shards=ordered))
    store.save_manifest()
    return store


def sequences_per_shard(context_size: int) -> int:
    """How many sequences a shard holds."""
    return max(1, _SHARD_TOKENS // context_size)


def activations_at(
    host: Host, ids: Tensor, ordinary: Tensor, hooks: tuple[str, ...], batch_size: int
) -> dict[str, Tensor]:
    """(n, d_in) activations of the positions that are not special, per hook, on the CPU.

    Args:
        host: The language model.
        ids, ordinary: (n_seq, ctx) token ids, and which of them count.
        hooks: Where to read.
        batch_size: Sequences per forward pass.
    """
    batches: dict[str, list[Tensor]] = {hook: [] for hook in hooks}
    for batch, kept in zip(ids.split(batch_size), ordinary.split(batch_size), strict=True):
        for hook, residual in host.residuals(batch, hooks).items():
            batches[hook].append(residual.cpu()[kept])
    return {hook: torch.cat(parts) for hook, parts in batches.items()}


def storable(rows: Tensor, hook: str) -> Tensor:
    """Activations as a shard holds them: in float16, or float32 where one is beyond its range.

    Raises:
        StoreError: One is not finite.
    """
    if not torch.isfinite(rows).all():
        raise StoreError(f"the language model gives NaN or infinity at {hook}; check its weights")
    dtype = torch.float16 if (rows.abs() <= _FLOAT16_MAX).all() else torch.float32
    return rows.to(dtype)


def _save(folder: Path, file: str, rows: Tensor, hook: str) -> Shard:
    kept = storable(rows, hook)
    path = save_safetensors(folder / file, {"activations": kept})
    return Shard(file, len(kept), str(kept.dtype).removeprefix("torch."), sha256(path))
