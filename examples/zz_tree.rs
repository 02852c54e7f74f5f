//! scratch
use windlass::*;
struct Node { val: u64, left: Option<Box<Node>>, right: Option<Box<Node>> }
impl Node { fn tree(l: u32, n: &mut u64) -> Node { *n += 1; let val = *n; let mut c = || (l > 1).then(|| Box::new(Node::tree(l-1, n))); Node { val, left: c(), right: c() } } }
#[inline(never)]
fn seq(n: &Node) -> u64 { let l = n.left.as_deref().map_or(0, seq); let r = n.right.as_deref().map_or(0, seq); n.val + l + r }
#[inline(never)]
fn par(n: &Node) -> u64 { let (l, r) = join(|| n.left.as_deref().map_or(0, par), || n.right.as_deref().map_or(0, par)); n.val + l + r }
fn main() {
    let a: Vec<u32> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    let pool = Pool::new(a[0] as usize).unwrap();
    let t = Node::tree(a[1], &mut 0);
    let exp = seq(&t);
    for _ in 0..a[2] {
        let x = std::time::Instant::now(); assert_eq!(seq(&t), exp); let s = x.elapsed();
        let x = std::time::Instant::now(); assert_eq!(pool.install(|| par(&t)), exp); let p = x.elapsed();
        let x = std::time::Instant::now(); assert_eq!(std::thread::scope(|s| s.spawn(|| seq(&t)).join().unwrap()), exp); let q = x.elapsed();
        println!("seq {:?} par {:?} seq-thread {:?}", s, p, q);
    }
    std::mem::forget(t);
}
