"""Checkpoints: one folder published by one rename, with a manifest written last.

A save publishes its folder whole (`regard.storage`). Whatever moment the process or the power dies at, the newest
complete checkpoint loads and no half one is ever taken for complete. The files are safetensors and JSON: nothing is
unpickled.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from regard.errors import CheckpointError, StorageError
from regard.models.folder import copy_weights, read_weights
from regard.storage import OLD, PARTIAL, publish_folder
from regard.training.optimizer import WeightAverage

WEIGHTS_FILE, AVERAGE_FILE, OPTIMIZER_FILE = "weights.safetensors", "average.safetensors", "optimizer.safetensors"
STATE_FILE, MANIFEST_FILE = "state.json", "manifest.json"
_REMOVED = ".removed"  # how the hidden name of a checkpoint ends that is being deleted
_NAME = re.compile(r"step-(\d{6,})")


def save(
    folder: Path,
    step: int,
    state: Mapping[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
) -> Path:
    """Write the checkpoint of a step under `folder` and publish it.

    Args:
        folder: holds the run's checkpoints.
        step: optimizer steps taken.
        state: everything else that the run must remember, as JSON can write it.

    Returns:
        The checkpoint's folder. One that is there already and complete is left as it is.

    Raises:
        StorageError: the disk refused; what was saved before is untouched and the half checkpoint removed.
    """
    final = folder_of(folder, step)
    if is_complete(final):
        return final
    contents = {WEIGHTS_FILE: _serialize(dict(model.named_parameters()))}
    contents[OPTIMIZER_FILE] = _serialize(_optimizer_tensors(model, optimizer))
    if average is not None:
        contents[AVERAGE_FILE] = _serialize(average.tensors())
    contents[STATE_FILE] = json.dumps({"step": step, **state}, indent=1).encode()
    manifest = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in contents.items()
    }
    contents[MANIFEST_FILE] = json.dumps({"format": 1, "files": manifest}, indent=1).encode()

    def fill(partial: Path) -> None:
        for name, data in contents.items():
            (partial / name).write_bytes(data)

    publish_folder(final, fill)
    return final


def folder_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step stands under the run's `checkpoints/`."""
    return folder / f"step-{step:06d}"


def is_complete(checkpoint: Path) -> bool:
    """Whether the manifest is there and every file has the size and hash it states."""
    try:
        manifest = json.loads((checkpoint / MANIFEST_FILE).read_bytes())["files"]
        return {WEIGHTS_FILE, OPTIMIZER_FILE, STATE_FILE} <= set(manifest) and all(
            (checkpoint / name).stat().st_size == facts["size"]
            and hashlib.sha256((checkpoint / name).read_bytes()).hexdigest() == facts["sha256"]
            for name, facts in manifest.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def steps(folder: Path) -> list[int]:
    """The steps that have a folder, oldest first, complete or not."""
    if not folder.is_dir():
        return []
    return sorted(int(match[1]) for entry in folder.iterdir() if (match := _NAME.fullmatch(entry.name)))


def newest(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest complete checkpoint, and a sentence for each newer one that had to be passed over."""
    warnings = []
    for step in reversed(steps(folder)):
        checkpoint = folder_of(folder, step)
        if is_complete(checkpoint):
            return checkpoint, warnings
        warnings.append(f"{checkpoint}: incomplete or damaged; passed over.")
    return None, warnings


def read_state(checkpoint: Path) -> dict[str, Any]:
    """What `save` was given as state, and the step.

    Raises:
        CheckpointError: the file is missing or is not what `save` writes.
    """
    try:
        state = json.loads((checkpoint / STATE_FILE).read_bytes())
        return {**state, "step": int(state["step"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{checkpoint / STATE_FILE}: cannot be read ({error}).") from error


def restore(
    checkpoint: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage | None
) -> None:
    """Put a checkpoint's weights, optimizer state and average into the objects given.

    Raises:
        ModelError: a tensor is missing, left over, of another shape, or not finite.
    """
    copy_weights(read_weights(checkpoint / WEIGHTS_FILE), dict(model.named_parameters()), checkpoint / WEIGHTS_FILE)
    if average is not None:
        copy_weights(read_weights(checkpoint / AVERAGE_FILE), average.tensors(), checkpoint / AVERAGE_FILE)
    path = checkpoint / OPTIMIZER_FILE
    tensors = read_weights(path)
    for name, parameter in model.named_parameters():
        if f"{name}/step" in tensors:  # what has not begun to learn has no state
            optimizer.state[parameter] = {
                "step": torch.zeros(()),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
    copy_weights(tensors, _optimizer_tensors(model, optimizer), path)


def remove(checkpoint: Path) -> None:
    """Delete a checkpoint; it disappears by one rename first, so that half of it is never seen.

    Raises:
        StorageError: the disk refused.
    """
    hidden = checkpoint.parent / f".{checkpoint.name}{_REMOVED}"
    shutil.rmtree(hidden, ignore_errors=True)
    try:
        checkpoint.rename(hidden)
    except OSError as error:
        raise StorageError(f"{checkpoint}: could not be removed ({error.strerror}). Remove it by hand.") from error
    shutil.rmtree(hidden, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Delete the hidden folders in which a process died while it saved or removed a checkpoint."""
    for suffix in (PARTIAL, OLD, _REMOVED):
        for hidden in folder.glob(f".step-*{suffix}"):
            shutil.rmtree(hidden, ignore_errors=True)


def _optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state[parameter].items()
    }


def _serialize(tensors: Mapping[str, Tensor]) -> bytes:
    return safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
