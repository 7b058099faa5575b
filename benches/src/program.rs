//! The programs.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::child;
use crate::contender::{Contender, Control};
use crate::data::Data;
use crate::measure;
use crate::options::{self, Options, Program};
use crate::progress::Progress;
use crate::report::{self, About, Report, VERSION};
use crate::session::{self, Session};
use crate::settings::Settings;
use crate::system::{self, System};
use crate::{cells, check, keys, raw, runtimes, web};

/// `cargo bench --bench compare`, with more contenders.
pub fn compare(rivals: Vec<Contender>) -> ExitCode {
    use runtimes::{saferring, tokio};
    let ours = [raw::compared(), saferring::compared(), tokio::compared()];
    let controls = [vec![web::compared()], keys::compared()].concat();
    let all = [ours.concat(), rivals, controls];
    run(Program::Compare, &all.concat())
}

/// `cargo bench --bench ratio`.
pub fn ratio() -> ExitCode {
    run(Program::Ratio, &ratio_contenders())
}

pub(crate) fn ratio_contenders() -> Vec<Contender> {
    use runtimes::{saferring, tokio};
    [raw::ratios(), saferring::ratios(), tokio::ratios()].concat()
}

/// Has one contender of the ratios do so many operations of a workload in this process, and nothing else: for profilers
/// and counters.
///
/// # Errors
///
/// If there is no such workload or contender, or what it reports.
pub fn once(workload: &str, contender: &str, ops: u64) -> io::Result<()> {
    let data = Data::create(&options::target_dir().join("tmp"))?;
    let cells = cells::ratios(data.dir(), 256 << 20);
    let found = cells.iter().find(|cell| cell.name == workload);
    let work = found.and_then(|cell| Some((cell, cell.kind.work()?)));
    let contenders = ratio_contenders();
    let by = contenders.iter().find(|one| one.name == contender);
    let (Some((cell, work)), Some(by)) = (work, by) else {
        return Err(io::Error::other("there is no such workload or contender"));
    };
    session::prepare_round(cell)?;
    session::prepare_slice(cell)?;
    child::do_work(by, work.clone(), || Control::once(ops)).map(drop)
}

fn run(program: Program, all: &[Contender]) -> ExitCode {
    if child::run_if_child(all) {
        return ExitCode::SUCCESS;
    }
    let fail = |error: &dyn std::fmt::Display, code| {
        eprintln!("{}: {error}", program.name());
        ExitCode::from(code)
    };
    let options = match options::parse(program, all) {
        Ok(Some(options)) => options,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => return fail(&error, 2),
    };
    // Before all else: a baseline that cannot be read should not be found out an hour later.
    let baseline = match options.check.as_deref().map(Report::read_json).transpose() {
        Ok(baseline) => baseline,
        Err(error) => return fail(&error, 2),
    };
    let report = measure_all(program, &options).and_then(|report| {
        write(program, &options, &report)?;
        Ok(report)
    });
    match report {
        Ok(report) => match baseline.map_or(0, |baseline| check::regressions(&report, &baseline)) {
            0 if report.is_complete() || program == Program::Compare => ExitCode::SUCCESS,
            0 => fail(&"not everything could be measured", 1),
            n => {
                println!("{n} workloads have become worse");
                ExitCode::FAILURE
            }
        },
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            eprintln!();
            fail(&"interrupted; nothing is written", 130)
        }
        Err(error) => fail(&error, 1),
    }
}

fn measure_all(program: Program, options: &Options) -> io::Result<Report> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // The second time it ends us at once; the children end with us.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let cores = prepare_process(program)?;
    let settings = Settings {
        rounds: options.rounds,
        long: if program == Program::Ratio { 2 } else { 5 },
        restarts: options.restarts,
        slice: options.slice,
        open_files: system::raise_open_files(20_000),
    };
    let data = Data::create(&options.dir)?;
    let mut cells = program.cells(options.quick, data.dir());
    cells.retain(|cell| options.wants(&cell.name));
    let mut report = Report {
        version: VERSION,
        made: system::now(),
        rounds: settings.rounds,
        slice_ms: settings.slice.as_millis() as u64,
        quick: options.quick,
        system: System::gather(data.dir(), cores),
        contenders: options.contenders.iter().map(about).collect(),
        workloads: Vec::new(),
    };
    measure::stay_on_core(1);
    let mut session = Session {
        progress: Progress::new(&cells, &settings, &options.contenders),
        contenders: options.contenders.clone(),
        settings,
        stop,
    };
    if program == Program::Ratio {
        report::terminal::print_head(&settings);
    }
    for cell in &cells {
        let workload = session.run(cell)?;
        if program == Program::Ratio {
            report::terminal::print_rows(&workload);
        }
        report.workloads.push(workload);
    }
    Ok(report)
}

fn about(contender: &Contender) -> About {
    About {
        name: contender.name.into(),
        what: contender.what.into(),
    }
}

/// Returns how many cores there are.
fn prepare_process(program: Program) -> io::Result<usize> {
    let (cores, name) = (measure::learn_cores(None).len(), program.name());
    if cores < 2 {
        eprintln!("{name}: only one core: servers and load share it, and the figures are poor");
    }
    match raw::ring::Ring::new() {
        Ok(_) => Ok(cores),
        Err(error) => Err(io::Error::other(format!(
            "there is no io_uring of the kind that raw and the load generator need: {error} (Linux 6.6 or later, not \
             switched off by kernel.io_uring_disabled, not forbidden by a sandbox)"
        ))),
    }
}

fn write(program: Program, options: &Options, report: &Report) -> io::Result<()> {
    if let Some(path) = &options.json {
        report.write_json(path)?;
    }
    if program == Program::Ratio {
        return Ok(());
    }
    report::terminal::print(report);
    std::fs::create_dir_all(&options.out)?;
    let at = |name: &str| options.out.join(name);
    let (json, html) = (at("report.json"), at("report.html"));
    report.write_json(&json)?;
    report::html::write(report, &html)?;
    report::markdown::write(report, &options.out)?;
    println!("\nwritten: {} and {}", json.display(), html.display());
    Ok(())
}
