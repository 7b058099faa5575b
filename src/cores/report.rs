//! What has become of each core.

use std::fmt;

/// What one core has done, and what has been in its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CoreReport {
    /// Its number.
    pub core: usize,
    /// The CPU that it was to be kept on.
    pub cpu: Option<usize>,
    /// The NUMA node of that.
    pub node: Option<usize>,
    /// Connections that it has taken.
    pub connections: u64,
    /// Those of them that have ended by themselves.
    pub ended: u64,
    /// Those that were cut off, because they had not ended within the grace period.
    pub cut: u64,
    /// Those whose handler panicked.
    pub panicked: u64,
    /// How often a connection could not be accepted, mostly because no descriptor was free.
    pub accept_errors: u64,
    /// Operations that the kernel did not give back, whose memory was leaked.
    pub leaked: usize,
    /// How often it was started again after a panic.
    pub restarts: u64,
    /// What was refused to it, such as being kept on its CPU.
    pub notes: Vec<String>,
}

impl fmt::Display for CoreReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "core {}", self.core)?;
        if let Some(cpu) = self.cpu {
            write!(f, " (CPU {cpu})")?;
        }
        write!(
            f,
            ": {} connections ended, {} cut off",
            self.ended, self.cut
        )?;
        let counts = [
            (self.panicked, "handlers panicked"),
            (self.accept_errors, "accepts failed"),
            (self.restarts, "restarts"),
            (self.leaked as u64, "operations leaked"),
        ];
        for (count, what) in counts {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        for note in &self.notes {
            write!(f, "; {note}")?;
        }
        Ok(())
    }
}

/// What has become of all cores; see [`Handle::report`](super::Handle::report).
///
/// Shown, it has one line a core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// One of each core.
    pub cores: Vec<CoreReport>,
    /// What concerns all, such as a container's share of the CPUs.
    pub notes: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        for (index, core) in self.cores.iter().enumerate() {
            let end = if index + 1 < self.cores.len() {
                "\n"
            } else {
                ""
            };
            write!(f, "{core}{end}")?;
        }
        Ok(())
    }
}
