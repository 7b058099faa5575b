//! Which CPUs the threads of a program run on.
#![forbid(unsafe_code)]

mod affinity;
mod error;
mod list;
mod quota;
#[cfg(test)]
mod tests;
mod topology;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub(crate) use affinity::pin;
pub use error::PlacementError;

use affinity::Mask;
use list::show;
use quota::Quota;
use topology::Topology;

/// Which CPUs a program with a thread for each of them uses.
///
/// The CPUs that the process may use are those of the calling thread's affinity mask (sched_getaffinity(2)), which is cut by a
/// cpuset, too, and of them those below 1024, as threads can be pinned to no others. `All`, `Physical` and `Node` respect
/// the CPU quota of the process's cgroups as well: a container that may use one and a half CPUs' time gets two threads on a
/// machine of any size. What is said in numbers, `Count` and `List`, is not cut by a quota.
///
/// Cores and NUMA nodes are those that sysfs tells. Where it does not, as in some containers, each CPU counts as a core of its
/// own, and all as one node.
///
/// # Examples
///
/// ```
/// use saferring::cores::Placement;
///
/// // Four threads, on four cores if there are as many.
/// let four = Placement::Count(4);
/// // The CPUs 2 and 3, the others being somebody else's.
/// let two = Placement::List(vec![2, 3]);
/// assert!(matches!(Placement::default(), Placement::All));
/// # drop((four, two));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Placement {
    /// Every CPU that the process may use. A quota takes the last threads of the cores first.
    #[default]
    All,
    /// So many of them, spread: first a thread of each core, those of one NUMA node before those of the next, then the second
    /// ones.
    Count(usize),
    /// Exactly these, in this order.
    List(Vec<usize>),
    /// One CPU of each physical core: no two threads share one's caches and units.
    Physical,
    /// Those of a NUMA node.
    Node(usize),
    /// So many threads, which the system moves among all CPUs that the process may use: also more than there are.
    Unpinned(usize),
}

/// A CPU to run a thread on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cpu {
    pub(crate) cpu: usize,
    /// Its NUMA node, where that is known.
    pub(crate) node: Option<usize>,
}

/// The CPUs that a placement comes to.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// None twice; by number, those of a list as there. None at all if they are not to be kept on any.
    pub(crate) cpus: Vec<Cpu>,
    /// All nodes of the machine, with those of their CPUs that the process may use.
    pub(crate) nodes: BTreeMap<usize, BTreeSet<usize>>,
    /// What an operator should know: what was not found out, and what a quota does.
    pub(crate) notes: Vec<String>,
}

/// The CPUs for this placement, on this machine and for the calling thread.
///
/// # Errors
///
/// If there are none, or not those: see [`PlacementError`].
pub(crate) fn place(placement: &Placement) -> Result<Placed, PlacementError> {
    let root = Path::new("/");
    let mut notes = Vec::new();
    let mask = affinity::current(root, &mut notes)?;
    place_on(root, mask, placement, notes)
}

/// The same on the machine whose /proc and /sys lie in `root`.
fn place_on(
    root: &Path,
    mask: Mask,
    placement: &Placement,
    mut notes: Vec<String>,
) -> Result<Placed, PlacementError> {
    let usable = affinity::usable(root, mask, &mut notes)?;
    let topology = Topology::read(root, &usable, &mut notes);
    let quota = quota::read(root, &mut notes);
    let spread = topology.spread(&usable);
    let mut chosen: Vec<usize> = match placement {
        Placement::All => spread.iter().map(|&(cpu, _)| cpu).collect(),
        Placement::Physical => {
            let first = spread.iter().filter(|&&(_, thread)| thread == 0);
            first.map(|&(cpu, _)| cpu).collect()
        }
        Placement::Node(node) => {
            let spread = topology.spread(of_node(&topology, *node)?);
            spread.iter().map(|&(cpu, _)| cpu).collect()
        }
        Placement::Count(count) => {
            check_count(*count, usable.len())?;
            let first = spread.iter().take(*count);
            first.map(|&(cpu, _)| cpu).collect()
        }
        Placement::List(list) => {
            check_list(root, list, &usable)?;
            list.clone()
        }
        Placement::Unpinned(_) => Vec::new(),
    };
    let explicit = matches!(placement, Placement::Count(_) | Placement::List(_));
    if let Some(quota) = quota {
        apply(quota, explicit, &mut chosen, &mut notes);
    }
    if !matches!(placement, Placement::List(_)) {
        chosen.sort_unstable();
    }
    let cpus = chosen.into_iter().map(|cpu| Cpu {
        cpu,
        node: topology.node(cpu),
    });
    Ok(Placed {
        cpus: cpus.collect(),
        nodes: topology.nodes,
        notes,
    })
}

/// The CPUs of the node, of which there is one at least.
fn of_node(topology: &Topology, node: usize) -> Result<&BTreeSet<usize>, PlacementError> {
    let nodes = &topology.nodes;
    match nodes.get(&node) {
        Some(cpus) if !cpus.is_empty() => Ok(cpus),
        Some(_) => {
            let others = nodes.iter().filter(|(_, cpus)| !cpus.is_empty());
            Err(PlacementError::NodeWithoutCpu {
                node,
                nodes: others.map(|(&node, _)| node).collect(),
            })
        }
        None => Err(PlacementError::UnknownNode {
            node,
            nodes: nodes.keys().copied().collect(),
        }),
    }
}

fn check_count(asked: usize, usable: usize) -> Result<(), PlacementError> {
    match asked {
        0 => Err(PlacementError::Empty),
        _ if asked > usable => Err(PlacementError::TooMany { asked, usable }),
        _ => Ok(()),
    }
}

/// Whether each of the list can be used, and is there once.
fn check_list(root: &Path, list: &[usize], usable: &BTreeSet<usize>) -> Result<(), PlacementError> {
    if list.is_empty() {
        return Err(PlacementError::Empty);
    }
    let file = |name| affinity::read_list(root, &format!("sys/devices/system/cpu/{name}"));
    let (online, present) = (file("online"), file("present"));
    let mut seen = BTreeSet::new();
    let mut wrong: BTreeMap<usize, &str> = BTreeMap::new();
    for &cpu in list {
        let missing =
            |cpus: &Option<BTreeSet<usize>>| cpus.as_ref().is_some_and(|cpus| !cpus.contains(&cpu));
        if !usable.contains(&cpu) {
            let why = match cpu {
                _ if missing(&present) => "does not exist",
                _ if missing(&online) => "is offline",
                affinity::END.. => "is too high for a thread to be pinned to",
                _ => "is not in the affinity mask of the process",
            };
            wrong.insert(cpu, why);
        } else if !seen.insert(cpu) {
            wrong.insert(cpu, "is named twice");
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let why: Vec<_> = wrong
        .iter()
        .map(|(cpu, why)| format!("CPU {cpu} {why}"))
        .collect();
    Err(PlacementError::Unusable {
        why: why.join(", "),
        cpus: wrong.into_keys().collect(),
        usable: usable.iter().copied().collect(),
    })
}

/// Cuts what was chosen down to the quota, unless it was asked for in numbers; says so.
fn apply(quota: Quota, explicit: bool, chosen: &mut Vec<usize>, notes: &mut Vec<String>) {
    let (all, threads) = (chosen.len(), quota.threads());
    if all <= threads {
        return;
    }
    if explicit {
        notes.push(format!(
            "the CPU quota of the cgroup is {quota} CPUs, and {all} are asked for: the kernel stops all threads once it is \
             used up, to the end of each period"
        ));
        return;
    }
    chosen.truncate(threads);
    chosen.sort_unstable();
    notes.push(format!(
        "the CPU quota of the cgroup is {quota} CPUs, so threads run on {threads} of {all} ({})",
        show(&*chosen)
    ));
}
