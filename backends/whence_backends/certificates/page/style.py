"""The style sheet of a certificate's page: light or dark as the reader has it, and fit to print."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5d6878; --faint: #8f99a8; --line: #e1e5eb; --paper: #ffffff;
  --ground: #f5f6f8; --accent: #1f5fbf; --second: #9aa7b8; --good: #1c7a4c; --doubt: #a05a00; --doubt-ground: #fdf3e3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #a5afbd; --faint: #7d8795; --line: #323a45;
  --paper: #1a1f26; --ground: #12161b; --accent: #6ea8ff; --second: #64707f; --good: #5cc894; --doubt: #f0b35e;
  --doubt-ground: #33281a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
main { max-width: 54rem; margin: 2.5rem auto; padding: 2.75rem 3rem; background: var(--paper);
  border: 1px solid var(--line); border-radius: 10px; }
header p.kind { margin: 0; color: var(--soft); font-size: .8rem; letter-spacing: .09em; text-transform: uppercase; }
h1 { margin: .15rem 0 .6rem; font-size: 2rem; line-height: 1.2; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { margin: 2.6rem 0 .4rem; font-size: 1.15rem; }
p { margin: .4rem 0; max-width: 44rem; }
.essence { font-size: 1.05rem; color: var(--soft); }
.note, figcaption { color: var(--soft); font-size: .88rem; }
.doubt { margin: 1.1rem 0 0; padding: .75rem 1rem; max-width: none; border-left: 3px solid var(--doubt);
  background: var(--doubt-ground); border-radius: 0 6px 6px 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .9rem; margin: 1.6rem 0 0; }
.tile { padding: .9rem 1rem; border: 1px solid var(--line); border-radius: 8px; }
.tile dt { color: var(--soft); font-size: .82rem; }
.tile dd { margin: 0; }
.tile .value { font-size: 1.75rem; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile .word { font-size: 1.25rem; line-height: 1.82; }
.tile .missing { font-size: 1.05rem; line-height: 2.17; font-weight: 400; white-space: nowrap; }
.tile .more { color: var(--soft); font-size: .82rem; line-height: 1.4; }
.missing { color: var(--faint); font-style: italic; font-weight: 400; }
.good { color: var(--good); }
.bad { color: var(--doubt); }
figure { margin: .9rem 0 0; }
figure svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--ink); font-size: 13px; }
svg .soft { fill: var(--soft); }
svg .bar { fill: var(--second); }
svg .main { fill: var(--accent); }
svg .axis { stroke: var(--line); }
svg .whisker { stroke: var(--ink); stroke-width: 1.4; }
svg .halo { stroke: var(--paper); stroke-width: 4; }
svg .ceiling { stroke: var(--good); stroke-width: 1.6; stroke-dasharray: 4 3; }
svg .ceiling-name { fill: var(--good); }
.wide { overflow-x: auto; }
table { width: 100%; margin: .7rem 0 0; border-collapse: collapse; font-size: .93rem; }
th, td { padding: .42rem .6rem .42rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 500; }
thead th { font-size: .82rem; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.noise td { color: var(--faint); }
table.facts th { width: 13rem; font-weight: 500; }
code { font: .84rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  overflow-wrap: anywhere; }
footer { margin-top: 2.6rem; color: var(--faint); font-size: .82rem; }
@media (max-width: 40rem) { main { margin: 0; padding: 1.5rem 1.1rem; border: 0; border-radius: 0; }
  table.facts th { width: 8.5rem; } }
@media print { body { background: none; } main { margin: 0; padding: 0; border: 0; max-width: none; }
  h2, figure, .tile, tr { break-inside: avoid; } h2 { break-after: avoid; } }
"""
