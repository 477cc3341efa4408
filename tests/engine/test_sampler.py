"""Each tabulated step equals the step that diffusers' scheduler takes."""

import numpy as np
import pytest
import torch
from diffusers import UniPCMultistepScheduler

from cosmos_robot.engine.sampler import SamplerState, build_schedule
from cosmos_robot.errors import CheckpointError

FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
SCHEDULES = {
    "flow": (FLOW | {"flow_shift": 3.0}, None, False),
    "flow shift 10": (FLOW, 10.0, False),
    "karras": (FLOW | {"use_karras_sigmas": True, "sigma_max": 200.0, "sigma_min": 0.147}, None, False),
    "karras replaced": (
        FLOW | {"use_karras_sigmas": True, "sigma_max": 200.0, "sigma_min": 0.147},
        5.0,
        False,
    ),
    "native flow": (FLOW | {"flow_shift": 3.0}, None, True),
    "order 3": (FLOW | {"solver_order": 3}, None, False),
    "variance preserving": ({"prediction_type": "flow_prediction", "use_karras_sigmas": True}, None, False),
    "epsilon": ({"prediction_type": "epsilon"}, None, False),
}


def diffusers_scheduler(config, shift, native, steps):
    changes = {} if shift is None else {"flow_shift": shift, "use_karras_sigmas": False}
    scheduler = UniPCMultistepScheduler.from_config(config, **changes)
    sigmas = np.linspace(1 - 1 / 1000, 0.0, steps + 1)[:-1] if native else None
    scheduler.set_timesteps(steps, sigmas=sigmas)
    return scheduler


@pytest.mark.parametrize("steps", [1, 2, 4, 30])
@pytest.mark.parametrize("name", SCHEDULES)
def test_steps_equal_diffusers(name, steps):
    changes, shift, native = SCHEDULES[name]
    config = UniPCMultistepScheduler(**changes).config
    schedule = build_schedule(config, steps, shift=shift, native_flow=native)
    scheduler = diffusers_scheduler(config, shift, native, steps)
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn((2, 5, 7), generator=generator)
    state = SamplerState.start(sample, schedule.order)
    assert schedule.timesteps == tuple(float(t) for t in scheduler.timesteps)
    for timestep, coefficients in zip(scheduler.timesteps, schedule.steps, strict=True):
        velocity = torch.randn(sample.shape, generator=generator)
        sample = scheduler.step(velocity, timestep, sample, return_dict=False)[0]
        state = state.step(velocity, coefficients)
        torch.testing.assert_close(state.sample, sample, rtol=2e-5, atol=2e-5)
        torch.testing.assert_close(state.last_sample, scheduler.last_sample, rtol=2e-5, atol=2e-5)


def test_thresholding_is_refused():
    config = UniPCMultistepScheduler(**FLOW, thresholding=True).config
    with pytest.raises(CheckpointError, match="thresholding"):
        build_schedule(config, 4, shift=None, native_flow=False)
