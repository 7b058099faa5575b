//! Tracks each workload in each variant with criterion. What it is given is CPU time, not elapsed time; the names of the
//! groups say so.

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use saferring_benches::{Bench, Scale, Variant, Workload, workloads};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for workload in workloads() {
        track(&mut criterion, &workload);
    }
    criterion.final_summary();
}

fn track(criterion: &mut Criterion, workload: &Workload) {
    let mut group = criterion.benchmark_group(format!("cpu/{}", workload.name));
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    for variant in &workload.variants {
        track_variant(&mut group, workload, variant);
    }
    group.finish();
}

fn track_variant(group: &mut BenchmarkGroup<'_, WallTime>, workload: &Workload, variant: &Variant) {
    // Made when criterion first asks for it: a filter may have left it out.
    let mut made: Option<Box<dyn Bench>> = None;
    group.bench_function(variant.name, |bencher| {
        bencher.iter_custom(|iterations| {
            let bench = made.get_or_insert_with(|| match (variant.make)(Scale::default()) {
                Ok(bench) => bench,
                Err(error) => panic!("{}, {}: {error}", workload.name, variant.name),
            });
            match bench.run(iterations) {
                // Workloads that run in batches do more than they are asked for.
                Ok(sample) => sample.cpu.mul_f64(iterations as f64 / sample.ops as f64),
                Err(error) => panic!("{}, {}: {error}", workload.name, variant.name),
            }
        });
    });
}
