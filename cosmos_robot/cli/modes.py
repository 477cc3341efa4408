"""The four questions as commands: one sample each, from flags, into one folder."""

from pathlib import Path
from typing import Annotated

import typer

from cosmos_robot.cli.settings import Settings, with_settings
from cosmos_robot.errors import InvalidInputError

FrameOption = Annotated[
    str, typer.Option(help="Path or URL of what the camera sees: a png, jpg or webp, or a video's first frame.")
]
VideoOption = Annotated[str, typer.Option(help="Path or URL of what the camera saw: an mp4.")]
ActionsOption = Annotated[str, typer.Option(help="Path or URL of rows of actions: json, npy or npz.")]
ChunkOption = Annotated[
    int | None, typer.Option(help="Actions of one generation, a multiple of 4.", show_default="the domain's")
]


@with_settings
def forward_dynamics(frame: FrameOption, actions: ActionsOption, settings: Settings) -> None:
    """What will the camera see if the robot does this?"""
    _generate_one("forward_dynamics", settings, vision_path=frame, action_path=actions)


@with_settings
def inverse_dynamics(video: VideoOption, settings: Settings, action_chunk_size: ChunkOption = None) -> None:
    """What did the robot do to make this video?"""
    _generate_one("inverse_dynamics", settings, vision_path=video, action_chunk_size=action_chunk_size)


@with_settings
def policy(
    frame: FrameOption,
    settings: Settings,
    action_chunk_size: ChunkOption = None,
    state: Annotated[
        str | None,
        typer.Option(help="The robot's state, for domains that start from it: numbers with commas."),
    ] = None,
) -> None:
    """What should the robot do to reach the prompt's goal?"""
    numbers = None if state is None else _numbers(state)
    _generate_one("policy", settings, vision_path=frame, action_chunk_size=action_chunk_size, state=numbers)


@with_settings
def rollout(
    frame: FrameOption, actions: ActionsOption, settings: Settings, action_chunk_size: ChunkOption = None
) -> None:
    """Forward dynamics of any length: chunks chained on the last generated frame."""
    _generate_one("rollout", settings, vision_path=frame, action_path=actions, action_chunk_size=action_chunk_size)


def _generate_one(mode: str, settings: Settings, **own: str | int | list[float] | None) -> None:
    from cosmos_robot.cli.model_choice import ModelChoice
    from cosmos_robot.cli.one_sample import generate_one
    from cosmos_robot.cli.samples import parse_sample

    folder = settings.out or Path("outputs") / mode
    raw = {
        "name": folder.resolve().name,
        "model_mode": mode,
        "domain_name": settings.domain,
        "prompt": settings.prompt,
        "negative_prompt": settings.negative_prompt,
        "seed": settings.seed,
        "num_steps": settings.num_steps,
        "guidance": settings.guidance,
        "shift": settings.shift,
        "fps": settings.fps,
        "image_size": settings.image_size,
        "view_point": settings.view_point,
        "action_space": settings.action_space.value,
        **own,
    }
    sample = parse_sample(raw, place=mode, folder=Path.cwd())
    model = ModelChoice(
        settings.checkpoint, settings.device, settings.dtype, safety=settings.safety, preset=settings.preset
    )
    generate_one(sample, folder, model, overwrite=settings.overwrite)


def _numbers(text: str) -> list[float]:
    try:
        return [float(number) for number in text.split(",")]
    except ValueError as error:
        raise InvalidInputError(f"--state must be numbers with commas between; got {text!r}.") from error
