"""What takes a world model takes a URL: programs without torch, the environments, the benchmarks, the command line."""

import json
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from PIL import Image
from service_urls import SEEDED, at
from typer.testing import CliRunner

import cosmos_robot as cr
from cosmos_robot.cli.app import app
from cosmos_robot.datasets.video import read_video
from cosmos_robot.envs.world_model_lease import shared_world_models
from cosmos_robot.errors import ServiceError

WORLD_MODEL = "cosmos_robot:cosmos_robot/WorldModel-v0"
CANVAS = (32, 48)
"""What the server's model answers at."""

LIGHT = """
import sys
import numpy as np
import cosmos_robot as cr
import gymnasium

frame, actions = np.zeros((64, 96, 3), np.uint8), np.full((16, 2), 256, np.float32)
for url in sys.argv[1:]:
    with cr.load_world_model(url) as wm:
        for mode in wm.modes:
            if mode == "forward_dynamics":
                wm.forward_dynamics(frame, actions, domain="pusht")
            elif mode == "image2video":
                wm.image2video(frame, "go", num_frames=25)
env = gymnasium.make("cosmos_robot/WorldModel-v0", world_model=sys.argv[1], domain="pusht", starts=frame[None], canvas=(32, 48))
env.reset(seed=0)
env.step(actions)
env.close()
print(sorted({"torch", "diffusers", "transformers"} & set(sys.modules)))
"""


def test_no_torch_is_imported(server):
    """For worker machines without it: neither by the clients nor by the environment over one."""
    urls = [at(service, server) for service in SEEDED]
    done = subprocess.run([sys.executable, "-c", LIGHT, *urls], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.fixture
def starts(tmp_path, frame):
    folder = tmp_path / "starts"
    folder.mkdir()
    for index in range(2):
        Image.fromarray(np.roll(frame, index, 0)).save(folder / f"{index}.png")
    return str(folder)


def test_an_environment_over_a_url(server, starts, actions, model):
    keywords = {"world_model": server, "domain": "pusht", "starts": starts, "canvas": CANVAS, "max_episode_actions": 32}
    made = gymnasium.make(WORLD_MODEL, **keywords)
    spec = EnvSpec.from_json(made.spec.to_json())
    made.close()
    env = gymnasium.make(spec)
    env.reset(seed=7)
    observation, _, _, truncated, info = env.step(actions)
    assert observation["pixels"].shape == (*CANVAS, 3)
    assert info["frames"].shape == (16, *CANVAS, 3)
    assert np.all(observation["pixels"] == 7)
    assert not truncated
    ((request,),) = model.batches
    np.testing.assert_allclose(request.actions.values, actions / 256 - 1, atol=1e-6)
    assert env.step(actions)[3]
    assert [key[0] for key in shared_world_models()] == [server]
    env.close()
    assert shared_world_models() == {}


def test_a_vector_environment_asks_for_all_together(server, starts, actions, model):
    envs = gymnasium.make_vec(WORLD_MODEL, num_envs=3, world_model=server, domain="pusht", starts=starts, canvas=CANVAS)
    envs.reset(seed=7)
    envs.step(np.stack([actions] * 3))
    assert [len(batch) for batch in model.batches] == [3]
    envs.close()


def test_a_service_that_is_gone_leaves_the_episode_as_it_was(server, starts, actions):
    env = gymnasium.make(
        WORLD_MODEL,
        world_model=cr.load_world_model("http://127.0.0.1:9", retries=0),
        domain="pusht",
        starts=starts,
        canvas=CANVAS,
        retries=1,
        retry_wait=0.01,
    )
    env.reset(seed=0)
    with pytest.raises(ServiceError, match="step again when the service is back"):
        env.step(actions)
    env.close()


def program(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("service", ["http", "nim"])
def test_the_command_line(service, server, tmp_path, frame, actions, model):
    Image.fromarray(frame).save(tmp_path / "start.png")
    (tmp_path / "push.json").write_text(json.dumps(actions.tolist()))
    url, out = at(service, server), tmp_path / "out"
    shared = ("--checkpoint", url, "--domain", "pusht", "--seed", "7", "--out", out)
    done = program("forward-dynamics", *shared, "--frame", tmp_path / "start.png", "--actions", tmp_path / "push.json")
    assert done.exit_code == 0, done.output
    assert read_video(out / "vision.mp4")[0].shape == (17, *CANVAS, 3)
    outputs = json.loads((out / "sample_outputs.json").read_text())
    assert url in json.dumps(outputs)
    ((request,),) = model.batches
    np.testing.assert_allclose(request.actions.values, actions / 256 - 1, atol=1e-6)
    image = program("text2image", "--checkpoint", url, "--prompt", "a cup", "--out", tmp_path / "image")
    assert image.exit_code == 0, image.output


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nim://127.0.0.1:9", "cannot be reached"),
        ("fal://127.0.0.1:9", "cannot do policy"),
        ("fal://", "FAL_KEY"),
        ("bazeten://localhost", "did you mean"),
    ],
)
def test_the_command_line_says_what_is_wrong(url, said, tmp_path, frame, monkeypatch):
    monkeypatch.setattr("cosmos_robot.remote.retries.Retries.wait", lambda *_, **__: None)
    Image.fromarray(frame).save(tmp_path / "start.png")
    done = program(
        "policy", "--checkpoint", url, "--domain", "pusht", "--frame", tmp_path / "start.png", "--out", tmp_path / "out"
    )
    assert done.exit_code == 2
    assert said in done.output.replace("\n", " ")
