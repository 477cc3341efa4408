import json
import sys

import pytest

pytest.importorskip("gym_pusht", reason="the extra pusht")
pytest.importorskip("matplotlib", reason="the extra viz")

from perfect_pusht import PerfectPushT

from cosmos_robot.benchmarks.demo_episode import demo_window


def test_a_demo_ends_with_a_table_and_where_to_look(cosmos_robot, monkeypatch, tmp_path):
    seed = demo_window(0).seed
    loaded = []

    def load(checkpoint, *, device, dtype):
        loaded.append((checkpoint, device, dtype))
        return PerfectPushT(seed, seed + 10_000)

    monkeypatch.setattr("cosmos_robot.world_model.load_world_model", load)
    result = cosmos_robot("demo", "--checkpoint", "some/where", "--out", "shown", "--num-steps", 3)
    assert result.exit_code == 0, result.stderr
    assert loaded == [("some/where", None, None)]
    assert "60.00 dB" in result.stdout
    assert "shown/side_by_side.mp4" in result.stdout
    figures = json.loads((tmp_path / "shown" / "metrics.json").read_text())
    assert figures["num_steps"] == 3
    assert figures["checkpoint"] == "some/where"


@pytest.mark.parametrize(("package", "extra"), [("gym_pusht", "pusht"), ("matplotlib", "viz")])
def test_a_missing_package_names_its_extra(cosmos_robot, monkeypatch, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    result = cosmos_robot("demo", "--checkpoint", "some/where")
    assert result.exit_code == 2
    assert f"error: the demo needs {package}" in result.stderr
    assert f"cosmos-robot[{extra}]" in result.stderr


def test_without_an_embedded_checkpoint_one_must_be_named(cosmos_robot, monkeypatch, tmp_path):
    monkeypatch.setattr("cosmos_robot.world_model.EMBEDDED", tmp_path / "nowhere")
    result = cosmos_robot("demo")
    assert result.exit_code == 2
    assert "give one with --checkpoint" in result.stderr


def test_a_place_that_cannot_be_written_to_is_a_sentence_before_anything_is_loaded(cosmos_robot, tmp_path, monkeypatch):
    monkeypatch.setattr("cosmos_robot.world_model.load_world_model", lambda *_, **__: pytest.fail("loaded"))
    (tmp_path / "file").write_text("")
    for out in ("file", "file/below"):
        result = cosmos_robot("demo", "--checkpoint", "some/where", "--out", out)
        assert result.exit_code == 2
        assert f"{tmp_path / 'file'} is not a folder that may be written to" in result.stderr


@pytest.mark.slow
@pytest.mark.e2e
def test_a_demo_of_random_weights(cosmos_robot, checkpoint_folder, tmp_path):
    """The whole way with a real engine; what it draws means nothing, and the figures say so."""
    import shutil

    folder = shutil.copytree(checkpoint_folder, tmp_path / "random")
    facts = {"native_canvas": [96, 96], "domain_ids": [4], "max_action_chunk_size": 16}
    (folder / "cosmos_robot.json").write_text(json.dumps(facts))
    result = cosmos_robot("demo", "--checkpoint", folder, "--num-steps", 2)
    assert result.exit_code == 0, result.stderr
    figures = json.loads((tmp_path / "outputs" / "demo" / "metrics.json").read_text())
    assert figures["rollout"]["psnr"] < figures["rollout"]["psnr_copied"]
