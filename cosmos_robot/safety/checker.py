"""Safety checkers: what looks at prompts before, and at frames after, something is generated. No torch."""

from typing import Literal, Protocol, get_args, runtime_checkable

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import Frames

SafetyChoice = Literal["off", "words", "guardrail"]
SAFETY_CHOICES: tuple[SafetyChoice, ...] = get_args(SafetyChoice)


@runtime_checkable
class SafetyChecker(Protocol):
    """A checker. Any object with these three can be given where a world model is loaded."""

    @property
    def name(self) -> str:
        """What results call it."""
        ...

    def check_prompt(self, prompt: str) -> None:
        """Look at a prompt.

        Raises:
            UnsafeContentError: if it is refused; the message says why.
        """
        ...

    def check_frames(self, frames: Frames) -> Frames:
        """Look at frames uint8 `[N, H, W, 3]`, and give those to hand out: the same, or changed ones.

        Raises:
            UnsafeContentError: if they are refused.
        """
        ...


class NoChecker:
    """Looks at nothing."""

    name = "off"

    def check_prompt(self, prompt: str) -> None:
        """Let every prompt through."""

    def check_frames(self, frames: Frames) -> Frames:
        """Give the frames as they are."""
        return frames


def choose_safety(choice: str | SafetyChecker) -> SafetyChecker:
    """Find a checker by its name, or take one that is an object.

    Raises:
        InvalidInputError: if there is none of that name, or the object is none.
        MissingDependencyError: if it is not installed; the message says what to install.
    """
    if not isinstance(choice, str):
        if not isinstance(choice, SafetyChecker):
            raise InvalidInputError(
                f"a safety checker has a name, check_prompt and check_frames; {type(choice).__name__} has not."
            )
        return choice
    match choice:
        case "off":
            return NoChecker()
        case "words":
            from cosmos_robot.safety.words import WordChecker

            return WordChecker()
        case "guardrail":
            from cosmos_robot.safety.guardrail import GuardrailChecker

            return GuardrailChecker()
    raise InvalidInputError(f"unknown safety checker {choice!r}; expected one of {', '.join(SAFETY_CHOICES)}.")


def check_prompts(checker: SafetyChecker, *prompts: str | None) -> None:
    """Let a checker look at all the words of a request.

    Raises:
        UnsafeContentError: if it refuses one of the prompts.
    """
    for words in prompts:
        if words:
            checker.check_prompt(words)
