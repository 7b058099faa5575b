//! System calls that fail as an operator's filter, or a broken kernel, would make them.

use std::io;

/// Which system call is refused, and how.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// The number of the call (`libc::SYS_…`).
    pub call: libc::c_long,
    /// The error that it answers with.
    pub errno: i32,
}

/// Makes a system call fail on the calling thread, and on threads that it starts, for good.
///
/// # Errors
///
/// Those of prctl(2).
pub fn refuse(refusal: Refusal) -> io::Result<()> {
    const LOAD_NUMBER: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut steps = [
        step(LOAD_NUMBER, 0, 0, 0),
        step(JUMP_IF_EQUAL, 0, 1, refusal.call as u32),
        step(ANSWER, 0, 0, libc::SECCOMP_RET_ERRNO | refusal.errno as u32),
        step(ANSWER, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the first call takes numbers only; the second reads the program, which lives across it.
    let failed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            ) != 0
    };
    if failed {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
