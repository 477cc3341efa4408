"""The reasoner: beside plain transformers on the same folder, over the generator's own weights."""

import json
import re
import shutil
import threading
import time
import weakref
from functools import cache
from itertools import zip_longest

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForImageTextToText, AutoProcessor, GenerationConfig, LogitsProcessor
from transformers.video_utils import VideoMetadata

from cosmos_robot.benchmarks.random_checkpoint import caption_tokenizer
from cosmos_robot.benchmarks.random_reasoner import save_reasoner
from cosmos_robot.engine import reasoner as reasoner_module
from cosmos_robot.engine.answer_stream import AnswerStream
from cosmos_robot.engine.json_grammar import MOST_SPACE
from cosmos_robot.engine.shared_weights import has_vision
from cosmos_robot.errors import AnswerError, CheckpointError, InvalidInputError, MediaError, UnsupportedModeError
from cosmos_robot.interface.chat import ImagePart, Message, VideoPart
from cosmos_robot.interface.thinking import ThinkSplitter
from cosmos_robot.world_model import load_world_model

TOKENS = 24
FORMS = ("nano", "edge")


def picture(seed=0, count=None):
    shape = (48, 80, 3) if count is None else (count, 48, 80, 3)
    return np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def world_models(reasoner_folder):
    loaded = {}
    return lambda form: loaded.setdefault(form, load_world_model(reasoner_folder(form), device="cpu"))


@pytest.fixture(scope="module", params=FORMS)
def form(request):
    return request.param


@pytest.fixture(scope="module")
def world_model(world_models, form):
    return world_models(form)


@pytest.fixture(scope="module")
def plain(reasoner_folder, form):
    """transformers' model and processor, loaded from the folder with weights of their own."""
    folder = reasoner_folder(form)
    return (
        AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval(),
        AutoProcessor.from_pretrained(folder),
    )


def oracle(plain, chat, *, images=None, videos=None, fps=12.0, video_fps=2.0, tokens=TOKENS, **settings):
    """Token ids of the prompt and the answer, by transformers alone."""
    model, processor = plain
    text = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    seen = {} if images is None else {"images": images}
    if videos is not None:
        metadata = [VideoMetadata(total_num_frames=len(v), fps=fps, frames_indices=list(range(len(v)))) for v in videos]
        seen["videos"] = videos
        seen["videos_kwargs"] = {
            "video_metadata": metadata,
            "do_sample_frames": True,
            "fps": video_fps,
            "return_metadata": True,
        }
    inputs = processor(text=[text], return_tensors="pt", return_mm_token_type_ids=True, **seen)
    inputs = {key: value for key, value in inputs.items() if isinstance(value, torch.Tensor)}
    config = GenerationConfig(max_new_tokens=tokens, eos_token_id=model.generation_config.eos_token_id, **settings)
    with torch.no_grad():
        ids = model.generate(**inputs, generation_config=config)
    return inputs["input_ids"][0], ids[0, inputs["input_ids"].shape[1] :]


def user(*parts):
    return [{"role": "user", "content": list(parts)}]


IMAGE, VIDEO, TEXT = {"type": "image"}, {"type": "video"}, {"type": "text", "text": "What is it?"}


@pytest.mark.parametrize(
    ("given", "parts", "seen"),
    [
        ({}, (TEXT,), {}),
        ({"image": picture()}, (IMAGE, TEXT), {"images": [picture()]}),
        ({"image": [picture(), picture(1)]}, (IMAGE, IMAGE, TEXT), {"images": [picture(), picture(1)]}),
        ({"video": picture(2, 24), "fps": 12.0}, (VIDEO, TEXT), {"videos": [picture(2, 24)]}),
        (
            {"video": picture(2, 24), "fps": 12.0, "video_fps": 4.0},
            (VIDEO, TEXT),
            {"videos": [picture(2, 24)], "video_fps": 4.0},
        ),
    ],
    ids=["text", "image", "two images", "video", "video at 4 fps"],
)
def test_greedy_answers_are_those_of_transformers_with_weights_of_its_own(world_model, plain, given, parts, seen):
    prompt, answer = oracle(plain, user(*parts), **seen)
    got = world_model.reason("What is it?", max_new_tokens=TOKENS, **given)
    assert got.text == plain[1].tokenizer.decode(answer, skip_special_tokens=True)
    assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (len(prompt), len(answer))
    assert got.finish_reason == ("stop" if answer[-1] == plain[0].generation_config.eos_token_id else "length")


def test_what_is_shown_changes_the_answer(world_model):
    """Else the agreement above would say nothing of the vision encoder."""
    answers = {world_model.reason("What is it?", image=picture(seed), max_new_tokens=TOKENS).text for seed in range(3)}
    assert len(answers | {world_model.reason("What is it?", max_new_tokens=TOKENS).text}) > 2


def test_a_chat_with_a_system_prompt_and_turns(world_model, plain):
    chat = [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [IMAGE, {"type": "text", "text": "First?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]},
        {"role": "user", "content": [{"type": "text", "text": "And then?"}]},
    ]
    _, answer = oracle(plain, chat, images=[picture()])
    got = world_model.reason(
        [
            Message.of("user", ImagePart(picture()), "First?"),
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": [{"type": "text", "text": "And then?"}]},
        ],
        system="Be brief.",
        max_new_tokens=TOKENS,
    )
    assert got.text == plain[1].tokenizer.decode(answer, skip_special_tokens=True)


def test_repetition_penalty_is_that_of_transformers(world_model, plain):
    _, answer = oracle(plain, user(TEXT), repetition_penalty=1.7)
    got = world_model.reason("What is it?", max_new_tokens=TOKENS, repetition_penalty=1.7)
    assert got.text == plain[1].tokenizer.decode(answer, skip_special_tokens=True)


SAMPLED = {"temperature": 0.7, "top_p": 0.8, "top_k": 20}


@pytest.mark.parametrize("settings", [SAMPLED, {"temperature": 2.0, "top_k": 0}], ids=["advised", "all"])
@pytest.mark.parametrize("shown", [None, picture()], ids=["text", "image"])
def test_drawn_answers_are_those_of_transformers_after_the_same_seed(world_model, plain, settings, shown):
    seen = {} if shown is None else {"images": [shown]}
    parts = (TEXT,) if shown is None else (IMAGE, TEXT)
    own = {name: value or None for name, value in settings.items()}
    answers = set()
    for seed in (3, 4):
        torch.manual_seed(seed)
        _, answer = oracle(plain, user(*parts), do_sample=True, **settings, **seen)
        got = world_model.reason("What is it?", image=shown, max_new_tokens=TOKENS, do_sample=True, seed=seed, **own)
        assert got.text == plain[1].tokenizer.decode(answer, skip_special_tokens=True)
        answers.add(got.text)
    assert len(answers) == 2


@pytest.mark.parametrize("options", [{}, {"do_sample": True, "seed": 5, "top_p": 0.9}, {"json": True}])
def test_streaming_equals_not_streaming(world_model, options):
    whole = world_model.reason("What is it?", max_new_tokens=TOKENS, **options)
    stream = world_model.reason("What is it?", max_new_tokens=TOKENS, stream=True, **options)
    pieces = list(stream)
    assert "".join(piece.text for piece in pieces if not piece.thinking) == whole.text
    assert len(pieces) > 1
    assert stream.result() == whole


def test_a_closed_stream_stops(world_model):
    stream = world_model.reason("What is it?", max_new_tokens=20_000, stream=True)
    next(iter(stream))
    stream.close()
    assert stream.result().usage.completion_tokens < 20_000
    assert world_model.reason("What is it?", max_new_tokens=2).usage.completion_tokens <= 2


def test_an_error_is_raised_however_often_the_answer_is_asked_for(world_model, monkeypatch):
    monkeypatch.setattr(world_model.reasoner.model, "generate", lambda **_: 1 / 0)
    stream = world_model.reason("What is it?", max_new_tokens=4, stream=True)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            stream.result()


def started(world_model, monkeypatch):
    """Answers of this world model's that have not ended."""
    running, generate = set(), world_model.reasoner.model.generate

    def counted(**options):
        running.add(id(options["streamer"]))
        try:
            return generate(**options)
        finally:
            running.discard(id(options["streamer"]))

    monkeypatch.setattr(world_model.reasoner.model, "generate", counted)
    return running


def wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("read", [0, 2])
def test_a_stream_that_nobody_holds_stops(world_model, monkeypatch, read):
    """Neither the stream nor, as within a `for` that was left, its iterator."""
    running = started(world_model, monkeypatch)
    stream = world_model.reason("What is it?", max_new_tokens=20_000, stream=True)
    pieces = iter(stream)
    wait_until(lambda: running)
    for _ in range(read):
        next(pieces)
    kept = weakref.ref(stream)
    del stream
    assert kept() is None  # at once: nothing goes around in a circle
    next(pieces)  # the iterator is enough to go on
    del pieces
    wait_until(lambda: not running)


def test_two_answers_at_once(world_model):
    alone = [world_model.reason(prompt, image=picture(), max_new_tokens=TOKENS) for prompt in ("What?", "Why, then?")]
    streams = [
        world_model.reason(prompt, image=picture(), max_new_tokens=TOKENS, stream=True)
        for prompt in ("What?", "Why, then?")
    ]
    texts = ["", ""]
    for pieces in zip_longest(*streams):
        for side, piece in enumerate(pieces):
            texts[side] += "" if piece is None else piece.text
    assert texts == [answer.text for answer in alone]
    assert [stream.result() for stream in streams] == alone


def test_an_answer_that_waits_for_its_turn_is_closed_at_once(world_model, monkeypatch):
    running = started(world_model, monkeypatch)
    first = world_model.reason("What is it?", max_new_tokens=20_000, stream=True)
    wait_until(lambda: running)
    second = world_model.reason("And then?", max_new_tokens=20_000, stream=True)
    second.close()
    assert running  # the first goes on
    assert second.result().usage.completion_tokens == 0
    first.close()
    assert not running


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_pieces_are_the_text_whatever_bytes_the_tokens_are(data):
    """Tokens of this tokenizer are bytes and parts of words: characters come whole, also those that are none."""
    tokenizer = tiny_tokenizer()
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), min_size=1, max_size=40))
    text = data.draw(st.text(alphabet="aé€😀日本\u0301\n", max_size=12))
    ids += tokenizer(text, add_special_tokens=False)["input_ids"]

    def generate(streamer, _):
        streamer.put(torch.tensor([0]))
        for token in ids:
            streamer.put(torch.tensor([token]))

    stream = AnswerStream(
        generate,
        turn=threading.Lock(),
        tokenizer=tokenizer,
        prompt_tokens=1,
        end_tokens=(),
        thinking=False,
        seed=0,
    )
    pieces = list(stream)
    whole = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    joined = split_thinking(whole)
    assert ("".join(p.text for p in pieces if not p.thinking), "".join(p.text for p in pieces if p.thinking)) == joined
    assert stream.result().usage.completion_tokens == len(ids)


@cache
def tiny_tokenizer():
    return caption_tokenizer()


def split_thinking(text):
    splitter = ThinkSplitter()
    chunks = [*splitter.feed(text), *splitter.flush()]
    return tuple("".join(chunk.text for chunk in chunks if chunk.thinking is side) for side in (False, True))


def test_a_seed_decides_the_draw(world_model):
    def draw(seed):
        return world_model.reason("What is it?", max_new_tokens=TOKENS, do_sample=True, temperature=2.0, seed=seed).text

    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    assert draw(1) == draw(1)
    assert len({draw(seed) for seed in range(4)}) == 4
    assert torch.equal(before, torch.random.get_rng_state())  # torch's global generator is left alone


def test_drawing_from_one_token_is_greedy(world_model):
    greedy = world_model.reason("What is it?", max_new_tokens=TOKENS)
    assert world_model.reason("What is it?", max_new_tokens=TOKENS, do_sample=True, top_k=1, seed=9).text == greedy.text


SCHEMA = {
    "type": "object",
    "properties": {"score": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["score"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("seed", range(5))
def test_answers_are_held_to_a_schema_whatever_the_weights(world_model, seed):
    got = world_model.reason("Rate it.", json=SCHEMA, max_new_tokens=400, do_sample=True, seed=seed)
    assert got.finish_reason == "stop"
    assert set(got.data()) == {"score"}
    assert 0 <= got.data()["score"] <= 9


HARD = {
    "type": "object",
    "properties": {
        "short": {"type": "string", "minLength": 3, "maxLength": 12},
        "kind": {"enum": ["é", 'naïve "q"', 3, None]},
        "rows": {
            "type": "array",
            "items": {"type": "array", "items": {"type": "integer", "minimum": -5, "maximum": 5}, "maxItems": 2},
            "minItems": 1,
            "maxItems": 3,
        },
        "where": {"const": "日本 😀"},
    },
    "required": ["short", "kind", "rows", "where"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("seed", range(4))
def test_a_hard_schema(world_model, seed):
    got = world_model.reason("Rate it.", json=HARD, max_new_tokens=1200, do_sample=True, temperature=2.0, seed=seed)
    assert got.finish_reason == "stop"
    found = json.loads(got.text)  # strict: no control characters in strings
    assert list(found) == ["short", "kind", "rows", "where"]
    assert 3 <= len(found["short"]) <= 12
    assert found["kind"] in HARD["properties"]["kind"]["enum"]
    assert 1 <= len(found["rows"]) <= 3
    assert all(len(row) <= 2 and all(-5 <= number <= 5 for number in row) for row in found["rows"])
    assert found["where"] == "日本 😀"
    assert got.data() == found
    assert max(map(len, re.findall(r"\s+", got.text))) <= MOST_SPACE + 12  # blanks of the short string among them


class Forced(LogitsProcessor):
    """Wants one token whatever else is likely."""

    def __init__(self, token):
        self.token = token

    def __call__(self, input_ids, scores):
        scores = scores.clone()
        scores[:, self.token] = 1e9
        return scores


@pytest.mark.parametrize("wanted", ["\t", "\x1f", " "])
def test_json_whatever_the_model_wants(world_models, wanted, monkeypatch):
    """A model that wants blanks or control characters and nothing else still comes to an end."""
    world_model = world_models("nano")
    tokenizer = world_model.reasoner.processor.tokenizer
    [token] = tokenizer(wanted, add_special_tokens=False)["input_ids"]
    real = reasoner_module.token_choice

    def forced(sampling, *, prompt_tokens, grammar=()):
        return real(sampling, prompt_tokens=prompt_tokens, grammar=[Forced(token), *grammar])

    monkeypatch.setattr(reasoner_module, "token_choice", forced)
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "maxLength": 4}, "b": {"type": "boolean"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    got = world_model.reason("Rate it.", json=schema, max_new_tokens=900)
    assert got.finish_reason == "stop"
    assert set(json.loads(got.text)) == {"a", "b"}


def test_json_that_was_cut_is_an_error_that_says_so(world_model):
    got = world_model.reason("Rate it.", json=True, max_new_tokens=3)
    with pytest.raises(AnswerError, match="cut at its longest"):
        got.data()


def test_the_weights_are_the_generators(world_model):
    generator = {p.data_ptr() for p in world_model.engine.transformer.parameters()}
    reasoner = dict(world_model.reasoner.model.named_parameters())
    tower = {name: p for name, p in reasoner.items() if name.startswith(("model.language_model.", "lm_head."))}
    assert len(tower) >= 19  # two layers of eight, the embedding, the last norm and the head
    assert all(parameter.data_ptr() in generator for parameter in tower.values())
    own = {name for name in reasoner if name not in tower}
    assert own
    assert all(name.startswith(("model.visual.", "model.projector.")) for name in own)


def test_the_generator_still_gives_the_same(reasoner_folder):
    world_model = load_world_model(reasoner_folder("nano"), device="cpu")
    options = {"height": 192, "width": 320, "num_steps": 1, "guidance": 1.0}
    before = world_model.text2image("a cup", **options).frames
    world_model.reason("What is it?", image=picture(), max_new_tokens=4)
    assert np.array_equal(before, world_model.text2image("a cup", **options).frames)


@pytest.fixture(scope="module")
def thinker(reasoner_folder, form, tmp_path_factory):
    """A checkpoint whose chat template opens a think part."""
    folder = tmp_path_factory.mktemp("thinker") / form
    shutil.copytree(reasoner_folder(form), folder)
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}"))
    return load_world_model(folder, device="cpu")


def test_a_template_that_opens_a_think_part(thinker):
    got = thinker.reason("What is it?", max_new_tokens=TOKENS)
    assert got.thinking
    assert got.text == ""


def test_json_behind_a_template_that_opens_a_think_part(thinker, plain):
    """The part is closed before the answer, as if the question ended so."""
    got = thinker.reason("Rate it.", image=picture(), json=SCHEMA, max_new_tokens=400, do_sample=True)
    assert set(got.data()) == {"score"}
    assert got.thinking == ""
    closed = plain[1].apply_chat_template(
        user(IMAGE, {"type": "text", "text": "Rate it."}), tokenize=False, add_generation_prompt=True
    )
    closed += "<think>\n\n</think>\n\n"
    assert (
        got.usage.prompt_tokens
        == plain[1](text=[closed], images=[picture()], return_tensors="pt")["input_ids"].shape[1]
    )


def test_a_checkpoint_without_a_reasoner(checkpoint_folder):
    world_model = load_world_model(checkpoint_folder, device="cpu")
    with pytest.raises(UnsupportedModeError, match=r"has no reasoner.*Cosmos3-Nano"):
        world_model.reason("What is it?")


def test_a_checkpoint_without_its_vision_encoder_reads_text(reasoner_folder, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(reasoner_folder("nano"), folder)
    shutil.rmtree(folder / "vision_encoder")
    world_model = load_world_model(folder, device="cpu")
    assert not has_vision(world_model.reasoner.model)
    assert world_model.reason("What is it?", max_new_tokens=4).usage.completion_tokens == 4
    with pytest.raises(UnsupportedModeError, match="vision encoder"):
        world_model.reason("What is it?", image=picture())


def test_parts_that_do_not_belong_together(reasoner_folder, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(reasoner_folder("nano"), folder)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"intermediate_size": 96', '"intermediate_size": 80'))
    with pytest.raises(CheckpointError, match=r"mlp.*shape"):
        load_world_model(folder, device="cpu").reason("What is it?")


@pytest.mark.parametrize(
    ("error", "message", "prompt", "options"),
    [
        (InvalidInputError, "empty", "  ", {}),
        (InvalidInputError, "ends with a message of the user", [], {}),
        (InvalidInputError, "role", [{"role": "robot", "content": "Hello"}], {}),
        (InvalidInputError, "ImagePart", [{"role": "user", "content": [3]}], {}),
        (InvalidInputError, "itself", [{"role": "user", "content": "Hello"}], {"image": picture()}),
        (MediaError, "uint8", "What?", {"image": np.zeros((48, 80, 3), np.float32)}),
        (MediaError, "no frame", "What?", {"video": np.zeros((0, 48, 80, 3), np.uint8)}),
        (InvalidInputError, "fps", "What?", {"video": picture(0, 4), "fps": 0.0}),
        (InvalidInputError, "video_fps", "What?", {"video": picture(0, 4), "video_fps": -1.0}),
        (InvalidInputError, "temperature", "What?", {"do_sample": True, "temperature": 0.0}),
        (InvalidInputError, "top_p", "What?", {"top_p": 1.5}),
        (InvalidInputError, "max_new_tokens", "What?", {"max_new_tokens": 0}),
        (InvalidInputError, "image_pad.*no images", "What <|image_pad|>?", {}),
        (InvalidInputError, "image_pad.*1 images", "What <|image_pad|>?", {"image": picture()}),
        (InvalidInputError, "half of a surrogate pair", "What \ud83d?", {}),
        (InvalidInputError, "a text, or a list", 3, {}),
        (InvalidInputError, "a message's part", [{"role": "user", "content": None}], {}),
        (InvalidInputError, "one call answers one chat", ["What?", "Who?"], {}),
        (InvalidInputError, "too long", "word " * 40_000, {}),
        (InvalidInputError, r"cannot be used: Unsupported type", "What?", {"json": {"type": "no such type"}}),
        (InvalidInputError, "minimum greater", "What?", {"json": {"type": "integer", "minimum": 3, "maximum": 1}}),
        (InvalidInputError, "no JSON: .*set", "What?", {"json": {"enum": {1, 2}}}),
        (InvalidInputError, "json must be True", "What?", {"json": None}),
        (InvalidInputError, "json must be True", "What?", {"json": "object"}),
        (InvalidInputError, "max_new_tokens must be an integer", "What?", {"max_new_tokens": 2.5}),
        (InvalidInputError, "max_new_tokens must be an integer", "What?", {"max_new_tokens": True}),
        (InvalidInputError, "top_k must be an integer", "What?", {"top_k": 1.5}),
        (InvalidInputError, "seed must be an integer", "What?", {"seed": 1.0}),
        (InvalidInputError, "seed must be an integer", "What?", {"seed": 2**63}),
        (InvalidInputError, "temperature must be a number", "What?", {"temperature": "1"}),
        (InvalidInputError, "temperature must be a number", "What?", {"temperature": float("nan")}),
        (InvalidInputError, "temperature must be from 1e-05", "What?", {"do_sample": True, "temperature": 1e-30}),
        (InvalidInputError, "video_fps", "What?", {"video": picture(0, 4), "video_fps": float("inf")}),
        (TypeError, "unknown keyword", "What?", {"temprature": 1.0}),
    ],
)
def test_bad_input(world_models, form, error, message, prompt, options):
    with pytest.raises(error, match=message):
        world_models(form).reason(prompt, **options)


def test_a_video_of_one_frame(world_model):
    shown = Message.of("user", VideoPart(picture(0, 1), 10.0), "What?")
    assert world_model.reason([shown], max_new_tokens=2).usage.completion_tokens > 0


MEMORY = """
import re, sys
from pathlib import Path
import numpy as np
import torch
from cosmos_robot.world_model import load_world_model

def high_water():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

shown = {} if sys.argv[3] == "text" else {"image": np.full((48, 80, 3), 99, np.uint8)}
warm = load_world_model(sys.argv[1], device="cpu", dtype="float32")
warm.reason("What?", max_new_tokens=2, **shown)  # everything is imported
world_model = load_world_model(sys.argv[2], device="cpu", dtype="float32")
weights = sum(p.numel() * 4 for p in world_model.engine.transformer.parameters())
sum(float(p.sum()) for p in world_model.engine.transformer.parameters())  # read: the files are mapped, not loaded
Path("/proc/self/clear_refs").write_text("5")  # forget the high water of loading
before = high_water()
world_model.reason("What?", max_new_tokens=2, **shown)
print(weights, high_water() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.os.access("/proc/self/clear_refs", shutil.os.W_OK), reason="needs Linux' accounting")
@pytest.mark.parametrize("shown", ["text", "image"])
def test_the_reasoner_takes_less_than_a_tenth_more_memory(reasoner_folder, form, shown, tmp_path):
    import subprocess
    import sys

    from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint

    sizes = {"hidden": 1024, "intermediate": 3072, "heads": 16, "kv_heads": 8, "head_dim": 64, "layers": 4}
    RandomCheckpoint(form=form, **sizes).save(tmp_path)
    save_reasoner(tmp_path)
    arguments = [sys.executable, "-c", MEMORY, str(reasoner_folder(form)), str(tmp_path), shown]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    weights, more = map(int, done.stdout.split())
    assert weights > 300e6
    assert more < 0.1 * weights


@pytest.mark.gpu
def test_peak_memory_on_a_gpu(reasoner_folder, tmp_path):
    from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint

    RandomCheckpoint(hidden=1024, intermediate=3072, heads=16, kv_heads=8, head_dim=64, layers=4).save(tmp_path)
    save_reasoner(tmp_path)
    load_world_model(reasoner_folder("nano"), device="cuda").reason("What?", max_new_tokens=2)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    world_model = load_world_model(tmp_path, device="cuda")
    weights = torch.cuda.memory_allocated() - before
    world_model.reason("What?", image=picture(), max_new_tokens=2)
    assert torch.cuda.max_memory_allocated() - before < 1.1 * weights


def test_a_vision_encoder_that_the_index_finds_elsewhere(reasoner_folder, tmp_path, world_models):
    folder = tmp_path / "checkpoint"
    shutil.copytree(reasoner_folder("edge"), folder)
    (folder / "vision_encoder" / "model.safetensors").rename(folder / "vision.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("vision_encoder/model.safetensors", "vision.safetensors"))
    moved = load_world_model(folder, device="cpu").reason("What?", image=picture(), max_new_tokens=TOKENS)
    assert moved == world_models("edge").reason("What?", image=picture(), max_new_tokens=TOKENS)
