"""``docs/settings.md`` from the code: ``python -m deploy.settings_page > docs/settings.md``."""

from collections.abc import Iterable
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from db.setting_names import PREFIX
from db.settings import CommonSettings
from storescp.settings import StoreScpSettings
from worker.review.settings import ReviewSettings
from worker.settings import WorkerSettings

ROOT = Path(__file__).parents[1]
INTRODUCTION = f"""# Settings

Generated from the code by `python -m deploy.settings_page`; a test fails when it is stale.

Every setting is an environment variable with the prefix `{PREFIX}`, or a line of `.env`.
With `_FILE` behind its name, an environment variable names a file that holds the value: for
passwords and tokens. A wrong value, or a name that is nearly a setting's, stops the process at
start with one line that names the setting.
"""


def settings_page() -> str:
    """The whole page as Markdown."""
    shared = CommonSettings.model_fields
    sections = [
        ("Both services", shared.items()),
        ("`python -m storescp`", _own(StoreScpSettings)),
        ("`celery -A worker worker` and `python -m worker`", _own(WorkerSettings)),
        ("`python -m worker review`", _own(ReviewSettings)),
    ]
    return INTRODUCTION + "".join(_section(title, fields) for title, fields in sections)


def _own(settings: type[BaseSettings]) -> Iterable[tuple[str, FieldInfo]]:
    shared = CommonSettings.model_fields
    return [
        (name, field) for name, field in settings.model_fields.items() if name not in shared
    ]


def _section(title: str, fields: Iterable[tuple[str, FieldInfo]]) -> str:
    rows = [
        f"| `{PREFIX}{name.upper()}` | {_default(f)} | {f.description} |" for name, f in fields
    ]
    return (
        f"\n## {title}\n\n| setting | default | meaning |\n|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )


def _default(field: FieldInfo) -> str:
    if field.default is None or field.default is PydanticUndefined:
        return "–"
    if isinstance(field.default, Path) and field.default.is_relative_to(ROOT):
        return f"`{field.default.relative_to(ROOT)}`"
    return f"`{field.default}`" if field.default not in ("", (), {}) else "(empty)"


if __name__ == "__main__":
    print(settings_page(), end="")
