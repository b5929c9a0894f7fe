"""Templates filled with values: everything that comes from a model, plan or study is text on the page."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from tilewright.compiler.engineering import counted
from tilewright.compiler.report.finite_json import finite
from tilewright.compiler.report.totals import measured_on
from tilewright.targets.shown import visible


def rendered_page(template: str, data: dict[str, Any], **values: Any) -> str:
    """A template with its values, as one self-contained HTML file. data: for the page's script."""
    folder = files("tilewright.compiler.report.html")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals |= {"counted": counted, "measured_on": measured_on}
    style = Markup(folder.joinpath("style.css").read_text(encoding="utf-8"))  # noqa: S704 (our own file)
    script = Markup(folder.joinpath("script.js").read_text(encoding="utf-8"))  # noqa: S704 (our own file)
    page = environment.from_string(folder.joinpath(template).read_text(encoding="utf-8"))
    embedded = htmlsafe_json_dumps(finite(data), separators=(",", ":"))
    rendered = page.render(style=style, script=script, data=embedded, **values)
    return "\n".join(map(visible, rendered.split("\n")))
