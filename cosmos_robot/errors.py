"""The exceptions and warnings that this library raises, in one tree.

Each message is one clear sentence or two: what was wrong, what was expected, what to do. The command line prints
the message without a traceback and exits with status 2.
"""


class CosmosRobotError(Exception):
    """Base of every error that this library raises on purpose."""


class InvalidInputError(CosmosRobotError, ValueError):
    """A value, an array or a file that the caller gave cannot be used."""


class UnknownDomainError(InvalidInputError, KeyError):
    """A domain name that is not registered; the message carries the nearest names."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would quote the sentence


class UnknownFactError(CosmosRobotError, LookupError):
    """A fact about a domain (a normaliser, bounds, a rotation) that nobody has published."""


class MediaError(InvalidInputError):
    """An image or a video that is empty, of the wrong shape, or does not decode."""


class EpisodeError(InvalidInputError):
    """Recorded data that is damaged or incomplete; the message names file, episode and, where there is one, frame."""


class RecordingError(InvalidInputError):
    """What is recorded cannot be written, for instance because the disk is full; the finished episodes are kept."""


class CheckpointError(CosmosRobotError):
    """A checkpoint that is not there, is not whole, or has not what the mode needs."""


class TrainingError(CosmosRobotError, ArithmeticError):
    """A training whose loss is no number any more; what was saved before is kept."""


class UnsupportedModeError(CosmosRobotError, NotImplementedError):
    """A mode that this checkpoint or this service does not have."""


class ServiceError(CosmosRobotError, ConnectionError):
    """A service that cannot be reached, or fails for a moment; trying again may help."""


class AccessError(CosmosRobotError, PermissionError):
    """A service does not let the caller in: the key is missing or wrong, or its credit is used up."""


class AnswerError(CosmosRobotError, ValueError):
    """An answer of a language model or a service that is not what was asked for: a refusal, or malformed JSON."""


class UnsafeContentError(CosmosRobotError, ValueError):
    """The safety checker that was chosen refuses a prompt or what was generated."""


class DeviceError(CosmosRobotError, RuntimeError):
    """A device that is not there, or has too little memory; the message carries the figures."""


class MissingDependencyError(CosmosRobotError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


class CosmosRobotWarning(UserWarning):
    """Base of every warning that this library gives."""


class ActionRangeWarning(CosmosRobotWarning):
    """Actions far outside the domain's range, as when raw and normalised ones are mixed up."""


class UntrainedDomainWarning(CosmosRobotWarning):
    """The checkpoint was not trained for the domain id that it is asked for."""


class PromptWarning(CosmosRobotWarning):
    """A prompt that was to be rewritten and was used as it is, or a candidate that was not judged; says why."""


class EpisodeWarning(CosmosRobotWarning):
    """Recorded data that is read although something about it is not as it should be; the message says what."""
