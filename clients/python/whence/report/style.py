"""The style sheet of a report: light or dark as the reader has it, on a desk, on a phone and on paper.

A positive value is teal and underlined by a line, a negative one orange and underlined by dots, so that nobody needs
to see the colours. All letters have a contrast of 4.5 or more to what is behind them, in both schemes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# Steps of colour: a value's share of the largest one is one of so many.
LEVELS: Final = 6
# The share of colour in the ground of the last step.
_STRONGEST: Final = 0.58


@dataclass(frozen=True, kw_only=True)
class _Scheme:
    """The colours of a scheme. ``positive`` and ``negative`` are letters, the ``_ground`` ones what grounds mix."""

    paper: str
    ground: str
    raised: str
    ink: str
    soft: str
    line: str
    accent: str
    positive: str
    negative: str
    positive_ground: str
    negative_ground: str
    warning: str
    warning_ground: str

    def rules(self) -> str:
        """Return the colours as custom properties, with the steps of the grounds."""
        named = {name: value for name, value in vars(self).items() if not name.endswith("e_ground")}
        for step in range(1, LEVELS + 1):
            share = _STRONGEST * step / LEVELS
            named[f"p{step}"] = _mixed(self.positive_ground, self.paper, share)
            named[f"n{step}"] = _mixed(self.negative_ground, self.paper, share)
        return "".join(f"--{name.replace('_', '-')}:{value};" for name, value in named.items())


def _mixed(colour: str, ground: str, share: float) -> str:
    channels = [(int(colour[at : at + 2], 16), int(ground[at : at + 2], 16)) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(share * over + (1 - share) * under):02x}" for over, under in channels)


_LIGHT: Final = _Scheme(
    paper="#ffffff",
    ground="#f6f7f9",
    raised="#f1f3f7",
    ink="#161d29",
    soft="#566072",
    line="#dfe3ea",
    accent="#4338ca",
    positive="#0b6579",
    negative="#a83f06",
    positive_ground="#0b7285",
    negative_ground="#d9480f",
    warning="#7a4b00",
    warning_ground="#fdf4e3",
)
_DARK: Final = _Scheme(
    paper="#171c24",
    ground="#0f1318",
    raised="#1f2630",
    ink="#e8ecf2",
    soft="#a3aebd",
    line="#313a47",
    accent="#a5b4fc",
    positive="#66d9e8",
    negative="#ffa46b",
    positive_ground="#1098ad",
    negative_ground="#d9570f",
    warning="#f3c169",
    warning_ground="#2f2817",
)

_STEPS: Final = "".join(
    f".p{step}{{background:var(--p{step});fill:var(--p{step})}}.n{step}{{background:var(--n{step});fill:var(--n{step})}}"
    for step in range(1, LEVELS + 1)
)

_RULES: Final = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue","Noto Sans","DejaVu Sans",sans-serif}
main,.masthead,footer{max-width:62rem;margin:0 auto;padding:0 1.5rem}
.masthead{padding-top:2.75rem;padding-bottom:.5rem}
a{color:var(--accent);text-underline-offset:.18em;text-decoration-thickness:1px}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:3px}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:1rem;background:var(--paper);padding:.5rem .9rem;z-index:2}
h1,h2,h3,h4{line-height:1.25;letter-spacing:-.011em;overflow-wrap:anywhere;margin:0;text-wrap:balance}
h1{font-size:2rem;font-weight:650}
h2{font-size:1.3rem;font-weight:650}
h3{font-size:1rem;font-weight:650;margin:1.9rem 0 .6rem}
h4{font-size:.95rem;font-weight:600}
p{margin:.5rem 0;max-width:46rem}
.eyebrow{margin:0 0 .35rem;color:var(--accent);font-size:.78rem;font-weight:650;letter-spacing:.08em;
text-transform:uppercase}
.facts{display:flex;flex-wrap:wrap;gap:.1rem 1.15rem;margin:.55rem 0 0;padding:0;list-style:none;color:var(--soft);
font-size:.9rem}
.facts li{overflow-wrap:anywhere}
.facts b{color:var(--ink);font-weight:600}
.soft{color:var(--soft)}
.small{font-size:.88rem}
.num{font-variant-numeric:tabular-nums;white-space:nowrap}
.pos{color:var(--positive)}
.neg{color:var(--negative)}
.card{background:var(--paper);border:1px solid var(--line);border-radius:12px;padding:1.6rem 1.75rem 1.75rem;
margin:1.25rem 0;overflow:hidden;scroll-margin-top:1rem}
.card>header{margin-bottom:.25rem}
details>summary{cursor:pointer;overflow-wrap:anywhere;color:var(--accent);font-size:.9rem;width:fit-content;max-width:100%}
details>summary:hover{text-decoration:underline;text-underline-offset:.18em}
details[open]>summary{margin-bottom:.4rem}
.guide{background:var(--paper);border:1px solid var(--line);border-radius:12px;padding:.85rem 1.25rem;margin:1.1rem 0}
.guide>summary{font-weight:600}
.guide dl{display:grid;grid-template-columns:minmax(8rem,auto) 1fr;gap:.55rem 1.25rem;margin:.9rem 0 .4rem}
.guide dt{font-weight:600}
.guide dd{margin:0;max-width:46rem}
.key{margin:.9rem 0 0;color:var(--soft);font-size:.9rem}
.key mark{color:var(--ink)}
.toc li span{color:var(--soft);font-size:.86rem;display:block}
.toc ol{columns:17rem 2;column-gap:2rem;margin:.5rem 0 .2rem;padding-left:1.6rem}
.toc li{break-inside:avoid;overflow-wrap:anywhere;padding:.1rem 0}
.toc li::marker{color:var(--soft);font-variant-numeric:tabular-nums}
.exchange{display:grid;gap:.5rem;margin:1rem 0}
.turn{display:grid;grid-template-columns:6.5rem 1fr;gap:0 1rem;background:var(--raised);border-radius:8px;
padding:.6rem .9rem}
.turn.output{background:none;box-shadow:inset 0 0 0 2px var(--accent)}
.turn .role{color:var(--soft);font-size:.84rem;line-height:1.9}
.turn.output .role{color:var(--accent);font-weight:600}
.text{white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate;margin:0;max-width:none}
.note{border-left:3px solid var(--warning);background:var(--warning-ground);border-radius:0 8px 8px 0;
padding:.55rem .95rem;margin:.5rem 0;max-width:none;font-size:.92rem}
.note b{color:var(--warning);font-weight:600}
.note code{color:var(--soft)}
.notes{list-style:none;margin:1rem 0 0;padding:.45rem .95rem}
.notes li{padding:.12rem 0}
.notes summary,.notes summary b{color:var(--warning);font-weight:600}
.notes details>p{margin:.1rem 0 .5rem 1.05rem;max-width:50rem}
.hits{list-style:none;margin:0;padding:0}
.hit{display:grid;grid-template-columns:2.4rem 7.2rem minmax(0,1fr);gap:.1rem 1rem;padding:.95rem 0;
border-top:1px solid var(--line)}
.many .hit{content-visibility:auto;contain-intrinsic-size:auto 9rem}
.hit .rank{color:var(--soft);font-variant-numeric:tabular-nums;text-align:right;font-size:1.05rem}
.hit .value{font-size:1.12rem;font-weight:650;line-height:1.4}
.hit .measures p{margin:0;font-size:.84rem;line-height:1.45;color:var(--soft)}
.hit h4 .id{color:var(--soft);font-weight:400;margin-left:.5rem}
.hit .text{margin-top:.3rem}
.hit details{margin-top:.45rem}
.quiet .value{font-weight:500}
.divide{display:flex;align-items:center;gap:.8rem;text-align:center;margin:0;padding:.4rem 0;
color:var(--soft);font-size:.88rem;
max-width:none}
.divide::before,.divide::after{content:"";flex:1;border-top:2px dashed var(--line);min-width:1rem}
.strip{display:block;max-width:100%;height:24px;margin:.4rem 0 .05rem}
.strip .p{fill:var(--positive)}
.strip .n{fill:var(--negative)}
.strip .zero,.cells .zero{stroke:var(--line);stroke-width:1;vector-effect:non-scaling-stroke}
mark{color:inherit;border-radius:2px;padding:.06em 0;background:none;text-decoration-skip-ink:none;
-webkit-box-decoration-break:clone;box-decoration-break:clone}
mark[class^=p]{text-decoration:underline solid var(--positive) 2px;text-underline-offset:.2em}
mark[class^=n]{text-decoration:underline dotted var(--negative) 2px;text-underline-offset:.2em}
mark.p1,mark.p2{text-decoration-thickness:1px}
mark.n1,mark.n2{text-decoration-thickness:1.5px}
.scroll{position:relative;overflow-x:auto;margin:.6rem 0;max-width:100%}
table{border-collapse:collapse;font-size:.9rem;margin:0}
th,td{text-align:left;vertical-align:top;padding:.42rem .85rem .42rem 0;border-bottom:1px solid var(--line);
overflow-wrap:break-word}
thead th{color:var(--soft);font-weight:600;font-size:.82rem;vertical-align:bottom}
thead th.num{white-space:normal;min-width:5.5rem}
tbody th{font-weight:600;min-width:10.5rem}
tbody th .soft{font-weight:400;overflow-wrap:anywhere}
tbody th .text{font-weight:400;margin-top:.2rem;max-width:34rem}
.leads tbody th{width:55%;min-width:15rem}
td.num,th.num{text-align:right;padding-left:.6rem}
td.tint{vertical-align:middle;padding:.42rem .65rem;border:2px solid var(--paper);border-radius:6px;text-align:right}
td.tint .small{display:inline-block;color:inherit;margin-left:.55rem;min-width:3.2rem}
td.tint b{font-weight:600}
.stacked td.tint .small{display:block;margin:0}
.wide{width:100%}
.map td{padding:1px;border:0;width:100%;min-width:16rem}
.map tbody th{padding:0 .8rem 0 0;border:0;color:var(--soft);font-weight:400;font-size:.82rem;white-space:nowrap;
vertical-align:middle;min-width:0}
.map tbody td.sum{width:auto;min-width:0;padding:0 0 0 .8rem;text-align:right;font-size:.82rem;vertical-align:middle}
.cells{display:block;width:100%;height:18px;background:var(--raised);border-radius:3px}
.bar{display:block;height:.6rem;border-radius:3px;min-width:2px}
.bar.p{background:var(--positive)}
.bar.n{background:repeating-linear-gradient(135deg,var(--negative) 0 4px,transparent 4px 6px)}
.barcell{width:30%;min-width:6rem;vertical-align:middle}
.spread{position:relative;height:3.4rem;margin:1.2rem .6rem .2rem}
.spread .axis{position:absolute;left:0;right:0;top:1.6rem;border-top:1px solid var(--soft)}
.spread .band{position:absolute;top:.35rem;height:2.5rem;background:var(--raised);border:1px dashed var(--soft);
border-radius:4px}
.spread .dot{position:absolute;top:1.6rem;width:11px;height:11px;margin:-5px 0 0 -5.5px;border-radius:50%;
background:var(--paper);border:2px solid var(--soft)}
.spread .dot.p{background:var(--positive);border-color:var(--positive)}
.spread .dot.n{background:var(--negative);border-color:var(--negative);border-radius:2px}
.spread .zero{position:absolute;top:.2rem;height:2.8rem;border-left:1px solid var(--soft)}
.ends{display:flex;justify-content:space-between;gap:1rem;margin:0 .6rem;color:var(--soft);font-size:.82rem;
max-width:none}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.75rem;margin:1.1rem 0 0}
.tiles div{background:var(--raised);border-radius:8px;padding:.7rem .95rem}
.tiles dt{color:var(--soft);font-size:.84rem}
.tiles dd{margin:0;font-size:1.4rem;font-weight:650;line-height:1.35;font-variant-numeric:tabular-nums}
.tiles dd.more{font-size:.84rem;font-weight:400;color:var(--soft)}
.badge{display:inline-block;border:1px solid var(--line);border-radius:99px;padding:0 .6rem;font-size:.82rem;
color:var(--soft);margin:0 .3rem .2rem 0}
.badge.right{color:var(--positive);border-color:currentColor}
.badge.wrong{color:var(--negative);border-color:currentColor}
code{font:.86em/1.5 ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
.pairs{display:grid;grid-template-columns:minmax(7rem,auto) minmax(0,1fr);gap:.3rem 1.2rem;margin:.6rem 0;
font-size:.92rem}
.pairs dt{color:var(--soft)}
.pairs dd{margin:0;overflow-wrap:anywhere}
footer{padding-top:.5rem;padding-bottom:3rem;color:var(--soft);font-size:.86rem}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
@media (max-width:44rem){
body{font-size:15.5px}
main,.masthead,footer{padding-left:.9rem;padding-right:.9rem}
.masthead{padding-top:1.6rem}
h1{font-size:1.55rem}
.card{padding:1.1rem 1rem 1.2rem;border-radius:10px;margin:.9rem 0}
.turn{grid-template-columns:1fr}
.turn .role{line-height:1.5}
.hit{grid-template-columns:1.7rem minmax(0,1fr);gap:.15rem .6rem}
.hit .measures{grid-column:2;display:flex;flex-wrap:wrap;align-items:baseline;gap:0 .8rem}
.hit .measures figure{align-self:center}
.strip{height:16px;margin:0}
.hit .what{grid-column:2}
.hit h4 .id{display:block;margin:0}
.guide dl,.pairs{grid-template-columns:1fr;gap:.1rem}
.guide dd,.pairs dd{margin-bottom:.6rem}
.map td{min-width:9rem}
td.tint{padding:.35rem .4rem}
td.tint .small{display:block;margin:0}
tbody th{min-width:8rem}
}
@media print{
body{background:none;font-size:10.5pt}
main,.masthead,footer{max-width:none;padding-left:0;padding-right:0}
.card{border:0;border-top:1px solid var(--line);border-radius:0;padding:1rem 0;margin:0;overflow:visible}
.hit,.note,tr,.turn{break-inside:avoid}
.many .hit{content-visibility:visible}
h2,h3,h4{break-after:avoid}
.guide{border:0;padding:0}
.toc,.skip{display:none}
.guide::details-content,.notes details::details-content{content-visibility:visible;block-size:auto}
mark,td.tint,.cells,.bar,.spread *,.tiles div,.turn{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.scroll{overflow:visible}
}
"""

STYLE: Final = (
    f":root{{color-scheme:light dark;{_LIGHT.rules()}}}"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_DARK.rules()}}}}}" + _RULES.replace("\n", "") + _STEPS
)
