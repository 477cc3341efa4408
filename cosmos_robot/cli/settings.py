"""The options that commands share."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, get_type_hints

import typer

from cosmos_robot.safety.checker import SafetyChoice
from cosmos_robot.types import ActionSpace

CheckpointOption = Annotated[
    str | None,
    typer.Option(help="Folder, Hub id or URL of a world model.", show_default="the embedded Push-T model"),
]
DeviceOption = Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N.", show_default="cuda where there is one")]
DtypeOption = Annotated[
    str | None, typer.Option(help="float32 or bfloat16.", show_default="bfloat16 on cuda, float32 on cpu")
]
PresetOption = Annotated[
    str, typer.Option(help="exact, or quicker and not exact: few-steps, step-cache, fp8, preview; also joined by +.")
]
SafetyOption = Annotated[SafetyChoice, typer.Option(help="What looks at prompts and frames.")]
ReasonerUrlOption = Annotated[
    str | None,
    typer.Option(help="OpenAI-compatible service that upsamples and judges.", show_default="the checkpoint's reasoner"),
]
ReasonerModelOption = Annotated[str | None, typer.Option(help="Name of the model there.")]
ReasonerKeyOption = Annotated[str | None, typer.Option(help="Environment variable that holds the service's key.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Generate again and replace what is finished.")]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The options of every mode; None is the domain's or the checkpoint's own default."""

    domain: Annotated[str, typer.Option(help="Name or alias of a domain, or the path of a domain file.")]
    prompt: Annotated[str, typer.Option(help="What the robot does or should do.")] = ""
    negative_prompt: Annotated[str, typer.Option(help="Prompt of the unconditional pass.")] = ""
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0
    num_steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None
    guidance: Annotated[float | None, typer.Option(help="Classifier-free guidance scale; 1 is none.")] = None
    shift: Annotated[float | None, typer.Option(help="Flow shift of the noise schedule.")] = None
    fps: Annotated[float | None, typer.Option(help="Frames a second.")] = None
    image_size: Annotated[str | None, typer.Option(help="Resolution tier: 256, 480, 704 or 720.")] = None
    view_point: Annotated[str | None, typer.Option(help="Where the camera stands, as in ego_view.")] = None
    action_space: Annotated[
        ActionSpace,
        typer.Option(help="Units of actions, in and out: the robot's own, or the checkpoint's."),
    ] = ActionSpace.ROBOT
    checkpoint: CheckpointOption = None
    device: DeviceOption = None
    dtype: DtypeOption = None
    preset: PresetOption = "exact"
    safety: SafetyOption = "off"
    out: Annotated[Path | None, typer.Option(help="Folder for the answer.", show_default="outputs/<mode>")] = None
    overwrite: OverwriteOption = False


@dataclass(frozen=True, kw_only=True)
class MediaSettings:
    """The options of every mode without actions; None is the mode's or the checkpoint's own default."""

    negative_prompt: Annotated[
        str | None, typer.Option(help="Prompt of the unconditional pass; '' turns it off.", show_default="the mode's")
    ] = None
    resolution: Annotated[
        str | None, typer.Option(help="Tier 256, 480, 704, 720 or (images) 768; also as in 480_16_9.")
    ] = None
    aspect_ratio: Annotated[
        str | None, typer.Option(help="As in 16,9.", show_default="16,9; 1,1 of an image; or that of the picture")
    ] = None
    height: Annotated[int | None, typer.Option(help="In pixels, snapped to the nearest canvas.")] = None
    width: Annotated[int | None, typer.Option(help="In pixels.")] = None
    num_steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None
    guidance: Annotated[float | None, typer.Option(help="Classifier-free guidance scale; 1 is none.")] = None
    guidance_interval: Annotated[
        tuple[float, float] | None, typer.Option(help="Timesteps on 0..1000 between which guidance holds.")
    ] = None
    shift: Annotated[float | None, typer.Option(help="Flow shift of the noise schedule.")] = None
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0
    upsample: Annotated[
        bool, typer.Option("--upsample", help="Rewrite the prompt as the caption that the model was trained on.")
    ] = False
    agentic: Annotated[
        bool, typer.Option("--agentic", help="Generate candidates in rounds, judge them, and keep the best.")
    ] = False
    agentic_max_iterations: Annotated[int, typer.Option(min=1, max=3, help="At most so many rounds.")] = 2
    agentic_samples_per_iteration: Annotated[int, typer.Option(min=1, max=3, help="Candidates of a round.")] = 2
    agentic_early_stop: Annotated[bool, typer.Option(help="End when a candidate is very good.")] = True
    reasoner_url: ReasonerUrlOption = None
    reasoner_model: ReasonerModelOption = None
    reasoner_key_env: ReasonerKeyOption = None
    checkpoint: CheckpointOption = None
    device: DeviceOption = None
    dtype: DtypeOption = None
    preset: PresetOption = "exact"
    safety: SafetyOption = "off"
    out: Annotated[Path | None, typer.Option(help="Folder for the answer.", show_default="outputs/<mode>")] = None
    overwrite: OverwriteOption = False


@dataclass(frozen=True, kw_only=True)
class VideoSettings(MediaSettings):
    """Those of the videos among them."""

    num_frames: Annotated[int | None, typer.Option(help="Frames of the video.")] = None
    fps: Annotated[float | None, typer.Option(help="Frames a second.")] = None
    enable_sound: Annotated[bool, typer.Option("--enable-sound", help="Generate sound with it.")] = False


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of the settings that it takes, behind its own.

    Typer reads options off a signature, and the modes share most of theirs, so the signature is put together here:
    `command` takes its own options and `settings`, whose annotation says which.
    """
    own = inspect.signature(command, eval_str=True).parameters
    kind = own["settings"].annotation
    hints = get_type_hints(kind, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]
    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for name, parameter in own.items() if name != "settings"
    ] + shared

    @functools.wraps(command)
    def combined(**options: object) -> None:
        settings = kind(**{field.name: options.pop(field.name) for field in fields(kind)})
        command(**options, settings=settings)

    combined.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    combined.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del combined.__wrapped__  # or the signature would be looked up there
    return combined
