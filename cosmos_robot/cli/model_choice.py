"""Which world model a command uses."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from cosmos_robot.cli.boundary import show_log
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.remote.chat_reasoner import ChatReasoner
from cosmos_robot.safety.checker import SafetyChoice

if TYPE_CHECKING:
    from cosmos_robot.interface.world_model import WorldModel


class ModelRecord(BaseModel):
    """What a sample was generated with, as it was asked for: what makes an answer another one.

    Attributes:
        checkpoint: what generated it, as it was named.
        dtype: of its weights; None is the device's default.
        preset: "exact", or what is quicker and changes the answer.
        safety_choice: the safety checker that was to look at it here.
        reasoner_url: the service that upsampled or judged; None where neither was wanted, or the checkpoint did.
        reasoner_model: name of the model there, or None.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    checkpoint: str
    dtype: str | None
    preset: str
    safety_choice: str
    reasoner_url: str | None
    reasoner_model: str | None


@dataclass(frozen=True)
class ModelChoice:
    """A checkpoint and where it runs, as the user named them; None is the library's default.

    Attributes:
        checkpoint: a name, a folder, a Hub id or a URL.
        device: "cpu", "cuda" or "cuda:N".
        dtype: "float32" or "bfloat16".
        safety: what looks at prompts and frames.
        reasoner_url: an OpenAI-compatible service that upsamples and judges; None is the checkpoint's own reasoner.
        reasoner_model: name of the model there.
        reasoner_key_env: environment variable that holds the service's key; None sends none.
        preset: "exact", or what is quicker and changes the answer; see `load_world_model`.
    """

    checkpoint: str | None = None
    device: str | None = None
    dtype: str | None = None
    safety: SafetyChoice = "off"
    reasoner_url: str | None = None
    reasoner_model: str | None = None
    reasoner_key_env: str | None = None
    preset: str = "exact"

    @property
    def name(self) -> str:
        """What to call the checkpoint in a record: a folder by its whole path, all else as it was named."""
        if self.checkpoint is None:
            return "embedded"
        folder = Path(self.checkpoint)
        return str(folder.resolve()) if folder.exists() else self.checkpoint

    def record(self, *, asks_reasoner: bool) -> ModelRecord:
        """What a sample is generated with.

        Args:
            asks_reasoner: whether its prompt is upsampled, or its candidates are judged.
        """
        return ModelRecord(
            checkpoint=self.name,
            dtype=self.dtype,
            preset=self.preset,
            safety_choice=self.safety,
            reasoner_url=self.reasoner_url if asks_reasoner else None,
            reasoner_model=self.reasoner_model if asks_reasoner else None,
        )

    def reasoner(self) -> ChatReasoner | None:
        """The service that upsamples and judges, or None.

        Raises:
            InvalidInputError: if its model is not named, or its key is not set.
        """
        if self.reasoner_url is None:
            if self.reasoner_model is not None or self.reasoner_key_env is not None:
                raise InvalidInputError("--reasoner-model and --reasoner-key-env go with --reasoner-url.")
            return None
        if self.reasoner_model is None:
            raise InvalidInputError("--reasoner-url needs --reasoner-model, the name of the model there.")
        key = None if self.reasoner_key_env is None else os.environ.get(self.reasoner_key_env)
        if self.reasoner_key_env is not None and not key:
            raise InvalidInputError(
                f"the environment variable {self.reasoner_key_env} is to hold a key; it is not set."
            )
        return ChatReasoner(self.reasoner_url, self.reasoner_model, api_key=key)

    def load(self, **options: Any) -> "WorldModel":
        """Load the world model, which takes seconds and imports torch.

        Args:
            options: further ones of `load_world_model`.

        Raises:
            CheckpointError: if the checkpoint is not found or not whole.
            DeviceError: if the device is not there or has too little memory.
        """
        from cosmos_robot.world_model import load_world_model

        if self.safety != "off":
            options.setdefault("safety", self.safety)
        if self.preset != "exact":
            options.setdefault("preset", self.preset)
        if (reasoner := self.reasoner()) is not None:
            options.setdefault("reasoner", reasoner)
        show_log()  # what is loaded, and how much memory it takes
        return load_world_model(self.checkpoint, device=self.device, dtype=self.dtype, **options)
