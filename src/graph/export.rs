//! Graphs and reports as text for other programs: Graphviz, Mermaid, JSON.
#![forbid(unsafe_code)]

use super::frozen::Frozen;
use super::graph::Graph;
use super::report::{NodeReport, RunReport};
use super::state::NodeState;
use std::fmt::{self, Write};
use std::time::Duration;

/// A graph, and what a run has made of it.
struct Drawing<'a> {
    graph: &'a Frozen,
    report: Option<&'a RunReport>,
}

/// A text in double quotes, as JSON wants it; Graphviz takes it likewise.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                c if c < ' ' => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// A text with the five characters escaped that mean something in XML, and in Mermaid's labels.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if c < ' ' => f.write_char(' ')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The fill, the border and the text of a node in this state.
pub(super) fn colors(state: NodeState) -> [&'static str; 3] {
    match state {
        NodeState::Succeeded => ["#d6e6f4", "#3b78a8", "#17364f"],
        NodeState::Failed | NodeState::Panicked => ["#f6cfcb", "#c0392b", "#5c1a13"],
        NodeState::TimedOut => ["#f4dcc0", "#b9651b", "#5a310d"],
        NodeState::Cancelled => ["#e4e2ea", "#7d7790", "#3a3645"],
        _ => ["#f2f2f0", "#a3a39d", "#4c4c48"],
    }
}

/// The colour of the critical path.
pub(super) const CRITICAL: &str = "#e07b00";

impl Drawing<'_> {
    fn edges(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        let of = |(node, rec)| self.graph.successors_of(rec).iter().map(move |&next| (node, next));
        self.graph.recs.iter().enumerate().flat_map(of)
    }

    fn node(&self, node: usize) -> Option<&NodeReport> {
        self.report.map(|report| &report.nodes()[node])
    }

    fn is_critical(&self, from: usize, to: u32) -> bool {
        self.report.is_some_and(|report| {
            let (from, to) = (from as u32, to);
            report.critical.windows(2).any(|pair| pair == [from, to])
        })
    }

    fn dot(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "digraph {} {{", Quoted(&self.graph.name));
        let font = "fontname=\"Helvetica,sans-serif\"";
        let _ = writeln!(out, "  node [shape=box style=\"rounded,filled\" {font} fontsize=11];");
        let _ = writeln!(out, "  edge [color=\"#88888880\" arrowsize=0.7];");
        for node in 0..self.graph.recs.len() {
            let name = self.graph.name_of(node as u32);
            let (mut label, mut extra) = (name.into_owned(), String::new());
            let mut state = NodeState::Waiting;
            if let Some(report) = self.node(node) {
                state = report.state;
                if report.start.is_some() {
                    let _ = write!(label, "\n{:.1?}", report.time);
                }
                if report.is_critical {
                    let _ = write!(extra, " penwidth=2.5 color=\"{CRITICAL}\"");
                }
            }
            let [fill, border, text] = colors(state);
            let border = if extra.is_empty() { format!(" color=\"{border}\"") } else { extra };
            let label = Quoted(&label);
            let _ = writeln!(
                out,
                "  n{node} [label={label} fillcolor=\"{fill}\"{border} fontcolor=\"{text}\"];"
            );
        }
        for (from, to) in self.edges() {
            let how = match self.is_critical(from, to) {
                true => format!(" [color=\"{CRITICAL}\" penwidth=2.5]"),
                false => String::new(),
            };
            let _ = writeln!(out, "  n{from} -> n{to}{how};");
        }
        out.push_str("}\n");
        out
    }

    fn mermaid(&self) -> String {
        let mut out = String::from("flowchart TD\n");
        let mut critical = Vec::new();
        for node in 0..self.graph.recs.len() {
            let name = self.graph.name_of(node as u32);
            let mut label = Escaped(&name).to_string();
            let mut class = String::new();
            if let Some(report) = self.node(node) {
                if report.start.is_some() {
                    let _ = write!(label, "<br/>{:.1?}", report.time);
                }
                class = format!(":::{}", report.state.name().replace('-', "_"));
                if report.is_critical {
                    critical.push(format!("n{node}"));
                }
            }
            let _ = writeln!(out, "    n{node}[\"{label}\"]{class}");
        }
        for (from, to) in self.edges() {
            let arrow = if self.is_critical(from, to) { "==>" } else { "-->" };
            let _ = writeln!(out, "    n{from} {arrow} n{to}");
        }
        if let Some(report) = self.report {
            let mut states: Vec<NodeState> = report.nodes().iter().map(|node| node.state).collect();
            states.sort_unstable_by_key(|state| state.name());
            states.dedup();
            for state in states {
                let ([fill, border, text], name) = (colors(state), state.name().replace('-', "_"));
                let _ =
                    writeln!(out, "    classDef {name} fill:{fill},stroke:{border},color:{text}");
            }
            if !critical.is_empty() {
                let _ = writeln!(out, "    classDef critical stroke:{CRITICAL},stroke-width:3px");
                let _ = writeln!(out, "    class {} critical", critical.join(","));
            }
        }
        out
    }

    fn json(&self) -> String {
        let us = |time: Duration| time.as_nanos() as f64 / 1e3;
        let mut out = String::from("{\n");
        let _ = writeln!(out, "  \"graph\": {},", Quoted(&self.graph.name));
        if let Some(report) = self.report {
            let _ = writeln!(out, "  \"status\": {},", Quoted(&format!("{:?}", report.status())));
            let _ = writeln!(out, "  \"elapsed_us\": {:.3},", us(report.elapsed()));
            let _ = writeln!(out, "  \"work_us\": {:.3},", us(report.work()));
            let _ = writeln!(out, "  \"span_us\": {:.3},", us(report.span()));
            let _ = writeln!(out, "  \"parallelism\": {:.4},", report.parallelism());
            let workers = report.workers().iter().map(|worker| Quoted(&worker.name).to_string());
            let _ = writeln!(out, "  \"workers\": [{}],", workers.collect::<Vec<_>>().join(", "));
            let critical = report.critical.iter().map(u32::to_string).collect::<Vec<_>>();
            let _ = writeln!(out, "  \"critical_path\": [{}],", critical.join(", "));
        }
        out.push_str("  \"nodes\": [\n");
        let len = self.graph.recs.len();
        for node in 0..len {
            let name = self.graph.name_of(node as u32);
            let _ = write!(out, "    {{\"index\": {node}, \"name\": {}", Quoted(&name));
            let rank = self.graph.ranks.get(node);
            if let Some(rank) = rank {
                let _ = write!(out, ", \"rank_ns\": {rank}");
            }
            if let Some(report) = self.node(node) {
                let _ = write!(out, ", \"state\": {}", Quoted(report.state.name()));
                let _ = write!(out, ", \"attempts\": {}", report.attempts);
                if let (Some(start), Some(worker)) = (report.start, report.worker) {
                    let _ = write!(out, ", \"start_us\": {:.3}", us(start));
                    let _ = write!(out, ", \"time_us\": {:.3}", us(report.time));
                    let _ = write!(out, ", \"worker\": {worker}");
                }
                let _ = write!(out, ", \"slack_us\": {:.3}", us(report.slack));
            }
            out.push_str(if node + 1 < len { "},\n" } else { "}\n" });
        }
        out.push_str("  ],\n  \"edges\": [");
        for (at, (from, to)) in self.edges().enumerate() {
            let _ = write!(out, "{}[{from}, {to}]", if at == 0 { "" } else { ", " });
        }
        out.push_str("]\n}\n");
        out
    }
}

impl Graph {
    fn drawing(&self) -> Drawing<'_> {
        Drawing { graph: &self.frozen, report: None }
    }

    /// The graph in the language of Graphviz, to be drawn by `dot`.
    ///
    /// ```
    /// use windlass::graph::Graph;
    ///
    /// let mut graph = Graph::builder();
    /// let a = graph.node("a").run(|| ());
    /// graph.node("b").after(a).run(|| ());
    /// assert!(graph.build()?.to_dot().contains("n0 -> n1;"));
    /// # Ok::<(), windlass::graph::GraphError>(())
    /// ```
    pub fn to_dot(&self) -> String {
        self.drawing().dot()
    }

    /// The graph as a Mermaid flowchart.
    pub fn to_mermaid(&self) -> String {
        self.drawing().mermaid()
    }

    /// The graph as JSON: its name, its nodes by number, and its edges as pairs of numbers.
    pub fn to_json(&self) -> String {
        self.drawing().json()
    }
}

impl RunReport {
    fn drawing(&self) -> Drawing<'_> {
        Drawing { graph: &self.graph, report: Some(self) }
    }

    /// As [`Graph::to_dot`], with states, times and the critical path.
    pub fn to_dot(&self) -> String {
        self.drawing().dot()
    }

    /// As [`Graph::to_mermaid`], with states, times and the critical path.
    pub fn to_mermaid(&self) -> String {
        self.drawing().mermaid()
    }

    /// As [`Graph::to_json`], with all that is known of the run. Times are in microseconds, counted
    /// from the beginning of the run.
    pub fn to_json(&self) -> String {
        self.drawing().json()
    }
}
