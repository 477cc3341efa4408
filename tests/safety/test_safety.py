"""Safety checkers: what they refuse, that results name them, and that one which is not there is an error."""

import sys
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pytest
import torch

from cosmos_robot.errors import InvalidInputError, MissingDependencyError, UnsafeContentError
from cosmos_robot.interface.chat import Message
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.safety.checker import SafetyChecker, choose_safety
from cosmos_robot.safety.words import WordChecker, default_words
from cosmos_robot.types import Actions, ActionSpace
from cosmos_robot.world_model import load_world_model

SMALL = {"height": 192, "width": 320, "num_steps": 1, "guidance": 1.0}
FRAME = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
REFUSED = "footage of a beheading"


@pytest.fixture(scope="module")
def guarded(reasoner_folder):
    return load_world_model(reasoner_folder("nano"), device="cpu", safety="words")


@pytest.mark.parametrize(
    "prompt",
    [
        "Pornography, please",
        "PORN",
        "a \uff50\uff4f\uff52\uff4e film",
        "p0rn",
        "po\u200brn",
        "a  school\nshooting",
        "self harm",
        "pórn",
        "an erotic, dance",
        "_porn_",
        "porn_",
        "a_porn_b",
        "a\uff3fporn\uff3fb",
        "school_shooting",
        "p\u043ern",  # a Cyrillic o
        "\u03a1\u039fRN",  # Greek capitals
        "p\u00f8rn",
        "\u1d18\u1d0f\u0280\u0274",  # small capitals
        "p\u20ddorn",  # in a circle
        "po\u3164rn",  # an invisible letter
        "po\x08rn",
        "p o r n",
        "p.o.r.n",
        "P-0-R-N",
        '{"temporal_caption": "a film\\nporn"}',
        '{"temporal_caption": "p\\u00f3rn"}',
        "Gore-Tex and gore",
        "cu\u0308tting his wrists",
    ],
)
def test_listed_words_are_refused_in_any_spelling(prompt):
    with pytest.raises(UnsafeContentError, match="'words'"):
        WordChecker().check_prompt(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "the pusher pushes the T to the left",
        "Put the pot to the left of the purple item.",
        "a robot cuts a naked wire with a rubber glove",
        "Scunthorpe in Essex, shooting a film of a grape press",
        "the robot arm executes a grasp at 0.5 m/s, 10:30",
        "You are an autonomous vehicle planning system.",
        "assess the class, kill the process, shoot a video of a cocktail, an analysis in Sussex",
        "a hiker in a Gore-Tex jacket, an old car with suicide doors, a lipstick: nude colour",
        "a chef cutting himself a slice of bread beside a field of rape",
        "A. B. C., or I/O at 5 V; x = 0.1, n = 4",
        "\u0440\u043e\u0431\u043e\u0442 \u0431\u0435\u0440\u0451\u0442 \u0447\u0430\u0448\u043a\u0443",  # Russian: a robot takes a cup
    ],
)
def test_robots_may_be_spoken_of(prompt):
    WordChecker().check_prompt(prompt)


def test_every_word_of_the_list_is_refused():
    checker = WordChecker()
    for word in default_words():
        if word.startswith("+"):
            checker.check_prompt(f"A video of {word[1:].upper()}.")
            continue
        with pytest.raises(UnsafeContentError):
            checker.check_prompt(f"A video of {word.upper()}.")


def test_a_list_of_ones_own():
    checker = WordChecker(["secret lab"])
    with pytest.raises(UnsafeContentError, match="secret, lab"):
        checker.check_prompt("Our SECRET, lab!")
    with pytest.raises(UnsafeContentError, match="secret lab"):
        WordChecker(["secret_lab"]).check_prompt("a secret lab")
    checker.check_prompt(REFUSED)
    for nothing in ([" "], [], ["+lab"]):
        with pytest.raises(InvalidInputError, match="empty"):
            WordChecker(nothing)


def test_what_a_list_lets_through():
    checker = WordChecker(["lab", "+lab coat"])
    checker.check_prompt("a man in a LAB-COAT")
    for prompt in ("a lab coat in a lab", "lab", "lab lab coat", "coat lab"):
        with pytest.raises(UnsafeContentError):
            checker.check_prompt(prompt)


def answered(text):
    return [{"role": "user", "content": "What?"}, {"role": "assistant", "content": text}]


def test_every_mode_is_checked(guarded):
    calls = [
        lambda: guarded.text2image(REFUSED, **SMALL),
        lambda: guarded.text2image("a cup", negative_prompt=REFUSED, **SMALL),
        lambda: guarded.text2video(["a cup", REFUSED], **SMALL),
        lambda: guarded.image2video(FRAME, REFUSED, **SMALL),
        lambda: guarded.video2video(np.repeat(FRAME[None], 5, axis=0), REFUSED, **SMALL),
        lambda: guarded.reason(REFUSED),
        lambda: guarded.reason("What?", system=REFUSED),
        lambda: guarded.reason([Message.of("user", "footage of a behea", "ding")]),
        lambda: guarded.reason([Message.of("user", "a school", "shooting")]),
        lambda: guarded.reason([*answered(REFUSED), {"role": "user", "content": "And?"}]),
        lambda: guarded.generate_media([MediaRequest("text2image", "a cup", upsampled_prompt=REFUSED)]),
        lambda: guarded.policy(FRAME, prompt=REFUSED, domain="pusht"),
        lambda: guarded.policy(FRAME, negative_prompt=REFUSED, domain="pusht"),
    ]
    for call in calls:
        with pytest.raises(UnsafeContentError):
            call()


def test_results_say_which_ran(guarded, reasoner_folder):
    actions = Actions(np.zeros((4, 2), np.float32), ActionSpace.MODEL, "pusht")
    for world_model, name in ((guarded, "words"), (load_world_model(reasoner_folder("nano"), device="cpu"), "off")):
        assert world_model.text2image("a cup", **SMALL).safety == name
        assert world_model.reason("What?", max_new_tokens=2).safety == name
        rolled = world_model.rollout(FRAME, actions, domain="pusht", action_space="model", num_steps=1, image_size=256)
        assert rolled.safety == name


class Blackout:
    """A checker of somebody else's: it blackens the upper half of every frame."""

    name = "blackout"

    def check_prompt(self, prompt):
        pass

    def check_frames(self, frames):
        frames = frames.copy()
        frames[:, : frames.shape[1] // 2] = 0
        return frames


@pytest.mark.parametrize("keep_on_device", [False, True])
def test_a_checker_of_ones_own(checkpoint_folder, keep_on_device):
    assert isinstance(Blackout(), SafetyChecker)
    world_model = load_world_model(checkpoint_folder, device="cpu", safety=Blackout())
    made = world_model.text2image("a cup", keep_on_device=keep_on_device, **SMALL)
    assert made.safety == "blackout"
    assert isinstance(made.frames, torch.Tensor) is keep_on_device
    frames = made.numpy()
    assert not frames[:, :96].any()
    assert frames[:, 96:].any()


@pytest.mark.parametrize(("choice", "message"), [("strict", "off, words, guardrail"), (3, "check_prompt")])
def test_what_is_no_checker(choice, message):
    with pytest.raises(InvalidInputError, match=message):
        choose_safety(choice)


@pytest.mark.skipif(find_spec("cosmos_guardrail") is not None, reason="cosmos_guardrail is installed here")
def test_the_guardrail_says_what_to_install(checkpoint_folder):
    with pytest.raises(MissingDependencyError, match=r"pip install 'cosmos-robot\[guardrail\]'"):
        load_world_model(checkpoint_folder, safety="guardrail")


@pytest.fixture
def guardrail(monkeypatch):
    """The interface of `CosmosSafetyChecker`, whose gated weights no test machine has."""

    class Stand:
        def check_text_safety(self, prompt):
            return "weapon" not in prompt

        def check_video_safety(self, frames):
            return None if frames.mean() > 250 else frames // 2

    module = ModuleType("cosmos_guardrail")
    module.CosmosSafetyChecker = Stand
    monkeypatch.setitem(sys.modules, "cosmos_guardrail", module)
    return choose_safety("guardrail")


def test_the_guardrails_answers_are_heard(guardrail):
    guardrail.check_prompt("a cup")
    with pytest.raises(UnsafeContentError, match="guardrail"):
        guardrail.check_prompt("a weapon")
    assert guardrail.check_frames(np.full((2, 16, 16, 3), 100, np.uint8)).max() == 50
    with pytest.raises(UnsafeContentError, match="what was generated"):
        guardrail.check_frames(np.full((2, 16, 16, 3), 255, np.uint8))
