"""`cosmos-robot reason`: a question about a text, a picture or a video, answered word by word."""

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from cosmos_robot.cli.settings import CheckpointOption, DeviceOption, DtypeOption, SafetyOption


def reason(
    *,
    prompt: Annotated[str, typer.Option(help="The question; - reads it from standard input.")],
    vision: Annotated[Path | None, typer.Option(help="The picture or the video that it is about.")] = None,
    system: Annotated[str | None, typer.Option(help="What stands before the question.")] = None,
    json_object: Annotated[bool, typer.Option("--json", help="Hold the answer to a JSON object.")] = False,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of the answer.")] = 1024,
    do_sample: Annotated[bool, typer.Option("--do-sample", help="Draw tokens, instead of the likeliest.")] = False,
    temperature: Annotated[float, typer.Option(help="Of the draw.")] = 1.0,
    top_p: Annotated[float | None, typer.Option(help="Draw from the likeliest with this probability.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw from so many of the likeliest.")] = None,
    repetition_penalty: Annotated[float, typer.Option(help="1 is none.")] = 1.0,
    presence_penalty: Annotated[float, typer.Option(help="0 is none.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    video_fps: Annotated[float, typer.Option(help="Frames a second of a video that are looked at.")] = 2.0,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    safety: SafetyOption = "off",
) -> None:
    """Answer a question about a text, a picture or a video.

    The answer goes to standard output as it comes; what stands between <think> and </think>, and the tokens that it
    took, to standard error.
    """
    from cosmos_robot.cli.model_choice import ModelChoice
    from cosmos_robot.cli.reason_samples import ReasonSample, make_request
    from cosmos_robot.cli.samples import checked

    raw = {
        "name": "reason",
        "prompt": sys.stdin.read() if prompt == "-" else prompt,
        "system_prompt": system,
        "max_new_tokens": max_new_tokens,
        "do_sample": do_sample,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "repetition_penalty": repetition_penalty,
        "presence_penalty": presence_penalty,
        "seed": seed,
        "video_fps": video_fps,
        "json_schema": {"type": "object"} if json_object else None,
    }
    request = make_request(checked(ReasonSample, raw, place="reason"), vision)
    with closing(ModelChoice(checkpoint, device, dtype, safety=safety).load().answer(request)) as stream:
        for piece in stream:
            typer.echo(piece.text, nl=False, err=piece.thinking)
        answer = stream.result()
    typer.echo()
    cut = ", cut at the most" if answer.finish_reason == "length" else ""
    usage = answer.usage
    typer.echo(f"{usage.prompt_tokens} tokens read, {usage.completion_tokens} written{cut}", err=True)
