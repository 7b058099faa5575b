//! The tests that run on the kernel's ring alone, with their reasons: a list to be kept short.

/// A test that [`also_on_software`](crate::also_on_software) leaves out.
#[derive(Clone, Copy, Debug)]
pub struct KernelOnly {
    /// The test binary, by the name of its file.
    pub binary: &'static str,
    /// The test, with its modules.
    pub test: &'static str,
    /// Why it cannot run on the software ring.
    pub reason: &'static str,
}

/// All of them.
pub const KERNEL_ONLY: &[KernelOnly] = &[
    KernelOnly {
        binary: "features",
        test: "a_filter_is_told_from_an_old_kernel",
        reason: "filters io_uring_register(2), which the software ring never calls",
    },
    KernelOnly {
        binary: "features",
        test: "strictly_what_the_kernel_lacks_is_named_with_the_kernel_that_has_it",
        reason: "filters io_uring_register(2), which the software ring never calls",
    },
];
