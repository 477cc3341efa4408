"""How one server is set up: where it listens, what it lets in, and how much of it."""

import math
from dataclasses import dataclass, field, fields
from pathlib import Path

from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.loopback import is_loopback
from cosmos_robot.safety.checker import SafetyChoice


@dataclass(frozen=True)
class Limits:
    """The most that one request, or all of them together, may take. Every one is positive.

    Attributes:
        request_bytes: of a request's body.
        json_depth: of brackets within brackets.
        image_bytes: of an encoded image.
        video_bytes: of an encoded video.
        video_frames: frames of a video that are decoded.
        video_pixels: pixels of all of them together.
        action_rows: rows of an action sequence.
        prompt_characters: of a prompt; what the model takes is counted in tokens, which takes time, and is less.
        queued: jobs that wait; more are answered 429.
        fetch_seconds: to fetch one URL, redirects and all.
        redirects: that a fetch follows.
        retry_after: seconds that a client is told to wait when the queue is full.
    """

    request_bytes: int = 120_000_000
    json_depth: int = 64
    image_bytes: int = 20_000_000
    video_bytes: int = 75_000_000
    video_frames: int = 1_000
    video_pixels: int = 1_000_000_000
    action_rows: int = 10_000
    prompt_characters: int = 50_000
    queued: int = 256
    fetch_seconds: float = 20.0
    redirects: int = 4
    retry_after: int = 5

    def __post_init__(self) -> None:
        for item in fields(self):
            require_positive(f"the limit {item.name}", getattr(self, item.name))


@dataclass(frozen=True)
class Batching:
    """How requests that can share a forward pass are gathered.

    Attributes:
        window: seconds that the first of them waits for others; 0 takes what is there.
        size: most of them in one forward pass; 1 is no batching.
    """

    window: float = 0.02
    size: int = 8

    def __post_init__(self) -> None:
        if not (math.isfinite(self.window) and self.window >= 0):
            raise InvalidInputError(f"the batching window must be a number of seconds from 0 on; got {self.window}.")
        require_positive("the batch size", self.size)


@dataclass(frozen=True)
class WebhookPolicy:
    """How webhooks are delivered; by default as fal does, again ten times within two hours.

    Attributes:
        seconds: for one attempt.
        retries: attempts after the first.
        backoff: seconds before the first of them; each next pause is twice as long.
        parallel: attempts at once.
    """

    seconds: float = 15.0
    retries: int = 10
    backoff: float = 7.0
    parallel: int = 8

    def __post_init__(self) -> None:
        for name in ("seconds", "backoff", "parallel"):
            require_positive(f"of webhooks, {name}", getattr(self, name))
        if not 0 <= self.retries <= 30:
            raise InvalidInputError(f"the retries of a webhook are from 0 to 30; got {self.retries}.")


@dataclass(frozen=True)
class ServerSettings:
    """How one server is set up.

    Attributes:
        data: folder with everything that outlives the server: the database, inputs and answers of jobs.
        database: SQLAlchemy URL of another database; None is a SQLite file in `data`.
        host: address to listen at.
        port: likewise.
        public_url: how clients reach the server, for the addresses in its answers; None is what they asked.
        api_keys: keys that are accepted; none on a loopback address needs none.
        allow_no_key: listen beyond loopback without a key.
        safety: which safety checker looks at prompts.
        allow_urls: whether requests may name their media by URL, and webhooks.
        url_hosts: hosts `name:port` that may be fetched from, or called, although they are not public.
        nim_urls: whether NIM's endpoint takes them too (NIM_ALLOW_URL_INPUT).
        media_root: the one folder that requests may name files in (Baseten); None is none.
        domain: of policies asked for over openpi's websocket, where the client names none; None is the checkpoint's
            own, where it has one alone.
        strict: refuse what does not fit the checkpoint's native canvas and frame limit, instead of fitting it.
        checkpoint: name of the checkpoint, as it was asked for.
        fine_tuned: name of a checkpoint of one's own, for NIM's metadata.
        keep_hours: how long a finished job and its files are kept.
        limits: see `Limits`.
        batching: see `Batching`.
        webhooks: see `WebhookPolicy`.

    Raises:
        InvalidInputError: if a value cannot be used, or the server would be open to others without a key.
        UnknownDomainError: if there is no such domain.
    """

    data: Path
    database: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str | None = None
    api_keys: tuple[str, ...] = ()
    allow_no_key: bool = False
    safety: SafetyChoice = "off"
    allow_urls: bool = False
    url_hosts: tuple[str, ...] = ()
    nim_urls: bool = True
    media_root: Path | None = None
    domain: str | None = None
    strict: bool = False
    checkpoint: str = "embedded"
    fine_tuned: str | None = None
    keep_hours: float = 24.0
    limits: Limits = field(default_factory=Limits)
    batching: Batching = field(default_factory=Batching)
    webhooks: WebhookPolicy = field(default_factory=WebhookPolicy)

    def __post_init__(self) -> None:
        if any(not key or not key.isascii() or not key.isprintable() or " " in key for key in self.api_keys):
            raise InvalidInputError("an API key must be printable ASCII characters without spaces, at least one.")
        if not self.api_keys and not self.allow_no_key and not is_loopback(self.host):
            raise InvalidInputError(
                f"listening at {self.host} opens the server to others: give a key with --api-key or the environment "
                f"variable COSMOS_ROBOT_API_KEY, or say --no-api-key."
            )
        if not 0 <= self.port < 65536:
            raise InvalidInputError(f"a port is a number from 0 to 65535; got {self.port}.")
        if self.public_url is not None and not self.public_url.startswith(("http://", "https://")):
            raise InvalidInputError(f"the public URL begins with http:// or https://; got {self.public_url!r}.")
        if self.media_root is not None and not self.media_root.is_dir():
            raise InvalidInputError(f"the folder for named media {self.media_root} is not there.")
        require_positive("keep_hours", self.keep_hours)
        if self.domain is not None:
            get_domain(self.domain)

    @property
    def shown_checkpoint(self) -> str:
        """Name of the checkpoint for clients: of a folder its last part alone."""
        return Path(self.checkpoint).name if Path(self.checkpoint).exists() else self.checkpoint


def require_positive(what: str, value: float) -> None:
    """Check that a setting is a positive number.

    Raises:
        InvalidInputError: if it is not.
    """
    if not (math.isfinite(value) and value > 0):
        raise InvalidInputError(f"{what} must be a positive number; got {value}.")
