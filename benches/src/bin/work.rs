//! Has one contender do so many operations of a workload, and nothing else: for profilers and counters.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let ops = args.get(2).and_then(|ops| ops.parse().ok());
    let ([workload, contender, _], Some(ops)) = (&args[..], ops) else {
        eprintln!("usage: work WORKLOAD CONTENDER OPS");
        return ExitCode::from(2);
    };
    match saferring_benches::once(workload, contender, ops) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("work: {error}");
            ExitCode::FAILURE
        }
    }
}
