//! What saferring finds on this machine: to be read, and to be pasted into a bug report.
//!
//! ```text
//! cargo run --example features
//! SAFERRING_DISABLE=multishot_recv,send_zc cargo run --example features
//! ```

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use rlimit::{INFINITY, Resource};
use saferring::runtime::{RingInfo, Runtime};

fn main() -> ExitCode {
    let version = env!("CARGO_PKG_VERSION");
    row("saferring", version);
    row("kernel", &kernel());
    row("container", &container());
    row("user", &user());
    row("limits", &limits());
    row("io_uring", &io_uring());
    for name in ["SAFERRING_BACKEND", "SAFERRING_DISABLE"] {
        if let Ok(value) = std::env::var(name) {
            row(name, &value);
        }
    }
    match Runtime::new() {
        Ok(runtime) => {
            if let Some(ring) = runtime.ring_info() {
                row("ring", &describe(&ring));
            }
            println!("\n{}", runtime.features());
            ExitCode::SUCCESS
        }
        Err(error) => {
            row("runtime", &error.to_string());
            println!("\n{}", saferring::features());
            ExitCode::FAILURE
        }
    }
}

/// A name and what there is to say of it, in lines of 120 characters.
fn row(name: &str, text: &str) {
    const NAME: usize = 18;
    const WIDTH: usize = 120 - NAME - 1;
    let mut line = String::new();
    let mut name = name;
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            println!("{name:<NAME$} {line}");
            line.clear();
            name = "";
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    println!("{name:<NAME$} {line}");
}

/// The first line of a small file.
fn read(path: impl AsRef<Path>) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.lines().next()?.trim().to_owned())
}

fn kernel() -> String {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".into());
    format!("{release} ({})", std::env::consts::ARCH)
}

/// What the usual container runtimes leave behind.
fn container() -> String {
    let cgroup = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let is_in = |word: &str| cgroup.contains(word);
    let marks = [
        (
            "docker",
            Path::new("/.dockerenv").exists() || is_in("docker"),
        ),
        (
            "podman",
            Path::new("/run/.containerenv").exists() || is_in("libpod"),
        ),
        (
            "kubernetes",
            std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() || is_in("kubepods"),
        ),
        ("containerd", is_in("cri-containerd")),
        ("lxc", is_in("/lxc")),
    ];
    let found: Vec<_> = marks
        .into_iter()
        .filter_map(|(name, is_there)| is_there.then_some(name))
        .collect();
    match found.is_empty() {
        true => "none that is known".into(),
        false => found.join(", "),
    }
}

/// A line of what the kernel tells of this process.
fn status(name: &str) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches(':').trim().to_owned())
}

fn user() -> String {
    let ids = status("Uid").unwrap_or_default();
    let effective = ids.split_whitespace().nth(1).unwrap_or("unknown");
    let seccomp = match status("Seccomp").as_deref() {
        Some("0") => "no seccomp filter",
        Some("1") => "seccomp in strict mode",
        Some("2") => "a seccomp filter",
        _ => "seccomp unknown",
    };
    format!("uid {effective}, {seccomp}")
}

fn limits() -> String {
    let soft = |resource: Resource| resource.get_soft();
    let kib = |limit: std::io::Result<u64>| match limit {
        Ok(INFINITY) => "unlimited".to_owned(),
        Ok(bytes) => format!("{} KiB", bytes / 1024),
        Err(_) => "unknown".to_owned(),
    };
    let number = |limit: std::io::Result<u64>| match limit {
        Ok(INFINITY) => "unlimited".to_owned(),
        Ok(number) => number.to_string(),
        Err(_) => "unknown".to_owned(),
    };
    format!(
        "locked memory {}, descriptors {}, processes {}",
        kib(soft(Resource::MEMLOCK)),
        number(soft(Resource::NOFILE)),
        number(soft(Resource::NPROC)),
    )
}

fn io_uring() -> String {
    let meaning = match read("/proc/sys/kernel/io_uring_disabled").as_deref() {
        None => "no sysctl for it (Linux before 6.6)",
        Some("0") => "allowed to all",
        Some("1") => "allowed to root and to the group of kernel.io_uring_group",
        Some("2") => "switched off (kernel.io_uring_disabled = 2)",
        Some(_) => "kernel.io_uring_disabled is of an unknown value",
    };
    match read("/proc/sys/kernel/io_uring_group") {
        Some(group) => format!("{meaning}; kernel.io_uring_group = {group}"),
        None => meaning.to_owned(),
    }
}

fn describe(ring: &RingInfo) -> String {
    format!(
        "{} entries, {} completions, setup flags {:#x}, at most {} and {} threads of the kernel",
        ring.submission_entries,
        ring.completion_entries,
        ring.setup_flags,
        ring.bounded_workers,
        ring.unbounded_workers,
    )
}
