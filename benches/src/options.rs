//! The command lines.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lexopt::prelude::*;

use crate::cells::{Cell, compared, ratios};
use crate::contender::Contender;
use crate::keys::{REDIS, REDIS_AGAIN};
use crate::report::RAW;
use crate::runtimes::saferring::TUNING;
use crate::web::{TOKIO, TOKIO_AGAIN};

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

    /// Rounds, restarts and milliseconds of a slice.
    fn defaults(self, quick: bool) -> (usize, usize, u64) {
        match (self, quick) {
            (Program::Compare, false) => (50, 1, 50),
            (Program::Compare, true) => (8, 1, 50),
            (Program::Ratio, false) => (30, 3, 20),
            (Program::Ratio, true) => (3, 1, 2),
        }
    }
}

const USAGE: &str = "\
usage: cargo bench --bench compare -- [OPTIONS], or --bench ratio
  --quick          8 rounds, fewer and smaller workloads; of ratio 3 rounds of 2 ms: does it run?
  --rounds N       rounds of slices (50; of ratio 30)
  --restarts N     how often all is set up anew meanwhile (1; of ratio 3)
  --slice MS       how long a slice is, in milliseconds (50; of ratio 20)
  --workload W     only the workload W, or all of a kind: echo, echo-50, read; may be repeated
  --only W         only workloads whose name contains W; may be repeated
  --contender C    only this contender, beside raw, redis and tokio's HTTP; may be repeated; a latency option runs only so
  --check FILE     compare with an earlier report.json; exit with 1 if saferring has become worse
  --json FILE      also write all figures to FILE
  --out DIR        where report.json and report.html go (compare in the target directory; ratio writes none)
  --dir DIR        where the files are made that are read and copied (tmp in the target directory)
  --list           list workloads and contenders";

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) restarts: usize,
    pub(crate) slice: Duration,
    pub(crate) quick: bool,
    /// Names of workloads, or of their kinds; all if there are neither these nor parts.
    kinds: Vec<String>,
    /// Parts of names.
    parts: Vec<String>,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) check: Option<PathBuf>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) out: PathBuf,
    pub(crate) dir: PathBuf,
}

impl Options {
    pub(crate) fn wants(&self, workload: &str) -> bool {
        self.kinds.is_empty() && self.parts.is_empty()
            || self.kinds.iter().any(|name| matches(workload, name))
            || self.parts.iter().any(|name| workload.contains(name))
    }
}

/// `echo` stands for all echoes, `echo-50` for those with 50 connections, but `spawn-1` not for `spawn-1000`.
fn matches(workload: &str, name: &str) -> bool {
    workload.strip_prefix(name).is_some_and(|rest| {
        rest.is_empty() || rest.starts_with(['-', 'x']) || name.ends_with(['-', 'x'])
    })
}

/// What is asked for; `None` if that has been printed.
pub(crate) fn parse(program: Program, all: &[Contender]) -> Result<Option<Options>, lexopt::Error> {
    let target = target_dir();
    let mut options = Options {
        out: target.join("compare"),
        dir: env::var_os("SAFERRING_BENCH_DIR").map_or(target.join("tmp"), |dir| here(dir.into())),
        ..Options::default()
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
            Long("workload") => options.kinds.push(parser.value()?.string()?),
            Long("only") => options.parts.push(parser.value()?.string()?),
            Long("contender") => chosen.push(parser.value()?.string()?),
            Long("check") => options.check = Some(here(parser.value()?.into())),
            Long("json") => options.json = Some(here(parser.value()?.into())),
            Long("out") => options.out = here(parser.value()?.into()),
            Long("dir") => options.dir = here(parser.value()?.into()),
            Long("list") => list = true,
            Long("bench") => {} // Cargo says so to every bench.
            Long("help") | Short('h') => {
                println!("{USAGE}");
                return Ok(None);
            }
            other => return Err(format!("{}\n{USAGE}", other.unexpected()).into()),
        }
    }
    let defaults = program.defaults(options.quick);
    options.rounds = rounds.unwrap_or(defaults.0);
    options.restarts = restarts.unwrap_or(defaults.1);
    options.slice = Duration::from_millis(slice.unwrap_or(defaults.2));
    if options.rounds == 0 || options.restarts == 0 || options.slice.is_zero() {
        return Err("--rounds, --restarts and --slice must be at least 1".into());
    }
    let cells = program.cells(options.quick, Path::new(""));
    if list {
        print_all(&cells, all);
        return Ok(None);
    }
    let cells: Vec<&str> = cells.iter().map(|cell| cell.name.as_str()).collect();
    let names: Vec<&str> = all.iter().map(|contender| contender.name).collect();
    check("workload", &options.kinds, &cells, matches)?;
    check("workload", &options.parts, &cells, |known, part| {
        known.contains(part)
    })?;
    check("contender", &chosen, &names, |known, name| known == name)?;
    options.contenders = choose(all, &chosen);
    Ok(Some(options))
}

/// Whether all names stand for something that is known.
fn check(
    what: &str,
    names: &[String],
    known: &[&str],
    stands_for: fn(&str, &str) -> bool,
) -> Result<(), lexopt::Error> {
    let unknown = |name: &&String| !known.iter().any(|known| stands_for(known, name));
    names.iter().find(unknown).map_or(Ok(()), |name| {
        let known = known.join(", ");
        Err(format!("there is no {what} {name:?}; there are {known}").into())
    })
}

/// Those that are named, and always what they are compared with, and the controls.
fn choose(all: &[Contender], chosen: &[String]) -> Vec<Contender> {
    let wanted = |contender: &&Contender| {
        (chosen.is_empty() && !contender.name.starts_with(TUNING))
            || [RAW, "raw (again)", REDIS, REDIS_AGAIN, TOKIO_AGAIN].contains(&contender.name)
            || chosen.iter().any(|name| name == contender.name)
    };
    let chosen_or_base = |contender: &Contender| match contender.name {
        TOKIO if !wanted(&contender) => Some(Contender::web(TOKIO, contender.what, contender.web)),
        _ => Some(*contender).filter(|one| wanted(&one)),
    };
    all.iter().filter_map(chosen_or_base).collect()
}

fn print_all(cells: &[Cell], all: &[Contender]) {
    println!("workloads:");
    for cell in cells {
        println!("  {:<26} {}", cell.name, cell.title);
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
