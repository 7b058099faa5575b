//! A file's place on its ring is another's only when nobody can mean the first any more.

use std::future::Future;
use std::pin::Pin;

use saferring::remote::{File, Files};
use saferring::runtime::Builder;
use saferring::task::yield_now;
use saferring_tests::{Random, bounded, poll_once, rounds};

use crate::support::{Scratch, tokio};

/// The way that a call of the first file goes, which nobody waits for, while another file is opened.
#[derive(Clone, Copy, Debug)]
enum Last {
    Close,
    SetLen,
    Drop,
}

/// Each of these at each point of an open, whose file is not touched by it. The ring looks at the kernel after so few polls that
/// the open is done between any two.
#[test]
fn what_is_left_of_a_file_does_not_reach_the_next() {
    bounded(|| {
        let [first, next] = ["first", "next"].map(|name| Scratch::filled(name, 1000));
        let mut options = saferring::fs::OpenOptions::new();
        options.read(true).write(true);
        for interval in 1..=4 {
            let runtime = Builder::new().event_interval(interval).build().unwrap();
            let files = Files::on(runtime.handle());
            runtime.block_on(async {
                for (before, between) in (0..12).flat_map(|n| (0..3).map(move |m| (n, m))) {
                    for last in [Last::Close, Last::SetLen, Last::Drop] {
                        let file = files.open_with(&options, first.path()).await.unwrap();
                        let mut open = Box::pin(files.open_with(&options, next.path()));
                        assert!(poll_once(&mut open).await.is_none());
                        yields(before).await;
                        leave(file, last, between).await;
                        let file = open.await.unwrap();
                        yields(8).await;
                        let case = format!("{last:?}, {interval}, {before}, {between}");
                        let len = file.len().await;
                        assert_eq!(len.map_err(|error| error.to_string()), Ok(1000), "{case}");
                        file.close().await.expect(&case);
                    }
                }
            });
        }
    });
}

async fn yields(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

/// Has the last call of `file` begin, and gives both up a little later.
async fn leave(file: File, last: Last, later: usize) {
    let mut call: Pin<Box<dyn Future<Output = _>>> = match last {
        Last::Close => Box::pin(file.close()),
        // Of the length that it has.
        Last::SetLen => Box::pin(file.set_len(1000)),
        Last::Drop => return drop(file),
    };
    let _ = poll_once(&mut call).await;
    yields(later).await;
}

/// Tasks open, read, close and drop, and give calls up at random. Whoever gets bytes gets those of the file that it has opened,
/// and no file is closed that somebody has.
#[test]
fn files_come_and_go_and_none_is_taken_for_another() {
    const NAMES: [&str; 4] = ["one", "two", "three", "four"];
    bounded(|| {
        let scratches = NAMES.map(Scratch::new);
        for (byte, scratch) in (1..).zip(&scratches) {
            std::fs::write(scratch.path(), [byte; 512]).unwrap();
        }
        let files = Files::builder().rings(2).max_in_flight(8).start().unwrap();
        tokio(3).block_on(async {
            let mut tasks = Vec::new();
            for seed in 0..12 {
                let paths = scratches.each_ref().map(|one| one.path().to_owned());
                let files = files.clone();
                tasks.push(tokio::spawn(async move {
                    let mut random = Random::new(seed * 31 + 3);
                    for _ in 0..rounds(200) {
                        let which = random.below(paths.len() as u64) as usize;
                        if let Some(file) = given_up(files.open(&paths[which]), &mut random).await {
                            use_up(file.unwrap(), which as u8 + 1, &mut random).await;
                        }
                    }
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
            files.shutdown().await;
        });
    });
}

/// Reads of a file of one byte, and its end in some way.
async fn use_up(file: File, byte: u8, random: &mut Random) {
    for _ in 0..random.below(4) {
        let read = file.read_at([0; 512], 0);
        if let Some((read, buf)) = given_up(read, random).await {
            assert_eq!(read.unwrap(), 512);
            assert_eq!(buf, [byte; 512]);
        }
    }
    if random.below(2) == 0
        && let Some(closed) = given_up(file.close(), random).await
    {
        closed.unwrap();
    }
}

/// The answer, or none if it has not come within some polls; half of the calls are waited for.
async fn given_up<F: Future>(call: F, random: &mut Random) -> Option<F::Output> {
    let mut call = Box::pin(call);
    if random.below(2) == 0 {
        return Some(call.await);
    }
    for _ in 0..random.below(4) {
        match poll_once(&mut call).await {
            None => tokio::task::yield_now().await,
            answer => return answer,
        }
    }
    None
}
