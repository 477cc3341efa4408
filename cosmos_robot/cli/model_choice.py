"""Which world model a command uses."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosmos_robot.cli.boundary import show_log

if TYPE_CHECKING:
    from cosmos_robot.interface.world_model import WorldModel


@dataclass(frozen=True)
class ModelChoice:
    """A checkpoint and where it runs, as the user named them; None is the library's default.

    Attributes:
        checkpoint: a name, a folder, a Hub id or a URL.
        device: "cpu", "cuda" or "cuda:N".
        dtype: "float32" or "bfloat16".
    """

    checkpoint: str | None = None
    device: str | None = None
    dtype: str | None = None

    @property
    def name(self) -> str:
        """What to call the checkpoint in a record: a folder by its whole path, all else as it was named."""
        if self.checkpoint is None:
            return "embedded"
        folder = Path(self.checkpoint)
        return str(folder.resolve()) if folder.exists() else self.checkpoint

    def load(self, **options: Any) -> "WorldModel":
        """Load the world model, which takes seconds and imports torch.

        Args:
            options: further ones of `load_world_model`.

        Raises:
            CheckpointError: if the checkpoint is not found or not whole.
            DeviceError: if the device is not there or has too little memory.
        """
        from cosmos_robot.world_model import load_world_model

        show_log()  # what is loaded, and how much memory it takes
        return load_world_model(self.checkpoint, device=self.device, dtype=self.dtype, **options)
