"""Questions, upsampled prompts, candidates and safety checkers on the command line; the field's samples as they are."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from chat_service import chat_service

from cosmos_robot.cli.app import app
from cosmos_robot.cli.media_samples import parse_any_sample
from cosmos_robot.datasets.images import read_image
from cosmos_robot.datasets.video import read_video
from cosmos_robot.engine.reasoner import LocalReasoner
from cosmos_robot.errors import InvalidInputError, UnsupportedModeError
from cosmos_robot.interface.reason import ReasonSampling
from cosmos_robot.world_model import load_world_model

FIELD = os.environ.get("COSMOS_FRAMEWORK")
FACTS = {"native_canvas": [48, 80], "num_steps": 1, "guidance": 1.0, "max_action_chunk_size": 16, "fps": 4}


@pytest.fixture(scope="module")
def checkpoint(reasoner_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reason") / "checkpoint"
    shutil.copytree(reasoner_folder("nano"), folder)
    (folder / "cosmos_robot.json").write_text(json.dumps(FACTS))
    return folder


@pytest.fixture(scope="module")
def answer(checkpoint):
    world_model = load_world_model(checkpoint, device="cpu")
    return lambda *prompt, **options: world_model.reason(*prompt, max_new_tokens=12, **options)


@pytest.fixture
def call(cosmos_robot, checkpoint):
    return lambda *arguments: cosmos_robot(*arguments, "--checkpoint", checkpoint, "--device", "cpu")


@pytest.fixture
def service():
    with chat_service() as running:
        yield running


def outputs(folder):
    return json.loads((folder / "sample_outputs.json").read_text())


def test_reason(call, answer):
    result = call("reason", "--prompt", "What is it?", "--max-new-tokens", 12)
    assert result.exit_code == 0, result.stderr
    expected = answer("What is it?")
    assert result.stdout == expected.text + "\n"
    usage = expected.usage
    assert f"{usage.prompt_tokens} tokens read, {usage.completion_tokens} written" in result.stderr


def test_reason_about_a_picture(call, answer, frame):
    result = call("reason", "--prompt", "What is it?", "--vision", frame, "--max-new-tokens", 12)
    assert result.stdout == answer("What is it?", image=read_image(frame)).text + "\n"


def test_a_question_from_standard_input(checkpoint, answer):
    from typer.testing import CliRunner

    options = ("--max-new-tokens", "12", "--checkpoint", str(checkpoint), "--device", "cpu")
    result = CliRunner().invoke(app, ["reason", "--prompt", "-", *options], input="What is it?")
    assert result.stdout == answer("What is it?").text + "\n"


@pytest.mark.slow
@pytest.mark.parametrize(("end", "status"), [("ctrl-c", 130), ("closed pipe", 1)])
def test_an_answer_that_is_broken_off(checkpoint, end, status):
    """What would take a quarter of an hour ends with the next token, and without a traceback."""
    command = [
        sys.executable,
        "-m",
        "cosmos_robot.cli",
        "reason",
        "--prompt",
        "What is it?",
        "--checkpoint",
        checkpoint,
    ]
    with subprocess.Popen(
        [*command, "--device", "cpu", "--max-new-tokens", "60000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.read(1)  # it streams
        if end == "ctrl-c":
            process.send_signal(signal.SIGINT)
        else:
            process.stdout.close()
        assert process.wait(timeout=120) == status
        assert b"Traceback" not in process.stderr.read()


def test_reason_in_json(call):
    options = ("--json", "--do-sample", "--seed", 3, "--max-new-tokens", 400)
    result = call("reason", "--prompt", "What is it?", *options)
    assert result.exit_code == 0, result.stderr
    assert "written" in result.stderr
    if "cut" not in result.stderr:
        assert isinstance(json.loads(result.stdout), dict)
    assert result.stdout.startswith("{")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--prompt", " "), "empty"),
        (("--prompt", "What?", "--vision", "nowhere.png"), "nowhere.png"),
        (("--prompt", "What?", "--top-p", 2.0), "top_p"),
        (("--prompt", "What?", "--vision", "text.txt"), "one of"),
        (("--prompt", "footage of a beheading", "--safety", "words"), "refused by the safety checker"),
        (("--prompt", "What?", "--safety", "guardrail"), "pip install"),
    ],
)
def test_bad_questions(call, flags, message, tmp_path):
    (tmp_path / "text.txt").write_text("x")
    result = call("reason", *flags)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_checkpoint_without_a_reasoner(cosmos_robot, checkpoint_folder):
    result = cosmos_robot("reason", "--prompt", "What?", "--checkpoint", checkpoint_folder)
    assert result.exit_code == 2
    assert "has no reasoner" in result.stderr


def test_run_takes_questions(call, answer, tmp_path, frame, video):
    samples = tmp_path / "questions.jsonl"
    rows = [
        {"name": "text", "model_mode": "reasoner", "prompt": "What is it?", "max_new_tokens": 12},
        {"name": "image", "model_mode": "reasoner", "prompt": "What?", "vision_path": frame.name, "max_new_tokens": 12},
        {"name": "video", "model_mode": "reasoner", "prompt": "What?", "vision_path": video.name, "max_new_tokens": 12},
        {"name": "image too", "model_mode": "text2image", "prompt": "A cup."},
    ]
    samples.write_text("\n".join(map(json.dumps, rows)))
    result = call("run", samples, "--out", tmp_path / "out", "--batch-size", 4)
    assert result.exit_code == 0, result.stderr
    written = outputs(tmp_path / "out" / "text")
    expected = answer("What is it?")
    assert written["reasoner_text"] == expected.text
    assert written["completion_tokens"] == expected.usage.completion_tokens
    assert (tmp_path / "out" / "text" / "text.txt").read_text() == expected.text
    assert outputs(tmp_path / "out" / "image")["reasoner_text"] == answer("What?", image=read_image(frame)).text
    assert outputs(tmp_path / "out" / "video")["prompt_tokens"] > written["prompt_tokens"]
    again = call("run", samples, "--out", tmp_path / "out")
    assert again.stdout.count("skipped") == 4
    assert call("run", samples, "--out", tmp_path / "out", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": None}, "'prompt' is missing"),
        ({"temperature": -1.0}, "temperature"),
        ({"num_steps": 3}, "unknown key 'num_steps'"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
    ],
)
def test_questions_that_are_wrong(change, message, tmp_path):
    raw = {"name": "a", "model_mode": "reasoner", "prompt": "What?", **change}
    with pytest.raises(InvalidInputError, match=message):
        parse_any_sample(raw, place="here", folder=tmp_path)


def run_as_it_is(text, name, call, answer, tmp_path, frame, video, monkeypatch):
    """Run a published question; only what lies behind its URL is ours, and the answer is cut early."""
    (tmp_path / f"{name}.json").write_text(text)
    local = {".jpg": frame, ".mp4": video}
    monkeypatch.setattr("cosmos_robot.cli.downloads.Downloads.local", lambda self, url: local[Path(url).suffix])
    asked, whole = [], LocalReasoner.answer

    def cut(self, request):
        asked.append(request)
        return whole(self, replace(request, sampling=replace(request.sampling, max_new_tokens=12)))

    monkeypatch.setattr(LocalReasoner, "answer", cut)
    result = call("run", tmp_path / f"{name}.json", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    question = json.loads(text)
    frames, fps = read_video(video)
    shown = {".jpg": {"image": read_image(frame)}, ".mp4": {"video": frames, "fps": fps}}
    expected = answer(question["prompt"], **shown.get(Path(question.get("vision_path", "")).suffix, {}))
    written = outputs(tmp_path / "out" / name)
    assert written["reasoner_text"] == expected.text
    assert written["prompt_tokens"] == expected.usage.prompt_tokens
    assert asked[0].sampling == ReasonSampling()


# The published examples, `inputs/reasoner/*.json` of cosmos-framework.
VISION = (
    "https://github.com/nvidia-cosmos/cosmos-dependencies/raw/2b17a2413bd86b2cf9b03823637108851e4ddf2d/inputs/vision"
)
PUBLISHED = {
    "reasoner": {
        "model_mode": "reasoner",
        "prompt": "Describe a modern robotics research laboratory in one sentence.",
    },
    "reasoner_image": {
        "model_mode": "reasoner",
        "prompt": "Describe what is happening in this image in one sentence.",
        "vision_path": f"{VISION}/robot_153.jpg",
    },
    "reasoner_video": {
        "model_mode": "reasoner",
        "prompt": "Describe what is happening in this video in one sentence.",
        "vision_path": f"{VISION}/robot_pouring.mp4",
    },
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_fields_questions_run(name, call, answer, tmp_path, frame, video, monkeypatch):
    run_as_it_is(json.dumps(PUBLISHED[name]), name, call, answer, tmp_path, frame, video, monkeypatch)


@pytest.mark.skipif(FIELD is None, reason="COSMOS_FRAMEWORK names no clone of NVIDIA/cosmos-framework")
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_fields_files_run_as_they_are(name, call, answer, tmp_path, frame, video, monkeypatch):
    text = (Path(FIELD) / "inputs" / "reasoner" / f"{name}.json").read_text()
    run_as_it_is(text, name, call, answer, tmp_path, frame, video, monkeypatch)


def flags(service, model):
    return "--reasoner-url", service.url, "--reasoner-model", model


def test_upsample(call, service, tmp_path):
    result = call("text2image", "--prompt", "A cup.", "--upsample", *flags(service, "good"), "--out", tmp_path / "a")
    assert result.exit_code == 0, result.stderr
    caption = json.loads(outputs(tmp_path / "a")["prompt_used"])
    assert caption["resolution"] == {"H": 48, "W": 80}
    assert outputs(tmp_path / "a")["safety"] == "off"


def test_upsample_that_fails_is_a_warning(call, service, tmp_path):
    result = call("text2image", "--prompt", "A cup.", "--upsample", *flags(service, "refuses"), "--out", tmp_path / "a")
    assert result.exit_code == 0, result.stderr
    assert "warning: the prompt was not upsampled" in result.stderr
    written = outputs(tmp_path / "a")
    assert written["prompt_used"] == "A cup."
    assert "refuses" in written["warnings"][0]


def test_agentic(call, service, tmp_path):
    options = ("--agentic", "--agentic-max-iterations", 2, "--agentic-samples-per-iteration", 2)
    result = call(
        "text2image", "--prompt", "A cup.", *options, *flags(service, "scores 2 6 4 3"), "--out", tmp_path / "a"
    )
    assert result.exit_code == 0, result.stderr
    written = outputs(tmp_path / "a")
    assert [candidate["score"] for candidate in written["candidates"]] == [2, 6, 4, 3]
    assert written["chosen"] == 1
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == [*(f"candidate_{k}.jpg" for k in range(4)), "sample_args.json", "sample_outputs.json", "vision.jpg"]
    best, chosen = read_image(tmp_path / "a" / "candidate_1.jpg"), read_image(tmp_path / "a" / "vision.jpg")
    assert np.array_equal(best, chosen)


def test_candidates_of_a_video(call, service, tmp_path):
    options = ("--agentic", "--agentic-max-iterations", 1, "--num-frames", 5, "--safety", "words")
    result = call("text2video", "--prompt", "A cup.", *options, *flags(service, "strict"), "--out", tmp_path / "a")
    assert result.exit_code == 0, result.stderr
    assert {"candidate_0.mp4", "candidate_1.mp4", "vision.mp4"} < {path.name for path in (tmp_path / "a").iterdir()}
    assert outputs(tmp_path / "a")["safety"] == "words"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--reasoner-url", "http://localhost:1/v1"), "--reasoner-model"),
        (("--reasoner-model", "m"), "--reasoner-url"),
        (("--reasoner-url", "localhost", "--reasoner-model", "m"), "http://"),
        (
            ("--reasoner-url", "http://localhost:1", "--reasoner-model", "m", "--reasoner-key-env", "NO_SUCH_KEY"),
            "NO_SUCH_KEY",
        ),
        (("--safety", "guardrail"), "pip install"),
    ],
)
def test_what_cannot_be_chosen(call, options, message, tmp_path):
    result = call("text2image", "--prompt", "A cup.", *options, "--out", tmp_path / "a")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "a").exists()


def test_image2image_is_still_not_a_mode(tmp_path):
    with pytest.raises(UnsupportedModeError, match="reasoner"):
        parse_any_sample({"name": "a", "model_mode": "image2image"}, place="here", folder=tmp_path)
