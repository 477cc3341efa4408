"""The suites by name."""

from dataclasses import replace

from cosmos_robot.benchmarks.agreement_suite import AgreementSuite
from cosmos_robot.benchmarks.closed_loop_suite import ClosedLoopSuite
from cosmos_robot.benchmarks.forward_dynamics_suite import ForwardDynamicsSuite
from cosmos_robot.benchmarks.generation_suite import GenerationSuite
from cosmos_robot.benchmarks.inverse_dynamics_suite import InverseDynamicsSuite
from cosmos_robot.benchmarks.policy_suite import PolicySuite
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_identity import checkpoint_digest
from cosmos_robot.benchmarks.speed_suite import SpeedSuite, speed_weights
from cosmos_robot.benchmarks.suite import Suite

SUITE_OF: dict[str, Suite] = {
    "forward-dynamics": ForwardDynamicsSuite(),
    "inverse-dynamics": InverseDynamicsSuite(),
    "policy": PolicySuite(),
    "closed-loop": ClosedLoopSuite(),
    "generation": GenerationSuite(),
    "agreement": AgreementSuite(),
    "speed": SpeedSuite(),
}


def completed(config: RunConfig) -> RunConfig:
    """A run with its suite's own settings written out, so that its record says them."""
    kind = SUITE_OF[config.suite].settings
    return config if kind is None else replace(config, own=config.settings(kind))


def weights_of(config: RunConfig) -> str:
    """What tells the weights that a run measures from all others."""
    return speed_weights(config) if config.suite == "speed" else checkpoint_digest(config.checkpoint)
