//! Which CPUs are threads of one core, and which lie on one NUMA node, as sysfs tells.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{read_dir, read_to_string};
use std::path::Path;

use super::affinity::read_list;
use super::list::show;

/// What tells one physical core from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Core {
    /// By its first thread.
    First(usize),
    /// By its number in its package.
    Number { package: i64, core: i64 },
    /// It is not known, and counts as a core of the CPU's own.
    Unknown(usize),
}

/// What is known of the CPUs that may be used.
#[derive(Debug)]
pub(super) struct Topology {
    cores: BTreeMap<usize, Core>,
    /// All nodes of the machine, with those of their CPUs that may be used.
    pub(super) nodes: BTreeMap<usize, BTreeSet<usize>>,
}

impl Topology {
    pub(super) fn read(root: &Path, usable: &BTreeSet<usize>, notes: &mut Vec<String>) -> Self {
        Topology {
            cores: cores(root, usable, notes),
            nodes: nodes(root, usable, notes),
        }
    }

    pub(super) fn core(&self, cpu: usize) -> Core {
        let core = self.cores.get(&cpu).copied();
        core.unwrap_or(Core::Unknown(cpu))
    }

    pub(super) fn node(&self, cpu: usize) -> Option<usize> {
        let mut nodes = self.nodes.iter();
        nodes
            .find(|(_, cpus)| cpus.contains(&cpu))
            .map(|(&node, _)| node)
    }

    /// These CPUs, so that the first of them are on different cores for as long as there are such, and on few nodes: the first
    /// threads of all cores, node by node, then the second ones. With each, how many of its core come before it.
    pub(super) fn spread(&self, cpus: &BTreeSet<usize>) -> Vec<(usize, usize)> {
        let mut threads: BTreeMap<Core, usize> = BTreeMap::new();
        let mut spread = Vec::new();
        for &cpu in cpus {
            let thread = threads.entry(self.core(cpu)).or_default();
            let node = self.node(cpu).unwrap_or(usize::MAX);
            spread.push((*thread, node, cpu));
            *thread += 1;
        }
        spread.sort_unstable();
        let places = spread.into_iter();
        places.map(|(thread, _, cpu)| (cpu, thread)).collect()
    }
}

/// The core of each CPU.
fn cores(root: &Path, usable: &BTreeSet<usize>, notes: &mut Vec<String>) -> BTreeMap<usize, Core> {
    let mut cores = BTreeMap::new();
    let mut unknown = Vec::new();
    for &cpu in usable {
        // A thread before it has named it.
        if cores.contains_key(&cpu) {
            continue;
        }
        let folder = format!("sys/devices/system/cpu/cpu{cpu}/topology");
        let number = |name: &str| {
            let text = read_to_string(root.join(&folder).join(name)).ok()?;
            let number: i64 = text.trim().parse().ok()?;
            Some(number).filter(|&number| number >= 0)
        };
        let threads = read_list(root, &format!("{folder}/thread_siblings_list"));
        if let Some(threads) = threads.filter(|threads| threads.contains(&cpu)) {
            for thread in threads {
                cores.entry(thread).or_insert(Core::First(cpu));
            }
            continue;
        }
        let core = match (number("physical_package_id"), number("core_id")) {
            (Some(package), Some(core)) => Core::Number { package, core },
            _ => {
                unknown.push(cpu);
                Core::Unknown(cpu)
            }
        };
        cores.insert(cpu, core);
    }
    if !unknown.is_empty() {
        notes.push(format!(
            "/sys/devices/system/cpu does not tell the physical cores of CPUs {}: each counts as one of its own",
            show(&unknown)
        ));
    }
    cores
}

/// The nodes. Where none are found, all CPUs are on node 0.
fn nodes(
    root: &Path,
    usable: &BTreeSet<usize>,
    notes: &mut Vec<String>,
) -> BTreeMap<usize, BTreeSet<usize>> {
    const FOLDER: &str = "sys/devices/system/node";
    let mut nodes = BTreeMap::new();
    let entries = read_dir(root.join(FOLDER)).into_iter().flatten().flatten();
    let mut numbers: Vec<usize> = entries
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_prefix("node")?
                .parse()
                .ok()
        })
        .collect();
    numbers.sort_unstable();
    let mut rest = usable.clone();
    for node in numbers {
        match read_list(root, &format!("{FOLDER}/node{node}/cpulist")) {
            Some(cpus) => {
                let cpus = &cpus & &rest;
                rest = &rest - &cpus;
                nodes.insert(node, cpus);
            }
            None => notes.push(format!(
                "/{FOLDER}/node{node}/cpulist cannot be understood: the CPUs of NUMA node {node} are not known"
            )),
        }
    }
    if rest == *usable {
        notes.push(format!(
            "/{FOLDER} does not tell the NUMA nodes of the CPUs: they count as one node"
        ));
        return BTreeMap::from([(0, rest)]);
    }
    nodes
}
