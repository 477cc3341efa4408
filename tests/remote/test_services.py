"""Each service in each of its modes, at a running server: what arrives there, and what comes back."""

from pathlib import Path

import numpy as np
import pytest
from live_server import live_server
from service_urls import SEEDED, at
from stepping_model import SteppingModel, answered_actions

import cosmos_robot as cr
from cosmos_robot.errors import InvalidInputError, UnsafeContentError, UnsupportedModeError
from cosmos_robot.interface.chat import Message
from cosmos_robot.interface.reason import ReasonSampling, Usage
from cosmos_robot.serving.settings import ServerSettings

DOMAINS = Path(__file__).parents[2] / "domains"

ACTIONS = ("forward_dynamics", "inverse_dynamics", "policy")
MODES = {
    "http": (*ACTIONS, "rollout", "text2image", "text2video", "image2video", "video2video", "extend_video"),
    "nim": (*ACTIONS, "rollout", "text2image", "text2video", "image2video", "video2video", "extend_video"),
    "baseten": (*ACTIONS, "rollout", "text2image", "text2video", "image2video"),
    "fal": ("text2image", "image2video"),
    "pixazo": ("text2image", "image2video"),
}
HAVE = [(service, mode) for service, modes in MODES.items() for mode in modes]
HAVE_NOT = [
    (service, mode)
    for service, modes in MODES.items()
    for mode in (*MODES["http"], *(["reason"] if service != "http" else []))
    if mode not in modes
]


def call(world_model, mode, frame, clip, actions, **options):
    """One call of a mode, as small as services take it."""
    match mode:
        case "forward_dynamics":
            return world_model.forward_dynamics(frame, actions, domain="pusht", prompt="go", **options)
        case "inverse_dynamics":
            return world_model.inverse_dynamics(clip, domain="pusht", prompt="go", **options)
        case "policy":
            return world_model.policy(frame, domain="pusht", prompt="go", **options)
        case "rollout":
            return world_model.rollout(frame, np.tile(actions, (2, 1))[:20], domain="pusht", prompt="go", **options)
        case "text2image":
            return world_model.text2image("go", **options)
        case "text2video":
            return world_model.text2video("go", num_frames=25, **options)
        case "image2video":
            return world_model.image2video(frame, "go", num_frames=25, **options)
        case "video2video":
            return world_model.video2video(clip, "go", num_frames=25, **options)
        case "extend_video":
            return world_model.extend_video(clip, "go", num_frames=25, **options)
        case "reason":
            return world_model.reason("go?")


@pytest.fixture(scope="module")
def opened(server):
    """World models at the server, by their scheme."""
    models = {service: cr.load_world_model(at(service, server)) for service in SEEDED}
    yield models
    for world_model in models.values():
        world_model.close()


@pytest.fixture
def serve_native(tmp_path):
    """A server whose model knows one canvas, and clips of 9 frames at most."""
    native = SteppingModel(native=(32, 32), longest=8)
    with live_server(ServerSettings(data=tmp_path / "native", port=0), native) as url:
        yield url


@pytest.mark.parametrize(("service", "mode"), HAVE)
def test_every_mode_of_every_service(service, mode, opened, model, frame, clip, actions):
    answer = call(opened[service], mode, frame, clip, actions, seed=42, num_steps=2)
    (request,) = model.batches[0]
    assert (request.prompt, request.seed, request.num_steps) == ("go", 42, 2)
    assert request.mode == {"rollout": "forward_dynamics", "extend_video": "video2video"}.get(mode, mode)
    if mode in ("inverse_dynamics", "video2video", "extend_video"):
        seen = clip[-5:] if mode == "extend_video" else clip[: len(request.frames)]
        tolerance = 0 if service == "http" else 2
        assert np.abs(request.frames.astype(int) - seen).max() <= tolerance
    elif request.frames is not None:
        np.testing.assert_array_equal(request.frames, frame[None])
    if mode in ("forward_dynamics", "rollout"):
        np.testing.assert_allclose(request.actions.values, actions / 256 - 1, atol=1e-6)
        assert request.actions.space == "model"
    assert answer.seed == 42
    if mode == "inverse_dynamics":
        np.testing.assert_array_equal(answer.frames, clip)
    elif mode == "extend_video":
        assert len(answer.frames) == 17 + 20
    else:
        counts = {"text2image": 1, "rollout": 21, "forward_dynamics": 17, "policy": 17}
        assert answer.frames.shape == (counts.get(mode, 25), 32, 48, 3)
        assert abs(int(answer.frames[0].astype(int).mean()) - 42) <= 1
    if mode in ("inverse_dynamics", "policy"):
        told = cr.get_domain("pusht").decode(answered_actions(42, 16, cr.get_domain("pusht")))
        np.testing.assert_array_equal(answer.actions, told.values)
        assert answer.action_space == "robot"


@pytest.mark.parametrize(("service", "mode"), HAVE_NOT)
def test_a_mode_that_a_service_lacks_is_refused_before_anything_is_sent(service, mode, frame, clip, actions):
    nobody = cr.load_world_model(at(service, "http://127.0.0.1:9"), retries=0)
    with pytest.raises(UnsupportedModeError, match=r"cannot do .*; it has"):
        call(nobody, mode, frame, clip, actions)


@pytest.mark.parametrize("service", ["http", "nim", "baseten"])
def test_actions_in_model_space_stay_there(service, opened, model, frame):
    rows = np.random.default_rng(1).uniform(-1, 1, (16, 2)).astype(np.float32)
    given = opened[service].forward_dynamics(frame, rows, domain="pusht", action_space="model")
    np.testing.assert_array_equal(model.batches[0][0].actions.values, rows)
    np.testing.assert_array_equal(given.actions, rows)
    wanted = opened[service].policy(frame, domain="pusht", action_space="model", seed=5)
    np.testing.assert_array_equal(wanted.actions, answered_actions(5, 16, cr.get_domain("pusht")))
    assert (given.action_space, wanted.action_space) == ("model", "model")


@pytest.mark.parametrize("service", ["http", "nim"])
def test_a_robot_s_state_and_its_gripper(service, opened, model):
    """DROID's joints start from a state; NIM counts the gripper the other way round, there and back."""
    state = np.array([0.1, -0.2, 0.3, -1.4, 0.5, 0.6, 0.7, 0.9], np.float32)
    domain = cr.get_domain("droid_lerobot_joint")
    rollout = opened[service].policy(
        np.zeros((64, 96, 3), np.uint8), domain="droid_lerobot_joint", prompt="go", state=state, seed=3
    )
    (request,) = model.batches[0]
    np.testing.assert_allclose(request.state[:8], state, atol=1e-6)
    assert (request.domain.name, request.action_chunk_size) == ("droid_lerobot_joint", 32)
    np.testing.assert_allclose(rollout.actions, domain.decode(answered_actions(3, 32, domain)).values, atol=1e-6)
    assert rollout.frames is None


ACTION_WORDS = {"image_size": 480, "fps": 7.0, "num_steps": 3, "guidance": 2.5, "shift": 4.0}
MEDIA_WORDS = {"negative_prompt": "blur", "num_frames": 29, "fps": 12.0, "num_steps": 3, "guidance": 2.5}
ROUNDS = {"agentic_max_iterations": 3, "agentic_samples_per_iteration": 1, "agentic_early_stop": False}


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("http", {**ACTION_WORDS, "negative_prompt": "blur", "view_point": "ego_view"}),
        ("nim", {**ACTION_WORDS, "negative_prompt": "blur"}),
        ("baseten", {**ACTION_WORDS, "view_point": "ego_view"}),
    ],
)
def test_settings_of_the_action_modes_arrive(service, words, opened, model, frame):
    opened[service].policy(frame, domain="pusht", **words)
    (request,) = model.batches[0]
    seen = {name: getattr(request, name) for name in words}
    assert {**seen, "image_size": int(seen["image_size"])} == words


@pytest.mark.parametrize(
    ("service", "words", "size"),
    [
        ("http", {**MEDIA_WORDS, "shift": 4.0, "resolution": "480_9_16", "guidance_interval": (1.0, 9.0)}, "480_9_16"),
        ("http", {**MEDIA_WORDS, "upsample": True, "use_system_prompt": False, "enable_sound": True}, None),
        ("nim", {**MEDIA_WORDS, "shift": 4.0, "resolution": 480, "upsample": True}, "480_4_3"),
        ("nim", {"height": 800, "width": 470}, "480_9_16"),
        ("nim", {}, "720_4_3"),
        ("baseten", {**MEDIA_WORDS, "shift": 4.0, "resolution": 256, "aspect_ratio": "1,1"}, "256_1_1"),
        ("fal", {**MEDIA_WORDS, "resolution": 720, "upsample": True, "agentic": True, **ROUNDS}, "720_4_3"),
        ("pixazo", {**MEDIA_WORDS, "height": 500, "width": 500, "agentic": True, **ROUNDS}, "480_1_1"),
    ],
)
def test_settings_of_the_other_modes_arrive(service, words, size, opened, model, frame):
    opened[service].image2video(frame[:, :80], "go", **words)
    (request,) = model.batches[0]
    words = {
        name: value for name, value in words.items() if name not in ("resolution", "aspect_ratio", "height", "width")
    }
    assert {name: getattr(request, name) for name in words} == words
    if request.width is not None:
        assert size.startswith({832: "480_", 480: "480_", 640: "480_", 1104: "720_"}[request.width])
        ratio = {(480, 832): "9_16", (640, 640): "1_1", (1104, 832): "4_3"}[request.width, request.height]
        assert size.endswith(ratio)
    else:
        ratio = "" if request.aspect_ratio is None else f"_{request.aspect_ratio.replace(',', '_')}"
        assert (None if request.resolution is None else f"{request.resolution}{ratio}") == size


@pytest.mark.parametrize(
    ("service", "words", "said"),
    [
        ("nim", {"guidance_interval": (1.0, 9.0)}, "guidance_interval"),
        ("nim", {"use_system_prompt": True}, "use_system_prompt"),
        ("nim", {"keep_on_device": True}, "keep_on_device"),
        ("http", {"keep_on_device": True}, "keep_on_device"),
        ("fal", {"shift": 3.0}, "shift"),
        ("fal", {"fps": 23.976}, "whole frames"),
        ("pixazo", {"guidance_interval": (1.0, 9.0)}, "guidance_interval"),
    ],
)
def test_a_setting_that_would_be_lost_is_refused(service, words, said, frame):
    nobody = cr.load_world_model(at(service, "http://127.0.0.1:9"), retries=0)
    with pytest.raises(InvalidInputError, match=said):
        nobody.image2video(frame, "go", **words)


@pytest.mark.parametrize(
    ("service", "words", "said"),
    [
        ("nim", {"enable_sound": True}, "no sound"),
        ("nim", {"agentic": True}, "no agentic"),
        ("baseten", {"upsample": True}, "no prompt upsampling"),
        ("fal", {"enable_sound": True}, "no sound"),
    ],
)
def test_a_wish_that_a_service_has_not(service, words, said, frame):
    nobody = cr.load_world_model(at(service, "http://127.0.0.1:9"), retries=0)
    with pytest.raises(UnsupportedModeError, match=said):
        nobody.image2video(frame, "go", **words)


@pytest.mark.parametrize("service", ["http", "nim", "baseten"])
def test_a_batch_is_asked_for_together(service, opened, model, frame, actions):
    told = []
    frames = [frame, frame[::-1], frame[:, ::-1]]
    answers = opened[service].forward_dynamics(
        frames, [actions] * 3, domain="pusht", seed=7, progress=lambda *step: told.append(step)
    )
    assert [answer.seed for answer in answers] == [7, 8, 9]
    assert [answer.frames.mean() for answer in answers] == pytest.approx([7, 8, 9], abs=1.5)
    assert sum(map(len, model.batches)) == 3
    assert max(map(len, model.batches)) > 1
    assert told[-1][0] == told[-1][1]


def test_a_batch_of_several_modes_comes_back_in_order(opened, model, frame, clip, actions):
    domain = cr.get_domain("pusht")
    first = cr.ActionRequest("policy", domain, frame[None], 16, seed=1)
    second = cr.ActionRequest("inverse_dynamics", domain, clip, 16, seed=2)
    answers = opened["http"].generate([first, second, first])
    assert [answer.seed for answer in answers] == [1, 2, 1]
    assert [batch[0].mode for batch in model.batches].count("inverse_dynamics") == 1


def test_a_file_can_be_put_where_the_service_fetches_it(server, model, frame):
    sent = []

    def upload(content, media_type):
        sent.append((content[:4], media_type))
        return f"{server}/nothing.png"

    world_model = cr.load_world_model(at("nim", server), upload=upload)
    with pytest.raises(InvalidInputError, match="URL"):  # this server fetches none
        world_model.image2video(frame, "go", num_frames=25)
    assert sent == [(b"\x89PNG", "image/png")]
    assert model.batches == []


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("http", {"num_frames": 500}),
        ("nim", {"num_frames": 24}),
        ("baseten", {"num_frames": 198}),
        ("fal", {"num_frames": 190}),
        ("pixazo", {"num_frames": 190}),
    ],
)
def test_what_the_service_refuses(service, words, opened, model, frame):
    with pytest.raises(
        InvalidInputError, match=r"^\w+( server)? at http://\S+ refuses the request \(4\d\d\): .*num_frames"
    ):
        opened[service].image2video(frame, "go", **words)
    assert model.batches == []


def test_a_robot_that_the_service_does_not_know(opened, tmp_path, frame):
    known = (DOMAINS / "pusht.toml").read_text()
    mine = tmp_path / "mine.toml"
    mine.write_text(known.replace('name = "pusht"', 'name = "mine"').replace('aliases = ["push_t"]', ""))
    for service in ("http", "nim", "baseten"):
        with pytest.raises(InvalidInputError, match="mine"):
            opened[service].policy(frame, domain=mine)


def test_what_is_said_about_an_answer_is_passed_on(serve_native, frame):
    """A model with a canvas and clips of its own answers otherwise than asked, and says so."""
    for service in SEEDED:
        world_model = cr.load_world_model(at(service, serve_native))
        found = world_model.image2video(frame, "go", num_frames=25)
        assert found.frames.shape == (9, 32, 32, 3)
        assert any("answered with 9 frames" in note for note in found.notes), service


def test_prompts_are_looked_at_before_they_are_sent(server, model, frame):
    world_model = cr.load_world_model(server, safety="words")
    with pytest.raises(UnsafeContentError):
        world_model.text2image("a naked woman")
    with pytest.raises(UnsafeContentError):
        world_model.text2image("a cup", negative_prompt="a naked woman")
    with pytest.raises(UnsafeContentError):
        world_model.policy(frame, domain="pusht", prompt="go", negative_prompt="a naked woman")
    assert model.batches == []
    assert world_model.text2image("a cup").safety == "words"


def test_a_chat_about_pictures_and_a_video(server, model, frame, clip):
    """Our own server is shown every pixel, and videos as videos."""
    chat = [
        Message.of("system", "You are a robot."),
        Message.of("user", cr.ImagePart(frame), cr.VideoPart(clip, 5.0), "<think>Hm.</think>A cup."),
    ]
    words = {"max_new_tokens": 90, "do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "seed": 4}
    world_model = cr.load_world_model(server)
    found = world_model.reason(chat, video_fps=3.0, **words, presence_penalty=1.5, repetition_penalty=1.1)
    assert (found.text, found.thinking, found.finish_reason) == ("A cup.", "Hm.", "stop")
    assert found.usage == Usage(7, 8)
    (asked,) = model.asked
    assert asked.sampling == ReasonSampling(**words, presence_penalty=1.5, repetition_penalty=1.1)
    assert asked.video_fps == 3.0
    system, user = asked.messages
    assert system.text == "You are a robot."
    picture, video, text = user.parts
    np.testing.assert_array_equal(picture.frame, frame)
    np.testing.assert_array_equal(video.frames, clip)
    assert (video.fps, text) == (5.0, "<think>Hm.</think>A cup.")


def test_greedy_answers_json_and_answers_that_are_cut(server, model):
    world_model = cr.load_world_model(server)
    assert world_model.reason('{"a": 1}', json=True).data() == {"a": 1}
    assert (model.asked[0].json, model.asked[0].sampling) == (True, ReasonSampling())
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert world_model.reason('{"a": 1}', json=schema).data() == {"a": 1}
    assert model.asked[1].json == schema
    cut = world_model.reason("a long answer", max_new_tokens=2)
    assert (cut.text, cut.finish_reason) == ("a long", "length")
    assert [piece.text for piece in world_model.reason("a cup", stream=True)] == ["a cup"]


def test_a_server_without_a_reasoner_says_so(serve_native):
    with pytest.raises(UnsupportedModeError, match="cannot reason"):
        cr.load_world_model(serve_native).reason("What is it?")
