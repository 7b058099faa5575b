//! Programs that must not compile, because they would be unsound or cannot mean what they say.
//!
//! Each file of `tests/ui` is such a program; the `.stderr` beside it is what the compiler says. After a change of the
//! toolchain or of the types that the messages show, `TRYBUILD=overwrite cargo test --test compile_fail` writes them
//! anew: read the difference before you keep it.

#[test]
fn programs_that_misuse_the_crate_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
