"""MkDocs hook: list the decision records; replace links to files outside ``docs``."""

import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"\[([^]]+)\]\((\.\./[^)#\s]+)[^)]*\)")


def on_config(config: Any, **_: Any) -> Any:
    """Add all decision records to the navigation, newest last."""
    folder = Path(config.docs_dir)
    records = sorted(str(path.relative_to(folder)) for path in folder.glob("decisions/*.md"))
    config.nav.append({"Decisions": records})
    return config


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Replace a link to a file outside ``docs`` by its text and the path of the file."""
    docs, here = Path(config.docs_dir), Path(page.file.abs_src_path).parent

    def rewrite(link: re.Match[str]) -> str:
        target = (here / link[2]).resolve()
        if target.is_relative_to(docs):
            return link[0]
        return f"{link[1]} (`{target.relative_to(docs.parent)}`)"

    return LINK.sub(rewrite, markdown)
