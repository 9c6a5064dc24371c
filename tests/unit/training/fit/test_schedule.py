"""Learning rate schedules of the paper's preset and ours, and the stopping rule."""

import pytest

from training import presets
from training.fit.schedule import Epoch, best_epoch, is_finished, learning_rate

PAPER = presets.load("paper-image").fit
OURS = presets.load("osteoscreen").within(10).fit


def history(*losses: float) -> list[Epoch]:
    return [Epoch(n, 1e-3, 1.0, loss, 0.5, 1.0) for n, loss in enumerate(losses, start=1)]


def test_the_papers_rate_decays_each_epoch() -> None:
    rates = [
        learning_rate(history(*(1 / (n + 1) for n in range(done))), PAPER) for done in (0, 1, 9)
    ]

    assert rates == pytest.approx([1e-3, 1e-3 * 0.96, 1e-3 * 0.96**9])


def test_the_papers_rate_falls_after_30_epochs_without_gain() -> None:
    waiting, over = history(0.5, *[0.6] * 29), history(0.5, *[0.6] * 30)

    assert learning_rate(waiting, PAPER) == pytest.approx(1e-3 * 0.96**30)
    assert learning_rate(over, PAPER) == pytest.approx(1e-3 * 0.96**31 * 0.7)


def test_a_second_plateau_lowers_the_rate_again() -> None:
    assert learning_rate(history(0.5, *[0.6] * 60), PAPER) == pytest.approx(
        1e-3 * 0.96**61 * 0.7**2
    )


def test_ours_goes_to_zero_over_the_budget() -> None:
    rates = [learning_rate(history(*[0.5] * done), OURS) for done in (0, 5, 10)]

    assert rates == pytest.approx([1e-3, 5e-4, 0.0])


def test_the_paper_stops_after_50_epochs_without_gain_and_at_500() -> None:
    assert not is_finished(history(0.5, *[0.6] * 49), PAPER)
    assert is_finished(history(0.5, *[0.6] * 50), PAPER)
    assert is_finished(history(*(1 / n for n in range(1, 501))), PAPER)


def test_the_best_epoch_has_the_least_loss() -> None:
    assert best_epoch(history(0.7, 0.4, 0.5)) == 2
    assert best_epoch([]) == 0
