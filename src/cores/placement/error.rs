//! Why there are no CPUs for what was asked.
#![forbid(unsafe_code)]

use std::io;

use super::list::show;

/// Why a [`Placement`](super::Placement) cannot be had on this machine, in this process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlacementError {
    /// None is asked for: `Count(0)`, or an empty `List`.
    #[error(
        "no CPU is asked for: Placement::Count takes one or more, and Placement::List names one or more; \
         Placement::All takes each that the process may use"
    )]
    Empty,
    /// More are asked for than there are.
    #[error(
        "{asked} CPUs are asked for, and the process may use {usable}: ask for at most {usable}, or let it use more \
         (taskset(1), AllowedCPUs= in the service's unit, --cpuset-cpus of the container)"
    )]
    #[non_exhaustive]
    TooMany {
        /// How many are asked for.
        asked: usize,
        /// How many the process may use.
        usable: usize,
    },
    /// Some of a list cannot be used.
    #[error(
        "{why}: name each CPU once, and only those that the process may use ({})",
        show(usable)
    )]
    #[non_exhaustive]
    Unusable {
        /// Which.
        cpus: Vec<usize>,
        /// What is wrong with each.
        why: String,
        /// Which could be used.
        usable: Vec<usize>,
    },
    /// The machine has no such NUMA node.
    #[error(
        "there is no NUMA node {node}: the nodes of this machine are {}",
        show(nodes)
    )]
    #[non_exhaustive]
    UnknownNode {
        /// What was asked for.
        node: usize,
        /// Which there are.
        nodes: Vec<usize>,
    },
    /// The process may use no CPU of the NUMA node, or the node has memory alone.
    #[error(
        "NUMA node {node} has no CPU that the process may use: take one of the nodes {}, or let it use those of node {node} \
         (taskset(1), AllowedCPUs= in the service's unit, --cpuset-cpus of the container)",
        show(nodes)
    )]
    #[non_exhaustive]
    NodeWithoutCpu {
        /// What was asked for.
        node: usize,
        /// Which have one.
        nodes: Vec<usize>,
    },
    /// The process may use only CPUs that no thread can be pinned to here.
    #[error(
        "the process may use no CPU below {end}, and threads can be pinned to no others: let it use some of those \
         (taskset(1), AllowedCPUs= in the service's unit, --cpuset-cpus of the container)"
    )]
    #[non_exhaustive]
    TooHigh {
        /// The first that is too high.
        end: usize,
    },
    /// Nothing tells which CPUs the process may use.
    #[error(
        "it cannot be found out which CPUs the process may use, as sched_getaffinity(2) is refused ({source}) and \
         /proc/thread-self/status does not tell: allow that call in the seccomp profile, or mount /proc"
    )]
    #[non_exhaustive]
    UnknownMask {
        /// What sched_getaffinity(2) answered.
        source: io::Error,
    },
}
