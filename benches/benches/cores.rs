//! What it costs to ask another core: `saferring::cores` beside a pair of `async-channel`s between two runtimes of saferring.
//!
//! `cargo bench --bench cores` prints CPU time (user and system, of the whole process) and elapsed time a request, the
//! median of some rounds in which all contenders take turns. `--quick` makes fewer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use saferring::cores::{Core, Cores, Mesh, Placement};
use saferring::runtime::Runtime;

/// How many requests are under way at once, and what that is like.
const LOADS: [(usize, &str); 3] = [
    (1, "one at a time"),
    (16, "16 at once"),
    (256, "256 at once"),
];

type Contender = (&'static str, fn(u64, usize));

const CONTENDERS: [Contender; 4] = [
    ("async-channel", channels),
    ("call", calls),
    ("call_now", calls_now),
    ("mesh", messages),
];

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let is_test = std::env::args().any(|argument| argument == "--test");
    let (rounds, requests) = match (is_test, quick) {
        (true, _) => (1, 1_000),
        (_, true) => (3, 40_000),
        _ => (9, 200_000),
    };
    for (depth, load) in LOADS {
        println!("{load}: CPU ns and elapsed ns a request and its answer");
        let mut all = CONTENDERS.map(|_| Vec::new());
        for _ in 0..rounds {
            for ((_, run), results) in CONTENDERS.iter().zip(&mut all) {
                results.push(measured(requests, || run(requests, depth)));
            }
        }
        let first = median(&all[0]);
        for ((name, _), results) in CONTENDERS.iter().zip(&all) {
            let [cpu, elapsed] = median(results);
            let ratio = cpu / first[0];
            println!("  {name:<14} {cpu:>8.0} {elapsed:>8.0}   {ratio:.2} of async-channel's CPU");
        }
    }
}

/// CPU and elapsed time of each of so many requests, in nanoseconds.
fn measured(requests: u64, run: impl FnOnce()) -> [f64; 2] {
    let (cpu, started) = (cpu_time(), Instant::now());
    run();
    let spent = [cpu_time() - cpu, started.elapsed()];
    spent.map(|time| time.as_nanos() as f64 / requests as f64)
}

fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn median(results: &[[f64; 2]]) -> [f64; 2] {
    [0, 1].map(|which| {
        let mut values: Vec<_> = results.iter().map(|result| result[which]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    })
}

/// Two cores, of which the first asks.
fn cores(ask: impl AsyncFn(&Core) + Sync) {
    let cores = Cores::builder()
        .cores(Placement::Count(2))
        .signals(false)
        .build()
        .expect("two CPUs");
    cores
        .run(async |core| {
            if core.id() == 0 {
                ask(&core).await;
                core.shutdown();
            } else {
                core.stopping().await;
            }
        })
        .expect("the cores run");
}

/// Each of `depth` tasks asks its share of the requests.
async fn shared_out<F: Future<Output = ()>>(requests: u64, depth: usize, ask: impl Fn() -> F) {
    let each = requests / depth as u64;
    let askers = (0..depth).map(|_| async {
        for _ in 0..each {
            ask().await;
        }
    });
    join_all(askers).await;
}

fn calls(requests: u64, depth: usize) {
    cores(async |core| {
        shared_out(requests, depth, || async {
            let answer = core.call(1, async |_| 1_u64).await;
            assert_eq!(answer.expect("core 1 is there"), 1);
        })
        .await;
    });
}

fn calls_now(requests: u64, depth: usize) {
    cores(async |core| {
        shared_out(requests, depth, || async {
            let answer = core.call_now(1, |_| 1_u64).await;
            assert_eq!(answer.expect("core 1 is there"), 1);
        })
        .await;
    });
}

/// A message there and one back, `depth` of them under way.
fn messages(requests: u64, depth: usize) {
    let mesh = Mesh::<u64>::new(1024);
    let cores = Cores::builder()
        .cores(Placement::Count(2))
        .signals(false)
        .build()
        .expect("two CPUs");
    cores
        .run(async |core| {
            if core.id() == 0 {
                for n in 0..depth as u64 {
                    mesh.send(1, n).await.expect("core 1 is there");
                }
                for _ in 0..requests - depth as u64 {
                    let (_, n) = mesh.recv().await.expect("core 1 is there");
                    mesh.send(1, n).await.expect("core 1 is there");
                }
            } else {
                while let Some((from, n)) = mesh.recv().await {
                    if mesh.send(from, n).await.is_err() {
                        break;
                    }
                }
            }
        })
        .expect("the cores run");
}

/// A channel there with a place for the answer, and one back, between two runtimes: requests and answers are told apart by
/// their numbers, as a program would that has nothing else.
fn channels(requests: u64, depth: usize) {
    let (ask, asked) = async_channel::bounded::<u64>(1024);
    let (answer, answers) = async_channel::bounded::<u64>(1024);
    let answered = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            Runtime::new().expect("a runtime").block_on(async {
                while let Ok(n) = asked.recv().await {
                    answer.send(n).await.expect("somebody listens");
                }
            });
        });
        Runtime::new().expect("a runtime").block_on(async {
            shared_out(requests, depth, || async {
                ask.send(1).await.expect("somebody answers");
                answers.recv().await.expect("somebody answers");
                answered.fetch_add(1, Ordering::Relaxed);
            })
            .await;
        });
        ask.close();
    });
}
