//! Every workload runs in each of its variants.

use std::io::ErrorKind;

use saferring_benches::{Scale, workloads};

#[test]
fn every_variant_runs() {
    // Small enough for a debug build; the figures mean nothing here.
    let scale = Scale { file_len: 1 << 20 };
    for workload in workloads() {
        assert_eq!(workload.variants[0].name, "raw");
        for variant in workload.variants {
            let what = format!("{}, {}", workload.name, variant.name);
            let mut bench = match (variant.make)(scale) {
                Ok(bench) => bench,
                // The hand-written ring wants a newer kernel than saferring does, and not every file system has O_DIRECT.
                Err(error)
                    if error.kind() == ErrorKind::InvalidInput
                        && (variant.name.starts_with("raw")
                            || workload.name.contains("direct")) =>
                {
                    println!("{what}: skipped: {error}");
                    continue;
                }
                Err(error) => panic!("{what}: {error}"),
            };
            for ops in [1, 300] {
                let sample = match bench.run(ops) {
                    Ok(sample) => sample,
                    Err(error) => panic!("{what}: {error}"),
                };
                assert!(sample.ops >= ops, "{what}: {sample}");
            }
        }
    }
}
