//! From the attribute and the function to an agent.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Attribute as RustAttribute, Expr, ExprLit, ItemFn, Lit, LitStr, Meta, ReturnType, Signature};

use crate::about::Attribute;

pub(crate) fn agent(attribute: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let item_span = item.span();
    let attribute: Attribute = syn::parse2(attribute)?;
    let function: ItemFn = syn::parse2(item)
        .map_err(|_| syn::Error::new(item_span, "`#[agent]` belongs on a function that takes a `Task` and gives an answer"))?;
    check_signature(&function.sig)?;
    let about = about(&attribute, &function)?;
    let (name, visibility) = (&function.sig.ident, &function.vis);
    let expected_name = match &attribute.name {
        Some(name) => quote!(#name),
        None => quote!(env!("CARGO_PKG_NAME")),
    };
    Ok(quote! {
        #function

        #[doc(hidden)]
        #[expect(non_camel_case_types, reason = "it is found under the name of the function")]
        #[derive(Debug)]
        #visibility struct #name {}

        const _: () = {
            const ABOUT: ::bailiwick_sdk::About = #about;

            ::core::assert!(
                ::bailiwick_sdk::serve::is_agent_name(#expected_name),
                "the name of the package is no name of an agent: give the attribute a `name` of lower-case letters, digits and single dashes"
            );

            impl ::bailiwick_sdk::Agent for #name {
                fn describe() -> ::bailiwick_sdk::Description {
                    ::bailiwick_sdk::serve::describe(&ABOUT, #name)
                }

                fn run(
                    task: ::bailiwick_sdk::bindings::bailiwick::agent::types::Task,
                ) -> ::core::result::Result<
                    ::bailiwick_sdk::bindings::bailiwick::agent::types::Answer,
                    ::bailiwick_sdk::bindings::bailiwick::agent::types::Failure,
                > {
                    ::bailiwick_sdk::serve::run(#name, task)
                }
            }

            #[cfg(target_arch = "wasm32")]
            ::bailiwick_sdk::export!(#name);
        };
    })
}

fn check_signature(signature: &Signature) -> syn::Result<()> {
    let wrong = |span: proc_macro2::Span, message: &str| Err(syn::Error::new(span, message));
    if let Some(token) = &signature.asyncness {
        return wrong(token.span(), "an agent is no `async` function: its calls wait for their results");
    }
    if let Some(token) = &signature.unsafety {
        return wrong(token.span(), "an agent is no `unsafe` function");
    }
    if !signature.generics.params.is_empty() {
        return wrong(signature.generics.span(), "an agent is not generic: its types become its schemas");
    }
    if signature.inputs.len() != 1 {
        return wrong(signature.span(), "an agent takes one argument: `task: Task<Input>`");
    }
    match signature.output {
        ReturnType::Default => wrong(signature.span(), "an agent gives `Result<Answer<Output>, Failure>`"),
        ReturnType::Type(..) => Ok(()),
    }
}

fn about(attribute: &Attribute, function: &ItemFn) -> syn::Result<TokenStream> {
    let name_span = function.sig.ident.span();
    let owner = attribute.owner.as_ref().ok_or_else(|| {
        syn::Error::new(name_span, "an agent needs an owner: add `owner = \"…\"`, a team or a mail address that answers for it")
    })?;
    let purpose = attribute.purpose.as_ref().map(LitStr::value).or_else(|| purpose_of(&function.attrs)).ok_or_else(|| {
        syn::Error::new(
            name_span,
            "an agent needs a purpose: say in a doc comment on the function what it is for, or add `purpose = \"…\"`",
        )
    })?;
    let or_default = |text: &Option<LitStr>, default: &str| text.as_ref().map_or_else(|| default.to_owned(), LitStr::value);
    let or_package = |text: &Option<LitStr>, variable: &str| match text {
        Some(text) => quote!(#text),
        None => quote!(env!(#variable)),
    };
    let name = or_package(&attribute.name, "CARGO_PKG_NAME");
    let version = or_package(&attribute.version, "CARGO_PKG_VERSION");
    // What is left out says least about the agent's rights and most about the care it needs.
    let data_level = or_default(&attribute.data_level, "public");
    let risk_class = or_default(&attribute.risk_class, "high");
    let review_by = or_default(&attribute.review_by, "");
    let wants = attribute.wants.as_deref().unwrap_or_default();
    let stubs = attribute.stubs.as_deref().unwrap_or_default();
    Ok(quote! {
        ::bailiwick_sdk::About {
            name: #name,
            version: #version,
            purpose: #purpose,
            owner: #owner,
            data_level: #data_level,
            risk_class: #risk_class,
            review_by: #review_by,
            wants: &[#(#wants),*],
            stubs: &[#(#stubs),*],
        }
    })
}

/// Gives the first paragraph of the doc comment as one line.
fn purpose_of(attributes: &[RustAttribute]) -> Option<String> {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    let paragraph: Vec<String> = lines.skip_while(String::is_empty).take_while(|line| !line.is_empty()).collect();
    (!paragraph.is_empty()).then(|| paragraph.join(" "))
}

#[cfg(test)]
mod tests;
