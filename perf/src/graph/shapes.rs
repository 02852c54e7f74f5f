//! The graphs of the suite, as lists of edges, each from a lower number to a higher one.

use std::fmt;

/// A graph, whichever engine runs it.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) nodes: u32,
    pub(super) edges: Vec<(u32, u32)>,
}

/// What each node does beside adding its number: nothing, or rounds of `mix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grain {
    Nothing,
    Us(u32),
}

impl Grain {
    /// Rounds of [`mix`](crate::map::mix): nominal, as in the map suite.
    pub(super) fn rounds(self) -> u32 {
        match self {
            Grain::Nothing => 0,
            Grain::Us(us) => 700 * us,
        }
    }
}

impl fmt::Display for Grain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Grain::Nothing => Ok(()),
            Grain::Us(us) => write!(f, ", {us} µs bodies"),
        }
    }
}

pub(super) fn chain(nodes: u32) -> Shape {
    Shape { name: "chain", nodes, edges: (1..nodes).map(|n| (n - 1, n)).collect() }
}

/// From the root to the leaves.
pub(super) fn tree(nodes: u32) -> Shape {
    Shape { name: "binary tree", nodes, edges: (1..nodes).map(|n| ((n - 1) / 2, n)).collect() }
}

/// Each node waits for its left and its upper neighbour.
pub(super) fn wavefront(side: u32) -> Shape {
    let mut edges = Vec::new();
    for n in 0..side * side {
        if n % side > 0 {
            edges.push((n - 1, n));
        }
        if n >= side {
            edges.push((n - side, n));
        }
    }
    Shape { name: "wavefront", nodes: side * side, edges }
}

/// The patterns of Task Bench (SC'20): `steps` rows of `width` nodes, each of which waits for some
/// of the row before.
pub(super) fn patterns(width: u32, steps: u32) -> Vec<Shape> {
    let levels = width.ilog2();
    let mut seed = 0x9E37_79B9_u32;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed % width
    };
    let rows = |name, before: &mut dyn FnMut(u32, u32) -> Vec<(u32, u32)>| {
        let mut edges = Vec::new();
        for step in 0..steps {
            for at in 0..width {
                let to = step * width + at;
                for (step, at) in before(step, at) {
                    edges.push((step * width + at, to));
                }
            }
        }
        Shape { name, nodes: width * steps, edges }
    };
    let last = |step: u32, at: &[u32]| -> Vec<(u32, u32)> {
        if step == 0 { Vec::new() } else { at.iter().map(|&at| (step - 1, at)).collect() }
    };
    vec![
        rows("stencil", &mut |step, at| {
            let near: Vec<u32> = (at.saturating_sub(1)..=(at + 1).min(width - 1)).collect();
            last(step, &near)
        }),
        rows("fft", &mut |step, at| last(step, &[at, at ^ (1 << (step % levels))])),
        rows("sweep", &mut |step, at| {
            let mut before = last(step, &[at]);
            before.extend((at > 0).then(|| (step, at - 1)));
            before
        }),
        rows("random", &mut |step, _| last(step, &[random(), random(), random()])),
    ]
}
