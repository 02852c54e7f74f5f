//! Fake sysfs trees for the parser, and real threads for pinning.

use super::*;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A directory laid out like `/sys/devices/system`, removed at the end of the test.
struct Tree(PathBuf);

impl Tree {
    fn new() -> Tree {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("windlass-{}-{number}", process::id()));
        fs::create_dir_all(&root).unwrap();
        Tree(root)
    }

    fn file(&self, path: &str, text: &str) -> &Tree {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
        self
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.0.join(path)).unwrap();
    }

    fn cpu(&self, cpu: usize, file: &str, text: &str) -> &Tree {
        self.file(&format!("cpu/cpu{cpu}/{file}"), text)
    }

    fn core(&self, cpu: usize, package: usize, core: usize, siblings: &str) {
        self.cpu(cpu, "topology/physical_package_id", &package.to_string());
        self.cpu(cpu, "topology/core_id", &core.to_string());
        self.cpu(cpu, "topology/thread_siblings_list", siblings);
    }

    fn cache(&self, cpu: usize, index: usize, level: usize, kind: &str, shared: &str) {
        self.cpu(cpu, &format!("cache/index{index}/level"), &level.to_string());
        self.cpu(cpu, &format!("cache/index{index}/type"), kind);
        self.cpu(cpu, &format!("cache/index{index}/shared_cpu_list"), shared);
    }

    fn read(&self, mask: &[usize]) -> Topology {
        Topology::from_sysfs(&self.0, mask)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// 2 packages x 2 cores x 2 SMT, numbered as Linux does: CPU `n` and `n + 4` share a core.
fn two_packages() -> Tree {
    let tree = Tree::new();
    for cpu in 0..8 {
        let core = cpu % 4;
        let package = core / 2;
        let siblings = format!("{core},{}", core + 4);
        tree.core(cpu, package, core % 2, &siblings);
        tree.cache(cpu, 0, 1, "Data", &siblings);
        tree.cache(cpu, 1, 1, "Instruction", &siblings);
        tree.cache(cpu, 2, 2, "Unified", &siblings);
        tree.cache(cpu, 3, 3, "Unified", if package == 0 { "0-1,4-5" } else { "2-3,6-7" });
    }
    tree.file("node/node0/cpulist", "0-1,4-5").file("node/node1/cpulist", "2-3,6-7");
    tree.file("node/online", "0-1").file("node/node2/cpulist", "");
    tree
}

/// 2 fast cores with SMT (CPUs 0-3), then 4 slow ones without, all behind one cache.
fn hybrid() -> Tree {
    let tree = Tree::new();
    for cpu in 0..8 {
        let siblings = match cpu {
            0 | 1 => "0-1".to_owned(),
            2 | 3 => "2-3".to_owned(),
            _ => cpu.to_string(),
        };
        tree.core(cpu, 0, cpu, &siblings);
        tree.cache(cpu, 3, 3, "Unified", "0-7");
        // The second fast core is a favoured one.
        let speed = ["5000000", "5000000", "5200000", "5200000"].get(cpu).unwrap_or(&"3900000");
        tree.cpu(cpu, "cpufreq/cpuinfo_max_freq", speed);
    }
    tree
}

fn of<T>(topology: &Topology, field: impl Fn(&Cpu) -> T) -> Vec<T> {
    topology.cpus.iter().map(field).collect()
}

#[test]
fn two_packages_with_smt() {
    let topology = two_packages().read(&[7, 6, 5, 4, 3, 2, 1, 0, 0]);
    assert_eq!(of(&topology, |cpu| cpu.id), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(of(&topology, |cpu| cpu.core), [0, 1, 2, 3, 0, 1, 2, 3]);
    assert_eq!(of(&topology, |cpu| cpu.llc), [0, 0, 2, 2, 0, 0, 2, 2]);
    assert_eq!(of(&topology, |cpu| cpu.node), [0, 0, 1, 1, 0, 0, 1, 1]);
    assert_eq!(of(&topology, |cpu| cpu.package), [0, 0, 1, 1, 0, 0, 1, 1]);
    assert_eq!(topology.placement(), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert!(topology.covers_whole_cores());
}

#[test]
fn placement_fills_a_package_before_the_next() {
    // Packages alternate over the CPU numbers, as some firmware has it.
    let tree = Tree::new();
    for cpu in 0..4 {
        tree.core(cpu, cpu % 2, cpu / 2, &cpu.to_string());
    }
    assert_eq!(tree.read(&[0, 1, 2, 3]).placement(), [0, 2, 1, 3]);
}

#[test]
fn a_mask_limits_everything() {
    let tree = two_packages();
    let topology = tree.read(&[2, 4]);
    assert_eq!(of(&topology, |cpu| cpu.id), [2, 4]);
    assert_eq!(topology.placement(), [4, 2]);
    assert!(!topology.covers_whole_cores(), "siblings 6 and 0 belong to others");
    assert!(tree.read(&[2, 6]).covers_whole_cores());
    assert!(!tree.read(&[2, 6, 7]).covers_whole_cores());
    // A key survives even where the CPU with the lowest number is outside the mask.
    assert_eq!(of(&tree.read(&[4, 5, 6]), |cpu| cpu.llc), [4, 4, 6]);
}

#[test]
fn hybrid_cores_fill_fast_first_and_siblings_last() {
    let topology = hybrid().read(&[0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(topology.placement(), [0, 2, 4, 5, 6, 7, 1, 3]);
    let fast = 5_200_000;
    let slow = 3_900_000;
    assert_eq!(
        of(&topology, |cpu| cpu.capacity),
        [fast, fast, fast, fast, slow, slow, slow, slow],
        "a favoured core is in the class of its peers"
    );
}

#[test]
fn slow_cores_with_low_numbers_still_come_last() {
    let tree = Tree::new();
    for (cpu, capacity) in ["446", "446", "1024", "871"].into_iter().enumerate() {
        tree.cpu(cpu, "cpu_capacity", capacity);
        // The capacity wins over the frequency.
        tree.cpu(cpu, "cpufreq/cpuinfo_max_freq", "1");
    }
    assert_eq!(tree.read(&[0, 1, 2, 3]).placement(), [2, 3, 0, 1]);
}

#[test]
fn one_unknown_capacity_makes_all_equal() {
    let tree = hybrid();
    tree.cpu(0, "cpufreq/cpuinfo_max_freq", "<unknown>");
    let topology = tree.read(&[0, 2, 4]);
    assert_eq!(of(&topology, |cpu| cpu.capacity), [FULL_CAPACITY; 3]);
}

#[test]
fn without_caches_a_package_and_node_is_the_cache_group() {
    let tree = two_packages();
    fs::remove_dir_all(tree.0.join("cpu/cpu5/cache")).unwrap();
    assert_eq!(of(&tree.read(&[0, 1, 5]), |cpu| cpu.llc), [0, 0, 0], "cpu0 names 5 a member");
    for cpu in 0..8 {
        let _ = fs::remove_dir_all(tree.0.join(format!("cpu/cpu{cpu}/cache")));
    }
    let all = [0, 1, 2, 3, 4, 5, 6, 7];
    assert_eq!(of(&tree.read(&all), |cpu| cpu.llc), [0, 0, 2, 2, 0, 0, 2, 2]);
}

#[test]
fn the_highest_data_cache_is_the_last_level() {
    let tree = Tree::new();
    for cpu in 0..2 {
        // Out of order, and with an instruction cache and an untyped one above.
        tree.cache(cpu, 0, 2, "Unified", "0-1");
        tree.cache(cpu, 1, 1, "Data", &cpu.to_string());
        tree.cache(cpu, 2, 4, "Instruction", &cpu.to_string());
        tree.cache(cpu, 4, 5, "", &cpu.to_string());
    }
    assert_eq!(of(&tree.read(&[0, 1]), |cpu| cpu.llc), [0, 0]);
}

#[test]
fn core_ids_stand_in_for_sibling_lists() {
    let tree = two_packages();
    for cpu in 0..8 {
        tree.remove(&format!("cpu/cpu{cpu}/topology/thread_siblings_list"));
    }
    let topology = tree.read(&[0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(of(&topology, |cpu| cpu.core), [0, 1, 2, 3, 0, 1, 2, 3]);
    assert!(!topology.covers_whole_cores(), "siblings outside the mask are unknown");

    tree.cpu(0, "topology/physical_package_id", "-1");
    assert_eq!(of(&tree.read(&[0, 4]), |cpu| cpu.core), [0, 4]);

    for cpu in [0, 4] {
        tree.cpu(cpu, "topology/core_cpus_list", "0,4");
    }
    assert!(tree.read(&[0, 4]).covers_whole_cores(), "the newer name of the list");
}

#[test]
fn holes_in_the_numbering() {
    let tree = Tree::new();
    for (cpu, siblings) in [(0, "0,4096"), (17, "17"), (4096, "0,4096"), (8191, "8191")] {
        tree.core(cpu, 0, cpu, siblings);
        tree.cache(cpu, 3, 3, "Unified", if cpu < 100 { "0,17" } else { "4096,8191" });
    }
    tree.file("node/node3/cpulist", "0-17").file("node/node9/cpulist", "4096-8191");
    let topology = tree.read(&[0, 17, 4096, 8191]);
    assert_eq!(of(&topology, |cpu| cpu.core), [0, 17, 0, 8191]);
    assert_eq!(of(&topology, |cpu| cpu.llc), [0, 0, 4096, 4096]);
    assert_eq!(of(&topology, |cpu| cpu.node), [3, 3, 9, 9]);
    assert_eq!(topology.placement(), [0, 17, 8191, 4096]);
    assert!(topology.covers_whole_cores());
}

#[test]
fn an_empty_or_absurd_tree_is_flat() {
    let mask = [3, 5, usize::MAX];
    assert_eq!(Tree::new().read(&mask), Topology::flat(&mask));
    assert_eq!(Topology::from_sysfs(Path::new("/nowhere"), &mask), Topology::flat(&mask));

    let tree = Tree::new();
    for cpu in [3, 5] {
        tree.cpu(cpu, "topology/thread_siblings_list", "7-2");
        tree.cpu(cpu, "topology/physical_package_id", "-1");
        tree.cpu(cpu, "topology/core_id", "99999999999999999999999");
        tree.cache(cpu, 0, 3, "Unified", "0-99999999999");
        tree.cpu(cpu, "cpu_capacity", "fast");
    }
    tree.file("node/node0/cpulist", "x").file("node/nodeX/cpulist", "3").file("node/node", "3");
    assert_eq!(tree.read(&mask), Topology::flat(&mask));

    // A list that lacks the CPU it belongs to says nothing about it.
    tree.cpu(3, "topology/thread_siblings_list", "4-5");
    fs::write(tree.0.join("cpu/cpu5/topology/thread_siblings_list"), [0xff, 0xfe]).unwrap();
    assert_eq!(tree.read(&mask), Topology::flat(&mask));
}

#[test]
fn no_cpus_at_all() {
    let topology = two_packages().read(&[]);
    assert_eq!(topology, Topology::flat(&[]));
    assert!(topology.placement().is_empty());
    assert!(!topology.covers_whole_cores());
    assert_eq!(topology.victim_order(&[None, None], 0).order, [1]);
}

#[test]
fn victims_are_ordered_by_nearness_and_rotate() {
    let topology = two_packages().read(&[0, 1, 2, 3, 4, 5, 6, 7]);
    let placed: Vec<_> = topology.placement().into_iter().map(Some).collect();
    let victims = topology.victim_order(&placed, 1);
    assert_eq!(victims.tier(Tier::Core), [5]);
    assert_eq!(victims.tier(Tier::Cache), [4, 0]);
    assert_eq!(victims.tier(Tier::Node), [0; 0]);
    assert_eq!(victims.tier(Tier::Far), [2, 3, 6, 7]);
    assert_eq!(victims.order, [5, 4, 0, 2, 3, 6, 7]);
    assert_eq!(victims.ends, [1, 3, 3, 7]);
    assert_eq!(topology.victim_order(&placed, 6).order, [2, 7, 3, 0, 1, 4, 5]);
}

#[test]
fn a_node_with_two_caches_has_a_node_tier() {
    let tree = Tree::new();
    for cpu in 0..6 {
        tree.core(cpu, 0, cpu, &cpu.to_string());
        tree.cache(cpu, 3, 3, "Unified", ["0-1", "2-3", "4-5"][cpu / 2]);
    }
    tree.file("node/node0/cpulist", "0-3").file("node/node1/cpulist", "4-5");
    let topology = tree.read(&[0, 1, 2, 3, 4, 5]);
    let placed: Vec<_> = (0..6).map(Some).collect();
    let victims = topology.victim_order(&placed, 2);
    assert_eq!(victims.order, [3, 0, 1, 4, 5]);
    assert_eq!(victims.ends, [0, 1, 3, 5]);
}

#[test]
fn unplaced_workers_are_far() {
    let topology = two_packages().read(&[0, 1, 2, 3, 4, 5, 6, 7]);
    let placed = [Some(0), None, Some(4), Some(999), Some(1)];
    let victims = topology.victim_order(&placed, 0);
    assert_eq!(victims.order, [2, 4, 1, 3]);
    assert_eq!(victims.ends, [1, 2, 2, 4]);
    let victims = topology.victim_order(&placed, 1);
    assert_eq!(victims.order, [2, 3, 4, 0], "an unplaced worker only rotates");
    assert_eq!(victims.ends, [0, 0, 0, 4]);
}

#[test]
fn victims_are_everybody_else_once() {
    let topology = two_packages().read(&[0, 1, 2, 3, 4, 5, 6, 7]);
    for workers in 0..20 {
        let placed: Vec<_> = (0..workers).map(|worker| Some(worker * 3 % 8)).collect();
        // One past the end is nobody's index, and everybody is then a victim.
        for me in (0..=workers).chain([usize::MAX]) {
            let victims = topology.victim_order(&placed, me);
            let mut order = victims.order.clone();
            order.sort_unstable();
            let others: Vec<u32> =
                (0..workers).filter(|&other| other != me).map(|other| other as u32).collect();
            assert_eq!(order, others);
            assert!(victims.ends.is_sorted());
            assert_eq!(victims.ends[3], victims.order.len());
        }
    }
}

#[test]
fn not_everybody_looks_at_worker_0_first() {
    let topology = Topology::flat(&(0..8).collect::<Vec<_>>());
    let placed: Vec<_> = (0..8).map(Some).collect();
    let first: HashSet<u32> =
        (0..8).map(|me| topology.victim_order(&placed, me).order[0]).collect();
    assert_eq!(first.len(), 8);
}

#[test]
fn lists() {
    assert_eq!(parse_list("0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
    assert_eq!(parse_list("5"), Some(vec![5]));
    assert_eq!(parse_list(" \n"), Some(vec![]));
    assert_eq!(parse_list("65535"), Some(vec![65535]));
    for odd in ["3-1", "1-", "-1", "-", ",", "1,,2", "a", "0-31:2/4", "65536", "0-65536", "1 2"] {
        assert_eq!(parse_list(odd), None, "{odd:?}");
    }
}

#[test]
fn detect_holds_the_cpus_of_the_mask() {
    let topology = Topology::detect();
    assert!(!topology.cpus.is_empty());
    let mut placement = topology.placement();
    placement.sort_unstable();
    assert_eq!(placement, of(&topology, |cpu| cpu.id));
    if let Some(mask) = allowed_cpus() {
        assert_eq!(placement, mask);
    }
}

#[test]
fn default_workers_is_at_least_1_and_within_the_mask() {
    let workers = default_workers();
    assert!(workers >= 1);
    assert!(allowed_cpus().is_none_or(|mask| workers <= mask.len()));
}

#[test]
fn errors_name_the_cpu() {
    let outside: Box<dyn Error> = Box::new(PinError::NotInMask { cpu: 7 });
    assert_eq!(outside.to_string(), "CPU 7 is outside the thread's affinity mask");
    assert!(PinError::Refused { cpu: 7 }.to_string().ends_with("CPU 7"));
    let widened = PinError::NotVerified { cpu: 7, mask: vec![1, 2] };
    assert_eq!(widened.to_string(), "the thread was pinned to CPU 7 but may run on CPUs [1, 2]");
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod pinning {
    use super::*;

    /// Runs `test` on a thread whose mask is the single CPU `only`.
    fn confined(only: usize, test: impl FnOnce() + Send) {
        thread::scope(|scope| {
            scope.spawn(|| {
                // SAFETY: all zeros is the empty set.
                let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
                // SAFETY: the callers pass CPUs below CPU_SETSIZE.
                unsafe { libc::CPU_SET(only, &mut set) };
                // SAFETY: `set` is valid for its own size, and pid 0 is this thread.
                let rc = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) };
                assert_eq!(rc, 0);
                test();
            });
        });
    }

    /// The CPUs of the test, as far as `confined` can name them.
    fn cpus() -> Vec<usize> {
        let mut mask = allowed_cpus().unwrap();
        mask.retain(|&cpu| cpu < libc::CPU_SETSIZE as usize);
        mask
    }

    #[test]
    fn inside_the_mask_is_verified() {
        for only in cpus() {
            confined(only, || {
                assert_eq!(pin_current_thread(only), Ok(PinReport::Verified));
                assert_eq!(allowed_cpus(), Some(vec![only]));
            });
        }
    }

    #[test]
    fn outside_the_mask_changes_nothing() {
        let cpus = cpus();
        let other = cpus.last().map_or(1, |&last| if last == cpus[0] { last + 1 } else { last });
        confined(cpus[0], || {
            for cpu in [other, 1023, 1024, 8191, MAX_CPUS, usize::MAX] {
                if cpu != cpus[0] {
                    assert_eq!(pin_current_thread(cpu), Err(PinError::NotInMask { cpu }));
                }
            }
            assert_eq!(allowed_cpus(), Some(vec![cpus[0]]));
        });
    }

    #[test]
    fn a_whole_mask_narrows_to_one_cpu() {
        thread::scope(|scope| {
            scope.spawn(|| {
                let last = *cpus().last().unwrap();
                assert_eq!(pin_current_thread(last), Ok(PinReport::Verified));
                assert_eq!(Topology::detect().placement(), [last]);
                assert_eq!(default_workers(), 1);
            });
        });
    }

    #[test]
    fn absurd_cpus_are_refused_without_a_panic() {
        let before = allowed_cpus();
        for cpu in [MAX_CPUS - 1, MAX_CPUS, usize::MAX] {
            assert!(!set_affinity(cpu));
        }
        assert_eq!(allowed_cpus(), before);
    }
}

#[test]
fn a_round_over_the_victims_takes_each_once_and_the_near_ones_first() {
    let victims = Victims { order: vec![4, 7, 1, 2, 9], ends: [0, 2, 2, 5] };
    for rotation in 0..8 {
        let round: Vec<u32> = (0..5).map(|k| victims.nth(k, rotation)).collect();
        let mut near = round[..2].to_vec();
        near.sort_unstable();
        assert_eq!(near, [4, 7]);
        let mut all = round;
        all.sort_unstable();
        assert_eq!(all, [1, 2, 4, 7, 9]);
    }
    assert_eq!(victims.nth(0, 1), 7);
    assert_eq!(victims.nth(2, 1), 2);
}
