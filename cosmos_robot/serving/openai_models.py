"""OpenAI's list of models: the one checkpoint that is served, by its name."""

import time
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter

from cosmos_robot.serving.problems import Finding, Kind, RequestError
from cosmos_robot.serving.settings import ServerSettings


@dataclass(frozen=True)
class ServedModel:
    """The model as clients name it.

    Attributes:
        names: that are taken; the first is the one that answers carry.
        created: second of the epoch from which it is served.
    """

    names: tuple[str, ...]
    created: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def of(cls, settings: ServerSettings) -> "ServedModel":
        """Find the names of a server's checkpoint."""
        names = (settings.fine_tuned, settings.shown_checkpoint)
        return cls(tuple(dict.fromkeys(name for name in names if name)))

    @property
    def name(self) -> str:
        """The name that answers carry."""
        return self.names[0]

    def require(self, name: str | None) -> None:
        """Check the model that a request names; one that names none means the one that there is.

        Raises:
            RequestError: if it names another.
        """
        if name is not None and name not in self.names:
            message = f"the model {name[:100]!r} is not served here; this server has {' or '.join(self.names)}."
            raise RequestError(
                Kind.NOT_FOUND, message, findings=(Finding(("model",), message, type="model_not_found"),)
            )

    def row(self) -> dict[str, Any]:
        """The model in the list."""
        return {"id": self.name, "object": "model", "created": self.created, "owned_by": "cosmos-robot"}


def add_models(routes: APIRouter, served: ServedModel) -> None:
    """Add the paths that tell what is served."""

    @routes.get("/v1/models")
    async def models() -> dict[str, Any]:
        """List the model that is served."""
        return {"object": "list", "data": [served.row()]}

    @routes.get("/v1/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        """Show the model that is served."""
        served.require(name)
        return served.row()
