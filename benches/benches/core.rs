//! Tracks each workload on each contender with criterion. What it is given is CPU time, not elapsed time; the names of
//! the groups say so.

use std::io;
use std::time::Duration;

use criterion::Criterion;
use saferring_benches::{Track, tracks};

fn main() -> io::Result<()> {
    // In a contender's process there is nothing else to do.
    let Some(mut tracks) = tracks(256 << 20, false)? else {
        return Ok(());
    };
    let mut criterion = Criterion::default().configure_from_args();
    for tracks in tracks.chunk_by_mut(|one, next| one.workload() == next.workload()) {
        follow(&mut criterion, tracks)?;
    }
    criterion.final_summary();
    Ok(())
}

fn follow(criterion: &mut Criterion, tracks: &mut [Track]) -> io::Result<()> {
    let mut group = criterion.benchmark_group(format!("cpu/{}", tracks[0].workload()));
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    for track in tracks {
        if track.start()? {
            group.bench_function(track.contender().to_owned(), |bencher| {
                bencher.iter_custom(|iterations| {
                    let measured = track.run(iterations);
                    measured.unwrap_or_else(|error| panic!("{track:?}: {error}"))
                });
            });
        }
        track.stop();
    }
    group.finish();
    Ok(())
}
