//! What this kernel's io_uring can do: asked, not guessed from its version.

use std::fmt;
use std::sync::OnceLock;

use io_uring::{IoUring, Probe, opcode};

/// What the running kernel's io_uring offers, found by asking it once per process.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    opcodes: u128,
    no_iowait: bool,
    software: bool,
}

static FEATURES: OnceLock<Features> = OnceLock::new();

/// What this kernel's io_uring can do. The first ring of a runtime tells; before that, the kernel is asked with a small
/// ring of its own.
///
/// Where io_uring is refused altogether, nothing is supported. What a limit or a filter refuses to one runtime is told by
/// that: [`Metrics::provided_refused`](crate::runtime::Metrics::provided_refused) for provided buffers,
/// [`FixedBufPool::is_registered`](crate::fs::FixedBufPool::is_registered) for registered ones.
///
/// # Examples
///
/// ```
/// let features = saferring::features();
/// println!("{features:?}");
/// if !features.multishot_accept() {
///     println!("each accept is a request of its own (kernel before 5.19)");
/// }
/// ```
pub fn features() -> Features {
    if let Some(features) = FEATURES.get() {
        return *features;
    }
    // A refusal may be for want of a descriptor or of memory, which pass: it is not remembered.
    IoUring::new(2).map_or_else(|_| Features::default(), |ring| learn(&ring))
}

/// [`features`], from a ring that is there.
pub(super) fn learn(ring: &IoUring) -> Features {
    *FEATURES.get_or_init(|| Features::of(ring))
}

impl Features {
    fn of(ring: &IoUring) -> Self {
        let mut probe = Probe::new();
        let mut opcodes = 0;
        if ring.submitter().register_probe(&mut probe).is_ok() {
            opcodes = (0..128)
                .filter(|&code| probe.is_supported(code))
                .fold(0, |set, code| set | 1 << code);
        }
        Features {
            opcodes,
            no_iowait: ring.params().is_feature_no_iowait(),
            software: false,
        }
    }

    /// Whether the kernel has the operation with this number (`IORING_OP_*`).
    #[inline]
    pub fn has_opcode(&self, code: u8) -> bool {
        code < 128 && self.opcodes & (1 << code) != 0
    }

    /// Whether one accept can serve many connections (kernel 5.19).
    #[inline]
    pub fn multishot_accept(&self) -> bool {
        // Multishot has no bit of its own; it came with the socket operation.
        self.has_opcode(opcode::Socket::CODE)
    }

    /// Whether one receive can serve a whole stream, out of a ring of provided buffers (kernel 6.0).
    #[inline]
    pub fn multishot_recv(&self) -> bool {
        // It came with zero-copy send.
        self.has_opcode(opcode::SendZc::CODE)
    }

    /// Whether a receive can be told to wait for data before it tries (kernel 5.19).
    #[inline]
    pub(crate) fn poll_first(&self) -> bool {
        self.has_opcode(opcode::Socket::CODE)
    }

    /// Whether files can live in a table of the ring's own, and are let go of as soon as their slot is emptied. Kernels
    /// before 6.13 keep them open until other requests have ended, or for a second; there is no bit for 6.13, so this is
    /// known from 6.15 on.
    #[inline]
    pub fn registered_files(&self) -> bool {
        self.no_iowait
    }

    /// Whether a send can name an address (kernel 6.0).
    pub(super) fn send_address(&self) -> bool {
        // It came with zero-copy send.
        self.has_opcode(opcode::SendZc::CODE)
    }

    /// Those of a software ring.
    pub(super) fn of_software() -> Self {
        Features {
            opcodes: u128::MAX,
            no_iowait: false,
            software: true,
        }
    }

    /// Whether there are direct descriptors, in whatever table.
    pub(crate) fn direct_descriptors(&self) -> bool {
        true
    }

    /// Whether a waiting ring can be kept out of the I/O wait statistics (kernel 6.15).
    #[inline]
    pub(crate) fn no_iowait(&self) -> bool {
        self.no_iowait
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Features")
            .field("opcodes", &self.opcodes.count_ones())
            .field("multishot_accept", &self.multishot_accept())
            .field("multishot_recv", &self.multishot_recv())
            .field("registered_files", &self.registered_files())
            .field("no_iowait", &self.no_iowait)
            .finish()
    }
}
