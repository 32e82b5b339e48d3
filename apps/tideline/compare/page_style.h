// SPDX-License-Identifier: Apache-2.0
// The style sheet of the page: colours that keep apart in both modes and for most eyes.
#pragma once

#include <string_view>

namespace tideline::app::compare {

inline constexpr std::string_view kPageStyle = R"css(
:root { color-scheme: light dark; --page:#f6f7f9; --card:#fff; --text:#1a2230; --soft:#5b6675; --line:#dfe3e9;
  --ahead:#e2f4ea; --ahead-text:#11643a; --behind:#fbe6e3; --behind-text:#96261c; --unclear:#eef0f3; --noisy:#fff1d6;
  --linux:#5b6675; --app:#0b7a75; --frontends:#2f6fde; --frontend:#8a4fd0; --frontend-bypass:#c2376b; --app-tap:#d1761b; --frontend-tap:#8f5a12; --app-xdp:#4d8f1f; --frontend-xdp:#c0392b;
  --pu:#2f6fde; --ps:#e08a2c; --eu:#0b9a83; --es:#d1549a; --si:#8d97a5; }
@media (prefers-color-scheme: dark) { :root { --page:#10141a; --card:#191f28; --text:#e7ebf1; --soft:#9aa6b5; --line:#2c3542;
  --ahead:#123524; --ahead-text:#7fdcab; --behind:#411c1a; --behind-text:#ff9d92; --unclear:#252d38; --noisy:#40320f;
  --linux:#9aa6b5; --app:#35c2b8; --frontends:#6ea3ff; --frontend:#bb8cf5; --frontend-bypass:#f274a1; --app-tap:#f0a44f; --frontend-tap:#c99a5b; --app-xdp:#8fd05a; --frontend-xdp:#ff7d73;
  --pu:#6ea3ff; --ps:#f0a44f; --eu:#35c2a0; --es:#ee83bd; --si:#75808f; } }
* { box-sizing: border-box; }
body { margin:0; background:var(--page); color:var(--text); font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif; }
main { max-width:1180px; margin:0 auto; padding:28px 20px 60px; }
h1 { font-size:28px; margin:0; letter-spacing:-.02em; } h2 { font-size:18px; margin:0 0 12px; }
header p { margin:4px 0 10px; color:var(--soft); }
.facts { list-style:none; display:flex; flex-wrap:wrap; gap:8px; margin:0 0 12px; padding:0; }
.facts li { background:var(--card); border:1px solid var(--line); border-radius:999px; padding:2px 12px; font-size:13px; }
header .verdict { color:var(--text); background:var(--unclear); border-radius:8px; padding:10px 14px; }
header .noisy { background:var(--noisy); }
section { background:var(--card); border:1px solid var(--line); border-radius:12px; padding:20px; margin:18px 0; }
.scroll { overflow-x:auto; }
table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums; font-size:13px; }
th,td { text-align:right; padding:7px 10px; border-bottom:1px solid var(--line); white-space:nowrap; }
th:first-child, .left { text-align:left; white-space:normal; } thead th { color:var(--soft); font-weight:600; }
.overview th { white-space:normal; } .overview td { text-align:center; } .overview thead th:not(:first-child) { text-align:center; }
.overview b { display:block; font-size:15px; } .overview small { color:var(--soft); }
.ahead { background:var(--ahead); } .ahead b { color:var(--ahead-text); }
.behind { background:var(--behind); } .behind b { color:var(--behind-text); }
.unclear { background:var(--unclear); } .none,.base b { color:var(--soft); } .base b { font-weight:500; }
.note, dd, details summary { color:var(--soft); font-size:13px; } dt { font-weight:600; } dd { margin:0 0 8px; }
summary { cursor:pointer; margin-top:10px; }
.plots { display:grid; grid-template-columns:repeat(auto-fill,minmax(330px,1fr)); gap:18px; }
figure { margin:0; } figcaption { font-weight:600; font-size:13px; margin-bottom:4px; }
svg { width:100%; height:auto; display:block; overflow:visible; }
svg text { font-size:11px; fill:var(--text); } svg .soft { fill:var(--soft); } svg .grid { stroke:var(--line); stroke-width:1; }
svg .whisker { stroke:var(--text); stroke-width:1.2; } svg .curve { fill:none; stroke-width:2; stroke-linejoin:round; }
.bar { fill:var(--linux); } svg .curve { stroke:var(--linux); }
.bar.app { fill:var(--app); } svg .curve.app { stroke:var(--app); }
.bar.frontends { fill:var(--frontends); } svg .curve.frontends { stroke:var(--frontends); }
.bar.frontend { fill:var(--frontend); } svg .curve.frontend { stroke:var(--frontend); }
.bar.frontend-bypass { fill:var(--frontend-bypass); } svg .curve.frontend-bypass { stroke:var(--frontend-bypass); }
.bar.app-tap { fill:var(--app-tap); } svg .curve.app-tap { stroke:var(--app-tap); }
.bar.frontend-tap { fill:var(--frontend-tap); } svg .curve.frontend-tap { stroke:var(--frontend-tap); }
.bar.app-xdp { fill:var(--app-xdp); } svg .curve.app-xdp { stroke:var(--app-xdp); }
.bar.frontend-xdp { fill:var(--frontend-xdp); } svg .curve.frontend-xdp { stroke:var(--frontend-xdp); }
/* Daemons: broken lines, so that colours need not tell them apart alone. */
svg .curve[class*="frontend"] { stroke-dasharray:7 3; }
.pu{fill:var(--pu)} .ps{fill:var(--ps)} .eu{fill:var(--eu)} .es{fill:var(--es)} .si{fill:var(--si)}
)css";

}  // namespace tideline::app::compare
