"""What the tables of a domain file have in common, and the ones that stand in several places."""

from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cosmos_robot.domains.channels import FrameStep
from cosmos_robot.domains.nearest_names import did_you_mean

type Vector = Annotated[list[float], Field(min_length=3, max_length=3)]
type Rows = Annotated[list[Vector], Field(min_length=3, max_length=3)]

IDENTITY_ROWS: list[list[float]] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


class Table(BaseModel):
    """A table of the file; a key that it does not have is an error that lists those that it has."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, table: Any) -> Any:
        unknown = [key for key in table if key not in cls.model_fields] if isinstance(table, dict) else []
        if unknown:
            hint = did_you_mean(unknown[0], cls.model_fields)
            raise ValueError(f"unknown key {unknown[0]!r}{hint}; the keys here are {', '.join(cls.model_fields)}")
        return table


class FrameStepTable(Table):
    """A turn, a shift, or both, of an end-effector frame."""

    rotation: Rows = IDENTITY_ROWS
    translation: Vector = [0.0, 0.0, 0.0]

    @field_validator("rotation")
    @classmethod
    def _is_a_rotation(cls, rows: list[list[float]]) -> list[list[float]]:
        matrix = np.array(rows)
        if not np.allclose(matrix @ matrix.T, np.eye(3), rtol=0, atol=1e-4):
            raise ValueError("not a rotation matrix: its rows must be orthonormal")
        if np.linalg.det(matrix) < 0:
            raise ValueError("not a rotation matrix but a reflection: its determinant is -1")
        return rows

    def build(self) -> FrameStep:
        """Give it as the type."""
        rotation: Any = tuple(tuple(row) for row in self.rotation)
        x, y, z = self.translation
        return FrameStep(rotation, (x, y, z))
