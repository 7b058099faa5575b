//! Every contender does what it can of every workload. Not run by libtest: each contender's process is this program.

use std::collections::BTreeMap;

fn main() -> std::io::Result<()> {
    // Now: this thread is about to be kept on one of them.
    let cores = std::thread::available_parallelism()?.get();
    // Small enough for a debug build; the figures mean nothing here.
    let Some(tracks) = saferring_benches::tracks(1 << 20, true)? else {
        return Ok(());
    };
    let mut done = BTreeMap::new();
    for mut track in tracks {
        match track.start() {
            Ok(true) => {}
            Ok(false) => continue,
            // Not every file system has O_DIRECT, and the hand-written ring wants a newer kernel than saferring does.
            Err(error)
                if error.to_string().contains("os error 22")
                    && (track.workload().contains("direct")
                        || track.contender().starts_with("raw")) =>
            {
                println!("{track:?}: skipped: {error}");
                continue;
            }
            Err(error) => panic!("{track:?}: {error}"),
        }
        for ops in [1, 300] {
            if let Err(error) = track.run(ops) {
                panic!("{track:?}: {error}");
            }
        }
        *done.entry(track.workload().to_owned()).or_insert(0) += 1;
    }
    println!("contenders by workload: {done:?}");
    // Without `wrk` there is no HTTP.
    let web = if done.contains_key("http-hyper-64x64") {
        5
    } else {
        1
    };
    assert_eq!(done.len(), web + if cores > 1 { 17 } else { 16 });
    Ok(())
}
