//! Comparing a report with an earlier one.

use crate::report::{Entry, Outcome, Ratio, Report};

/// The contender that is checked.
const OURS: &str = "saferring";

/// A ratio that is worse by less is no regression, however sure it is.
const TOLERANCE: f64 = 1.02;

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
                let verdict = verdict(&ours, &theirs);
                worse += usize::from(verdict == Verdict::Worse);
                println!(
                    "  {name}: {:.3} [{:.3}, {:.3}], was {:.3} [{:.3}, {:.3}]: {}",
                    ours.ratio,
                    ours.low,
                    ours.high,
                    theirs.ratio,
                    theirs.low,
                    theirs.high,
                    verdict.word()
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Better,
    Same,
    Worse,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Better => "better",
            Verdict::Same => "no significant change",
            Verdict::Worse => "REGRESSION",
        }
    }
}

/// Only intervals that do not touch tell anything.
fn verdict(now: &Ratio, before: &Ratio) -> Verdict {
    if now.low > before.high && now.ratio > before.ratio * TOLERANCE {
        Verdict::Worse
    } else if now.high < before.low && now.ratio * TOLERANCE < before.ratio {
        Verdict::Better
    } else {
        Verdict::Same
    }
}
