//! System calls that fail as an operator's filter, or a broken kernel, would make them.

use std::io;

const LOAD_NUMBER: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

const fn step(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

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
    install(&mut [
        step(LOAD_NUMBER, 0, 0, 0),
        step(JUMP_IF_EQUAL, 0, 1, refusal.call as u32),
        step(ANSWER, 0, 0, libc::SECCOMP_RET_ERRNO | refusal.errno as u32),
        step(ANSWER, 0, 0, libc::SECCOMP_RET_ALLOW),
    ])
}

fn install(steps: &mut [libc::sock_filter]) -> io::Result<()> {
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

/// Makes the call fail by which the ring waits, whichever kind it is: on the calling thread, for good.
///
/// # Errors
///
/// Those of prctl(2).
pub fn refuse_waits(errno: i32) -> io::Result<()> {
    let calls: &[_] = match crate::is_software() {
        false => &[libc::SYS_io_uring_enter],
        true => &[
            libc::SYS_epoll_pwait2,
            libc::SYS_epoll_pwait,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_wait,
        ],
    };
    calls
        .iter()
        .try_for_each(|&call| refuse(Refusal { call, errno }))
}

/// Lets pass what [`allow_list`] was told of, on the calling thread and what it starts, for good. It allocates nothing, and so
/// may be called between fork(2) and execve(2).
///
/// # Errors
///
/// Those of prctl(2).
pub fn allow_only(steps: &mut [libc::sock_filter]) -> io::Result<()> {
    install(steps)
}

/// A filter for [`allow_only`]: these system calls, and no others, which fail with `errno`; but `special` ones with an error of
/// their own.
pub fn allow_list(
    allowed: &[libc::c_long],
    special: &[Refusal],
    errno: i32,
) -> Vec<libc::sock_filter> {
    let mut steps = vec![step(LOAD_NUMBER, 0, 0, 0)];
    for refusal in special {
        steps.push(step(JUMP_IF_EQUAL, 0, 1, refusal.call as u32));
        let answer = libc::SECCOMP_RET_ERRNO | refusal.errno as u32;
        steps.push(step(ANSWER, 0, 0, answer));
    }
    for &call in allowed {
        steps.push(step(JUMP_IF_EQUAL, 0, 1, call as u32));
        steps.push(step(ANSWER, 0, 0, libc::SECCOMP_RET_ALLOW));
    }
    steps.push(step(ANSWER, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32));
    steps
}
