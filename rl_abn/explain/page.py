"""One HTML file of an explanation: opens offline, without scripts, and prints well."""

from __future__ import annotations

import base64
from html import escape
from urllib.parse import quote

from rl_abn.estimates import Estimate
from rl_abn.explain.certificate import QUESTIONS, Certificate, Line
from rl_abn.explain.charts import COLOURS, curve_chart, interval_chart, number
from rl_abn.explain.report import Block, Chart, Curves, Explanation, Picture, Table, Text, Verdicts

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: #1c1c1c;
  background: #fff; margin: 0 auto; max-width: 980px; padding: 32px 24px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 20px; margin: 44px 0 8px; padding-top: 12px; border-top: 1px solid #d9d9d9; }
h3 { font-size: 16px; margin: 26px 0 2px; }
p { margin: 4px 0 10px; max-width: 78ch; }
.sub, .says { color: #5a5a5a; }
.says { font-size: 13.5px; }
dl.certificate { display: grid; grid-template-columns: 96px 1fr; gap: 12px 14px; margin: 22px 0; }
dl.certificate dt { padding-top: 2px; }
dl.certificate dd { margin: 0; }
dl.certificate dd b { display: block; }
.verdict { display: inline-block; min-width: 76px; text-align: center; border-radius: 3px;
  font-size: 13px; font-weight: 600; padding: 2px 4px; border: 1.5px solid; }
.yes { color: #14663c; } .no { color: #a32020; } .partly { color: #8a5a00; }
.unclear, .asked { color: #5a5a5a; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px 4px 0; text-align: right; border-bottom: 1px solid #ececec;
  white-space: nowrap; }
th { font-weight: 600; vertical-align: bottom; white-space: normal; max-width: 110px; }
th:first-child, td:first-child { text-align: left; }
table.studied tbody tr:first-child td { font-weight: 600; }
.i { color: #757575; font-weight: 400; }
svg { display: block; width: 100%; max-width: 760px; height: auto; margin: 6px 0 14px; }
svg text { font: 12.5px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1c1c1c; }
svg text.axis, svg text.value { fill: #5a5a5a; font-size: 12px; }
img { max-width: 100%; height: auto; image-rendering: auto; border: 1px solid #d9d9d9; }
ul { max-width: 78ch; padding-left: 20px; } li { margin: 4px 0; }
.key span { margin-right: 18px; font-size: 13px; color: #5a5a5a; }
.key i { display: inline-block; width: 10px; height: 10px; border-radius: 5px; margin-right: 6px; }
@media print { body { max-width: none; padding: 0; } h2 { break-after: avoid; } svg, img, tr {
  break-inside: avoid; } }
"""


def page(explanation: Explanation) -> bytes:
    """Returns the page, UTF-8."""
    asked = "".join(
        f"<tr><td>{escape(name)}</td><td style='text-align:left'>{escape(value)}</td></tr>"
        for name, value in explanation.asked.items()
    )
    methods = "".join(
        f"<li><b>{escape(name.replace('_', ' '))}</b>: {escape(says)}</li>"
        for name, says in explanation.methods
    )
    caveats = "".join(f"<li>{escape(caveat)}</li>" for caveat in explanation.caveats)
    sections = "".join(
        f"<section><h2>{escape(title)}</h2>{''.join(map(_block, blocks))}</section>"
        for title, blocks in explanation.sections
        if blocks
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(explanation.title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(explanation.title)}</h1><p class='sub'>{escape(explanation.subtitle)}</p>"
        f"{_certificate(explanation.certificate)}{sections}"
        f"<section><h2>What was asked</h2><div class='wide'><table>{asked}</table></div></section>"
        f"<section><h2>Methods</h2><ul>{methods}</ul></section>"
        f"<section><h2>What this does not show</h2><ul>{caveats}</ul></section></body></html>\n"
    ).encode()


def _certificate(certificate: Certificate) -> str:
    lines = "".join(map(_line, certificate.lines))
    return f"<dl class='certificate'>{lines}</dl>" if lines else ""


def _line(line: Line) -> str:
    kind = line.verdict.rpartition(" ")[2]
    return (
        f"<dt><span class='verdict {kind}'>{escape(line.verdict)}</span></dt>"
        f"<dd><b>{escape(QUESTIONS[line.question])}</b>{escape(line.text)}</dd>"
    )


def _block(block: Block) -> str:
    head = f"<h3>{escape(block.title)}</h3><p class='says'>{escape(block.says)}</p>"
    if isinstance(block, Table):
        return head + _table(block)
    if isinstance(block, Chart):
        groups = list(dict.fromkeys(group for _, group, _ in block.rows))
        key = "".join(
            f"<span><i style='background:{COLOURS[group]}'></i>{escape(group)}</span>"
            for group in groups
            if group in COLOURS and len(groups) > 1
        )
        return head + (f"<p class='key'>{key}</p>" if key else "") + interval_chart(block)
    if isinstance(block, Curves):
        return head + curve_chart(block)
    if isinstance(block, Text):
        target = escape(quote(block.link), quote=True)
        more = f"<p><a href='{target}'>{escape(block.link_text)}</a></p>" if block.link else ""
        return f"<h3>{escape(block.title)}</h3><p>{escape(block.says)}</p>{more}"
    if isinstance(block, Verdicts):
        return head + _certificate(block.certificate)
    assert isinstance(block, Picture)
    data = base64.b64encode(block.png).decode()
    return f"{head}<img alt='{escape(block.title)}' src='data:image/png;base64,{data}'>"


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in table.headings)
    rows = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(_cell(cell, table.form) for cell in cells)}</tr>"
        for name, cells in table.rows
    )
    kind = " class='studied'" if table.first_is_studied else ""
    table_of = f"<table{kind}><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<div class='wide'>{table_of}</div>"


def _cell(cell: Estimate | float | str | None, form: str) -> str:
    text = number(cell, form)
    value, bracket, interval = text.partition(" [")
    if isinstance(cell, Estimate) and bracket:
        return f"<td>{escape(value)} <span class='i'>[{escape(interval)}</span></td>"
    return f"<td>{escape(text)}</td>"
