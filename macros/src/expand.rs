//! From an `async fn` to a function that runs it.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Error, Result, Signature, Visibility};

use crate::options::Options;

/// Which attribute it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Main,
    Test,
}

impl Kind {
    fn attribute(self) -> &'static str {
        match self {
            Kind::Main => "#[saferring::main]",
            Kind::Test => "#[saferring::test]",
        }
    }
}

/// A function whose body is not looked into: if it has errors, the compiler's own words for them are the best, and an
/// editor goes on completing in it.
struct Function {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    signature: Signature,
    body: TokenTree,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let signature = input.parse()?;
        let body: TokenTree = input.parse()?;
        match &body {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {}
            other => return Err(Error::new(other.span(), "the function has no body")),
        }
        Ok(Function {
            attributes,
            visibility,
            signature,
            body,
        })
    }
}

/// The function that the compiler gets for `item`, with errors in it if there are any.
pub(crate) fn expand(kind: Kind, options: TokenStream, item: TokenStream) -> TokenStream {
    let function = match syn::parse2::<Function>(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            let what = format!(
                "`{}` goes on an `async fn` with a body: {error}",
                kind.attribute()
            );
            let error = Error::new(error.span(), what).into_compile_error();
            return quote!(#error #item);
        }
    };
    let (options, bad_options) = Options::read(options);
    let mut tokens = match check(kind, &function) {
        Ok(()) => runner(kind, &function, &options),
        Err(error) => {
            let error = error.into_compile_error();
            let stand_in = stand_in(kind, &function);
            quote!(#error #stand_in)
        }
    };
    if let Some(error) = bad_options {
        tokens.extend(error.into_compile_error());
    }
    tokens
}

/// Whether the attribute can serve the function; the error names the cure.
fn check(kind: Kind, function: &Function) -> Result<()> {
    let name = kind.attribute();
    let signature = &function.signature;
    if let (Kind::Test, Some(other)) = (kind, function.attributes.iter().find(|it| is_test(it))) {
        let cure = format!("`{name}` makes a test by itself: remove this attribute");
        return Err(Error::new_spanned(other, cure));
    }
    if signature.asyncness.is_none() {
        let cure = format!("`{name}` needs an `async fn`: write `async` before `fn`");
        return Err(Error::new_spanned(signature.fn_token, cure));
    }
    if !signature.inputs.is_empty() || signature.variadic.is_some() {
        let cure = match kind {
            Kind::Main => {
                "takes no arguments: remove them; `std::env::args` gives those of the command line"
            }
            Kind::Test => "takes no arguments: remove them, and make the values in the body",
        };
        let arguments = signature.inputs.to_token_stream();
        let at = if arguments.is_empty() {
            signature.variadic.to_token_stream()
        } else {
            arguments
        };
        return Err(Error::new_spanned(
            at,
            format!("a function under `{name}` {cure}"),
        ));
    }
    let generics = &signature.generics;
    if !generics.params.is_empty() || generics.where_clause.is_some() {
        let cure = format!("a function under `{name}` cannot be generic: remove this");
        let at = match &generics.where_clause {
            Some(clause) if generics.params.is_empty() => clause.to_token_stream(),
            _ => generics.to_token_stream(),
        };
        return Err(Error::new_spanned(at, cure));
    }
    let odd = match (&signature.unsafety, &signature.abi) {
        (Some(unsafety), _) => Some(unsafety.to_token_stream()),
        (None, Some(abi)) => Some(abi.to_token_stream()),
        (None, None) => None,
    };
    match odd {
        Some(odd) => {
            let cure =
                format!("a function under `{name}` is called by the runtime: remove `{odd}`");
            Err(Error::new_spanned(odd, cure))
        }
        None => Ok(()),
    }
}

/// Whether the attribute makes a test: `#[test]`, that of another runtime, or ours a second time. A `#[test]` before
/// ours is not among them: the compiler has taken it away by then, having refused the `async fn` itself.
fn is_test(attribute: &Attribute) -> bool {
    let last = attribute.path().segments.last();
    last.is_some_and(|last| last.ident == "test")
}

/// The function that builds a runtime and runs the user's on it.
fn runner(kind: Kind, function: &Function, options: &Options) -> TokenStream {
    let Function {
        attributes,
        visibility,
        signature,
        body,
    } = function;
    let Options {
        krate,
        setters,
        cores,
    } = options;
    let test = (kind == Kind::Test).then(|| quote!(#[::core::prelude::v1::test]));
    let Signature {
        fn_token,
        ident: name,
        output,
        ..
    } = signature;
    let run = match cores {
        None => quote! {
            match #krate::runtime::Builder::new() #setters .build() {
                ::core::result::Result::Ok(runtime) => runtime,
                ::core::result::Result::Err(error) => {
                    ::core::panic!("saferring: cannot start the runtime: {}", error)
                }
            }
            .block_on(#name())
        },
        Some(placement) => quote! {
            #krate::cores::run_main(
                #krate::cores::Placement::#placement,
                |_| #krate::runtime::Builder::new() #setters,
                |_| #name(),
            )
        },
    };
    // The user's function stays what it was, inside of ours: in an `async` block the return type would not be known
    // to the body, and `?` or a coercion in its last expression could not be resolved. It may await nothing, as the
    // attribute wants it `async` all the same.
    quote! {
        #test
        #(#attributes)*
        #visibility #fn_token #name() #output {
            #[allow(clippy::unused_async)]
            #signature #body
            #run
        }
    }
}

/// In the place of a `main` that was refused, so that the compiler does not report a missing one as well.
fn stand_in(kind: Kind, function: &Function) -> TokenStream {
    let name = &function.signature.ident;
    if kind == Kind::Main && name == "main" {
        quote!(
            fn main() {}
        )
    } else {
        TokenStream::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a function under an attribute with these options, on one line.
    fn expanded(kind: Kind, options: &str, item: &str) -> String {
        let [options, item] = [options, item].map(|text| text.parse().unwrap());
        expand(kind, options, item).to_string()
    }

    /// The same tokens, spaced as `expanded` spaces them.
    fn tokens(text: &str) -> String {
        text.parse::<TokenStream>().unwrap().to_string()
    }

    #[track_caller]
    fn assert_says(kind: Kind, options: &str, item: &str, message: &str) {
        let expanded = expanded(kind, options, item);
        assert!(expanded.contains("compile_error"), "{expanded}");
        assert!(expanded.contains(message), "{expanded}");
    }

    #[test]
    fn main_builds_a_runtime_and_runs_the_function_on_it() {
        let whole = "#[doc = \"d\"] pub fn main() -> u8 {
            #[allow(clippy::unused_async)]
            async fn main() -> u8 { work().await }
            match ::saferring::runtime::Builder::new().build() {
                ::core::result::Result::Ok(runtime) => runtime,
                ::core::result::Result::Err(error) => {
                    ::core::panic!(\"saferring: cannot start the runtime: {}\", error)
                }
            }
            .block_on(main())
        }";
        let item = "#[doc = \"d\"] pub async fn main() -> u8 { work().await }";
        assert_eq!(expanded(Kind::Main, "", item), tokens(whole));
    }

    #[test]
    fn each_option_sets_what_it_names() {
        let options = "entries = 512, event_interval = 64, blocking_threads = 4, shutdown_grace_ms = 1_000, \
                       crate = \"a::ring\",";
        let chain =
            "a::ring::runtime::Builder::new().entries(512).event_interval(64).blocking_threads(4)
                     .shutdown_grace(::core::time::Duration::from_millis(1_000)).build()";
        let expanded = expanded(Kind::Main, options, "async fn main() {}");
        assert!(expanded.contains(&tokens(chain)), "{expanded}");
        assert!(!expanded.contains("compile_error"), "{expanded}");
    }

    #[test]
    fn cores_run_it_each_on_its_own() {
        let options = |placement, setters| {
            format!(
                "::saferring::cores::run_main(::saferring::cores::Placement::{placement},
                 |_| ::saferring::runtime::Builder::new(){setters}, |_| main(),)"
            )
        };
        for (given, placement, setters) in [
            ("cores = \"all\"", "All", ""),
            ("cores = \"physical\"", "Physical", ""),
            ("entries = 8, cores = 4", "Count(4)", ".entries(8)"),
        ] {
            let expanded = expanded(Kind::Main, given, "async fn main() {}");
            assert!(
                expanded.contains(&tokens(&options(placement, setters))),
                "{expanded}"
            );
        }
    }

    #[test]
    fn test_adds_its_attribute_and_keeps_the_others() {
        let item = "#[should_panic(expected = \"x\")] #[ignore] async fn t() {}";
        let start =
            "#[::core::prelude::v1::test] #[should_panic(expected = \"x\")] #[ignore] fn t()";
        assert!(expanded(Kind::Test, "", item).starts_with(&tokens(start)));
    }

    #[test]
    fn unfit_functions_are_refused_with_the_cure() {
        let main = |item, message| assert_says(Kind::Main, "", item, message);
        main("fn main() {}", "write `async` before `fn`");
        main("async fn main(a: u8) {}", "takes no arguments: remove them");
        main("async fn main<T>() {}", "cannot be generic");
        main("async fn main() where u8: Copy {}", "cannot be generic");
        main("async unsafe fn main() {}", "remove `unsafe`");
        main(
            "async extern \"C\" fn main() {}",
            "called by the runtime: remove `extern",
        );
        main("struct Main;", "goes on an `async fn`");
        main("async fn main();", "no body");
    }

    #[test]
    fn a_second_test_attribute_is_refused() {
        for other in [
            "#[test]",
            "#[tokio::test]",
            "#[saferring::test]",
            "#[::core::prelude::v1::test]",
        ] {
            let item = format!("{other} async fn t() {{}}");
            assert_says(Kind::Test, "", &item, "remove this attribute");
        }
    }

    #[test]
    fn bad_options_are_refused_with_the_cure() {
        let options =
            |options, message| assert_says(Kind::Main, options, "async fn main() {}", message);
        options(
            "threads = 4",
            "there is no option `threads`: the options are `entries`",
        );
        options("entries = 4, entries = 8", "`entries` is given twice");
        options("entries", "write `entries = …`");
        options("entries = N", "has to be a literal");
        options("entries = -1", "not negative");
        options(
            "shutdown_grace_ms = \"1s\"",
            "such as `shutdown_grace_ms = 1000`",
        );
        options("cores = 0", "a number of at least one");
        options("cores = \"some\"", "such as `cores = 4`");
        options("crate = saferring", "such as `crate");
        options("crate = \"a b\"", "`crate` takes a path");
        options("512", "an option looks like");
    }

    #[test]
    fn every_bad_option_is_told_and_the_good_ones_stay() {
        let expanded = expanded(
            Kind::Main,
            "a = 1, entries = 8, b = 2",
            "async fn main() {}",
        );
        assert_eq!(
            expanded.matches("there is no option").count(),
            2,
            "{expanded}"
        );
        assert!(
            expanded.contains(&tokens(".entries(8).build()")),
            "{expanded}"
        );
    }

    #[test]
    fn a_refused_main_leaves_a_main_behind() {
        let refused = expanded(Kind::Main, "", "async fn main(a: u8) {}");
        assert!(refused.ends_with(&tokens("fn main() {}")), "{refused}");
    }

    #[test]
    fn a_body_with_errors_is_left_to_the_compiler() {
        let expanded = expanded(Kind::Main, "", "async fn main() { let x = ; }");
        assert!(expanded.contains(&tokens("{ let x = ; }")), "{expanded}");
        assert!(!expanded.contains("compile_error"), "{expanded}");
    }
}
