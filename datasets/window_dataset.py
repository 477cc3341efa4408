"""Windows for `torch.utils.data.DataLoader`: a map-style dataset of numpy arrays, which needs no torch itself."""

from typing import NamedTuple

import numpy as np

from cosmos_robot.datasets.skip_log import Skipped
from cosmos_robot.datasets.windows import Windows
from cosmos_robot.types import ActionSpace, FloatArray, Frames


class WindowArrays(NamedTuple):
    """One window as a data loader collates it; a batch has a leading axis more, and lists of prompts.

    Attributes:
        frames: uint8 RGB `[T + 1, H, W, 3]`.
        actions: float32 `[T, D]`.
        state: float32 `[D]`, or `[0]` where the domain has no state row.
        prompt: the task.
        episode: position of the episode.
        start: time step of the episode that frame 0 is.
    """

    frames: Frames
    actions: FloatArray
    state: FloatArray
    prompt: str
    episode: int
    start: int


class WindowDataset:
    """A map-style dataset over windows, for any number of workers and any way to start them.

    Args:
        windows: what `windows` gives. With `on_error="skip"` damaged ones are replaced, and `skipped` lists them,
            those of workers too.
        action_space: whether actions and states come in robot units or in the checkpoint's normalised space.
        action_dim: in model space, the width that they are padded to with zeros; None for no padding.
    """

    def __init__(
        self, windows: Windows, *, action_space: ActionSpace | str = ActionSpace.ROBOT, action_dim: int | None = None
    ) -> None:
        self._windows = windows
        self._space, self._action_dim = ActionSpace(action_space), action_dim

    def __repr__(self) -> str:
        return f"<dataset of {self._windows!r}, in {self._space.value} space>"

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> WindowArrays:
        """One window.

        Raises:
            As the windows do, and `UnknownFactError` if model space is asked for and the domain's normaliser has not
            been published.
        """
        window = self._windows[index]
        actions, state = window.actions.values, window.state
        if self._space is ActionSpace.MODEL:
            domain = self._windows.domain
            actions = domain.encode(window.actions, action_dim=self._action_dim).values
            if state is not None:
                state = domain.encode(state[None], action_dim=self._action_dim).values[0]
        empty = np.empty(0, dtype=np.float32)
        return WindowArrays(
            window.frames, actions, empty if state is None else state, window.prompt, window.episode, window.start
        )

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The windows that could not be read so far, in all workers."""
        return self._windows.skipped
