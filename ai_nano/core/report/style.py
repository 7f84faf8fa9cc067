"""The look of the report's page: by day, by night and on paper."""

STYLE = """
:root{--back:#fff;--card:#f4f6fa;--line:#d7dde5;--text:#1c2430;--quiet:#5b6675;--blue:#2563a8;--orange:#c2560c;--red:#c4372f;
--bluergb:37,99,168;--redrgb:196,55,47;color-scheme:light dark}
@media screen and (prefers-color-scheme:dark){:root{--back:#12161c;--card:#1b2129;--line:#323b47;--text:#e6eaf0;--quiet:#9aa6b5;
--blue:#6db1ff;--orange:#ff9d57;--red:#ff7b72;--bluergb:70,140,220;--redrgb:230,80,70}}
*{box-sizing:border-box}
body{font:16px/1.55 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;max-width:64rem;margin:0 auto;padding:2rem 1.2rem 4rem;
color:var(--text);background:var(--back)}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 .2rem;overflow-wrap:anywhere}h2{font-size:1.2rem;margin:0 0 .6rem}
p{margin:.5rem 0;max-width:46rem}.quiet{color:var(--quiet);margin:0;overflow-wrap:anywhere}
section{margin-top:2.2rem;padding-top:1.4rem;border-top:1px solid var(--line)}header+section{border:0;padding-top:0}
.headline{display:flex;align-items:center;gap:1.4rem;flex-wrap:wrap}
.headline div{color:var(--quiet);font-size:.9rem}.headline b{display:block;font-size:3.2rem;line-height:1.1;color:var(--blue);
white-space:nowrap}.headline p{flex:1;min-width:16rem}
.facts{display:flex;flex-wrap:wrap;gap:.8rem;margin:1rem 0 0}
.facts div{background:var(--card);border-radius:10px;padding:.6rem 1rem;color:var(--quiet);font-size:.9rem}
.facts b{display:block;font-size:1.25rem;color:var(--text)}
.wide{overflow-x:auto}table{border-collapse:collapse;margin:.6rem 0;font-variant-numeric:tabular-nums}
td,th{padding:.35rem .8rem;text-align:right;border-bottom:1px solid var(--line)}th{font-weight:600}
tr th:first-child{text-align:left}tr:first-child th{color:var(--quiet);font-size:.9rem}
.confusion td{border:2px solid var(--back);border-radius:6px;text-align:center;min-width:5rem}.confusion th{text-align:center}
.confusion .hit{background:rgba(var(--bluergb),calc(.1 + .42*var(--share)))}
.confusion .miss{background:rgba(var(--redrgb),calc(.18 + .6*var(--share)));font-weight:600}
.confusion .empty{color:var(--quiet)}
.bar{display:inline-block;width:7rem;height:.6rem;border-radius:.3rem;background:var(--line);overflow:hidden;margin-right:.4rem}
td span{display:inline-block;min-width:4.4rem}.bar i{display:block;height:100%;background:var(--blue)}
.samples{display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:1rem}
.samples figure{margin:0;break-inside:avoid}.samples img,.none{width:100%;aspect-ratio:16/9;object-fit:cover;display:block;
border-radius:8px;background:var(--card)}
.wrong img,.wrong .none{outline:3px solid var(--red)}figcaption{font-size:.85rem;margin-top:.35rem;overflow-wrap:anywhere}
.charts,.beside{display:flex;flex-wrap:wrap;gap:1.2rem 2rem;align-items:center}.beside div{flex:1;min-width:16rem}
svg{max-width:100%;height:auto}svg text{fill:var(--quiet);font-size:11px}
svg .heading{fill:var(--text);font-size:13px;font-weight:600}
.scale{display:block;width:100%;max-width:46rem;margin-top:.6rem}.track{fill:var(--line)}.range{fill:rgba(var(--bluergb),.35)}
.point{fill:var(--blue)}.chance,.stage{stroke:var(--quiet);stroke-width:1.5;stroke-dasharray:3 3}
.grid{stroke:var(--line)}.frame{fill:none;stroke:var(--line)}.diagonal{stroke:var(--quiet);stroke-dasharray:6 4}
polyline{fill:none;stroke-width:2;stroke-linejoin:round}polyline.train{stroke:var(--blue)}polyline.val{stroke:var(--orange)}
circle.train,svg text.train,circle.after{fill:var(--blue)}circle.val,svg text.val{fill:var(--orange)}
circle.before{fill:none;stroke:var(--orange);stroke-width:2}circle.after{fill-opacity:.75}
@media print{body{font-size:11pt;max-width:none;padding:0}section{break-inside:avoid-page;margin-top:1.2rem;padding-top:.8rem}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}.wide{overflow:visible}}
"""
