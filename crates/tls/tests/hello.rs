//! The example `hello` as a process of its own, and this crate's client, with programs that speak TLS by OpenSSL.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::{Arc, LazyLock};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use saferring::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use saferring::net::TcpStream;
use saferring::runtime::Runtime;
use saferring_tests::{Killed, bounded, first_line, skipped};
use saferring_tls::TlsConnector;
use saferring_tls::rustls::pki_types::CertificateDer;
use saferring_tls::rustls::pki_types::pem::PemObject;
use saferring_tls::rustls::{ClientConfig, HandshakeKind, RootCertStore};

/// The example, as it is now, under a name of its own: other crates have one of the same name. Each test asks for it before its
/// time counts.
static HELLO: LazyLock<PathBuf> = LazyLock::new(|| {
    let tests = std::env::current_exe().unwrap();
    // `deps` lies in the folder of the profile, and that in the one of all.
    let profile = tests.ancestors().nth(2).unwrap();
    let name = match profile.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--package", "saferring-tls", "--example", "hello"])
        .args(["--profile", name, "--target-dir"])
        .arg(profile.parent().unwrap());
    // What cargo tells a test of its package is no setting: `ring` would be built anew for it.
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_"]
            .iter()
            .any(|of| name.starts_with(of))
        {
            cargo.env_remove(&key);
        }
    }
    assert!(cargo.status().unwrap().success());
    let own = profile.join("examples/hello-of-tls");
    // The old one may be running.
    let _ = fs::remove_file(&own);
    fs::copy(profile.join("examples/hello"), &own).unwrap();
    own
});

/// Runs a test, when the example is built.
#[track_caller]
fn run(test: impl FnOnce() + Send + 'static) {
    LazyLock::force(&HELLO);
    bounded(test);
}

/// A folder with an authority (`ca.pem`) and a certificate of its (`cert.pem`, `key.pem`), which goes with the value.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Files {
        let dir = std::env::temp_dir().join(format!("saferring-tls-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A certificate of the same name would look as if it had signed itself.
        let name = "the authority of a test";
        params.distinguished_name.push(DnType::CommonName, name);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
        fs::write(dir.join("cert.pem"), certificate.pem()).unwrap();
        fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
        let other = KeyPair::generate().unwrap();
        fs::write(dir.join("other.pem"), other.serialize_pem()).unwrap();
        Files(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Server {
    process: Killed,
    addr: SocketAddr,
}

impl Server {
    fn start(args: &[&str]) -> Server {
        let mut command = Command::new(&*HELLO);
        let child = command.args(args).stdout(Stdio::piped()).spawn();
        let mut process = Killed(child.unwrap());
        let line = first_line(&mut process.0);
        let addr = line.strip_prefix("listening on ").unwrap_or(&line);
        Server {
            addr: addr.parse().unwrap(),
            process,
        }
    }

    /// With the certificate of these files.
    fn with(files: &Files, more: &[&str]) -> Server {
        let (certificate, key) = (files.path("cert.pem"), files.path("key.pem"));
        let args = [&["--cert", &certificate, "--key", &key][..], more].concat();
        Server::start(&args)
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/", self.addr.port())
    }

    fn interrupt(&self) {
        let kill = format!("kill -INT {}", self.process.0.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.unwrap().success());
    }

    fn ends_well(&mut self) {
        let status = self.process.0.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

/// Whether this program is there; if not, the test ends here.
fn has(program: &str) -> bool {
    let asked = Command::new(program)
        .arg(if program == "curl" {
            "--version"
        } else {
            "version"
        })
        .output();
    let has = asked.is_ok_and(|output| output.status.success());
    if !has {
        skipped(&format!("there is no {program}"));
    }
    has
}

fn curl(args: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "30"])
        .args(args)
        .output();
    text(output.unwrap())
}

fn text(output: Output) -> String {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{}: {out}{err}", output.status);
    out.into_owned()
}

/// `openssl s_client` or `s_server`, with what it says on its standard error to be read.
struct OpenSsl {
    process: Killed,
    err: BufReader<ChildStderr>,
}

impl OpenSsl {
    fn start(args: &[&str]) -> OpenSsl {
        let child = Command::new("openssl")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child: Child = child.unwrap();
        let err = BufReader::new(child.stderr.take().unwrap());
        OpenSsl {
            process: Killed(child),
            err,
        }
    }

    fn client(server: &Server, files: &Files, more: &[&str]) -> OpenSsl {
        let (addr, ca) = (server.addr.to_string(), files.path("ca.pem"));
        let args = [
            "s_client",
            "-connect",
            &addr,
            "-servername",
            "localhost",
            "-CAfile",
            &ca,
        ];
        OpenSsl::start(&[&args, &["-verify_return_error"][..], more].concat())
    }

    fn say(&mut self, text: &str) {
        let mut to = self.process.0.stdin.as_ref().unwrap();
        to.write_all(text.as_bytes()).unwrap();
    }

    /// All that it prints until it ends.
    fn rest(mut self) -> String {
        let mut out = Vec::new();
        let from = self.process.0.stdout.as_mut().unwrap();
        from.read_to_end(&mut out).unwrap();
        String::from_utf8_lossy(&out).into_owned()
    }

    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert_ne!(
                self.err.read_line(&mut line).unwrap(),
                0,
                "never says {word}"
            );
        }
    }
}

const LAST: &str = "GET / HTTP/1.1\r\nConnection: close\r\n\r\n";

#[test]
fn curl_is_answered() {
    run(|| {
        if !has("curl") {
            return;
        }
        let files = Files::new("curl");
        let ca = files.path("ca.pem");
        let server = Server::with(&files, &["--cores", "2"]);
        let url = server.url();
        for version in ["1.2", "1.3"] {
            let args = ["--tls-max", version, "--cacert", &ca, &url];
            assert_eq!(curl(&args), "Hello, world!");
        }
        // Two requests, one of them with a body, on one connection.
        let body = "x".repeat(100_000);
        let [count, format] = ["--write-out", "[%{num_connects} %{http_code}]"];
        let args = [
            "--cacert", &ca, count, format, "-d", &body, "-H", "Expect:", &url, &url,
        ];
        let twice = "Hello, world![1 200]Hello, world![0 200]";
        assert_eq!(curl(&args), twice);
        let head = curl(&["--head", "--cacert", &ca, &url]);
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        let huge = format!("x: {}", "y".repeat(20_000));
        let args = ["--cacert", &ca, count, format, "-H", &huge, &url];
        assert_eq!(curl(&args), "[1 431]");
    });
}

#[test]
fn a_certificate_is_made_where_none_is_given() {
    run(|| {
        if !has("curl") {
            return;
        }
        let server = Server::start(&[]);
        assert_eq!(curl(&["--insecure", &server.url()]), "Hello, world!");
        let refused = Command::new("curl").args(["-sS", &server.url()]).output();
        assert_eq!(refused.unwrap().status.code(), Some(60), "nobody trusts it");
        assert_eq!(curl(&["--insecure", &server.url()]), "Hello, world!");
    });
}

#[test]
fn openssl_is_answered_and_resumes() {
    run(|| {
        if !has("openssl") {
            return;
        }
        let files = Files::new("openssl");
        let server = Server::with(&files, &[]);
        for version in ["-tls1_2", "-tls1_3"] {
            let session = files.path(version);
            let mut client = OpenSsl::client(
                &server,
                &files,
                &[version, "-ign_eof", "-sess_out", &session],
            );
            client.say("GET / HTTP/1.1\r\n\r\n");
            client.say(LAST);
            let out = client.rest();
            assert_eq!(out.matches("Hello, world!").count(), 2, "{out}");
            assert!(out.contains("New, TLSv1"), "{out}");

            let mut client = OpenSsl::client(
                &server,
                &files,
                &[version, "-ign_eof", "-sess_in", &session],
            );
            client.say(LAST);
            let out = client.rest();
            assert!(out.contains("Hello, world!"), "{out}");
            assert!(out.contains("Reused, TLSv1"), "{out}");
        }
    });
}

#[test]
fn keys_are_changed_on_the_way() {
    run(|| {
        if !has("openssl") {
            return;
        }
        let files = Files::new("keys");
        let server = Server::with(&files, &[]);
        let mut client = OpenSsl::client(&server, &files, &["-tls1_3"]);
        for _ in 0..3 {
            client.say("K\n"); // to be answered by one of the server's
            client.wait_for("KEYUPDATE");
        }
        client.say(LAST);
        let out = client.rest();
        assert!(out.contains("Hello, world!"), "{out}");
    });
}

/// A client that asks for another handshake in the same connection gets none, and costs nobody else anything.
#[test]
fn renegotiation_is_refused() {
    run(|| {
        if !has("openssl") {
            return;
        }
        let files = Files::new("renegotiation");
        let server = Server::with(&files, &[]);
        let mut asks = OpenSsl::client(&server, &files, &["-tls1_2"]);
        asks.say("R\n");
        asks.wait_for("RENEGOTIATING");
        let mut client = OpenSsl::client(&server, &files, &["-tls1_2"]);
        client.say(LAST);
        assert!(client.rest().contains("Hello, world!"));
    });
}

#[test]
fn an_interrupt_drains_the_server() {
    run(|| {
        let files = Files::new("interrupt");
        let mut server = Server::with(&files, &["--cores", "2"]);
        let addr = server.addr;
        let connector = connector(&files);
        Runtime::new().unwrap().block_on(async {
            let stream = TcpStream::connect(addr).await.unwrap();
            let name = "localhost".try_into().unwrap();
            let mut stream = connector.connect(name, stream).await.unwrap();
            stream.write_all("GET / HTTP/1.1\r\n\r\n").await.0.unwrap();
            let (read, answer) = stream.read_exact(vec![0; 78]).await;
            read.unwrap();
            assert!(
                answer.ends_with(b"Hello, world!"),
                "{}",
                answer.escape_ascii()
            );
            server.interrupt();
            // It says goodbye, by close_notify.
            let (read, rest) = stream.read_to_end(Vec::new()).await;
            read.unwrap();
            assert!(rest.is_empty());
        });
        server.ends_well();
    });
}

fn connector(files: &Files) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(files.path("ca.pem")).unwrap();
    roots.add(ca).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[test]
fn our_client_speaks_to_openssl() {
    run(|| {
        if !has("openssl") {
            return;
        }
        let files = Files::new("s_server");
        let (certificate, key) = (files.path("cert.pem"), files.path("key.pem"));
        let args = [
            "s_server",
            "-accept",
            "127.0.0.1:0",
            "-cert",
            &certificate,
            "-key",
            &key,
        ];
        let mut server = OpenSsl::start(&[&args[..], &["-rev"]].concat());
        let mut line = String::new();
        let mut out = BufReader::new(server.process.0.stdout.take().unwrap());
        while !line.starts_with("ACCEPT") {
            line.clear();
            assert_ne!(out.read_line(&mut line).unwrap(), 0, "it does not listen");
        }
        let addr: SocketAddr = line["ACCEPT".len()..].trim().parse().unwrap();
        let connector = connector(&files);
        Runtime::new().unwrap().block_on(async {
            let mut kinds = Vec::new();
            for _ in 0..2 {
                let stream = TcpStream::connect(addr).await.unwrap();
                let name = "localhost".try_into().unwrap();
                let mut stream = connector.connect(name, stream).await.unwrap();
                stream.write_all("saferring\n").await.0.unwrap();
                let (read, answer) = stream.read_exact([0; 10]).await;
                read.unwrap();
                assert_eq!(&answer, b"gnirrefas\n");
                kinds.push(stream.handshake_kind().unwrap());
                stream.shutdown().await.unwrap();
            }
            assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
        });
    });
}

#[test]
fn what_cannot_be_served_is_told() {
    run(|| {
        let files = Files::new("wrong");
        let start = |args: &[&str]| {
            let output = Command::new(&*HELLO).args(args).output().unwrap();
            let err = String::from_utf8(output.stderr).unwrap();
            assert!(output.stdout.is_empty());
            (output.status.code(), err)
        };
        let (certificate, other) = (files.path("cert.pem"), files.path("other.pem"));
        let (code, err) = start(&["--cert", &certificate, "--key", &other]);
        assert_eq!(code, Some(1));
        assert!(err.contains("cannot be used with this key"), "{err}");
        let missing = files.path("missing.pem");
        let (code, err) = start(&["--cert", &missing, "--key", &other]);
        assert_eq!(code, Some(1));
        assert!(err.contains("missing.pem"), "{err}");
        let (code, err) = start(&["--cert", &other, "--key", &other]);
        assert_eq!(code, Some(1));
        assert!(err.contains("no certificate"), "{err}");
        let (code, err) = start(&["--cert", &certificate]);
        assert_eq!((code, err.contains("need each other")), (Some(2), true));
        assert!(Path::new(&certificate).exists());
    });
}
