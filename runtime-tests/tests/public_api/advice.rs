//! `File::advise`: what the page cache holds afterwards, beside what posix_fadvise(2) does; and advice that nobody waits for.

use std::io::ErrorKind;
use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use futures_util::FutureExt;
use saferring::fs::{Advice, File};
use saferring::runtime::in_flight;
use saferring::time::Elapsed;
use saferring_tests::{Account, bounded, leaks_on_purpose, poll_once, until};

use super::files::Dir;
use super::runtime;

const PAGES: usize = 64;

fn page() -> u64 {
    // SAFETY: the call takes a number only.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as u64 }
}

/// Which of the pages from `offset` on the page cache holds.
fn cached(file: &impl AsRawFd, offset: u64, pages: usize) -> Vec<bool> {
    let len = pages * page() as usize;
    let mut found = vec![0; pages];
    // SAFETY: a new mapping, at a place that the kernel chooses, which nobody reads or writes.
    let memory = unsafe {
        let (fd, offset) = (file.as_raw_fd(), offset as libc::off_t);
        libc::mmap(
            std::ptr::null_mut(),
            len,
            libc::PROT_READ,
            libc::MAP_SHARED,
            fd,
            offset,
        )
    };
    assert_ne!(memory, libc::MAP_FAILED);
    // SAFETY: the call writes a byte for each page of the mapping, and there are as many.
    assert_eq!(unsafe { libc::mincore(memory, len, found.as_mut_ptr()) }, 0);
    // SAFETY: the mapping is ours, and used no more.
    assert_eq!(unsafe { libc::munmap(memory, len) }, 0);
    found.into_iter().map(|page| page & 1 == 1).collect()
}

/// The call itself.
fn fadvise(file: &std::fs::File, offset: u64, len: u64, advice: i32) {
    // SAFETY: the call takes numbers only.
    let error = unsafe {
        libc::posix_fadvise(
            file.as_raw_fd(),
            offset as libc::off_t,
            len as libc::off_t,
            advice,
        )
    };
    assert_eq!(error, 0);
}

/// A file on the disk, and nothing of it in the page cache where the file system can do that.
fn file(dir: &Dir, name: &str, pages: impl IntoIterator<Item = u64>) -> std::fs::File {
    let options = &mut std::fs::File::options();
    let options = options.read(true).write(true).create_new(true);
    let file = options.open(dir.0.join(name)).unwrap();
    for number in pages {
        let contents = vec![7; page() as usize];
        file.write_all_at(&contents, number * page()).unwrap();
    }
    file.sync_all().unwrap();
    fadvise(&file, 0, 0, libc::POSIX_FADV_DONTNEED);
    file
}

/// Two files alike: ours is advised by us, the other by the system call. Each page is read by itself, so that the kernel
/// holds it by itself.
#[test]
fn the_page_cache_does_as_after_the_system_call() {
    type Case = ((Bound<u64>, Bound<u64>), u64, u64);
    bounded(|| {
        let dir = Dir::new("advice");
        let both = ["ours", "theirs"].map(|name| file(&dir, name, 0..PAGES as u64));
        let [seen, theirs] = both;
        let ours = File::from_std(seen.try_clone().unwrap());
        let now = || [&seen, &theirs].map(|file| cached(file, 0, PAGES));
        let page = page();
        let cases: [Case; 7] = [
            ((Unbounded, Unbounded), 0, 0),
            ((Included(8 * page), Unbounded), 8 * page, 0),
            ((Unbounded, Excluded(8 * page)), 0, 8 * page),
            ((Unbounded, Included(8 * page)), 0, 8 * page + 1),
            (
                (Excluded(8 * page - 1), Included(9 * page - 1)),
                8 * page,
                page,
            ),
            // Parts of pages stay.
            ((Included(5), Excluded(3 * page - 5)), 5, 3 * page - 10),
            ((Included(page), Excluded(1 << 40)), page, 1 << 40),
        ];
        runtime().block_on(async {
            ours.advise(.., Advice::Random).await.unwrap();
            fadvise(&theirs, 0, 0, libc::POSIX_FADV_RANDOM);
            for (range, offset, len) in cases {
                for at in (0..PAGES as u64).map(|number| number * page) {
                    ours.read_exact_at([0], at).await.0.unwrap();
                    theirs.read_exact_at(&mut [0], at).unwrap();
                }
                let all = vec![true; PAGES];
                assert_eq!(now(), [all.clone(), all.clone()]);
                // What no file has, and nothing at all, is no page of it.
                for none in [5 * page..5 * page, 9 * page..page, u64::MAX..u64::MAX] {
                    ours.advise(none, Advice::DontNeed).await.unwrap();
                }
                for far in [i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX] {
                    ours.advise(far.., Advice::DontNeed).await.unwrap();
                    ours.advise(far..=far, Advice::DontNeed).await.unwrap();
                }
                assert_eq!(now()[0], all);
                ours.advise(range, Advice::DontNeed).await.unwrap();
                fadvise(&theirs, offset, len, libc::POSIX_FADV_DONTNEED);
                let [kept, expected] = now();
                assert_eq!(kept, expected, "{range:?}");
                ours.advise(range, Advice::WillNeed).await.unwrap();
                fadvise(&theirs, offset, len, libc::POSIX_FADV_WILLNEED);
                let same = || {
                    let [kept, expected] = now();
                    kept == expected
                };
                until("what will be needed", same).await;
            }
        });
    });
}

/// No page is read that is not asked for, and more again when it is normal.
#[test]
fn nothing_is_read_ahead_of_random_reads() {
    bounded(|| {
        let dir = Dir::new("random");
        let seen = file(&dir, "file", 0..PAGES as u64);
        let count = || cached(&seen, 0, PAGES).iter().filter(|&&page| page).count();
        let before = count();
        let ours = File::from_std(seen.try_clone().unwrap());
        runtime().block_on(async {
            ours.advise(.., Advice::Random).await.unwrap();
            ours.read_exact_at([0], 20 * page()).await.0.unwrap();
            assert_eq!(count(), (before + 1).min(PAGES));
            for advice in [Advice::Normal, Advice::Sequential] {
                ours.advise(.., Advice::DontNeed).await.unwrap();
                ours.advise(.., advice).await.unwrap();
                ours.read_exact_at([0], 0).await.0.unwrap();
                until("what is read ahead", || count() > 1).await;
            }
        });
    });
}

/// The kernel is told 32 bits of a length, of which none may be left for a long range, or few.
#[test]
fn a_long_range_ends_short_and_nowhere_else() {
    bounded(|| {
        let dir = Dir::new("long");
        let far = (1 << 32) / page();
        let seen = file(&dir, "file", [0, 256, far + 2]);
        let has = |number: u64| cached(&seen, number * page(), 1)[0];
        let ours = File::from_std(seen.try_clone().unwrap());
        // Not on a file system in memory.
        let can = !has(0);
        runtime().block_on(async {
            ours.advise(.., Advice::Random).await.unwrap();
            for end in [1 << 32, (1 << 32) + page(), u64::MAX] {
                for number in [0, 256, far + 2] {
                    let (read, byte) = ours.read_exact_at([0], number * page()).await;
                    read.unwrap();
                    assert_eq!(byte, [7]);
                }
                ours.advise(..end, Advice::DontNeed).await.unwrap();
                let to_the_end = end == u64::MAX;
                let held = [has(0), has(256), has(far + 2)];
                assert_eq!(held, [!can, !can, !can || !to_the_end], "{end}");
            }
        });
    });
}

fn advising() -> usize {
    in_flight().iter().filter(|op| op.name == "fadvise").count()
}

#[test]
#[allow(clippy::async_yields_async)] // The last one outlives the run.
fn dropped_cancelled_too_late_and_closed_in_flight() {
    bounded(|| {
        let dir = Dir::new("advice-in-flight");
        let file = file(&dir, "file", 0..PAGES as u64);
        let file = File::from_std(file);
        let may_be_cancelled = |result: std::io::Result<()>| {
            if let Err(error) = result {
                assert_eq!(error.raw_os_error(), Some(libc::ECANCELED), "{error}");
            }
        };
        let runtime = runtime();
        let left = runtime.block_on(async {
            drop(file.advise(.., Advice::DontNeed));
            for advice in [Advice::Sequential, Advice::WillNeed, Advice::DontNeed] {
                let submitted = file.advise(.., advice).submit();
                assert_eq!(advising(), 1);
                drop(submitted);
                until("the end of a dropped advice", || advising() == 0).await;
                let submitted = file.advise(.., advice).submit();
                may_be_cancelled(submitted.cancel().await);
                let late = file.advise(.., advice).timeout(Duration::ZERO).await;
                if let Err(error) = late {
                    assert_eq!(error.kind(), ErrorKind::TimedOut);
                    assert!(error.get_ref().unwrap().is::<Elapsed>());
                }
                let in_time = file.advise(.., advice).timeout(Duration::MAX);
                in_time.await.unwrap();
                // The result was faster.
                let mut submitted = file.advise(.., advice).submit();
                let mut result = None;
                while result.is_none() {
                    saferring::op::nop().await.unwrap();
                    result = poll_once(&mut submitted).await;
                }
                result.unwrap().unwrap();
                let submitted = file.advise(.., advice).submit();
                until("the result", || advising() == 0).await;
                submitted.cancel().await.unwrap();
                // There is nothing to cancel, or to wait for.
                let mut none = file.advise(9..9, advice).submit();
                assert_eq!(advising(), 0);
                poll_once(&mut none).await.unwrap().unwrap();
            }
            let again = file.try_clone().unwrap();
            let submitted = again.advise(.., Advice::WillNeed).submit();
            again.close().await.unwrap();
            may_be_cancelled(submitted.await);
            file.advise(.., Advice::WillNeed).submit()
        });
        // With one in flight.
        assert!(runtime.shutdown_timeout(Duration::from_secs(30)).is_ok());
        may_be_cancelled(left.now_or_never().unwrap());
    });
}

#[test]
fn forgotten_in_flight() {
    bounded(|| {
        leaks_on_purpose(
            &[Account::Descriptors, Account::Drivers],
            "forgotten futures keep their descriptor and their driver",
        );
        let dir = Dir::new("advice-forgotten");
        let file = file(&dir, "file", 0..PAGES as u64);
        let file = File::from_std(file);
        let runtime = runtime();
        runtime.block_on(async {
            for advice in [Advice::Random, Advice::WillNeed, Advice::DontNeed] {
                std::mem::forget(file.advise(.., advice));
                std::mem::forget(file.advise(.., advice).submit());
                until("its completion", || advising() == 0).await;
                std::mem::forget(file.advise(.., advice).submit());
            }
            file.advise(.., Advice::Normal).await.unwrap();
        });
        assert!(runtime.shutdown_timeout(Duration::from_secs(30)).is_ok());
    });
}
