"""The reasoner of a checkpoint: transformers' own Cosmos 3 classes over the generator's weights."""

import threading
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from cosmos_robot.engine.answer_stream import AnswerStream
from cosmos_robot.engine.json_grammar import JsonGrammar
from cosmos_robot.engine.shared_weights import CLASSES, VISION_FOLDER, build_reasoner, has_vision
from cosmos_robot.engine.token_choice import token_choice
from cosmos_robot.engine.weights import read_json
from cosmos_robot.errors import CheckpointError, InvalidInputError, MissingDependencyError, UnsupportedModeError
from cosmos_robot.interface.chat import ImagePart, VideoPart
from cosmos_robot.interface.reason import ReasonRequest
from cosmos_robot.interface.thinking import CLOSE, OPEN

CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"


class LocalReasoner:
    """Answers chats on this machine, one after the other.

    Args:
        transformer: `Cosmos3OmniTransformer`, whose weights it shares.
        folder: of the checkpoint.
        name: of the checkpoint, for messages.

    Raises:
        UnsupportedModeError: if the checkpoint has no reasoner part.
        CheckpointError: if that part is not whole.
        MissingDependencyError: if torchvision is not installed, by which transformers reads pictures.
    """

    def __init__(self, transformer: Any, folder: Path, name: str) -> None:
        require_reasoner(folder, name)
        self.name = name
        self.processor = _load_processor(folder)
        config = _load_config(folder)
        self.model = build_reasoner(config, transformer, folder)
        self._end_tokens = _end_tokens(folder, self.processor.tokenizer)
        self._turn = threading.Lock()  # the model keeps what it knows of positions between two tokens

    def answer(self, request: ReasonRequest) -> AnswerStream:
        """Start to answer a chat. What is held to JSON is answered without a `<think>` part.

        Raises:
            UnsupportedModeError: if pictures are shown to a checkpoint without a vision encoder.
            InvalidInputError: if the chat is longer than the checkpoint can read, or the schema is none.
            MissingDependencyError: if JSON is asked for and xgrammar is not installed.
        """
        text, inputs = self._inputs(request)
        prompt_tokens = int(inputs["input_ids"].shape[1])
        self._require_length(prompt_tokens, request.sampling.max_new_tokens)
        grammar = [] if request.json is False else [self._grammar.processor(request.json)]
        chosen = token_choice(request.sampling, prompt_tokens=prompt_tokens, grammar=grammar)

        def generate(streamer: Any, stop: Any) -> None:
            from transformers import GenerationConfig

            with torch.no_grad():
                self.model.generate(
                    **inputs,
                    generation_config=GenerationConfig(
                        max_new_tokens=request.sampling.max_new_tokens,
                        do_sample=False,  # `token_choice` draws
                        eos_token_id=list(self._end_tokens),
                        pad_token_id=self._end_tokens[0],
                    ),
                    logits_processor=chosen,
                    streamer=streamer,
                    stopping_criteria=[stop],
                )

        return AnswerStream(
            generate,
            turn=self._turn,
            tokenizer=self.processor.tokenizer,
            prompt_tokens=prompt_tokens,
            end_tokens=self._end_tokens,
            thinking=_opens_thinking(text),
            seed=request.sampling.seed,
            safety=request.safety,
        )

    @cached_property
    def _grammar(self) -> JsonGrammar:
        vocabulary = int(self.model.get_output_embeddings().weight.shape[0])
        return JsonGrammar(self.processor.tokenizer, vocabulary, self._end_tokens)

    def _inputs(self, request: ReasonRequest) -> tuple[str, dict[str, torch.Tensor]]:
        """The chat through the checkpoint's template, and everything that the model reads, on its device."""
        from transformers.video_utils import VideoMetadata

        parts = [part for message in request.messages for part in message.parts]
        images = [part.frame.copy() for part in parts if isinstance(part, ImagePart)]  # torch wants to own them
        videos = [_enough_frames(part) for part in parts if isinstance(part, VideoPart)]
        if (images or videos) and not has_vision(self.model):
            raise UnsupportedModeError(
                f"checkpoint {self.name} has no vision encoder (the folder {VISION_FOLDER}/), so its reasoner reads "
                f"text alone."
            )
        chat = [{"role": m.role, "content": [_template_part(part) for part in m.parts]} for m in request.messages]
        text = str(self.processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))
        if request.json is not False and _opens_thinking(text):
            text = f"{text.rstrip()}\n\n{CLOSE}\n\n"  # the grammar holds from the first token on
        seen: dict[str, Any] = {}
        if images:
            seen["images"] = images
        if videos:
            seen["videos"] = [video.frames for video in videos]
            seen["videos_kwargs"] = {
                "video_metadata": [
                    VideoMetadata(
                        total_num_frames=n, fps=video.fps, frames_indices=list(range(n)), duration=n / video.fps
                    )
                    for video in videos
                    for n in (len(video.frames),)
                ],
                "do_sample_frames": True,
                "fps": request.video_fps,
                "return_metadata": True,
            }
        try:
            encoded = self.processor(text=[text], return_tensors="pt", return_mm_token_type_ids=True, **seen)
        except ValueError as error:  # what transformers raises where tokens of pictures stand in the text itself
            raise InvalidInputError(f"the chat cannot be read: {error}") from error
        device = self.model.lm_head.weight.device
        return text, {key: value.to(device) for key, value in encoded.items() if isinstance(value, torch.Tensor)}

    def _require_length(self, prompt_tokens: int, max_new_tokens: int) -> None:
        longest = int(self.model.config.text_config.max_position_embeddings)
        if prompt_tokens + max_new_tokens > longest:
            raise InvalidInputError(
                f"the chat is too long: {prompt_tokens} tokens and {max_new_tokens} of the answer, "
                f"checkpoint {self.name} reads {longest} together. Shorten it, or lower video_fps or max_new_tokens."
            )


def require_reasoner(folder: Path, name: str) -> None:
    """Check that a checkpoint has a reasoner part.

    Raises:
        UnsupportedModeError: if it has none.
    """
    form = read_json(folder / CONFIG).get("model_type") if (folder / CONFIG).is_file() else None
    if form not in CLASSES:
        raise UnsupportedModeError(
            f"checkpoint {name} has no reasoner: it carries no {CONFIG} of type {' or '.join(CLASSES)}. "
            f"Load one that does, such as nvidia/Cosmos3-Nano."
        )


def _load_config(folder: Path) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True)
    except (ValueError, TypeError, KeyError) as error:  # what transformers raises for a wrong configuration
        raise CheckpointError(f"checkpoint file {folder / CONFIG} cannot be read: {error}.") from error


def _load_processor(folder: Path) -> Any:
    if find_spec("torchvision") is None:  # transformers reads pictures and videos by it
        raise MissingDependencyError("the reasoner needs torchvision; get it with pip install 'cosmos-robot[reason]'.")
    from transformers import AutoProcessor

    try:
        return AutoProcessor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:  # what transformers raises for missing files
        raise CheckpointError(
            f"checkpoint {folder} has no whole processor for its reasoner (processor_config.json or "
            f"preprocessor_config.json, tokenizer.json, a chat template): {error}."
        ) from error


def _end_tokens(folder: Path, tokenizer: Any) -> tuple[int, ...]:
    """The tokens that end an answer: the generation configuration's, or the tokenizer's."""
    path = folder / GENERATION_CONFIG
    named = read_json(path).get("eos_token_id") if path.is_file() else None
    if named is None:
        return (int(tokenizer.eos_token_id),)
    return tuple(int(token) for token in (named if isinstance(named, list) else [named]))


def _opens_thinking(text: str) -> bool:
    return text.rstrip().endswith(OPEN)


def _template_part(part: str | ImagePart | VideoPart) -> dict[str, str]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "image" if isinstance(part, ImagePart) else "video"}


def _enough_frames(video: VideoPart) -> VideoPart:
    """The encoder reads frames in pairs, so that a single one is shown twice."""
    return video if len(video.frames) > 1 else VideoPart(video.frames.repeat(2, axis=0), video.fps)
