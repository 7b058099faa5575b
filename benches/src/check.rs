//! Comparing a report with an earlier one.

use crate::report::{Entry, Outcome, Ratio, Report};
use crate::stats::{Change, Estimate, change};

/// The contender that is checked.
const OURS: &str = "saferring";

/// Prints a line for each workload; returns how many have become worse.
pub(crate) fn regressions(now: &Report, before: &Report) -> usize {
    println!("\ncompared with the report of {}:", before.made);
    let mut worse = 0;
    for workload in &now.workloads {
        let name = &workload.name;
        let entry = |report: &Report| -> Option<(Outcome, Option<Ratio>, Option<f64>)> {
            let mut workloads = report.workloads.iter();
            let found = workloads.find(|workload| workload.name == *name)?;
            let entry: &Entry = found.entry(OURS)?;
            Some((entry.outcome.clone(), entry.cpu_to_raw(), entry.memory))
        };
        match (entry(now), entry(before)) {
            (Some((Outcome::Failed(error), ..)), Some((Outcome::Measured, ..))) => {
                worse += 1;
                println!("  {name}: REGRESSION: {OURS} failed: {error}");
            }
            (Some((_, Some(ours), _)), Some((_, Some(theirs), _))) => {
                let change = change(&estimate(&ours), &estimate(&theirs));
                worse += usize::from(change == Change::Worse);
                println!(
                    "  {name}: {:.3} [{:.3}, {:.3}], was {:.3} [{:.3}, {:.3}]: {}",
                    ours.ratio,
                    ours.low,
                    ours.high,
                    theirs.ratio,
                    theirs.low,
                    theirs.high,
                    match change {
                        Change::Better => "better",
                        Change::None => "no significant change",
                        Change::Worse => "REGRESSION",
                    }
                );
            }
            (Some((_, _, Some(ours))), Some((_, _, Some(theirs)))) => {
                println!("  {name}: {ours:.0} bytes, was {theirs:.0} (not judged)");
            }
            _ => println!("  {name}: nothing to compare"),
        }
    }
    worse
}

fn estimate(ratio: &Ratio) -> Estimate {
    Estimate {
        median: ratio.ratio,
        low: ratio.low,
        high: ratio.high,
    }
}
