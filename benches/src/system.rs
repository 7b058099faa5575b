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

const CRATES: [&str; 12] = [
    "saferring",
    "io-uring",
    "tokio",
    "monoio",
    "compio",
    "glommio",
    "tokio-uring",
    "axum",
    "cyper-core",
    "hyper",
    "monoio-compat",
    "rustls",
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
        let version = |(name, version): (&String, &String)| format!("{name} {version}");
        let versions: Vec<String> = self.versions.iter().map(version).collect();
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
    total.trim_end_matches(" kB").parse().unwrap_or(0) / 1024
}

fn numa_nodes() -> usize {
    let node = |n: &usize| Path::new(&format!("/sys/devices/system/node/node{n}")).exists();
    (0..1024).filter(node).count().max(1)
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
    let device = fs::metadata(path).map_or(0, |about| about.dev());
    let (major, minor) = (libc::major(device), libc::minor(device));
    // A partition has no queue of its own; its disk is the directory above.
    let at = |up| {
        read(&format!(
            "/sys/dev/block/{major}:{minor}{up}/queue/scheduler"
        ))
    };
    let mut found = ["", "/.."].map(at).into_iter();
    found.find(|text| text != UNKNOWN).unwrap_or(UNKNOWN.into())
}

fn ring() -> String {
    const FLAGS: [(u32, &str); 7] = [
        (7, "SUBMIT_ALL"),
        (8, "COOP_TASKRUN"),
        (9, "TASKRUN_FLAG"),
        (12, "SINGLE_ISSUER"),
        (13, "DEFER_TASKRUN"),
        (1, "SQPOLL"),
        (16, "NO_SQARRAY"),
    ];
    let runtime = match saferring::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return format!("none: {error}"),
    };
    let Some(info) = runtime.ring_info() else {
        return UNKNOWN.into();
    };
    let mut flags = Vec::from(FLAGS);
    flags.retain(|(bit, _)| info.setup_flags & (1 << bit) != 0);
    let mut flags: Vec<&str> = flags.into_iter().map(|(_, name)| name).collect();
    flags.extend(info.registered_ring.then_some("registered ring"));
    flags.extend(info.no_iowait.then_some("NO_IOWAIT"));
    let (submission, completion) = (info.submission_entries, info.completion_entries);
    format!("{submission} + {completion} entries; {}", flags.join(", "))
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
    let output = Command::new(rustc).arg("--version").output();
    let output = output.ok().filter(|output| output.status.success());
    output.map_or(UNKNOWN.into(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().into()
    })
}

/// The versions in a lock file, of the crates compared.
fn versions(lock: &str) -> BTreeMap<String, String> {
    let of = |package: &str| {
        let value = |key| package.split_once(key)?.1.split('"').next();
        let (name, version) = (value("name = \"")?, value("version = \"")?);
        CRATES
            .contains(&name)
            .then(|| (name.to_owned(), version.to_owned()))
    };
    // Of two versions the later stands last.
    lock.split("[[package]]").skip(1).filter_map(of).collect()
}

/// The date and time in UTC, as in `2026-01-31 12:00 UTC`.
pub(crate) fn now() -> String {
    let text = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    format!("{} UTC", text[..16].replace('T', " "))
}
