"""Self-contained HTML pages of tables and figures; each figure is also a PNG file."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from training.report.tables import Table

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto }
table { border-collapse: collapse; margin: .6rem 0 1.2rem; font-size: 13px }
td, th { border-bottom: 1px solid #ccc; padding: .25rem .6rem; text-align: left }
tr.published { color: #666; font-style: italic }
img { max-width: 100% } figcaption, .note { color: #444; font-size: 13px }
.warning { border-left: 4px solid #d55e00; padding: .3rem .8rem; background: #fff4ec }
"""


def write_page(path: Path, title: str, parts: Sequence[str]) -> Path:
    """Write a page of HTML elements and return its path."""
    body = "\n".join(parts)
    path.write_text(
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{html.escape(title)}"
        f"</title><style>{STYLE}</style><body>{body}</body></html>\n",
        encoding="utf-8",
    )
    return path


def table_element(table: Table) -> str:
    """Return a table with its title and note."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in table.columns)
    rows = "".join(
        f"<tr{' class=published' if row[0].startswith('Ha 2024') else ''}>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in table.rows
    )
    note = f"<p class='note'>{html.escape(table.note)}</p>" if table.note else ""
    return f"<h2>{html.escape(table.title)}</h2><table><tr>{head}</tr>{rows}</table>{note}"


def figure_element(out_dir: Path, name: str, caption: str, figure: Figure) -> str:
    """Return a figure with its caption and write it to ``OUT/figures/NAME.png``."""
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110, format="png")
    (out_dir / "figures").mkdir(parents=True, exist_ok=True)
    (out_dir / "figures" / f"{name}.png").write_bytes(picture.getvalue())
    data = base64.b64encode(picture.getvalue()).decode()
    return (
        f"<figure id='{name}'><img alt='{html.escape(caption)}' "
        f"src='data:image/png;base64,{data}'>"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )
