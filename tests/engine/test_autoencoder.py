"""Only what is needed goes through the autoencoder, with the same numbers."""

import torch
from action_case import CHUNK, SIZES, model_input, recording


def count_frames(engine, monkeypatch):
    vae, encoded, decoded = engine.autoencoder._vae, [], []
    encode, decode = vae.encode, vae.decode
    monkeypatch.setattr(vae, "encode", lambda x: encoded.append(x.shape[2]) or encode(x))
    monkeypatch.setattr(vae, "decode", lambda z: decoded.append(z.shape[2]) or decode(z))
    return encoded, decoded


def test_one_frame_is_encoded(engines, monkeypatch):
    engine = engines("nano")
    encoded, decoded = count_frames(engine, monkeypatch)
    engine.generate([model_input("forward_dynamics", *recording(SIZES[0]))])
    assert (encoded, decoded) == ([1], [CHUNK // 4 + 1])


def test_inverse_dynamics_decodes_nothing(engines, monkeypatch):
    engine = engines("nano")
    encoded, decoded = count_frames(engine, monkeypatch)
    engine.generate([model_input("inverse_dynamics", *recording(SIZES[0]))])
    assert (encoded, decoded) == ([CHUNK + 1], [])


def test_the_first_frame_alone_is_the_clips_first_latent(engines):
    """The autoencoder is causal, so encoding one frame loses nothing."""
    autoencoder = engines("nano").autoencoder
    frames, actions = recording(SIZES[1])
    canvas = model_input("policy", frames, actions).canvas
    with torch.no_grad():
        clip = autoencoder.encode(autoencoder.pixels(frames, canvas), canvas)
        alone = autoencoder.encode(autoencoder.pixels(frames[:1], canvas), canvas)
    assert torch.equal(clip[:, :, :1], alone)
