"""Known answers of every metric, and independent libraries beside those that are not their own."""

import numpy as np
import pytest
import torch
from evo.core import metrics as evo_metrics
from evo.core.trajectory import PosePath3D
from scipy import stats
from scipy.spatial.transform import Rotation
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from cosmos_robot.benchmarks import metrics_perceptual
from cosmos_robot.benchmarks.bootstrap_interval import mean_of, paired_difference, statistic_of
from cosmos_robot.benchmarks.fvd_figures import clip_features
from cosmos_robot.benchmarks.metrics_actions import (
    DTW_THRESHOLD,
    no_poses,
    normalised_dtw,
    pose_errors,
    r_squared,
)
from cosmos_robot.benchmarks.metrics_frames import PSNR_LIMIT, frame_figures, moving_region
from cosmos_robot.benchmarks.metrics_perceptual import VideoFeatures, frechet_distance, lpips, lpips_absent
from cosmos_robot.domains.poses import pose9_from_matrix
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import InvalidInputError


@pytest.fixture
def clips():
    """A still background with a square that moves, and what a model makes of it: noise of 6 in everything."""
    rng = np.random.default_rng(0)
    background = rng.integers(40, 200, (48, 64, 3), dtype=np.uint8)
    truth = np.stack([background] * 5)
    for step in range(5):
        truth[step, 10:20, 5 + 8 * step : 15 + 8 * step] = 255
    noisy = np.clip(truth.astype(int) + rng.integers(-6, 7, truth.shape), 0, 255).astype(np.uint8)
    return noisy, truth


def _images(clip):
    return torch.from_numpy(clip[1:]).permute(0, 3, 1, 2).double()


def test_psnr_and_ssim_are_torchmetrics_own(clips):
    given, truth = clips
    found = frame_figures(given, truth)
    psnr = [
        float(peak_signal_noise_ratio(a[None], b[None], data_range=255.0))
        for a, b in zip(_images(given), _images(truth), strict=True)
    ]
    assert found.psnr == pytest.approx(psnr, abs=1e-4)
    ssim = structural_similarity_index_measure(_images(given), _images(truth), data_range=255.0, reduction="none")
    assert found.ssim == pytest.approx(ssim.tolist(), abs=2e-4)  # they cut the border otherwise


def test_psnr_by_hand():
    truth = np.full((2, 16, 16, 3), 100, np.uint8)
    off = truth + np.uint8(10)  # an error of 10 everywhere
    assert frame_figures(off, truth).psnr == [pytest.approx(20 * np.log10(255 / 10))]
    assert frame_figures(truth, truth).psnr == [PSNR_LIMIT]
    assert frame_figures(truth, truth).ssim == [1.0]
    assert frame_figures(off, truth).psnr_moving == [None]  # nothing moves, so there is nothing to say


def test_the_moving_region_is_where_something_came_and_where_it_was(clips):
    given, truth = clips
    region = moving_region(truth)
    assert not region[0].any()
    expected = np.zeros((48, 64), bool)
    expected[10:20, 5:15] = expected[10:20, 21:31] = True
    assert not region[2][~expected].any()
    assert region[2][expected].mean() > 0.9  # but for background that happens to be as bright
    broken = truth.copy()
    broken[:, 30:] = 0  # wrong where nothing moves
    whole, moving = frame_figures(broken, truth).psnr, frame_figures(broken, truth).psnr_moving
    assert moving == [PSNR_LIMIT] * 4
    assert max(whole) < 15
    copied = np.repeat(truth[:1], 5, axis=0)
    assert max(frame_figures(copied, truth).psnr_moving) < min(frame_figures(given, truth).psnr_moving)
    with pytest.raises(InvalidInputError, match="one shape"):
        frame_figures(given[:, :16], truth)


def test_lpips_of_alexnet(clips, tmp_path, monkeypatch):
    from torchvision.models import alexnet

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert "not in torch's cache" in lpips_absent(64, 96)
    (tmp_path / "checkpoints").mkdir()
    torch.manual_seed(0)
    network = alexnet(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "checkpoints" / metrics_perceptual.ALEXNET)
    assert lpips_absent(64, 96) is None
    assert "at least 64 pixels" in lpips_absent(48, 64)
    given, truth = (np.pad(clip, ((0, 0), (0, 16), (0, 32), (0, 0)), mode="reflect") for clip in clips)
    assert lpips(truth, truth) == [0.0] * 4
    assert lpips(given, truth) == pytest.approx(_lpips_by_hand(network, given[1:], truth[1:]), rel=1e-4)


def _lpips_by_hand(network, given, truth):
    """Zhang et al. 2018, equation 1: unit features of five layers, weighted squares, mean over the places."""
    from pathlib import Path

    import torchmetrics

    file = Path(torchmetrics.__file__).parent / "functional/image/lpips_models/alex.pth"
    weights = torch.load(file, weights_only=True, map_location="cpu")
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    after = (1, 4, 7, 9, 11)  # the five ReLUs
    maps = []
    for clip in (given, truth):
        image = (torch.from_numpy(clip).float() / 127.5 - 1 - shift) / scale
        layers, x = [], image.permute(0, 3, 1, 2)
        for number, layer in enumerate(network.features):
            x = layer(x)
            if number in after:
                layers.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        maps.append(layers)
    total = 0
    for number, (one, other) in enumerate(zip(*maps, strict=True)):
        weight = weights[f"lin{number}.model.1.weight"]
        total = total + ((one - other).square() * weight).sum(1).mean((1, 2))
    return total.detach().tolist()


def test_frechet_distance_of_normal_sets():
    """Of two normal distributions it is |m1 - m2|^2 + sum (s1 - s2)^2 where the axes are the principal ones."""
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T.astype(float)
    scale = np.sqrt(7 / 8)  # the sample variance of -s, s in halves is s^2 * 8 / 7
    one = signs * scale * [1.0, 2.0, 3.0] + [1.0, 0.0, 0.0]
    other = signs * scale * [2.0, 2.0, 1.0]
    assert frechet_distance(one, other) == pytest.approx(1.0 + 1.0 + 0.0 + 4.0, abs=1e-6)
    assert frechet_distance(one, one) == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(InvalidInputError, match="at least two"):
        frechet_distance(one[:1], other)


@pytest.mark.parametrize("count", [6, 40])
def test_frechet_distance_is_torchmetrics(count):
    """With fewer clips than features, and with more."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    rng = np.random.default_rng(count)
    given, truth = rng.normal(0, 1, (count, 12)), rng.normal(0.5, 2, (count + 3, 12)) @ rng.normal(0, 1, (12, 12))
    metric = FrechetInceptionDistance(feature=torch.nn.Identity(), input_img_size=(12,)).set_dtype(torch.float64)
    metric.update(torch.from_numpy(truth), real=True)
    metric.update(torch.from_numpy(given), real=False)
    assert frechet_distance(given, truth) == pytest.approx(float(metric.compute()), rel=1e-4)


def test_video_features_come_from_a_torchscript_file(tmp_path):
    class Means(torch.nn.Module):
        def forward(self, video: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
            assert rescale
            assert resize
            assert return_features
            return video.mean((2, 3, 4))

    torch.jit.script(Means()).save(tmp_path / "i3d.pt")
    clip = np.zeros((5, 16, 16, 3), np.uint8)
    clip[..., 1] = 90
    assert VideoFeatures(tmp_path / "i3d.pt")(clip) == [0.0, 90.0, 0.0]
    with pytest.raises(InvalidInputError, match="I3D"):
        VideoFeatures(tmp_path / "nothing.pt")


def test_a_clip_too_short_for_fvd_says_so():
    for weights, frames, reason in ((None, 17, "--fvd-weights"), ("i3d.pt", 9, "at least 10 frames; these have 9")):
        absent = {}
        clip = np.zeros((frames, 16, 16, 3), np.uint8)
        assert clip_features(weights, {"model": clip, "true frames": clip}, absent) == {"fvd_features": None}
        assert reason in absent["fvd"]


def test_pose_errors_by_hand():
    """Truth goes straight ahead; what is read goes a tenth further at each step, and turns 3 degrees about its axis."""
    domain, steps = get_domain("umi"), 4
    truth, given = (np.zeros((steps, domain.raw_action_dim)) for _ in range(2))
    ahead, turned = np.eye(4), np.eye(4)
    ahead[2, 3], turned[2, 3] = 1.0, 1.1
    turned[:3, :3] = Rotation.from_euler("z", 3, degrees=True).as_matrix()
    truth[:, :9], given[:, :9] = pose9_from_matrix(ahead[None])[0], pose9_from_matrix(turned[None])[0]
    found = pose_errors(domain, given, truth)
    (error,) = found.values()
    assert error.rpe_translation == pytest.approx(0.1, abs=1e-6)
    assert error.rpe_rotation == pytest.approx(3.0, abs=1e-4)
    apart = 0.1 * np.arange(steps + 1)  # also at frame 0, where both are
    assert error.ate == pytest.approx(np.sqrt(np.mean(apart**2)), abs=1e-6)


def test_pose_errors_are_evos_of_the_integrated_poses():
    domain, rng = get_domain("umi"), np.random.default_rng(0)
    actions = []
    for _ in range(2):
        rotations = Rotation.from_rotvec(rng.normal(0, 0.1, (12, 3))).as_matrix()
        poses = np.tile(np.eye(4), (12, 1, 1))
        poses[:, :3, :3], poses[:, :3, 3] = rotations, rng.normal(0, 0.02, (12, 3))
        actions.append(np.column_stack([pose9_from_matrix(poses), rng.random(12)]))
    (name, error), *_ = pose_errors(domain, *actions).items()
    trajectories = []
    for values in actions:  # integrated here by hand: each step is seen from the frame before it
        path = [np.eye(4)]
        for row in values:
            step = np.eye(4)
            first, second = row[3:6], row[6:9]
            step[:3, :3] = np.column_stack([first, second, np.cross(first, second)])
            step[:3, 3] = row[:3]
            path.append(path[-1] @ step)
        trajectories.append(PosePath3D(poses_se3=path))
    ape = evo_metrics.APE(evo_metrics.PoseRelation.translation_part)
    ape.process_data((trajectories[1], trajectories[0]))
    assert name in {block.name for block in domain.pose_blocks}
    assert error.ate == pytest.approx(ape.get_statistic(evo_metrics.StatisticsType.rmse), rel=1e-5)


def test_actions_without_poses_say_so():
    assert "hold no poses" in no_poses(get_domain("pusht"))
    assert "controller" in no_poses(get_domain("libero"))
    assert no_poses(get_domain("umi")) is None


def test_normalised_dtw_by_hand():
    domain = get_domain("pusht")
    truth = np.column_stack([np.linspace(100, 300, 8), np.full(8, 256.0)])
    assert normalised_dtw(domain, truth, truth) == 1.0
    aside = truth + np.array([0.0, 256 * DTW_THRESHOLD])  # half the table is one normalised unit
    assert normalised_dtw(domain, aside, truth) == pytest.approx(np.exp(-1), rel=1e-5)
    slow = np.repeat(truth, 2, axis=0)[:15]  # the same way at another pace
    assert normalised_dtw(domain, slow, truth) == pytest.approx(1.0)


def test_r_squared_by_hand():
    truth = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [4.0, 5.0]])
    given = truth + np.array([[0.5, 0], [-0.5, 0], [0.5, 0], [-0.5, 0]])
    assert r_squared(given, truth) == [pytest.approx(1 - 1.0 / 5.0), None]
    assert r_squared(np.full_like(truth, 2.5), truth)[0] == pytest.approx(0.0)
    from torchmetrics.functional import r2_score

    rng = np.random.default_rng(0)
    given, truth = rng.normal(0, 1, (50, 2)), rng.normal(1, 2, (50, 2))
    theirs = r2_score(torch.from_numpy(given), torch.from_numpy(truth), multioutput="raw_values")
    assert r_squared(given, truth) == pytest.approx(theirs.tolist())


def test_the_interval_is_of_episodes_not_of_rows():
    """Ten rows of one episode that are all alike are one witness."""
    rng = np.random.default_rng(0)
    of_episode = rng.normal(3, 1, 30)
    values = {(e, i): of_episode[e] for e in range(30) for i in range(10)}
    found = mean_of(values, {key: key[0] for key in values})
    assert (found.n, found.episodes) == (300, 30)
    assert found.value == pytest.approx(of_episode.mean())
    alone = stats.bootstrap((of_episode,), np.mean, n_resamples=5000, rng=np.random.default_rng(1)).confidence_interval
    assert (found.low, found.high) == pytest.approx(tuple(alone), abs=0.05)


def test_the_interval_covers_as_often_as_it_says():
    rng, hits = np.random.default_rng(1), 0
    for trial in range(100):
        values = {(e, i): v for e in range(25) for i, v in enumerate(rng.normal(rng.normal(2, 1), 0.5, 3))}
        found = mean_of(values, {key: key[0] for key in values}, seed=trial)
        hits += found.low <= 2.0 <= found.high
    assert 85 <= hits <= 100


def test_no_interval_without_two_episodes():
    assert mean_of({}, {}).value is None
    one = mean_of({0: 1.0, 1: 3.0}, {0: "a", 1: "a"})
    assert (one.value, one.low, one.high, one.n, one.episodes) == (2.0, None, None, 2, 1)
    same = mean_of(dict.fromkeys(range(6), 0.1 + 0.2), {i: i for i in range(6)})
    assert same.low == same.high == same.value


def test_a_statistic_of_whole_episodes():
    values = {(e, i): float(e) for e in range(20) for i in range(4)}
    found = statistic_of(values, {key: key[0] for key in values}, lambda chosen: float(np.median(chosen)))
    assert found.low < found.value == 9.5 < found.high
    assert (found.n, found.episodes) == (80, 20)
    alone = {key: value for key, value in values.items() if key[0] == 0}
    assert statistic_of(alone, {key: key[0] for key in alone}, lambda chosen: 1.0).low is None


def test_a_paired_difference_is_of_the_same_draws():
    """What is hard for both does not widen the interval, and rows that one has not got are left out."""
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 10, 30)
    first = {(e, i): hard[e] for e in range(30) for i in range(3)}
    second = {key: value + 1 for key, value in first.items() if key[1] < 2} | {(99, 0): 1e9}
    groups = {key: key[0] for key in second}
    found = paired_difference(first, second, groups, lambda chosen: float(np.square(chosen).mean() ** 0.5))
    assert (found.n, found.episodes) == (60, 30)
    plain = paired_difference(first, second, groups, lambda chosen: float(np.mean(chosen)))
    assert (plain.low, plain.value, plain.high) == pytest.approx((1.0, 1.0, 1.0))
    noisy = {key: value + rng.normal(1, 2) for key, value in first.items()}
    apart = np.array([noisy[e, 0] - first[e, 0] for e in range(30)])
    one_each = [{(e, 0): values[e, 0] for e in range(30)} for values in (first, noisy)]
    found = paired_difference(*one_each, groups, lambda chosen: float(np.mean(chosen)))
    scipys = stats.bootstrap((apart,), np.mean, method="percentile", n_resamples=5000, rng=rng).confidence_interval
    assert found.value == pytest.approx(apart.mean())
    assert (found.low, found.high) == pytest.approx(tuple(scipys), abs=0.2)
    assert paired_difference(first, {}, {}, lambda chosen: 1.0).value is None
