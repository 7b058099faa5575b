//! The attributes `#[saferring::main]` and `#[saferring::test]` of the crate `saferring`.
//!
//! Use them through that crate. They are in its feature `macros`, which is on by default:
//!
//! ```ignore
//! #[saferring::main]
//! async fn main() {
//!     println!("in a runtime");
//! }
//! ```
//!
//! Unlike those of tokio they know no flavours and no workers: a runtime of saferring has one thread, and with several
//! cores each runs the whole function.
#![forbid(unsafe_code)]

mod expand;
mod options;

use proc_macro::TokenStream;

use expand::Kind;

/// Runs an `async fn main` in a saferring runtime.
///
/// The function becomes an ordinary one of the same name, visibility, attributes and return type. It builds a runtime,
/// runs the body on it with `Runtime::block_on`, and returns what the body returns, when the runtime has shut down.
/// The body is compiled as the `async fn` that was written, so that `?` and coercions work as they do there.
///
/// # Options
///
/// Each sets what the method of the same name on `saferring::runtime::Builder` sets; what is not named keeps the
/// builder's default.
///
/// | option | value | method |
/// |---|---|---|
/// | `entries` | integer | `entries(n)` |
/// | `event_interval` | integer | `event_interval(n)` |
/// | `blocking_threads` | integer | `blocking_threads(n)` |
/// | `shutdown_grace_ms` | integer, milliseconds | `shutdown_grace(Duration::from_millis(n))` |
/// | `cores` | `"all"`, `"physical"`, or a number | see below |
/// | `crate` | string, a path | none: where to find saferring, if not at `::saferring` |
///
/// # Cores
///
/// With `cores` the function runs once on each of so many CPUs, all at the same time, as `saferring::cores::Cores::run` does:
/// on all that the process may use, on one of each physical core, or on so many. `saferring::cores::Core::current()` tells
/// which it is. The options of the runtime are those of each. The function returns nothing or a `Result` whose error can be
/// sent to another thread; the first error is returned when all have ended. Ctrl-C and `SIGTERM` tell all to stop.
///
/// ```ignore
/// #[saferring::main(cores = "all")]
/// async fn main() -> std::io::Result<()> {
///     let listener = saferring::net::TcpListener::bind("127.0.0.1:7000")?; // each its own, on the same port
///     loop {
///         let (stream, _) = listener.accept().await?;
///         saferring::spawn(async move { stream.write_all("hello\n").await.0 });
///     }
/// }
/// ```
///
/// # Errors
///
/// It does not compile if the function is not `async`, takes arguments, is generic, `unsafe` or `extern`, or if an
/// option is unknown, given twice, or has a value of another kind.
///
/// # Panics
///
/// The function panics if the runtime cannot be started, whatever its return type: an error of the body's own type
/// cannot be made from that of the runtime. To handle it, use `Builder` and `block_on` instead of this attribute.
///
/// # Examples
///
/// These are not compiled here, as this crate cannot depend on `saferring`; that crate's examples use the attribute.
///
/// ```ignore
/// #[saferring::main]
/// async fn main() -> std::io::Result<()> {
///     let file = saferring::fs::File::open("data.bin").await?;
///     let (read, _buffer) = file.read_at(vec![0; 4096], 0).await;
///     println!("{} bytes", read?);
///     Ok(())
/// }
/// ```
///
/// With options:
///
/// ```ignore
/// #[saferring::main(entries = 512, blocking_threads = 4, shutdown_grace_ms = 1000)]
/// async fn main() {
///     // …
/// }
/// ```
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Kind::Main, options.into(), item.into()).into()
}

/// Makes a test of an `async fn` and runs it in a saferring runtime of its own.
///
/// It adds `#[test]`, so do not write that as well. Other attributes, such as `#[ignore]` and `#[should_panic]`, mean
/// what they mean on any test, and so does the return type: a test that returns `Err` fails.
///
/// # Options
///
/// Those of [`#[saferring::main]`](macro@main).
///
/// # Errors
///
/// It does not compile in the cases that [`#[saferring::main]`](macro@main#errors) names, nor if the function is marked
/// as a test by another attribute.
///
/// # Panics
///
/// The test panics, and so fails, if the runtime cannot be started. With `#[should_panic]`, name the expected message,
/// or a test on a machine without a usable runtime passes for the wrong reason.
///
/// # Examples
///
/// These are not compiled here, as this crate cannot depend on `saferring`.
///
/// ```ignore
/// #[saferring::test]
/// async fn a_file_is_read_to_its_end() -> std::io::Result<()> {
///     let file = saferring::fs::File::open("Cargo.toml").await?;
///     let (read, _buffer) = file.read_at(vec![0; 64], 0).await;
///     assert!(read? > 0);
///     Ok(())
/// }
///
/// #[saferring::test(entries = 8)]
/// #[should_panic(expected = "full")]
/// async fn a_small_ring_fills_up() {
///     panic!("full");
/// }
/// ```
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Kind::Test, options.into(), item.into()).into()
}
