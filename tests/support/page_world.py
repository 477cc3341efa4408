"""A world model for the page: gym-pusht itself where Push-T is played, and `SteppingModel` in all other modes."""

from perfect_pusht import PerfectPushT
from stepping_model import SteppingModel

from cosmos_robot.training.pusht_recording import HELD_OUT_SEED
from cosmos_robot.types import Rollout


class PageWorld(SteppingModel):
    """Args: the tables that it knows. While `wrong` is set, nothing moves in what it answers."""

    def __init__(self, *tables, step=0.0):
        super().__init__(step, native=(96, 96), longest=16)
        self.perfect = PerfectPushT(*(HELD_OUT_SEED + table for table in tables))
        self.wrong = False

    def generate(self, requests, *, progress=None):
        if requests[0].mode != "forward_dynamics":
            return super().generate(requests, progress=progress)
        self.batches.append(list(requests))
        self.gate.wait()
        right = self.perfect.generate(requests)
        return [self._frozen(rollout) for rollout in right] if self.wrong else right

    def _frozen(self, rollout):
        frames = rollout.frames[:1].repeat(len(rollout.frames), axis=0)
        return Rollout(frames, rollout.actions, rollout.action_space, "pusht", rollout.fps, rollout.seed, "")
