//! Runs one variant of one workload so many times, and nothing else: for profilers and counters.

use std::process::ExitCode;

use saferring_benches::{Scale, workloads};

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [workload, variant, ops] = &args[..] else {
        eprintln!("usage: work WORKLOAD VARIANT OPS");
        return ExitCode::from(2);
    };
    let workloads = workloads();
    let found = workloads
        .iter()
        .filter(|known| known.name == workload)
        .flat_map(|known| &known.variants)
        .find(|known| known.name == variant);
    let (Some(variant), Ok(ops)) = (found, ops.parse()) else {
        let names: Vec<_> = workloads.iter().map(|known| known.name).collect();
        eprintln!("work: there is no such workload, variant or number; workloads: {names:?}");
        return ExitCode::from(2);
    };
    let ran = (variant.make)(Scale::default()).and_then(|mut bench| bench.run(ops));
    match ran {
        Ok(sample) => {
            println!("{sample}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("work: {error}");
            ExitCode::FAILURE
        }
    }
}
