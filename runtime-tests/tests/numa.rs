//! Memory lies near its thread: what a runtime has, its kernel ring included, is on the NUMA node of the CPU that its thread is
//! pinned to. `runtime-tests/kernels/run --numa` boots a machine with two nodes for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{read_dir, read_to_string};
use std::hint::black_box;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use futures_util::StreamExt;
use futures_util::future::join_all;
use saferring::Feature;
use saferring::fs::File;
use saferring::net::UnixStream;
use saferring::op::nop;
use saferring::runtime::{Builder, fixed_buffers};
use saferring_tests::{bounded, pin, skipped, uses};

saferring_tests::also_on_software!();

const PAGE: usize = 4096;

/// How many pages lie on which node.
type Pages = BTreeMap<usize, usize>;

/// What was looked at, and where it was found.
type Found = Vec<(&'static str, Pages)>;

/// The nodes that have CPUs, with the first of them.
fn nodes() -> Vec<(usize, usize)> {
    let entries = read_dir("/sys/devices/system/node").into_iter().flatten();
    let mut nodes: Vec<(usize, usize)> = entries
        .flatten()
        .filter_map(|entry| {
            let node = entry
                .file_name()
                .to_str()?
                .strip_prefix("node")?
                .parse()
                .ok()?;
            let cpus = read_to_string(entry.path().join("cpulist")).ok()?;
            let first = cpus.trim().split([',', '-']).next()?.parse().ok()?;
            Some((node, first))
        })
        .collect();
    nodes.sort_unstable();
    nodes
}

/// Where the pages lie that are in `memory` as a whole: move_pages(2), which moves none.
fn pages(memory: &[u8]) -> Pages {
    let whole = memory.as_ptr().align_offset(PAGE)..memory.len();
    let starts: Vec<*const u8> = whole
        .step_by(PAGE)
        .filter(|at| at + PAGE <= memory.len())
        .map(|at| memory[at..].as_ptr())
        .collect();
    let mut states = vec![-1; starts.len()];
    // SAFETY: without nodes the call only looks at the addresses of this process, and writes as many states as it is told,
    // which is how many there are.
    let asked = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            0,
            starts.len(),
            starts.as_ptr(),
            std::ptr::null::<i32>(),
            states.as_mut_ptr(),
            0,
        )
    };
    assert_eq!(asked, 0, "{}", std::io::Error::last_os_error());
    let mut pages = Pages::new();
    for state in states {
        let node = usize::try_from(state).unwrap_or_else(|_| {
            panic!("a page that was written to is not there: {state}");
        });
        *pages.entry(node).or_default() += 1;
    }
    pages
}

fn add(all: &mut Pages, more: Pages) {
    for (node, count) in more {
        *all.entry(node).or_default() += count;
    }
}

/// A mapping of the process, as /proc/self/numa_maps has it.
struct Mapping {
    start: usize,
    is_ring: bool,
    pages: Pages,
}

fn mappings() -> Vec<Mapping> {
    let text = read_to_string("/proc/self/numa_maps").unwrap();
    let mapping = |line: &str| {
        let mut words = line.split_whitespace();
        let start = usize::from_str_radix(words.next()?, 16).ok()?;
        let pages = words.filter_map(|word| {
            let (node, count) = word.strip_prefix('N')?.split_once('=')?;
            Some((node.parse().ok()?, count.parse().ok()?))
        });
        Some(Mapping {
            start,
            is_ring: line.contains("[io_uring]"),
            pages: pages.collect(),
        })
    };
    text.lines().filter_map(mapping).collect()
}

/// The mapping that the memory is in.
fn mapping_of(memory: &[u8]) -> Pages {
    let address = memory.as_ptr().addr();
    let below = mappings().into_iter().filter(|one| one.start <= address);
    let nearest = below.max_by_key(|one| one.start);
    nearest.map(|one| one.pages).unwrap_or_default()
}

/// All pages of the process.
fn total() -> Pages {
    let mut total = Pages::new();
    for mapping in mappings() {
        add(&mut total, mapping.pages);
    }
    total
}

fn rings() -> BTreeMap<usize, Pages> {
    let rings = mappings().into_iter().filter(|one| one.is_ring);
    rings.map(|one| (one.start, one.pages)).collect()
}

#[inline(never)]
fn stack() -> Pages {
    let mut probe = [0u8; 64 * PAGE];
    black_box(&mut probe).fill(1);
    pages(black_box(&probe))
}

/// What a runtime of the calling thread has, and where.
fn look(path: &str) -> Found {
    // What is new in the process is this thread's.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut found = vec![("stack", stack())];
    let before: BTreeSet<usize> = rings().into_keys().collect();
    let runtime = Builder::new().build().unwrap();
    let own: BTreeSet<usize> = rings()
        .into_keys()
        .filter(|ring| !before.contains(ring))
        .collect();
    runtime.block_on(async {
        let file = File::open(path).await.unwrap();
        // A mapping of its own, that the kernel touches first.
        let (read, data) = file.read_at(Vec::with_capacity(1 << 20), 0).await;
        assert_eq!(read.unwrap(), 1 << 20);
        found.push(("buffer", pages(&data)));

        let pool = fixed_buffers().unwrap();
        let (read, data) = file.read_at(pool.take().await, 0).await;
        assert_eq!(read.unwrap(), data.len());
        found.push(("registered buffer", pages(&data)));

        let (stream, peer) = UnixStream::pair().unwrap();
        let mut chunks = stream.recv_stream();
        let (mut kept, mut all) = (Vec::new(), Pages::new());
        for round in 0..32u8 {
            peer.write_all(vec![round; 4 * PAGE]).await.0.unwrap();
            let mut left = 4 * PAGE;
            while left > 0 {
                let chunk = chunks.next().await.unwrap().unwrap();
                left -= chunk.len();
                add(&mut all, pages(&chunk));
                kept.push(chunk);
            }
        }
        found.push(("provided buffers", all));

        // The table grows with what is in flight.
        let before = total();
        let nops: Vec<_> = (0..10_000).map(|_| nop().submit()).collect();
        let mut table = total();
        for (node, pages) in &mut table {
            *pages = pages.saturating_sub(before.get(node).copied().unwrap_or(0));
        }
        found.push(("table", table));
        assert!(join_all(nops).await.iter().all(Result::is_ok));
        found.push(("heap", mapping_of(&[*Box::new(1)])));
    });
    let mut all = Pages::new();
    for (start, pages) in rings() {
        if own.contains(&start) {
            add(&mut all, pages);
        }
    }
    found.push(("ring", all));
    found
}

#[test]
fn memory_lies_on_the_node_of_its_thread() {
    bounded(|| {
        let nodes = nodes();
        if nodes.len() < 2 {
            return skipped("one NUMA node");
        }
        let name = format!("saferring-numa-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, vec![7; 1 << 20]).unwrap();
        let (told, results) = mpsc::channel();
        let mut threads = Vec::new();
        for &(node, cpu) in &nodes {
            pin(cpu);
            let (told, path) = (told.clone(), path.to_str().unwrap().to_owned());
            let (stay, end) = mpsc::channel::<()>();
            let thread = thread::spawn(move || {
                told.send((node, look(&path))).unwrap();
                drop(told);
                // What a thread leaves at its end, its stack and its heap, the next one gets, wherever that is.
                let _ = end.recv();
            });
            threads.push((stay, thread));
        }
        drop(told);
        let found: Vec<(usize, Found)> = results.iter().collect();
        for (stay, thread) in threads {
            drop(stay);
            thread.join().unwrap();
        }
        let _ = std::fs::remove_file(&path);
        for (node, found) in &found {
            for (what, pages) in found {
                let line = format!("a thread on node {node}: {what}: pages by node: {pages:?}\n");
                // Not by a macro: libtest keeps what those write of tests that pass.
                let _ = std::io::stderr().write_all(line.as_bytes());
            }
        }
        assert_eq!(found.len(), nodes.len());
        for (node, found) in found {
            for (what, pages) in found {
                let (here, all) = (pages.get(&node).copied().unwrap_or(0), pages.values().sum());
                let right = match what {
                    // Something of the heap was there before the thread, and of a table something may lie in it.
                    "heap" | "table" => here * 10 > all * 9,
                    // 5.10 does not tell where it is, 6.1 and later do. The software ring is ordinary memory.
                    "ring" if !uses(Feature::DeferTaskrun) => here == all,
                    _ => here == all && here > 0,
                };
                assert!(right, "{what} of a thread on node {node}: {pages:?}");
            }
        }
    });
}
