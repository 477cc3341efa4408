"""The units of a request and its answer: robot units outside, model space where the model is, here or at a service."""

from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.types import Actions, ActionSpace, FloatArray


def encoded_actions(request: ActionRequest, *, action_dim: int) -> FloatArray | None:
    """A request's actions in model space: float32 `[T, action_dim]`, zero-padded; None where it has none.

    Raises:
        InvalidInputError: if they have not the domain's width.
        UnknownFactError: if the domain's normaliser has not been published.
    """
    if request.actions is None:
        return None
    return request.domain.encode(request.actions, action_dim=action_dim).values


def encoded_state(request: ActionRequest, *, action_dim: int) -> FloatArray | None:
    """A request's initial state in model space: float32 `[action_dim]`, zero-padded; None where it has none."""
    if request.state is None:
        return None
    row = Actions(request.state[None], request.action_space, request.domain.name)
    encoded: FloatArray = request.domain.encode(row, action_dim=action_dim).values[0]
    return encoded


def answered_actions(request: ActionRequest, values: FloatArray) -> FloatArray:
    """What a model answered, float32 `[T, D]` in model space, in the units that the request wants back."""
    answered = Actions(values, ActionSpace.MODEL, request.domain.name)
    return answered.values if request.action_space is ActionSpace.MODEL else request.domain.decode(answered).values
