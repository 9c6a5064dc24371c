"""Presets of one's own: a preset of osteoscreen with other values, from a file."""

from dataclasses import replace
from pathlib import Path

import pytest

from training import presets


def own(folder: Path, text: str) -> presets.Preset:
    path = folder / "site.toml"
    path.write_text(text)
    return presets.load_own(path, "site")


def test_a_preset_of_a_file_differs_from_its_base_where_the_file_says_so(
    tmp_path: Path,
) -> None:
    found = own(
        tmp_path,
        '[site]\nbase = "paper-image"\n[site.fit]\nlearning_rate = 2e-4\n'
        'class_weights = "balanced"\n[site.augment]\nflip_rows = false\nzoom = 0\n',
    )

    base = presets.load("paper-image")
    assert found == replace(
        base,
        name="site",
        version="1.0",
        fit=replace(base.fit, learning_rate=2e-4, class_weights="balanced"),
        augment=replace(base.augment, flip_rows=False, zoom=0.0),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[other]\nbase = "osteoscreen"\n', r"no table \[site\] with `base`.*it has: other"),
        ('[site]\nbase = "ours"\n', "unknown preset 'ours'"),
        ('[site]\nbase = "osteoscreen"\nrate = 1\n', r"\[site.rate\]: expected base"),
        (
            '[site]\nbase = "osteoscreen"\n[site.fit]\nzoom = 1\n',
            r"\[site.fit\] zoom: expected one of batch, epochs",
        ),
        (
            '[site]\nbase = "osteoscreen"\n[site.fit]\nbatch = 1.5\n',
            r"\[site.fit\] batch = 1.5: expected a whole number, as 32",
        ),
        (
            '[site]\nbase = "osteoscreen"\n[site.fit]\nprecision = "balanced"\n',
            "expected one of float32, mixed_bfloat16",
        ),
        ("[site", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        own(tmp_path, text)
