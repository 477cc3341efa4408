"""The server in front of a whole random-weight checkpoint: what it answers is what the library answers."""

import base64
import json

import numpy as np
import pytest
from fastapi.testclient import TestClient

from cosmos_robot.datasets.images import write_image
from cosmos_robot.datasets.video import read_video, write_video
from cosmos_robot.serving.app import create_app
from cosmos_robot.serving.settings import ServerSettings
from cosmos_robot.world_model import load_world_model

FACTS = {"native_canvas": [96, 96], "max_action_chunk_size": 16, "num_steps": 2, "guidance": 1.0, "fps": 10}


@pytest.mark.slow
def test_all_modes_of_a_whole_checkpoint(pipelines, tmp_path, frame, png, mp4):
    folder = tmp_path / "checkpoint"
    pipelines("sound").save_pretrained(folder)
    (folder / "cosmos_robot.json").write_text(json.dumps(FACTS))
    world_model = load_world_model(folder, device="cpu")
    settings = ServerSettings(data=tmp_path / "data", checkpoint=str(folder))
    rows = np.random.default_rng(0).uniform(-1, 1, (32, 10)).astype(np.float32)
    params = {"domain_name": "bridge_orig_lerobot", "action_chunk_size": 16}
    with TestClient(create_app(settings, world_model), base_url="http://localhost") as client:

        def infer(canvas="96x96", **body):
            answer = client.post("/v1/infer", json=body)
            assert answer.status_code == 200, answer.text
            assert str(tmp_path) not in answer.text
            assert answer.headers["x-cosmos-robot-canvas"] == canvas
            return answer

        image = infer(prompt="A robot.", model_mode="text2image", seed=3).json()["b64_image"]
        write_image(tmp_path / "expected.jpg", world_model.text2image("A robot.", seed=3).image)
        assert base64.b64decode(image) == (tmp_path / "expected.jpg").read_bytes()
        upsampled = infer(prompt="A robot.", prompt_upsampling=True, num_frames=189, resolution="720")
        assert upsampled.headers["x-cosmos-robot-frames"] == "17"
        assert "not upsampled" in upsampled.headers["x-cosmos-robot-notes"]
        assert upsampled.json()["upsampled_prompt"] == "A robot."
        infer(prompt="A robot.", image=png)
        infer(prompt="A robot.", video=mp4)
        policy = infer(model_mode="policy", input_reference=png, action_params=params, seed=3).json()
        expected = world_model.policy(
            frame, domain="bridge_orig_lerobot", action_chunk_size=16, action_space="model", seed=3, fps=10
        )
        np.testing.assert_allclose(policy["action"]["data"], expected.actions[:, :10], atol=1e-5)
        given = {"input_reference": mp4, "action_params": params}
        found = infer("96x64", model_mode="inverse_dynamics", **given).json()  # the given frames come back
        assert found["action"]["shape"] == [16, 10]
        long = {**params, "action_chunk_size": 32, "action": rows.tolist()}
        chained = infer(model_mode="forward_dynamics", input_reference=png, action_params=long, seed=3).json()
        expected = world_model.rollout(
            frame, rows, domain="bridge_orig_lerobot", action_chunk_size=16, action_space="model", seed=3, fps=10
        )
        write_video(tmp_path / "expected.mp4", expected.frames, 10)
        (tmp_path / "chained.mp4").write_bytes(base64.b64decode(chained["b64_video"]))
        shown, known = (read_video(tmp_path / f"{name}.mp4")[0].astype(int) for name in ("chained", "expected"))
        assert shown.shape == known.shape
        assert np.abs(shown - known).mean() < 0.5  # rounding differs by a level here and there
