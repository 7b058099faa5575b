//! What the kernel's operations are called.
#![forbid(unsafe_code)]

/// By their numbers: `IORING_OP_NOP` is the first.
const NAMES: [&str; 65] = [
    "nop",
    "readv",
    "writev",
    "fsync",
    "read_fixed",
    "write_fixed",
    "poll_add",
    "poll_remove",
    "sync_file_range",
    "sendmsg",
    "recvmsg",
    "timeout",
    "timeout_remove",
    "accept",
    "async_cancel",
    "link_timeout",
    "connect",
    "fallocate",
    "openat",
    "close",
    "files_update",
    "statx",
    "read",
    "write",
    "fadvise",
    "madvise",
    "send",
    "recv",
    "openat2",
    "epoll_ctl",
    "splice",
    "provide_buffers",
    "remove_buffers",
    "tee",
    "shutdown",
    "renameat",
    "unlinkat",
    "mkdirat",
    "symlinkat",
    "linkat",
    "msg_ring",
    "fsetxattr",
    "setxattr",
    "fgetxattr",
    "getxattr",
    "socket",
    "uring_cmd",
    "send_zc",
    "sendmsg_zc",
    "read_multishot",
    "waitid",
    "futex_wait",
    "futex_wake",
    "futex_waitv",
    "fixed_fd_install",
    "ftruncate",
    "bind",
    "listen",
    "recv_zc",
    "epoll_wait",
    "readv_fixed",
    "writev_fixed",
    "pipe",
    "nop128",
    "uring_cmd128",
];

/// The name of the operation with this number, as in the kernel's `IORING_OP_*`, in small letters.
pub(super) fn opcode_name(code: u8) -> &'static str {
    NAMES
        .get(usize::from(code))
        .copied()
        .unwrap_or("of a newer kernel")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature::Feature;

    #[test]
    fn features_have_the_same_names() {
        for feature in Feature::all() {
            if let Some(code) = feature.opcode() {
                assert_eq!(opcode_name(code), feature.name());
            }
        }
        assert_eq!(opcode_name(200), "of a newer kernel");
    }
}
