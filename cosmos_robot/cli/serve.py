"""`cosmos-robot serve`: a world model behind the hosted interfaces."""

import importlib
import os
from pathlib import Path
from typing import Annotated

import typer

from cosmos_robot.cli.settings import (
    CheckpointOption,
    DeviceOption,
    DtypeOption,
    ReasonerKeyOption,
    ReasonerModelOption,
    ReasonerUrlOption,
)
from cosmos_robot.errors import MissingDependencyError
from cosmos_robot.safety.checker import SafetyChoice

PACKAGES = (
    "fastapi",
    "uvicorn",
    "sqlalchemy",
    "httpcore",
    "prometheus_client",
    "cryptography",
    "websockets",
    "msgpack",
)


def serve(
    *,
    checkpoint: CheckpointOption = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8000,
    public_url: Annotated[
        str | None, typer.Option(help="How clients reach this server.", show_default="as they asked")
    ] = None,
    safety: Annotated[SafetyChoice, typer.Option(help="What looks at prompts and frames.")] = "off",
    allow_urls: Annotated[
        bool,
        typer.Option(
            "--allow-urls", help="Fetch media by URL and call webhooks that requests name, at public addresses."
        ),
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name:port that may be fetched from and called although it is not public."),
    ] = None,
    media_root: Annotated[
        Path | None, typer.Option(help="Folder with files that requests may name.", show_default="none")
    ] = None,
    domain: Annotated[
        str | None,
        typer.Option(help="Robot of policies asked for over openpi's websocket.", show_default="the checkpoint's one"),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse what does not fit the checkpoint, instead of fitting it.")
    ] = False,
    data: Annotated[Path, typer.Option(help="Folder for jobs and their files.")] = Path("outputs/serve"),
    database: Annotated[
        str | None, typer.Option(help="SQLAlchemy URL, as for PostgreSQL.", show_default="SQLite in the folder")
    ] = None,
    api_key: Annotated[
        list[str] | None,
        typer.Option(help="A key that is accepted; may be given again.", envvar="COSMOS_ROBOT_API_KEY"),
    ] = None,
    no_api_key: Annotated[bool, typer.Option("--no-api-key", help="Listen beyond this machine without a key.")] = False,
    batch_window: Annotated[float, typer.Option(help="Seconds to gather requests that can go together.")] = 0.02,
    batch_size: Annotated[int, typer.Option(help="Most of them at once; 1 is no batching.")] = 8,
    queue: Annotated[int, typer.Option(help="Jobs that may wait.")] = 256,
    keep_hours: Annotated[float, typer.Option(help="How long finished jobs are kept.")] = 24.0,
    webhook_seconds: Annotated[float, typer.Option(help="Seconds for one attempt to deliver a webhook.")] = 15.0,
    webhook_retries: Annotated[int, typer.Option(help="Attempts after the first.")] = 10,
    webhook_backoff: Annotated[float, typer.Option(help="Seconds before the first of them, doubled each time.")] = 7.0,
    reasoner_url: ReasonerUrlOption = None,
    reasoner_model: ReasonerModelOption = None,
    reasoner_key_env: ReasonerKeyOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Serve a world model over HTTP, as NIM, OpenAI and vLLM-Omni, Baseten, fal, Pixazo, Cosmic and openpi do.

    NIM_ALLOW_URL_INPUT=0 keeps URLs from NIM's endpoint; NIM_FT_CHECKPOINT names the checkpoint in its metadata.
    """
    _require_packages()
    from cosmos_robot.cli.model_choice import ModelChoice
    from cosmos_robot.serving.run_server import run_server
    from cosmos_robot.serving.served_safety import served_safety
    from cosmos_robot.serving.settings import Batching, Limits, ServerSettings, WebhookPolicy

    settings = ServerSettings(
        data=data,
        database=database,
        host=host,
        port=port,
        public_url=public_url,
        api_keys=tuple(api_key or ()),
        allow_no_key=no_api_key,
        safety=safety,
        allow_urls=allow_urls,
        url_hosts=tuple(allow_host or ()),
        nim_urls=os.environ.get("NIM_ALLOW_URL_INPUT", "1") != "0",
        media_root=media_root,
        domain=domain,
        strict=strict,
        checkpoint=checkpoint or "embedded",
        fine_tuned=os.environ.get("NIM_FT_CHECKPOINT"),
        keep_hours=keep_hours,
        limits=Limits(queued=queue),
        batching=Batching(batch_window, batch_size),
        webhooks=WebhookPolicy(webhook_seconds, webhook_retries, webhook_backoff),
    )
    choice = ModelChoice(
        checkpoint,
        device,
        dtype,
        reasoner_url=reasoner_url,
        reasoner_model=reasoner_model,
        reasoner_key_env=reasoner_key_env,
    )
    run_server(settings, choice.load(safety=served_safety(safety)), say=typer.echo)


def _require_packages() -> None:
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingDependencyError(
                f"the server needs {package}, which is not installed; get it with pip install 'cosmos-robot[server]'."
            ) from error
