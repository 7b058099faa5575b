//! The command lines.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lexopt::prelude::*;

use crate::cells::{Cell, compared, ratios};
use crate::contender::Contender;
use crate::report::RAW;
use crate::runtimes::saferring::TUNING;

/// One of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Compare,
    Ratio,
}

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Program::Compare => "compare",
            Program::Ratio => "ratio",
        }
    }

    pub(crate) fn cells(self, quick: bool, dir: &Path) -> Vec<Cell> {
        match self {
            Program::Compare => compared(quick, dir),
            Program::Ratio => ratios(dir, 256 << 20),
        }
    }

    fn usage(self) -> &'static str {
        match self {
            Program::Compare => {
                "\
usage: cargo bench --bench compare -- [OPTIONS]
  --quick          8 rounds, fewer and smaller workloads
  --rounds N       rounds of slices (50)
  --restarts N     how often all is set up anew meanwhile (1)
  --slice MS       how long a slice is, in milliseconds (50)
  --workload W     only the workload W, or all of a kind: echo, echo-50, read; may be repeated
  --contender C    only this contender, beside raw; may be repeated; a latency option runs only so
  --check FILE     compare with an earlier report.json; exit with 1 if saferring has become worse
  --out DIR        where report.json and report.html go (compare in the target directory)
  --dir DIR        where the files are made that are read and copied (tmp in the target directory)
  --list           list workloads and contenders"
            }
            Program::Ratio => {
                "\
usage: cargo bench --bench ratio -- [OPTIONS]
  --rounds N       rounds of interleaved slices (30)
  --restarts N     how often all is set up anew meanwhile (3)
  --slice MS       how long a slice is, in milliseconds (20)
  --quick          3 rounds of 2 ms: does it run?
  --only NAME      only workloads whose name contains NAME; may be repeated
  --contender C    only this contender, beside raw; may be repeated
  --json FILE      also write all figures to FILE
  --dir DIR        where the files are made that are read and copied (tmp in the target directory)
  --list           list workloads and contenders"
            }
        }
    }
}

pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) restarts: usize,
    pub(crate) slice: Duration,
    pub(crate) quick: bool,
    /// Beginnings of names; all if there are none.
    workloads: Vec<String>,
    /// Parts of names; all if there are none.
    only: Vec<String>,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) check: Option<PathBuf>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) out: PathBuf,
    pub(crate) dir: PathBuf,
}

impl Options {
    pub(crate) fn wants(&self, workload: &str) -> bool {
        let (kinds, parts) = (&self.workloads, &self.only);
        (kinds.is_empty() || kinds.iter().any(|name| matches(workload, name)))
            && (parts.is_empty() || parts.iter().any(|name| workload.contains(name)))
    }
}

/// `echo` stands for all echoes, `echo-50` for those with 50 connections, but `spawn-1` not for `spawn-1000`.
fn matches(workload: &str, name: &str) -> bool {
    match workload.strip_prefix(name) {
        Some(rest) => rest.is_empty() || rest.starts_with(['-', 'x']) || name.ends_with(['-', 'x']),
        None => false,
    }
}

/// What is asked for; `None` if that has been printed.
pub(crate) fn parse(program: Program, all: &[Contender]) -> Result<Option<Options>, lexopt::Error> {
    let target = target_dir();
    let mut options = Options {
        rounds: 0,
        restarts: 0,
        slice: Duration::ZERO,
        quick: false,
        workloads: Vec::new(),
        only: Vec::new(),
        contenders: Vec::new(),
        check: None,
        json: None,
        out: target.join("compare"),
        dir: env::var_os("SAFERRING_BENCH_DIR").map_or(target.join("tmp"), |dir| here(dir.into())),
    };
    let (mut chosen, mut list) = (Vec::new(), false);
    let (mut rounds, mut restarts, mut slice) = (None, None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("quick") => options.quick = true,
            Long("rounds") => rounds = Some(parser.value()?.parse()?),
            Long("restarts") => restarts = Some(parser.value()?.parse()?),
            Long("slice") => slice = Some(parser.value()?.parse()?),
            Long("workload") => options.workloads.push(parser.value()?.string()?),
            Long("only") => options.only.push(parser.value()?.string()?),
            Long("contender") => chosen.push(parser.value()?.string()?),
            Long("check") => options.check = Some(here(parser.value()?.into())),
            Long("json") => options.json = Some(here(parser.value()?.into())),
            Long("out") => options.out = here(parser.value()?.into()),
            Long("dir") => options.dir = here(parser.value()?.into()),
            Long("list") => list = true,
            Long("bench") => {} // Cargo says so to every bench.
            Long("help") | Short('h') => {
                println!("{}", program.usage());
                return Ok(None);
            }
            other => return Err(format!("{}\n{}", other.unexpected(), program.usage()).into()),
        }
    }
    let (default_rounds, default_restarts, default_slice) = match (program, options.quick) {
        (Program::Compare, false) => (50, 1, 50),
        (Program::Compare, true) => (8, 1, 50),
        (Program::Ratio, false) => (30, 3, 20),
        (Program::Ratio, true) => (3, 1, 2),
    };
    options.rounds = rounds.unwrap_or(default_rounds);
    options.restarts = restarts.unwrap_or(default_restarts);
    options.slice = Duration::from_millis(slice.unwrap_or(default_slice));
    if options.rounds == 0 || options.restarts == 0 || options.slice.is_zero() {
        return Err("--rounds, --restarts and --slice must be at least 1".into());
    }
    let cells = program.cells(options.quick, Path::new(""));
    if list {
        print_all(&cells, all);
        return Ok(None);
    }
    check_names(&options, &chosen, &cells, all)?;
    options.contenders = choose(all, &chosen);
    Ok(Some(options))
}

fn check_names(
    options: &Options,
    chosen: &[String],
    cells: &[Cell],
    all: &[Contender],
) -> Result<(), lexopt::Error> {
    let (cells, all) = (cells.iter(), all.iter());
    let cells: Vec<&str> = cells.map(|cell| cell.name.as_str()).collect();
    let all: Vec<&str> = all.map(|contender| contender.name).collect();
    let check = |what, names: &[String], known: &[&str], same: fn(&str, &str) -> bool| {
        let unknown = |name: &&String| !known.iter().any(|known| same(known, name));
        names.iter().find(unknown).map_or(Ok(()), |name| {
            let known = known.join(", ");
            Err(format!("there is no {what} {name:?}; there are {known}"))
        })
    };
    check("workload", &options.workloads, &cells, matches)?;
    check("workload", &options.only, &cells, |known, name| {
        known.contains(name)
    })?;
    check("contender", chosen, &all, |known, name| known == name)?;
    Ok(())
}

/// Those that are named, and always raw and its control.
fn choose(all: &[Contender], chosen: &[String]) -> Vec<Contender> {
    let mut contenders = all.to_vec();
    contenders.retain(|contender| {
        (chosen.is_empty() && !contender.name.starts_with(TUNING))
            || [RAW, "raw (again)"].contains(&contender.name)
            || chosen.iter().any(|name| name == contender.name)
    });
    contenders
}

fn print_all(cells: &[Cell], all: &[Contender]) {
    println!("workloads:");
    for cell in cells {
        println!("  {:<18} {}", cell.name, cell.title);
    }
    println!("contenders:");
    for contender in all {
        println!("  {:<20} {}", contender.name, contender.what);
    }
}

/// Cargo runs us in the package's directory; paths are meant from where the user is.
fn here(path: PathBuf) -> PathBuf {
    match env::var_os("PWD") {
        Some(shell) if env::var_os("CARGO_MANIFEST_DIR").is_some() => {
            PathBuf::from(shell).join(path)
        }
        _ => path,
    }
}

/// The target directory that this program was built into: it is `release/deps/compare-…` there.
pub(crate) fn target_dir() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    match program.ancestors().nth(3) {
        Some(target) if target.join("CACHEDIR.TAG").exists() => target.to_owned(),
        _ => env::temp_dir(),
    }
}
