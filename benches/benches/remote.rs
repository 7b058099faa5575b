//! Reads of files in a program on tokio: `saferring::remote` beside `tokio::fs` and beside pread(2) by `spawn_blocking`.
//!
//! `cargo bench --bench remote` reads ranges of 1 to 4 KiB out of a file of 1 GiB that the page cache holds, and blocks of 4 KiB
//! with `O_DIRECT`, from tasks on two threads of tokio's. All contenders take turns, in an order shuffled anew each round. It
//! prints CPU time (user and system, of the whole process, the kernel's workers included) and elapsed time a read: medians over
//! the rounds, and the median of each round's ratio to the first contender's, with the quartiles. `--quick` has a
//! smaller file and fewer rounds, `--rounds N` so many, `--tasks N` another number of tasks.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use saferring::buf::{AlignedBuf, IoBuf};
use saferring::remote::{File, Files};
use saferring_benches::cpu_time;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, spawn_blocking};

/// As the device wants them with `O_DIRECT`.
const BLOCK: usize = 4096;

/// What is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cached,
    Direct,
}

/// Numbers of each round.
struct Load {
    kind: Kind,
    path: PathBuf,
    len: u64,
    tasks: u64,
    reads: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Contender {
    TokioFs,
    SpawnBlocking,
    Remote,
    RemoteTwoRings,
}

impl Contender {
    const ALL: [Contender; 4] = [
        Contender::TokioFs,
        Contender::SpawnBlocking,
        Contender::Remote,
        Contender::RemoteTwoRings,
    ];

    fn name(self) -> &'static str {
        match self {
            Contender::TokioFs => "tokio::fs, seek and read",
            Contender::SpawnBlocking => "spawn_blocking, pread",
            Contender::Remote => "saferring::remote",
            Contender::RemoteTwoRings => "saferring::remote, 2 rings",
        }
    }
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse().ok()
    };
    let quick = has("--quick") || has("--test");
    let rounds: u64 = number("--rounds").unwrap_or(15);
    let tasks: u64 = number("--tasks").unwrap_or(64);
    let only = number("--only").map(|only: u64| only as usize);
    let (len, reads) = match quick {
        true => (64 << 20, 4_000),
        false => (1 << 30, 20_000),
    };
    let rounds = if quick { rounds.min(3) } else { rounds };
    let path = file(len)?;
    for kind in [Kind::Cached, Kind::Direct] {
        let path = path.clone();
        let load = Load {
            kind,
            path,
            len,
            tasks,
            reads,
        };
        match run(&load, rounds, only) {
            Err(error) if kind == Kind::Direct && error.kind() == io::ErrorKind::InvalidInput => {
                println!("O_DIRECT: not on this file system");
            }
            done => done?,
        }
    }
    std::fs::remove_file(&path)
}

/// A file of random bytes.
fn file(len: u64) -> io::Result<PathBuf> {
    let dir = std::env::var_os("SAFERRING_BENCH_DIR").map(PathBuf::from);
    let dir = dir.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    std::fs::create_dir_all(&dir)?;
    let path = dir.join(format!("saferring-bench-remote-{}", std::process::id()));
    let mut file = std::fs::File::create(&path)?;
    io::copy(
        &mut std::fs::File::open("/dev/urandom")?.take(len),
        &mut file,
    )?;
    file.sync_all()?;
    Ok(path)
}

fn run(load: &Load, rounds: u64, only: Option<usize>) -> io::Result<()> {
    let contenders: Vec<_> = Contender::ALL
        .into_iter()
        .filter(|one| load.kind == Kind::Cached || *one != Contender::TokioFs)
        .filter(|one| only.is_none_or(|only| Contender::ALL[only] == *one))
        .collect();
    let tokio = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let files = [1, 2].map(|rings| Files::builder().rings(rings).start());
    let [one, two] = files;
    let files = [one?, two?];
    if load.kind == Kind::Cached {
        std::fs::read(&load.path)?; // The page cache has it now.
    }
    let mut results = vec![Vec::new(); contenders.len()];
    let mut random = 1;
    for round in 0..=rounds {
        let mut order: Vec<_> = (0..contenders.len()).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, number(&mut random, at as u64 + 1) as usize);
        }
        for at in order {
            let result = measured(load.reads, || {
                work(&tokio, &files, contenders[at], load, round)
            })?;
            // The first round warms up.
            if round > 0 {
                results[at].push(result);
            }
        }
    }
    report(load, &contenders, &results);
    tokio.block_on(async {
        for files in &files {
            files.shutdown().await;
        }
    });
    Ok(())
}

/// CPU and elapsed time of each of so many reads, in microseconds.
fn measured(reads: u64, work: impl FnOnce() -> io::Result<()>) -> io::Result<[f64; 2]> {
    let (cpu, started) = (cpu_time(), Instant::now());
    work()?;
    let spent = [cpu_time() - cpu, started.elapsed()];
    Ok(spent.map(|time| time.as_secs_f64() * 1e6 / reads as f64))
}

fn work(
    tokio: &Runtime,
    files: &[Files; 2],
    contender: Contender,
    load: &Load,
    round: u64,
) -> io::Result<()> {
    tokio.block_on(async {
        let mut tasks: Vec<JoinHandle<io::Result<()>>> = Vec::new();
        let plan = |task| Plan::new(load, round * load.tasks + task);
        match contender {
            Contender::TokioFs => {
                for task in 0..load.tasks {
                    let file = tokio::fs::File::open(&load.path).await?;
                    tasks.push(tokio::spawn(by_tokio_fs(file, plan(task))));
                }
            }
            Contender::SpawnBlocking => {
                let file = Arc::new(open(load)?);
                for task in 0..load.tasks {
                    tasks.push(tokio::spawn(by_pread(Arc::clone(&file), plan(task))));
                }
            }
            Contender::Remote | Contender::RemoteTwoRings => {
                let rings = if contender == Contender::Remote { 1 } else { 2 };
                let mut options = saferring::fs::OpenOptions::new();
                options.read(true).direct(load.kind == Kind::Direct);
                let mut opened = Vec::new();
                for _ in 0..rings {
                    opened.push(files[rings - 1].open_with(&options, &load.path).await?);
                }
                for task in 0..load.tasks {
                    let file = opened[task as usize % rings].clone();
                    tasks.push(tokio::spawn(by_remote(file, plan(task))));
                }
            }
        }
        for task in tasks {
            task.await??;
        }
        Ok(())
    })
}

fn open(load: &Load) -> io::Result<std::fs::File> {
    let mut options = OpenOptions::new();
    if load.kind == Kind::Direct {
        options.custom_flags(libc::O_DIRECT);
    }
    options.read(true).open(&load.path)
}

async fn by_tokio_fs(mut file: tokio::fs::File, plan: Plan) -> io::Result<()> {
    let mut buf = vec![0; BLOCK];
    for (offset, len) in plan {
        file.seek(io::SeekFrom::Start(offset)).await?;
        file.read_exact(&mut buf[..len]).await?;
    }
    Ok(())
}

async fn by_pread(file: Arc<std::fs::File>, plan: Plan) -> io::Result<()> {
    let mut buf = AlignedBuf::zeroed(BLOCK);
    for (offset, len) in plan {
        let file = Arc::clone(&file);
        let read = spawn_blocking(move || {
            let read = file.read_at(&mut buf[..len], offset);
            (read, buf)
        });
        let (read, back) = read.await?;
        assert_eq!(read?, len);
        buf = back;
    }
    Ok(())
}

async fn by_remote(file: File, plan: Plan) -> io::Result<()> {
    let mut buf = AlignedBuf::zeroed(BLOCK);
    for (offset, len) in plan {
        let (read, back) = file.read_at(buf.slice(..len), offset).await;
        assert_eq!(read?, len);
        buf = back.into_inner();
    }
    Ok(())
}

/// Where a task reads, and how much.
struct Plan {
    kind: Kind,
    len: u64,
    left: u64,
    random: u64,
}

impl Plan {
    fn new(load: &Load, seed: u64) -> Self {
        Plan {
            kind: load.kind,
            len: load.len,
            left: load.reads / load.tasks,
            random: seed * 2 + 1,
        }
    }
}

impl Iterator for Plan {
    type Item = (u64, usize);

    fn next(&mut self) -> Option<(u64, usize)> {
        self.left = self.left.checked_sub(1)?;
        Some(match self.kind {
            Kind::Cached => {
                let len = 1024 + number(&mut self.random, 3 * 1024 + 1);
                (number(&mut self.random, self.len - len), len as usize)
            }
            Kind::Direct => {
                let block = number(&mut self.random, self.len / BLOCK as u64);
                (block * BLOCK as u64, BLOCK)
            }
        })
    }
}

/// A number below `end`: splitmix64.
fn number(state: &mut u64, end: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % end
}

fn report(load: &Load, contenders: &[Contender], results: &[Vec<[f64; 2]>]) {
    let what = match load.kind {
        Kind::Cached => "1 to 4 KiB, page cache",
        Kind::Direct => "4 KiB, O_DIRECT",
    };
    println!(
        "\n{what}: {} reads, {} tasks, {} rounds; µs a read",
        load.reads,
        load.tasks,
        results[0].len()
    );
    println!("| contender | CPU | elapsed | CPU ratio | elapsed ratio |\n|---|---|---|---|---|");
    for (contender, own) in contenders.iter().zip(results) {
        let [cpu, elapsed] = [0, 1].map(|which| {
            let ratios = own.iter().zip(&results[0]);
            let ratios = ratios.map(|(own, first)| own[which] / first[which]);
            let [low, ratio, high] = quartiles(ratios.collect());
            let [_, median, _] = quartiles(own.iter().map(|result| result[which]).collect());
            (median, format!("{ratio:.2} [{low:.2}, {high:.2}]"))
        });
        println!(
            "| {} | {:.2} | {:.2} | {} | {} |",
            contender.name(),
            cpu.0,
            elapsed.0,
            cpu.1,
            elapsed.1
        );
    }
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|part| values[(values.len() - 1) * part / 4])
}
