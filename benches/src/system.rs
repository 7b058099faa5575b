//! What the machine is, so that figures can be judged.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use rlimit::Resource;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct System {
    pub(crate) kernel: String,
    pub(crate) cpu: String,
    /// Those that this process may use.
    pub(crate) cores: usize,
    pub(crate) memory_mib: u64,
    pub(crate) numa_nodes: usize,
    pub(crate) file_system: String,
    pub(crate) io_scheduler: String,
    /// The ring that saferring obtained.
    pub(crate) ring: String,
    pub(crate) memlock: String,
    pub(crate) nofile: String,
    pub(crate) rustc: String,
    /// Versions of the crates compared.
    pub(crate) versions: BTreeMap<String, String>,
}

const CRATES: [&str; 7] = [
    "saferring",
    "io-uring",
    "tokio",
    "monoio",
    "compio",
    "glommio",
    "tokio-uring",
];

impl System {
    pub(crate) fn gather(data: &Path, cores: usize) -> Self {
        System {
            kernel: read("/proc/sys/kernel/osrelease"),
            cpu: field("/proc/cpuinfo", "model name"),
            cores,
            memory_mib: memory_mib(),
            numa_nodes: numa_nodes(),
            file_system: file_system(data),
            io_scheduler: io_scheduler(data),
            ring: ring(),
            memlock: limit(Resource::MEMLOCK),
            nofile: limit(Resource::NOFILE),
            rustc: rustc(),
            versions: versions(include_str!("../../Cargo.lock")),
        }
    }

    /// Names and values, in order.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let versions: Vec<String> = self
            .versions
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        vec![
            ("Kernel", self.kernel.clone()),
            ("CPU", format!("{}, {} cores in use", self.cpu, self.cores)),
            ("Memory", format!("{} MiB", self.memory_mib)),
            ("NUMA nodes", self.numa_nodes.to_string()),
            ("File system of the data", self.file_system.clone()),
            ("I/O scheduler", self.io_scheduler.clone()),
            ("saferring's ring", self.ring.clone()),
            ("Locked memory", self.memlock.clone()),
            ("Open files", self.nofile.clone()),
            ("Compiler", self.rustc.clone()),
            ("Crates", versions.join(", ")),
        ]
    }
}

const UNKNOWN: &str = "not known";

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or(UNKNOWN.into(), |text| text.trim().into())
}

/// The value of the first `name : value` line.
fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(key, _)| key.trim() == name);
    found.map_or(UNKNOWN.into(), |(_, value)| value.trim().into())
}

fn memory_mib() -> u64 {
    let total = field("/proc/meminfo", "MemTotal");
    let kib: u64 = total.trim_end_matches(" kB").parse().unwrap_or(0);
    kib / 1024
}

fn numa_nodes() -> usize {
    let entries = fs::read_dir("/sys/devices/system/node")
        .into_iter()
        .flatten();
    let is_node = |name: &str| {
        let number = name.strip_prefix("node");
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let nodes = entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_node));
    nodes.count().max(1)
}

/// The type and options of the longest mount that holds `path`.
fn file_system(path: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        Some((fields.next()?, fields.next()?, fields.next()?))
    });
    let holding = mounts.filter(|(_, at, _)| path.starts_with(at));
    let found = holding.max_by_key(|(_, at, _)| at.len());
    found.map_or(UNKNOWN.into(), |(device, at, kind)| {
        format!("{kind} ({device} on {at})")
    })
}

fn io_scheduler(path: &Path) -> String {
    let Ok(about) = fs::metadata(path) else {
        return UNKNOWN.into();
    };
    let (major, minor) = (libc::major(about.dev()), libc::minor(about.dev()));
    // A partition has no queue of its own; its disk is the directory above.
    for up in ["", "/.."] {
        let path = format!("/sys/dev/block/{major}:{minor}{up}/queue/scheduler");
        if let Ok(text) = fs::read_to_string(path) {
            return text.trim().into();
        }
    }
    UNKNOWN.into()
}

fn ring() -> String {
    let runtime = match saferring::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return format!("none: {error}"),
    };
    let Some(info) = runtime.ring_info() else {
        return UNKNOWN.into();
    };
    const FLAGS: [(u32, &str); 7] = [
        (7, "SUBMIT_ALL"),
        (8, "COOP_TASKRUN"),
        (9, "TASKRUN_FLAG"),
        (12, "SINGLE_ISSUER"),
        (13, "DEFER_TASKRUN"),
        (1, "SQPOLL"),
        (16, "NO_SQARRAY"),
    ];
    let mut flags: Vec<&str> = FLAGS
        .into_iter()
        .filter(|(bit, _)| info.setup_flags & (1 << bit) != 0)
        .map(|(_, name)| name)
        .collect();
    if info.registered_ring {
        flags.push("registered ring");
    }
    if info.no_iowait {
        flags.push("NO_IOWAIT");
    }
    format!(
        "{} + {} entries; {}",
        info.submission_entries,
        info.completion_entries,
        flags.join(", ")
    )
}

fn limit(resource: Resource) -> String {
    let word = |value| match value {
        rlimit::INFINITY => "unlimited".to_owned(),
        value => value.to_string(),
    };
    match resource.get() {
        Ok((now, most)) => format!("{} (at most {})", word(now), word(most)),
        Err(_) => UNKNOWN.into(),
    }
}

/// Allows as many open files as may be had, at best `wanted`; returns how many that is.
pub(crate) fn raise_open_files(wanted: u64) -> u64 {
    let Ok((now, most)) = Resource::NOFILE.get() else {
        return 1024;
    };
    // Only the privileged may raise the hard limit; the others take what it is.
    let mut limits = [most.max(wanted), most].into_iter();
    limits
        .find(|&limit| Resource::NOFILE.set(limit, limit).is_ok())
        .unwrap_or(now)
}

fn rustc() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    match Command::new(rustc).arg("--version").output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().into()
        }
        _ => UNKNOWN.into(),
    }
}

/// The versions in a lock file, of the crates compared.
fn versions(lock: &str) -> BTreeMap<String, String> {
    let quoted = |line: &str, key: &str| {
        let value = line.strip_prefix(key)?.strip_prefix(" = \"")?;
        Some(value.strip_suffix('"')?.to_owned())
    };
    let mut versions = BTreeMap::new();
    let mut name = String::new();
    for line in lock.lines() {
        if let Some(value) = quoted(line, "name") {
            name = value;
        } else if let Some(version) = quoted(line, "version") {
            // Of two versions the later stands last.
            if CRATES.contains(&name.as_str()) {
                versions.insert(name.clone(), version);
            }
        }
    }
    versions
}

/// The date and time in UTC, as in `2026-01-31 12:00 UTC`.
pub(crate) fn now() -> String {
    let text = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    format!("{} UTC", text[..16].replace('T', " "))
}
