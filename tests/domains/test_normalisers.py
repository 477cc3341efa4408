"""Each normaliser against its formula written out, and against its own inverse."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_robot.domains import normalisers as n
from cosmos_robot.errors import InvalidInputError

Q01, Q99 = (-0.2, 0.9, -3.0), (0.4, 1.0, 1.0)
LEAST, GREATEST = (-5.0, 0.0, -3.5), (1.0, 1.0, 1.2)

ALL = [
    n.Identity(),
    n.Quantile(Q01, Q99),
    n.QuantileRot(Q01, Q99),
    n.QuantileRotScaleFloor(Q01, Q99, LEAST, GREATEST),
    n.AsinhRot(Q01, Q99),
    n.PiecewiseAsinhRot(Q01, Q99),
    n.PiecewiseAsinhRot(Q01, Q99, beta=2.5),
    n.MinMax(LEAST, GREATEST),
    n.MeanStd((0.1, 0.2, 0.3), (1.0, 0.5, 2.0)),
]

rows = st.lists(st.tuples(*[st.floats(-20, 20)] * 3), min_size=1, max_size=5).map(np.array)


@pytest.mark.parametrize("normaliser", ALL, ids=lambda normaliser: normaliser.method)
@given(rows)
def test_round_trip(normaliser, values):
    np.testing.assert_allclose(normaliser.inverse(normaliser.forward(values)), values, atol=1e-9)


@given(rows)
def test_quantile_formula(values):
    q01, q99 = np.array(Q01), np.array(Q99)
    expected = 2 * (values - q01) / (q99 - q01) - 1
    np.testing.assert_allclose(n.Quantile(Q01, Q99).forward(values), expected, atol=1e-9)
    np.testing.assert_allclose(n.QuantileRot(Q01, Q99).forward(values), expected, atol=1e-9)


def test_the_quantiles_go_to_one_and_nothing_is_clamped():
    normaliser = n.Quantile(Q01, Q99)
    np.testing.assert_allclose(normaliser.forward([Q01, Q99]), [[-1] * 3, [1] * 3])
    assert normaliser.forward([10.0, 10.0, 10.0]).min() > 5


@given(rows)
def test_minmax_and_meanstd_formulas(values):
    low, high = np.array(LEAST), np.array(GREATEST)
    np.testing.assert_allclose(
        n.MinMax(LEAST, GREATEST).forward(values), 2 * (values - low) / (high - low) - 1, atol=1e-9
    )
    mean, std = np.array([0.1, 0.2, 0.3]), np.array([1.0, 0.5, 2.0])
    np.testing.assert_allclose(
        n.MeanStd((0.1, 0.2, 0.3), (1.0, 0.5, 2.0)).forward(values), (values - mean) / std, atol=1e-9
    )


def test_the_scale_floor_keeps_the_extremes_within_five():
    normaliser = n.QuantileRotScaleFloor(Q01, Q99, LEAST, GREATEST)
    ends = normaliser.forward([LEAST, GREATEST])
    assert np.abs(ends).max() == pytest.approx(5.0)
    # Channel 2 is not extreme, so its scale is the quantiles' own: centre -1, half range 2.
    assert ends[0, 2] == pytest.approx((-3.5 - -1.0) / 2.0)


def test_asinh_keeps_one_at_one_and_tames_the_tail():
    normaliser = n.AsinhRot((-1.0,), (1.0,))
    assert normaliser.forward([1.0])[0] == pytest.approx(1.0)
    assert normaliser.forward([100.0])[0] == pytest.approx(math.asinh(100) / math.asinh(1))


def test_piecewise_asinh_is_linear_inside_and_logarithmic_outside():
    normaliser = n.PiecewiseAsinhRot((-1.0,), (1.0,), beta=2.0)
    assert normaliser.forward([[0.3], [-1.0]])[:, 0] == pytest.approx([0.3, -1.0])
    assert normaliser.forward([-6.0])[0] == pytest.approx(-(1 + math.asinh(2 * 5) / 2))


def test_a_channel_that_never_moved_still_inverts():
    normaliser = n.Quantile((1.0,), (1.0,))
    assert normaliser.inverse(normaliser.forward([1.0]))[0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: n.Quantile((0.0, 0.0), (1.0,)), "2 in q01, 1 in q99"),
        (lambda: n.MeanStd((), ()), "one figure for each channel"),
        (lambda: n.MinMax((0.0,), (math.nan,)), "maximum .* is not finite"),
        (lambda: n.PiecewiseAsinhRot(Q01, Q99, beta=0.0), "beta .* must be positive"),
        (lambda: n.Quantile((0.0, 1.0), (1.0, -1.0)), "q01 .* is greater than q99 at channel 1"),
        (lambda: n.MinMax((512.0,), (0.0,)), "minimum .* is greater than maximum at channel 0"),
        (lambda: n.QuantileRotScaleFloor(Q01, Q99, GREATEST, LEAST), "minimum .* is greater than maximum"),
        (lambda: n.MeanStd((0.0, 0.0), (1.0, -1.0)), "std .* must not be negative; got -1.0"),
    ],
)
def test_unusable_statistics_are_said(build, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        build()


def test_missing_statistics_are_no_default():
    with pytest.raises(TypeError):
        n.Quantile(Q01)
