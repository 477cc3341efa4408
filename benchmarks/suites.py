"""The suites by name."""

from cosmos_robot.benchmarks.forward_dynamics_suite import ForwardDynamicsSuite
from cosmos_robot.benchmarks.inverse_dynamics_suite import InverseDynamicsSuite
from cosmos_robot.benchmarks.policy_suite import PolicySuite
from cosmos_robot.benchmarks.suite import Suite

SUITE_OF: dict[str, Suite] = {
    "forward-dynamics": ForwardDynamicsSuite(),
    "inverse-dynamics": InverseDynamicsSuite(),
    "policy": PolicySuite(),
}
