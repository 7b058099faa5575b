//! On which CPUs the kernel's threads for the rings of a thread may run (5.14).

use std::ffi::c_ulong;
use std::io;
use std::os::fd::RawFd;

const REGISTER_IOWQ_AFF: u32 = 17;
/// Linux has room for 8192 CPUs: a higher number is none.
const END: usize = 1 << 16;

/// Keeps the threads that the kernel starts from now on to these CPUs. (The crate's own call takes a `cpu_set_t`, which ends at
/// 1024 and is made by unsafe code alone.)
///
/// # Errors
///
/// `EINVAL` if the cpuset of the process has not all of them, or before 5.14; others of io_uring_register(2).
pub(super) fn keep_workers_on(ring: RawFd, cpus: &[usize]) -> io::Result<()> {
    let mask = mask(cpus);
    if mask.is_empty() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: the call only reads as many bytes as it is told, which are those of `mask`; that lives across the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring,
            REGISTER_IOWQ_AFF,
            mask.as_ptr(),
            size_of_val(mask.as_slice()),
        )
    };
    match done {
        ..0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The CPUs as the kernel's bits.
fn mask(cpus: &[usize]) -> Vec<c_ulong> {
    const BITS: usize = c_ulong::BITS as usize;
    let mut mask = Vec::new();
    for &cpu in cpus.iter().filter(|&&cpu| cpu < END) {
        if mask.len() <= cpu / BITS {
            mask.resize(cpu / BITS + 1, 0);
        }
        mask[cpu / BITS] |= 1 << (cpu % BITS);
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cpu_is_a_bit() {
        const BITS: usize = c_ulong::BITS as usize;
        assert_eq!(mask(&[]), [0; 0]);
        assert_eq!(mask(&[0, 3, 0]), [0b1001]);
        assert_eq!(mask(&[BITS * 2 + 1, 1]), [2, 0, 2]);
        assert_eq!(mask(&[2000])[2000 / BITS], 1 << (2000 % BITS));
        assert_eq!(mask(&[END, usize::MAX]), [0; 0]);
    }
}
