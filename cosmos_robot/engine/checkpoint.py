"""Finding a checkpoint, checking that it is whole and fits, and loading it into an `Engine`."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from diffusers import (
    AutoencoderKLWan,
    Cosmos3AVAEAudioTokenizer,
    Cosmos3OmniTransformer,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from cosmos_robot.engine.adapter import ADAPTER_FILE, Adapter
from cosmos_robot.engine.device import require_memory, resolve_device, resolve_dtype, say_bytes
from cosmos_robot.engine.engine import Engine
from cosmos_robot.engine.exact_steps import ExactSteps
from cosmos_robot.engine.offload import is_understanding, place_towers
from cosmos_robot.engine.presets import Preset, choose_preset
from cosmos_robot.engine.preview_decoder import PreviewDecoder
from cosmos_robot.engine.undisturbed import undisturbed
from cosmos_robot.engine.weights import ComponentHeader, read_json
from cosmos_robot.errors import CheckpointError

logger = logging.getLogger(__name__)

FACTS_FILE = "cosmos_robot.json"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
INDEX_FILE = "model_index.json"
MODULAR_INDEX_FILE = "modular_model_index.json"
"""diffusers' modular pipelines have this one; distilled checkpoints say their noise levels in it."""

COMPONENTS = {"transformer": Cosmos3OmniTransformer, "vae": AutoencoderKLWan}
OTHER_COMPONENTS = ("text_tokenizer", "scheduler")
SOUND = "sound_tokenizer"
"""A component that a checkpoint may lack, or that may be left out of a download: it then generates no sound."""

REASONER_FILES = (
    "vision_encoder/*",
    "config.json",
    "generation_config.json",
    "*processor_config.json",
    "chat_template.*",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)
"""What the reasoner needs besides the transformer: some 1.2 GB of Nano."""


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class ModeSampling:
    """How a mode of a checkpoint is best sampled.

    Attributes:
        num_steps: denoising steps: a single one, where the answer follows from what is given.
        guidance: above 1 where what is asked for must be heeded, at twice the cost.
    """

    num_steps: Annotated[int, Field(ge=1)] | None = None
    guidance: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class CheckpointFacts:
    """What a checkpoint was trained for, from the `cosmos_robot.json` beside its `model_index.json`.

    Published checkpoints have no such file: everything is None, and the domains' own facts hold.

    Attributes:
        native_canvas: the one canvas `(height, width)` in pixels that it knows.
        max_action_chunk_size: the longest chunk that it was trained on.
        domain_ids: the embodiment domains whose weights mean something.
        num_steps: denoising steps at which it is good.
        guidance: likewise.
        shift: flow shift, likewise.
        fps: frames a second of its clips.
        by_mode: modes that are best sampled otherwise.
    """

    native_canvas: tuple[int, int] | None = None
    max_action_chunk_size: int | None = None
    domain_ids: tuple[int, ...] | None = None
    num_steps: int | None = None
    guidance: float | None = None
    shift: float | None = None
    fps: float | None = None
    by_mode: Mapping[str, ModeSampling] | None = None

    def sampling_of(self, mode: str) -> ModeSampling:
        """Denoising steps and guidance of a mode; None in either where the checkpoint does not say."""
        own = (self.by_mode or {}).get(mode, ModeSampling())
        return ModeSampling(
            self.num_steps if own.num_steps is None else own.num_steps,
            self.guidance if own.guidance is None else own.guidance,
        )

    @classmethod
    def read(cls, folder: Path) -> "CheckpointFacts":
        """Read the facts beside a checkpoint; unknown keys are errors.

        Raises:
            CheckpointError: if the file does not hold them.
        """
        path = folder / FACTS_FILE
        if not path.is_file():
            return cls()
        try:
            return TypeAdapter(cls).validate_python(read_json(path))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise CheckpointError(f"checkpoint file {path}: {where}: {first['msg']}.") from error


@dataclass(frozen=True)
class LoadedCheckpoint:
    """An engine and what is known of its weights.

    Attributes:
        engine: ready to generate.
        facts: what it was trained for.
        name: what the caller asked for.
        folder: where it lies; of adapters, the checkpoint that they are for.
    """

    engine: Engine
    facts: CheckpointFacts
    name: str
    folder: Path | None = None


def load_checkpoint(
    source: str | Path,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    exact: ExactSteps | None = None,
    preset: str = "exact",
) -> LoadedCheckpoint:
    """Load a checkpoint in the diffusers layout.

    Args:
        source: a folder, or the id of a repository on the Hugging Face Hub; a folder of LoRA adapters is loaded with
            the checkpoint that they are for.
        device: "cpu", "cuda" or "cuda:N"; None takes CUDA where there is one.
        dtype: "float32" or "bfloat16"; None takes bfloat16 on CUDA and float32 on the CPU.
        exact: what makes the engine quick; None is everything that the device has.
        preset: name of what is done otherwise than exactly; see `presets`.

    Raises:
        InvalidInputError: if there is no such preset.
        CheckpointError: if it is not found, is not this family's, is not whole, or has no preview decoder for the
            preset that needs one.
        DeviceError: if the device is not there or has too little memory.
    """
    chosen = choose_preset(preset)
    where = resolve_device(device)
    precision = resolve_dtype(dtype, where)
    adapter = Adapter.find(Path(source).expanduser())
    folder = find_checkpoint(source) if adapter is None else _base_of(adapter)
    headers = check_checkpoint(folder)
    exact = exact or ExactSteps()
    hosted = exact.offload_understanding and where.type != "cpu"
    needed = sum(h.bytes_at(precision, wanted=lambda n: not (hosted and is_understanding(n))) for h in headers)
    require_memory(needed, where, what=f"checkpoint {source}")
    facts = CheckpointFacts.read(folder if adapter is None else adapter.folder)
    logger.info("loading %s: %s of weights on %s", source, say_bytes(needed), where)
    with undisturbed(where):
        engine = _load_engine(folder, where, precision, exact=exact, preset=chosen, adapter=adapter)
    return LoadedCheckpoint(engine=engine, facts=facts, name=str(source), folder=folder)


def _base_of(adapter: Adapter) -> Path:
    try:
        return find_checkpoint(adapter.checkpoint)
    except CheckpointError as error:
        raise CheckpointError(
            f"the adapters in {adapter.folder} are for a checkpoint that cannot be had: {error} If it lies elsewhere "
            f"now, say so in {ADAPTER_FILE} beside them."
        ) from error


def _load_engine(
    folder: Path,
    device: torch.device,
    precision: torch.dtype,
    *,
    exact: ExactSteps,
    preset: Preset,
    adapter: Adapter | None,
) -> Engine:
    """Load component by component: distilled checkpoints have no pipeline that loads them whole."""
    from transformers import AutoTokenizer

    index, sigmas = read_index(folder)

    def load(model_class: Any, name: str) -> Any:
        model = model_class.from_pretrained(folder / name, dtype=precision, local_files_only=True).eval()
        if name == "transformer" and adapter is not None:
            adapter.apply(model)
        if name == "transformer" and exact.offload_understanding:
            place_towers(model, device)
            return model
        return model.to(device)

    scheduler_class = FlowMatchEulerDiscreteScheduler if sigmas else UniPCMultistepScheduler
    return Engine(
        exact=exact,
        preset=preset,
        previews=PreviewDecoder.load(folder) if preset.preview else None,
        **{name: load(model_class, name) for name, model_class in COMPONENTS.items()},
        sound_tokenizer=load(Cosmos3AVAEAudioTokenizer, SOUND) if (folder / SOUND).is_dir() else None,
        tokenizer=AutoTokenizer.from_pretrained(folder / "text_tokenizer", local_files_only=True),
        scheduler=scheduler_class.from_pretrained(folder / "scheduler", local_files_only=True),
        native_flow=bool(index.get("use_native_flow_schedule", False)),
        distilled_sigmas=sigmas,
        use_system_prompt=bool(index.get("default_use_system_prompt", True)),
    )


def read_index(folder: Path) -> tuple[dict[str, Any], tuple[float, ...]]:
    """Read a checkpoint's index, and the noise levels of a distilled one (empty for all others).

    Raises:
        CheckpointError: if there is no index, or a distilled checkpoint does not say its noise levels.
    """
    modular = read_json(folder / MODULAR_INDEX_FILE) if (folder / MODULAR_INDEX_FILE).is_file() else {}
    index = read_json(folder / INDEX_FILE) if (folder / INDEX_FILE).is_file() or not modular else modular
    if not modular.get("is_distilled", False):
        return index, ()
    sigmas = modular.get("distilled_sigmas")
    if not isinstance(sigmas, list) or not sigmas or not all(isinstance(s, int | float) for s in sigmas):
        raise CheckpointError(
            f"{folder / MODULAR_INDEX_FILE} says that the checkpoint is distilled, but names no distilled_sigmas, "
            f"the noise levels that it was distilled for; download the file again."
        )
    return index, tuple(map(float, sigmas))


def check_checkpoint(folder: Path) -> list[ComponentHeader]:
    """Check, from file headers alone, that a folder holds a whole Cosmos 3 checkpoint.

    Raises:
        CheckpointError: naming what is missing.
    """
    index, _ = read_index(folder)
    if "transformer" not in index or index["transformer"][1] != "Cosmos3OmniTransformer":
        raise CheckpointError(
            f"{folder} holds a {index.get('_class_name', 'checkpoint')} without a Cosmos3OmniTransformer; "
            f"this library runs the Cosmos 3 family."
        )
    for name in OTHER_COMPONENTS:
        if not (folder / name).is_dir():
            raise CheckpointError(
                f"checkpoint {folder} has no component {name!r}: the folder {name}/ is missing. "
                f"Download the checkpoint again, whole."
            )
    headers = [ComponentHeader.read(folder, name) for name in COMPONENTS]
    for header in headers:
        header.require_tensors(COMPONENTS[header.name])
    if (folder / SOUND).is_dir():
        sound = ComponentHeader.read(folder, SOUND)
        sound.require_tensors(Cosmos3AVAEAudioTokenizer, optional="encoder.")  # nothing here encodes sound
        headers.append(sound)
    return headers


def find_checkpoint(source: str | Path) -> Path:
    """Find a checkpoint's folder, downloading it where `source` is an id on the Hub.

    Raises:
        CheckpointError: if it is neither, or the Hub cannot be reached or refuses.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        if not any((folder / name).is_file() for name in (INDEX_FILE, MODULAR_INDEX_FILE)):
            raise CheckpointError(
                f"{folder} has no model_index.json; expected a checkpoint folder in the diffusers layout, "
                f"with transformer/, vae/, text_tokenizer/ and scheduler/ in it."
            )
        return folder
    if isinstance(source, Path) or not HUB_ID.fullmatch(source):
        raise CheckpointError(
            f"no checkpoint at {str(source)!r}: it is neither a folder nor a Hub id such as nvidia/Cosmos3-Nano."
        )
    return _download(source)


def _download(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    wanted = [f"{name}/*" for name in (*COMPONENTS, *OTHER_COMPONENTS, SOUND)]
    files = [INDEX_FILE, MODULAR_INDEX_FILE, FACTS_FILE, *REASONER_FILES]
    try:
        return Path(snapshot_download(repository, allow_patterns=[*files, *wanted]))
    except GatedRepoError:
        raise CheckpointError(
            f"{repository} is gated: accept its licence on its Hub page, then log in with `hf auth login`."
        ) from None
    except RepositoryNotFoundError:
        raise CheckpointError(
            f"the Hub has no repository {repository!r} for you: check the name, and log in with `hf auth login` "
            f"if it is private."
        ) from None
    except LocalEntryNotFoundError:
        raise CheckpointError(
            f"{repository} is not in the local cache and the Hub cannot be reached (no network, or "
            f"HF_HUB_OFFLINE is set); connect, or give the path of a downloaded folder."
        ) from None
