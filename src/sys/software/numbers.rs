//! How often each descriptor number was given to a file of ours.
//!
//! Entries name files by numbers, and a number comes again when its file was closed, which happens by plain calls that no
//! ring hears of. What a software ring knows of a number is true only for the file that had it then.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};

/// A power of two. Numbers that share a place make a ring look once too often, no more.
const PLACES: usize = 1 << 16;

static TIMES: [AtomicU32; PLACES] = [const { AtomicU32::new(0) }; PLACES];

fn place(fd: RawFd) -> &'static AtomicU32 {
    &TIMES[fd as usize % PLACES]
}

/// The number is that of a file which has just become ours.
///
/// Relaxed, because a descriptor comes to another thread by something that orders what was before.
#[inline]
pub(crate) fn note_descriptor(fd: RawFd) {
    place(fd).fetch_add(1, Ordering::Relaxed);
}

/// How often it was.
pub(super) fn times(fd: RawFd) -> u32 {
    place(fd).load(Ordering::Relaxed)
}
