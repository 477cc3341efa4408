"""The pixels of an environment: their size without any weight, and how a start is brought to it."""

import numpy as np
import pytest

from cosmos_robot.domains.canvas import action_canvas, native_canvas
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.envs.output_canvas import canvas_rule, fit
from cosmos_robot.errors import CheckpointError


def smooth(height, width):
    """A picture without the sharp edges at which two resampling programs round apart."""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 9), np.cos(columns / 7), np.sin((rows + columns) / 11)]
    return np.stack([127 + 90 * wave for wave in waves], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    ("canvas", "size"),
    [
        (action_canvas(360, 640, 256), (176, 320)),
        (action_canvas(96, 96, 256), (96, 96)),
        (action_canvas(100, 130, 256), (96, 128)),
        (native_canvas(50, 70, (96, 96)), (96, 96)),
    ],
)
def test_a_start_is_seen_as_the_engine_sees_it(canvas, size, engines):
    frame = smooth(*canvas.source)
    seen = fit(frame, canvas)
    assert seen.shape == (*size, 3)
    pixels = engines("nano").autoencoder.pixels(frame[None], canvas)[0, :, 0].permute(1, 2, 0).numpy()
    expected = np.clip((pixels / 2 + 0.5) * 255, 0, 255)[: size[0], : size[1]]
    assert np.abs(seen - expected).max() <= 1.5  # the engine does not round between its two steps


def test_a_frame_of_the_right_size_is_untouched_and_copied():
    frame = smooth(96, 96)
    seen = fit(frame, action_canvas(96, 96, 256))
    np.testing.assert_array_equal(seen, frame)
    assert not np.shares_memory(seen, frame)


def test_the_rule_is_known_before_any_weight_is_loaded(small_folder, small, counting, checkpoint_folder):
    domain = get_domain("pusht")
    for native in (small_folder, str(small_folder), small):
        of, size = canvas_rule(native, domain, None)
        assert size == (32, 32)
        assert of(50, 70).output == (32, 32)
    for free in (checkpoint_folder, counting, "nim://localhost:8000"):
        of, size = canvas_rule(free, domain, None)
        assert size is None
        assert of(360, 640).output == action_canvas(360, 640, domain.tier).output
    of, _ = canvas_rule(counting, domain, 480)
    assert of(720, 1280).output == action_canvas(720, 1280, 480).output
    assert canvas_rule(counting, domain, None, (64, 64))[0](720, 1280).output == (64, 64)
    with pytest.raises(CheckpointError, match="neither a folder nor a Hub id"):
        canvas_rule("no/such/folder", domain, None)
