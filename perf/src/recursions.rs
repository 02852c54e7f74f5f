//! The recursions of the fork suite, each with an answer known beforehand.
//!
//! Each is written once, generic over the engine, so all of them (and the sequential version)
//! visit the same nodes in the same order and differ in `join` alone.

use crate::engines::Fork;
use crate::harness::timed;
use std::hint::black_box;
use std::time::Duration;

/// A recursion with a known answer.
pub(crate) trait Work: Sync {
    fn run<E: Fork>(&self, ctx: &mut E::Ctx<'_>) -> u64;
    fn expected(&self) -> u64;
}

/// Fibonacci without a cutoff: each call from 2 up forks.
pub(crate) struct Fib {
    pub(crate) n: u64,
    pub(crate) expected: u64,
}

fn fib<E: Fork>(ctx: &mut E::Ctx<'_>, n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (a, b) = E::join(ctx, move |c| fib::<E>(c, n - 1), move |c| fib::<E>(c, n - 2));
    a + b
}

impl Work for Fib {
    fn run<E: Fork>(&self, ctx: &mut E::Ctx<'_>) -> u64 {
        fib::<E>(ctx, self.n)
    }

    fn expected(&self) -> u64 {
        self.expected
    }
}

/// A balanced binary tree that sums its values; every node forks, leaves too, as in chili's own
/// benchmark.
struct Node {
    val: u64,
    left: Option<Box<Node>>,
    right: Option<Box<Node>>,
}

impl Node {
    /// Numbers the nodes from 1 in the order in which every engine visits them.
    fn tree(layers: u32, number: &mut u64) -> Node {
        *number += 1;
        let val = *number;
        let mut child = || (layers > 1).then(|| Box::new(Node::tree(layers - 1, number)));
        Node { val, left: child(), right: child() }
    }
}

fn sum<E: Fork>(ctx: &mut E::Ctx<'_>, node: &Node) -> u64 {
    let (left, right) = E::join(
        ctx,
        move |c| node.left.as_deref().map(|n| sum::<E>(c, n)).unwrap_or_default(),
        move |c| node.right.as_deref().map(|n| sum::<E>(c, n)).unwrap_or_default(),
    );
    node.val + left + right
}

pub(crate) struct Tree {
    root: Node,
    nodes: u64,
}

impl Tree {
    pub(crate) fn new(layers: u32) -> Tree {
        let mut nodes = 0;
        let root = Node::tree(layers, &mut nodes);
        Tree { root, nodes }
    }
}

impl Work for Tree {
    fn run<E: Fork>(&self, ctx: &mut E::Ctx<'_>) -> u64 {
        sum::<E>(ctx, &self.root)
    }

    fn expected(&self) -> u64 {
        self.nodes * (self.nodes + 1) / 2
    }
}

/// All placements of queens, row by row, forking by halves over a row's free columns.
pub(crate) struct Queens {
    pub(crate) size: u32,
    pub(crate) expected: u64,
}

/// Attacked columns and diagonals, one bit a column.
#[derive(Clone, Copy)]
struct Board {
    columns: u32,
    left: u32,
    right: u32,
}

fn queens<E: Fork>(ctx: &mut E::Ctx<'_>, board: Board, all: u32) -> u64 {
    if board.columns == all {
        return 1;
    }
    let mut free = all & !(board.columns | board.left | board.right);
    let (mut places, mut count) = ([0; 16], 0);
    while free != 0 {
        places[count] = free & free.wrapping_neg();
        free &= free - 1;
        count += 1;
    }
    place::<E>(ctx, board, all, &places[..count])
}

fn place<E: Fork>(ctx: &mut E::Ctx<'_>, board: Board, all: u32, places: &[u32]) -> u64 {
    match *places {
        [] => 0,
        [bit] => {
            let left = (board.left | bit) << 1;
            let right = (board.right | bit) >> 1;
            queens::<E>(ctx, Board { columns: board.columns | bit, left, right }, all)
        }
        _ => {
            let (low, high) = places.split_at(places.len() / 2);
            let low = move |c: &mut E::Ctx<'_>| place::<E>(c, board, all, low);
            let (a, b) = E::join(ctx, low, move |c| place::<E>(c, board, all, high));
            a + b
        }
    }
}

impl Work for Queens {
    fn run<E: Fork>(&self, ctx: &mut E::Ctx<'_>) -> u64 {
        queens::<E>(ctx, Board { columns: 0, left: 0, right: 0 }, (1 << self.size) - 1)
    }

    fn expected(&self) -> u64 {
        self.expected
    }
}

/// An unbalanced tree in the manner of UTS: the root has `root` children, any other node has
/// `KIDS` or none, decided by a hash of its place. A node has 0.99 children on average, so most
/// subtrees die at once and a few hold nearly everything. Nothing is stored; only hashes are.
pub(crate) struct Uts {
    pub(crate) seed: u64,
    pub(crate) root: u64,
    pub(crate) expected: u64,
}

const KIDS: u64 = 6;

/// A hash below this means children: 0.99 / KIDS of all hashes.
const FERTILE: u64 = (u64::MAX / 100 * 99) / KIDS;

/// The finisher of splitmix64 over a parent's hash and the child's number.
fn child_hash(parent: u64, number: u64) -> u64 {
    let mut x = parent.wrapping_add((number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Counts the nodes under the children `from..to` of `parent`, halving the span.
fn uts<E: Fork>(ctx: &mut E::Ctx<'_>, parent: u64, from: u64, to: u64) -> u64 {
    if to - from == 1 {
        let hash = child_hash(parent, from);
        return if hash < FERTILE { 1 + uts::<E>(ctx, hash, 0, KIDS) } else { 1 };
    }
    let middle = from.midpoint(to);
    let low = move |c: &mut E::Ctx<'_>| uts::<E>(c, parent, from, middle);
    let (a, b) = E::join(ctx, low, move |c| uts::<E>(c, parent, middle, to));
    a + b
}

impl Work for Uts {
    fn run<E: Fork>(&self, ctx: &mut E::Ctx<'_>) -> u64 {
        1 + uts::<E>(ctx, self.seed, 0, self.root)
    }

    fn expected(&self) -> u64 {
        self.expected
    }
}

/// One fork over two long leaves: with two workers it takes as long as one leaf, if the second
/// worker wakes at once.
pub(crate) struct Leaves {
    pub(crate) steps: u64,
    pub(crate) expected: u64,
}

/// A chain of dependent arithmetic: work by count, not by the clock, so that a disturbed leaf
/// does not get shorter.
pub(crate) fn busy(seed: u64, steps: u64) -> u64 {
    let mut x = black_box(seed);
    for _ in 0..steps {
        x = (x ^ (x >> 29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    x
}

/// How many steps of `busy` last that long here; the best of five tries.
pub(crate) fn steps_for(time: Duration) -> u64 {
    const TRIAL: u64 = 200_000;
    let trial = |_| timed("busy", 1, || black_box(busy(1, TRIAL)) != 0);
    let best = (0..5).map(trial).min().unwrap_or_default();
    (time.as_nanos() as u64 * TRIAL / best.as_nanos().max(1) as u64).max(1)
}

impl Work for Leaves {
    fn run<E: Fork>(&self, ctx: &mut E::Ctx<'_>) -> u64 {
        let steps = self.steps;
        let (a, b) = E::join(ctx, |_| busy(1, steps), |_| busy(2, steps));
        a.wrapping_add(b)
    }

    fn expected(&self) -> u64 {
        self.expected
    }
}
