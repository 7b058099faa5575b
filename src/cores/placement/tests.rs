//! Placements on machines made of files, and on this one.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A machine: what lies in its /proc and /sys. Removed afterwards.
struct Machine(PathBuf);

impl Machine {
    /// Without any file.
    fn bare() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("saferring-placement-{}-{n}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(&root).unwrap();
        Machine(root)
    }

    /// Two nodes of two cores, each of two threads: 0-1 and 4-5, 2-3 and 6-7. Cores have the same numbers in each package.
    fn two_nodes() -> Self {
        let mut machine = Machine::bare()
            .with("sys/devices/system/cpu/online", "0-7\n")
            .with("sys/devices/system/cpu/present", "0-7\n")
            .with("sys/devices/system/node/online", "0-1\n")
            .with("sys/devices/system/node/node0/cpulist", "0-1,4-5\n")
            .with("sys/devices/system/node/node1/cpulist", "2-3,6-7\n")
            .with("proc/self/cgroup", "0::/\n")
            .with("proc/self/mountinfo", V2);
        for cpu in 0..8 {
            let (first, package) = (cpu % 4, cpu % 4 / 2);
            machine = machine
                .topology(
                    cpu,
                    "thread_siblings_list",
                    &format!("{first},{}\n", first + 4),
                )
                .topology(cpu, "core_id", &format!("{}\n", cpu % 2))
                .topology(cpu, "physical_package_id", &format!("{package}\n"));
        }
        machine
    }

    fn with(self, file: &str, text: &str) -> Self {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn topology(self, cpu: usize, file: &str, text: &str) -> Self {
        self.with(
            &format!("sys/devices/system/cpu/cpu{cpu}/topology/{file}"),
            text,
        )
    }

    fn without(self, path: &str) -> Self {
        let path = self.0.join(path);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        self
    }

    /// What a thread with this mask gets.
    fn place(&self, mask: &str, placement: Placement) -> Result<Placed, PlacementError> {
        let mask = Mask {
            cpus: list::parse(mask).unwrap(),
            online_only: true,
        };
        place_on(&self.0, mask, &placement, Vec::new())
    }

    /// The CPUs that it gets, and how many notes come with them.
    fn cpus(&self, mask: &str, placement: Placement) -> (Vec<usize>, usize) {
        let placed = self.place(mask, placement).unwrap();
        (numbers(&placed), placed.notes.len())
    }

    /// What the error says.
    fn error(&self, mask: &str, placement: Placement) -> String {
        self.place(mask, placement).unwrap_err().to_string()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn numbers(placed: &Placed) -> Vec<usize> {
    placed.cpus.iter().map(|cpu| cpu.cpu).collect()
}

#[track_caller]
fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

const V2: &str = "\
24 1 0:22 / /sys rw,nosuid - sysfs sysfs rw
30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate
";
const V1: &str = "\
30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:29 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
32 30 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
";

#[test]
fn all_are_those_of_the_mask() {
    let machine = Machine::two_nodes();
    let placed = machine.place("0-7", Placement::All).unwrap();
    assert_eq!(numbers(&placed), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(placed.notes, [""; 0]);
    let nodes: Vec<_> = placed.cpus.iter().map(|cpu| cpu.node).collect();
    assert_eq!(nodes, [0, 0, 1, 1, 0, 0, 1, 1].map(Some));
    assert_eq!(placed.nodes[&1], BTreeSet::from([2, 3, 6, 7]));
    assert_eq!(machine.cpus("1,4-6", Placement::All).0, [1, 4, 5, 6]);
}

#[test]
fn physical_cores_have_one_each() {
    let machine = Machine::two_nodes();
    assert_eq!(
        machine.cpus("0-7", Placement::Physical).0,
        [0, 1, 2, 3],
        "core_id alone would say two"
    );
    // The second thread stands for a core whose first is not in the mask.
    assert_eq!(machine.cpus("1,3-7", Placement::Physical).0, [1, 3, 4, 6]);
}

#[test]
fn a_count_takes_cores_first() {
    let machine = Machine::two_nodes();
    for (count, expected) in [
        (1, vec![0]),
        (2, vec![0, 1]),
        (3, vec![0, 1, 2]),
        (4, vec![0, 1, 2, 3]),
        (6, vec![0, 1, 2, 3, 4, 5]),
        (8, vec![0, 1, 2, 3, 4, 5, 6, 7]),
    ] {
        assert_eq!(machine.cpus("0-7", Placement::Count(count)), (expected, 0));
    }
    // 4 and 0 are one core; 7 is the only one of its.
    assert_eq!(machine.cpus("0,4,7", Placement::Count(2)).0, [0, 7]);
    // Where numbers go by cores, and not by threads: the same.
    let machine = Machine::bare()
        .with("sys/devices/system/cpu/online", "0-3")
        .with("sys/devices/system/node/node0/cpulist", "0-3")
        .with("proc/self/cgroup", "")
        .with("proc/self/mountinfo", "")
        .topology(0, "thread_siblings_list", "0-1")
        .topology(1, "thread_siblings_list", "0-1")
        .topology(2, "thread_siblings_list", "2-3")
        .topology(3, "thread_siblings_list", "2-3");
    assert_eq!(
        machine.cpus("0-3", Placement::Count(2)),
        (vec![0, 2], 0),
        "no note"
    );
}

#[test]
fn a_count_beyond_the_machine_is_an_error() {
    let machine = Machine::two_nodes();
    contains(
        &machine.error("0-2", Placement::Count(4)),
        &["4 CPUs are asked for", "may use 3", "at most 3", "taskset"],
    );
    let none = machine.place("0-7", Placement::Count(0)).unwrap_err();
    assert!(matches!(none, PlacementError::Empty), "{none}");
    contains(
        &none.to_string(),
        &["no CPU is asked for", "Placement::All"],
    );
}

#[test]
fn a_list_is_taken_as_it_is() {
    let machine = Machine::two_nodes();
    assert_eq!(
        machine.cpus("0-7", Placement::List(vec![6, 1, 3])),
        (vec![6, 1, 3], 0)
    );
    let placed = machine.place("0-7", Placement::List(vec![6])).unwrap();
    assert_eq!(placed.cpus[0].node, Some(1));
}

#[test]
fn each_wrong_one_of_a_list_is_named() {
    let machine = Machine::two_nodes()
        .with("sys/devices/system/cpu/online", "0-6\n")
        .with("sys/devices/system/cpu/present", "0-7,2000\n");
    let list = vec![1, 9, 1, 7, 5, 2000, usize::MAX];
    let error = machine.place("0-4", Placement::List(list)).unwrap_err();
    contains(
        &error.to_string(),
        &[
            "CPU 1 is named twice",
            "CPU 9 does not exist",
            "CPU 7 is offline",
            "CPU 5 is not in the affinity mask",
            "CPU 2000 is offline",
            "may use (0-4)",
        ],
    );
    let PlacementError::Unusable { cpus, usable, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(cpus, [1, 5, 7, 9, 2000, usize::MAX]);
    assert_eq!(usable, [0, 1, 2, 3, 4]);
    let error = machine.place("0-4", Placement::List(vec![])).unwrap_err();
    assert!(matches!(error, PlacementError::Empty), "{error}");
    // Without /sys all that is known is the mask.
    let error = Machine::bare().error("0-4", Placement::List(vec![5]));
    contains(&error, &["CPU 5 is not in the affinity mask"]);
}

#[test]
fn a_node_has_its_cpus() {
    let machine = Machine::two_nodes().with("sys/devices/system/node/node2/cpulist", "\n");
    assert_eq!(
        machine.cpus("0-7", Placement::Node(1)),
        (vec![2, 3, 6, 7], 0)
    );
    assert_eq!(machine.cpus("1-2,4", Placement::Node(0)).0, [1, 4]);
    contains(
        &machine.error("0-7", Placement::Node(5)),
        &["no NUMA node 5", "are 0-2"],
    );
    contains(
        &machine.error("0-1", Placement::Node(1)),
        &["node 1 has no CPU that the process may use", "nodes 0,"],
    );
    // It has memory alone.
    let error = machine.place("0-7", Placement::Node(2)).unwrap_err();
    assert!(
        matches!(&error, PlacementError::NodeWithoutCpu { nodes, .. } if *nodes == [0, 1]),
        "{error}"
    );
}

#[test]
fn a_quota_of_v2_cuts_what_is_not_a_number() {
    let machine = Machine::two_nodes().with("sys/fs/cgroup/cpu.max", "150000 100000\n");
    let placed = machine.place("0-7", Placement::All).unwrap();
    assert_eq!(numbers(&placed), [0, 1]);
    contains(&placed.notes[0], &["1.5 CPUs", "on 2 of 8 (0-1)"]);
    assert_eq!(machine.cpus("0-7", Placement::Physical), (vec![0, 1], 1));
    // Both cores of the node, no two threads of one.
    assert_eq!(machine.cpus("2-3,6-7", Placement::Node(1)), (vec![2, 3], 1));
    assert_eq!(machine.cpus("0,4-5", Placement::All), (vec![0, 5], 1));
    assert_eq!(machine.cpus("0-1", Placement::All), (vec![0, 1], 0));

    let placed = machine.place("0-7", Placement::Count(3)).unwrap();
    assert_eq!(numbers(&placed), [0, 1, 2]);
    contains(&placed.notes[0], &["1.5 CPUs", "3 are asked for"]);
    assert_eq!(machine.cpus("0-7", Placement::Count(2)), (vec![0, 1], 0));
    assert_eq!(
        machine.cpus("0-7", Placement::List(vec![7, 3, 4])),
        (vec![7, 3, 4], 1)
    );
}

#[test]
fn quotas_are_rounded_up() {
    for (text, threads) in [
        ("1000 100000", 1),
        ("100000 100000", 1),
        ("100001 100000", 2),
        ("200000 100000", 2),
        ("25000 10000", 3),
        ("max 100000", 8),
        ("18446744073709551615 1", 8),
    ] {
        let machine = Machine::two_nodes().with("sys/fs/cgroup/cpu.max", text);
        let (cpus, _) = machine.cpus("0-7", Placement::All);
        assert_eq!(cpus.len(), threads, "{text}");
    }
}

#[test]
fn the_smallest_quota_on_the_way_up_wins() {
    let machine = |own, parent, top| {
        Machine::two_nodes()
            .with("proc/self/cgroup", "0::/a.slice/b.service\n")
            .with("sys/fs/cgroup/a.slice/b.service/cpu.max", own)
            .with("sys/fs/cgroup/a.slice/cpu.max", parent)
            .with("sys/fs/cgroup/cpu.max", top)
    };
    for (own, parent, top) in [
        ("300000 100000", "max 100000", "max 100000"),
        ("max 100000", "30000 10000", "400000 100000"),
        ("700000 100000", "600000 100000", "3000 1000"),
    ] {
        let (cpus, notes) = machine(own, parent, top).cpus("0-7", Placement::All);
        assert_eq!((cpus.len(), notes), (3, 1), "{own}, {parent}, {top}");
    }
    // A group beside it does not count.
    let machine = machine("max 100000", "max 100000", "max 100000")
        .with("sys/fs/cgroup/a.slice/c.service/cpu.max", "100000 100000");
    assert_eq!(machine.cpus("0-7", Placement::All).0.len(), 8);
}

#[test]
fn containers_see_their_group_as_the_topmost() {
    let limit = "200000 100000";
    // Their own namespace: the path is `/`.
    let own = Machine::two_nodes().with("sys/fs/cgroup/cpu.max", limit);
    assert_eq!(own.cpus("0-7", Placement::All).0.len(), 2);
    // The host's path, and a mount of the group alone.
    let host = Machine::two_nodes()
        .with("proc/self/cgroup", "0::/docker/1a2b/inner\n")
        .with(
            "proc/self/mountinfo",
            &V2.replace("0:26 / ", "0:26 /docker/1a2b "),
        )
        .with("sys/fs/cgroup/inner/cpu.max", "max 100000")
        .with("sys/fs/cgroup/cpu.max", limit);
    assert_eq!(host.cpus("0-7", Placement::All).0.len(), 2);
    // Moved out of the namespace, or a path that is nowhere to be seen.
    for path in ["/../b", "/../../x/y", "/elsewhere"] {
        let moved = Machine::two_nodes()
            .with("proc/self/cgroup", &format!("0::{path}\n"))
            .with("sys/fs/b/cpu.max", "100000 100000")
            .with("sys/fs/cgroup/cpu.max", limit);
        assert_eq!(moved.cpus("0-7", Placement::All).0.len(), 2, "{path}");
    }
    // Elsewhere, with a space in its name.
    let elsewhere = Machine::two_nodes()
        .with(
            "proc/self/mountinfo",
            &V2.replace("/sys/fs/cgroup", "/my\\040groups"),
        )
        .with("my groups/cpu.max", limit);
    assert_eq!(elsewhere.cpus("0-7", Placement::All).0.len(), 2);
}

#[test]
fn a_quota_of_v1_is_respected() {
    let machine = |quota: &str, period: &str| {
        Machine::two_nodes()
            .with(
                "proc/self/cgroup",
                "12:cpuset:/x\n4:cpu,cpuacct:/docker/1a2b\n1:name=systemd:/docker/1a2b\n0::/\n",
            )
            .with("proc/self/mountinfo", V1)
            .with(
                "sys/fs/cgroup/cpu,cpuacct/docker/1a2b/cpu.cfs_quota_us",
                quota,
            )
            .with(
                "sys/fs/cgroup/cpu,cpuacct/docker/1a2b/cpu.cfs_period_us",
                period,
            )
            .with("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
            .with("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    };
    let placed = machine("250000\n", "100000\n")
        .place("0-7", Placement::All)
        .unwrap();
    assert_eq!(numbers(&placed), [0, 1, 2]);
    contains(&placed.notes[0], &["2.5 CPUs"]);
    let (cpus, notes) = machine("-1\n", "100000\n").cpus("0-7", Placement::All);
    assert_eq!((cpus.len(), notes), (8, 0));
    let above = machine("-1\n", "100000\n")
        .with("sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us", "50000")
        .with(
            "sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us",
            "100000",
        );
    assert_eq!(above.cpus("0-7", Placement::All).0.len(), 1);
    for (quota, period) in [("", ""), ("100000", ""), ("100000", "0"), ("x", "100000")] {
        let (cpus, notes) = machine(quota, period).cpus("0-7", Placement::All);
        assert_eq!((cpus.len(), notes), (8, 1), "{quota:?} {period:?}");
    }
}

#[test]
fn offline_cpus_are_not_used() {
    let machine = Machine::two_nodes().with("sys/devices/system/cpu/online", "0-3,6-7\n");
    // The kernel's mask has left them out, that of /proc has not.
    assert_eq!(
        machine.cpus("0-3,6-7", Placement::All),
        (vec![0, 1, 2, 3, 6, 7], 0)
    );
    let mask = Mask {
        cpus: (0..8).collect(),
        online_only: false,
    };
    let placed = place_on(&machine.0, mask, &Placement::All, Vec::new()).unwrap();
    assert_eq!(numbers(&placed), [0, 1, 2, 3, 6, 7]);
    assert_eq!(placed.notes, [""; 0]);
}

#[test]
fn a_list_of_online_cpus_that_lies_changes_nothing() {
    for (online, online_only) in [("0-1\n", true), ("0-1\n", false), ("4\n", true)] {
        let machine = Machine::two_nodes().with("sys/devices/system/cpu/online", online);
        let mask = Mask {
            cpus: BTreeSet::from([4, 6]),
            online_only,
        };
        let placed = place_on(&machine.0, mask, &Placement::All, Vec::new()).unwrap();
        assert_eq!(numbers(&placed), [4, 6], "{online:?}");
        contains(&placed.notes[0], &["cpu/online has no"]);
    }
}

#[test]
fn without_sys_and_proc_each_cpu_is_a_core_of_one_node() {
    let machine = Machine::bare();
    let placed = machine.place("0-2,9", Placement::Physical).unwrap();
    assert_eq!(numbers(&placed), [0, 1, 2, 9]);
    assert!(placed.cpus.iter().all(|cpu| cpu.node == Some(0)));
    for (note, parts) in placed.notes.iter().zip([
        ["cpu/online", "does not tell"],
        ["physical cores", "0-2,9"],
        ["NUMA nodes", "one node"],
        ["/proc/self/cgroup", "quota"],
    ]) {
        contains(note, &parts);
    }
    assert_eq!(placed.notes.len(), 4);
    assert_eq!(machine.cpus("0-2,9", Placement::Node(0)).0, [0, 1, 2, 9]);
    contains(
        &machine.error("0-2", Placement::Node(1)),
        &["no NUMA node 1", "are 0"],
    );
}

#[test]
fn cores_are_known_by_their_numbers_too() {
    let mut machine = Machine::two_nodes();
    for cpu in 0..8 {
        machine = machine.without(&format!(
            "sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        ));
    }
    assert_eq!(
        machine.cpus("0-7", Placement::Physical),
        (vec![0, 1, 2, 3], 0)
    );
    // Some machines do not number them.
    let machine = machine.topology(5, "core_id", "-1\n");
    assert_eq!(
        machine.cpus("0-7", Placement::Physical),
        (vec![0, 1, 2, 3, 5], 1)
    );
}

#[test]
fn broken_files_are_as_good_as_none() {
    for text in [
        "",
        "\n",
        "x",
        "7-3",
        "99999999999999999999",
        "\0\0",
        "0-99999",
    ] {
        let mut machine = Machine::two_nodes()
            .with("sys/devices/system/cpu/online", text)
            .with("sys/fs/cgroup/cpu.max", text)
            .with("sys/devices/system/node/node0/cpulist", text)
            .with("sys/devices/system/node/node1/cpulist", text)
            .with("sys/devices/system/node/nodes/cpulist", text);
        for cpu in 0..8 {
            for file in ["thread_siblings_list", "core_id", "physical_package_id"] {
                machine = machine.topology(cpu, file, text);
            }
        }
        let placed = machine.place("0-7", Placement::Physical).unwrap();
        assert_eq!(numbers(&placed), [0, 1, 2, 3, 4, 5, 6, 7], "{text:?}");
        assert!(placed.notes.len() >= 4, "{text:?}: {:?}", placed.notes);
        assert_eq!(machine.cpus("0-7", Placement::Node(0)).0.len(), 8);
    }
    // What is no text.
    let machine = Machine::two_nodes();
    for file in [
        "sys/devices/system/cpu/online",
        "sys/devices/system/node/node1/cpulist",
        "proc/self/cgroup",
    ] {
        fs::write(machine.0.join(file), [0xff, 0xfe, 0]).unwrap();
    }
    let placed = machine.place("0-7", Placement::All).unwrap();
    assert_eq!(numbers(&placed).len(), 8);
    assert_eq!(placed.notes.len(), 3, "{:?}", placed.notes);
    // Those that a node lost are on none that is known.
    assert_eq!((placed.cpus[0].node, placed.cpus[2].node), (Some(0), None));
    // A folder where a file should be, and lines that are no cgroups.
    let machine = Machine::two_nodes()
        .with("sys/fs/cgroup/cpu.max/x", "")
        .with("proc/self/cgroup", "\n:\n::\nx\n0::/\n4:cpu\n");
    assert_eq!(machine.cpus("0-7", Placement::All), ((0..8).collect(), 1));
}

#[test]
fn a_core_is_not_one_whose_list_lacks_it() {
    let machine = Machine::two_nodes()
        .topology(1, "thread_siblings_list", "0-7\n")
        .topology(5, "thread_siblings_list", "2\n");
    // What CPU 1 claims comes too late for CPU 0, and 5 is on the list of 1.
    assert_eq!(machine.cpus("0-7", Placement::Physical).0, [0, 1]);
    let machine = Machine::two_nodes().topology(5, "thread_siblings_list", "2\n");
    assert_eq!(machine.cpus("4-7", Placement::Physical).0, [4, 5, 6, 7]);
}

#[test]
fn without_mounts_cgroups_are_where_they_usually_are() {
    let machine = Machine::two_nodes()
        .without("proc/self/mountinfo")
        .with("proc/self/cgroup", "3:cpu:/a\n0::/b\n")
        .with("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "300000")
        .with("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000")
        .with("sys/fs/cgroup/b/cpu.max", "200000 100000");
    let placed = machine.place("0-7", Placement::All).unwrap();
    assert_eq!(numbers(&placed), [0, 1]);
    contains(&placed.notes[0], &["mountinfo", "/sys/fs/cgroup"]);
}

#[test]
fn cpus_beyond_a_set_are_left_out() {
    let machine = Machine::bare()
        .with("sys/devices/system/cpu/online", "0-4095\n")
        .with("sys/devices/system/cpu/present", "0-4095\n")
        .with("sys/devices/system/node/node0/cpulist", "0-2047")
        .with("sys/devices/system/node/node1/cpulist", "2048-4095")
        .with("proc/self/cgroup", "0::/\n")
        .with("proc/self/mountinfo", V2)
        .topology(0, "thread_siblings_list", "0-3");
    let status = "Name:\tx\nCpus_allowed:\tffffffff,ffffffff\nCpus_allowed_list:\t0-4095\n";
    let machine = machine.with("proc/thread-self/status", status);
    let mut notes = Vec::new();
    let refused = io::Error::from_raw_os_error(libc::EINVAL);
    let mask = affinity::in_proc(&machine.0, refused, &mut notes).unwrap();
    assert_eq!(mask.cpus.len(), 4096);
    let placed = place_on(&machine.0, mask, &Placement::All, notes).unwrap();
    assert_eq!(numbers(&placed), (0..1024).collect::<Vec<_>>());
    contains(&placed.notes[0], &["sched_getaffinity(2) is refused"]);
    contains(&placed.notes[1], &["1024-4095", "below 1024"]);
    assert_eq!(machine.cpus("0-4095", Placement::Physical).0.len(), 1021);
    contains(
        &machine.error("0-4095", Placement::List(vec![3000])),
        &["CPU 3000 is too high"],
    );
    contains(
        &machine.error("0-4095", Placement::Node(1)),
        &["node 1 has no CPU"],
    );
    contains(
        &machine.error("2000-2007", Placement::All),
        &["no CPU below 1024", "taskset"],
    );
}

#[test]
fn a_mask_that_nobody_tells_is_an_error() {
    for status in [
        "",
        "Name:\tx\n",
        "Cpus_allowed_list:\t\n",
        "Cpus_allowed_list:\tx\n",
    ] {
        let machine = Machine::bare().with("proc/thread-self/status", status);
        let refused = io::Error::from_raw_os_error(libc::EPERM);
        let error = affinity::in_proc(&machine.0, refused, &mut Vec::new()).unwrap_err();
        contains(
            &error.to_string(),
            &["sched_getaffinity(2)", "os error 1", "seccomp", "/proc"],
        );
    }
}

/// On a thread of its own, which may be pinned.
fn on_a_thread(body: impl FnOnce() + Send + 'static) {
    if let Err(panic) = std::thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn this_machine_has_cpus_that_threads_can_be_pinned_to() {
    on_a_thread(|| {
        let all = place(&Placement::All).unwrap();
        let allowed = affinity::current(Path::new("/"), &mut Vec::new()).unwrap();
        assert!(all.cpus.iter().all(|one| allowed.cpus.contains(&one.cpu)));
        let in_proc = affinity::in_proc(
            Path::new("/"),
            io::Error::from_raw_os_error(libc::EINVAL),
            &mut Vec::new(),
        );
        assert!(allowed.cpus.is_subset(&in_proc.unwrap().cpus));
        let outside = (0..affinity::END).find(|cpu| !allowed.cpus.contains(cpu));
        for &Cpu { cpu, .. } in &all.cpus {
            on_a_thread(move || {
                pin(cpu).unwrap();
                // The calling thread is what counts.
                assert_eq!(numbers(&place(&Placement::All).unwrap()), [cpu]);
                assert_eq!(rustix::thread::sched_getcpu(), cpu);
            });
        }
        if let Some(outside) = outside {
            let error = place(&Placement::List(vec![outside])).unwrap_err();
            contains(&error.to_string(), &[&format!("CPU {outside} ")]);
        }
    });
}

#[test]
fn pinning_to_what_there_is_not_is_an_error() {
    on_a_thread(|| {
        for cpu in [1024, 4096, usize::MAX] {
            let error = pin(cpu).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            contains(&error.to_string(), &[&format!("CPU {cpu}:"), "below 1024"]);
        }
        let possible = affinity::read_list(Path::new("/"), "sys/devices/system/cpu/possible");
        let Some(last) = possible.as_ref().and_then(|cpus| cpus.last()) else {
            return;
        };
        if last + 1 < affinity::END {
            let error = pin(last + 1).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            contains(&error.to_string(), &["must be online", "cpuset"]);
        }
    });
}
