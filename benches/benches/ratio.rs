//! Compares all variants of each workload in interleaved slices: `cargo bench --bench ratio -- --help`.
//!
//! Every round runs one short slice of each variant, in an order shuffled anew, so that the machine's slow and fast
//! phases meet all of them alike. What counts is the ratio to raw within a round; of these the median is taken, and a
//! bootstrap interval around it. *raw again* is a second instance of raw: what its ratio differs from 1 by, a difference
//! between others can, too. Where things happen to lie in memory is worth a percent or two, so all is set up anew a few
//! times.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use saferring_benches::stats::{Estimate, estimate, median, shuffled};
use saferring_benches::{Bench, Make, Sample, Scale, Workload, workloads};

const USAGE: &str = "\
usage: cargo bench --bench ratio -- [OPTIONS]
  --rounds N    rounds of interleaved slices (30)
  --restarts N  how often all is set up anew meanwhile (3)
  --slice MS    how long a slice is, in milliseconds (20)
  --quick       3 rounds of 2 ms: does it run?
  --only NAME   only workloads whose name contains NAME; may be repeated
  --json FILE   also write all figures to FILE
  --list        list the workloads";

struct Options {
    rounds: usize,
    restarts: usize,
    slice: Duration,
    only: Vec<String>,
    json: Option<PathBuf>,
    list: bool,
}

fn main() -> ExitCode {
    let options = match parse_options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("ratio: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match compare(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ratio: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse_options() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options {
        rounds: 30,
        restarts: 3,
        slice: Duration::from_millis(20),
        only: Vec::new(),
        json: None,
        list: false,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("rounds") => options.rounds = parser.value()?.parse()?,
            Long("restarts") => options.restarts = parser.value()?.parse()?,
            Long("slice") => options.slice = Duration::from_millis(parser.value()?.parse()?),
            Long("quick") => {
                options.rounds = 3;
                options.restarts = 1;
                options.slice = Duration::from_millis(2);
            }
            Long("only") => options.only.push(parser.value()?.string()?),
            Long("json") => options.json = Some(parser.value()?.into()),
            Long("list") => options.list = true,
            Long("bench") => {} // Cargo says so to every bench.
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    if options.rounds == 0 || options.restarts == 0 {
        return Err("--rounds and --restarts must be at least 1".into());
    }
    Ok(Some(options))
}

fn compare(options: &Options) -> io::Result<()> {
    let mut chosen = workloads();
    let named = |name: &str| options.only.iter().any(|only| name.contains(only.as_str()));
    chosen.retain(|workload| options.only.is_empty() || named(workload.name));
    if options.list {
        for workload in &chosen {
            println!("{:<16} {}", workload.name, workload.what);
        }
        return Ok(());
    }
    println!(
        "{} rounds of {:?}, {} set-ups; CPU time, ratios to raw: median of the rounds [95 % interval]\n",
        options.rounds, options.slice, options.restarts
    );
    println!(
        "{:<16} {:<15} {:>10} {:>10} {:>8} {:>18} {:>9}",
        "workload", "variant", "CPU/op", "wall/op", "ratio", "", "enters/op"
    );
    let mut results = Vec::new();
    let mut failures = 0;
    for workload in &chosen {
        match measure(workload, options) {
            Ok(rows) => {
                print(workload, &rows);
                results.push((workload.name, rows));
            }
            Err(error) => {
                println!("{:<16} cannot be measured: {error}", workload.name);
                failures += 1;
            }
        }
    }
    if let Some(file) = &options.json {
        std::fs::write(file, json(&results))?;
    }
    match failures {
        0 => Ok(()),
        n => Err(io::Error::other(format!(
            "{n} workloads could not be measured"
        ))),
    }
}

/// One variant while it is measured.
struct Entrant {
    name: &'static str,
    make: Make,
    /// Operations a slice; zero until it is known.
    ops: u64,
    samples: Vec<Sample>,
}

impl Entrant {
    fn new(name: &'static str, make: Make) -> Self {
        Entrant {
            name,
            make,
            ops: 0,
            samples: Vec::new(),
        }
    }

    /// Sets it up, and runs it a little: the first operations are slower than others.
    fn start(&mut self, slice: Duration) -> io::Result<Box<dyn Bench>> {
        let mut bench = (self.make)(Scale::default())?;
        if self.ops == 0 {
            self.ops = calibrate(&mut *bench, slice)?;
        } else {
            bench.run(self.ops / 4 + 1)?;
        }
        Ok(bench)
    }

    fn slice(&mut self, bench: &mut dyn Bench) -> io::Result<()> {
        self.samples.push(bench.run(self.ops)?);
        Ok(())
    }

    fn failed(&self, error: io::Error) -> io::Error {
        io::Error::other(format!("{}: {error}", self.name))
    }
}

/// One line of the table.
struct Row {
    name: &'static str,
    /// CPU nanoseconds an operation, round by round.
    cpu: Vec<f64>,
    wall: f64,
    ratio: Estimate,
    enters: Option<f64>,
}

fn measure(workload: &Workload, options: &Options) -> io::Result<Vec<Row>> {
    let mut entrants = Vec::new();
    for variant in &workload.variants {
        entrants.push(Entrant::new(variant.name, variant.make));
        if variant.name == "raw" {
            entrants.push(Entrant::new("raw again", variant.make));
        }
    }
    for restart in 0..options.restarts {
        let rounds = (restart..options.rounds).step_by(options.restarts);
        run(&mut entrants, rounds, options.slice)?;
    }
    let raw = cpu_per_op(&entrants[0].samples);
    Ok(entrants.iter().map(|entrant| row(entrant, &raw)).collect())
}

/// Sets all variants up, in an order that differs every time, and runs these rounds with them.
fn run(
    entrants: &mut [Entrant],
    rounds: impl Iterator<Item = usize> + Clone,
    slice: Duration,
) -> io::Result<()> {
    let Some(first) = rounds.clone().next() else {
        return Ok(());
    };
    let mut benches = Vec::new();
    for index in shuffled(entrants.len(), first as u64 + 1000) {
        let entrant = &mut entrants[index];
        let bench = entrant
            .start(slice)
            .map_err(|error| entrant.failed(error))?;
        benches.push((index, bench));
    }
    for round in rounds {
        for place in shuffled(benches.len(), round as u64 + 1) {
            let (index, bench) = &mut benches[place];
            let entrant = &mut entrants[*index];
            let done = entrant.slice(&mut **bench);
            done.map_err(|error| entrant.failed(error))?;
        }
    }
    Ok(())
}

/// How many operations fill a slice. The first runs also warm up.
fn calibrate(bench: &mut dyn Bench, slice: Duration) -> io::Result<u64> {
    let started = Instant::now();
    let mut ops = 64;
    loop {
        let wall = bench.run(ops)?.wall;
        if wall >= slice / 4 || started.elapsed() > 20 * slice {
            let per_op = wall.as_secs_f64() / ops as f64;
            return Ok(((slice.as_secs_f64() / per_op.max(1e-10)) as u64).max(1));
        }
        ops *= 2;
    }
}

fn cpu_per_op(samples: &[Sample]) -> Vec<f64> {
    let per_op = |sample: &Sample| sample.cpu.as_nanos() as f64 / sample.ops as f64;
    samples.iter().map(per_op).collect()
}

fn row(entrant: &Entrant, raw: &[f64]) -> Row {
    let samples = &entrant.samples;
    let cpu = cpu_per_op(samples);
    let ratios: Vec<f64> = cpu.iter().zip(raw).map(|(ours, raw)| ours / raw).collect();
    let wall: Vec<f64> = samples
        .iter()
        .map(|sample| sample.wall.as_nanos() as f64 / sample.ops as f64)
        .collect();
    let ops: u64 = samples.iter().map(|sample| sample.ops).sum();
    let enters: Option<u64> = samples.iter().map(|sample| sample.enters).sum();
    Row {
        name: entrant.name,
        cpu,
        wall: median(&wall),
        ratio: estimate(&ratios),
        enters: enters.map(|enters| enters as f64 / ops as f64),
    }
}

fn print(workload: &Workload, rows: &[Row]) {
    for (i, row) in rows.iter().enumerate() {
        let name = if i == 0 { workload.name } else { "" };
        let (ratio, interval) = match i {
            0 => ("1".to_owned(), String::new()),
            _ => (
                format!("{:.3}", row.ratio.median),
                format!("[{:.3}, {:.3}]", row.ratio.low, row.ratio.high),
            ),
        };
        let enters = row
            .enters
            .map_or("-".to_owned(), |enters| format!("{enters:.3}"));
        println!(
            "{name:<16} {:<15} {:>10} {:>10} {ratio:>8} {interval:>18} {enters:>9}",
            row.name,
            time(median(&row.cpu)),
            time(row.wall),
        );
    }
}

fn time(nanos: f64) -> String {
    match nanos {
        n if n < 100.0 => format!("{n:.1} ns"),
        n if n < 10_000.0 => format!("{n:.0} ns"),
        n => format!("{:.1} µs", n / 1000.0),
    }
}

/// The figures of all workloads. Names are plain, so nothing needs to be escaped.
fn json(results: &[(&str, Vec<Row>)]) -> String {
    let list = |items: Vec<String>| items.join(", ");
    let workloads = results.iter().map(|(workload, rows)| {
        let rows = rows.iter().map(|row| {
            let rounds = list(row.cpu.iter().map(|nanos| format!("{nanos:.2}")).collect());
            let enters = row
                .enters
                .map_or("null".to_owned(), |enters| format!("{enters:.4}"));
            let mut text = format!("    {{\"variant\": \"{}\", ", row.name);
            let _ = write!(
                text,
                "\"cpu_ns\": {:.2}, \"wall_ns\": {:.2}, ",
                median(&row.cpu),
                row.wall
            );
            let Estimate { median, low, high } = row.ratio;
            let _ = write!(
                text,
                "\"ratio\": {median:.4}, \"low\": {low:.4}, \"high\": {high:.4}, "
            );
            let _ = write!(
                text,
                "\"enters\": {enters}, \"rounds_cpu_ns\": [{rounds}]}}"
            );
            text
        });
        let rows: Vec<String> = rows.collect();
        format!("  \"{workload}\": [\n{}\n  ]", rows.join(",\n"))
    });
    let workloads: Vec<String> = workloads.collect();
    format!("{{\n{}\n}}\n", workloads.join(",\n"))
}
