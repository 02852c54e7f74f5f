//! The timeline of a run as a picture: one band a worker, one bar a node.
#![forbid(unsafe_code)]

use super::export::{CRITICAL, Escaped, colors};
use super::report::{NodeReport, RunReport};
use super::run::RunStatus;
use super::state::NodeState;
use std::fmt::Write;
use std::time::Duration;

/// The picture, in pixels.
const WIDTH: f64 = 1200.0;
const LEFT: f64 = 112.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 92.0;
const BAR: f64 = 26.0;
/// Between two bars of a band, and between two bands.
const GAP: f64 = 3.0;
const BAND_GAP: f64 = 14.0;
/// Bars that would end within so much of the last one's end are not drawn, unless they are special.
const LEAST: f64 = 0.5;
/// About the width of a letter in a bar.
const LETTER: f64 = 6.1;

/// A bar: its node, and its line in the band.
struct Bar<'a> {
    node: &'a NodeReport,
    line: usize,
}

/// The bars of one worker. Nodes that overlap (one that waits for what it has started, say) lie in
/// different lines.
fn layout<'a>(report: &'a RunReport, worker: usize) -> (Vec<Bar<'a>>, usize) {
    let mut nodes: Vec<_> =
        report.nodes().iter().filter(|node| node.worker == Some(worker)).collect();
    nodes.sort_by_key(|node| (node.start, std::cmp::Reverse(node.time)));
    let mut ends: Vec<Duration> = Vec::new();
    let mut bars = Vec::new();
    for node in nodes {
        let start = node.start.unwrap_or_default();
        let line = ends.iter().position(|&end| end <= start).unwrap_or(ends.len());
        if line == ends.len() {
            ends.push(Duration::ZERO);
        }
        ends[line] = start + node.time;
        bars.push(Bar { node, line });
    }
    (bars, ends.len().max(1))
}

/// A step of the axis: 1, 2 or 5 times a power of ten, in nanoseconds.
fn step(total_ns: f64) -> f64 {
    let rough = (total_ns / 9.0).max(1.0);
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| f * power >= rough);
    power * factor.unwrap_or(10.0)
}

/// A time on the axis, in the unit that suits the largest.
fn time_label(ns: f64, total_ns: f64) -> String {
    let (unit, name) = match total_ns {
        t if t < 2e3 => (1.0, "ns"),
        t if t < 2e6 => (1e3, "µs"),
        t if t < 2e9 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    let value = ns / unit;
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{} {name}", if text.is_empty() { "0" } else { text })
}

impl RunReport {
    /// The timeline of the run as an SVG picture, to be opened in a browser: a band for each worker,
    /// a bar for each node, and the critical path marked. The bars tell more when they are pointed
    /// at. Of bars that are too narrow to be told apart some are left out.
    ///
    /// ```
    /// use windlass::Pool;
    /// use windlass::graph::Graph;
    ///
    /// let mut graph = Graph::builder();
    /// let a = graph.node("a").run(|| (0..1_000).sum::<u64>());
    /// graph.node("b").input(a).run(|sum| sum / 2);
    /// let run = graph.build()?.on(&Pool::new(2)?).recorded().run();
    /// let picture = run.report().unwrap().to_svg();
    /// assert!(picture.starts_with("<svg") && picture.contains(">a<"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_svg(&self) -> String {
        let total = (self.elapsed().as_nanos() as f64).max(1.0);
        let scale = (WIDTH - LEFT - RIGHT) / total;
        let x = |time: Duration| LEFT + time.as_nanos() as f64 * scale;
        let bands: Vec<_> = (0..self.workers().len()).map(|worker| layout(self, worker)).collect();
        let height_of = |lines: usize| lines as f64 * (BAR + GAP) - GAP;
        let below: f64 = bands.iter().map(|(_, lines)| height_of(*lines) + BAND_GAP).sum();
        let height = TOP + below + 46.0;
        let mut out = String::new();
        self.head(&mut out, height);
        self.axis(&mut out, total, scale, TOP + below);
        let mut y = TOP;
        let mut places = vec![None; self.nodes().len()];
        for ((bars, lines), worker) in bands.iter().zip(self.workers()) {
            let h = height_of(*lines);
            let share = 100.0 * worker.busy.as_nanos() as f64 / total;
            let _ = write!(
                out,
                "<rect class=\"band\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{h:.1}\"/>\n\
                 <text class=\"who\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
                 <text class=\"small\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{share:.0}% busy</text>\n",
                WIDTH - LEFT - RIGHT,
                LEFT - 12.0,
                y + h / 2.0 - 1.0,
                Escaped(&worker.name),
                LEFT - 12.0,
                y + h / 2.0 + 12.0,
            );
            let mut drawn = vec![f64::MIN; *lines];
            for Bar { node, line } in bars {
                let start = x(node.start.unwrap_or_default());
                let width = node.time.as_nanos() as f64 * scale;
                let top = y + *line as f64 * (BAR + GAP);
                places[node.index] = Some((start, start + width, top + BAR / 2.0));
                let is_special = node.is_critical || node.state != NodeState::Succeeded;
                if start + width < drawn[*line] + LEAST && !is_special {
                    continue;
                }
                drawn[*line] = start + width;
                bar(&mut out, node, start, width, top);
            }
            y += h + BAND_GAP;
        }
        self.path(&mut out, &places);
        out.push_str("</svg>\n");
        out
    }

    fn head(&self, out: &mut String, height: f64) {
        let status = match self.status() {
            RunStatus::Completed => "completed".to_owned(),
            RunStatus::Failed => "failed".to_owned(),
            RunStatus::Cancelled(cause) => format!("cancelled: {cause}"),
            RunStatus::TimedOut => "timed out".to_owned(),
            RunStatus::Abandoned => "abandoned".to_owned(),
        };
        let ran = self.nodes().iter().filter(|node| node.start.is_some()).count();
        let _ = write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
             width=\"{WIDTH}\" height=\"{height:.0}\" font-family=\"system-ui, 'Segoe UI', \
             Helvetica, 'DejaVu Sans', sans-serif\">\n<style>\
             .band{{fill:#f5f6f8}}.who{{font-size:12px;fill:#2b2f36;text-anchor:end;font-weight:600}}\
             .small{{font-size:10.5px;fill:#777d87}}.name{{font-size:11px}}\
             .grid{{stroke:#dfe2e7;stroke-width:1}}.title{{font-size:17px;font-weight:650;fill:#1d2026}}\
             .line{{font-size:12.5px;fill:#555b66}}\
             .path{{fill:none;stroke:{CRITICAL};stroke-width:1.4;stroke-dasharray:3 3;opacity:.85}}\
             </style>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <text class=\"title\" x=\"24\" y=\"32\">{}</text>\n\
             <text class=\"line\" x=\"24\" y=\"54\">{} · {ran} of {} nodes ran in {:.1?} · work {:.1?} · \
             span {:.1?} · parallelism {:.2} · {:.2} workers busy</text>\n",
            Escaped(self.graph_name()),
            Escaped(&status),
            self.nodes().len(),
            self.elapsed(),
            self.work(),
            self.span(),
            self.parallelism(),
            self.utilization(),
        );
        self.legend(out);
    }

    /// The colours that occur.
    fn legend(&self, out: &mut String) {
        let mut entries = vec![("critical path", colors(NodeState::Succeeded)[0], CRITICAL, 2.0)];
        let states = [
            NodeState::Succeeded,
            NodeState::Failed,
            NodeState::Panicked,
            NodeState::TimedOut,
            NodeState::Cancelled,
        ];
        for state in states {
            if self.nodes().iter().any(|node| node.state == state && node.start.is_some()) {
                let [fill, border, _] = colors(state);
                entries.push((state.name(), fill, border, 1.0));
            }
        }
        let mut right = WIDTH - RIGHT;
        for (name, fill, border, width) in entries {
            right -= name.len() as f64 * 6.2 + 26.0;
            let _ = writeln!(
                out,
                "<rect x=\"{right:.1}\" y=\"22\" width=\"12\" height=\"12\" rx=\"2.5\" fill=\"{fill}\" \
                 stroke=\"{border}\" stroke-width=\"{width}\"/>\
                 <text class=\"small\" x=\"{:.1}\" y=\"32\">{name}</text>",
                right + 17.0
            );
        }
    }

    fn axis(&self, out: &mut String, total: f64, scale: f64, bottom: f64) {
        let step = step(total);
        let mut at = 0.0;
        while at <= total * 1.0001 {
            let x = LEFT + at * scale;
            let _ = writeln!(
                out,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\"/>\
                 <text class=\"small\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                TOP - 8.0,
                bottom + 18.0,
                time_label(at, total),
            );
            at += step;
        }
    }

    /// A line from each node of the critical path to the next.
    fn path(&self, out: &mut String, places: &[Option<(f64, f64, f64)>]) {
        for pair in self.critical.windows(2) {
            if let (Some((_, x1, y1)), Some((x2, _, y2))) =
                (places[pair[0] as usize], places[pair[1] as usize])
                && (x2 - x1 > 2.0 || (y1 - y2).abs() > 1.0)
            {
                let mid = (x1 + x2) / 2.0;
                let _ = writeln!(
                    out,
                    "<path class=\"path\" d=\"M{x1:.1} {y1:.1}C{mid:.1} {y1:.1} {mid:.1} {y2:.1} {x2:.1} {y2:.1}\"/>"
                );
            }
        }
    }
}

fn bar(out: &mut String, node: &NodeReport, x: f64, width: f64, y: f64) {
    let [fill, border, text] = colors(node.state);
    let shown = width.max(0.8);
    let (stroke, thick) = match (node.is_critical, shown < 2.0) {
        (true, _) => (CRITICAL, 2.0),
        (false, true) => (border, 0.4),
        (false, false) => (border, 0.8),
    };
    let tries =
        if node.attempts > 1 { format!(", {} attempts", node.attempts) } else { String::new() };
    let _ = write!(
        out,
        "<g><rect x=\"{x:.2}\" y=\"{y:.1}\" width=\"{shown:.2}\" height=\"{BAR}\" rx=\"{:.1}\" \
         fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"{thick}\"/>\
         <title>{}: {}{tries}\n{:.1?} from {:.1?}, slack {:.1?}</title>",
        (shown / 4.0).min(3.0),
        Escaped(&node.name),
        node.state,
        node.time,
        node.start.unwrap_or_default(),
        node.slack,
    );
    let room = ((width - 8.0) / LETTER).max(0.0) as usize;
    let len = node.name.chars().count();
    if room >= 3.min(len) {
        let name: String = match len <= room {
            true => node.name.clone(),
            false => node.name.chars().take(room - 1).chain(['…']).collect(),
        };
        let _ = write!(
            out,
            "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\" fill=\"{text}\">{}</text>",
            x + 4.5,
            y + BAR / 2.0 + 4.0,
            Escaped(&name)
        );
    }
    out.push_str("</g>\n");
}
