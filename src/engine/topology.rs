//! Which CPUs the workers may use, in what order they are filled, and who is near whom.
//!
//! The pool asks here once, while it is built: [`default_workers`] for the count,
//! [`Topology::placement`] for the CPU of each worker, [`Topology::victim_order`] for the order in
//! which a worker looks at the deques of the others. Each worker thread then calls
//! [`pin_current_thread`] for itself. Nothing here runs on the path of a job.
//!
//! Invariants:
//! * `Topology::cpus` is sorted by CPU number, without duplicates, and holds only CPUs of the
//!   affinity mask.
//! * Two CPUs share a core, or a last level cache, exactly when their group keys are equal. A key
//!   is the number of a CPU in the group, so keys need no registry and survive holes in the
//!   numbering.
//! * A file that is missing or does not parse means "unknown" and never an error. Unknown is flat:
//!   a CPU is its own core, CPUs of one package and node share a cache, everything is node 0, and
//!   all CPUs are equally fast.
//!
//! The mask is that of the calling thread, because that is what the workers it spawns inherit. A
//! pool built on a pinned thread, such as a worker of another pool, therefore sees one CPU.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::thread;

/// Where Linux describes its CPUs and NUMA nodes.
const SYSFS: &str = "/sys/devices/system";

/// CPU numbers from here on are taken for garbage. Linux can be built for 8192 CPUs.
const MAX_CPUS: usize = 1 << 16;

/// Cache directories looked at per CPU. Real machines have four or five.
const MAX_CACHES: usize = 16;

/// The capacity Linux gives the fastest CPU, and here every CPU of unknown speed.
const FULL_CAPACITY: u32 = 1024;

/// One logical CPU of the affinity mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cpu {
    /// The number the operating system gives it.
    pub(crate) id: usize,
    /// The physical package (socket), 0 where unknown.
    pub(crate) package: usize,
    /// Key of the physical core: equal for SMT siblings.
    pub(crate) core: usize,
    /// Key of the group that shares a last level cache.
    pub(crate) llc: usize,
    /// The NUMA node, 0 where unknown.
    pub(crate) node: usize,
    /// Speed of its class: comparable within one topology, larger is faster.
    pub(crate) capacity: u32,
}

/// The CPUs of the affinity mask and how they hang together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topology {
    /// Sorted by `id`, no duplicates.
    pub(crate) cpus: Vec<Cpu>,
    /// What [`Topology::covers_whole_cores`] answers.
    whole_cores: bool,
}

/// Nearness of a victim, and the index of its tier in [`Victims::ends`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    /// On the same physical core.
    Core,
    /// Behind the same last level cache.
    Cache,
    /// On the same NUMA node.
    Node,
    /// Anywhere else, or not placed at all.
    Far,
}

/// The other workers in the order in which one worker looks at them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Victims {
    /// Every worker but the one that asked, nearest first.
    pub(crate) order: Vec<u32>,
    /// Where each [`Tier`] ends in `order`. The last entry is `order.len()`.
    pub(crate) ends: [usize; 4],
}

impl Victims {
    /// The `k`-th victim of a round. The tiers keep their order; within each, the round starts
    /// `rotation` places further on, so that not every thief comes to the same victim first.
    pub(crate) fn nth(&self, k: usize, rotation: usize) -> u32 {
        let tier = self.ends.partition_point(|&end| end <= k);
        let start = if tier == 0 { 0 } else { self.ends[tier - 1] };
        let len = self.ends[tier] - start;
        self.order[start + (k - start + rotation % len) % len]
    }

    /// The workers of one tier.
    #[cfg(test)]
    pub(crate) fn tier(&self, tier: Tier) -> &[u32] {
        let tier = tier as usize;
        let start = if tier == 0 { 0 } else { self.ends[tier - 1] };
        &self.order[start..self.ends[tier]]
    }
}

impl Topology {
    /// Reads the topology of this machine, limited to the calling thread's affinity mask.
    ///
    /// Outside Linux, and under Miri (which forbids file access), the result is flat.
    pub(crate) fn detect() -> Topology {
        // An empty mask is what Windows reports for a process in several processor groups.
        let mask = allowed_cpus()
            .filter(|mask| !mask.is_empty())
            .unwrap_or_else(|| (0..default_workers()).collect());
        if cfg!(all(any(target_os = "linux", target_os = "android"), not(miri))) {
            Topology::from_sysfs(Path::new(SYSFS), &mask)
        } else {
            Topology::flat(&mask)
        }
    }

    /// One group of equal CPUs: what is left when nothing is known.
    pub(crate) fn flat(mask: &[usize]) -> Topology {
        let mask = normal(mask);
        let llc = mask.first().copied().unwrap_or(0);
        let cpu = |id| Cpu { id, package: 0, core: id, llc, node: 0, capacity: FULL_CAPACITY };
        Topology { cpus: mask.into_iter().map(cpu).collect(), whole_cores: false }
    }

    /// Reads the topology of the CPUs in `mask` from the tree at `root`, which has the layout of
    /// `/sys/devices/system`.
    pub(crate) fn from_sysfs(root: &Path, mask: &[usize]) -> Topology {
        let mask = normal(mask);
        let dir = |cpu: usize| root.join(format!("cpu/cpu{cpu}"));

        // Kernels from 5.4 on call the list of SMT siblings core_cpus_list and keep the old name.
        let cores = group(&mask, |cpu| {
            list(&dir(cpu).join("topology/thread_siblings_list"))
                .or_else(|| list(&dir(cpu).join("topology/core_cpus_list")))
        });
        let caches = group(&mask, |cpu| last_level_cache(&dir(cpu)));
        let nodes = numa_nodes(root);
        let capacities = capacities(&mask, |cpu, file| number(&dir(cpu).join(file)));

        // `cores` holds all the siblings sysfs lists, inside the mask or not.
        let allowed: HashSet<usize> = mask.iter().copied().collect();
        let whole_cores = !mask.is_empty()
            && mask.iter().all(|cpu| cores.contains_key(cpu))
            && cores.keys().all(|cpu| allowed.contains(cpu));

        // The first CPU of a fallback group names it. That CPU is in no group of `cores` or
        // `caches`, so the name cannot clash with theirs.
        let mut cores_by_id = HashMap::new();
        let mut caches_by_place = HashMap::new();
        let mut cpus = Vec::with_capacity(mask.len());
        for (id, capacity) in mask.into_iter().zip(capacities) {
            // ARM reports package -1 where the firmware says nothing, which does not parse here.
            let package = number(&dir(id).join("topology/physical_package_id"));
            let node = nodes.get(&id).copied().unwrap_or(0);
            let core = cores.get(&id).copied().unwrap_or_else(|| {
                match (package, number::<usize>(&dir(id).join("topology/core_id"))) {
                    (Some(package), Some(core)) => {
                        *cores_by_id.entry((package, core)).or_insert(id)
                    }
                    _ => id,
                }
            });
            let package = package.unwrap_or(0);
            let llc = caches
                .get(&id)
                .copied()
                .unwrap_or_else(|| *caches_by_place.entry((package, node)).or_insert(id));
            cpus.push(Cpu { id, package, core, llc, node, capacity });
        }
        Topology { cpus, whole_cores }
    }

    /// CPU numbers in the order in which workers fill them.
    ///
    /// Every physical core gets one worker before any gets a second, since SMT siblings share the
    /// execution units. Among whole cores the faster class goes first, then neighbours stay
    /// together, so that a small pool sits behind few caches.
    pub(crate) fn placement(&self) -> Vec<usize> {
        let mut on_core = HashMap::new();
        let mut ranked: Vec<_> = self
            .cpus
            .iter()
            .map(|cpu| {
                let siblings_before: &mut usize = on_core.entry(cpu.core).or_insert(0);
                let rank = *siblings_before;
                *siblings_before += 1;
                (rank, Reverse(cpu.capacity), cpu.package, cpu.node, cpu.llc, cpu.core, cpu.id)
            })
            .collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(.., id)| id).collect()
    }

    /// Whether the mask holds all SMT siblings of each core it touches.
    ///
    /// Where it does not, the other sibling belongs to somebody else and a pinned worker could not
    /// step aside, so the pool does not pin by default. Unknown siblings count as "no".
    pub(crate) fn covers_whole_cores(&self) -> bool {
        self.whole_cores
    }

    /// The other workers, nearest first, as seen by worker `me` where worker `i` sits on CPU
    /// `placed[i]`.
    ///
    /// Each tier starts at the first of its workers after `me` and wraps around, so that idle
    /// workers do not all knock at worker 0 first.
    pub(crate) fn victim_order(&self, placed: &[Option<usize>], me: usize) -> Victims {
        let workers = placed.len();
        let here = self.cpu_of(placed, me);
        let mut ranked: Vec<(Tier, u32)> = (1..=workers)
            .map(|step| (me % workers + step) % workers)
            .filter(|&other| other != me)
            .map(|other| (tier(here, self.cpu_of(placed, other)), other as u32))
            .collect();
        // The sort is stable, which keeps the rotation within each tier.
        ranked.sort_by_key(|&(tier, _)| tier);
        let ends = [Tier::Core, Tier::Cache, Tier::Node, Tier::Far]
            .map(|last| ranked.partition_point(|&(tier, _)| tier <= last));
        Victims { order: ranked.into_iter().map(|(_, other)| other).collect(), ends }
    }

    /// The CPU a worker is placed on, if it is placed on a known one.
    fn cpu_of(&self, placed: &[Option<usize>], worker: usize) -> Option<&Cpu> {
        let id = (*placed.get(worker)?)?;
        self.cpus.binary_search_by_key(&id, |cpu| cpu.id).ok().map(|at| &self.cpus[at])
    }
}

/// How near two placed workers are.
fn tier(here: Option<&Cpu>, there: Option<&Cpu>) -> Tier {
    match (here, there) {
        (Some(a), Some(b)) if a.core == b.core => Tier::Core,
        (Some(a), Some(b)) if a.llc == b.llc => Tier::Cache,
        (Some(a), Some(b)) if a.node == b.node => Tier::Node,
        _ => Tier::Far,
    }
}

/// How many workers a pool has when nobody says: at least 1.
///
/// The least of three counts, since each misses a limit that another sees:
/// * `num_cpus` reads the cgroup quota, but of the innermost group only, rounds it up, and where
///   there is a quota keeps its first answer for the life of the process.
/// * The standard library walks up nested cgroup v2 groups and rounds the quota down, so a quota
///   of 1.5 CPUs gives one worker that is never throttled instead of two that are.
/// * Both read the affinity mask into a fixed 1024 bits. A kernel built for more refuses that, and
///   both then count all online CPUs. [`allowed_cpus`] grows its mask instead.
pub(crate) fn default_workers() -> usize {
    let std = thread::available_parallelism().map_or(usize::MAX, |count| count.get());
    let mask = allowed_cpus().map_or(usize::MAX, |mask| mask.len());
    // An empty mask is an unknown one, not a limit of zero.
    num_cpus::get().min(std).min(if mask == 0 { usize::MAX } else { mask }).max(1)
}

/// What is known about a thread after a successful pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PinReport {
    /// The mask was read back and holds exactly the CPU asked for.
    Verified,
    /// The operating system took the request and offers no way to check it.
    Unverified,
}

/// Why a thread is not pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PinError {
    /// The CPU is outside the thread's affinity mask. Nothing was changed.
    NotInMask {
        /// The CPU asked for.
        cpu: usize,
    },
    /// The operating system said no. Nothing was changed.
    Refused {
        /// The CPU asked for.
        cpu: usize,
    },
    /// The operating system said yes, but the thread ended up with another mask, which it keeps.
    NotVerified {
        /// The CPU asked for.
        cpu: usize,
        /// The mask read back.
        mask: Vec<usize>,
    },
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PinError::NotInMask { cpu } => {
                write!(f, "CPU {cpu} is outside the thread's affinity mask")
            }
            PinError::Refused { cpu } => {
                write!(f, "the operating system refused to pin the thread to CPU {cpu}")
            }
            PinError::NotVerified { cpu, mask } => {
                write!(f, "the thread was pinned to CPU {cpu} but may run on CPUs {mask:?}")
            }
        }
    }
}

impl Error for PinError {}

/// Pins the calling thread to one CPU and, on Linux, reads the mask back.
///
/// The mask is checked first because Linux lets a thread widen its own mask: without the check a
/// worker could leave the CPUs that `taskset` gave the process.
pub(crate) fn pin_current_thread(cpu: usize) -> Result<PinReport, PinError> {
    if allowed_cpus().is_some_and(|mask| !mask.is_empty() && !mask.contains(&cpu)) {
        return Err(PinError::NotInMask { cpu });
    }
    if !set_affinity(cpu) {
        return Err(PinError::Refused { cpu });
    }
    match read_back() {
        None => Ok(PinReport::Unverified),
        Some(mask) if mask == [cpu] => Ok(PinReport::Verified),
        Some(mask) => Err(PinError::NotVerified { cpu, mask }),
    }
}

/// The CPUs the calling thread may run on, in ascending order, or `None` where unknown.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn allowed_cpus() -> Option<Vec<usize>> {
    const WORD: usize = libc::c_ulong::BITS as usize;
    let mut words: Vec<libc::c_ulong> = vec![0; libc::CPU_SETSIZE as usize / WORD];
    loop {
        let size = size_of_val(words.as_slice());
        // SAFETY: the kernel writes at most `size` bytes, and `words` owns exactly that many,
        // aligned as a `cpu_set_t` is, which is an array of the same words. Pid 0 is the calling
        // thread.
        if unsafe { libc::sched_getaffinity(0, size, words.as_mut_ptr().cast()) } == 0 {
            break;
        }
        // EINVAL says that the kernel's own mask is larger than this one.
        let too_small = std::io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL);
        if !too_small || words.len() * WORD >= MAX_CPUS {
            return None;
        }
        words = vec![0; words.len() * 2];
    }
    let set = |&cpu: &usize| words[cpu / WORD] >> (cpu % WORD) & 1 == 1;
    Some((0..words.len() * WORD).filter(set).collect())
}

/// The CPUs the process may run on, in ascending order, or `None` where unknown.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn allowed_cpus() -> Option<Vec<usize>> {
    let ids: Vec<usize> = core_affinity::get_core_ids()?.iter().map(|core| core.id).collect();
    Some(normal(&ids))
}

/// The CPU that the calling thread runs on now, where the system tells cheaply. A hint: it may have
/// moved by the time it is used.
pub(crate) fn current_cpu() -> Option<usize> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: no arguments, no memory; -1 where the kernel lacks the call.
        usize::try_from(unsafe { libc::sched_getcpu() }).ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        None
    }
}

/// The mask of the calling thread after a pin, or `None` where it cannot be read.
fn read_back() -> Option<Vec<usize>> {
    // Elsewhere `allowed_cpus` tells of the process, which a pin of one thread leaves as it was.
    if cfg!(any(target_os = "linux", target_os = "android")) { allowed_cpus() } else { None }
}

/// Asks the operating system to run the calling thread on `cpu` alone.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn set_affinity(cpu: usize) -> bool {
    if cpu < libc::CPU_SETSIZE as usize {
        return core_affinity::set_for_current(core_affinity::CoreId { id: cpu });
    }
    if cpu >= MAX_CPUS {
        return false;
    }
    // `core_affinity` indexes a fixed set of 1024 CPUs and would panic here.
    const WORD: usize = libc::c_ulong::BITS as usize;
    let mut words: Vec<libc::c_ulong> = vec![0; cpu / WORD + 1];
    words[cpu / WORD] = 1 << (cpu % WORD);
    // SAFETY: the kernel reads at most the given size, and `words` owns exactly that many bytes,
    // aligned as a `cpu_set_t` is. Pid 0 is the calling thread.
    unsafe { libc::sched_setaffinity(0, size_of_val(words.as_slice()), words.as_ptr().cast()) == 0 }
}

/// Asks the operating system to run the calling thread on `cpu`.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn set_affinity(cpu: usize) -> bool {
    // On Windows `core_affinity` shifts a word by the CPU number, which overflows from here on.
    cpu < usize::BITS as usize && core_affinity::set_for_current(core_affinity::CoreId { id: cpu })
}

/// A mask in ascending order without duplicates.
fn normal(mask: &[usize]) -> Vec<usize> {
    let mut mask = mask.to_vec();
    mask.sort_unstable();
    mask.dedup();
    mask
}

/// Groups CPUs by lists of members: maps each member to the first CPU of `mask` in its group.
///
/// A CPU is in at most one group, so a group costs one read however many CPUs it has, and lists
/// that contradict each other still give groups that do not overlap. A CPU whose list is missing,
/// or lacks the CPU itself, is in none.
fn group(mask: &[usize], members: impl Fn(usize) -> Option<Vec<usize>>) -> HashMap<usize, usize> {
    let mut groups = HashMap::new();
    for &cpu in mask {
        if groups.contains_key(&cpu) {
            continue;
        }
        let list = members(cpu).filter(|list| list.contains(&cpu)).unwrap_or_default();
        for member in list {
            groups.entry(member).or_insert(cpu);
        }
    }
    groups
}

/// The CPUs that share the highest data or unified cache of the CPU at `dir`.
fn last_level_cache(dir: &Path) -> Option<Vec<usize>> {
    let holds_data = |kind: &str| matches!(kind.trim(), "Data" | "Unified");
    let (_, index) = (0..MAX_CACHES)
        .map(|index| dir.join(format!("cache/index{index}")))
        .filter(|index| fs::read_to_string(index.join("type")).is_ok_and(|kind| holds_data(&kind)))
        .filter_map(|index| Some((number::<u32>(&index.join("level"))?, index)))
        .max()?;
    list(&index.join("shared_cpu_list"))
}

/// The NUMA node of each CPU that has one.
fn numa_nodes(root: &Path) -> HashMap<usize, usize> {
    let mut numbers: Vec<usize> = fs::read_dir(root.join("node"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("node")?.parse().ok())
        .collect();
    // A directory lists its entries in any order. Sorting makes the outcome repeatable.
    numbers.sort_unstable();
    let mut nodes = HashMap::new();
    for node in numbers {
        let cpus = list(&root.join(format!("node/node{node}/cpulist"))).unwrap_or_default();
        for cpu in cpus {
            nodes.entry(cpu).or_insert(node);
        }
    }
    nodes
}

/// The capacity class of each CPU of `mask`, given how to read one number of one CPU.
///
/// `cpu_capacity` and the top frequency have different units, so one of them serves all CPUs or
/// none. A CPU within a tenth of the fastest of its class counts as equally fast: processors with
/// favoured cores differ by a few percent from core to core, and that must not scatter a small
/// pool over several caches.
fn capacities(mask: &[usize], read: impl Fn(usize, &str) -> Option<u32>) -> Vec<u32> {
    let all =
        |file: &str| -> Option<Vec<u32>> { mask.iter().map(|&cpu| read(cpu, file)).collect() };
    let mut values = all("cpu_capacity")
        .or_else(|| all("cpufreq/cpuinfo_max_freq"))
        .unwrap_or_else(|| vec![FULL_CAPACITY; mask.len()]);
    let mut fastest_first = values.clone();
    fastest_first.sort_unstable_by_key(|&value| Reverse(value));
    let mut leaders: Vec<u32> = Vec::new();
    for value in fastest_first {
        if leaders.last().is_none_or(|&leader| u64::from(value) * 10 < u64::from(leader) * 9) {
            leaders.push(value);
        }
    }
    for value in &mut values {
        // The leaders fall, and the last that is not below the value leads its class.
        let class = leaders.partition_point(|leader| leader >= value);
        *value = leaders[class.saturating_sub(1)];
    }
    values
}

/// A file that holds one number.
fn number<T: FromStr>(path: &Path) -> Option<T> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A file that holds a list of CPUs.
fn list(path: &Path) -> Option<Vec<usize>> {
    parse_list(&fs::read_to_string(path).ok()?)
}

/// Parses the kernel's list format, as in `0-3,8`. Blank is the empty list: a node can have memory
/// and no CPU.
fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',').filter(|_| !text.trim().is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= MAX_CPUS {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}
