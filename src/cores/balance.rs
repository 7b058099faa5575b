//! How connections get to the cores.

/// How connections get to the cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Balance {
    /// Each core has a socket of its own on the port, and the kernel chooses by a hash of the addresses (`SO_REUSEPORT`, see
    /// socket(7)). Nothing is cheaper. It does not know how much a core has to do: a few long connections may all come to one
    /// core, and what comes to a busy core waits for that.
    #[default]
    Hash,
    /// As [`Hash`](Balance::Hash), but a connection goes to the core on the CPU that it came in on. It helps where the network
    /// card spreads its work over the same CPUs; a core gets nothing where it does not. Cores that are not pinned are chosen
    /// by the hash, and once a core has served, stopped and begun again, CPUs and cores may be paired another way.
    ByCpu,
    /// One thread accepts, and gives each connection to the core with the fewest. It costs a wake of that thread a connection,
    /// and keeps long ones even. A core that has ended is left out.
    LeastLoaded,
}
