"""Bayes limit on simulated hips."""

from training.report.bayes_limit import bayes_limit


def test_more_knowledge_raises_the_limit_which_stays_below_one() -> None:
    limit = bayes_limit(600)

    density, both = limit["density"], limit["density and demographics"]
    assert 0.8 < density["accuracy"] < both["accuracy"] < 0.98
    assert limit["demographics"]["accuracy"] < density["accuracy"]
    assert density["macro_auc"] < both["macro_auc"] < 1
