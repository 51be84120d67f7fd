# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The style sheet of the HTML report: system fonts, light and dark by the reader's choice, and paper."""

STYLE = """
:root { --ground: #f6f7f9; --card: #fff; --ink: #1b1f24; --faint: #5c6670; --line: #dde1e6; --good: #1a7f37; --good-ground: #dcf4e2;
  --bad: #b3261e; --bad-ground: #fbe3e1; --warn: #7a5200; --warn-ground: #fdf0d0; --bar: #2f6fde; --track: #eceff3; }
@media (prefers-color-scheme: dark) { :root { --ground: #111418; --card: #1a1e24; --ink: #e6e9ed; --faint: #9aa4af; --line: #2e353d;
  --good: #6fd08c; --good-ground: #12351f; --bad: #ff8a80; --bad-ground: #46191a; --warn: #f0c060; --warn-ground: #3a2c0c; --bar: #6aa0ff;
  --track: #262c34; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; } h2 { font-size: 1.25rem; margin: 0 0 .2rem; } h3 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
h4 { font-size: .95rem; margin: 1.5rem 0 .5rem; }
.run { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1.4rem 1.6rem 1.6rem; margin: 1.5rem 0; }
.meta { color: var(--faint); margin: .2rem 0 .6rem; } .meta span { margin-right: .6rem; } .reason { margin: .2rem 0 0; }
.badge { display: inline-block; border-radius: 1rem; padding: .05rem .65rem; font-size: .8rem; font-weight: 600; vertical-align: .1em;
  white-space: nowrap; }
.badge.good { color: var(--good); background: var(--good-ground); } .badge.bad { color: var(--bad); background: var(--bad-ground); }
.badge.warn { color: var(--warn); background: var(--warn-ground); }
.warning { color: var(--warn); background: var(--warn-ground); border-radius: 6px; padding: .5rem .8rem; margin: .6rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.6rem, 1fr)); gap: .7rem; margin-bottom: .9rem; }
.tile { border: 1px solid var(--line); border-radius: 8px; padding: .6rem .8rem; }
.tile .label { color: var(--faint); font-size: .8rem; }
  .tile .value { font-size: 1.15rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.tile .note { color: var(--faint); font-size: .78rem; line-height: 1.35; }
code, pre { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, "Liberation Mono", monospace; font-size: .86em;
  overflow-wrap: anywhere; }
pre { background: var(--ground); border: 1px solid var(--line); border-radius: 6px; padding: .8rem; overflow-x: auto;
  white-space: pre-wrap; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th { text-align: left; color: var(--faint); font-weight: 500; font-size: .8rem; }
  th, td { padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: break-word; } td:first-child, th:first-child, td:nth-child(2) { white-space: nowrap; overflow-wrap: normal; }
td ul { margin: 0; padding-left: 1rem; } td time { white-space: nowrap; }
.timeline { font-size: .86rem; }
  .event { display: grid; grid-template-columns: 12rem 1fr 7rem; gap: .8rem; align-items: center; padding: .16rem 0; }
.event .what { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  .event .took { color: var(--faint); font-variant-numeric: tabular-nums; }
.track { position: relative; height: .85rem; background: var(--track); border-radius: 3px; overflow: hidden; }
.bar { position: absolute; top: 0; bottom: 0; min-width: 3px; border-radius: 3px; background: var(--bar); }
.failed .bar { background: var(--bad); }
  .open .bar { background: repeating-linear-gradient(135deg, var(--warn) 0 6px, transparent 6px 10px); }
.ticks { display: flex; justify-content: space-between; color: var(--faint); font-size: .75rem; }
figure { margin: 1.2rem 0 0; } img { max-width: 100%; border: 1px solid var(--line); border-radius: 6px; }
  figcaption { color: var(--faint); font-size: .85rem; }
details { margin: 1rem 0; } summary { cursor: pointer; } a { color: var(--bar); } footer { color: var(--faint); font-size: .85rem; }
@media (max-width: 40rem) { .event { grid-template-columns: 7rem 1fr 5rem; } .run { padding: 1rem; } }
@media print { :root { --ground: #fff; --card: #fff; --ink: #000; --faint: #444; --line: #bbb; --good: #0a5c22; --good-ground: #fff;
  --bad: #900; --bad-ground: #fff;
  --warn: #630; --warn-ground: #fff; --bar: #444; --track: #eee; }
  body { font-size: 10pt; } main { max-width: none; padding: 0; } .run { border: 0; padding: 0; break-before: page; }
  .run:first-of-type { break-before: auto; }
  .badge { border: 1px solid currentColor; } .bar, .track { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  tr, figure, .tile, .event { break-inside: avoid; } h3, h4 { break-after: avoid; } .scroll { overflow: visible; } }
"""
