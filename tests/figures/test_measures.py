import numpy as np

from attention_collapse.figures.measures import (
    SHOWN_WEIGHTS,
    draw_attention,
    draw_floors,
    draw_leading_values,
)


def test_attention_is_drawn_over_uniform_rows_and_clipped():
    uniform, one_key = np.full((3, 4), 0.25), np.eye(4)[[0, 0, 0]]
    first, second, _bar = draw_attention({"uniform": uniform, "one key": one_key}).axes
    assert (first.get_title(loc="left"), second.get_title(loc="left")) == ("uniform", "one key")
    np.testing.assert_allclose(first.images[0].get_array(), 1)
    low = SHOWN_WEIGHTS[0]
    np.testing.assert_allclose(second.images[0].get_array(), [[4, low, low, low]] * 3)


def test_floors_are_drawn_where_they_are_positive():
    exact = np.array([1e-8, 1e-4, 1.0])
    measured = {"short": np.array([0.0, 2e-4, 1.0]), "long": exact * 1.5}
    predicted = {"short": exact * 2}
    (axes,) = draw_floors(exact, measured, predicted).axes
    drawn = [line.get_xydata().T for line in axes.lines]
    expected = [(exact, exact), (exact[1:], measured["short"][1:]), (exact, predicted["short"])]
    for line, points in zip(drawn, [*expected, (exact, measured["long"])], strict=True):
        np.testing.assert_allclose(line, points)


def test_leading_values_are_drawn_at_their_index():
    exact = np.array([4.0, 3.0, 2.0, 1.0])
    found, sampled = exact[:2] - 0.1, {"one row of two": exact[:2] + 0.5}
    (axes,) = draw_leading_values(exact, found, sampled).axes
    for line, values in zip(axes.lines, (exact[:2], found, sampled["one row of two"]), strict=True):
        np.testing.assert_allclose(line.get_xydata().T, ([1, 2], values))
