"""The safety checker of a server: the service asks it before a prompt waits, the world model before it generates."""

from functools import cache, lru_cache

from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.safety.checker import NoChecker, SafetyChecker, SafetyChoice, choose_safety
from cosmos_robot.types import Frames

_REMEMBERED = 512


class AskedOnce:
    """A checker that is not asked again about a prompt that it let through a little while ago.

    Args:
        checker: that is asked.
    """

    def __init__(self, checker: SafetyChecker) -> None:
        self.name = checker.name
        self._checker = checker
        self._ask = lru_cache(maxsize=_REMEMBERED)(checker.check_prompt)  # a refusal raises, and is not kept

    def check_prompt(self, prompt: str) -> None:
        """Look at a prompt.

        Raises:
            UnsafeContentError: if it is refused.
        """
        self._ask(prompt)

    def check_frames(self, frames: Frames) -> Frames:
        """Look at frames, and give those to hand out.

        Raises:
            UnsafeContentError: if they are refused.
        """
        return self._checker.check_frames(frames)


@cache
def served_safety(choice: SafetyChoice) -> SafetyChecker:
    """The checker of a name, the same one for the service and its world model.

    Raises:
        MissingDependencyError: if it is not installed; the message says what to install.
    """
    checker = choose_safety(choice)
    return checker if isinstance(checker, NoChecker) else AskedOnce(checker)


def safety_of(world_model: WorldModel, choice: SafetyChoice) -> SafetyChecker:
    """The world model's own checker, or where it has none the one of a name."""
    own: SafetyChecker | None = getattr(world_model, "safety", None)
    return served_safety(choice) if own is None or isinstance(own, NoChecker) else own
