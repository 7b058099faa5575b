//! What is switched off is done another way and comes to the same; what is to be an error is one; and who asks is told what
//! there is, and why not more.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join;
use futures_util::{StreamExt, TryStreamExt};
use saferring::fs::{self, File, FixedBufPool};
use saferring::net::{TcpListener, TcpStream, UdpSocket};
use saferring::op::Registry;
use saferring::runtime::{AdvancedConfig, Backend, Builder, FallbackStrategy, Runtime, metrics};
use saferring::{DisabledBy, Error, Feature, Status, features, spawn, spawn_blocking};
use saferring_tests::{
    Refusal, TIME_LIMIT, bounded, in_child, is_masked, is_software, lockable, pattern_bytes,
    refuse, ring_fds, skipped, small_pool,
};

saferring_tests::also_on_software!();

/// A directory that is removed when it is dropped.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("saferring-features-{name}-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a program sees of a runtime: it is the same whatever that goes without.
#[derive(Debug, PartialEq, Eq)]
struct Answers {
    echoes: Vec<Vec<u8>>,
    datagrams: Vec<(Vec<u8>, usize, bool)>,
    contents: Vec<Vec<u8>>,
    lengths: Vec<u64>,
    missing: Vec<ErrorKind>,
    zero_copy: Vec<u8>,
    woken: Vec<u32>,
}

fn answers(runtime: &Runtime) -> Answers {
    runtime.block_on(async {
        let mut answers = Answers {
            echoes: echoes().await.unwrap(),
            datagrams: datagrams().await.unwrap(),
            contents: Vec::new(),
            lengths: Vec::new(),
            missing: Vec::new(),
            zero_copy: zero_copy().await.unwrap(),
            woken: Vec::new(),
        };
        files(&mut answers).await.unwrap();
        for n in 0..10 {
            answers.woken.push(spawn_blocking(move || n).await.unwrap());
        }
        answers
    })
}

/// Three connections of a stream of them, each of which echoes a stream of chunks.
async fn echoes() -> io::Result<Vec<Vec<u8>>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = spawn(async move {
        let mut incoming = listener.incoming().take(3);
        while let Some(stream) = incoming.try_next().await? {
            let mut chunks = stream.recv_stream();
            while let Some(chunk) = chunks.try_next().await? {
                stream.write_all(chunk).await.0?;
            }
        }
        io::Result::Ok(())
    });
    let mut echoes = Vec::new();
    for len in [1, 5000, 100_000] {
        let stream = TcpStream::connect(address).await?;
        let send = async {
            stream.write_all(pattern_bytes(7, len)).await.0?;
            stream.shutdown(std::net::Shutdown::Write)
        };
        let (sent, back) = join(send, read_whole(&stream, len)).await;
        sent?;
        echoes.push(back?);
    }
    server.await.unwrap()?;
    Ok(echoes)
}

/// Ten datagrams out of a stream of them: what was in each, what was cut off, and whether the sender was told.
async fn datagrams() -> io::Result<Vec<(Vec<u8>, usize, bool)>> {
    let ours = UdpSocket::bind("127.0.0.1:0")?;
    let theirs = UdpSocket::bind("127.0.0.1:0")?;
    let (to, from): (SocketAddr, SocketAddr) = (ours.local_addr()?, theirs.local_addr()?);
    let mut stream = ours.recv_from_stream();
    let mut got = Vec::new();
    for len in [0, 1, 100, 1000, 9000, 3, 2, 1, 0, 500] {
        theirs.send_to(pattern_bytes(3, len), to).await.0?;
        let (chunk, sender) = stream.try_next().await?.unwrap();
        got.push((chunk.to_vec(), chunk.missing(), sender == from));
    }
    drop(stream);
    theirs.connect(to).await?;
    let mut stream = ours.recv_stream();
    theirs.send(vec![9; 20]).await.0?;
    let chunk = stream.try_next().await?.unwrap();
    got.push((chunk.to_vec(), chunk.missing(), true));
    Ok(got)
}

async fn zero_copy() -> io::Result<Vec<u8>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let stream = TcpStream::connect(listener.local_addr()?).await?;
    let (peer, _) = listener.accept().await?;
    stream.set_zero_copy_threshold(1);
    let (sent, buf) = stream.write_all_zc(pattern_bytes(1, 3000)).await;
    sent?;
    assert_eq!(buf.await, pattern_bytes(1, 3000));
    let (sent, bufs) = stream.send_vectored_zc([vec![4; 2], vec![5; 3]]).await;
    assert_eq!((sent?, bufs.await.concat()), (5, vec![4, 4, 5, 5, 5]));
    read_whole(&peer, 3005).await
}

/// A file read often enough to be registered, by ordinary and by registered buffers; and what is done to names.
async fn files(answers: &mut Answers) -> io::Result<()> {
    let scratch = Scratch::new("files");
    let dir = scratch.0.join("dir");
    fs::create_dir(&dir).await?;
    let path = dir.join("file");
    fs::write(&path, pattern_bytes(0, 10_000)).await.0?;
    let file = File::options().read(true).write(true).open(&path).await?;
    let pool = small_pool(2, 1000);
    for offset in 0..20 {
        let (read, buf) = file.read_at(vec![0; 100], offset * 50).await;
        answers.contents.push(buf[..read?].to_vec());
        let (read, buf) = file.read_at(pool.take().await, offset * 500).await;
        answers.contents.push(buf[..read?].to_vec());
    }
    let mut chunks = file.read_stream(.., 4);
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.try_next().await? {
        whole.extend_from_slice(&chunk);
    }
    answers.contents.push(whole);
    for len in [5, 20_000] {
        file.set_len(len).await?;
        answers.lengths.push(file.metadata().await?.len());
    }
    fs::rename(&path, dir.join("other")).await?;
    for gone in [&path, &dir.join("none")] {
        let error = fs::remove_file(gone).await.unwrap_err();
        answers.missing.push(error.kind());
    }
    fs::remove_file(dir.join("other")).await?;
    fs::remove_dir(&dir).await
}

/// Reads so much.
async fn read_whole(stream: &TcpStream, len: usize) -> io::Result<Vec<u8>> {
    let mut all = Vec::with_capacity(len);
    while all.len() < len {
        let (read, buf) = stream.read(vec![0; len - all.len()]).await;
        match read? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            n => all.extend_from_slice(&buf[..n]),
        }
    }
    Ok(all)
}

fn without(feature: Feature) -> AdvancedConfig {
    AdvancedConfig::new().disable(feature)
}

fn build(config: AdvancedConfig) -> Result<Runtime, Error> {
    build_by(Builder::new().entries(32).advanced(config))
}

/// Builds a runtime, if need be when the kernel has let go of the memory of those before, which it does at its leisure.
fn build_by(builder: Builder) -> Result<Runtime, Error> {
    let deadline = Instant::now() + TIME_LIMIT / 4;
    loop {
        match builder.clone().build() {
            Err(Error::RingUnavailable { source, .. })
                if source.kind() == ErrorKind::OutOfMemory && Instant::now() < deadline =>
            {
                std::thread::yield_now();
            }
            built => return built,
        }
    }
}

/// A runtime whose ring is the kernel's.
fn on_kernel_ring(config: AdvancedConfig) -> Runtime {
    let builder = Builder::new().entries(32).backend(Backend::IoUring);
    build_by(builder.advanced(config)).unwrap()
}

/// The error of this crate inside another.
#[track_caller]
fn inner(error: &io::Error) -> &Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner.unwrap_or_else(|| panic!("{error:?} is not one of ours"))
}

#[track_caller]
fn is_disabled(error: &io::Error, feature: Feature, by: DisabledBy) {
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    match inner(error) {
        Error::FeatureDisabled {
            feature: found,
            by: found_by,
            ..
        } => assert_eq!((*found, *found_by), (feature, by)),
        other => panic!("{other}"),
    }
    let text = error.to_string();
    assert!(text.contains(feature.name()), "{text}");
    assert!(text.contains(&by.to_string()), "{text}");
}

#[test]
fn without_any_one_feature_the_answers_are_the_same() {
    bounded(|| {
        let expected = answers(&build(AdvancedConfig::new()).unwrap());
        for feature in Feature::all() {
            let runtime = build(without(feature)).unwrap();
            assert_eq!(answers(&runtime), expected, "{feature}");
            let status = runtime.features().status(feature);
            assert!(
                matches!(
                    status,
                    Status::Disabled {
                        by: DisabledBy::Builder,
                        ..
                    }
                ),
                "{feature}: {status}"
            );
            // The forms of an operation go with it.
            let forms: &[Feature] = match feature {
                Feature::Accept => &[Feature::MultishotAccept],
                Feature::Recv => &[Feature::MultishotRecv, Feature::PollFirst],
                Feature::Recvmsg => &[Feature::MultishotRecvmsg],
                Feature::Send => &[Feature::SendAddress],
                Feature::SendZc => &[Feature::ZeroCopyReport],
                Feature::ReadFixed | Feature::WriteFixed => &[Feature::RegisteredBuffers],
                _ => &[],
            };
            let others = Feature::all().filter(|&other| other != feature);
            let others = others.filter(|other| !forms.contains(other));
            for other in others {
                let status = runtime.features().status(other);
                assert!(!matches!(
                    status,
                    Status::Disabled {
                        by: DisabledBy::Builder,
                        ..
                    }
                ));
            }
        }
    });
}

/// It is off indeed, by what the kernel tells of the ring, or the runtime has counted.
#[test]
fn what_is_switched_off_is_not_used() {
    bounded(|| {
        for (feature, bit) in [
            (Feature::SubmitAll, 1 << 7),
            (Feature::TaskrunFlag, 1 << 9),
            (Feature::SingleIssuer, 1 << 12),
            (Feature::DeferTaskrun, 1 << 13),
            (Feature::NoSqarray, 1 << 16),
        ] {
            let info = on_kernel_ring(without(feature)).ring_info().unwrap();
            assert_eq!(info.setup_flags & bit, 0, "{feature}");
            let usual = on_kernel_ring(AdvancedConfig::new());
            let used = usual.features().status(feature) == Status::Used;
            assert_eq!(
                usual.ring_info().unwrap().setup_flags & bit != 0,
                used,
                "{feature}"
            );
        }
        let both = without(Feature::DeferTaskrun).disable(Feature::CoopTaskrun);
        let info = on_kernel_ring(both).ring_info().unwrap();
        assert_eq!(info.setup_flags & (1 << 8 | 1 << 9), 0);
        let sqpoll = Builder::new().sqpoll(Duration::from_millis(1));
        let runtime = build_by(sqpoll.advanced(without(Feature::Sqpoll))).unwrap();
        assert_eq!(runtime.ring_info().unwrap().setup_flags & (1 << 1), 0);
        drop(runtime);
        let ring = |feature| on_kernel_ring(without(feature)).ring_info().unwrap();
        assert!(!ring(Feature::RegisteredRing).registered_ring);
        assert!(!ring(Feature::NoIowait).no_iowait);
        assert_eq!(ring(Feature::KernelWorkers).bounded_workers, 0);

        for feature in [Feature::MultishotRecv, Feature::BufferRings] {
            let runtime = on_kernel_ring(without(feature).disable(Feature::MultishotRecvmsg));
            assert!(!runtime.features().multishot_recv());
            answers(&runtime);
            assert_eq!(runtime.metrics().provided_buffers, 0);
        }
        let runtime = on_kernel_ring(without(Feature::SendZc).disable(Feature::SendmsgZc));
        answers(&runtime);
        assert_eq!(runtime.metrics().zero_copy_sends, 0);
        drop(runtime);
        on_kernel_ring(without(Feature::RegisteredBuffers)).block_on(async {
            assert!(!FixedBufPool::new(1, 100).unwrap().is_registered());
        });
        on_kernel_ring(without(Feature::RegisteredFiles)).block_on(async {
            // There is a table in software.
            assert!(!features().registered_files());
            let file = Registry::current()
                .unwrap()
                .open("Cargo.toml", libc::O_RDONLY, 0);
            let (read, _) = file.unwrap().await.unwrap().read_at(vec![0; 10], 0).await;
            assert_eq!(read.unwrap(), 10);
        });
    });
}

#[test]
fn what_is_switched_off_can_be_switched_on_again() {
    if is_masked() {
        return;
    }
    bounded(|| {
        let config = without(Feature::SendZc).disable(Feature::MultishotRecv);
        let runtime = build(config.enable(Feature::SendZc)).unwrap();
        let disabled =
            |feature| matches!(runtime.features().status(feature), Status::Disabled { .. });
        assert!(disabled(Feature::MultishotRecv) && !disabled(Feature::SendZc));
    });
}

/// Of kernels that are rarely at hand, and of one that has nothing but a queue.
#[test]
fn on_older_kernels_the_answers_are_the_same() {
    bounded(|| {
        let expected = answers(&build(AdvancedConfig::new()).unwrap());
        for kernel in [
            "5.0", "5.5", "5.14", "5.15", "5.18", "5.19", "6.0", "6.1", "6.6", "6.12",
        ] {
            let config = AdvancedConfig::new().disable_newer_than(kernel).unwrap();
            let runtime = build(config).unwrap();
            assert_eq!(answers(&runtime), expected, "{kernel}");
            let number = |version: &str| {
                let (major, minor) = version.split_once('.').unwrap();
                (major.parse::<u32>().unwrap(), minor.parse::<u32>().unwrap())
            };
            for feature in Feature::all() {
                let newer = number(feature.kernel()) > number(kernel);
                let status = runtime.features().status(feature);
                let off = matches!(
                    status,
                    Status::Disabled {
                        by: DisabledBy::Builder,
                        ..
                    }
                );
                assert_eq!(off, newer, "{kernel}: {feature} {status}");
            }
        }
        for wrong in ["6", "six", "", "6.0.1"] {
            let error = AdvancedConfig::new().disable_newer_than(wrong).unwrap_err();
            assert!(matches!(error, Error::UnknownFeature(_)), "{error}");
        }
    });
}

fn set_disabled(list: &str) {
    // SAFETY: this process has no other thread that looks at the environment now.
    unsafe { std::env::set_var("SAFERRING_DISABLE", list) };
}

#[test]
fn the_environment_switches_features_off() {
    in_child("the_environment_switches_features_off", || {
        let expected = answers(&build(AdvancedConfig::new()).unwrap());
        for list in [
            "multishot_recv, send_zc",
            "kernel-5.19",
            "kernel-6.0",
            "kernel-6.6",
        ] {
            set_disabled(list);
            // The program cannot overrule it.
            let config = AdvancedConfig::new().enable(Feature::SendmsgZc);
            let runtime = build(config.enable(Feature::MultishotRecv)).unwrap();
            assert_eq!(answers(&runtime), expected, "{list}");
            let status = runtime.features().status(Feature::DeferTaskrun);
            let off = matches!(
                status,
                Status::Disabled {
                    by: DisabledBy::Environment,
                    ..
                }
            );
            assert_eq!(
                off,
                ["kernel-5.19", "kernel-6.0"].contains(&list),
                "{status}"
            );
        }
    });
}

#[test]
fn a_process_without_a_runtime_heeds_the_environment() {
    in_child("a_process_without_a_runtime_heeds_the_environment", || {
        set_disabled("multishot_accept");
        let by = |status| {
            matches!(
                status,
                Status::Disabled {
                    by: DisabledBy::Environment,
                    ..
                }
            )
        };
        assert!(by(features().status(Feature::MultishotAccept)));
        assert!(!features().multishot_accept());
        // In a runtime it is the runtime's that are told.
        let runtime = build(without(Feature::MultishotRecv)).unwrap();
        runtime.block_on(async {
            assert_eq!(features(), runtime.features());
            assert!(!features().multishot_recv());
        });
        assert_ne!(features(), runtime.features());
    });
}

#[test]
fn names_that_there_are_not_are_told() {
    in_child("names_that_there_are_not_are_told", || {
        for wrong in ["sendzc", "send_zc,kernel-", "kernel-six"] {
            set_disabled(wrong);
            let error = Runtime::new().map(drop).unwrap_err();
            assert!(matches!(error, Error::UnknownFeature(_)), "{error}");
            let error = io::Error::from(error);
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let text = error.to_string();
            for word in ["SAFERRING_DISABLE", "multishot_recv,", "kernel-6.0"] {
                assert!(text.contains(word), "{text}");
            }
            assert!(text.contains(wrong.rsplit(',').next().unwrap()), "{text}");
            // Whoever only asks is told what there is.
            let _ = features();
        }
        assert_eq!(ring_fds(), 0);
    });
}

/// A subscriber that keeps what it is told.
#[derive(Clone, Default)]
struct Keeps(Arc<Mutex<Vec<String>>>);

impl Keeps {
    fn told(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

struct Text(String);

impl tracing::field::Visit for Text {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl tracing::Subscriber for Keeps {
    fn enabled(&self, _metadata: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _span: &tracing::span::Id, _values: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _span: &tracing::span::Id, _follows: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        assert_eq!(*event.metadata().level(), tracing::Level::WARN);
        assert_eq!(event.metadata().target(), "saferring");
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _span: &tracing::span::Id) {}

    fn exit(&self, _span: &tracing::span::Id) {}
}

#[test]
fn a_warning_comes_once_a_feature() {
    in_child("a_warning_comes_once_a_feature", || {
        let keeps = Keeps::default();
        let _told = tracing::subscriber::set_default(keeps.clone());
        let config = without(Feature::MultishotAccept)
            .disable(Feature::SendZc)
            .disable(Feature::NoSqarray)
            .fallback(FallbackStrategy::Warn);
        for _ in 0..3 {
            let runtime = build(config).unwrap();
            answers(&runtime);
        }
        let told = keeps.told();
        let of = |feature: Feature| {
            let named = told.iter().filter(|text| text.starts_with(feature.name()));
            named.count()
        };
        assert_eq!(of(Feature::MultishotAccept), 1, "{told:?}");
        assert_eq!(of(Feature::SendZc), 1, "{told:?}");
        // It was switched off on purpose, and is no form of an operation.
        assert_eq!(of(Feature::NoSqarray), 0, "{told:?}");
        assert!(
            told.iter()
                .any(|text| text.contains(Feature::SendZc.cost())),
            "{told:?}"
        );
    });
}

#[test]
fn without_a_subscriber_a_warning_is_a_line_on_stderr() {
    const ROLE: &str = "SAFERRING_TEST_WARNS";
    const NAME: &str = "without_a_subscriber_a_warning_is_a_line_on_stderr";
    bounded(|| {
        if std::env::var_os(ROLE).is_some() {
            let config = without(Feature::MultishotAccept).fallback(FallbackStrategy::Warn);
            for _ in 0..2 {
                answers(&build(config).unwrap());
            }
            return;
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args([NAME, "--exact", "--nocapture"]).env(ROLE, "1");
        let output = child.output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stderr).unwrap();
        let warnings = text.matches("saferring: multishot_accept ").count();
        assert_eq!(warnings, 1, "{text}");
    });
}

/// Who does not ask for warnings is given none.
#[test]
fn gracefully_is_silently() {
    in_child("gracefully_is_silently", || {
        let keeps = Keeps::default();
        let _told = tracing::subscriber::set_default(keeps.clone());
        let config = AdvancedConfig::new().disable_newer_than("5.15").unwrap();
        answers(&build(config).unwrap());
        assert_eq!(keeps.told(), [""; 0]);
    });
}

/// A subscriber is foreign code, which may do anything.
#[test]
fn a_subscriber_that_panics_harms_nobody() {
    struct Panics;
    impl tracing::Subscriber for Panics {
        fn enabled(&self, _metadata: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _span: &tracing::span::Id, _values: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _span: &tracing::span::Id, _follows: &tracing::span::Id) {}
        fn event(&self, _event: &tracing::Event<'_>) {
            let other = Runtime::new().unwrap();
            drop(other);
            panic!("told to");
        }
        fn enter(&self, _span: &tracing::span::Id) {}
        fn exit(&self, _span: &tracing::span::Id) {}
    }
    in_child("a_subscriber_that_panics_harms_nobody", || {
        let expected = answers(&build(AdvancedConfig::new()).unwrap());
        let _told = tracing::subscriber::set_default(Panics);
        let config = AdvancedConfig::new().disable_newer_than("5.15").unwrap();
        let runtime = build(config.fallback(FallbackStrategy::Warn)).unwrap();
        assert_eq!(answers(&runtime), expected);
    });
}

#[test]
fn strictly_an_operation_without_its_form_fails() {
    if is_masked() {
        return;
    }
    bounded(|| {
        let strict = |feature| build(without(feature).fallback(FallbackStrategy::Strict));
        // What the kernel lacks besides is no part of this test.
        let runs = |feature| match strict(feature) {
            Ok(runtime) => Some(runtime),
            Err(Error::UnsupportedFeature { .. }) => None,
            Err(other) => panic!("{other}"),
        };
        let by = DisabledBy::Builder;
        if let Some(runtime) = runs(Feature::MultishotAccept) {
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let mut incoming = listener.incoming();
                let error = incoming.next().await.unwrap().unwrap_err();
                is_disabled(&error, Feature::MultishotAccept, by);
                assert!(incoming.next().await.is_none());
                // So many accepts at a time are what was asked for.
                let connect = TcpStream::connect(listener.local_addr().unwrap());
                let (stream, _) = join(connect, listener.accept()).await;
                stream.unwrap();
            });
        }
        for feature in [Feature::MultishotRecv, Feature::BufferRings] {
            let Some(runtime) = runs(feature) else {
                continue;
            };
            runtime.block_on(async {
                let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
                let stream = saferring::net::UnixStream::from_std(ours);
                let mut chunks = stream.recv_stream();
                let error = chunks.next().await.unwrap().unwrap_err();
                is_disabled(&error, feature, by);
                assert!(chunks.next().await.is_none());
                io::Write::write_all(&mut theirs, b"plain").unwrap();
                assert_eq!(stream.read(vec![0; 5]).await.1, b"plain");
            });
        }
        if let Some(runtime) = runs(Feature::MultishotRecvmsg) {
            runtime.block_on(async {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                let mut datagrams = socket.recv_from_stream();
                let error = datagrams.next().await.unwrap().unwrap_err();
                is_disabled(&error, Feature::MultishotRecvmsg, by);
                assert!(datagrams.next().await.is_none());
            });
        }
        if let Some(runtime) = runs(Feature::RegisteredFiles) {
            runtime.block_on(async {
                let error = Registry::current().unwrap_err();
                is_disabled(&error, Feature::RegisteredFiles, by);
            });
        }
        if let Some(runtime) = runs(Feature::RegisteredBuffers) {
            runtime.block_on(async {
                let error = FixedBufPool::new(1, 10).unwrap_err();
                is_disabled(&error, Feature::RegisteredBuffers, by);
            });
        }
    });
}

#[test]
fn strictly_a_zero_copy_send_fails_and_gives_the_buffer_back() {
    bounded(|| {
        let config = without(Feature::SendZc).disable(Feature::SendmsgZc);
        let Ok(runtime) = build(config.fallback(FallbackStrategy::Strict)) else {
            return;
        };
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap())
                .await
                .unwrap();
            stream.set_zero_copy_threshold(1);
            let (sent, buf) = stream.send_zc(vec![7; 100]).await;
            is_disabled(&sent.unwrap_err(), Feature::SendZc, DisabledBy::Builder);
            assert_eq!(buf.await, [7; 100]);
            let (sent, bufs) = stream.send_vectored_zc([vec![1; 3], vec![2; 3]]).await;
            is_disabled(&sent.unwrap_err(), Feature::SendmsgZc, DisabledBy::Builder);
            assert_eq!(bufs.await.concat(), [1, 1, 1, 2, 2, 2]);
            // One that does not pay is a plain one anyway.
            stream.set_zero_copy_threshold(1000);
            let (sent, _) = stream.send_zc(vec![7; 100]).await;
            assert_eq!(sent.unwrap(), 100);
            assert_eq!(metrics().zero_copy_sends, 0);
        });
    });
}

/// What nobody has switched off has to be there from the start.
#[test]
fn strictly_a_ring_without_its_flags_is_none() {
    in_child("strictly_a_ring_without_its_flags_is_none", || {
        let strict = AdvancedConfig::new().fallback(FallbackStrategy::Strict);
        // What was switched off is just not used.
        let mut none = strict;
        for feature in Feature::all().filter(|&feature| feature < Feature::Nop) {
            none = none.disable(feature);
        }
        let runtime = build(none).unwrap();
        runtime.block_on(saferring::op::nop()).unwrap();
        drop(runtime);
    });
}

#[test]
fn strictly_what_the_kernel_lacks_is_named_with_the_kernel_that_has_it() {
    if is_masked() {
        return;
    }
    in_child(
        "strictly_what_the_kernel_lacks_is_named_with_the_kernel_that_has_it",
        || {
            refuse(Refusal {
                call: libc::SYS_io_uring_register,
                errno: libc::EINVAL,
            })
            .unwrap();
            let strict = AdvancedConfig::new().fallback(FallbackStrategy::Strict);
            let error = build(strict).map(drop).unwrap_err();
            let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
            let error = io::Error::from(error);
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            match inner(&error) {
                Error::UnsupportedFeature {
                    feature,
                    required,
                    current,
                    ..
                } => {
                    assert_eq!(*required, feature.kernel());
                    assert_eq!(current, release.trim());
                    let text = error.to_string();
                    assert!(
                        text.contains(feature.name()) && text.contains(required),
                        "{text}"
                    );
                }
                other => panic!("{other}"),
            }
            assert_eq!(ring_fds(), 0);
            // A filter that says no is no old kernel.
            let absent = features().status(Feature::BufferRings);
            assert!(
                matches!(absent, Status::Absent { since: "5.19", .. }),
                "{absent}"
            );
        },
    );
}

#[test]
fn a_filter_is_told_from_an_old_kernel() {
    if is_masked() {
        return;
    }
    in_child("a_filter_is_told_from_an_old_kernel", || {
        refuse(Refusal {
            call: libc::SYS_io_uring_register,
            errno: libc::EPERM,
        })
        .unwrap();
        let runtime = build(AdvancedConfig::new()).unwrap();
        for feature in [
            Feature::BufferRings,
            Feature::RegisteredRing,
            Feature::Ftruncate,
        ] {
            let status = runtime.features().status(feature);
            assert!(
                matches!(
                    status,
                    Status::Disabled {
                        by: DisabledBy::Filter,
                        ..
                    }
                ),
                "{feature}: {status}"
            );
        }
        let strict = AdvancedConfig::new().fallback(FallbackStrategy::Strict);
        match build(strict).map(drop).unwrap_err() {
            Error::FeatureDisabled { by, .. } => assert_eq!(by, DisabledBy::Filter),
            // The first that is missing may be one that the kernel lacks.
            Error::UnsupportedFeature { .. } => {}
            other => panic!("{other}"),
        }
        let text = runtime.features().to_string();
        assert!(
            text.contains("off, by a filter or security module"),
            "{text}"
        );
    });
}

#[test]
fn without_io_uring_nothing_can_be_used() {
    if is_software() {
        return skipped("the software ring is asked for, and not for want of the other");
    }
    if is_masked() {
        return;
    }
    in_child("without_io_uring_nothing_can_be_used", || {
        for (errno, by) in [(libc::EPERM, true), (libc::ENOSYS, false)] {
            refuse(Refusal {
                call: libc::SYS_io_uring_setup,
                errno,
            })
            .unwrap();
            for feature in Feature::all() {
                let status = features().status(feature);
                let right = match status {
                    Status::Disabled {
                        by: DisabledBy::Filter | DisabledBy::Sysctl,
                        ..
                    } => by,
                    Status::Absent { .. } => !by,
                    _ => false,
                };
                assert!(right, "{feature}: {status}");
            }
        }
    });
}

/// The kernels that `runtime-tests/kernels` boots, by what is known of them: what each has that is newer than its number says, and
/// what it lacks.
const KERNELS: &[(&str, &str, &[Feature], &[Feature])] = &[
    // Its io_uring is that of 5.15, but for three operations.
    ("5.10.", "5.15", &[], &[Feature::Mkdirat]),
    ("6.1.", "6.1", &[Feature::ZeroCopyReport], &[]),
    ("6.12.", "6.12", &[], &[]),
    ("6.16.", "6.16", &[], &[]),
    ("6.18.", "6.18", &[], &[]),
    ("7.", "7.0", &[], &[]),
];

#[test]
fn known_kernels_have_what_they_are_known_for() {
    bounded(|| {
        if std::env::var_os("SAFERRING_TESTS_EMULATED").is_none()
            || lockable() != u64::MAX
            || is_software()
        {
            return skipped(
                "a kernel of which nothing is known, or a user who may not use all of it",
            );
        }
        let features = features();
        if !features.has_opcode(0) {
            return skipped("no io_uring");
        }
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let known = KERNELS.iter().find(|kernel| release.starts_with(kernel.0));
        let &(_, level, more, less) = known.unwrap_or_else(|| panic!("{release} is not known"));
        let number = |version: &str| {
            let (major, minor) = version.split_once('.').unwrap();
            (major.parse::<u32>().unwrap(), minor.parse::<u32>().unwrap())
        };
        for feature in Feature::all() {
            let old_enough = number(feature.kernel()) <= number(level);
            let expected = old_enough && !less.contains(&feature) || more.contains(&feature);
            let status = features.status(feature);
            let found = matches!(status, Status::Used | Status::Available { .. });
            assert_eq!(found, expected, "{feature} on {release}: {status}");
        }
    });
}

/// What is told is what a bug report needs.
#[test]
fn features_print_as_a_table() {
    bounded(|| {
        let runtime = build(without(Feature::SendZc)).unwrap();
        let text = runtime.features().to_string();
        for feature in Feature::all() {
            let lines = text
                .lines()
                .filter(|line| line.trim_start().starts_with(feature.name()));
            let line = lines
                .map(|line| line.trim_start())
                .find(|line| line[feature.name().len()..].starts_with(' '));
            let line = line.unwrap_or_else(|| panic!("{feature}: {text}"));
            let status = runtime.features().status(feature);
            assert!(line.contains(&status.to_string()), "{line}: {status}");
            assert!(line.len() <= 120, "{line}");
        }
        assert!(text.contains(Feature::SendZc.cost()), "{text}");
        let iopoll = runtime.features().status(Feature::Iopoll);
        assert!(!matches!(iopoll, Status::Used));
        let sqpoll = runtime.features().status(Feature::Sqpoll);
        if let Status::Available { why, .. } = sqpoll {
            // Or why this ring has none.
            assert!(is_software() || why.contains("Builder::sqpoll"), "{why}");
        }
    });
}
