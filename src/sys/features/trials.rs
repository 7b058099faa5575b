//! What the kernel tells by no bit is tried: with valid arguments, on a ring that is thrown away.
//!
//! A form of an operation is tried on an eventfd: `ENOTSOCK` says that the kernel knows the form, `EINVAL` that it does not.
//! (With no descriptor at all it would say `EBADF` before it looks.)

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use io_uring::{IoUring, Probe, opcode, squeue, types};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use socket2::SockRef;

use super::refusal::Cause;
use crate::feature::{Feature, FeatureSet};
use crate::sys::buf_ring::BufRing;
use crate::sys::flags;
use crate::sys::message;
use crate::sys::ring_index::RingIndex;

/// For the few entries that there are, and their completions.
const ENTRIES: u32 = 8;
/// `IORING_ENTER_GETEVENTS`
const GETEVENTS: u32 = 1 << 0;
/// `IORING_ACCEPT_MULTISHOT`, and the like: flags in `ioprio`.
const POLL_FIRST: u16 = 1 << 0;
const REPORT_USAGE: u16 = 1 << 3;
/// What no feature has as its number.
const NO_FEATURE: u64 = u64::MAX;

/// Whatever a trial points to: a message without parts, or an address of no family. The kernel only reads it.
static ZEROS: [u64; 16] = [0; 16];

/// More than the smallest socket holds.
static MUCH: [u8; 1 << 16] = [0; 1 << 16];

/// The ring that is tried on, and the setup flags that the kernel knows.
pub(super) struct Trial {
    ring: IoUring,
    /// What its ring was made with.
    pub(super) flags: FeatureSet,
}

/// The flags that are tried, newest last. They can all be had together.
const FLAGS: [Feature; 6] = [
    Feature::SubmitAll,
    Feature::CoopTaskrun,
    Feature::TaskrunFlag,
    Feature::SingleIssuer,
    Feature::DeferTaskrun,
    Feature::NoSqarray,
];

fn ring(set: FeatureSet) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    flags::apply(&mut builder, set);
    builder.build(ENTRIES)
}

/// Whether a ring of this set can be had. `Err`: there are other reasons than that a flag is unknown.
fn ring_if_known(set: FeatureSet) -> io::Result<Option<IoUring>> {
    match ring(set) {
        Ok(ring) => Ok(Some(ring)),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether what the flag cannot do without is in the set.
fn is_complete(set: FeatureSet, flag: Feature) -> bool {
    match flag {
        Feature::TaskrunFlag => set.has(Feature::CoopTaskrun) || set.has(Feature::DeferTaskrun),
        Feature::DeferTaskrun => set.has(Feature::SingleIssuer),
        _ => true,
    }
}

impl Trial {
    /// Makes a ring of all flags that the kernel knows.
    ///
    /// # Errors
    ///
    /// Those of io_uring_setup(2).
    pub(super) fn new() -> io::Result<Self> {
        let mut flags: FeatureSet = FLAGS.into_iter().collect();
        let mut dropped = Vec::new();
        // What is refused costs next to nothing. The newest flag is the likeliest to be.
        let mut ring = loop {
            if let Some(ring) = ring_if_known(flags)? {
                break ring;
            }
            let newest = FLAGS.into_iter().rfind(|&flag| flags.has(flag));
            let Some(newest) = newest else {
                return Err(io::Error::from_raw_os_error(libc::EINVAL));
            };
            flags = flags.without(newest);
            dropped.push(newest);
        };
        // It may have been another that was refused.
        for flag in dropped.into_iter().rev() {
            let more = flags.with(flag);
            if is_complete(more, flag) {
                if let Some(better) = ring_if_known(more)? {
                    (ring, flags) = (better, more);
                }
            }
        }
        Ok(Trial { ring, flags })
    }

    /// The operations that the kernel has, as bits.
    pub(super) fn opcodes(&self) -> io::Result<u128> {
        let mut probe = Probe::new();
        self.ring.submitter().register_probe(&mut probe)?;
        let there = (0..128).filter(|&code| probe.is_supported(code));
        Ok(there.fold(0, |set, code| set | 1 << code))
    }

    /// What a bit tells.
    pub(super) fn has_bit(&self, feature: Feature) -> bool {
        let has = self.ring.params();
        match feature {
            Feature::MinWait => has.is_feature_min_timeout(),
            Feature::NoIowait => has.is_feature_no_iowait(),
            Feature::Sqpoll => has.is_feature_sqpoll_nonfixed(),
            _ => false,
        }
    }

    /// Tries what is done by io_uring_register(2).
    pub(super) fn register(&self, feature: Feature) -> io::Result<()> {
        let submitter = self.ring.submitter();
        match feature {
            Feature::RegisteredRing => match RingIndex::register(&self.ring) {
                Ok(_) => Ok(()),
                // The thread has as many as it may, so they can be had.
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => Ok(()),
                Err(error) => Err(error),
            },
            Feature::RegisteredBuffers => submitter.register_buffers_sparse(1),
            Feature::BufferRings => {
                let buffers = BufRing::new(0, 1, 1)?;
                // SAFETY: the ring is empty, so the kernel finds no buffer in it, and it is forgotten before its memory is
                // unmapped; should that fail, the kernel goes on reading pages that it has pinned, which then are nobody's.
                unsafe {
                    submitter.register_buf_ring_with_flags(
                        buffers.address(),
                        buffers.entries(),
                        0,
                        0,
                    )?;
                }
                submitter.unregister_buf_ring(0)
            }
            Feature::Napi => {
                submitter.register_napi(&mut types::Napi::new())?;
                submitter.unregister_napi(&mut types::Napi::new())
            }
            Feature::KernelWorkers => submitter.register_iowq_max_workers(&mut [0, 0]),
            Feature::MessageWakes => message::send(self.ring.as_raw_fd()),
            _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        }
    }

    /// Tries the forms of operations, and whether a file is closed as soon as its slot is emptied although another is in
    /// use: older kernels keep it until that use has ended, or for a second. All by one enter.
    ///
    /// # Errors
    ///
    /// If there are no descriptors for that, or io_uring_enter(2) is refused.
    pub(super) fn submit(&mut self) -> io::Result<Submitted> {
        // Readable from the start, so that nothing waits for it.
        let event = eventfd(1, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let files = self.put_files();
        for (feature, entry) in forms(&event) {
            self.push(&entry.user_data(feature as u64));
        }
        if files.is_ok() {
            let in_use = opcode::PollAdd::new(types::Fixed(1), libc::POLLPRI as u32).build();
            self.push(&in_use.user_data(NO_FEATURE));
        }
        self.enter()?;
        let mut refused: Vec<(Feature, Cause)> = Vec::new();
        for cqe in self.ring.completion() {
            // A notification has another kind of result.
            let errno = match io_uring::cqueue::notif(cqe.flags()) {
                true => 0,
                false => cqe.result().wrapping_neg(),
            };
            let form = FORMS.into_iter().find(|&one| one as u64 == cqe.user_data());
            let refuses = matches!(
                errno,
                libc::EINVAL | libc::EOPNOTSUPP | libc::EPERM | libc::EACCES | libc::ENOMEM
            );
            if let Some(form) = form.filter(|_| refuses) {
                let error = io::Error::from_raw_os_error(errno);
                refused.push((form, Cause::of(&error)));
            }
        }
        let files = files.and_then(|reader| self.is_let_go_of(&reader));
        Ok(Submitted { refused, files })
    }

    /// Whether a send of the whole that is cancelled tells what it has sent. Before 6.0 kernels forget that, if they go on with such
    /// a send by themselves.
    ///
    /// # Errors
    ///
    /// If there are no descriptors for that, or io_uring_enter(2) is refused.
    pub(super) fn counts_sends(&mut self) -> io::Result<bool> {
        const SEND: u64 = NO_FEATURE - 1;
        const LOOKS: usize = 10_000;
        let (socket, _peer) = UnixStream::pair()?;
        SockRef::from(&socket).set_send_buffer_size(1)?; // The kernel makes it the least that there is.
        let fd = types::Fd(socket.as_raw_fd());
        let send = opcode::Send::new(fd, MUCH.as_ptr(), MUCH.len() as u32)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build();
        self.push(&send.user_data(SEND));
        self.enter()?;
        let cancel = opcode::AsyncCancel::new(SEND).build();
        self.push(&cancel.user_data(NO_FEATURE));
        self.enter()?;
        for _ in 0..LOOKS {
            let sent = self.ring.completion().find(|cqe| cqe.user_data() == SEND);
            if let Some(sent) = sent {
                return Ok(sent.result() != -libc::ECANCELED);
            }
            std::thread::yield_now();
            let submitter = self.ring.submitter();
            // SAFETY: nothing is submitted, and no argument is passed.
            unsafe { submitter.enter::<libc::sigset_t>(0, 0, GETEVENTS, None)? };
        }
        Ok(false)
    }

    /// Puts the end of a pipe that writes into slot 0, and that which reads into slot 1; gives the latter.
    fn put_files(&self) -> io::Result<OwnedFd> {
        self.ring.submitter().register_files_sparse(2)?;
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        let ends = [writer.as_raw_fd(), reader.as_raw_fd()];
        self.ring.submitter().register_files_update(0, &ends)?;
        Ok(reader)
    }

    /// Whether a file is closed when slot 0 is emptied: the pipe that `reader` is the other end of, or one more. (A child that
    /// another thread starts just then has the first pipe, too.)
    fn is_let_go_of(&self, reader: &OwnedFd) -> io::Result<()> {
        const TRIES: usize = 3;
        let submitter = self.ring.submitter();
        submitter.register_files_update(0, &[-1])?;
        let mut let_go = has_lost_its_writer(reader)?;
        for _ in 1..TRIES {
            if let_go {
                return Ok(());
            }
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
            submitter.register_files_update(0, &[writer.as_raw_fd()])?;
            drop(writer);
            submitter.register_files_update(0, &[-1])?;
            let_go = has_lost_its_writer(&reader)?;
        }
        match let_go {
            true => Ok(()),
            false => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        }
    }

    /// There is room: what is pushed is less than the queue holds.
    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the entries point to nothing but `ZEROS` and `MUCH`, which live for ever, and which the kernel only reads.
        let _ = unsafe { self.ring.submission().push(entry) };
    }

    /// Submits all that was pushed. A refused entry ends the call where there is no `SUBMIT_ALL`, so there may be several.
    fn enter(&mut self) -> io::Result<()> {
        for _ in 0..ENTRIES {
            let left = self.ring.submission().len() as u32;
            if left == 0 {
                break;
            }
            let submitter = self.ring.submitter();
            // SAFETY: the entries are those of `push`; no argument is passed.
            unsafe { submitter.enter::<libc::sigset_t>(left, 0, GETEVENTS, None)? };
        }
        Ok(())
    }
}

/// Whether nobody can write to the pipe any more.
fn has_lost_its_writer(reader: &OwnedFd) -> io::Result<bool> {
    let mut ends = [PollFd::new(reader, PollFlags::IN)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut ends, Some(&at_once))?;
    Ok(ends[0].revents().contains(PollFlags::HUP))
}

/// What was learned by submitting.
pub(super) struct Submitted {
    /// The forms that are not to be had; one that was not answered has been taken, and waits.
    pub(super) refused: Vec<(Feature, Cause)>,
    /// Whether files can be registered.
    pub(super) files: io::Result<()>,
}

/// The features that are tried by submitting an entry.
pub(super) const FORMS: [Feature; 6] = [
    Feature::MultishotAccept,
    Feature::MultishotRecv,
    Feature::MultishotRecvmsg,
    Feature::PollFirst,
    Feature::SendAddress,
    Feature::ZeroCopyReport,
];

/// An entry for each form, of the flagged operation on what is no socket.
fn forms(event: &OwnedFd) -> [(Feature, squeue::Entry); FORMS.len()] {
    let fd = types::Fd(event.as_raw_fd());
    let (nothing, zeros) = (std::ptr::null_mut(), (&raw const ZEROS));
    let address_len = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    FORMS.map(|feature| {
        let entry = match feature {
            Feature::MultishotAccept => opcode::AcceptMulti::new(fd).build(),
            Feature::MultishotRecv => opcode::RecvMulti::new(fd, 0).build(),
            Feature::MultishotRecvmsg => opcode::RecvMsgMulti::new(fd, zeros.cast(), 0).build(),
            Feature::PollFirst => opcode::Recv::new(fd, nothing, 0).ioprio(POLL_FIRST).build(),
            Feature::SendAddress => opcode::Send::new(fd, nothing, 0)
                .dest_addr(zeros.cast())
                .dest_addr_len(address_len)
                .build(),
            _ => opcode::SendZc::new(fd, nothing, 0)
                .zc_flags(REPORT_USAGE)
                .build(),
        };
        (feature, entry)
    })
}

/// Whether the kernel makes rings that poll for the end of direct reads and writes.
pub(super) fn iopoll() -> io::Result<()> {
    ring(FeatureSet::EMPTY.with(Feature::Iopoll)).map(drop)
}
