//! Which CPUs the threads of cores run on.

use std::fs;
use std::io::{self, Read};
use std::net::TcpStream;
use std::thread;

use saferring::cores::{Balance, Core, Cores, Placement};
use saferring_tests::{Refusal, bounded, in_child, pin, refuse};

saferring_tests::also_on_software!();

/// Where the calling thread may run, as the kernel lists it.
fn allowed() -> String {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.unwrap().trim().to_owned()
}

#[test]
fn a_core_stays_on_its_cpu_and_its_blocking_threads_do_not() {
    bounded(|| {
        let of_process = allowed();
        let cores = Cores::builder().signals(false).build().unwrap();
        let report = cores.handle().report();
        let lists = cores
            .run(async |core| {
                let here = allowed();
                assert_eq!(core.cpu().unwrap().to_string(), here);
                let blocking = saferring::spawn_blocking(allowed).await.unwrap();
                io::Result::Ok((here, blocking))
            })
            .unwrap();
        for (core, (here, blocking)) in lists.into_iter().enumerate() {
            assert_eq!(report.cores[core].cpu.unwrap().to_string(), here);
            assert_eq!(blocking, of_process);
        }
    });
}

#[test]
fn cores_that_are_not_pinned_run_where_the_process_does() {
    bounded(|| {
        let of_process = allowed();
        for builder in [
            Cores::builder().pinned(false),
            Cores::builder().cores(Placement::Unpinned(3)),
        ] {
            let cores = builder.signals(false).build().unwrap();
            let lists = cores.run(async |core| {
                assert_eq!(core.cpu(), None);
                io::Result::Ok(allowed())
            });
            for list in lists.unwrap() {
                assert_eq!(list, of_process);
            }
        }
    });
}

/// Each client is kept on a CPU, and so is what its connection does in the kernel, as that goes through the loopback device.
#[test]
fn by_cpu_a_connection_goes_to_the_core_where_it_comes_in() {
    const EACH: usize = 8;
    bounded(|| {
        let mut cores = Cores::builder().signals(false).build().unwrap();
        let listener = cores.bind("127.0.0.1:0", Balance::ByCpu).unwrap();
        let (addr, handle) = (listener.local_addr(), cores.handle());
        let report = handle.report();
        let clients = thread::spawn(move || {
            for (number, core) in report.cores.iter().enumerate() {
                pin(core.cpu.unwrap());
                for _ in 0..EACH {
                    let mut answer = String::new();
                    let mut client = TcpStream::connect(addr).unwrap();
                    client.read_to_string(&mut answer).unwrap();
                    assert_eq!(answer, number.to_string());
                }
            }
            handle.shutdown();
        });
        let served = cores.run(async |core: Core| {
            let id = core.id();
            let answer = move |stream: saferring::net::TcpStream| async move {
                stream.write_all(id.to_string()).await.0.unwrap();
            };
            core.serve(&listener, answer).await
        });
        served.unwrap();
        clients.join().unwrap();
    });
}

#[test]
fn a_pin_that_is_refused_is_a_line_in_the_report() {
    in_child("a_pin_that_is_refused_is_a_line_in_the_report", || {
        let cores = Cores::builder()
            .cores(Placement::Count(1))
            .signals(false)
            .build()
            .unwrap();
        let handle = cores.handle();
        let refusal = Refusal {
            call: libc::SYS_sched_setaffinity,
            errno: libc::EPERM,
        };
        refuse(refusal).unwrap();
        let ran = cores.run(async |core| io::Result::Ok(core.id()));
        assert_eq!(ran.unwrap(), [0]);
        let report = handle.report();
        let note = &report.cores[0].notes[0];
        assert!(note.contains("cannot pin a thread to CPU"), "{note}");
        assert!(report.to_string().contains(note.as_str()), "{report}");
    });
}

#[test]
fn placements_that_cannot_be_are_refused_with_the_cure() {
    bounded(|| {
        for (placement, cure) in [
            (Placement::Count(0), "one or more"),
            (Placement::Unpinned(0), "one or more"),
            (Placement::List(Vec::new()), "one or more"),
            (Placement::Count(100_000), "ask for at most"),
            (Placement::List(vec![99_999]), "name each CPU once"),
            (Placement::Node(12_345), "there is no NUMA node 12345"),
        ] {
            let error = Cores::builder().cores(placement).build().unwrap_err();
            assert!(error.to_string().contains(cure), "{error}");
        }
    });
}
