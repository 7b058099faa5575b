//! Which of the sockets that share a port gets a connection: by the CPU that it comes in on.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The longest program that the kernel takes.
const INSTRUCTIONS_MAX: usize = 4096;

/// Gives what comes in on the n-th of `cpus` to the n-th socket of the group that `socket` is of, in the order in which they
/// began to listen; and what comes in on another CPU to one by its number.
///
/// # Errors
///
/// Those of setsockopt(2) with `SO_ATTACH_REUSEPORT_CBPF`, see socket(7) (Linux 4.5).
pub(crate) fn steer_by_cpu(socket: BorrowedFd<'_>, cpus: &[usize]) -> io::Result<()> {
    let mut program = program(cpus)?;
    let filter = libc::sock_fprog {
        len: program.len() as u16, // At most `INSTRUCTIONS_MAX`.
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the option takes a `sock_fprog` of that size, which lives until the call returns, as the program does to which it
    // points, with as many instructions as it says. The kernel copies both.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const filter).cast(),
            size_of_val(&filter) as libc::socklen_t,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A classic BPF program that answers with the number of a socket.
fn program(cpus: &[usize]) -> io::Result<Vec<libc::sock_filter>> {
    let unfit = || {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("connections cannot be steered to {} CPUs", cpus.len()),
        )
    };
    let count = u32::try_from(cpus.len()).map_err(|_| unfit())?;
    if count == 0 || cpus.len() * 2 + 3 > INSTRUCTIONS_MAX {
        return Err(unfit());
    }
    let instruction = |code: u32, jf, k| libc::sock_filter {
        code: code as u16, // They have 16 bits.
        jt: 0,
        jf,
        k,
    };
    let this_cpu = (libc::SKF_AD_OFF + libc::SKF_AD_CPU) as u32; // "Negative" offsets are what the kernel adds.
    let mut program = vec![instruction(
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        0,
        this_cpu,
    )];
    for (socket, &cpu) in (0..).zip(cpus) {
        let cpu = u32::try_from(cpu).map_err(|_| unfit())?;
        program.push(instruction(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            1,
            cpu,
        ));
        program.push(instruction(libc::BPF_RET | libc::BPF_K, 0, socket));
    }
    program.push(instruction(
        libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K,
        0,
        count,
    ));
    program.push(instruction(libc::BPF_RET | libc::BPF_A, 0, 0));
    Ok(program)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_two_instructions_a_cpu_and_ends_with_a_default() {
        let program = program(&[2, 5]).unwrap();
        let text: Vec<_> = program
            .iter()
            .map(|one| (one.code, one.jt, one.jf, one.k))
            .collect();
        let ret = libc::BPF_RET as u16;
        assert_eq!(text.len(), 7);
        assert_eq!(text[1].3, 2);
        assert_eq!((text[2].0, text[2].3), (ret, 0));
        assert_eq!(text[3].3, 5);
        assert_eq!((text[4].0, text[4].3), (ret, 1));
        assert_eq!(text[5].3, 2);
    }

    #[test]
    fn no_cpus_and_too_many_are_refused() {
        for cpus in [0, INSTRUCTIONS_MAX / 2] {
            let error = program(&vec![1; cpus]).unwrap_err();
            assert!(error.to_string().contains("cannot be steered"), "{error}");
        }
    }
}
