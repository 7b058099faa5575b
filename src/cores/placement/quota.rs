//! How much CPU time the process's cgroups allow: cgroups(7), and cgroup-v2.rst and sched-bwc.rst of Linux.
#![forbid(unsafe_code)]

use std::cmp::Ordering;
use std::fmt;
use std::fs::read_to_string;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// So much time of all CPUs together in each period, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    time: u64,
    period: u64,
}

impl Quota {
    fn new(time: u64, period: u64) -> Option<Self> {
        (period > 0).then_some(Quota { time, period })
    }

    /// How many CPUs it keeps busy, the last one in part.
    pub(super) fn threads(self) -> usize {
        usize::try_from(self.time.div_ceil(self.period))
            .unwrap_or(usize::MAX)
            .max(1)
    }

    fn compare(&self, other: &Self) -> Ordering {
        let (a, b) = (u128::from(self.time), u128::from(other.time));
        (a * u128::from(other.period)).cmp(&(b * u128::from(self.period)))
    }
}

/// In CPUs.
impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = (self.time as f64 / self.period as f64 * 100.0).round();
        write!(f, "{}", hundredths / 100.0)
    }
}

/// The two kinds of cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// The smallest quota of the process's cgroups and all above them, as far as they can be seen.
pub(super) fn read(root: &Path, notes: &mut Vec<String>) -> Option<Quota> {
    let Ok(groups) = read_to_string(root.join("proc/self/cgroup")) else {
        notes.push("/proc/self/cgroup cannot be read, so no CPU quota is known".to_owned());
        return None;
    };
    let mounts = read_to_string(root.join("proc/self/mountinfo")).ok();
    if mounts.is_none() {
        notes.push(
            "/proc/self/mountinfo cannot be read; cgroups are looked for in /sys/fs/cgroup"
                .to_owned(),
        );
    }
    let mut found: Vec<Quota> = Vec::new();
    for (version, group) in groups.lines().filter_map(group) {
        let mounts = match &mounts {
            Some(text) => text
                .lines()
                .filter_map(|line| mount(version, line))
                .collect(),
            None => usual(version),
        };
        // Of several mounts that which shows the group itself.
        let shows = |mount: &&Mount| Path::new(group).starts_with(&mount.root);
        let Some(mount) = mounts.iter().find(shows).or(mounts.first()) else {
            continue;
        };
        for folder in mount.folders(group) {
            found.extend(of_folder(version, root, &folder, notes));
        }
    }
    found.into_iter().min_by(Quota::compare)
}

/// A line of /proc/self/cgroup, if it is about CPU time: `0::/a/b`, or `4:cpu,cpuacct:/a/b`.
fn group(line: &str) -> Option<(Version, &str)> {
    let mut fields = line.splitn(3, ':');
    let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    match (number, controllers) {
        ("0", "") => Some((Version::V2, path)),
        _ if controllers.split(',').any(|one| one == "cpu") => Some((Version::V1, path)),
        _ => None,
    }
}

/// Where cgroups can be seen.
#[derive(Debug)]
struct Mount {
    /// The group that is seen as the topmost one.
    root: PathBuf,
    point: PathBuf,
}

impl Mount {
    /// The folders of the group and all above it, as far up as the mount shows. A group that lies outside of it is seen as
    /// its topmost one by whom the mount was made for.
    fn folders(&self, group: &str) -> Vec<PathBuf> {
        let below = Path::new(group).strip_prefix(&self.root);
        let normal = |path: &&Path| {
            path.components()
                .all(|one| matches!(one, Component::Normal(_)))
        };
        let below = below.ok().filter(normal).unwrap_or(Path::new(""));
        let ways = below.ancestors();
        ways.map(|way| self.point.join(way)).collect()
    }
}

/// A line of /proc/self/mountinfo, if it is a mount of such cgroups.
fn mount(version: Version, line: &str) -> Option<Mount> {
    let (ours, kind) = line.split_once(" - ")?;
    let mut ours = ours.split(' ').skip(3);
    let (root, point) = (ours.next()?, ours.next()?);
    let mut kind = kind.split(' ');
    let (name, options) = (kind.next()?, kind.nth(1)?);
    let is_it = match version {
        Version::V2 => name == "cgroup2",
        Version::V1 => name == "cgroup" && options.split(',').any(|one| one == "cpu"),
    };
    is_it.then(|| Mount {
        root: unescaped(root).into(),
        point: unescaped(point).trim_start_matches('/').into(),
    })
}

/// Where systemd mounts them.
fn usual(version: Version) -> Vec<Mount> {
    let point = match version {
        Version::V2 => "sys/fs/cgroup",
        Version::V1 => "sys/fs/cgroup/cpu",
    };
    vec![Mount {
        root: "/".into(),
        point: point.into(),
    }]
}

/// A path as it is, of which the kernel writes four characters in octal.
fn unescaped(path: &str) -> String {
    path.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

/// The quota of one group, if it has one.
fn of_folder(
    version: Version,
    root: &Path,
    folder: &Path,
    notes: &mut Vec<String>,
) -> Option<Quota> {
    let read = |name| match read_to_string(root.join(folder).join(name)) {
        // The topmost group has none, nor has one without the controller.
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        other => Some(other.unwrap_or_default()),
    };
    let (name, limit) = match version {
        Version::V2 => ("cpu.max", v2(&read("cpu.max")?)),
        Version::V1 => {
            let (time, period) = (read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?);
            ("cpu.cfs_quota_us", v1(&time, &period))
        }
    };
    limit.unwrap_or_else(|| {
        let file = Path::new("/").join(folder).join(name);
        notes.push(format!(
            "{} cannot be understood: it counts as no quota",
            file.display()
        ));
        None
    })
}

/// `150000 100000`, or `max 100000`. The outer option is whether that is understood.
fn v2(text: &str) -> Option<Option<Quota>> {
    let mut words = text.split_whitespace();
    let (time, period) = (words.next()?, words.next()?);
    match time {
        "max" => Some(None),
        _ => Quota::new(time.parse().ok()?, period.parse().ok()?).map(Some),
    }
}

/// `150000` and `100000`; `-1` is without a limit.
fn v1(time: &str, period: &str) -> Option<Option<Quota>> {
    match time.trim() {
        "-1" => Some(None),
        time => Quota::new(time.parse().ok()?, period.trim().parse().ok()?).map(Some),
    }
}
