"""The state of one imagined episode: all that its future depends on, in one frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from cosmos_robot.interface.call import spread_seeds
from cosmos_robot.short_repr import ShortRepr
from cosmos_robot.types import FloatArray, Frames


@dataclass(frozen=True, eq=False, repr=False)
class EpisodeState(ShortRepr):
    """Where an episode stands. Its arrays are never written to.

    Attributes:
        anchor: uint8 `[H, W, 3]`: the frame that the current chunk is imagined from.
        pixels: uint8 `[h, w, 3]` at the output canvas: what is observed.
        agent_pos: float32 `[S]`: where the robot is in the pixels, for domains that can tell; where it was last seen if
            it is not found in them.
        agent_found: whether it was found in the pixels.
        actions: float32 `[m, D]` in robot units: the actions of the current chunk so far.
        chunk: number of the current chunk.
        elapsed_steps: steps so far.
        elapsed_actions: actions so far.
        seed: of the episode's noise; chunk k has `chunk_seed(seed, k)`.
        prompt: what the robot should do.
        start: number of the start.
        start_pixels: uint8 `[h, w, 3]`: the first observation.
        total_reward: sum of the rewards so far.
        ended: whether the episode is over.
    """

    anchor: Frames
    pixels: Frames
    agent_pos: FloatArray | None
    agent_found: bool
    actions: FloatArray
    chunk: int
    elapsed_steps: int
    elapsed_actions: int
    seed: int
    prompt: str
    start: int
    start_pixels: Frames
    total_reward: float = 0.0
    ended: bool = False

    def reseeded(self, seed: int) -> Self:
        """The same state with other noise from here on.

        Raises:
            InvalidInputError: if the seed is no integer from 0 to 2**63 - 1.
        """
        return replace(self, seed=spread_seeds(seed, 1)[0])


@dataclass(frozen=True, eq=False, repr=False)
class Snapshot(ShortRepr):
    """What `snapshot()` gives and `restore()` takes, in the single and in the vector environment alike.

    Attributes:
        state: where the episode stands.
        generator: state of the generator that the next episodes' starts and seeds are drawn from.
    """

    state: EpisodeState
    generator: Mapping[str, Any]
