"""`cosmos-robot label`: raw videos as robot data."""

from pathlib import Path
from typing import Annotated

import typer

from cosmos_robot.cli.convert import CodecOption, OnErrorChoice, OnErrorOption, say_skipped
from cosmos_robot.cli.encoder_log import quiet_encoders
from cosmos_robot.cli.settings import CheckpointOption, DeviceOption, DtypeOption


def label(
    videos: Annotated[list[Path], typer.Argument(help="Video files, or folders of them.", show_default=False)],
    *,
    domain: Annotated[str, typer.Option(help="Name or alias of a domain, or the path of a domain file.")],
    out: Annotated[Path, typer.Option(help="Folder of the new dataset.")],
    prompt: Annotated[str, typer.Option(help="What the robot does in the videos.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    num_steps: Annotated[
        int | None, typer.Option(min=1, help="Denoising steps.", show_default="the checkpoint's")
    ] = None,
    action_chunk_size: Annotated[
        int | None, typer.Option(help="Actions of one answer, a multiple of 4.", show_default="the domain's")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="Frames a second of the dataset.", show_default="the domain's")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Chunks that share a forward pass.")] = 1,
    camera: Annotated[str, typer.Option(help="What the dataset calls the frames.")] = "observation.images.video",
    codec: CodecOption = "libsvtav1",
    on_error: OnErrorOption = OnErrorChoice.RAISE,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Read off videos what the robot did, and write frames, actions and poses as a LeRobot dataset.

    Stopped and started again, it goes on behind the last finished video.
    """
    from cosmos_robot.cli.model_choice import ModelChoice
    from cosmos_robot.cli.progress import ProgressBars
    from cosmos_robot.domains.registry import get_domain
    from cosmos_robot.labelling.labelled_dataset import LabelOutput, find_videos, label_videos
    from cosmos_robot.labelling.video_labels import LabelSettings

    quiet_encoders()
    settings = LabelSettings(
        get_domain(domain),
        prompt=prompt,
        seed=seed,
        num_steps=num_steps,
        action_chunk_size=action_chunk_size,
        fps=fps,
        batch=batch_size,
    )
    choice = ModelChoice(checkpoint, device, dtype)
    skip = on_error is OnErrorChoice.SKIP
    output = LabelOutput(out, camera=camera, codec=codec, checkpoint=choice.name, on_error="skip" if skip else "raise")
    files = find_videos(videos)
    with ProgressBars(len(files), noun="videos") as bars:
        shown = 0

        def started(position: int) -> None:
            nonlocal shown
            bars.finish(position - shown)
            shown = position
            bars.start(files[position].name)

        made = label_videos(choice.load, files, settings, output, started=started, progress=bars.step)
    say_skipped(made.skipped, "video")
    began = f", {made.resumed_at} videos were done before" if made.resumed_at else ""
    typer.echo(f"{out}: {made.episodes} episodes as LeRobot v3.0{began}")
