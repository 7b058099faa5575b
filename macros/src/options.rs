//! What stands in the parentheses of the attributes.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Lit, LitInt, Path, Result, Token};

/// The options of one attribute, ready to be put into the function.
#[derive(Debug)]
pub(crate) struct Options {
    /// The path of the crate `saferring`.
    pub(crate) krate: TokenStream,
    /// `.setter(value)` for each option given.
    pub(crate) setters: TokenStream,
    /// Which cores run the function, as the arguments of `Placement::…`; none: it runs on the calling thread.
    pub(crate) cores: Option<TokenStream>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            krate: quote!(::saferring),
            setters: TokenStream::new(),
            cores: None,
        }
    }
}

/// `name = value`
struct Choice {
    name: Ident,
    value: Lit,
}

impl Parse for Choice {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        // `crate` is a keyword, so `Ident::parse` would refuse it.
        let name = Ident::parse_any(input).map_err(|error| {
            Error::new(
                error.span(),
                "an option looks like `entries = 512`: a name, `=` and a value",
            )
        })?;
        if !input.peek(Token![=]) {
            let cure = format!("`{name}` needs a value: write `{name} = …`");
            return Err(Error::new(name.span(), cure));
        }
        input.parse::<Token![=]>()?;
        let value = input.parse().map_err(|error| {
            let cure = format!(
                "the value of `{name}` has to be a literal, such as `{}`",
                example(&name)
            );
            Error::new(error.span(), cure)
        })?;
        Ok(Choice { name, value })
    }
}

impl Options {
    /// Reads the options. Where there are errors, all of them are told, and each bad option is left out.
    pub(crate) fn read(tokens: TokenStream) -> (Self, Option<Error>) {
        let parser = Punctuated::<Choice, Token![,]>::parse_terminated;
        let choices = match syn::parse::Parser::parse2(parser, tokens) {
            Ok(choices) => choices,
            Err(error) => return (Options::default(), Some(error)),
        };
        let mut options = Options::default();
        let mut seen: Vec<&Ident> = Vec::new();
        let mut errors: Option<Error> = None;
        for choice in &choices {
            let result = if seen.contains(&&choice.name) {
                let cure = format!("`{}` is given twice: remove one", choice.name);
                Err(Error::new(choice.name.span(), cure))
            } else {
                seen.push(&choice.name);
                options.set(choice)
            };
            if let Err(error) = result {
                match &mut errors {
                    Some(errors) => errors.combine(error),
                    None => errors = Some(error),
                }
            }
        }
        (options, errors)
    }

    fn set(&mut self, choice: &Choice) -> Result<()> {
        let Choice { name, value } = choice;
        match name.to_string().as_str() {
            "entries" | "event_interval" | "blocking_threads" => {
                let value = integer(name, value)?;
                // The value's span, so that a complaint of the compiler about it points there.
                self.setters
                    .extend(quote_spanned!(value.span()=> .#name(#value)));
            }
            "shutdown_grace_ms" => {
                let value = integer(name, value)?;
                self.setters.extend(quote_spanned! {value.span()=>
                    .shutdown_grace(::core::time::Duration::from_millis(#value))
                });
            }
            "cores" => self.cores = Some(cores(value)?),
            "crate" => self.krate = path(value)?.into_token_stream(),
            _ => {
                let cure = format!(
                    "there is no option `{name}`: the options are `entries`, `event_interval`, `blocking_threads`, \
                     `shutdown_grace_ms`, `cores` and `crate`; use `saferring::runtime::Builder` to set anything else"
                );
                return Err(Error::new(name.span(), cure));
            }
        }
        Ok(())
    }
}

/// How the option may look.
fn example(name: &Ident) -> &'static str {
    match name.to_string().as_str() {
        "event_interval" => "event_interval = 64",
        "blocking_threads" => "blocking_threads = 4",
        "shutdown_grace_ms" => "shutdown_grace_ms = 1000",
        "cores" => "cores = \"all\"",
        "crate" => "crate = \"saferring\"",
        _ => "entries = 512",
    }
}

fn integer<'a>(name: &Ident, value: &'a Lit) -> Result<&'a LitInt> {
    match value {
        // Negative literals parse as `LitInt` too.
        Lit::Int(value) if value.base10_parse::<u64>().is_ok() => Ok(value),
        _ => {
            let example = example(name);
            let cure =
                format!("`{name}` takes an integer that is not negative, such as `{example}`");
            Err(Error::new(value.span(), cure))
        }
    }
}

/// A placement: its name, with its argument.
fn cores(value: &Lit) -> Result<TokenStream> {
    match value {
        Lit::Int(count) if count.base10_parse::<usize>().is_ok_and(|count| count > 0) => {
            Ok(quote_spanned!(count.span()=> Count(#count)))
        }
        Lit::Str(name) if name.value() == "all" => Ok(quote!(All)),
        Lit::Str(name) if name.value() == "physical" => Ok(quote!(Physical)),
        _ => {
            let cure = "`cores` takes `\"all\"`, `\"physical\"` or a number of at least one, such as `cores = 4`; use \
                        `saferring::cores::Cores::builder` for anything else";
            Err(Error::new(value.span(), cure))
        }
    }
}

fn path(value: &Lit) -> Result<Path> {
    let parsed = match value {
        Lit::Str(value) => value.parse_with(Path::parse_mod_style).ok(),
        _ => None,
    };
    parsed.ok_or_else(|| {
        let cure = "`crate` takes a path in a string, such as `crate = \"my_crate::saferring\"`";
        Error::new(value.span(), cure)
    })
}
