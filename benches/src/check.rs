//! Comparing a report with an earlier one.

use crate::report::{Entry, Outcome, Report};
use crate::runtimes::saferring::OURS;
use crate::stats::Change;

/// Prints a line for each workload; returns how many have become worse.
pub(crate) fn regressions(now: &Report, before: &Report) -> usize {
    println!("\ncompared with the report of {}:", before.made);
    let mut worse = 0;
    for workload in &now.workloads {
        let name = &workload.name;
        let mut earlier = before.workloads.iter();
        let earlier = earlier.find(|workload| workload.name == *name);
        let (Some(ours), Some(theirs)) = (
            workload.entry(OURS),
            earlier.and_then(|work| work.entry(OURS)),
        ) else {
            println!("  {name}: nothing to compare");
            continue;
        };
        let (line, is_worse) = judge(ours, theirs);
        worse += usize::from(is_worse);
        println!("  {name}: {line}");
    }
    worse
}

fn judge(ours: &Entry, theirs: &Entry) -> (String, bool) {
    if let (Outcome::Failed(error), Outcome::Measured) = (&ours.outcome, &theirs.outcome) {
        return (format!("REGRESSION: {OURS} failed: {error}"), true);
    }
    if let (Some(now), Some(before)) = (ours.cpu_to_raw(), theirs.cpu_to_raw()) {
        let change = now.change_since(&before);
        let verdict = match change {
            Change::Better => "better",
            Change::None => "no significant change",
            Change::Worse => "REGRESSION",
        };
        let [now, before] =
            [now, before].map(|it| format!("{:.3} [{:.3}, {:.3}]", it.ratio, it.low, it.high));
        return (
            format!("{now}, was {before}: {verdict}"),
            change == Change::Worse,
        );
    }
    match (ours.memory, theirs.memory) {
        (Some(now), Some(before)) => (
            format!("{now:.0} bytes, was {before:.0} (not judged)"),
            false,
        ),
        _ => ("nothing to compare".into(), false),
    }
}
