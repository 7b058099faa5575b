//! The command line.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lexopt::prelude::*;

use crate::cells;
use crate::contender::Contender;
use crate::saferring::DIAL;

const USAGE: &str = "\
usage: cargo bench --bench compare -- [OPTIONS]
  --quick          8 rounds, fewer and smaller workloads
  --rounds N       rounds of slices (50)
  --slice MS       how long a slice is, in milliseconds (50)
  --workload W     only the workload W, or all of a kind: echo, echo-50, read; may be repeated
  --contender C    only this contender, beside raw; may be repeated; a dial runs only so
  --check FILE     compare with an earlier report.json; exit with 1 if saferring has become worse
  --out DIR        where report.json and report.html go (compare in the target directory)
  --dir DIR        where the files are made that are read and copied (tmp in the target directory)
  --list           list workloads and contenders";

pub(crate) enum Command {
    Run(Options),
    Child {
        name: String,
        task: String,
        parent: u32,
        cores: Vec<usize>,
    },
    /// What was asked for has been printed.
    Done,
}

pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) slice: Duration,
    pub(crate) quick: bool,
    /// Beginnings of names; all if there are none.
    workloads: Vec<String>,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) check: Option<PathBuf>,
    pub(crate) out: PathBuf,
    pub(crate) dir: PathBuf,
}

impl Options {
    pub(crate) fn wants(&self, workload: &str) -> bool {
        self.workloads.is_empty() || self.workloads.iter().any(|name| matches(workload, name))
    }
}

/// `echo` stands for all echoes, `echo-50` for those with 50 connections, but `spawn-1` not for `spawn-1000`.
fn matches(workload: &str, name: &str) -> bool {
    match workload.strip_prefix(name) {
        Some(rest) => rest.is_empty() || rest.starts_with(['-', 'x']) || name.ends_with(['-', 'x']),
        None => false,
    }
}

pub(crate) fn parse(all: &[Contender]) -> Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let target = target_dir();
    let mut options = Options {
        rounds: 0,
        slice: Duration::from_millis(50),
        quick: false,
        workloads: Vec::new(),
        contenders: Vec::new(),
        check: None,
        out: target.join("compare"),
        dir: target.join("tmp"),
    };
    let mut chosen: Vec<String> = Vec::new();
    let mut rounds = None;
    while let Some(arg) = parser.next()? {
        match arg {
            Long("quick") => options.quick = true,
            Long("rounds") => rounds = Some(parser.value()?.parse()?),
            Long("slice") => options.slice = Duration::from_millis(parser.value()?.parse()?),
            Long("workload") => options.workloads.push(parser.value()?.string()?),
            Long("contender") => chosen.push(parser.value()?.string()?),
            Long("check") => options.check = Some(here(parser.value()?.into())),
            Long("out") => options.out = here(parser.value()?.into()),
            Long("dir") => options.dir = here(parser.value()?.into()),
            Long("child") => {
                return Ok(Command::Child {
                    name: parser.value()?.string()?,
                    task: parser.value()?.string()?,
                    parent: parser.value()?.parse()?,
                    cores: serde_json::from_str(&parser.value()?.string()?)
                        .map_err(|error| error.to_string())?,
                });
            }
            Long("list") => {
                list(options.quick, all);
                return Ok(Command::Done);
            }
            Long("bench") => {} // Cargo says so to every bench.
            Long("help") | Short('h') => {
                println!("{USAGE}");
                return Ok(Command::Done);
            }
            other => return Err(format!("{}\n{USAGE}", other.unexpected()).into()),
        }
    }
    options.rounds = rounds.unwrap_or(if options.quick { 8 } else { 50 });
    if options.rounds == 0 || options.slice.is_zero() {
        return Err("--rounds and --slice must be at least 1".into());
    }
    check_workloads(&options)?;
    options.contenders = choose(all, &chosen)?;
    Ok(Command::Run(options))
}

fn check_workloads(options: &Options) -> Result<(), lexopt::Error> {
    let known = names(options.quick);
    for name in &options.workloads {
        if !known.iter().any(|workload| matches(workload, name)) {
            return Err(format!(
                "there is no workload {name:?}; there are {}",
                known.join(", ")
            )
            .into());
        }
    }
    Ok(())
}

fn names(quick: bool) -> Vec<String> {
    let cells = cells::all(quick, Path::new(""));
    cells.into_iter().map(|cell| cell.name).collect()
}

/// Those that are named, and always raw and its control.
fn choose(all: &[Contender], chosen: &[String]) -> Result<Vec<Contender>, lexopt::Error> {
    for name in chosen {
        if !all.iter().any(|contender| contender.name == name) {
            let known: Vec<&str> = all.iter().map(|contender| contender.name).collect();
            return Err(format!(
                "there is no contender {name:?}; there are {}",
                known.join(", ")
            )
            .into());
        }
    }
    let always = ["raw", "raw (again)"];
    let mut contenders = all.to_vec();
    contenders.retain(|contender| {
        (chosen.is_empty() && !contender.name.starts_with(DIAL))
            || always.contains(&contender.name)
            || chosen.iter().any(|name| name == contender.name)
    });
    Ok(contenders)
}

fn list(quick: bool, all: &[Contender]) {
    println!("workloads:");
    for cell in cells::all(quick, Path::new("")) {
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
fn target_dir() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    match program.ancestors().nth(3) {
        Some(target) if target.join("CACHEDIR.TAG").exists() => target.to_owned(),
        _ => env::temp_dir(),
    }
}
