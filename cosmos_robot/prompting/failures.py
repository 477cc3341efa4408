"""What keeps a language model from rewriting a prompt or judging a candidate, and the generation not from going on."""

from cosmos_robot.errors import AnswerError, MissingDependencyError, ServiceError, UnsupportedModeError

FAILURES = (ServiceError, AnswerError, UnsupportedModeError, MissingDependencyError)
