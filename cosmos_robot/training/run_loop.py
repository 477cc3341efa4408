"""The loop of a training: steps to the end of its budget; its state is saved now and then, and when it is to stop."""

import time
from typing import Protocol

from cosmos_robot.training.progress import TrainingProgress
from cosmos_robot.training.run_folder import RunFolder
from cosmos_robot.training.schedule import Budget
from cosmos_robot.training.stop_request import StopRequest, TrainingStopped


class Trainer(Protocol):
    """What is trained.

    Attributes:
        folder: where its state is.
        step: optimiser steps so far.
        elapsed: seconds of training so far.
    """

    folder: RunFolder
    step: int
    elapsed: float

    def advance(self, spent: float) -> float:
        """Take one step with the share `spent` of the budget behind it, log what is due, and give the loss."""

    def check(self) -> None:
        """Measure, and log what is found."""

    def save(self) -> None:
        """Save everything that the next run needs to go on."""


def train_to_the_end(
    trainer: Trainer, stage: str, *, budget: Budget, save_seconds: float, check_seconds: float
) -> None:
    """Train until the budget is spent; where it is spent already, nothing is done.

    Args:
        trainer: what is trained, at the state that it goes on from.
        stage: its name, as it is shown.
        budget: the length.
        save_seconds: between two saved states.
        check_seconds: between two checks.

    Raises:
        TrainingStopped: on Ctrl-C or SIGTERM, after the state was saved.
        TrainingError: if the loss is no number any more.
        RecordingError: if the state cannot be saved.
    """
    if budget.spent(trainer.step, trainer.elapsed) >= 1.0:
        return
    saved = checked = time.monotonic()
    began = saved - trainer.elapsed
    with StopRequest() as stop, TrainingProgress(stage) as progress:
        while (spent := budget.spent(trainer.step, trainer.elapsed)) < 1.0:
            loss = trainer.advance(spent)
            trainer.elapsed = time.monotonic() - began
            progress.show(budget.spent(trainer.step, trainer.elapsed), f"step {trainer.step}, loss {loss:.4f}")
            if stop.asked:
                trainer.save()
                raise TrainingStopped(
                    f"stopped after step {trainer.step} of the {stage}, which is saved in {trainer.folder.path}; the "
                    f"same command goes on from there."
                )
            if time.monotonic() - checked > check_seconds:
                trainer.check()
                checked = time.monotonic()
            if time.monotonic() - saved > save_seconds:
                trainer.save()
                saved = time.monotonic()
        trainer.check()
        trainer.save()
