//! The comparison: the same work on saferring, on a hand-written ring, and on the other runtimes.
//!
//! `cargo bench --bench compare -- --help`. Each contender works in a process of its own; all of a workload are alive at
//! once, and take turns in short slices.

mod cells;
mod check;
mod child;
mod contender;
mod control;
mod cores;
mod data;
mod load;
mod measure;
mod options;
mod process;
mod progress;
mod racer;
mod raw;
mod report;
mod rivals;
mod saferring;
mod syscalls;
mod system;
mod tokio;
mod wake;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use contender::Contender;
use measure::{Session, Settings};
use options::{Command, Options};
use report::{About, Report, VERSION};

fn contenders() -> Vec<Contender> {
    [raw::all(), saferring::all(), tokio::all(), rivals::all()].concat()
}

fn main() -> ExitCode {
    let all = contenders();
    let options = match options::parse(&all) {
        Ok(Command::Run(options)) => options,
        Ok(Command::Child {
            name,
            task,
            parent,
            cores,
        }) => {
            cores::learn(Some(cores));
            child::run(&all, &name, &task, parent);
            return ExitCode::SUCCESS;
        }
        Ok(Command::Done) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            return ExitCode::from(2);
        }
    };
    // Before all else: a baseline that cannot be read should not be found out an hour later.
    let baseline = match options.check.as_deref().map(report::json::read).transpose() {
        Ok(baseline) => baseline,
        Err(error) => {
            eprintln!("compare: {error}");
            return ExitCode::from(2);
        }
    };
    match run(options) {
        Ok(report) => match baseline.map_or(0, |baseline| check::regressions(&report, &baseline)) {
            0 => ExitCode::SUCCESS,
            n => {
                println!("{n} workloads have become worse");
                ExitCode::FAILURE
            }
        },
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            eprintln!("\ncompare: interrupted; nothing is written");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("\ncompare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> io::Result<Report> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // The second time it ends us at once; the children end with us.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let cores = cores::learn(None);
    if cores.len() < 2 {
        eprintln!("compare: only one core: servers and load share it, and the figures are poor");
    }
    let settings = Settings {
        rounds: options.rounds,
        slice: options.slice,
        quick: options.quick,
        open_files: system::raise_open_files(20_000),
    };
    if let Err(error) = saferring_benches::raw::Ring::new() {
        return Err(io::Error::other(format!(
            "there is no io_uring of the kind that raw and the load generator need: {error} (Linux 6.6 or later, not switched off \
             by kernel.io_uring_disabled, not forbidden by a sandbox)"
        )));
    }
    let data = data::Data::create(&options.dir)?;
    let mut cells = cells::all(options.quick, data.dir());
    cells.retain(|cell| options.wants(&cell.name));
    let foreseen: Vec<f64> = cells
        .iter()
        .map(|cell| {
            let rounds = settings.rounds_of(cell);
            progress::foreseen(cell, rounds, settings.slice, options.contenders.len())
        })
        .collect();
    let mut report = Report {
        version: VERSION,
        made: system::now(),
        rounds: settings.rounds,
        slice_ms: settings.slice.as_millis() as u64,
        quick: settings.quick,
        system: system::System::gather(data.dir(), cores.len()),
        contenders: options.contenders.iter().map(about).collect(),
        workloads: Vec::new(),
    };
    cores::leave_for_other();
    let progress = progress::Progress::new(&foreseen);
    let mut session = Session {
        contenders: options.contenders,
        settings,
        data,
        progress,
        stop,
    };
    for (cell, seconds) in cells.iter().zip(foreseen) {
        session.progress.foresee(seconds);
        report.workloads.push(session.run(cell)?);
    }
    report::terminal::print(&report);
    std::fs::create_dir_all(&options.out)?;
    let (json, html) = (
        options.out.join("report.json"),
        options.out.join("report.html"),
    );
    report::json::write(&report, &json)?;
    report::html::write(&report, &html)?;
    report::markdown::write(&report, &options.out)?;
    println!("\nwritten: {} and {}", json.display(), html.display());
    Ok(report)
}

fn about(contender: &Contender) -> About {
    About {
        name: contender.name.into(),
        what: contender.what.into(),
    }
}
