//! What it costs to ask another core: `saferring::cores` beside `async-channel`, between two runtimes of saferring. *channels* has
//! one for numbers that ask and one for those that answer, in order; *closures* sends closures, as a call does, each with a
//! channel of its own for the answer.
//!
//! `cargo bench --bench cores` prints CPU time (user and system, of the whole process) and elapsed time a request, the
//! median of some rounds in which all contenders take turns. `--quick` makes fewer, `--only NAME` takes one contender, `--load N` one load.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use saferring::cores::{Core, Cores, Mesh, Placement};
use saferring::runtime::Runtime;
use saferring::task::JoinSet;
use saferring_benches::cpu_time;

/// How many requests of a core are under way at once, whether both ask, and what that is like.
const LOADS: [(usize, bool, &str); 4] = [
    (
        1,
        false,
        "one at a time: each waits for the other in the kernel",
    ),
    (16, false, "16 at once"),
    (256, false, "256 at once"),
    (256, true, "both ask, 256 at once: busy cores"),
];

type Contender = (&'static str, fn(u64, usize, bool));

const CONTENDERS: [Contender; 5] = [
    ("channels", channels),
    ("closures", closures),
    ("call", calls),
    ("call_now", calls_now),
    ("mesh", messages),
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let (quick, is_test) = (has("--quick"), has("--test"));
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let (only, one_load) = (value("--only"), value("--load"));
    let is_wanted = |name: &str| only.is_none_or(|only| only == name);
    let contenders = CONTENDERS.into_iter().filter(|(name, _)| is_wanted(name));
    let contenders: Vec<Contender> = contenders.collect();
    let (rounds, requests) = match (is_test, quick) {
        (true, _) => (1, 1_000),
        (_, true) => (3, 40_000),
        _ => (9, 200_000),
    };
    for (number, (depth, both, load)) in LOADS.into_iter().enumerate() {
        if one_load.is_some_and(|one| *one != number.to_string()) {
            continue;
        }
        println!("{load}: CPU ns and elapsed ns a request and its answer");
        let mut all = vec![Vec::new(); contenders.len()];
        for _ in 0..rounds {
            for ((_, run), results) in contenders.iter().zip(&mut all) {
                results.push(measured(requests, || run(requests, depth, both)));
            }
        }
        let first = median(&all[0]);
        for ((name, _), results) in contenders.iter().zip(&all) {
            let [cpu, elapsed] = median(results);
            let ratio = cpu / first[0];
            println!("  {name:<14} {cpu:>8.0} {elapsed:>8.0}   {ratio:.2} of the first's CPU");
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

fn median(results: &[[f64; 2]]) -> [f64; 2] {
    [0, 1].map(|which| {
        let mut values: Vec<_> = results.iter().map(|result| result[which]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    })
}

/// Two cores, each of which asks for so many requests: all of them core 0, or each a half.
fn cores(requests: u64, both: bool, ask: impl AsyncFn(&Core, u64) + Sync) {
    static DONE: AtomicU64 = AtomicU64::new(0);
    DONE.store(0, Ordering::Relaxed);
    let cores = Cores::builder()
        .cores(Placement::Count(2))
        .pinned(false) // As the others are not.
        .signals(false)
        .build()
        .expect("two CPUs");
    let shares = shares(requests, both);
    cores
        .run(async |core| {
            ask(&core, shares[core.id()]).await;
            if DONE.fetch_add(1, Ordering::Relaxed) == 1 {
                core.shutdown();
            }
            core.stopping().await;
        })
        .expect("the cores run");
}

fn shares(requests: u64, both: bool) -> [u64; 2] {
    if both {
        [requests / 2; 2]
    } else {
        [requests, 0]
    }
}

/// Each of `depth` tasks asks its share of the requests.
async fn shared_out<A>(requests: u64, depth: usize, ask: A)
where
    A: AsyncFn() + Clone + 'static,
{
    let each = requests / depth as u64;
    let mut askers = JoinSet::new();
    for _ in 0..depth {
        let ask = ask.clone();
        askers.spawn(async move {
            for _ in 0..each {
                ask().await;
            }
        });
    }
    askers.join_all().await;
}

fn calls(requests: u64, depth: usize, both: bool) {
    cores(requests, both, async |core, requests| {
        let (other, core) = (1 - core.id(), core.clone());
        shared_out(requests, depth, async move || {
            let answer = core.call(other, async |_| 1_u64).await;
            assert_eq!(answer.expect("the other is there"), 1);
        })
        .await;
    });
}

fn calls_now(requests: u64, depth: usize, both: bool) {
    cores(requests, both, async |core, requests| {
        let (other, core) = (1 - core.id(), core.clone());
        shared_out(requests, depth, async move || {
            let answer = core.call_now(other, |_| 1_u64).await;
            assert_eq!(answer.expect("the other is there"), 1);
        })
        .await;
    });
}

/// Messages there and messages back, `depth` of them under way.
fn messages(requests: u64, depth: usize, both: bool) {
    let [ask, answer] = [(); 2].map(|()| Mesh::<u64>::new(1024));
    cores(requests, both, async |core, requests| {
        let other = 1 - core.id();
        let (asked, back) = (ask.clone(), answer.clone());
        drop(saferring::spawn(async move {
            while let Some((from, n)) = asked.recv().await {
                back.send(from, n).await.expect("the other is there");
            }
        }));
        let depth = requests.min(depth as u64);
        for n in 0..depth {
            ask.send(other, n).await.expect("the other is there");
        }
        for n in 0..requests {
            answer.recv().await.expect("the other is there");
            if n < requests - depth {
                ask.send(other, n).await.expect("the other is there");
            }
        }
    });
}

/// For each core a channel of requests and one of answers, between two runtimes: what comes back is told by its order, as
/// each core answers in order.
fn channels(requests: u64, depth: usize, both: bool) {
    let ends = [(); 2].map(|()| {
        let (ask, asked) = async_channel::bounded::<u64>(1024);
        let (answer, answers) = async_channel::bounded::<u64>(1024);
        ((ask, answers), (asked, answer))
    });
    let [(asks0, serves0), (asks1, serves1)] = ends;
    let shares = shares(requests, both);
    std::thread::scope(|scope| {
        // What one asks the other serves.
        let sides = [(asks0, serves1, shares[0]), (asks1, serves0, shares[1])];
        for ((ask, answers), (asked, answer), share) in sides {
            scope.spawn(move || {
                Runtime::new().expect("a runtime").block_on(async move {
                    let serving = saferring::spawn(async move {
                        while let Ok(n) = asked.recv().await {
                            answer.send(n).await.expect("the other listens");
                        }
                    });
                    let closes = ask.clone();
                    shared_out(share, depth, async move || {
                        ask.send(1).await.expect("the other answers");
                        answers.recv().await.expect("the other answers");
                    })
                    .await;
                    closes.close();
                    serving.await.expect("it does not panic");
                });
            });
        }
    });
}

/// For each core a channel of closures, each of which has a channel for its answer.
fn closures(requests: u64, depth: usize, both: bool) {
    type Request = Box<dyn FnOnce() + Send>;
    let [first, second] = [(); 2].map(|()| async_channel::bounded::<Request>(1024));
    let shares = shares(requests, both);
    std::thread::scope(|scope| {
        let sides = [
            (first.0, second.1, shares[0]),
            (second.0, first.1, shares[1]),
        ];
        for (ask, asked, share) in sides {
            scope.spawn(move || {
                Runtime::new().expect("a runtime").block_on(async move {
                    let serving = saferring::spawn(async move {
                        while let Ok(request) = asked.recv().await {
                            request();
                        }
                    });
                    let closes = ask.clone();
                    shared_out(share, depth, async move || {
                        let (answer, answered) = async_channel::bounded::<u64>(1);
                        let request = Box::new(move || _ = answer.try_send(1));
                        ask.send(request).await.expect("the other answers");
                        answered.recv().await.expect("the other answers");
                    })
                    .await;
                    closes.close();
                    serving.await.expect("it does not panic");
                });
            });
        }
    });
}
