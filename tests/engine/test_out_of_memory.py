"""A generation that the memory does not hold: one sentence, and what it took is given back."""

import weakref

import pytest
import torch
from action_case import SIZES, model_input, recording
from media_case import media_input

from cosmos_robot.engine.media import generate_media
from cosmos_robot.errors import DeviceError


@pytest.fixture
def full(engines, monkeypatch):
    """An engine whose decoder finds no memory, and what the decoder took before that."""
    engine, taken = engines("nano"), []

    def decode(latents):
        taken.append(weakref.ref(piece := torch.zeros(8)))
        raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {len(piece)} bytes.")

    monkeypatch.setattr(engine.autoencoder, "stream", decode)
    return engine, taken


def test_media(full):
    engine, taken = full
    with pytest.raises(DeviceError, match=r"^cpu has too little memory, .*, for 2 item\(s\) of 9 frame\(s\) at 48x80"):
        generate_media(engine, [media_input("text2video", seed=i) for i in range(2)])
    assert len(taken) == 1


def test_actions(full):
    engine, _ = full
    with pytest.raises(DeviceError, match=r"^cpu has too little memory, .*, for 1 item\(s\) of \d+ frame\(s\)"):
        engine.generate([model_input("forward_dynamics", *recording(SIZES[0]))])


def test_who_keeps_the_error_keeps_no_memory(full):
    engine, taken = full
    with pytest.raises(DeviceError) as kept:
        generate_media(engine, [media_input("text2image")])
    assert kept.value.__context__ is not None
    assert taken[0]() is None
